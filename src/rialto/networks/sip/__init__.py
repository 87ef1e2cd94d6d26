"""SIP: page-mode messages (RFC 3428) over UDP, TCP and TLS, to and from the servers of other operators."""

from __future__ import annotations

from rialto.networks.sip.network import create
from rialto.networks.sip.settings import PeerSettings, Settings, features

__all__ = ["PeerSettings", "Settings", "create", "features"]
