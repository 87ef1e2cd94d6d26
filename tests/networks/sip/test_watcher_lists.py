"""A SIP user is told by whom it is watched (RFC 3857)."""

from __future__ import annotations

import asyncio
from typing import Any

from networks.sip.presence_stage import JULIET, ROMEO, PresenceStage, Telephone, play, subscribe
from rialto.core.network import Watcher
from rialto.model.address import Address
from rialto.model.errors import Reason
from rialto.model.presence import Grant
from rialto.networks.sip.wire import Request
from rialto.wire.watcherinfo import WatcherInfo, parse

PARIS = Address("paris", ROMEO.domain)
OWN = "sip:juliet@sip.example"


def asks(phone: Telephone, **changes: Any) -> Request:
    """Juliet asks who watches her."""
    return subscribe(**({"event": "presence.winfo", "to": OWN, "port": phone.port} | changes))


def watcher(grant: Grant, *, listening: bool = True, address: Address = ROMEO, **more: Any) -> Watcher:
    return Watcher(address, grant, listening, 1_799_999_000.0, **more)


async def told(phone: Telephone) -> WatcherInfo:
    request = await phone.is_told()
    assert request.get("Event") == "presence.winfo"
    assert request.get("Content-Type") == "application/watcherinfo+xml"
    return parse(request.body)


def standings(info: WatcherInfo) -> dict[str, tuple[str, str]]:
    return {one.uri: (one.status, one.event) for one in info.watchers}


def changes(stage: PresenceStage, *watchers: Watcher) -> None:
    stage.presence.watched_by = watchers
    stage.presence.attending[JULIET](watchers)


async def test_all_are_told_first_and_then_only_who_changes() -> None:
    """RFC 3857 sections 4.3 and 4.7.1, RFC 3858 section 4: versions, full and partial."""
    async with play() as (stage, phone):
        stage.presence.watched_by = (
            watcher(Grant.PENDING),
            watcher(Grant.GRANTED, address=PARIS),
            watcher(Grant.GRANTED, listening=False, address=Address("nurse", ROMEO.domain)),
            watcher(Grant.REFUSED, address=Address("tybalt", ROMEO.domain)),
        )
        response = await phone.asks(asks(phone))
        assert (response.status, response.get("Expires")) == (200, "600")
        first = await told(phone)
        assert (first.resource, first.version, first.full) == (OWN, 0, True)
        assert standings(first) == {
            "sip:romeo@xmpp.example": ("pending", "subscribe"),
            "sip:paris@xmpp.example": ("active", "approved"),
        }
        assert first.watchers[0].subscribed_s == 1000
        changes(stage, watcher(Grant.GRANTED), watcher(Grant.GRANTED, address=PARIS))
        second = await told(phone)
        assert (second.version, second.full) == (1, False)
        assert standings(second) == {"sip:romeo@xmpp.example": ("active", "approved")}
        assert second.watchers[0].id == first.watchers[0].id, "who it is stays the same"
        changes(stage, watcher(Grant.REFUSED, reason=Reason.DECLINED))
        third = await told(phone)
        assert standings(third) == {
            "sip:romeo@xmpp.example": ("terminated", "rejected"),
            "sip:paris@xmpp.example": ("terminated", "timeout"),
        }
        changes(stage, watcher(Grant.REFUSED, reason=Reason.DECLINED))
        await phone.hears_nothing()


async def test_who_waits_longer_than_the_subscription_lasts_is_waiting() -> None:
    async with play() as (stage, phone):
        stage.presence.watched_by = (watcher(Grant.PENDING, listening=False),)
        await phone.asks(asks(phone))
        assert standings(await told(phone)) == {"sip:romeo@xmpp.example": ("waiting", "timeout")}
        changes(stage, watcher(Grant.GRANTED, listening=False))
        assert standings(await told(phone)) == {"sip:romeo@xmpp.example": ("terminated", "approved")}


async def test_nobody_sees_who_watches_another() -> None:
    """RFC 3857 section 4.6."""
    async with play() as (stage, phone):
        assert (await phone.asks(asks(phone, to="sip:nurse@sip.example"))).status == 403
        assert (await phone.asks(asks(phone, to="sip:romeo@xmpp.example", call_id="b"))).status == 403
        assert stage.presence.attending == {}
        await phone.hears_nothing()


async def test_a_refresh_brings_the_whole_list_and_the_end_ends_it() -> None:
    async with play() as (stage, phone):
        stage.presence.watched_by = (watcher(Grant.PENDING),)
        response = await phone.asks(asks(phone))
        await told(phone)
        tag = response.to.tag or ""
        refreshed = await phone.asks(asks(phone, to_tag=tag, cseq=2))
        assert refreshed.status == 200
        again = await told(phone)
        assert (again.version, again.full) == (1, True)
        assert (await phone.asks(asks(phone, to_tag=tag, cseq=2, event="presence.winfo;id=x"))).status == 481
        assert (await phone.asks(asks(phone, to_tag=tag, cseq=1))).status == 500
        assert (await phone.asks(asks(phone, to_tag=tag, cseq=3, expires=0))).status == 200
        last = await phone.is_told()
        assert last.get("Subscription-State") == "terminated;reason=timeout"
        await phone.hears_nothing()
        assert (stage.presence.attending, len(stage.network.presence.watcher_lists)) == ({}, 0)
        assert list(stage.hub.memory.values()) == [""]


async def test_a_look_is_one_notify() -> None:
    async with play() as (stage, phone):
        stage.presence.watched_by = (watcher(Grant.PENDING),)
        await phone.asks(asks(phone, expires=0))
        request = await phone.is_told()
        assert request.get("Subscription-State") == "terminated;reason=timeout"
        assert parse(request.body).full
        assert stage.presence.attending == {}


async def test_what_was_lost_comes_with_the_whole_list() -> None:
    async with play() as (stage, phone):
        lists = stage.network.presence.watcher_lists
        await phone.asks(asks(phone))
        assert (await told(phone)).watchers == ()
        changes(stage, watcher(Grant.PENDING))
        lost = parse((await phone.is_told(status=500)).body)
        [found] = lists._by_owner.values()
        while found.notifiers[0].next_timer() != stage.now + 30:  # noqa: ASYNC110
            await asyncio.sleep(0)
        changes(stage, watcher(Grant.GRANTED))
        stage.now += 31
        lists._ring(found, stage.now)
        stage.network.presence.turn()
        again = await told(phone)
        assert (again.version, again.full) == (lost.version + 1, True)
        assert standings(again) == {"sip:romeo@xmpp.example": ("active", "approved")}


async def test_it_goes_on_after_a_restart() -> None:
    async with play() as (stage, phone):
        stage.presence.watched_by = (watcher(Grant.PENDING),)
        response = await phone.asks(asks(phone))
        await told(phone)
        memory = stage.hub.memory
    async with play(memory=memory) as (stage, phone):
        again = await told(phone)
        assert (again.version, again.full) == (1, True)
        changes(stage, watcher(Grant.GRANTED))
        assert standings(await told(phone)) == {"sip:romeo@xmpp.example": ("active", "approved")}
        refresh = asks(phone, to_tag=response.to.tag or "", cseq=2)
        assert (await phone.asks(refresh)).status == 200


async def test_what_cannot_be_read_of_an_earlier_run_is_left() -> None:
    memory = {"winfo sip:juliet@sip.example": "[", "winfo nobody": '["bobs",[]]'}
    async with play(memory=memory) as (stage, phone):
        assert len(stage.network.presence.watcher_lists) == 0
        await phone.hears_nothing()


async def test_what_is_wrong_with_a_subscribe_is_said() -> None:
    async with play() as (_, phone):
        accept = (("Accept", "application/pidf+xml"),)
        response = await phone.asks(asks(phone, headers=accept))
        assert (response.status, response.get("Accept")) == (406, "application/watcherinfo+xml")
        assert (await phone.asks(asks(phone, expires=5, call_id="b"))).status == 423
        assert (await phone.asks(asks(phone, contact="", call_id="c"))).status == 400
        assert (await phone.asks(asks(phone, to_tag="nobody", call_id="d"))).status == 481
