"""Offers and answers: which line is taken, who connects, what is refused (RFC 3264, 4975, 6135, 6714)."""

from __future__ import annotations

import msgspec
import pytest

from rialto.networks.sip.wire.message_media import Direction, Kind, MessageMedia, Setup
from rialto.networks.sip.wire.offer_answer import (
    Unacceptable,
    answer,
    choose,
    offer,
    read_answer,
    same_session,
    setup_for,
    we_connect,
)
from rialto.networks.sip.wire.sdp import Media, Origin, SdpError, parse_sdp

AUDIO = Media(media="audio", port=49170, protocol="RTP/AVP", formats=("0", "8"))
OURS = MessageMedia(
    kind=Kind.MSRP,
    host="192.0.2.1",
    port=2855,
    path=("msrp://192.0.2.1:2855/a1b2;tcp",),
    accept_types=("message/cpim", "text/plain"),
    max_size=10_000,
    setup=Setup.ACTPASS,
)
THEIRS = msgspec.structs.replace(
    OURS, host="198.51.100.7", port=7000, path=("msrp://198.51.100.7:7000/zz;tcp",), setup=None
)


def takes_all(media: MessageMedia) -> str:
    return ""


def test_we_offer_and_they_answer() -> None:
    offered = parse_sdp(offer(Origin("-", 1, 1, "192.0.2.1"), OURS).encode())
    assert offered.host == "192.0.2.1"
    assert len(offered.media) == 1
    chosen = choose(offered, takes_all)
    assert chosen.media == OURS
    answered = answer(offered, chosen, THEIRS, Origin("-", 2, 2, "198.51.100.7"))
    assert read_answer(OURS, parse_sdp(answered.encode())) == THEIRS


def test_of_several_lines_the_first_that_can_be_taken_is_and_the_others_are_refused_in_place() -> None:
    offered = offer(Origin(), OURS)
    offered = msgspec.structs.replace(offered, media=(AUDIO, *offered.media, *offered.media))
    chosen = choose(offered, takes_all)
    assert chosen.index == 1
    answered = answer(offered, chosen, THEIRS, Origin())
    assert [media.port for media in answered.media] == [0, 7000, 0]  # RFC 3264 section 6
    assert answered.media[0].media == "audio"
    assert answered.media[0].formats == ("0", "8")


def test_an_offer_of_audio_alone_is_not_acceptable() -> None:
    offered = msgspec.structs.replace(offer(Origin(), OURS), media=(AUDIO,))
    with pytest.raises(Unacceptable) as caught:
        choose(offered, takes_all)
    assert (caught.value.condition, caught.value.warn_code) == ("488", 304)


def test_a_line_that_was_taken_back_is_no_offer() -> None:
    offered = offer(Origin(), msgspec.structs.replace(OURS, port=0))
    with pytest.raises(Unacceptable):
        choose(offered, takes_all)


def test_a_session_that_takes_no_text_is_not_acceptable() -> None:
    # SES-25; RFC 4975 section 8.6
    offered = offer(Origin(), msgspec.structs.replace(OURS, accept_types=("image/png",)))
    with pytest.raises(Unacceptable) as caught:
        choose(offered, takes_all)
    assert caught.value.warn_code == 305


def test_what_we_do_not_want_is_said_in_words() -> None:
    with pytest.raises(Unacceptable, match="no TLS"):
        choose(offer(Origin(), OURS), lambda media: "no TLS here")


def test_an_address_that_somebody_changed_on_the_way_is_refused_unless_both_know_cema() -> None:
    # RFC 6714 section 4.3
    moved = msgspec.structs.replace(OURS, host="203.0.113.5")
    assert moved.moved
    with pytest.raises(Unacceptable):
        choose(offer(Origin(), moved), takes_all)
    assert choose(offer(Origin(), msgspec.structs.replace(moved, cema=True)), takes_all).media.moved


def test_a_name_in_the_path_is_not_taken_for_a_changed_address() -> None:
    named = msgspec.structs.replace(OURS, path=("msrp://im.example.org:2855/a1b2;tcp",))
    assert not named.moved


@pytest.mark.parametrize(
    ("offered", "can_listen", "said"),
    [
        (None, True, None),
        (Setup.ACTIVE, True, Setup.PASSIVE),
        (Setup.ACTPASS, True, Setup.PASSIVE),  # RFC 6135 section 4.2.2
        (Setup.ACTPASS, False, Setup.ACTIVE),
        (Setup.PASSIVE, True, Setup.ACTIVE),
        (Setup.HOLDCONN, True, Setup.HOLDCONN),
    ],
)
def test_the_answer_says_who_connects(offered: Setup | None, can_listen: bool, said: Setup | None) -> None:
    assert setup_for(offered, can_listen=can_listen) is said


@pytest.mark.parametrize("offered", [None, Setup.ACTIVE])
def test_where_neither_can_be_connected_to_there_is_no_session(offered: Setup | None) -> None:
    with pytest.raises(Unacceptable):
        setup_for(offered, can_listen=False)


def test_the_offerer_connects_unless_the_answerer_will() -> None:
    # RFC 4975 section 5.4, RFC 6135 section 5
    assert we_connect(Setup.ACTPASS, None, we_offered=True)
    assert we_connect(Setup.ACTPASS, Setup.PASSIVE, we_offered=True)
    assert not we_connect(Setup.ACTPASS, Setup.ACTIVE, we_offered=True)
    assert not we_connect(None, None, we_offered=False)
    assert not we_connect(Setup.PASSIVE, Setup.ACTPASS, we_offered=False)
    assert we_connect(Setup.ACTIVE, Setup.PASSIVE, we_offered=False)


@pytest.mark.parametrize(
    "answered",
    [
        msgspec.structs.replace(THEIRS, port=0),
        msgspec.structs.replace(THEIRS, accept_types=()),
        msgspec.structs.replace(THEIRS, secure=True, path=("msrps://198.51.100.7:7000/zz;tcp",)),
        msgspec.structs.replace(THEIRS, kind=Kind.MICROSOFT),
    ],
)
def test_an_answer_that_is_none_is_refused(answered: MessageMedia) -> None:
    text = offer(Origin(), answered).encode()
    if not answered.accept_types:
        text = text.replace(b"a=accept-types:*\r\n", b"")
    with pytest.raises(SdpError):
        read_answer(OURS, parse_sdp(text))


def test_an_answer_without_any_line_is_refused() -> None:
    with pytest.raises(SdpError):
        read_answer(OURS, msgspec.structs.replace(offer(Origin(), OURS), media=()))


def test_who_only_sends_is_answered_by_who_only_receives() -> None:
    # RFC 3264 section 6.1
    assert Direction.SENDONLY.answered() is Direction.RECVONLY
    assert Direction.RECVONLY.answered() is Direction.SENDONLY
    assert Direction.SENDRECV.answered() is Direction.SENDRECV
    assert Direction.INACTIVE.answered() is Direction.INACTIVE
    assert Direction.SENDONLY.sends
    assert not Direction.SENDONLY.receives


def test_an_offer_with_the_same_origin_changes_nothing() -> None:
    # RFC 4975 section 8.4
    one = offer(Origin("-", 5, 1), OURS)
    assert same_session(one, parse_sdp(one.encode()))
    assert not same_session(one, msgspec.structs.replace(one, origin=Origin("-", 5, 2)))
