"""The notifier's machine: every row of CHECKLIST 19.2 that a SIP watcher can cause, and what is due when."""

from __future__ import annotations

import msgspec
import pytest

from rialto.networks.sip.wire import Request
from rialto.networks.sip.wire.dialogs import Dialog
from rialto.networks.sip.wire.eventing import Substate
from rialto.networks.sip.wire.notifications import KeptNotifier, Notifier

NOW = 1_800_000_000.0
PIDF = (("Content-Type", "application/pidf+xml"),)


class Play:
    """Romeo watches Juliet; the test is his telephone."""

    def __init__(self, expires_s: int = 600, event_id: str = "") -> None:
        self.now = NOW
        self.document = b""
        self.by_watcher = False
        self.machine = Notifier(
            Dialog(
                "c1", "sip:juliet@example.com", "sip:romeo@example.net", "gh19", "bi54", "sip:romeo@192.0.2.7"
            ),
            contact="<sip:juliet@gw.example;gr=gw>",
            event_id=event_id,
        )
        self.machine.subscribed(expires_s, self.now)

    def compose(self, machine: Notifier, by_watcher: bool) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        self.by_watcher = by_watcher
        return (self.document, PIDF) if self.document else (b"", ())

    def sent(self) -> Request | None:
        return self.machine.next_request(self.now, self.compose)

    def state(self) -> str:
        request = self.sent()
        assert request is not None
        return request.get("Subscription-State") or ""

    def answers(self, status: int = 200, retry_after_s: float | None = None) -> None:
        self.machine.receive_response(status, self.now, retry_after_s)

    def shows(self, document: bytes) -> None:
        self.document = document
        self.machine.tell(Substate.ACTIVE, self.now)

    def waits(self, seconds: float) -> None:
        self.now += seconds
        self.machine.handle_timer(self.now)


def test_a_subscribe_is_followed_by_a_notify_at_once() -> None:
    """PRS-62, PRS-66, PRS-112."""
    request = Play().sent()
    assert request is not None
    assert (request.method, request.uri) == ("NOTIFY", "sip:romeo@192.0.2.7")
    assert request.get("From") == "<sip:juliet@example.com>;tag=gh19"
    assert request.get("To") == "<sip:romeo@example.net>;tag=bi54"
    assert request.get("Event") == "presence"
    assert request.get("Subscription-State") == "pending;expires=600"
    assert request.get("Contact") == "<sip:juliet@gw.example;gr=gw>"
    assert request.get("Content-Type") is None
    assert request.body == b""


def test_the_id_of_the_event_comes_back() -> None:
    request = Play(event_id="7").sent()
    assert request is not None
    assert request.get("Event") == "presence;id=7"


def test_one_notify_at_a_time() -> None:
    play = Play()
    play.sent()
    play.shows(b"one")
    assert play.sent() is None
    play.answers()
    assert play.state() == "active;expires=600"


def test_a_decision_does_not_wait_and_documents_do() -> None:
    """PRS-63, PRS-109."""
    play = Play()
    play.sent()
    play.answers()
    play.shows(b"one")
    assert play.state() == "active;expires=600"
    play.answers()
    play.shows(b"two")
    play.shows(b"three")
    assert play.sent() is None
    assert play.machine.next_timer() == play.now + 5
    play.waits(5)
    request = play.sent()
    assert request is not None
    assert request.body == b"three"  # the last state is always sent
    play.answers()
    play.waits(5)
    assert play.sent() is None


def test_the_first_document_comes_at_once_behind_an_empty_notify() -> None:
    play = Play()
    play.machine.state = Substate.ACTIVE
    assert play.state() == "active;expires=600"
    play.answers()
    play.shows(b"one")
    assert play.state() == "active;expires=600"


def test_a_refresh_is_answered_in_spite_of_the_pace() -> None:
    """PRS-80, PRS-81."""
    play = Play()
    play.sent()
    play.answers()
    play.shows(b"one")
    play.sent()
    play.answers()
    play.machine.subscribed(900, play.now + 1)
    request = play.sent()
    assert request is not None
    assert request.body == b"one"
    assert request.get("Subscription-State") == "active;expires=901"


def test_who_ends_it_is_told_that_it_has_ended() -> None:
    """PRS-90: no `expires`, a reason."""
    play = Play()
    play.sent()
    play.answers()
    play.machine.subscribed(0, play.now)
    assert play.state() == "terminated;reason=timeout"
    assert play.by_watcher
    assert not play.machine.gone
    play.answers()
    assert play.machine.gone
    assert play.machine.kept() is None


def test_what_is_not_refreshed_ends_by_itself() -> None:
    """PRS-83."""
    play = Play()
    play.sent()
    play.answers()
    assert play.machine.next_timer() == NOW + 600
    play.waits(600)
    assert play.state() == "terminated;reason=timeout"
    assert not play.by_watcher
    play.answers(481)
    assert play.machine.gone


def test_a_refusal_ends_it_even_while_a_notify_is_under_way() -> None:
    """PRS-64, PRS-95, PRS-96."""
    play = Play()
    play.sent()
    play.machine.end("rejected")
    play.machine.tell(Substate.ACTIVE, play.now)
    assert play.sent() is None
    play.answers()
    assert not play.machine.gone
    assert play.state() == "terminated;reason=rejected"
    play.answers()
    assert play.machine.gone


@pytest.mark.parametrize("status", [404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604])
def test_a_watcher_who_does_not_know_it_has_none(status: int) -> None:
    """PRS-84."""
    play = Play()
    play.sent()
    play.answers(status)
    assert play.machine.gone
    assert play.machine.next_timer() is None


def test_one_lost_notify_does_not_cost_the_subscription_but_two_do() -> None:
    """INTEROP: OpenSIPS#380."""
    play = Play()
    play.sent()
    play.machine.request_failed(play.now)
    assert not play.machine.gone
    assert play.sent() is None
    play.waits(30)
    assert play.sent() is not None
    play.machine.request_failed(play.now)
    assert play.machine.gone


def test_a_watcher_that_is_busy_is_told_later() -> None:
    play = Play()
    play.sent()
    play.answers(503, 4.0)
    play.waits(3)
    assert play.sent() is None
    play.waits(1)
    assert play.sent() is not None
    play.answers()
    play.waits(20)
    play.shows(b"one")
    play.sent()
    play.answers(500)
    assert not play.machine.gone


def test_a_restart_goes_on_in_the_same_dialog() -> None:
    before = Play()
    before.machine.state = Substate.ACTIVE
    first = before.sent()
    before.machine.shown = ("balcony",)
    kept = before.machine.kept()
    after = Play()
    after.now = NOW + 60
    decoded = msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=KeptNotifier)
    after.machine = Notifier(decoded.dialog, contact="<sip:x>", event_id=decoded.event_id)
    after.machine.resume(decoded)
    assert after.machine.shown == ("balcony",)
    assert after.sent() is None  # nobody sees that there was a restart
    after.shows(b"one")
    request = after.sent()
    assert request is not None
    assert first is not None
    assert request.cseq[0] > first.cseq[0]
    assert request.get("Subscription-State") == "active;expires=540"
