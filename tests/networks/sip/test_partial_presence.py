"""Partial presence documents over the wire (RFC 5263)."""

from __future__ import annotations

from typing import Any

import pytest

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
from rialto.model.presence import Document, Grant, Show, State
from rialto.networks.sip.wire import BadMessage, Request
from rialto.networks.sip.wire.eventing import preference
from rialto.wire.pidf import Presence, Tuple
from rialto.wire.pidf_diff import MEDIA_TYPE, Reader, Writer

BOTH = (("Accept", "application/pidf+xml;q=0.3, application/pidf-diff+xml;q=1"),)


def document(stage: PresenceStage, *shows: Show) -> Document:
    return Document(
        tuple(State(f"orchard-{number}", show) for number, show in enumerate(shows)), as_of=stage.now
    )


async def subscribed(
    stage: PresenceStage, phone: Telephone, headers: Any = BOTH, **changes: Any
) -> tuple[Request, str]:
    """The first NOTIFY, and our tag."""
    response = await phone.asks(subscribe(port=phone.port, headers=headers, **changes))
    assert response.status == 200
    return await phone.is_told(), response.to.tag or ""


async def test_who_prefers_changes_gets_them() -> None:
    """RFC 5263 section 4.4."""
    async with play() as (stage, phone):
        stage.presence.grant = Grant.GRANTED
        stage.presence.document = document(stage, Show.AWAY, Show.DND, Show.XA)
        first, tag = await subscribed(stage, phone)
        assert first.get("Content-Type") == MEDIA_TYPE
        assert b"pidf-full" in first.body
        assert b'version="1"' in first.body
        stage.presence.document = document(stage, Show.AWAY, Show.DND, Show.AVAILABLE)
        stage.tell()
        second = await phone.is_told()
        reader = Reader()
        reader.read(first.body)
        seen = reader.read(second.body)
        assert seen is not None
        assert {one.id: one.show for one in seen.tuples}["ID-orchard-2"] == ""
        stage.presence.document = document(stage, Show.DND, Show.DND, Show.AVAILABLE)
        stage.tell()
        third = await phone.is_told()
        assert reader.read(third.body) is not None
        again = await phone.asks(subscribe(port=phone.port, headers=BOTH, to_tag=tag, cseq=2))
        assert again.status == 200
        refreshed = await phone.is_told()
        assert b"pidf-full" in refreshed.body
        assert reader.read(refreshed.body) is not None, "and the version has gone on"


@pytest.mark.parametrize(
    "accept",
    [
        "application/pidf+xml",
        "application/pidf+xml;q=0.8, application/pidf-diff+xml;q=0.5",
        "application/pidf+xml, application/pidf-diff+xml;q=0",
        "*/*",
    ],
)
async def test_who_does_not_prefer_them_gets_whole_documents(accept: str) -> None:
    async with play() as (stage, phone):
        stage.presence.grant = Grant.GRANTED
        stage.presence.document = document(stage, Show.AWAY)
        first, _ = await subscribed(stage, phone, (("Accept", accept),))
        assert first.get("Content-Type") == "application/pidf+xml"


async def test_what_was_lost_is_followed_by_the_whole_and_so_is_a_restart() -> None:
    async with play() as (stage, phone):
        stage.presence.grant = Grant.GRANTED
        stage.presence.document = document(stage, Show.AWAY)
        first, tag = await subscribed(stage, phone)
        stage.tell(document=document(stage, Show.DND))
        data = stage.presence.kept[(WATCHES_ROMEO, "watcher")]
    view = {"watcher_data": data, "grant": Grant.GRANTED}
    async with play(resumes=view) as (stage, phone):
        stage.presence.grant = Grant.GRANTED
        stage.presence.document = document(stage, Show.DND)
        stage.tell()
        told = await phone.is_told()
        assert b"pidf-full" in told.body
        assert Reader().read(told.body) is not None
        reader = Reader()
        reader.read(first.body)
        assert reader.read(told.body) is not None, "no version comes twice"
        assert tag


def partial(writer: Writer, *tuples: Tuple) -> str:
    return writer.write(Presence(entity="pres:juliet@sip.example", tuples=tuples)).decode()


def at(place: str, show: str = "") -> Tuple:
    return Tuple(id=f"ID-{place}", basic=True, show=show, contact="sip:juliet@sip.example", priority=500)


async def test_changes_of_a_notifier_are_read() -> None:
    async with play(partial_presence=True) as (stage, phone):
        stage.watch(Verb.ASK)
        asked = await phone.is_told("SUBSCRIBE")
        assert asked.get("Accept") == "application/pidf-diff+xml, application/pidf+xml;q=0.5"
        writer = Writer()
        news = notify(
            asked,
            "active;expires=600",
            body=partial(writer, at("balcony"), at("cell")),
            content_type=MEDIA_TYPE,
            port=phone.port,
        )
        assert (await phone.asks(news)).status == 200
        assert (await stage.presence.hears())[0] == "granted"
        assert [one.instance for one in (await stage.presence.hears())[2].states] == ["balcony", "cell"]
        body = partial(writer, at("balcony", "away"), at("cell"))
        assert "pidf-diff " in body
        change = notify(
            asked, "active;expires=600", cseq=2, body=body, content_type=MEDIA_TYPE, port=phone.port
        )
        assert (await phone.asks(change)).status == 200
        verb, pair, seen = await stage.presence.hears()
        assert (verb, pair) == ("show", WATCHES_JULIET)
        assert [(one.instance, one.show) for one in seen.states] == [
            ("balcony", Show.AWAY),
            ("cell", Show.AVAILABLE),
        ]


async def test_what_does_not_fit_is_asked_for_as_a_whole() -> None:
    """RFC 5263 section 4.5."""
    async with play(partial_presence=True) as (stage, phone):
        stage.watch(Verb.ASK)
        asked = await phone.is_told("SUBSCRIBE")
        writer = Writer()
        whole = partial(writer, at("balcony"), at("cell"))
        news = {"content_type": MEDIA_TYPE, "port": phone.port}
        await phone.asks(notify(asked, "active;expires=600", body=whole, **news))
        partial(writer, at("balcony", "away"), at("cell"))  # this one is lost
        change = partial(writer, at("balcony", "dnd"), at("cell"))
        assert (
            await phone.asks(notify(asked, "active;expires=600", cseq=2, body=change, **news))
        ).status == 200
        again = await phone.is_told("SUBSCRIBE")
        assert again.call_id == asked.call_id
        assert again.get("Accept") == "application/pidf+xml"
        assert [(await stage.presence.hears())[0] for _ in "123"] == ["granted", "show", "granted"]
        plain = notify(asked, "active;expires=600", cseq=3, body=PIDF.format(basic="open"), port=phone.port)
        assert (await phone.asks(plain)).status == 200
        assert (await stage.presence.hears())[0] == "show"
        stubborn = notify(asked, "active;expires=600", cseq=4, body=change, **news)
        assert (await phone.asks(stubborn)).status == 415, "and nobody is asked again and again"


def test_how_much_a_kind_is_liked() -> None:
    request = subscribe(headers=(("Accept", "a/b;q=0.5, c/d"), ("Accept", "e/f;q=soon, g/h;q=1.5")))
    assert [preference(request, one) for one in ("a/b", "c/d", "e/f", "g/h", "x/y")] == [0.5, 1, 1, 1, 0]
    with pytest.raises(BadMessage):
        preference(subscribe(headers=(("Accept", "/"),)), "a/b")
