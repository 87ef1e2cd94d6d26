"""The subscriber's machine: every row of CHECKLIST 19.1 that a SIP notifier can cause."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from rialto.networks.sip.wire import BadMessage, Request, Response, response_to
from rialto.networks.sip.wire.dialogs import Dialog
from rialto.networks.sip.wire.subscriptions import TIMER_N_S, Kept, State, Subscriber
from rialto.networks.sip.wire.verdicts import Active, Ended, Event, News, Pending, Refused, Silent

NOW = 1_800_000_000.0


class Play:
    """Juliet's gateway subscribes to Romeo; the test is Romeo."""

    def __init__(self, ask_s: int = 3600) -> None:
        self.now = NOW
        self.waiting: Request | None = None
        self.numbers = itertools.count(1)
        self.cseq = itertools.count(1)
        self.machine = Subscriber(self, accept="application/pidf+xml", ask_s=ask_s)

    def contact(self) -> str:
        return "<sip:juliet@gw.example;gr=gw>"

    def spread(self) -> float:
        return 0.0

    def fresh_dialog(self) -> Dialog:
        number = next(self.numbers)
        return Dialog(f"call-{number}", "sip:juliet@example.com", "sip:romeo@example.net", f"tag-{number}")

    def sent(self) -> Request:
        request = self.waiting or self.machine.next_request()
        self.waiting = None
        assert request is not None
        assert self.machine.next_request() is None
        self.last = request
        return request

    def events(self) -> list[Event]:
        found = []
        while (event := self.machine.next_event()) is not None:
            found.append(event)
        return found

    def answers(self, status: int, *headers: tuple[str, str], reason: str = "So") -> list[Event]:
        request = Request(
            "SUBSCRIBE", self.last.uri, [("Via", "SIP/2.0/UDP gw;branch=z9hG4bK1"), *self.last.headers]
        )
        response: Response = response_to(request, status, reason, to_tag="romeo", headers=headers)
        self.machine.receive_response(response, self.now)
        return self.events()

    def notify(
        self, state: str, *, tag: str = "romeo", body: bytes = b"", cseq: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> int:  # fmt: skip
        request = Request(
            "NOTIFY",
            "sip:juliet@gw.example",
            [
                ("From", f"<sip:romeo@example.net>;tag={tag}"),
                ("To", str(self.last.from_)),
                ("Call-ID", self.last.call_id),
                ("CSeq", f"{next(self.cseq) if cseq is None else cseq} NOTIFY"),
                ("Event", "presence"),
                ("Contact", "<sip:romeo@192.0.2.7>"),
                *((("Subscription-State", state),) if state else ()),
                *headers,
            ],
            body,
        )
        return self.machine.receive_notify(request, self.now)

    def tells(self, state: str, **more: object) -> list[Event]:
        assert self.notify(state, **more) == 200  # type: ignore[arg-type]
        return self.events()

    def waits(self, seconds: float) -> list[Event]:
        """Let time pass, but not beyond the next request."""
        until = self.now + seconds
        while (due := self.machine.next_timer()) is not None and due <= until and self.waiting is None:
            self.now = max(self.now, due)
            self.machine.handle_timer(self.now)
            self.waiting = self.machine.next_request()
        if self.waiting is None:
            self.now = until
        return self.events()


def granted() -> Play:
    play = Play()
    play.machine.subscribe(play.now)
    play.sent()
    assert play.answers(200, ("Expires", "3600")) == []
    play.tells("active;expires=3600", body=b"<presence/>")
    return play


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


# -- CHECKLIST 4.2 -------------------------------------------------------------------------------------------


def test_a_request_is_a_subscribe_for_presence() -> None:
    """PRS-10, PRS-11."""
    play = Play()
    play.machine.subscribe(play.now)
    request = play.sent()
    assert request.method == "SUBSCRIBE"
    assert request.uri == "sip:romeo@example.net"
    assert [request.get(name) for name in ("Event", "Expires", "Accept", "Contact")] == [
        "presence", "3600", "application/pidf+xml", "<sip:juliet@gw.example;gr=gw>",
    ]  # fmt: skip


@pytest.mark.parametrize("status", [200, 202])
def test_a_2xx_is_no_approval(status: int) -> None:
    """PRS-12, PRS-19."""
    play = Play()
    play.machine.subscribe(play.now)
    play.sent()
    assert play.answers(status) == []
    assert play.machine.state is State.TRYING


def test_pending_and_then_active() -> None:
    """PRS-13, PRS-15, PRS-16."""
    play = Play()
    play.machine.subscribe(play.now)
    play.sent()
    play.answers(200)
    assert play.tells("pending;expires=600", body=b"<presence/>") == [Pending()]
    first, news = play.tells("active;expires=600", body=b"<presence/>")
    assert first == Active(first=True, has_body=True, fresh=True)
    assert isinstance(news, News)
    assert play.tells("active;expires=500") == [Active(first=False, has_body=False)]


def test_a_notify_may_come_before_the_200() -> None:
    """PRS-14, PRS-22."""
    play = Play()
    play.machine.subscribe(play.now)
    play.sent()
    headers = (("Record-Route", "<sip:proxy.example.net;lr>"),)
    assert kinds(play.tells("active;expires=600", headers=headers)) == ["Active"]
    assert play.answers(200, ("Expires", "3600")) == []
    assert play.machine.dialog is not None
    assert play.machine.dialog.routes == ("<sip:proxy.example.net;lr>",)
    assert play.machine.dialog.target == "sip:romeo@192.0.2.7"
    play.waits(500)  # the NOTIFY's 600 s count, not the 3600 of the 200
    assert play.sent().to.tag == "romeo"


def test_forks_make_no_second_dialog() -> None:
    """PRS-21."""
    play = granted()
    assert play.notify("active;expires=600", tag="another", body=b"<presence/>") == 481
    assert play.events() == []


def test_nothing_but_silence_ends_the_attempt() -> None:
    """PRS-20: Timer N."""
    play = Play()
    play.machine.subscribe(play.now)
    play.sent()
    play.answers(200)
    assert play.waits(TIMER_N_S - 1) == []
    assert play.waits(2) == [Refused(0, "no NOTIFY came", False)]
    assert play.machine.state is State.IDLE
    assert play.notify("active") == 481


@pytest.mark.parametrize("status", [403, 489, 603])
def test_what_is_permanent(status: int) -> None:
    """PRS-18, PRS-34, also for a refresh."""
    play = Play()
    play.machine.subscribe(play.now)
    play.sent()
    (event,) = play.answers(status)
    assert isinstance(event, Refused)
    assert (event.status, event.for_good) == (status, True)
    play = granted()
    play.machine.subscribe(play.now)
    play.sent()
    (event,) = play.answers(status)
    assert isinstance(event, Refused)
    assert event.for_good


@pytest.mark.parametrize("status", [404, 405, 410, 416, 484, 485, 501, 604])
def test_who_is_not_there_is_no_permanent_refusal_once_granted(status: int) -> None:
    """CHECKLIST 19.1; PRS-36."""
    for had, expected in ((False, True), (True, False)):
        play = Play()
        play.machine.granted = had
        play.machine.subscribe(play.now)
        play.sent()
        (event,) = play.answers(status)
        assert isinstance(event, Refused)
        assert event.for_good is expected


def test_a_lost_dialog_is_made_anew_with_another_call_id_and_tag() -> None:
    """PRS-35, PRS-36."""
    play = granted()
    play.machine.subscribe(play.now)
    before = play.sent()
    (event,) = play.answers(481)
    assert event == Refused(481, "481 So", False, 0.0)
    play.machine.subscribe(play.now)
    after = play.sent()
    assert after.call_id != before.call_id
    assert after.from_.tag != before.from_.tag
    assert after.to.tag is None


def test_too_brief_is_asked_again_for_longer() -> None:
    """PRS-35."""
    play = Play(ask_s=600)
    play.machine.subscribe(play.now)
    first = play.sent()
    assert play.answers(423, ("Min-Expires", "3600")) == []
    again = play.sent()
    assert again.get("Expires") == "3600"
    assert again.cseq[0] > first.cseq[0]
    assert again.call_id == first.call_id


def test_who_is_never_content_is_given_up() -> None:
    play = Play()
    play.machine.subscribe(play.now)
    for least in (4000, 5000, 6000):
        play.sent()
        assert play.answers(423, ("Min-Expires", str(least))) == []
    play.sent()
    (event,) = play.answers(423, ("Min-Expires", "7000"))
    assert isinstance(event, Refused)
    assert not event.for_good
    play.machine.subscribe(play.now)
    play.sent()
    assert kinds(play.answers(423, ("Min-Expires", "soon"))) == ["Refused"]


@pytest.mark.parametrize(
    ("status", "headers", "wait"), [(408, (), None), (503, (("Retry-After", "30"),), 30.0)]
)
def test_what_fails_for_now(status: int, headers: tuple[tuple[str, str], ...], wait: float | None) -> None:
    play = Play()
    play.machine.subscribe(play.now)
    play.sent()
    assert play.answers(status, *headers) == [Refused(status, f"{status} So", False, wait)]


# -- CHECKLIST 4.3 -------------------------------------------------------------------------------------------


def test_it_is_refreshed_in_time_within_its_dialog() -> None:
    """PRS-30, PRS-32."""
    play = granted()
    assert play.waits(2600) == []
    assert play.machine.next_request() is None
    play.waits(200)
    request = play.sent()
    assert request.to.tag == "romeo"
    assert request.uri == "sip:romeo@192.0.2.7"
    play.answers(200, ("Expires", "3600"))
    assert kinds(play.tells("active;expires=3600", body=b"<presence/>")) == ["Active", "News"]
    assert play.waits(2600) == []


@pytest.mark.parametrize("length_s", [60, 3600])
def test_a_refresh_can_be_put_off_once_and_still_comes_in_time(length_s: int) -> None:
    """PRS-39: there is time to find out whether anybody is there."""
    play = granted()
    play.tells(f"active;expires={length_s}")
    end = play.now + length_s
    assert not play.machine.is_due(play.now)
    play.now = play.machine.next_timer() or 0.0
    assert play.machine.is_due(play.now)
    play.machine.put_off(play.now)
    assert not play.machine.is_due(play.now)
    play.machine.handle_timer(play.now)
    assert play.machine.next_request() is None
    play.now = play.machine.next_timer() or 0.0
    assert not play.machine.is_due(play.now), "not once more"
    play.machine.handle_timer(play.now)
    assert play.sent().get("Expires") == "3600"
    assert play.now < end


def test_who_turns_out_not_to_be_there_is_not_refreshed_for() -> None:
    play = granted()
    play.now = play.machine.next_timer() or 0.0
    play.machine.put_off(play.now)
    play.machine.unsubscribe(play.now)
    assert play.sent().get("Expires") == "0"
    assert not play.machine.is_due(play.now + 3600)


def test_a_refresh_that_fails_leaves_the_dialog_until_it_expires() -> None:
    """PRS-36; the state is stale only then."""
    play = granted()
    heard_at, end = play.now, play.now + 3600
    found: list[Event] = []
    tries = 0
    while play.machine.state is State.ACTIVE:
        found += play.waits(4000)
        if play.waiting is not None:
            tries += 1
            play.sent()
            if tries % 2:
                assert play.answers(500) == []
            else:
                play.machine.request_failed("no answer", play.now)
    assert found[0] == Silent(heard_at)
    assert kinds(found[1:]) == ["Refused"]
    assert play.now >= end
    assert 5 < tries < 30


def test_who_answers_the_refresh_but_says_nothing_has_gone_silent() -> None:
    play = granted()
    heard_at = play.now
    play.machine.subscribe(play.now)
    play.sent()
    play.answers(200)
    assert play.waits(TIMER_N_S) == [
        Silent(heard_at),
        Refused(0, "no NOTIFY came after the refresh", False, 0.0),
    ]


def test_somebody_who_waits_hears_that_the_refresh_failed() -> None:
    play = granted()
    play.machine.subscribe(play.now)
    play.sent()
    assert play.answers(503, ("Retry-After", "7")) == [Refused(503, "503 So", False, 7.0)]
    assert play.machine.state is State.ACTIVE


def test_the_last_word_on_how_long_is_the_notifiers() -> None:
    """PRS-37."""
    play = granted()
    play.tells("active;expires=100")
    play.waits(80)
    assert play.sent().to.tag == "romeo"


def test_who_shows_a_document_and_no_state_lets_it_be_seen() -> None:
    # QUIRK(libpurple): Pidgin never writes Subscription-State.
    play = Play()
    play.machine.subscribe(play.now)
    play.sent()
    play.answers(200, ("Expires", "3600"))
    assert kinds(play.tells("", body=b"<presence/>")) == ["Active", "News"]
    with pytest.raises(BadMessage, match="Subscription-State"):
        play.notify("")


def test_a_missing_expires_is_tolerated() -> None:
    """PRS-37."""
    play = Play()
    play.machine.subscribe(play.now)
    play.sent()
    play.tells("active")
    play.answers(200)
    assert play.waits(2600) == []
    play.waits(200)
    play.sent()


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("terminated;reason=deactivated", [Refused(0, "ended by the other side: deactivated", False, 0.0)]),
        (
            "terminated;reason=probation;retry-after=60",
            [Refused(0, "ended by the other side: probation", False, 60.0)],
        ),
        ("terminated;reason=rejected", [Refused(403, "ended by the other side: rejected", True)]),
        ("terminated;reason=timeout", [Refused(0, "ended by the other side: timeout", False, 0.0)]),
        ("terminated;reason=giveup", [Refused(0, "ended by the other side: giveup", False)]),
        (
            "terminated;reason=giveup;retry-after=9",
            [Refused(0, "ended by the other side: giveup", False, 9.0)],
        ),
        ("terminated;reason=noresource", [Refused(404, "ended by the other side: noresource", True)]),
        ("terminated;reason=invariant", [Ended(stands=True)]),
        ("terminated", [Refused(0, "ended by the other side: no reason given", False)]),
        ("terminated;reason=whim", [Refused(0, "ended by the other side: whim", False)]),
    ],
)
def test_every_reason_of_an_ending_by_its_own_rule(state: str, expected: list[Event]) -> None:
    """PRS-38. QUIRK(Kamailio pua_xmpp): there, every reason but timeout costs the authorization."""
    play = granted()
    assert play.tells(state) == expected
    assert play.machine.state is State.IDLE


def test_a_document_that_comes_with_the_end_is_news_unless_it_is_a_refusal() -> None:
    assert kinds(granted().tells("terminated;reason=deactivated", body=b"<presence/>")) == ["News", "Refused"]
    assert kinds(granted().tells("terminated;reason=rejected", body=b"<presence/>")) == ["Refused"]


# -- CHECKLIST 4.4 -------------------------------------------------------------------------------------------


def test_it_is_ended_in_its_dialog_and_the_last_notify_shows_nothing() -> None:
    """PRS-50 to PRS-53, AMB-1."""
    play = granted()
    play.machine.unsubscribe(play.now)
    request = play.sent()
    assert (request.get("Expires"), request.to.tag) == ("0", "romeo")
    assert play.answers(200) == []
    assert play.tells("active", body=b"<presence/>") == []
    assert play.tells("terminated;reason=timeout", body=b"<presence/>") == [Ended()]


def test_nothing_goes_on_the_wire_where_there_is_nothing_to_end() -> None:
    """PRS-54."""
    play = Play()
    play.machine.unsubscribe(play.now)
    assert play.events() == [Ended()]
    assert play.machine.next_request() is None


@pytest.mark.parametrize("how", ["refused", "lost", "silent"])
def test_it_is_over_for_us_whatever_they_say(how: str) -> None:
    play = granted()
    play.machine.unsubscribe(play.now)
    play.sent()
    if how == "refused":
        assert play.answers(481) == [Ended()]
    elif how == "lost":
        play.machine.request_failed("no answer", play.now)
        assert play.events() == [Ended()]
    else:
        play.answers(200)
        assert play.waits(TIMER_N_S) == [Ended()]


def test_what_is_ended_while_it_is_being_made_is_ended_when_it_is_there() -> None:
    play = Play()
    play.machine.subscribe(play.now)
    play.sent()
    play.machine.unsubscribe(play.now)
    assert play.machine.next_request() is None
    play.answers(200)
    play.tells("active;expires=600")
    assert play.sent().get("Expires") == "0"


def test_who_comes_back_while_it_is_being_ended_gets_a_new_one() -> None:
    play = granted()
    play.machine.unsubscribe(play.now)
    old = play.sent()
    play.machine.subscribe(play.now)
    assert play.tells("terminated;reason=timeout") == []
    new = play.sent()
    assert (new.get("Expires"), new.to.tag) == ("3600", None)
    assert new.call_id != old.call_id


# -- CHECKLIST 4.9, 4.10 -------------------------------------------------------------------------------------


def test_an_older_document_never_comes_over_a_newer_one() -> None:
    """PRS-127."""
    play = granted()
    assert play.notify("active;expires=9", cseq=1, body=b"<presence/>") == 500
    assert play.events() == []


def test_a_look_has_a_dialog_of_its_own_and_no_length() -> None:
    """PRS-140."""
    play = Play()
    play.machine.look(play.now)
    request = play.sent()
    assert (request.get("Expires"), request.to.tag) == ("0", None)
    play.answers(200, ("Expires", "0"))
    assert kinds(play.tells("terminated;reason=timeout", body=b"<presence/>")) == ["News", "Ended"]
    assert play.machine.kept() is None


def test_a_look_that_nobody_answers_is_refused() -> None:
    play = Play()
    play.machine.look(play.now)
    play.sent()
    play.answers(200)
    assert kinds(play.waits(TIMER_N_S)) == ["Refused"]


@pytest.mark.parametrize(
    ("name", "value", "status"), [("Event", "dialog", 489), ("Event", "presence;id=1", 200)]
)
def test_the_event_must_be_ours(name: str, value: str, status: int) -> None:
    play = granted()
    request = Request(
        "NOTIFY",
        "sip:x",
        [
            ("From", "<sip:romeo@example.net>;tag=romeo"),
            ("To", str(play.last.from_)),
            ("Call-ID", play.last.call_id),
            ("CSeq", "99 NOTIFY"),
            ("Subscription-State", "active"),
            (name, value),
        ],
    )
    assert play.machine.receive_notify(request, play.now) == status


def test_a_notify_must_say_how_far_it_has_come() -> None:
    with pytest.raises(BadMessage, match="Subscription-State"):
        granted().notify("")


def test_an_unknown_state_is_a_subscription_that_is_there() -> None:
    assert kinds(granted().tells("dozing;expires=60")) == ["Active"]


# -- restarts ------------------------------------------------------------------------------------------------


def test_a_restart_goes_on_in_the_same_dialog() -> None:
    """PRS-6."""
    before = granted()
    kept = before.machine.kept()
    assert kept is not None
    after = Play()
    after.now = before.now + 60
    after.last, after.cseq = before.last, before.cseq
    assert after.machine.resume(
        msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=Kept), after.now, wanted=True
    )
    assert kinds(after.tells("active;expires=3000", body=b"<presence/>")) == ["Active", "News"]
    after.machine.subscribe(after.now)
    request = after.sent()
    assert (request.call_id, request.to.tag) == (before.last.call_id, "romeo")
    assert request.cseq[0] > before.last.cseq[0]


def test_what_has_run_out_meanwhile_is_not_taken_up() -> None:
    kept = granted().machine.kept()
    assert kept is not None
    play = Play()
    assert not play.machine.resume(kept, NOW + 4000, wanted=True)
    assert play.machine.state is State.IDLE


@pytest.mark.parametrize("expires_s", [8, 60, 3600])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.85, 0.99])
def test_a_rest_never_outlasts_the_refresh(expires_s: int, fraction: float) -> None:
    play = Play()
    play.now += fraction
    play.machine.subscribe(play.now)
    play.sent()
    play.answers(200, ("Expires", str(expires_s)))
    play.tells(f"active;expires={expires_s}", body=b"<presence/>")
    due = play.machine.next_timer()
    play.machine.changed = False
    dialog, resting = play.machine.dialog, play.machine.rest()
    assert due is not None
    assert dialog is not None
    assert resting is not None
    play.machine = Subscriber(play, accept="application/pidf+xml", ask_s=3600)
    play.machine.wake(dialog, resting)
    again = play.machine.next_timer()
    assert again is not None
    assert due - 1 < again <= due
    play.now = float(int(again) + (again % 1 > 0))  # rung for at full seconds
    play.machine.handle_timer(play.now)
    assert play.events() == []
    assert play.sent().get("Expires") == "3600"
