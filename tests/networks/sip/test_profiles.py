"""Every profile says again what was said: state, the other side, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks.sip.presence_stage import JULIET, WATCHES_JULIET, notify, play, subscribe
from rialto.core.network import Verb
from rialto.model.message import Text
from rialto.model.presence import Document, Grant, Show, State
from rialto.networks.sip.documents import from_pidf, to_pidf
from rialto.networks.sip.profiles import ACTIVITY_NUMBERS, from_numbers, to_numbers
from rialto.wire import msrtc, pidf

NOW = 1_800_000_000.0


def by_standard(document: Document) -> Document:
    return from_pidf(pidf.parse(pidf.write(to_pidf(document, JULIET))), JULIET, NOW)


def by_microsoft(document: Document) -> Document:
    data = msrtc.write("juliet@sip.example", to_numbers(document))
    return from_pidf(from_numbers(msrtc.parse(data), "pres:juliet@sip.example"), JULIET, NOW)


@pytest.mark.parametrize("there_and_back", [by_standard, by_microsoft], ids=["standard", "microsoft"])
@given(show=st.sampled_from(Show), note=st.sampled_from(["", 'at <work> & "here"']))
def test_a_state_that_comes_back_is_the_same(there_and_back, show: Show, note: str) -> None:  # type: ignore[no-untyped-def]
    notes = (Text(note),) if note else ()
    document = Document((State("", show, notes),), as_of=NOW)
    assert there_and_back(document) == document
    assert there_and_back(Document(as_of=NOW)) == Document(as_of=NOW)


@given(st.integers(100, 399), st.integers(0, 999))
def test_whatever_number_is_read_is_a_fixed_point_after_once(availability: int, activity: int) -> None:
    read = from_pidf(from_numbers(msrtc.Aggregate(availability, activity), "pres:x"), JULIET, NOW)
    assert by_microsoft(read) == read


@pytest.mark.parametrize(
    ("activity", "show"),
    [(0, Show.AVAILABLE), (149, Show.AWAY), (199, Show.AWAY), (250, Show.AWAY), (399, Show.AWAY),
     (499, Show.AVAILABLE), (500, Show.DND), (650, Show.DND), (799, Show.XA), (999, Show.CHAT)],
)  # fmt: skip
def test_the_ranges_are_those_of_the_protocol(activity: int, show: Show) -> None:
    assert from_numbers(msrtc.Aggregate(300, activity), "x").tuples[0].show in (show.value, "")
    assert set(ACTIVITY_NUMBERS) == set(Show)


def test_who_cannot_be_reached_is_offline() -> None:
    assert from_numbers(msrtc.Aggregate(99, 400), "x").tuples[0].basic is False


@pytest.mark.parametrize(
    "data",
    [b"", b"<presence/>", b"<presentity/>", b"<presentity><availability/></presentity>",
     b"<presentity><availability aggregate='-1'/></presentity>",
     b"<!DOCTYPE x><presentity><availability aggregate='1'/></presentity>"],
)  # fmt: skip
def test_what_is_no_such_document_is_refused(data: bytes) -> None:
    with pytest.raises(msrtc.MsrtcError):
        msrtc.parse(data)


async def test_a_peer_with_that_profile_is_told_in_numbers_and_understood() -> None:
    async with play(profile="microsoft") as (stage, phone):
        stage.presence.grant = Grant.GRANTED
        stage.presence.document = Document((State("orchard", Show.DND, (Text("no"),)),), as_of=stage.now)
        accept = (("Accept", "text/xml+msrtc.pidf"),)
        assert (await phone.asks(subscribe(port=phone.port, headers=accept))).status == 200
        told = await phone.is_told()
        assert told.get("Content-Type") == "text/xml+msrtc.pidf"
        assert msrtc.parse(told.body) == msrtc.Aggregate(300, 600, "no")
        while not stage.presence.said.empty():
            await stage.presence.hears()

        stage.watch(Verb.ASK)
        asked = await phone.is_told("SUBSCRIBE")
        assert "text/xml+msrtc.pidf" in (asked.get("Accept") or "")
        body = msrtc.write("juliet@sip.example", msrtc.Aggregate(300, 150)).decode()
        news = notify(
            asked, "active;expires=600", body=body, content_type="text/xml+msrtc.pidf", port=phone.port
        )
        assert (await phone.asks(news)).status == 200
        verb, pair, seen = await stage.presence.hears()
        assert (verb, pair, [one.show for one in seen.states]) == ("show", WATCHES_JULIET, [Show.AWAY])


async def test_others_are_not_told_in_numbers() -> None:
    async with play() as (_, phone):
        accept = (("Accept", "text/xml+msrtc.pidf"),)
        assert (await phone.asks(subscribe(port=phone.port, headers=accept))).status == 406
