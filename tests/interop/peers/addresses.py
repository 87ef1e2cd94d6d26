"""Who lives where on loopback: one address for each party, default ports everywhere."""

DNS = "127.0.0.1"
XA = "127.0.0.2"  # the XMPP server of xa.example
XB = "127.0.0.3"  # the XMPP server of xb.example
GATEWAY = "127.0.0.4"  # the gateway under test: sip.example for XMPP, xa.example and xb.example for SIP
SIP = "127.0.0.5"  # registrar and proxy of sip.example
CLIENTS = "127.0.0.6"  # SIP clients, told apart by their ports
NOBODY = "127.0.0.8"  # nobody listens here
STRANGER = "127.0.0.9"  # somebody whom nobody trusts

XMPP_ADDRESS_OF = {"xa.example": XA, "xb.example": XB, "xt.example": XA}
SIP_DOMAIN = "sip.example"
COMPONENT_SECRET = "correct horse battery staple"
