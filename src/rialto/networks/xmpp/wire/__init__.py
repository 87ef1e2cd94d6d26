"""XMPP streams and stanzas, sans-I/O (RFC 6120 and the extensions that servers speak among themselves).

Theory of operation. Bytes become elements in `parser` (with its limits), elements become bytes in
`element`. `stream.Stream` is what both ends of every stream have in common: header, close handshake, timers,
the proof behind every `from`, stream management. `initiating.Initiating`, `receiving.Receiving` and
`component.Component` add how such a stream comes to be. What happened comes out as `events`.
"""
