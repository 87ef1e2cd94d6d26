"""The publisher's machine: every row of its table, and every answer (RFC 3903 section 4)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.networks.sip.wire import Request, Response, response_to
from rialto.networks.sip.wire.publications import HOPELESS, KeptPublication, Publisher

NOW = 1_800_000_000.0


class Play:
    """Romeo's presence is published; the test is the server."""

    def __init__(self) -> None:
        self.now = NOW
        self.document = b"<online/>"
        self.machine = self.fresh()

    def fresh(self) -> Publisher:
        return Publisher(
            "sip:romeo@example.net", call_id="p1", tag="t1", ask_s=3600, every_s=5.0, spread=lambda: 0.5
        )

    def shows(self, document: bytes) -> None:
        self.document = document
        self.machine.publish(self.now)

    def sent(self) -> Request | None:
        return self.machine.next_request(
            self.now, lambda: (self.document, "application/pidf+xml" if self.document else "")
        )

    def row(self) -> tuple[str | None, bytes, str | None]:
        """(entity tag, document, Expires) of what is sent."""
        request = self.sent()
        assert request is not None
        assert request.method == "PUBLISH"
        assert request.get("Event") == "presence"
        assert bool(request.body) == (request.get("Content-Type") is not None)
        return request.get("SIP-If-Match"), request.body, request.get("Expires")

    def answers(
        self, status: int = 200, *headers: tuple[str, str], retry_after_s: float | None = None
    ) -> None:
        self.machine.receive_response(response(status, headers), self.now, retry_after_s)

    def published(self, etag: str = "e1", expires: str = "3600") -> None:
        self.shows(b"<online/>")
        assert self.row() == (None, b"<online/>", "3600")
        self.answers(200, ("SIP-ETag", etag), ("Expires", expires))

    def waits(self, seconds: float) -> None:
        self.now += seconds
        self.machine.handle_timer(self.now)


def response(status: int, headers: tuple[tuple[str, str], ...]) -> Response:
    request = Request(
        "PUBLISH",
        "sip:romeo@example.net",
        [
            ("Via", "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1"),
            ("From", "<sip:romeo@example.net>;tag=t1"),
            ("To", "<sip:romeo@example.net>"),
            ("Call-ID", "p1"),
            ("CSeq", "1 PUBLISH"),
        ],
    )
    return response_to(request, status, to_tag="x", headers=headers)


def test_it_is_published_refreshed_modified_and_removed() -> None:
    play = Play()
    play.published()
    assert play.sent() is None
    at = play.machine.next_timer()
    assert at is not None
    assert NOW + 2700 <= at < NOW + 3300
    play.waits(at - play.now)
    assert play.row() == ("e1", b"", "3600")
    play.answers(200, ("SIP-ETag", "e2"), ("Expires", "3600"))
    play.shows(b"<away/>")
    assert play.row() == ("e2", b"<away/>", "3600")
    play.answers(200, ("SIP-ETag", "e3"), ("Expires", "3600"))
    play.machine.withdraw(play.now)
    assert not play.machine.over
    assert play.row() == ("e3", b"", "0")
    play.answers(200, ("Expires", "0"))
    assert play.machine.over
    assert play.machine.next_timer() is None
    assert play.machine.kept() is None


def test_one_at_a_time_and_only_the_latest() -> None:
    play = Play()
    play.shows(b"<one/>")
    play.row()
    play.shows(b"<two/>")
    assert play.sent() is None
    play.shows(b"<three/>")
    play.answers(200, ("SIP-ETag", "e1"))
    assert play.sent() is None, "not more often than every five seconds"
    play.waits(5)
    assert play.row() == ("e1", b"<three/>", "3600")


def test_what_the_server_has_forgotten_is_published_anew() -> None:
    play = Play()
    play.published()
    play.waits(3000)
    assert play.row() == ("e1", b"", "3600")
    play.answers(412)
    assert play.row() == (None, b"<online/>", "3600")
    play.answers(200, ("SIP-ETag", "e9"))
    assert play.machine.etag == "e9"


def test_a_server_that_always_forgets_is_not_asked_without_end() -> None:
    play = Play()
    play.published()
    play.shows(b"<x/>")
    play.waits(6)
    count = 0
    while (request := play.sent()) is not None:
        count += 1
        play.machine.etag = "e"
        assert count < 10
        play.answers(412)
        assert request.method == "PUBLISH"
    assert play.machine.next_timer() is not None


def test_who_wants_longer_gets_it() -> None:
    play = Play()
    play.shows(b"<x/>")
    play.row()
    play.answers(423, ("Min-Expires", "7200"))
    assert play.row() == (None, b"<x/>", "7200")


@pytest.mark.parametrize("least", ["", "60", "soon"])
def test_a_423_that_makes_no_sense_is_a_failure(least: str) -> None:
    play = Play()
    play.shows(b"<x/>")
    play.row()
    play.answers(423, *((("Min-Expires", least),) if least else ()))
    assert play.sent() is None
    assert play.machine.next_timer() is not None


@pytest.mark.parametrize("status", sorted(HOPELESS))
def test_what_would_be_refused_again_is_tried_again_after_an_hour(status: int) -> None:
    play = Play()
    play.shows(b"<x/>")
    play.row()
    play.answers(status)
    at = play.machine.next_timer()
    assert at == NOW + 3600
    play.waits(3600)
    assert play.row() == (None, b"<x/>", "3600")


def test_a_server_in_trouble_is_asked_later_and_later() -> None:
    play = Play()
    play.shows(b"<x/>")
    waits = []
    for _ in range(8):
        assert play.sent() is not None
        play.machine.request_failed(play.now)
        at = play.machine.next_timer()
        assert at is not None
        waits.append(at - play.now)
        play.waits(at - play.now)
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert play.sent() is not None
    play.answers(503, retry_after_s=5000)
    assert play.machine.next_timer() == play.now + 5000


def test_what_ran_out_is_published_anew() -> None:
    play = Play()
    play.published()
    play.waits(3000)
    play.row()
    play.machine.request_failed(play.now)
    play.waits(701)
    assert play.row() == (None, b"<online/>", "3600")


def test_it_is_taken_back_while_it_is_on_its_way() -> None:
    play = Play()
    play.shows(b"<x/>")
    play.row()
    play.machine.withdraw(play.now)
    assert not play.machine.over
    play.answers(200, ("SIP-ETag", "e1"), ("Expires", "3600"))
    assert play.row() == ("e1", b"", "0")
    play.machine.request_failed(play.now)
    assert play.machine.over, "the server will forget it by itself"


def test_nothing_is_said_where_nothing_is_known() -> None:
    play = Play()
    play.shows(b"")
    assert play.sent() is None
    play.machine.withdraw(play.now)
    assert play.sent() is None
    assert play.machine.over


def test_the_servers_word_counts_how_long_it_is() -> None:
    play = Play()
    play.published(expires="100")
    assert play.machine.expires_at == NOW + 100
    other = Play()
    other.published(expires="99999")
    assert other.machine.expires_at == NOW + 3600
    garbled = Play()
    garbled.published(expires="soon")
    assert garbled.machine.expires_at == NOW + 3600


def test_an_answer_without_a_tag_leaves_nothing_to_refer_to() -> None:
    play = Play()
    play.shows(b"<x/>")
    play.row()
    play.answers(200, ("Expires", "600"))
    assert play.machine.kept() is None
    play.shows(b"<y/>")
    play.waits(6)
    assert play.row() == (None, b"<y/>", "3600")


def test_it_goes_on_after_a_restart() -> None:
    play = Play()
    play.published()
    kept = play.machine.kept()
    assert kept is not None
    data = msgspec.msgpack.encode(kept)
    play.machine = play.fresh()
    assert play.machine.resume(msgspec.msgpack.decode(data, type=KeptPublication), play.now)
    assert play.sent() is None, "nobody sees it"
    at = play.machine.next_timer()
    assert at is not None
    assert NOW < at < NOW + 3600
    play.waits(at - NOW)
    assert play.row() == ("e1", b"", "3600")
    assert not play.fresh().resume(kept, NOW + 3600)


@given(
    st.lists(
        st.sampled_from(["publish", "withdraw", "200", "412", "423", "403", "503", "lost", "wait", "late"]),
        max_size=40,
    )
)
def test_whatever_happens_one_request_is_under_way_and_the_end_is_the_end(steps: list[str]) -> None:
    play = Play()
    under_way = False
    number = 0
    for step in steps:
        if step == "publish":
            play.machine.publish(play.now)
        elif step == "withdraw":
            play.machine.withdraw(play.now)
        elif step in ("wait", "late"):
            play.waits(10 if step == "wait" else 4000)
        elif under_way:
            under_way = False
            number += 1
            if step == "lost":
                play.machine.request_failed(play.now)
            else:
                play.answers(int(step), ("SIP-ETag", f"e{number}"), ("Min-Expires", "9000"))
        request = play.sent()
        assert not (under_way and request is not None)
        under_way = under_way or request is not None
        assert under_way or play.machine.over or play.machine.next_timer() is not None
    play.machine.withdraw(play.now)
    for _ in range(3):
        if under_way:
            play.answers(200, ("SIP-ETag", "last"))
        under_way = play.sent() is not None
    assert play.machine.over
