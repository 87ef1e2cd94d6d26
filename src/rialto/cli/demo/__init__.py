"""What `rialto try` sets up around a real instance: a world with two domains, and somebody in each.

    juliet@capulet.example                                           romeo@montague.example
    at an XMPP server  ──── s2s, TLS ────►  Rialto  ◄──── UDP ────  at a SIP phone
    (`xmpp_server`)                                                  (`sip_phone`)

Everything speaks through real sockets on the loopback interface. `world` puts it together, `wire` collects
what passes, `view` shows it, `stage` lets the first messages cross and people talk on (`prompt`).
"""
