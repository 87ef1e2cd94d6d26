"""MSRP (RFC 4975, 4976): sessions of messages, and files, beside SIP."""
