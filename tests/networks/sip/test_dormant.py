"""Dialogs at rest: what is packed comes back the same, and is rung for in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from networks.sip.presence_stage import (
    PIDF,
    WATCHES_JULIET,
    WATCHES_ROMEO,
    PresenceStage,
    Telephone,
    notify,
    play,
    subscribe,
)
from rialto.core.network import Verb
from rialto.model.address import Address
from rialto.model.presence import Document, Grant, Pair, State
from rialto.networks.sip.dormant import Dormant, PackedDialog, Packing
from rialto.networks.sip.wire import Request
from rialto.networks.sip.wire.dialogs import Dialog

ROMEO, JULIET = WATCHES_JULIET.watcher, WATCHES_JULIET.presentity
OTHER = Pair(Address("paris", "xmpp.example"), JULIET)

_words = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
_hex = st.binary(max_size=12).map(bytes.hex)


@given(
    st.builds(
        Dialog,
        call_id=_words | _hex | (_words | _hex).map(lambda text: f"{text}@gw.example"),
        local=st.sampled_from(["sip:romeo@xmpp.example", "sip:Romeo@xmpp.example", ""]),
        remote=st.sampled_from(["sip:juliet@sip.example", "sip:+49@sip.example"]),
        local_tag=_hex | _words,
        remote_tag=_words,
        target=_words,
        routes=st.sampled_from([(), ("<sip:p1;lr>",), ("<sip:p1;lr>", "<sip:p2;lr>")]),
        local_cseq=st.integers(0, 2**31),
        remote_cseq=st.integers(-1, 2**31),
    )
)
def test_a_dialog_that_is_packed_comes_back_the_same(dialog: Dialog) -> None:
    packing = Packing("gw.example")
    data = msgspec.msgpack.encode(packing.pack(dialog, ROMEO, JULIET))
    back = packing.unpack(msgspec.msgpack.decode(data, type=PackedDialog), ROMEO, JULIET)
    if dialog.local:
        assert back == dialog
    else:
        assert back == msgspec.structs.replace(dialog, local="sip:romeo@xmpp.example")


def test_a_dialog_of_ours_is_small() -> None:
    dialog = Dialog(
        "0123456789abcdef01234567@gw.example", "sip:romeo@xmpp.example", "sip:juliet@sip.example",
        "0123456789abcdef", "agent-tag-1", "sip:juliet@192.0.2.1:5060", ("<sip:proxy.sip.example;lr>",), 1, 1,
    )  # fmt: skip
    assert len(msgspec.msgpack.encode(Packing("gw.example").pack(dialog, ROMEO, JULIET))) < 80


class Clock:
    """Turned by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.25
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Any:
        self.calls.append((self.now + delay_s, call))
        return self

    def cancel(self) -> None:
        self.calls.clear()

    def turn(self, seconds: float) -> None:
        self.now += seconds
        due = [call for at, call in self.calls if at <= self.now]
        self.calls = [(at, call) for at, call in self.calls if at > self.now]
        for call in due:
            call()


def rests() -> tuple[Dormant, Clock, list[Pair]]:
    rung: list[Pair] = []
    dormant, clock = Dormant(lambda pair, now: rung.append(pair)), Clock()
    dormant.start(lambda: clock.now, clock.call_later)
    return dormant, clock, rung


def test_at_a_full_second_it_is_rung_for_on_time() -> None:
    dormant, clock, rung = rests()
    clock.now = float(int(clock.now))
    dormant.put(WATCHES_JULIET, b"a", clock.now + 10)
    clock.turn(10)
    assert rung == [WATCHES_JULIET]


def test_it_is_rung_for_within_a_second() -> None:
    dormant, clock, rung = rests()
    dormant.put(WATCHES_JULIET, b"a", clock.now + 10)
    dormant.put(OTHER, b"b", None)
    assert (len(dormant), set(dormant)) == (2, {WATCHES_JULIET, OTHER})
    clock.turn(9.9)
    assert rung == []
    clock.turn(1.1)
    assert rung == [WATCHES_JULIET]
    assert dormant.take(WATCHES_JULIET) is not None
    assert dormant.take(WATCHES_JULIET) is None
    clock.turn(1e6)
    assert rung == [WATCHES_JULIET]


def test_an_appointment_that_is_early_enough_is_left_as_it_is() -> None:
    dormant, clock, rung = rests()
    dormant.put(OTHER, b"a", clock.now + 100)
    data, serial = dormant.take(OTHER) or (b"", 0)
    assert (data, serial) == (b"a", 1)
    dormant.put(OTHER, b"b", clock.now + 200, serial)
    assert dormant.take(OTHER) == (b"b", serial)
    dormant.put(OTHER, b"c", clock.now + 50, serial)
    data, earlier = dormant.take(OTHER) or (b"", 0)
    assert earlier != serial
    dormant.put(OTHER, b"d", clock.now + 50, earlier)
    clock.turn(60)
    assert rung == [OTHER]
    clock.turn(60)
    assert rung == [OTHER], "what was replaced does not ring for those at rest"


def test_who_is_awake_is_rung_for_too_and_gets_another_appointment() -> None:
    dormant, clock, rung = rests()
    serial = dormant.appoint(OTHER, clock.now + 5, 0)
    assert dormant.appoint(OTHER, clock.now + 50, serial) == serial
    clock.turn(10)
    assert rung == [OTHER]
    dormant.put(OTHER, b"a", clock.now + 50, serial)
    clock.turn(60)
    assert rung == [OTHER, OTHER], "an appointment that is over is none"
    dormant.stop()


async def granted(stage: PresenceStage, phone: Telephone) -> Request:
    stage.watch(Verb.ASK)
    asked = await phone.is_told("SUBSCRIBE")
    await phone.asks(notify(asked, "active;expires=600", body=PIDF.format(basic="open"), port=phone.port))
    assert [(await stage.presence.hears())[0] for _ in "12"] == ["granted", "show"]
    return asked


async def test_what_rests_is_found_by_a_notify_and_rests_again() -> None:
    async with play() as (stage, phone):
        asked = await granted(stage, phone)
        watchings = stage.network.presence.watchings
        assert (len(watchings), len(watchings._resting), len(watchings._by_tag)) == (1, 1, 0)
        news = notify(asked, "active;expires=600", cseq=2, body=PIDF.format(basic="closed"), port=phone.port)
        assert (await phone.asks(news)).status == 200
        assert (await stage.presence.hears())[0] == "show"
        assert len(watchings._resting) == 1
        old = notify(asked, "active;expires=600", cseq=2, port=phone.port)
        assert (await phone.asks(old)).status == 500
        stranger = notify(asked, "active", cseq=3, port=phone.port)
        stranger.set("Call-ID", "another")
        assert (await phone.asks(stranger)).status == 481
        garbled = notify(asked, "active", cseq=3, port=phone.port)
        garbled.set("Subscription-State", "")
        assert (await phone.asks(garbled)).status in (200, 400)
        assert len(watchings._resting) == 1


async def test_what_rests_is_refreshed_in_time() -> None:
    async with play() as (stage, phone):
        asked = await granted(stage, phone)
        watchings = stage.network.presence.watchings
        stage.now += 590
        watchings._wake_up(WATCHES_JULIET, stage.now)
        stage.network.presence.turn()
        again = await phone.is_told("SUBSCRIBE")
        assert (again.call_id, str(again.from_)) == (asked.call_id, str(asked.from_))
        assert again.cseq[0] > asked.cseq[0]
        assert again.to.tag == "j89d"


async def test_a_telephones_dialog_rests_and_is_told_what_is_new() -> None:
    async with play() as (stage, phone):
        stage.presence.grant = Grant.GRANTED
        first = Document((State("orchard"),), as_of=stage.now)
        stage.presence.document = first
        response = await phone.asks(subscribe(port=phone.port))
        told = await phone.is_told()
        tag = response.to.tag or ""
        audiences = stage.network.presence.audiences
        await phone.hears_nothing()
        assert (len(audiences), len(audiences._resting), len(audiences._by_tag)) == (1, 1, 0)
        stage.tell(told_document=first)
        await phone.hears_nothing()
        stage.presence.document = Document(as_of=stage.now)
        stage.tell(told_document=first)
        news = await phone.is_told()
        assert news.cseq[0] > told.cseq[0]
        assert str(news.contacts[0]) == str(told.contacts[0])
        assert b"closed" in news.body
        assert b"orchard" in news.body
        await phone.hears_nothing()
        assert len(audiences._resting) == 1
        refreshed = await phone.asks(subscribe(port=phone.port, to_tag=tag, cseq=2))
        assert refreshed.status == 200
        await phone.is_told()
        await phone.hears_nothing()
        stage.now += 601
        audiences._wake_up(WATCHES_ROMEO, stage.now)
        stage.network.presence.turn()
        assert (await phone.is_told()).get("Subscription-State") == "terminated;reason=timeout"
