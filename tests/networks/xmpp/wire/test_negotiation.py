"""How two servers come to trust a stream: TLS, certificates, dialback, and what is refused on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from rialto.networks.xmpp.wire.dialback import dialback_key, key_is_ours
from rialto.networks.xmpp.wire.events import (
    Authenticated,
    DialbackRequested,
    KeyVerified,
    PairRefused,
    Ready,
    StanzaReceived,
    StartTls,
    StrangerRefused,
    StreamClosed,
    StreamManagementEnabled,
    StreamOpened,
)
from rialto.networks.xmpp.wire.initiating import Initiating
from rialto.networks.xmpp.wire.namespaces import SERVER, STREAMS
from rialto.networks.xmpp.wire.parser import Limits
from rialto.networks.xmpp.wire.receiving import Receiving
from rialto.networks.xmpp.wire.s2s import Policy
from rialto.networks.xmpp.wire.stream import State, Timing

from .play import CAPULET, CUTS, MONTAGUE, SECRETS, Play, drain, ids, of, speech, whole

BOTH_PROVEN = {"romeo": {MONTAGUE}, "juliet": {CAPULET}}


def header(
    *, to: str = CAPULET, sender: str = MONTAGUE, version: str = "1.0", namespace: str = SERVER
) -> bytes:
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='{namespace}' xmlns:stream='{STREAMS}'"
        f" xmlns:db='jabber:server:dialback' from='{sender}' to='{to}'"
        + (f" version='{version}'" if version else "")
        + ">"
    ).encode()


def receiver(policy: Policy = Policy(dialback=True, tls="optional"), **more: object) -> Receiving:  # noqa: B008
    arguments = {
        "is_ours": lambda domain: domain in {CAPULET, "sip.capulet.example"},
        "policy_for": lambda _remote: policy,
        "secret": SECRETS[CAPULET],
        "make_id": ids("b"),
        "now": 0.0,
    }
    return Receiving(**{**arguments, **more})  # type: ignore[arg-type]


def verified(play: Play, valid: bool = True) -> Play:
    """Juliet's server has asked Romeo's about the key."""
    for request in of(play.juliet, DialbackRequested):
        play.b.dialback_result(request.local, request.remote, valid)
    play.juliet[:] = [event for event in play.juliet if not isinstance(event, DialbackRequested)]
    return play.run()


@pytest.mark.parametrize("cut", CUTS)
def test_two_servers_with_good_certificates_need_no_dialback(cut: Callable[[bytes], object]) -> None:
    play = Play(cut=cut, certificates=BOTH_PROVEN).run()  # type: ignore[arg-type]
    assert of(play.juliet, Authenticated) == [
        Authenticated(CAPULET, MONTAGUE, "external", outgoing=True, incoming=True)
    ]
    assert of(play.romeo, Authenticated)[0].proof == "external"
    assert not of(play.juliet, DialbackRequested)
    assert of(play.romeo, StreamManagementEnabled) == [StreamManagementEnabled(True)]
    play.a.send(speech())
    play.run()
    (received,) = of(play.juliet, StanzaReceived)
    assert (received.sender.local, received.proof) == ("romeo", "external")
    assert received.stanza == speech()


@pytest.mark.parametrize("cut", CUTS)
def test_without_a_good_certificate_dialback_speaks_for_romeo(cut: Callable[[bytes], object]) -> None:
    play = verified(Play(cut=cut, initiating={"bidirectional": False}).run())  # type: ignore[arg-type]
    assert b"EXTERNAL" not in play.said("juliet")  # XEP-0178: not offered unless the certificate was good
    assert of(play.juliet, Authenticated) == [
        Authenticated(CAPULET, MONTAGUE, "dialback", outgoing=False, incoming=True)
    ]
    assert play.a.may_send(MONTAGUE, CAPULET)
    assert not play.b.may_send(CAPULET, MONTAGUE)


def test_nothing_but_the_header_and_starttls_is_said_before_tls() -> None:
    play = Play(certificates=BOTH_PROVEN).run()
    before = play.said("juliet").split(b"<proceed")[0]
    assert b"<required/>" in before
    assert b"mechanism" not in before
    assert b"dialback'>" not in before.split(b"<stream:features>")[1]


def test_direct_tls_begins_where_starttls_ends() -> None:
    play = Play(initiating={"secure": True}, receiving={"secure": True})
    play.a.tls_established(0.0, {CAPULET}.__contains__)
    play.b._proves = {MONTAGUE}.__contains__
    play.run()
    assert of(play.romeo, Authenticated)[0].proof == "external"
    assert b"starttls" not in play.said("romeo")


def test_a_failed_external_falls_back_to_dialback_on_the_same_stream() -> None:
    class GoodOnce(set[str]):
        looks = 0

        def __contains__(self, _domain: object) -> bool:
            self.looks += 1
            return self.looks == 1

    play = Play(certificates={"romeo": GoodOnce(), "juliet": {CAPULET}}).run()
    assert PairRefused(MONTAGUE, CAPULET, "not-authorized", "SASL EXTERNAL") in play.romeo
    verified(play)
    assert of(play.juliet, Authenticated)[-1].proof == "dialback"


def test_a_peer_that_does_not_offer_tls_gets_nothing_of_ours() -> None:
    play = Play(receiving={"offer_tls": False}).run()
    assert of(play.romeo, StreamClosed) == [StreamClosed("no-tls", "the peer does not offer TLS", False)]


def test_a_peer_whose_certificate_is_not_for_its_domain_is_left_alone() -> None:
    policy = Policy(dialback=False)
    play = Play(certificates={"romeo": {MONTAGUE}, "juliet": {"verona.example"}}, policy=policy).run()
    assert of(play.romeo, StreamClosed)[0].condition == "peer-unproven"
    assert not of(play.romeo, Authenticated)


def test_a_stranger_who_is_not_known_is_refused_whatever_he_shows() -> None:
    play = Play(
        certificates=BOTH_PROVEN, receiving={"policy_for": lambda _remote: Policy(known=False, dialback=True)}
    )
    play.run()
    assert of(play.juliet, StrangerRefused)[0].condition == "forbidden"
    assert not of(play.juliet, Authenticated)
    assert of(play.romeo, PairRefused)[0].condition == "forbidden"


# -- dialback ---------------------------------------------------------------------------------------


def test_keys_are_made_as_xep_0185_says() -> None:
    key = dialback_key(
        b"s3cr3tf0rd14lb4ck",
        receiving="xmpp.example.com",
        originating="example.org",
        stream_id="D60000229F",
    )
    assert key == "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643"
    assert key_is_ours(
        b"s3cr3tf0rd14lb4ck",
        f" {key}\n",
        receiving="xmpp.example.com",
        originating="example.org",
        stream_id="D60000229F",
    )


def test_a_forged_key_ends_the_stream() -> None:  # XEP-0220 section 2.2.1
    play = verified(Play().run(), valid=False)
    assert b"type='invalid'" in play.said("juliet")
    assert of(play.juliet, StreamClosed)
    assert of(play.romeo, PairRefused)[0].condition == "invalid"
    assert not of(play.juliet, Authenticated)


def test_an_authoritative_server_that_cannot_be_reached_is_an_error_and_no_end() -> None:
    play = Play().run()
    (request,) = of(play.juliet, DialbackRequested)
    play.b.dialback_result(request.local, request.remote, False, "remote-connection-failed")
    play.run()
    assert not of(play.juliet, StreamClosed)
    assert of(play.romeo, PairRefused)[0].condition == "remote-connection-failed"


def test_the_authoritative_server_knows_its_own_keys() -> None:
    play = Play(
        initiating={"verify_only": True}, receiving={"is_ours": lambda domain: domain == CAPULET}
    ).run()
    assert Ready() in play.romeo
    good = dialback_key(SECRETS[CAPULET], receiving=MONTAGUE, originating=CAPULET, stream_id="s1")
    play.a.verify_key(MONTAGUE, CAPULET, "s1", good)
    play.a.verify_key(MONTAGUE, CAPULET, "s2", good)
    play.a.verify_key(MONTAGUE, "verona.example", "s3", good)
    play.run()
    assert of(play.romeo, KeyVerified) == [
        KeyVerified(MONTAGUE, CAPULET, "s1", True),
        KeyVerified(MONTAGUE, CAPULET, "s2", False),
        KeyVerified(MONTAGUE, "verona.example", "s3", None, "item-not-found"),
    ]


def test_an_answer_about_a_key_that_nobody_asked_about_ends_the_stream() -> None:
    play = Play().run()
    play.a.receive_data(f"<db:verify from='{CAPULET}' to='{MONTAGUE}' id='x' type='valid'/>".encode(), 1.0)
    assert of(drain(play.a), StreamClosed)[0].condition == "invalid-from"


def test_an_unsolicited_valid_opens_nothing() -> None:  # XEP-0220 section 3.1
    play = verified(Play(initiating={"bidirectional": False}).run())
    play.a.receive_data(f"<db:result from='evil.example' to='{MONTAGUE}' type='valid'/>".encode(), 1.0)
    assert of(drain(play.a), StreamClosed)[0].condition == "invalid-from"
    assert not play.a.may_send(MONTAGUE, "evil.example")


def test_several_pairs_ride_on_one_stream_and_each_is_verified() -> None:
    play = verified(Play(initiating={"bidirectional": False}).run())
    play.a.request_pair("chat.montague.example", CAPULET)
    play.a.request_pair(MONTAGUE, "sip.capulet.example")
    play.run()
    assert not play.a.may_send("chat.montague.example", CAPULET)
    verified(play)
    assert play.a.may_send("chat.montague.example", CAPULET)
    assert play.a.may_send(MONTAGUE, "sip.capulet.example")
    play.a.send(speech(sender="room@chat.montague.example"))
    play.run()
    assert of(play.juliet, StanzaReceived)[-1].sender.domain == "chat.montague.example"


def test_a_forged_second_pair_does_not_take_the_first_with_it() -> None:
    play = verified(Play(initiating={"bidirectional": False}).run())
    play.a.request_pair("verona.example", CAPULET)
    verified(play.run(), valid=False)
    assert not of(play.juliet, StreamClosed)
    assert of(play.romeo, PairRefused)[-1].condition == "forbidden"
    play.a.send(speech())
    assert of(play.run().juliet, StanzaReceived)


def test_a_key_for_a_domain_that_is_not_ours_is_an_error_and_no_end() -> None:
    play = verified(Play(initiating={"bidirectional": False}).run())
    play.a.request_pair(MONTAGUE, "tybalt.example")
    play.run()
    assert of(play.romeo, PairRefused)[-1].condition == "item-not-found"
    assert not of(play.juliet, StreamClosed)


def test_too_many_pairs_are_refused() -> None:
    play = Play().run()
    play.b.max_pairs = 3  # type: ignore[misc]
    for number in range(5):
        play.a.request_pair(f"n{number}.montague.example", CAPULET)
    play.run()
    assert {event.condition for event in of(play.romeo, PairRefused)} == {"resource-constraint"}


# -- both ways on one stream --------------------------------------------------------------------------


def test_on_a_bidirectional_stream_juliet_answers_where_romeo_spoke() -> None:
    play = Play(certificates=BOTH_PROVEN).run()
    play.b.send(speech(sender="juliet@capulet.example", to="romeo@montague.example"))
    play.run()
    (received,) = of(play.romeo, StanzaReceived)
    assert received.sender.local == "juliet"


PEERS_OPENING = header(to=MONTAGUE, sender=CAPULET).replace(b" from=", b" id='s1' from=")
PEERS_FEATURES = (
    b"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"
    b"<mechanism>EXTERNAL</mechanism></mechanisms>"
    b"<bidi xmlns='urn:xmpp:features:bidi'/></stream:features>"
)
SUCCESS = b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"


def shown_a_certificate(**initiating: Any) -> Initiating:
    """Romeo's end, that has asked for SASL EXTERNAL and waits for the answer."""
    play = Play(initiating={"secure": True, **initiating})
    play.a.tls_established(0.0, {CAPULET}.__contains__)
    play.a.receive_data(PEERS_OPENING + PEERS_FEATURES, 1.0)
    return play.a


def said_by_juliet(text: str) -> bytes:
    return speech(text, sender="juliet@capulet.example", to="romeo@montague.example").encode()


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("declaration", [b"<?xml version='1.0'?>", b""])
def test_a_peer_that_speaks_at_once_after_its_success_is_heard(
    cut: Callable[[bytes], Iterable[bytes]], declaration: bytes
) -> None:
    romeo = shown_a_certificate()
    opening = declaration + PEERS_OPENING.replace(b"s1", b"s2").partition(b"?>")[2]
    assert opening.count(b"<?xml") == bool(declaration)
    early = said_by_juliet("with > the success")
    # The old stream is read to its end before ours begins: nothing else can stand in the same piece.
    for piece in cut(SUCCESS + early[:-20]):
        romeo.receive_data(piece, 2.0)
    later = early[-20:] + b" \n" + said_by_juliet("before the header") + b"\n" + opening
    for piece in cut(later + said_by_juliet("before the features") + PEERS_FEATURES + said_by_juliet("open")):
        romeo.receive_data(piece, 3.0)
    events = drain(romeo)
    assert not of(events, StreamClosed)
    heard = of(events, StanzaReceived)
    assert [event.stanza.find("body").text for event in heard] == [
        "with > the success", "before the header", "before the features", "open",
    ]  # fmt: skip
    assert {event.proof for event in heard} == {"external"}
    assert romeo.state is State.OPEN
    assert romeo.stream_id == "s2"


def test_before_the_new_header_no_more_is_read_than_a_stanza_may_take() -> None:
    romeo = shown_a_certificate(limits=Limits(max_bytes=2000))
    romeo.receive_data(SUCCESS, 2.0)
    for _ in range(30):
        romeo.receive_data(b"<message" + b" " * 92, 2.0)
    (closed,) = of(drain(romeo), StreamClosed)
    assert closed.condition == "policy-violation"


def test_the_peer_may_end_the_stream_instead_of_beginning_anew() -> None:
    romeo = shown_a_certificate()
    romeo.receive_data(SUCCESS, 2.0)
    romeo.receive_data(b"</stream:stream>", 2.0)
    assert of(drain(romeo), StreamClosed)


def test_before_the_new_header_the_peer_may_only_speak_for_itself() -> None:
    romeo = shown_a_certificate()
    stranger = speech(sender="nurse@verona.example", to="romeo@montague.example").encode()
    romeo.receive_data(SUCCESS + stranger, 2.0)
    (closed,) = of(drain(romeo), StreamClosed)
    assert closed.condition == "invalid-from"


def test_without_bidi_an_answer_on_the_same_stream_is_refused() -> None:
    play = Play(certificates=BOTH_PROVEN, initiating={"bidirectional": False}).run()
    play.a.receive_data(speech(sender="juliet@capulet.example", to="romeo@montague.example").encode(), 1.0)
    assert of(drain(play.a), StreamClosed)[0].condition == "not-authorized"


def test_on_a_bidirectional_stream_the_peer_may_only_speak_for_itself() -> None:
    play = Play(certificates=BOTH_PROVEN).run()
    play.a.receive_data(speech(sender="nurse@verona.example", to="romeo@montague.example").encode(), 1.0)
    assert of(drain(play.a), StreamClosed)[0].condition == "invalid-from"


# -- what a stream may not do -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opening", "condition"),
    [
        (header(to="verona.example"), "host-unknown"),
        (header(to=""), "improper-addressing"),
        (header(sender="a@b"), "invalid-from"),
        (header(namespace="jabber:client"), "invalid-namespace"),
        (header(version="one"), "unsupported-version"),
        (header() + b"<message xmlns='urn:other'/>", "unsupported-stanza-type"),
        (header() + b"<message xmlns=''/>", "invalid-namespace"),
        (header() + b"<telegram/>", "unsupported-stanza-type"),
        (header() + speech().encode(), "not-authorized"),
        (header() + b"<a xmlns='urn:xmpp:sm:3' h='7'/>", "policy-violation"),
        (header() + b"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "not-authorized"),
        (header() + b"<!-- -->", "restricted-xml"),
        (header() + b"<message>&x;", "restricted-xml"),
        (header() + b"</wrong>", "not-well-formed"),
        (b"<x" + b"y" * 400_000, "policy-violation"),
    ],
)
@pytest.mark.parametrize("cut", CUTS)
def test_the_peer_is_told_what_it_did_wrong(
    opening: bytes, condition: str, cut: Callable[[bytes], list[bytes]]
) -> None:
    machine = receiver()
    if len(opening) > 100_000:
        cut = whole  # type: ignore[assignment]
    for piece in cut(opening):
        machine.receive_data(piece, 1.0)
    said = machine.data_to_send()
    assert of(drain(machine), StreamClosed)[0].condition == condition
    assert f"<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>".encode() in said
    assert said.startswith(b"<?xml version='1.0'?><stream:stream ")  # RFC 6120 section 4.9.1.2
    assert said.endswith(b"</stream:error></stream:stream>")


def opened(proven: str = MONTAGUE, **more: object) -> Receiving:
    """A stream on which the peer has proven to be `proven` by certificate."""
    machine = receiver(secure=True, **more)
    machine.tls_established(0.0, {proven}.__contains__)
    machine.receive_data(
        header() + b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>", 0.0
    )
    machine.receive_data(header(), 0.0)
    drain(machine)
    machine.data_to_send()
    return machine


@pytest.mark.parametrize(
    ("stanza", "condition"),
    [
        (speech(sender="tybalt@verona.example"), "invalid-from"),
        (speech(to="nurse@verona.example"), "improper-addressing"),
        (speech(sender=""), "improper-addressing"),
        (speech(to="@@"), "improper-addressing"),
    ],
)
def test_every_stanza_must_come_from_a_proven_domain_and_be_for_us(stanza: object, condition: str) -> None:
    machine = opened()
    machine.receive_data(stanza.encode(), 1.0)  # type: ignore[attr-defined]
    assert of(drain(machine), StreamClosed)[0].condition == condition


def test_who_is_proven_once_for_one_domain_cannot_become_another() -> None:
    machine = opened()
    machine._authenticated = True
    machine._restart()
    machine.receive_data(header(sender="verona.example"), 1.0)
    assert of(drain(machine), StreamClosed)[0].condition == "invalid-from"


@pytest.mark.parametrize(
    ("auth", "failure"),
    [
        (
            b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AA==</auth>",
            b"invalid-mechanism",
        ),
        (
            b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>!!</auth>",
            b"incorrect-encoding",
        ),
        (
            b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>dmVyb25hLmV4"
            b"YW1wbGU=</auth>",
            b"invalid-authzid",
        ),
        (b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>", b"not-authorized"),
    ],
)
def test_a_failed_sasl_says_why_and_after_three_it_is_enough(auth: bytes, failure: bytes) -> None:
    machine = receiver(secure=True)
    machine.receive_data(header() + auth, 1.0)
    assert b"<" + failure + b"/>" in machine.data_to_send()
    machine.receive_data(auth + auth, 1.0)
    assert of(drain(machine), StreamClosed)[0].condition == "policy-violation"


def test_sasl_before_tls_is_refused() -> None:
    machine = receiver()
    machine.receive_data(
        header() + b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>", 1.0
    )
    assert b"<encryption-required/>" in machine.data_to_send()


def test_an_empty_initial_response_is_asked_for_again() -> None:  # RFC 4422 section 5.1
    machine = receiver(secure=True)
    machine.tls_established(0.0, {MONTAGUE}.__contains__)
    machine.receive_data(
        header() + b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'/>", 1.0
    )
    assert machine.data_to_send().endswith(b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
    machine.receive_data(b"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>", 1.0)
    assert machine.data_to_send().endswith(b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")


def test_plaintext_behind_starttls_is_reported() -> None:  # RFC 6120 section 5.4.3.3
    starttls = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    honest, injected = receiver(), receiver()
    honest.receive_data(header() + starttls, 1.0)
    injected.receive_data(header() + starttls + speech().encode(), 1.0)
    assert drain(honest)[-1] == StartTls(CAPULET, b"")
    assert drain(injected)[-1].trailing


def test_starttls_twice_is_refused() -> None:
    machine = opened()
    machine.receive_data(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", 1.0)
    assert b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>" in machine.data_to_send()


def test_a_server_from_before_version_1_may_use_dialback_where_tls_is_optional() -> None:
    machine = receiver()
    machine.receive_data(
        header(version="") + f"<db:result from='{MONTAGUE}' to='{CAPULET}'>k</db:result>".encode(), 1
    )
    assert of(drain(machine), DialbackRequested)
    assert b"features" not in machine.data_to_send()
    strict = receiver(Policy(dialback=True, tls="required"))
    strict.receive_data(header(version=""), 1.0)
    assert of(drain(strict), StreamClosed)[0].condition == "unsupported-version"


# -- time ---------------------------------------------------------------------------------------------


def test_a_slow_loris_has_thirty_seconds_however_busy_it_looks() -> None:
    machine = receiver()
    for second in range(30):
        machine.receive_data(header()[second * 3 : second * 3 + 3], float(second))
        machine.handle_timer(float(second))
    assert machine.next_timer() == 30.0
    machine.handle_timer(30.0)
    assert of(drain(machine), StreamClosed)[0].condition == "connection-timeout"
    assert b"<connection-timeout " in machine.data_to_send()


def test_after_sasl_the_new_stream_must_begin_in_time() -> None:
    machine = receiver(secure=True)
    machine.tls_established(0.0, {MONTAGUE}.__contains__)
    machine.receive_data(
        header() + b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>", 0.0
    )
    assert machine.next_timer() == 30.0
    machine.handle_timer(30.0)
    assert of(drain(machine), StreamClosed)[0].condition == "connection-timeout"


def test_an_open_stream_is_kept_alive_and_closed_when_idle() -> None:
    machine = opened(timing=Timing(keepalive_s=60, idle_s=150))
    assert machine.next_timer() == 60.0
    machine.handle_timer(60.0)
    assert machine.data_to_send() == b" "
    machine.receive_data(speech().encode(), 100.0)
    machine.handle_timer(120.0)
    assert machine.data_to_send() == b" "
    machine.handle_timer(250.0)
    assert machine.data_to_send() == b"</stream:stream>"
    assert machine.state is State.CLOSING
    machine.receive_data(b"</stream:stream>", 251.0)
    assert of(drain(machine), StreamClosed) == [StreamClosed("", "", False)]


def test_a_peer_that_never_says_goodbye_is_left_after_five_seconds() -> None:
    machine = opened()
    machine.receive_data(b" ", 10.0)
    machine.close()
    machine.receive_data(speech().encode(), 12.0)  # it was on its way
    assert of(drain(machine), StanzaReceived)
    assert machine.next_timer() == 15.0
    machine.handle_timer(15.0)
    assert of(drain(machine), StreamClosed) == [StreamClosed("", "", False)]


def test_a_goodbye_is_answered_and_a_cut_is_told_apart() -> None:
    polite, rude = opened(), opened()
    polite.receive_data(b"</stream:stream>garbage", 1.0)
    assert polite.data_to_send() == b"</stream:stream>"
    assert of(drain(polite), StreamClosed) == [StreamClosed("", "", True)]
    rude.receive_data(b"", 1.0)
    assert of(drain(rude), StreamClosed) == [StreamClosed("connection-lost", "", True)]


def test_the_peers_stream_error_is_told() -> None:
    machine = opened()
    machine.receive_data(
        b"<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        b"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>back soon</text></stream:error></stream:stream>",
        1.0,
    )
    assert of(drain(machine), StreamClosed) == [StreamClosed("system-shutdown", "back soon", True)]


def test_the_opening_says_who_wants_what() -> None:
    machine = receiver()
    machine.receive_data(header(to="SIP.Capulet.example"), 1.0)
    assert drain(machine) == [StreamOpened("sip.capulet.example", MONTAGUE, "b1")]


def test_a_stream_that_verifies_keys_proves_nothing() -> None:
    play = Play(initiating={"verify_only": True}, policy=Policy(dialback=True, tls="optional")).run()
    assert Ready() in play.romeo
    assert not of(play.juliet, Authenticated)
    assert not of(play.juliet, DialbackRequested)
