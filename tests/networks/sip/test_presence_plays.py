"""Presence over real sockets: the hub says and hears, a telephone subscribes and notifies."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from networks.sip.plays import FAST, Person
from networks.sip.presence_stage import (
    PIDF,
    WATCHES_JULIET,
    WATCHES_ROMEO,
    PresenceStage,
    Telephone,
    notify,
    peer,
    play,
    subscribe,
)
from rialto.core.network import PresenceNetwork, Verb
from rialto.model.errors import Busy, Reason, Refused
from rialto.model.presence import Document, Grant, Show, State
from rialto.networks.sip.settings import PeerSettings
from rialto.networks.sip.wire import Request
from rialto.wire.pidf import MEDIA_TYPE as PIDF_TYPE
from rialto.wire.pidf import parse


async def authorized(stage: PresenceStage, phone: Telephone) -> Request:
    """Romeo watches Juliet; the SUBSCRIBE that asked for it."""
    stage.watch(Verb.ASK)
    asked = await phone.is_told("SUBSCRIBE")
    await phone.asks(notify(asked, "active;expires=600", body=PIDF.format(basic="open"), port=phone.port))
    assert [(await stage.presence.hears())[0] for _ in "12"] == ["granted", "show"]
    return asked


def tags(request: Request) -> tuple[str | None, str | None]:
    return request.from_.tag, request.to.tag


async def test_it_is_a_network_that_carries_presence() -> None:
    async with play() as (stage, _):
        assert isinstance(stage.network, PresenceNetwork)


# -- a watcher on XMPP ---------------------------------------------------------------------------------------


async def test_a_request_is_pending_and_then_granted_and_then_seen() -> None:
    """RFC 8048 F1 to F15: CHECKLIST FL-1, PRS-10 to PRS-16."""
    async with play() as (stage, phone):
        stage.watch(Verb.ASK)
        asked = await phone.is_told("SUBSCRIBE")
        assert asked.uri == "sip:juliet@sip.example"
        assert asked.from_.uri.user == "romeo"
        assert asked.contacts[0].uri.gr
        assert (await phone.asks(notify(asked, "pending;expires=600", port=phone.port))).status == 200
        assert await stage.presence.hears() == ("pending", WATCHES_JULIET)
        news = notify(asked, "active;expires=600", cseq=2, body=PIDF.format(basic="open"), port=phone.port)
        assert (await phone.asks(news)).status == 200
        assert await stage.presence.hears() == ("granted", WATCHES_JULIET)
        verb, pair, document = await stage.presence.hears()
        assert (verb, pair) == ("show", WATCHES_JULIET)
        assert document == Document((State("balcony"),), as_of=stage.now)
        assert stage.presence.kept[(WATCHES_JULIET, "presentity")]


async def test_a_refusal_is_reported_with_its_reason() -> None:
    """PRS-18, PRS-34. QUIRK(SylkServer): there, a 403 ends it without a word to the watcher."""
    async with play() as (stage, phone):
        stage.watch(Verb.ASK)
        await phone.is_told("SUBSCRIBE", 403)
        verb, _, error, for_good = await stage.presence.hears()
        assert (verb, error.reason, for_good) == ("refused", Reason.FORBIDDEN, True)
        stage.watch(Verb.ASK)
        asked = await phone.is_told("SUBSCRIBE")
        await phone.asks(notify(asked, "terminated;reason=rejected", port=phone.port))
        verb, _, error, for_good = await stage.presence.hears()
        assert (verb, error.reason, for_good) == ("refused", Reason.FORBIDDEN, True)


async def test_ending_of_the_session_ends_the_dialog_and_nothing_else() -> None:
    """PRS-33."""
    async with play() as (stage, phone):
        asked = await authorized(stage, phone)
        stage.watch(Verb.CLOSE, grant=Grant.GRANTED)
        ended = await phone.is_told("SUBSCRIBE")
        assert (ended.get("Expires"), tags(ended)) == ("0", (asked.from_.tag, "j89d"))
        await phone.asks(notify(asked, "terminated;reason=timeout", cseq=9, port=phone.port))
        assert stage.presence.said.empty()
        assert stage.presence.kept[(WATCHES_JULIET, "presentity")] is None
        assert not len(stage.network.presence.watchings)


async def test_an_authorization_that_is_given_back_is_done_when_the_dialog_is_over() -> None:
    """PRS-50 to PRS-54."""
    async with play() as (stage, phone):
        asked = await authorized(stage, phone)
        stage.watch(Verb.GIVE_BACK, grant=Grant.NONE)
        await phone.is_told("SUBSCRIBE")
        await phone.asks(notify(asked, "terminated;reason=timeout", cseq=9, port=phone.port))
        assert await stage.presence.hears() == ("done", WATCHES_JULIET)
        stage.watch(Verb.GIVE_BACK, grant=Grant.NONE)
        assert await stage.presence.hears() == ("done", WATCHES_JULIET)
        await phone.hears_nothing()


async def test_a_new_session_refreshes_the_dialog_that_is_there() -> None:
    """PRS-31, PRS-141."""
    async with play() as (stage, phone):
        asked = await authorized(stage, phone)
        for verb in (Verb.OPEN, Verb.FETCH):
            stage.watch(verb, grant=Grant.GRANTED)
            again = await phone.is_told("SUBSCRIBE")
            assert again.call_id == asked.call_id
            assert again.get("Expires") == "3600"
            news = notify(asked, "active;expires=600", cseq=again.cseq[0], body=PIDF.format(basic="closed"))
            await phone.asks(news)
            assert (await stage.presence.hears())[2] == Document(as_of=stage.now)


async def test_a_look_leaves_nothing_behind() -> None:
    """PRS-140. QUIRK(Kamailio pua_xmpp): there, a probe makes a subscription that stays."""
    async with play() as (stage, phone):
        stage.watch(Verb.FETCH, grant=Grant.NONE)
        asked = await phone.is_told("SUBSCRIBE")
        assert (asked.get("Expires"), asked.to.tag) == ("0", None)
        await phone.asks(notify(asked, "terminated;reason=timeout", body=PIDF.format(basic="open")))
        assert (await stage.presence.hears())[0] == "show"
        assert (await stage.presence.hears())[0] == "done"
        assert not len(stage.network.presence.watchings)


async def test_a_lost_dialog_is_told_so_that_the_hub_comes_again() -> None:
    """PRS-35."""
    async with play() as (stage, phone):
        asked = await authorized(stage, phone)
        stage.watch(Verb.OPEN, grant=Grant.GRANTED)
        await phone.is_told("SUBSCRIBE", 481)
        verb, _, error, for_good = await stage.presence.hears()
        assert (verb, error.retry_after_s, for_good) == ("refused", 0.0, False)
        stage.watch(Verb.OPEN, grant=Grant.GRANTED)
        anew = await phone.is_told("SUBSCRIBE")
        assert anew.call_id != asked.call_id


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [("hello", "text/plain", 415), ("<presence/>", "application/pidf+xml", 400)],
)
async def test_a_document_that_cannot_be_read_changes_nothing(
    body: str, content_type: str, status: int
) -> None:
    """PRS-126."""
    async with play() as (stage, phone):
        asked = await authorized(stage, phone)
        news = notify(asked, "active", cseq=9, body=body, content_type=content_type)
        assert (await phone.asks(news)).status == status
        assert await stage.presence.hears() == ("granted", WATCHES_JULIET)
        assert stage.presence.said.empty()


async def test_granted_and_nothing_to_see_takes_nobody_for_online() -> None:
    """RFC 8048 section 5.2.1: unknown or closed."""
    async with play() as (stage, phone):
        stage.presence.document = Document((State("old"),), as_of=1.0)
        stage.watch(Verb.OPEN, grant=Grant.GRANTED)
        asked = await phone.is_told("SUBSCRIBE")
        await phone.asks(notify(asked, "active;expires=600"))
        assert [(await stage.presence.hears())[0] for _ in "12"] == ["granted", "show"]
        await phone.asks(notify(asked, "active;expires=600", cseq=2))
        assert [(await stage.presence.hears())[0] for _ in "12"] == ["granted", "done"]


async def test_a_notify_of_nobodys_dialog_is_refused() -> None:
    async with play() as (stage, phone):
        asked = await authorized(stage, phone)
        assert (await phone.asks(notify(asked, "active", cseq=9, tag="fork"))).status == 481
        asked.set("Call-ID", "another")
        assert (await phone.asks(notify(asked, "active", cseq=10))).status == 481


async def test_who_does_not_answer_is_tried_again_by_the_hub() -> None:
    async with play(FAST) as (stage, phone):
        stage.watch(Verb.ASK)
        await phone.hears("SUBSCRIBE")
        verb, _, error, for_good = await stage.presence.hears()
        assert (verb, error.retry, for_good) == ("refused", True, False)


async def test_who_was_away_when_it_was_decided_is_not_refreshed_for() -> None:
    """PRS-153: RFC 8048 section 8.1."""
    async with play() as (stage, phone):
        stage.presence.listening = False
        stage.watch(Verb.ASK)
        asked = await phone.is_told("SUBSCRIBE")
        await phone.asks(notify(asked, "active;expires=600", port=phone.port))
        assert (await phone.is_told("SUBSCRIBE")).get("Expires") == "0"
        assert [(await stage.presence.hears())[0] for _ in "12"] == ["granted", "done"]


async def test_a_challenge_is_answered() -> None:
    async with play(username="gw", password="secret") as (stage, phone):
        stage.watch(Verb.ASK)
        first = await phone.hears("SUBSCRIBE")
        challenge = ("Proxy-Authenticate", 'Digest realm="sip.example", nonce="n", algorithm=MD5, qop="auth"')
        phone.answers(first, 407, challenge)
        second = await phone.is_told("SUBSCRIBE")
        assert 'username="gw"' in (second.get("Proxy-Authorization") or "")
        assert second.cseq[0] > first.cseq[0]
        assert second.call_id == first.call_id


async def test_a_dialog_of_an_earlier_run_goes_on() -> None:
    """PRS-6."""
    async with play() as (stage, phone):
        asked = await authorized(stage, phone)
        data = stage.presence.kept[(WATCHES_JULIET, "presentity")]
    async with play() as (stage, phone):
        stage.network.resume(
            stage.presence.view(WATCHES_JULIET, grant=Grant.GRANTED, presentity_data=data), "presentity"
        )
        news = notify(asked, "active;expires=300", cseq=9, body=PIDF.format(basic="open"))
        assert (await phone.asks(news)).status == 200
        assert (await stage.presence.hears())[0] == "show"


async def test_where_presence_is_not_allowed_nothing_goes_out() -> None:
    async with play(presence=False) as (stage, phone):
        stage.watch(Verb.ASK)
        verb, _, error, for_good = await stage.presence.hears()
        assert (verb, error.reason, for_good) == ("refused", Reason.NOT_SUPPORTED, True)
        await phone.hears_nothing()


# -- a watcher on SIP ----------------------------------------------------------------------------------------


async def subscribed(stage: PresenceStage, phone: Telephone, **more: Any) -> tuple[Request, str]:
    """Juliet watches Romeo: the first NOTIFY, and our tag."""
    response = await phone.asks(subscribe(port=phone.port, **more))
    assert response.status == 200, response
    return await phone.is_told(), response.to.tag or ""


async def test_a_subscribe_is_answered_at_once_and_followed_by_a_notify() -> None:
    """RFC 8048 F26 to F33: PRS-60 to PRS-63, PRS-67."""
    async with play() as (stage, phone):
        response = await phone.asks(subscribe(port=phone.port))
        assert (response.status, response.get("Expires")) == (200, "600")
        assert response.contacts[0].uri.gr
        first = await phone.is_told()
        assert first.get("Subscription-State") == "pending;expires=600"
        assert first.uri == f"sip:juliet@127.0.0.1:{phone.port}"
        assert tags(first) == (response.to.tag, "bi54")
        assert (first.from_.uri.user, first.to.uri.user) == ("romeo", "juliet")
        assert await stage.presence.hears() == ("ask", WATCHES_ROMEO)
        assert await stage.presence.hears() == ("open", WATCHES_ROMEO, stage.now + 600)
        stage.presence.grant = Grant.GRANTED
        stage.tell()
        second = await phone.is_told()
        assert second.get("Subscription-State") == "active;expires=600"
        assert second.body == b""
        assert second.cseq[0] > first.cseq[0]
        stage.presence.document = Document((State("orchard", Show.AWAY),), as_of=stage.now)
        stage.tell()
        third = await phone.is_told()
        assert third.get("Content-Type") == "application/pidf+xml"
        (one,) = parse(third.body).tuples
        assert (one.id, one.basic, one.show) == ("ID-orchard", True, "away")


async def test_who_has_the_authorization_sees_at_once() -> None:
    """PRS-17, PRS-81; and one document is not told twice."""
    async with play() as (stage, phone):
        stage.presence.grant = Grant.GRANTED
        stage.presence.document = Document((State("orchard"),), as_of=stage.now)
        first, _ = await subscribed(stage, phone)
        assert first.get("Subscription-State") == "active;expires=600"
        assert parse(first.body).tuples[0].basic
        stage.tell()
        await phone.hears_nothing()


async def test_one_instance_leaves_and_the_other_remains() -> None:
    async with play() as (stage, phone):
        stage.presence.grant = Grant.GRANTED
        stage.presence.document = Document((State("a"), State("b")), as_of=stage.now)
        await subscribed(stage, phone)
        stage.presence.document = Document((State("b"),), as_of=stage.now)
        stage.tell()
        tuples = parse((await phone.is_told()).body).tuples
        assert {one.id: one.basic for one in tuples} == {"ID-a": False, "ID-b": True}


@pytest.mark.parametrize(
    ("reason", "said"), [(Reason.FORBIDDEN, "rejected"), (Reason.NOT_FOUND, "noresource"), (None, "rejected")]
)
async def test_a_refusal_ends_the_dialog(reason: Reason | None, said: str) -> None:
    """PRS-64, PRS-95, PRS-96."""
    async with play() as (stage, phone):
        _, tag = await subscribed(stage, phone)
        stage.tell(grant=Grant.REFUSED, reason=reason)
        last = await phone.is_told()
        assert last.get("Subscription-State") == f"terminated;reason={said}"
        assert last.body == b""
        assert (await phone.asks(subscribe(port=phone.port, to_tag=tag, cseq=2))).status == 481


async def test_who_would_take_a_list_is_told_of_the_one_person_who_was_named() -> None:
    """RFC 4662 section 4.1."""
    async with play() as (stage, phone):
        stage.presence.grant = Grant.GRANTED
        stage.presence.document = Document((State("orchard"),), as_of=stage.now)
        accept = (
            ("Supported", "eventlist"),
            ("Accept", "multipart/related, application/rlmi+xml, application/pidf+xml"),
        )
        response = await phone.asks(subscribe(port=phone.port, headers=accept))
        assert (response.status, response.get("Require")) == (200, None)
        told = await phone.is_told()
        assert (told.get("Content-Type"), told.get("Require")) == (PIDF_TYPE, None)
        assert parse(told.body).tuples[0].basic


@pytest.mark.parametrize("extension", ["eventlist", "recipient-list-subscribe"])
async def test_who_demands_a_list_is_told_that_there_is_none(extension: str) -> None:
    """RFC 3261 section 8.2.2.3."""
    async with play() as (_, phone):
        response = await phone.asks(subscribe(port=phone.port, headers=(("Require", extension),)))
        assert (response.status, response.get("Unsupported")) == (420, extension)


async def test_a_refresh_brings_the_state_and_nobody_else_hears_of_it() -> None:
    """PRS-80 to PRS-82."""
    async with play() as (stage, phone):
        stage.presence.grant = Grant.GRANTED
        _, tag = await subscribed(stage, phone)
        stage.presence.document = Document((State("orchard"),), as_of=stage.now)
        stage.now += 100
        response = await phone.asks(subscribe(port=phone.port, to_tag=tag, cseq=2, expires=900))
        assert (response.status, response.get("Expires")) == (200, "900")
        again = await phone.is_told()
        assert again.get("Subscription-State") == "active;expires=900"
        assert parse(again.body).tuples[0].basic
        said = [await stage.presence.hears() for _ in "123"]
        assert [one[0] for one in said[:2]] == ["ask", "open"]
        assert all(one[0] == "open" for one in said[2:])


async def test_who_ends_it_sees_everybody_go_and_keeps_the_authorization() -> None:
    """PRS-90 to PRS-93."""
    async with play() as (stage, phone):
        stage.presence.grant = Grant.GRANTED
        stage.presence.document = Document((State("orchard"),), as_of=stage.now)
        _, tag = await subscribed(stage, phone)
        assert (await phone.asks(subscribe(port=phone.port, to_tag=tag, cseq=2, expires=0))).status == 200
        last = await phone.is_told()
        assert last.get("Subscription-State") == "terminated;reason=timeout"
        assert [(one.id, one.basic) for one in parse(last.body).tuples] == [("ID-orchard", False)]
        said = [(await stage.presence.hears())[0] for _ in "1234"]
        assert said[-1] == "close"
        assert "give_back" not in said


async def test_two_telephones_of_one_watcher_are_two_dialogs_of_one_session() -> None:
    async with play() as (stage, phone):
        stage.presence.grant = Grant.GRANTED
        _, one = await subscribed(stage, phone)
        _, _ = await subscribed(stage, phone, call_id="sub-2", expires=900)
        stage.presence.document = Document((State("orchard"),), as_of=stage.now)
        stage.tell()
        calls = {(await phone.is_told()).call_id for _ in "12"}
        assert calls == {"sub-1", "sub-2"}
        await phone.asks(subscribe(port=phone.port, to_tag=one, cseq=2, expires=0))
        await phone.is_told()
        until = None
        while not stage.presence.said.empty():
            verb, *rest = await stage.presence.hears()
            assert verb != "close"
            until = rest[-1] if verb == "open" else until
        assert until == stage.now + 900


async def test_a_look_is_answered_from_what_is_known() -> None:
    """PRS-142, PRS-143."""
    async with play() as (stage, phone):
        response = await phone.asks(subscribe(port=phone.port, expires=0))
        assert (response.status, response.get("Expires")) == (200, "0")
        first = await phone.is_told()
        assert (first.get("Subscription-State"), first.body) == ("terminated;reason=timeout", b"")
        assert await stage.presence.hears() == ("fetch", WATCHES_ROMEO)
        stage.presence.grant = Grant.GRANTED
        stage.presence.document = Document((State("orchard"),), as_of=stage.now)
        await phone.asks(subscribe(port=phone.port, expires=0, call_id="sub-2"))
        second = await phone.is_told()
        assert second.get("Subscription-State") == "terminated;reason=timeout"
        assert parse(second.body).tuples[0].basic
        assert not len(stage.network.presence.audiences)


@pytest.mark.parametrize(
    ("request_", "status", "header"),
    [
        (subscribe(event="dialog"), 489, ("Allow-Events", "presence, presence.winfo")),
        (subscribe(event="presence.winfo.winfo"), 489, ("Allow-Events", "presence, presence.winfo")),
        (subscribe(event=""), 489, ("Allow-Events", "presence, presence.winfo")),
        (subscribe(headers=(("Accept", "text/plain"),)), 406, ("Accept", "application/pidf+xml")),
        (subscribe(expires=5), 423, ("Min-Expires", "60")),
        (subscribe(headers=(("Expires", "soon"),), expires=None), 400, None),
        (subscribe(contact=""), 400, None),
        (subscribe(to="sip:xmpp.example"), 404, None),
        (subscribe(to_tag="nobody"), 481, None),
        (subscribe(method="PUBLISH"), 489, None),
    ],
    ids=[
        "dialog",
        "winfo",
        "missing",
        "accept",
        "brief",
        "expires",
        "contact",
        "nobody",
        "no-dialog",
        "publish",
    ],
)
async def test_what_is_wrong_with_a_subscribe_is_said(
    request_: Request, status: int, header: tuple[str, str] | None
) -> None:
    """PRS-69."""
    async with play() as (stage, phone):
        response = await phone.asks(request_)
        assert response.status == status
        if header is not None:
            assert response.get(header[0]) == header[1]
        assert stage.presence.said.empty()


async def test_what_may_be_left_out_is_what_the_rfc_says() -> None:
    """PRS-3: an hour."""
    async with play() as (_, phone):
        response = await phone.asks(subscribe(port=phone.port, expires=None))
        assert response.get("Expires") == "3600"
        assert (await phone.is_told()).get("Subscription-State") == "pending;expires=3600"


async def test_nobody_is_subscribed_for_longer_than_the_peer_may() -> None:
    async with play(max_expires_s=300) as (_, phone):
        assert (await phone.asks(subscribe(port=phone.port, expires=9000))).get("Expires") == "300"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused(Reason.POLICY, "too many"), 403),
        (Refused(Reason.DOMAIN_NOT_FOUND, "nobody"), 404),
        (Busy(Reason.RATE, "too fast", retry_after_s=9), 480),
    ],
)
async def test_what_the_hub_refuses_is_refused_here(error: Any, status: int) -> None:
    async with play() as (stage, phone):
        stage.presence.refuse = error
        for expires in (600, 0):
            response = await phone.asks(subscribe(port=phone.port, expires=expires, call_id=f"c{expires}"))
            assert response.status == status
        await phone.hears_nothing()


async def test_routes_are_remembered_and_followed() -> None:
    async with play() as (_, phone):
        headers = (("Record-Route", f"<sip:127.0.0.1:{phone.port};lr>"),)
        response = await phone.asks(subscribe(port=phone.port, headers=headers))
        assert response.get("Record-Route") == headers[0][1]
        assert (await phone.is_told()).get("Route") == headers[0][1]


async def test_without_a_proxy_a_notify_goes_where_the_dialog_says() -> None:
    async with play(proxy="") as (_, phone):
        assert (await phone.asks(subscribe(port=phone.port))).status == 200
        await phone.is_told()


async def test_a_watcher_who_has_forgotten_is_forgotten() -> None:
    """PRS-84."""
    async with play() as (stage, phone):
        await phone.asks(subscribe(port=phone.port))
        await phone.is_told(status=481)
        while (said := await stage.presence.hears())[0] != "close":
            assert said[0] in ("ask", "open")
        assert not len(stage.network.presence.audiences)


async def test_a_refresh_out_of_order_or_of_somebody_else_is_refused() -> None:
    async with play() as (stage, phone):
        _, tag = await subscribed(stage, phone)
        assert (await phone.asks(subscribe(port=phone.port, to_tag=tag, cseq=1))).status == 500
        other = subscribe(port=phone.port, to_tag=tag, cseq=3)
        other.set("From", "<sip:juliet@sip.example>;tag=other")
        assert (await phone.asks(other)).status == 481


async def test_nobody_refreshes_the_subscription_of_somebody_else() -> None:
    async with play() as (_stage, phone):
        _, tag = await subscribed(_stage, phone)
        other = subscribe(port=phone.port, to_tag=tag, cseq=3)
        other.set("From", "<sip:tybalt@sip.example>;tag=bi54")
        assert (await phone.asks(other)).status == 481


async def test_a_watcher_has_no_more_telephones_than_anybody() -> None:
    async with play() as (stage, phone):
        for number in range(16):
            await subscribed(stage, phone, call_id=f"c{number}")
        assert (await phone.asks(subscribe(port=phone.port, call_id="one-more"))).status == 480


async def test_the_watchers_dialog_goes_on_after_a_restart() -> None:
    async with play() as (stage, phone):
        stage.presence.grant = Grant.GRANTED
        first, tag = await subscribed(stage, phone)
        data = stage.presence.kept[(WATCHES_ROMEO, "watcher")]
        port = phone.port
    async with PresenceStage(peer=peer(port)) as stage:
        person = Person(stage.port("udp"))
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: person, local_addr=("127.0.0.1", port))
        stage.people.append(person)
        phone = Telephone(person)
        stage.now += 10
        stage.presence.grant = Grant.GRANTED
        stage.network.resume(stage.presence.view(WATCHES_ROMEO, watcher_data=data), "watcher")
        await phone.hears_nothing()
        stage.presence.document = Document((State("orchard"),), as_of=stage.now)
        stage.tell()
        news = await phone.is_told()
        assert (news.call_id, tags(news)) == (first.call_id, tags(first))
        assert news.cseq[0] > first.cseq[0]
        assert (await phone.asks(subscribe(port=port, to_tag=tag, cseq=2))).status == 200


async def test_where_presence_is_not_allowed_a_subscribe_is_answered_as_ever() -> None:
    async with play(presence=False) as (_, phone):
        assert (await phone.asks(subscribe(port=phone.port))).status == 489
        assert (await phone.asks(subscribe(method="NOTIFY", to_tag="x"))).status == 481


async def test_a_large_document_goes_by_tcp_or_by_udp_where_there_is_none() -> None:
    """RFC 3261 section 18.1.1."""
    async with play() as (stage, phone):
        stage.presence.grant = Grant.GRANTED
        await subscribed(stage, phone)
        states = tuple(State(f"instance-{number}" * 8) for number in range(20))
        stage.presence.document = Document(states, as_of=stage.now)
        stage.tell()
        assert len(parse((await phone.is_told()).body).tuples) == 20


@pytest.mark.parametrize(("least_s", "most_s"), [(3600, 13_000), (60, 28_800), (60, 3600)])
async def test_each_peer_has_the_window_that_it_is_known_for(least_s: int, most_s: int) -> None:
    """CHECKLIST PRS-3, PRS-30, PRS-69: networks that take nothing outside of their own limits."""
    async with play(min_expires_s=least_s, max_expires_s=most_s) as (stage, phone):
        stage.watch(Verb.ASK)
        assert (await phone.is_told("SUBSCRIBE")).get("Expires") == str(most_s)
        brief = await phone.asks(subscribe(port=phone.port, expires=least_s - 1))
        assert (brief.status, brief.get("Min-Expires")) == (423, str(least_s))
        long = await phone.asks(subscribe(port=phone.port, expires=100_000, call_id="long"))
        assert (long.status, long.get("Expires")) == (200, str(most_s))
        assert (await phone.is_told()).get("Subscription-State") == f"pending;expires={most_s}"


def test_a_window_that_is_none_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="min_expires_s"):
        msgspec.convert({"min_expires_s": 3600, "max_expires_s": 600}, PeerSettings)
