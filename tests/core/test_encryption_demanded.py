"""Whoever demands security on every hop (`sips:`) is refused where the next one may not have it: ARC-10."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from core.presence_stage import Stage, pair
from rialto.core.network import Features, Origin, Peer
from rialto.core.policy import Facts, decide
from rialto.core.presence.policy import RULES as PRESENCE_RULES
from rialto.core.routing import Routes
from rialto.model.address import Address
from rialto.model.errors import Reason, Refused
from rialto.model.message import Message
from rialto.networks.loopback.settings import PeerSettings as LoopbackPeer
from rialto.networks.loopback.settings import features as loopback_features
from rialto.networks.sip.settings import PeerSettings as SipPeer
from rialto.networks.sip.settings import features as sip_features
from rialto.networks.xmpp.settings import PeerSettings as XmppPeer
from rialto.networks.xmpp.settings import features as xmpp_features
from rialto.testing import peer

SAFE = peer("safe", "xmpp", "xmpp.example", features=Features(encrypted=True))
OPEN = peer("open", "xmpp", "xmpp.example")
SIP = peer("sip.example", "sip")
JULIET_TO_ROMEO = pair("juliet@sip.example", "romeo@xmpp.example")


def refused(candidates: tuple[Peer, ...], *, secure_only: bool) -> str | None:
    message = Message(
        id="1",
        sender=Address.parse("juliet@sip.example"),
        recipient=Address.parse("romeo@xmpp.example"),
        text="soft",
        received_at=0.0,
    )
    found = decide(
        Facts(
            message=message,
            origin=Origin(SIP, "sip.example", "tls", secured=True, secure_only=secure_only),
            candidates=candidates,
            owned=True,
            same_destination=False,
            token="here",
            peer_wait_s=0.0,
            sender_wait_s=0.0,
        )
    )
    if found is None:
        return None
    assert found[1].reason is Reason.UNSECURED
    return found[0]


def test_a_message_goes_on_only_where_every_way_is_encrypted() -> None:
    assert refused((SAFE,), secure_only=True) is None
    assert refused((OPEN,), secure_only=True) == "encryption"
    assert refused((SAFE, OPEN), secure_only=True) == "encryption", "an outage may lead to the other"
    assert refused((OPEN,), secure_only=False) is None


@pytest.mark.parametrize("verb", ["ask", "fetch"])
def test_nobody_is_watched_over_a_way_that_may_not_be_encrypted(verb: str) -> None:
    stage = Stage()
    demanding = replace(stage.by("sip.example"), secure_only=True)
    with pytest.raises(Refused) as error:
        getattr(stage.presence, verb)(JULIET_TO_ROMEO, demanding)
    assert error.value.reason is Reason.UNSECURED
    assert len(stage.presence) == 0
    getattr(stage.presence, verb)(JULIET_TO_ROMEO, stage.by("sip.example"))
    assert len(stage.presence) == 1


def test_somebody_is_watched_over_a_way_that_is_encrypted() -> None:
    stage = Stage()
    stage.routes = Routes((SAFE, stage.by("sip.example").peer))
    stage.restart()
    stage.presence.ask(JULIET_TO_ROMEO, replace(stage.by("sip.example"), secure_only=True))
    assert len(stage.presence) == 1
    assert "encryption" in [name for name, _ in PRESENCE_RULES]


def test_what_is_encrypted_is_known_from_the_settings() -> None:
    assert xmpp_features(XmppPeer()).encrypted
    assert not xmpp_features(XmppPeer(tls="optional")).encrypted
    component = XmppPeer(link="component", host="127.0.0.1", secret="s3cret")
    assert not xmpp_features(component).encrypted
    assert not sip_features(SipPeer()).encrypted
    assert sip_features(SipPeer(transports=("tls",))).encrypted
    assert loopback_features(LoopbackPeer()).encrypted
