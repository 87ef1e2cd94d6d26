"""XMPP streams and stanzas, sans-I/O."""
