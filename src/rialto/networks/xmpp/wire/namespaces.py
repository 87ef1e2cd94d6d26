"""The namespaces of the XMPP that we speak, by short names."""

from __future__ import annotations

from typing import Final

STREAMS: Final = "http://etherx.jabber.org/streams"
SERVER: Final = "jabber:server"
COMPONENT: Final = "jabber:component:accept"  # XEP-0114
DIALBACK: Final = "jabber:server:dialback"  # XEP-0220
DIALBACK_FEATURE: Final = "urn:xmpp:features:dialback"
BIDI: Final = "urn:xmpp:bidi"  # XEP-0288
BIDI_FEATURE: Final = "urn:xmpp:features:bidi"
TLS: Final = "urn:ietf:params:xml:ns:xmpp-tls"
SASL: Final = "urn:ietf:params:xml:ns:xmpp-sasl"
STREAM_ERRORS: Final = "urn:ietf:params:xml:ns:xmpp-streams"
STANZA_ERRORS: Final = "urn:ietf:params:xml:ns:xmpp-stanzas"
SM: Final = "urn:xmpp:sm:3"  # XEP-0198
XML: Final = "http://www.w3.org/XML/1998/namespace"
PING: Final = "urn:xmpp:ping"  # XEP-0199
DISCO_INFO: Final = "http://jabber.org/protocol/disco#info"  # XEP-0030
DISCO_ITEMS: Final = "http://jabber.org/protocol/disco#items"
VERSION: Final = "jabber:iq:version"  # XEP-0092
DELAY: Final = "urn:xmpp:delay"  # XEP-0203
STANZA_IDS: Final = "urn:xmpp:sid:0"  # XEP-0359
CARBONS: Final = "urn:xmpp:carbons:2"  # XEP-0280
FORWARD: Final = "urn:xmpp:forward:0"  # XEP-0297
CHAT_STATES: Final = "http://jabber.org/protocol/chatstates"  # XEP-0085
RECEIPTS: Final = "urn:xmpp:receipts"  # XEP-0184
NICK: Final = "http://jabber.org/protocol/nick"  # XEP-0172
DATA_FORMS: Final = "jabber:x:data"  # XEP-0004
CONTACT_ADDRESSES: Final = "http://jabber.org/network/serverinfo"  # XEP-0157
SHIM: Final = "http://jabber.org/protocol/shim"  # XEP-0131
CAPS: Final = "http://jabber.org/protocol/caps"  # XEP-0115
VCARD: Final = "vcard-temp"  # XEP-0054
VCARD_UPDATE: Final = "vcard-temp:x:update"  # XEP-0153
VCARD4: Final = "urn:ietf:params:xml:ns:vcard-4.0"  # XEP-0292
PUBSUB: Final = "http://jabber.org/protocol/pubsub"  # XEP-0060
AVATAR_DATA: Final = "urn:xmpp:avatar:data"  # XEP-0084
AVATAR_METADATA: Final = "urn:xmpp:avatar:metadata"
IDLE: Final = "urn:xmpp:idle:1"  # XEP-0319
MUC: Final = "http://jabber.org/protocol/muc"  # XEP-0045
MUC_USER: Final = "http://jabber.org/protocol/muc#user"
RPID: Final = "urn:ietf:params:xml:ns:pidf:rpid"  # RFC 4480
