"""People are published at a presence server, where its operator wants it (RFC 3903)."""

from __future__ import annotations

from typing import Any

from networks.sip.presence_stage import (
    JULIET,
    ROMEO,
    WATCHES_ROMEO,
    PresenceStage,
    Telephone,
    play,
    subscribe,
)
from rialto.model.address import Address
from rialto.model.presence import Document, Grant, Pair, Show, State
from rialto.networks.sip.wire import Request
from rialto.wire.pidf import parse

NURSE_WATCHES_ROMEO = Pair(Address("nurse", JULIET.domain), ROMEO)


def document(stage: PresenceStage, show: Show = Show.AVAILABLE) -> Document:
    return Document((State("orchard", show),), as_of=stage.now)


def told(stage: PresenceStage, pair: Pair = WATCHES_ROMEO, **changes: Any) -> None:
    """The hub has news of a pair."""
    for name in ("grant", "document"):
        if name in changes:
            setattr(stage.presence, name, changes[name])
    stage.network.tell(stage.presence.view(pair))


def accepts(phone: Telephone, request: Request, etag: str, expires: str = "3600") -> None:
    phone.answers(request, 200, ("SIP-ETag", etag), ("Expires", expires))


async def published(stage: PresenceStage, phone: Telephone, etag: str = "e1") -> Request:
    """Romeo lets Juliet watch, and is published."""
    told(stage, grant=Grant.GRANTED)
    assert await stage.presence.hears() == ("open", WATCHES_ROMEO, None)
    told(stage, document=document(stage))
    request = await phone.hears("PUBLISH")
    accepts(phone, request, etag)
    assert await stage.presence.hears() == ("open", WATCHES_ROMEO, None)
    return request


async def test_who_lets_somebody_watch_is_published_and_watched_for_it() -> None:
    async with play(publish=True) as (stage, phone):
        request = await published(stage, phone)
        assert request.uri == "sip:romeo@xmpp.example"
        assert str(request.from_.uri) == str(request.to.uri) == request.uri
        assert (request.get("Event"), request.get("Expires")) == ("presence", "3600")
        assert request.get("Content-Type") == "application/pidf+xml"
        shown = parse(request.body)
        assert (shown.entity, shown.tuples[0].basic) == ("pres:romeo@xmpp.example", True)
        assert stage.presence.kept[(WATCHES_ROMEO, "watcher")]
        told(stage, document=document(stage, Show.AWAY))
        second = await phone.hears("PUBLISH")
        assert second.get("SIP-If-Match") == "e1"
        assert parse(second.body).tuples[0].show == "away"
        accepts(phone, second, "e2")
        assert ("published", "bobs", "2xx") in stage.hub.counted


async def test_who_goes_offline_is_taken_back_and_comes_again() -> None:
    async with play(publish=True) as (stage, phone):
        await published(stage, phone)
        told(stage, document=Document(as_of=stage.now))
        gone = await phone.hears("PUBLISH")
        assert (gone.get("SIP-If-Match"), gone.get("Expires"), gone.body) == ("e1", "0", b"")
        phone.answers(gone, 200, ("Expires", "0"))
        await stage.presence.hears()
        assert stage.presence.kept[(WATCHES_ROMEO, "watcher")] is None
        told(stage, document=document(stage))
        again = await phone.hears("PUBLISH")
        assert again.get("SIP-If-Match") is None
        accepts(phone, again, "e2")


async def test_nobody_is_published_who_lets_nobody_watch() -> None:
    async with play(publish=True) as (stage, phone):
        told(stage, grant=Grant.PENDING)
        told(stage, grant=Grant.REFUSED)
        await phone.hears_nothing()
        assert len(stage.network.presence.publications) == 0


async def test_nobody_is_published_where_the_operator_has_not_said_so() -> None:
    async with play() as (stage, phone):
        told(stage, grant=Grant.GRANTED, document=document(stage))
        await phone.hears_nothing()


async def test_it_ends_with_the_last_authorization() -> None:
    async with play(publish=True) as (stage, phone):
        await published(stage, phone)
        told(stage, NURSE_WATCHES_ROMEO)
        told(stage, grant=Grant.REFUSED)
        assert (await stage.presence.hears())[:2] == ("close", WATCHES_ROMEO)
        assert (await stage.presence.hears())[:2] == ("open", NURSE_WATCHES_ROMEO)
        other = await phone.hears("PUBLISH")
        assert other.get("SIP-If-Match") == "e1", "what she may see, from now on"
        accepts(phone, other, "e2")
        assert (await stage.presence.hears())[:2] == ("open", NURSE_WATCHES_ROMEO)
        told(stage, NURSE_WATCHES_ROMEO)
        assert (await stage.presence.hears())[:2] == ("close", NURSE_WATCHES_ROMEO)
        gone = await phone.hears("PUBLISH")
        assert gone.get("Expires") == "0"
        phone.answers(gone, 200)
        while len(stage.network.presence.publications):
            await phone.hears_nothing()
        assert stage.presence.kept[(NURSE_WATCHES_ROMEO, "watcher")] is None


async def test_a_dialog_of_the_watchers_own_ends_without_ending_it() -> None:
    async with play(publish=True) as (stage, phone):
        await published(stage, phone)
        response = await phone.asks(subscribe(port=phone.port))
        await phone.is_told()
        assert await stage.presence.hears() == ("ask", WATCHES_ROMEO)
        assert await stage.presence.hears() == ("open", WATCHES_ROMEO, None)
        await phone.asks(subscribe(port=phone.port, expires=0, to_tag=response.to.tag or "", cseq=2))
        await phone.is_told()
        while not stage.presence.said.empty():
            assert (await stage.presence.hears())[0] == "open"


async def test_it_goes_on_after_a_restart() -> None:
    async with play(publish=True) as (stage, phone):
        await published(stage, phone)
        data = stage.presence.kept[(WATCHES_ROMEO, "watcher")]
    view = {"watcher_data": data, "grant": Grant.GRANTED}
    async with play(publish=True, resumes=view) as (stage, phone):
        stage.presence.grant = Grant.GRANTED
        told(stage)
        await phone.hears_nothing()
        told(stage, document=document(stage, Show.DND))
        request = await phone.hears("PUBLISH")
        assert request.get("SIP-If-Match") == "e1"
        accepts(phone, request, "e2")


async def test_what_is_published_is_taken_back_when_the_operator_changes_his_mind() -> None:
    async with play(publish=True) as (stage, phone):
        await published(stage, phone)
        data = stage.presence.kept[(WATCHES_ROMEO, "watcher")]
    view = {"watcher_data": data, "grant": Grant.GRANTED}
    async with play(publish=False, resumes=view) as (stage, phone):
        gone = await phone.hears("PUBLISH")
        assert (gone.get("SIP-If-Match"), gone.get("Expires")) == ("e1", "0")
        phone.answers(gone, 200)
        while len(stage.network.presence.publications):
            await phone.hears_nothing()
        assert stage.presence.kept[(WATCHES_ROMEO, "watcher")] is None
