"""XMPP: a server among servers (RFC 6120), or an external component of one (XEP-0114).

`wire` speaks streams, `translate` turns stanzas into messages and back, `network` is what the hub talks to;
`live`, `inbound`, `outbound` and `login` are the streams that stand, `channel` is the proof that what was
written was read, `incoming` and `answers` say what becomes of a stanza.
"""

from __future__ import annotations

from rialto.networks.xmpp.network import create
from rialto.networks.xmpp.settings import PeerSettings, Settings, features

__all__ = ["PeerSettings", "Settings", "create", "features"]
