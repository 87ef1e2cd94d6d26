"""The hub: what is accepted, refused, repeated, reported, and found again after a restart."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from rialto.core import hub as hub_module
from rialto.core.network import Outcome, Peer
from rialto.core.settings import QueueSettings
from rialto.core.trail import decode
from rialto.model.errors import Busy, DeliveryError, Reason, Refused, Unreachable
from rialto.model.message import Message, Report
from rialto.store.store import Row
from rialto.testing import House, Recorder, ScriptedNetwork, deliver_at_once, fail_with, peer

XA, SIP = "juliet@xa.example", "romeo@sip.example"
DOWN = Unreachable(Reason.UNREACHABLE, "nobody there")
NO = Refused(Reason.NOT_FOUND, "never heard of him")


def house(
    folder: Path,
    *,
    xmpp: ScriptedNetwork | None = None,
    sip: ScriptedNetwork | None = None,
    peers: tuple[Peer, ...] = (),
    settings: QueueSettings | None = None,
) -> House:
    peers = peers or (peer("xa.example", "xmpp"), peer("xb.example", "xmpp"), peer("sip.example", "sip"))
    return House(
        folder,
        peers,
        [xmpp or ScriptedNetwork("xmpp", deliver_at_once), sip or ScriptedNetwork("sip", deliver_at_once)],
        settings=settings,
    )


def row(at: House, message_id: str) -> Row:
    found = at.store.row(message_id)
    assert found is not None
    return found


def reports(network: ScriptedNetwork) -> list[Report]:
    return [content for content in network.log if isinstance(content, Report)]


# -- the way through -----------------------------------------------------------------------------------


async def test_a_message_is_on_disk_before_it_may_be_acknowledged_and_delivered_after(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        seen: list[str] = []

        class Looks(Recorder):
            def stored(self) -> None:
                seen.append(row(here, message.id).state)
                assert not here.networks["sip"].log
                super().stored()

        message, heard = here.hand_in("hello", XA, SIP, "xa.example", inbound=Looks())
        assert heard.told == []
        await here.settle_down()
        assert seen == ["queued"]
        assert heard.told == [("stored", None, None), ("settled", Outcome.DELIVERED, None)]
        assert row(here, message.id).state == "delivered"
        assert row(here, message.id).content is None
        stops = [str(event.stop) for event in decode(row(here, message.id).trail)]
        assert stops == ["received", "routed", "delivered"]
        assert here.hub.under_way() == []


async def test_a_text_is_kept_after_delivery_only_where_that_is_wanted(tmp_path: Path) -> None:
    async with house(tmp_path, settings=QueueSettings(keep_bodies=True)) as here:
        message, _ = here.hand_in("hello", XA, SIP, "xa.example")
        await here.settle_down()
        assert row(here, message.id).content is not None


# -- what is refused -----------------------------------------------------------------------------------


async def test_nobody_speaks_for_another_domain(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        with pytest.raises(Refused) as refusal:
            here.hand_in("hello", "juliet@xb.example", SIP, "xa.example")
        assert refusal.value.reason is Reason.FORBIDDEN


async def test_who_speaks_in_your_name_does_not_use_up_what_you_may_send(tmp_path: Path) -> None:
    slow = peer("xb.example", "xmpp", sender_rate_per_s=0.1)
    async with house(tmp_path, peers=(peer("xa.example", "xmpp"), slow, peer("sip.example", "sip"))) as here:
        for _ in range(5):
            with pytest.raises(Refused):
                here.hand_in("spoof", "juliet@xb.example", SIP, "xa.example")
        here.hand_in("mine", "juliet@xb.example", SIP, "xb.example")
        with pytest.raises(Busy) as refusal:
            here.hand_in("and another", "juliet@xb.example", SIP, "xb.example")
        assert refusal.value.reason is Reason.RATE
        assert refusal.value.retry_after_s == pytest.approx(10)


async def test_a_peer_that_sends_too_fast_is_told_when_to_come_back(tmp_path: Path) -> None:
    slow = peer("xa.example", "xmpp", rate_per_s=0.1)
    async with house(tmp_path, peers=(slow, peer("sip.example", "sip"))) as here:
        here.hand_in("one", XA, SIP, "xa.example")
        with pytest.raises(Busy):
            here.hand_in("two", "nurse@xa.example", SIP, "xa.example")
        here.time.step(-3600)  # a clock that is set back punishes nobody
        with pytest.raises(Busy) as refusal:
            here.hand_in("three", "nurse@xa.example", SIP, "xa.example")
        assert refusal.value.retry_after_s == pytest.approx(10)


async def test_a_domain_that_nobody_reaches_is_not_found(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        with pytest.raises(Refused) as refusal:
            here.hand_in("hello", XA, "x@nowhere.example", "xa.example")
        assert refusal.value.reason is Reason.DOMAIN_NOT_FOUND


async def test_a_message_that_was_here_before_is_a_loop(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        here.hand_in("hello", XA, SIP, "xa.example")
        await here.settle_down()
        sent = here.networks["sip"].log[0]
        assert isinstance(sent, Message)
        with pytest.raises(Refused) as refusal:
            here.hand_in("hello", SIP, XA, "sip.example", hops=sent.hops)
        assert refusal.value.reason is Reason.LOOP
        with pytest.raises(Refused) as refusal:
            here.hand_in("hello", SIP, XA, "sip.example", hops=("elsewhere",) * 16)
        assert refusal.value.reason is Reason.LOOP
        here.hand_in("hello", SIP, XA, "sip.example", hops=("elsewhere",) * 15)


async def test_nothing_goes_back_over_the_link_it_came_from(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        with pytest.raises(Refused) as refusal:
            here.hand_in("hello", XA, "nurse@xa.example", "xa.example")
        assert refusal.value.reason is Reason.LOOP


async def test_in_a_shared_domain_who_is_not_on_one_network_is_looked_for_on_the_other(
    tmp_path: Path,
) -> None:
    shared = (peer("one", "xmpp", "both.example"), peer("other", "sip", "both.example"))
    async with house(tmp_path, peers=shared) as here:
        here.hand_in("hello", "juliet@both.example", "romeo@both.example", "one")
        await here.settle_down()
        assert here.networks["sip"].texts() == ["hello"]
        assert here.networks["xmpp"].log == []


async def test_what_is_no_unicode_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        with pytest.raises(Refused) as refusal:
            here.hand_in("\ud800", XA, SIP, "xa.example")
        assert refusal.value.reason is Reason.BAD_REQUEST
        assert here.hub.under_way() == []


@pytest.mark.parametrize(
    "settings",
    [
        QueueSettings(max_messages=3),
        QueueSettings(max_bytes=800),
        QueueSettings(max_messages_per_recipient=3),
    ],
)
async def test_above_the_limits_senders_are_told_to_come_back(
    tmp_path: Path, settings: QueueSettings
) -> None:
    sip = ScriptedNetwork("sip")
    async with house(tmp_path, sip=sip, settings=settings) as here:
        for _ in range(2):
            here.hand_in("x" * 100, XA, SIP, "xa.example")
            await here.settle_down()
        here.hand_in("x", XA, SIP, "xa.example")
        await here.settle_down()
        with pytest.raises(Busy) as refusal:
            here.hand_in("x" * 100, XA, SIP, "xa.example")
        assert refusal.value.reason is Reason.CONGESTION
        assert refusal.value.retry_after_s
        while sip.open:
            sip.next().delivered()
        here.hand_in("again", XA, SIP, "xa.example")


async def test_what_waits_for_the_disk_counts_against_the_limit_too(tmp_path: Path) -> None:
    async with house(tmp_path, settings=QueueSettings(max_bytes=600)) as here:
        here.hand_in("x" * 300, XA, SIP, "xa.example")
        with pytest.raises(Busy):
            here.hand_in("x" * 300, XA, SIP, "xa.example")


async def test_a_burst_for_one_person_counts_before_it_is_on_disk(tmp_path: Path) -> None:
    async with house(tmp_path, settings=QueueSettings(max_messages_per_recipient=3)) as here:
        for _ in range(3):
            here.hand_in("x", XA, SIP, "xa.example")
        with pytest.raises(Busy) as refusal:
            here.hand_in("x", XA, SIP, "xa.example")
        assert refusal.value.reason is Reason.CONGESTION


async def test_after_a_reload_a_link_that_stands_still_speaks_for_its_peer(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        here.hub.reroute([peer("xa.example", "xmpp"), peer("sip.example", "sip")])
        here.hand_in("hello", XA, SIP, "xa.example")
        with pytest.raises(Refused):  # it is no longer configured
            here.hand_in("hello", "a@xb.example", SIP, "xb.example")


# -- again and again -----------------------------------------------------------------------------------


async def test_two_equal_texts_without_a_stable_name_are_two_messages(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        here.hand_in("yes", XA, SIP, "xa.example")
        here.hand_in("yes", XA, SIP, "xa.example")
        await here.settle_down()
        assert here.networks["sip"].texts() == ["yes", "yes"]


async def test_one_message_sent_twice_in_one_batch_is_delivered_once_and_answered_twice(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as here:
        heard = [here.hand_in("yes", XA, SIP, "xa.example", stable_id="s1")[1] for _ in range(20)]
        await here.settle_down()
        assert here.networks["sip"].texts() == ["yes"]
        assert all(one.steps == ["stored", "settled"] for one in heard)


async def test_the_same_name_from_another_peer_or_to_another_person_is_another_message(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as here:
        here.hand_in("1", XA, SIP, "xa.example", stable_id="s1")
        here.hand_in("2", "juliet@xb.example", SIP, "xb.example", stable_id="s1")
        here.hand_in("3", XA, "mercutio@sip.example", "xa.example", stable_id="s1")
        await here.settle_down()
        assert sorted(here.networks["sip"].texts()) == ["1", "2", "3"]


async def test_a_repeated_message_is_answered_like_the_first(tmp_path: Path) -> None:
    sip = ScriptedNetwork("sip")
    async with house(tmp_path, sip=sip) as here:
        _, first = here.hand_in("yes", XA, SIP, "xa.example", stable_id="s1", inbound=Recorder(waiting=True))
        await here.settle_down()
        _, second = here.hand_in("yes", XA, SIP, "xa.example", stable_id="s1", inbound=Recorder(waiting=True))
        assert second.steps == ["stored"]
        sip.next().failed(NO)
        await here.settle_down()
        _, third = here.hand_in("yes", XA, SIP, "xa.example", stable_id="s1", inbound=Recorder(waiting=True))
        for heard in (first, second, third):
            assert heard.steps == ["stored", "settled"]
            assert heard.error is not None
            assert heard.error.reason is Reason.NOT_FOUND
        assert sip.texts() == ["yes"]
        assert reports(here.networks["xmpp"]) == []


async def test_who_repeats_a_waiting_message_for_ever_costs_nothing(tmp_path: Path) -> None:
    sip = ScriptedNetwork("sip")
    async with house(tmp_path, sip=sip) as here:
        message, _ = here.hand_in("yes", XA, SIP, "xa.example", stable_id="s1")
        await here.settle_down()
        for _ in range(3000):
            _, heard = here.hand_in(
                "yes", XA, SIP, "xa.example", stable_id="s1", inbound=Recorder(waiting=True)
            )
        item = here.hub.live(message.id)
        assert item is not None
        assert len(item.events) < 20
        sip.next().delivered()
        assert heard.steps == ["stored", "settled"]


async def test_a_message_under_way_is_recognised_however_much_came_after_it(tmp_path: Path) -> None:
    sip = ScriptedNetwork("sip")
    async with house(tmp_path, sip=sip, settings=QueueSettings(max_messages=4)) as here:
        here.hand_in("old", XA, "waits@sip.example", "xa.example", stable_id="old")
        await here.settle_down()
        waiting = sip.next()
        sip.answer = deliver_at_once
        for number in range(20):
            here.hand_in("new", XA, SIP, "xa.example", stable_id=f"n{number}")
            await here.settle_down()
        here.hand_in("old", XA, "waits@sip.example", "xa.example", stable_id="old")
        waiting.delivered()
        await here.settle_down()
        assert sip.texts().count("old") == 1


# -- failures ------------------------------------------------------------------------------------------


async def test_a_failed_message_is_reported_home_in_the_same_commit(tmp_path: Path) -> None:
    sip = ScriptedNetwork("sip")
    xmpp = ScriptedNetwork("xmpp")
    async with house(tmp_path, sip=sip, xmpp=xmpp) as here:
        message, heard = here.hand_in("hello there", XA, SIP, "xa.example", origin_id="m1", thread="t")
        await here.settle_down()
        units = here.store.writer.units
        sip.next().failed(NO)
        await here.settle_down()
        assert here.store.writer.units == units + 2  # outcome with report, and the end of the waiting
        assert heard.steps == ["stored"]  # nobody waited
        (report,) = reports(xmpp)
        assert (str(report.sender), str(report.recipient)) == (SIP, XA)
        assert (report.about, report.origin_id, report.thread) == (message.id, "m1", "t")
        assert (report.reason, report.text, report.certain) == (Reason.NOT_FOUND, NO.text, True)
        assert report.excerpt == "hello there"
        assert [found.type for found in here.store.find("m1")] == ["message", "report"]
        assert row(here, report.id).state == "queued"
        xmpp.next().delivered()
        await here.settle_down()
        assert row(here, report.id).state == "delivered"


@pytest.mark.parametrize("tells", [True, False])
async def test_who_waits_is_told_and_else_a_report_is_sent_never_both(tmp_path: Path, tells: bool) -> None:
    sip = ScriptedNetwork("sip", fail_with(NO))
    async with house(tmp_path, sip=sip) as here:
        message, heard = here.hand_in(
            "hello", XA, SIP, "xa.example", inbound=Recorder(waiting=True, tells=tells)
        )
        await here.settle_down()
        assert heard.steps == ["stored", "settled"]
        assert len(reports(here.networks["xmpp"])) == (0 if tells else 1)
        assert row(here, message.id).state == "failed"


async def test_a_failed_report_and_a_failed_automatic_message_are_not_reported(tmp_path: Path) -> None:
    nobody = fail_with(NO)
    async with house(
        tmp_path, sip=ScriptedNetwork("sip", nobody), xmpp=ScriptedNetwork("xmpp", nobody)
    ) as here:
        here.hand_in("hello", XA, SIP, "xa.example")
        here.hand_in("beep", XA, SIP, "xa.example", automatic=True)
        await here.settle_down()
        assert len(reports(here.networks["xmpp"])) == 1
        assert reports(here.networks["sip"]) == []
        assert here.hub.under_way() == []


async def test_a_network_that_raises_when_told_harms_no_message(tmp_path: Path) -> None:
    class Broken(Recorder):
        def stored(self) -> None:
            raise ZeroDivisionError

        def settled(self, outcome: Outcome, error: DeliveryError | None) -> bool:
            raise ZeroDivisionError

    sip = ScriptedNetwork("sip")
    async with house(tmp_path, sip=sip) as here:
        one, _ = here.hand_in("one", XA, SIP, "xa.example", inbound=Broken(waiting=True))
        two, _ = here.hand_in("two", XA, SIP, "xa.example", inbound=Broken(waiting=True))
        await here.settle_down()
        sip.next().delivered()
        sip.next().failed(NO)
        await here.settle_down()
        assert row(here, one.id).state == "delivered"
        assert row(here, two.id).state == "failed"
        assert [report.about for report in reports(here.networks["xmpp"])] == [two.id]


async def test_a_message_can_be_dropped_and_its_sender_hears_of_it(tmp_path: Path) -> None:
    sip = ScriptedNetwork("sip", fail_with(DOWN))
    async with house(tmp_path, sip=sip) as here:
        message, _ = here.hand_in("hello", XA, SIP, "xa.example")
        await here.settle_down()
        assert await here.hub.drop(message.id, "too old")
        assert row(here, message.id).state == "dropped"
        assert not await here.hub.drop(message.id, "too old")
        await here.settle_down()
        assert [report.text for report in reports(here.networks["xmpp"])] == ["too old"]


async def test_a_waiting_message_can_be_tried_now(tmp_path: Path) -> None:
    sip = ScriptedNetwork("sip", fail_with(DOWN))
    async with house(tmp_path, sip=sip) as here:
        message, _ = here.hand_in("hello", XA, SIP, "xa.example")
        await here.settle_down()
        sip.answer = deliver_at_once
        assert here.hub.retry(message.id)
        await here.settle_down()
        assert row(here, message.id).state == "delivered"
        assert not here.hub.retry(message.id)


# -- what comes back -----------------------------------------------------------------------------------


async def test_a_bounce_while_it_is_on_the_wire_is_its_answer(tmp_path: Path) -> None:
    sip = ScriptedNetwork("sip")
    async with house(tmp_path, sip=sip) as here:
        message, _ = here.hand_in("hello", XA, SIP, "xa.example")
        await here.settle_down()
        here.hub.returned(message.id, NO, here.origin("xa.example"))  # not from where it went
        assert here.hub.live(message.id) is not None
        here.hub.reroute(here.peers.values())
        here.hub.returned(message.id, NO, here.origin("sip.example"))
        sip.next().sent()  # too late
        await here.settle_down()
        assert row(here, message.id).state == "failed"
        assert len(reports(here.networks["xmpp"])) == 1


async def returned(here: House, *bounces: tuple[str, DeliveryError, str]) -> None:
    for message_id, error, by in bounces:
        here.hub.returned(message_id, error, here.origin(by))
    await here.hub._returns.finish()
    await here.settle_down()


async def test_a_bounce_that_overtakes_the_commit_is_not_lost(tmp_path: Path) -> None:
    sip = ScriptedNetwork("sip")
    async with house(tmp_path, sip=sip) as here:
        message, _ = here.hand_in("hello", XA, SIP, "xa.example")
        await here.settle_down()
        sip.next().sent()
        await returned(here, (message.id, NO, "sip.example"))
        assert row(here, message.id).state == "failed"
        assert [report.about for report in reports(here.networks["xmpp"])] == [message.id]


async def test_a_bounce_after_the_end_is_reported_once(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        message, _ = here.hand_in("hello", XA, SIP, "xa.example", origin_id="m1")
        await here.settle_down()
        bounce = (message.id, NO, "sip.example")
        await returned(
            here, (message.id, NO, "xa.example"), ("f" * 23, NO, "sip.example"), ("x", NO, "sip.example")
        )
        assert reports(here.networks["xmpp"]) == []
        await returned(here, bounce, bounce, bounce)
        await returned(here, bounce)
        (report,) = reports(here.networks["xmpp"])
        assert (report.about, report.origin_id, report.certain) == (message.id, "m1", True)
        await returned(here, (report.id, NO, "xa.example"))
        assert len(reports(here.networks["xmpp"])) == 1
        assert here.hub._returns._handled == set()


async def test_when_one_part_bounces_the_others_may_have_arrived(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        message, _ = here.hand_in("hello", XA, SIP, "xa.example")
        await here.settle_down()
        await returned(here, (f"{message.id}.2", NO, "sip.example"))
        assert [report.certain for report in reports(here.networks["xmpp"])] == [False]


async def test_the_bounce_of_an_automatic_message_is_not_reported(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        message, _ = here.hand_in("beep", XA, SIP, "xa.example", automatic=True)
        await here.settle_down()
        await returned(here, (message.id, NO, "sip.example"))
        assert row(here, message.id).state == "failed"
        assert reports(here.networks["xmpp"]) == []


# -- back-pressure and the disk ------------------------------------------------------------------------


async def test_congestion_begins_and_ends_even_when_settlements_come_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "MAX_BACKLOG_UNITS", 10)
    async with house(tmp_path) as here:
        relieved: list[bool] = []
        here.hub.on_relief(lambda: relieved.append(here.hub.congested))
        for number in range(50):
            here.hand_in("hello", XA, f"u{number}@sip.example", "xa.example")
        assert here.hub.congested
        for _ in range(50):
            here.hub.remember("xmpp", str(_), "x")
        await here.settle_down()
        assert not here.hub.congested
        assert relieved[-1:] == [False]


async def test_a_message_that_cannot_be_stored_is_refused_and_may_be_sent_again(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        message, heard = here.hand_in("hello", XA, SIP, "xa.example", stable_id="s1")
        await here.settle_down()
        again = Message(  # an id that is already there is what a store refuses
            id=message.id,
            sender=message.sender,
            recipient=message.recipient,
            text="x",
            received_at=1.0,
            stable_id="s2",
        )
        refused = Recorder()
        here.hub.accept(again, here.origin("xa.example"), refused)
        await here.settle_down()
        assert refused.steps == ["refused"]
        assert isinstance(refused.error, Busy)
        assert here.hub.under_way() == []
        _, heard = here.hand_in("x", XA, SIP, "xa.example", stable_id="s2")
        await here.settle_down()
        assert heard.steps == ["stored", "settled"]


async def test_an_outcome_that_cannot_be_written_is_written_later(tmp_path: Path) -> None:
    sip = ScriptedNetwork("sip")
    async with house(tmp_path, sip=sip) as here:
        message, _ = here.hand_in("hello", XA, SIP, "xa.example")
        await here.settle_down()
        loop = asyncio.get_running_loop()
        later: list[tuple[object, ...]] = []
        real, loop.call_later = loop.call_later, lambda *what: later.append(what)  # type: ignore[assignment, method-assign, return-value]
        connection = here.store.writer._connection
        connection.execute("PRAGMA query_only=1")
        sip.next().failed(NO)
        await here.settle_down()
        connection.execute("PRAGMA query_only=0")
        loop.call_later = real  # type: ignore[method-assign]
        assert reports(here.networks["xmpp"]) == []
        ((_, write, *what),) = later
        write(*what)  # type: ignore[operator]
        await here.settle_down()
        assert row(here, message.id).state == "failed"
        assert len(reports(here.networks["xmpp"])) == 1


async def test_when_it_has_been_closed_nothing_is_accepted(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        pass
    with pytest.raises(Busy):
        here.hand_in("late", XA, SIP, "xa.example")


# -- after a restart -----------------------------------------------------------------------------------


async def test_what_was_queued_is_delivered_after_a_restart_in_order_and_in_doubt(tmp_path: Path) -> None:
    async with house(tmp_path, sip=ScriptedNetwork("sip")) as here:
        ids = [here.hand_in(str(n), XA, SIP, "xa.example", stable_id=f"s{n}")[0].id for n in range(5)]
        await here.settle_down()
    sip = ScriptedNetwork("sip")
    async with house(tmp_path, sip=sip) as here:
        _, again = here.hand_in("0", XA, SIP, "xa.example", stable_id="s0")
        assert again.steps == ["stored"]
        new, _ = here.hand_in("5", XA, SIP, "xa.example")
        assert new.id > ids[-1]
        assert sip.open[0].attempt == 1  # it may have been on the wire before
        sip.next().failed(NO)
        sip.answer = deliver_at_once
        await here.settle_down()
        sip.next().delivered()
        await here.settle_down()
        assert sip.texts() == [str(n) for n in range(6)]
        assert [content.id for content in sip.log[:5]] == ids
        assert [report.certain for report in reports(here.networks["xmpp"])] == [False]


async def test_a_message_that_was_settled_is_recognised_after_a_restart(tmp_path: Path) -> None:
    def answers(delivery: object) -> None:
        text = delivery.content.text  # type: ignore[attr-defined]
        delivery.failed(NO) if text == "bad" else delivery.delivered()  # type: ignore[attr-defined]

    async with house(tmp_path, sip=ScriptedNetwork("sip", answers)) as here:
        here.hand_in("good", XA, SIP, "xa.example", stable_id="good")
        here.hand_in("bad", XA, SIP, "xa.example", stable_id="bad")
        await here.settle_down()
    async with house(tmp_path) as here:
        _, good = here.hand_in("good", XA, SIP, "xa.example", stable_id="good")
        _, bad = here.hand_in("bad", XA, SIP, "xa.example", stable_id="bad")
        assert good.told == [("stored", None, None), ("settled", Outcome.DELIVERED, None)]
        assert bad.told[1][1] is Outcome.FAILED
        await here.settle_down()
        assert here.networks["sip"].log == []


async def test_a_report_survives_a_restart(tmp_path: Path) -> None:
    async with house(
        tmp_path, sip=ScriptedNetwork("sip", fail_with(NO)), xmpp=ScriptedNetwork("xmpp")
    ) as here:
        here.hand_in("hello", XA, SIP, "xa.example")
        await here.settle_down()
    async with house(tmp_path) as here:
        await here.settle_down()
        assert len(reports(here.networks["xmpp"])) == 1
    async with house(tmp_path) as here:
        await here.settle_down()
        assert here.networks["xmpp"].log == []


async def test_content_that_cannot_be_read_fails_and_keeps_nothing_from_starting(tmp_path: Path) -> None:
    async with house(tmp_path, sip=ScriptedNetwork("sip")) as here:
        bad, _ = here.hand_in("bad", XA, SIP, "xa.example", stable_id="bad")
        gone, _ = here.hand_in("gone", XA, SIP, "xa.example")
        here.hand_in("good", XA, SIP, "xa.example")
        await here.settle_down()
        path = here.store.path
    connection = sqlite3.connect(path)
    connection.execute("UPDATE message SET content = x'ff00' WHERE id = ?", (bad.id,))
    connection.execute("UPDATE message SET content = NULL WHERE id = ?", (gone.id,))
    connection.commit()
    connection.close()
    async with house(tmp_path) as here:
        await here.settle_down()
        assert here.networks["sip"].texts() == ["good"]
        assert (row(here, bad.id).state, row(here, bad.id).reason) == ("failed", "internal")
        found = reports(here.networks["xmpp"])
        assert [(report.about, report.certain) for report in found] == [(bad.id, False), (gone.id, False)]


async def test_a_peer_that_is_no_longer_configured_fails_its_messages_in_doubt(tmp_path: Path) -> None:
    async with house(tmp_path, sip=ScriptedNetwork("sip")) as here:
        message, _ = here.hand_in("hello", XA, SIP, "xa.example")
        await here.settle_down()
    async with house(tmp_path, peers=(peer("xa.example", "xmpp"),)) as here:
        await here.settle_down()
        assert row(here, message.id).reason == "domain-not-found"
        assert [report.certain for report in reports(here.networks["xmpp"])] == [False]


# -- other things --------------------------------------------------------------------------------------


async def test_what_networks_remember_survives_a_restart(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        here.hub.remember("xmpp", "k", "v")
        assert here.hub.recall("xmpp", "k") == "v"
        assert here.hub.recall("sip", "k") is None
        assert here.hub.recall_all("xmpp", "k") == [("k", "v")]
        assert here.hub.recall_all("xmpp", "x") == []
    async with house(tmp_path) as here:
        assert here.hub.recall("xmpp", "k") == "v"


async def test_old_trails_are_forgotten_all_of_them_and_what_waits_is_not(tmp_path: Path) -> None:
    def first_waits(delivery: object) -> None:
        if delivery.content.text != "waits":  # type: ignore[attr-defined]
            delivery.delivered()  # type: ignore[attr-defined]

    sip = ScriptedNetwork("sip", first_waits)
    async with house(tmp_path, sip=sip) as here:
        waits, _ = here.hand_in("waits", XA, "w@sip.example", "xa.example")
        for number in range(2500):
            here.hand_in("x", XA, f"u{number}@sip.example", "xa.example")
        await here.settle_down()
        await here.hub.forget_old()
        assert len(here.store.latest(most=3000)) == 2501
        here.time.step(31 * 86400)
        await here.hub.forget_old()
        assert [found.id for found in here.store.latest(most=3000)] == [waits.id]
