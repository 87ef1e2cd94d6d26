"""What a SIP peer's settings say that it can carry."""

from __future__ import annotations

from rialto.model.message import RelationKind
from rialto.networks.sip.settings import PeerSettings, features


def test_a_sip_peer_chooses_what_its_users_are_told_in_words() -> None:
    chosen = features(PeerSettings(in_words=(RelationKind.REPLACE,)))
    assert chosen.in_words == (RelationKind.REPLACE,)
    assert set(features(PeerSettings()).in_words) == set(RelationKind)
