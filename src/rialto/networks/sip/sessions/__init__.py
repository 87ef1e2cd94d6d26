"""Conversations as sessions: INVITE, and MSRP or MESSAGE within (RFC 7573, RFC 4975).

    hub.deliver ─► `desk`: `policy` says page or session ─► `session` ─► its carrier ─► the other side
    INVITE      ─► `desk`: `offers` says yes or no       ─► `session` ─► hub.accept, hub.compose, hub.receipt

A conversation is what two people have; it holds sessions (usually one; two where both called at the same
moment) and the messages that wait for one. A session is a call (`wire.call`) with a carrier: `msrp_carrier`,
or `dialog_carrier` for what Microsoft's servers speak. `lines` is how requests of a call travel, `words` what
goes over a carrier.
"""
