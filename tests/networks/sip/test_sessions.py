"""Conversations as sessions, with Juliet's user agent by hand and MSRP links that are not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from networks.sip.plays import FAST, FakeDelivery, outgoing
from networks.sip.session_stage import (
    AUDIO_SDP,
    MICROSOFT_SDP,
    PEER_SDP,
    PLAIN_SDP,
    Bob,
    Incoming,
    Link,
    SessionStage,
    media_in,
)
from rialto.core.network import Outcome
from rialto.model.address import Address
from rialto.model.agreement import Traffic
from rialto.model.errors import Busy, Reason, Refused
from rialto.model.message import ChatState, Composing, Disposition, Kind, Message, Receipt
from rialto.networks.sip.sessions.seam import Result
from rialto.networks.sip.settings import Settings
from rialto.networks.sip.wire import Request, Response, parse_uri
from rialto.networks.sip.wire.call import State
from rialto.networks.sip.wire.message_media import Kind as MediaKind
from rialto.networks.sip.wire.message_media import Setup
from rialto.wire import cpim

ROMEO, JULIET = Address("romeo", "xmpp.example"), Address("juliet", "sip.example")
LONG = "O " * 3000
HASTY = Settings(listen=FAST.listen, t1_s=0.005)
"""For plays in which somebody waits for 64*T1 in vain."""


def chat(text: str = "Neither, fair saint", number: int = 1, **changes: Any) -> Message:
    fields: dict[str, Any] = {"kind": Kind.CHAT, "thread": "c0ffee"}
    return outgoing(text, number, **(fields | changes))


async def proxied(stage: SessionStage) -> Bob:
    """Juliet's server, which takes everything for her domain."""
    bob = await stage.bob()
    stage.network.trunks["bobs"].proxy = parse_uri(f"sip:127.0.0.1:{bob.person.port}")
    return bob


async def told(delivery: FakeDelivery) -> Any:
    return await asyncio.wait_for(delivery.end, 5)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def open_session(stage: SessionStage, bob: Bob, body: bytes = PEER_SDP) -> tuple[Link, FakeDelivery]:
    """A session that Romeo's first message has opened."""
    delivery = stage.deliver(chat())
    await bob.picks_up(body)
    await until(lambda: stage.links.opened)
    link = stage.links.opened[-1]
    link.opens()
    return link, delivery


async def called(stage: SessionStage, bob: Bob, body: bytes = PEER_SDP) -> Link:
    """A session that Juliet has opened."""
    bob.call(body)
    assert (await bob.is_answered()).status == 200
    await until(lambda: stage.links.opened)
    link = stage.links.opened[-1]
    link.opens()
    return link


# From XMPP to SIP (RFC 7573 section 4)


async def test_the_first_message_opens_a_session_and_waits_for_it() -> None:
    # SES-3, SES-5
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        delivery = stage.deliver(chat())
        invite, ack = await bob.picks_up()
        assert invite.call_id == "c0ffee"  # Call-ID is the thread
        assert invite.uri == "sip:juliet@sip.example"
        assert invite.from_.uri.user == "romeo"
        media = media_in(invite)
        assert media.kind is MediaKind.MSRP
        assert media.accept_types[0] == "message/cpim"  # SES-18
        assert media.setup is Setup.ACTPASS
        assert (media.host, media.port, media.max_size) == ("192.0.2.1", 2855, 100_000)  # SES-12, SES-14
        assert ack.to.tag == "juliet"
        await until(lambda: stage.links.opened)
        (link,) = stage.links.opened
        assert link.terms.active  # SES-17: whoever offers connects
        assert link.terms.media.path == ("msrp://198.51.100.7:7000/zz;tcp",)
        assert link.sent == []
        link.opens()
        (sent,) = link.sent
        assert sent.content_type == "message/cpim"
        assert b"Neither, fair saint" in sent.body
        assert not delivery.end.done()
        link.answers()
        assert await told(delivery) == "delivered 200 over MSRP"


async def test_the_messages_of_one_conversation_go_over_one_session() -> None:
    # SES-26
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        link, first = await open_session(stage, bob)
        link.answers()
        await told(first)
        second = stage.deliver(chat("If ye do swear", 2, thread="another"))
        link.answers()
        await told(second)
        assert len(link.sent) == 2
        assert link.sent[0].message_id != link.sent[1].message_id
        await bob.person.hears_nothing()


async def test_a_message_during_ringing_waits_with_the_first() -> None:
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        one, two = stage.deliver(chat("one", 1)), stage.deliver(chat("two", 2))
        invite = await bob.request("INVITE")
        bob.answers(invite, 180)
        await bob.person.hears_nothing()
        bob.answers(invite, 200, PEER_SDP)
        await bob.request("ACK")
        await until(lambda: stage.links.opened)
        link = stage.links.opened[0]
        link.opens()
        assert [b"one" in link.sent[0].body, b"two" in link.sent[1].body] == [True, True]
        link.answers()
        link.answers()
        await told(one)
        await told(two)


async def test_who_takes_plain_text_only_gets_plain_text() -> None:
    # SES-19: nothing is sent that was not signalled
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        link, _ = await open_session(stage, bob, PLAIN_SDP)
        assert link.sent[0].content_type == "text/plain;charset=UTF-8"
        assert link.sent[0].body == b"Neither, fair saint"


@pytest.mark.parametrize("status", [488, 486, 480, 405, 501, 603, 500])
async def test_a_session_that_is_declined_is_remembered_and_the_message_goes_as_a_page(status: int) -> None:
    # SES-4
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        delivery = stage.deliver(chat())
        invite = await bob.request("INVITE")
        bob.answers(invite, status)
        await bob.request("ACK")
        assert str(await told(delivery)).startswith("again: ")
        again = stage.deliver(chat())
        page = await bob.request("MESSAGE")
        assert page.body == b"Neither, fair saint"
        bob.answers(page, 200)
        assert str(await told(again)).startswith("delivered 200")
        assert stage.links.released == stage.links.reserved


@pytest.mark.parametrize(
    ("status", "reason"), [(404, Reason.NOT_FOUND), (410, Reason.GONE), (604, Reason.NOT_FOUND)]
)
async def test_where_there_is_nobody_the_message_is_told_so(status: int, reason: Reason) -> None:
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        delivery = stage.deliver(chat())
        bob.answers(await bob.request("INVITE"), status)
        assert (await delivery.error()).reason is reason


async def test_whoever_rings_for_too_long_gets_a_page() -> None:
    async with SessionStage(sessions="always", session_ring_s=1.0) as stage:
        bob = await proxied(stage)
        delivery = stage.deliver(chat())
        invite = await bob.request("INVITE")
        bob.answers(invite, 180)
        session = next(iter(stage.network.sessions.sessions))
        await until(lambda: session.call.next_timer() is not None)
        session.handle_timer(stage.network.sessions.now() + 2)
        stage.network.sessions.pump(session)
        cancel = await bob.request("CANCEL")
        assert cancel.top_via.branch == invite.top_via.branch
        bob.answers(cancel, 200)
        bob.answers(invite, 487)
        assert str(await told(delivery)).startswith("again: ")


async def test_nobody_answers_the_invite_at_all() -> None:
    async with SessionStage(settings=HASTY, sessions="always") as stage:
        bob = await proxied(stage)
        delivery = stage.deliver(chat())
        await bob.request("INVITE")
        assert str(await told(delivery)).startswith("again: ")


async def test_an_answer_that_is_none_ends_the_session_and_the_message_goes_as_a_page() -> None:
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        delivery = stage.deliver(chat())
        await bob.picks_up(AUDIO_SDP)
        bye = await bob.request("BYE")
        assert bye.to.tag == "juliet"
        assert str(await told(delivery)).startswith("again: ")


async def test_by_default_what_fits_is_a_page_and_what_does_not_is_a_session() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        page = stage.deliver(chat())
        bob.answers(await bob.request("MESSAGE"), 200)
        await told(page)
        long = stage.deliver(chat(LONG, 2))
        await bob.picks_up()
        await until(lambda: stage.links.opened)
        link = stage.links.opened[0]
        link.opens()
        link.answers()
        await told(long)
        assert LONG.strip().encode() in link.sent[0].body
        # An open session is used for everything.
        stage.deliver(chat("and a short one", 3))
        assert b"and a short one" in link.sent[1].body


async def test_what_the_recipient_could_carry_depends_on_sessions() -> None:
    async with SessionStage() as stage:
        network = stage.network
        assert network.features(stage.peer, JULIET).max_bytes == 100_000
        bob = await proxied(stage)
        delivery = stage.deliver(chat(LONG))
        bob.answers(await bob.request("INVITE"), 488)
        assert str(await told(delivery)).startswith("again: ")
        assert network.features(stage.peer, JULIET).max_bytes == 1300
    async with SessionStage(sessions="never") as stage:
        assert stage.network.features(stage.peer, JULIET).max_bytes == 1300


async def test_where_no_relay_is_ready_the_message_goes_as_a_page_and_nothing_stays_behind() -> None:
    async with SessionStage(sessions="always", session_security="tls") as stage:
        bob = await proxied(stage)
        stage.links.tls = False
        delivery = stage.deliver(chat())
        assert await told(delivery) == "again: no MSRP of that security can be had"
        assert not stage.network.sessions.conversations
        stage.deliver(chat())
        await bob.request("MESSAGE")


async def test_without_msrp_everything_is_a_page() -> None:
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        stage.network.sessions.links = None
        assert stage.network.features(stage.peer, JULIET).max_bytes == 1300
        stage.deliver(chat())
        await bob.request("MESSAGE")


async def test_no_more_sessions_than_are_allowed() -> None:
    settings = Settings(listen=FAST.listen, max_sessions=1)
    async with SessionStage(settings=settings, sessions="always") as stage:
        bob = await proxied(stage)
        await open_session(stage, bob)
        stage.deliver(chat("hi", 2, recipient=Address("nurse", "sip.example")))
        assert (await bob.request("MESSAGE")).uri == "sip:nurse@sip.example"
        bob.call(to="mercutio@xmpp.example")
        assert (await bob.hears()).status == 503


async def test_the_same_two_people_have_so_many_sessions_and_no_more() -> None:
    # SES-26
    async with SessionStage() as stage:
        bob = await proxied(stage)
        for number in range(8):
            bob.call(call_id=f"c{number}")
            assert (await bob.is_answered()).status == 200
        bob.call(call_id="c9")
        assert (await bob.hears()).status == 486


async def test_an_invite_whose_way_back_cannot_be_read_leaves_nothing_behind() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.call(PEER_SDP, ("Record-Route", "nonsense"))
        assert (await bob.hears()).status == 400
        assert not stage.network.sessions.conversations


async def test_calls_are_put_off_while_there_is_too_much_to_do() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        stage.hub.congested = True
        bob.call()
        answer = await bob.hears()
        assert (answer.status, answer.get("Retry-After")) == (503, "10")


async def test_a_second_phone_that_picks_up_is_hung_up() -> None:
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        stage.deliver(chat())
        invite, _ = await bob.picks_up()
        bob.answers(invite, 200, PEER_SDP, tag="tablet")
        heard = [await bob.hears(), await bob.hears()]
        assert sorted(one.method for one in heard) == ["ACK", "BYE"]
        assert {one.to.tag for one in heard} == {"tablet"}


async def test_a_repeated_200_is_acknowledged_again() -> None:
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        stage.deliver(chat())
        invite, _ = await bob.picks_up()
        bob.answers(invite, 200, PEER_SDP)
        assert (await bob.request("ACK")).to.tag == "juliet"


async def test_a_challenged_invite_is_sent_again_with_credentials_and_so_is_its_ack() -> None:
    # RFC 3261 section 22.1
    async with SessionStage(sessions="always", username="gw", password="secret") as stage:
        bob = await proxied(stage)
        stage.deliver(chat())
        invite = await bob.request("INVITE")
        bob.answers(
            invite, 407, b"", ("Proxy-Authenticate", 'Digest realm="b", nonce="n", algorithm=MD5, qop="auth"')
        )
        await bob.request("ACK")
        again = await bob.request("INVITE")
        assert again.get("Proxy-Authorization")
        assert again.cseq[0] > invite.cseq[0]
        bob.answers(again, 200, PEER_SDP)
        ack = await bob.request("ACK")
        assert ack.get("Proxy-Authorization") == again.get("Proxy-Authorization")
        assert ack.cseq[0] == again.cseq[0]


# What becomes of messages


async def test_a_refused_message_is_refused_and_the_session_goes_on() -> None:
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        link, delivery = await open_session(stage, bob)
        link.answers(Result.REFUSED, 403)
        assert (await delivery.error()).reason is Reason.FORBIDDEN
        stage.deliver(chat("again", 2))
        assert len(link.sent) == 2


async def test_a_message_that_is_too_large_is_not_sent_again_as_it_was() -> None:
    # SES-16
    async with SessionStage() as stage:
        bob = await proxied(stage)
        stage.deliver(chat(LONG))
        await bob.picks_up()
        await until(lambda: stage.links.opened)
        link = stage.links.opened[0]
        link.opens()
        link.answers(Result.REFUSED, 413)
        assert stage.network.features(stage.peer, JULIET).max_bytes == 3000


async def test_what_is_longer_than_they_take_is_not_even_tried() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        delivery = stage.deliver(chat(LONG))
        await bob.picks_up(PEER_SDP + b"a=max-size:2000\r\n")
        await until(lambda: stage.links.opened)
        stage.links.opened[0].opens()
        assert str(await told(delivery)).startswith("again: ")
        assert stage.links.opened[0].sent == []
        assert stage.network.features(stage.peer, JULIET).max_bytes == 2000


async def test_form_that_is_refused_is_sent_again_in_plain_words() -> None:
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        link, first = await open_session(stage, bob)
        link.answers()
        await told(first)
        delivery = stage.deliver(chat("bold", 2, rich="<p><strong>bold</strong></p>"))
        assert b"<strong>" in link.sent[-1].body
        link.answers(Result.REFUSED, 415)
        assert b"<strong>" not in link.sent[-1].body
        link.answers()
        assert await told(delivery) == "delivered 200 over MSRP"


async def test_when_the_connection_dies_the_call_ends_and_the_unconfirmed_goes_anew_under_its_name() -> None:
    # SES-28
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        link, delivery = await open_session(stage, bob)
        link.breaks()
        first = await delivery.error()
        assert isinstance(first, Busy)
        assert (first.retry_after_s or 0) < 1
        bob.answers(await bob.request("BYE"), 200)
        again = stage.deliver(chat())
        await bob.picks_up()
        await until(lambda: len(stage.links.opened) == 2)
        second = stage.links.opened[1]
        second.opens()
        assert second.sent[0].message_id == link.sent[0].message_id
        second.breaks()
        error = await again.error()
        assert isinstance(error, Busy)
        assert (error.retry_after_s or 0) > 1
        assert not error.certain


async def test_a_connection_that_can_never_be_made_is_no_session_and_the_message_goes_as_a_page() -> None:
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        delivery = stage.deliver(chat())
        await bob.picks_up()
        await until(lambda: stage.links.opened)
        stage.links.opened[0].breaks()
        assert await told(delivery) == "again: connection reset"
        await bob.request("BYE")
        stage.deliver(chat())
        await bob.request("MESSAGE")


async def test_a_success_report_is_a_receipt_and_a_failure_report_a_return() -> None:
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        link, first = await open_session(stage, bob)
        link.answers()
        await told(first)
        stage.deliver(chat("one", 2, wants=(Disposition.DELIVERED,)))
        stage.deliver(chat("two", 3, wants=(Disposition.DELIVERED,)))
        one, two = link.sent[-2:]
        assert one.success_report
        link.owner.reported(one.message_id, 200, "")
        link.owner.reported(one.message_id, 200, "")
        link.owner.reported(two.message_id, 408, "")
        assert stage.hub.receipts == [
            {
                "sender": JULIET,
                "recipient": ROMEO,
                "about": chat(number=2).id,
                "disposition": Disposition.DELIVERED,
            }
        ]
        ((about, error),) = stage.hub.came_back
        assert (about, error.reason) == (chat(number=3).id, Reason.TIMEOUT)


# From SIP to XMPP (RFC 7573 section 5)


async def test_juliet_calls_and_is_answered_by_the_gateway() -> None:
    # SES-10
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.call()
        answer = await bob.is_answered()
        assert answer.status == 200
        media = media_in(answer)
        assert media.path == ("msrp://192.0.2.1:2855/s1;tcp",)
        assert media.setup is None  # it was not asked for
        assert media.accept_types[0] == "message/cpim"
        assert answer.contacts[0].uri.user == "romeo"
        (link,) = stage.links.opened
        assert not link.terms.active


async def test_what_she_says_reaches_romeo_in_the_thread_of_the_call() -> None:
    # SES-7, SES-13
    async with SessionStage() as stage:
        bob = await proxied(stage)
        link = await called(stage, bob)
        incoming = link.says(Incoming(b"Art thou not Romeo?"))
        assert incoming.answer == 200
        ((message, origin, _),) = stage.hub.accepted
        assert (message.sender, message.recipient) == (JULIET, ROMEO)
        assert (message.text, message.thread, message.kind) == ("Art thou not Romeo?", "c1", Kind.CHAT)
        assert (origin.domain, origin.proof) == ("sip.example", "address")


async def test_a_message_is_answered_when_it_is_on_disk() -> None:
    async with SessionStage() as stage:
        stage.hub.at_once = None
        bob = await proxied(stage)
        link = await called(stage, bob)
        incoming = link.says(Incoming(b"hi"))
        assert incoming.answer is None
        stage.hub.accepted[0][2].stored()
        assert incoming.answer == 200


async def test_a_failure_that_comes_later_is_reported() -> None:
    # SES-11
    async with SessionStage() as stage:
        stage.hub.at_once = None
        bob = await proxied(stage)
        link = await called(stage, bob)
        link.says(Incoming(b"hello", message_id="m7"))
        inbound = stage.hub.accepted[0][2]
        inbound.stored()
        assert inbound.settled(Outcome.FAILED, Refused(Reason.NOT_FOUND, "nobody of that name"))
        assert link.reports == [("m7", 403, 5)]


async def test_whoever_was_not_there_a_moment_ago_can_not_be_called() -> None:
    # SES-11
    async with SessionStage() as stage:
        stage.hub.at_once = None
        bob = await proxied(stage)
        link = await called(stage, bob)
        link.says(Incoming(b"hello"))
        inbound = stage.hub.accepted[0][2]
        inbound.stored()
        inbound.settled(Outcome.FAILED, Refused(Reason.NOT_FOUND, "nobody of that name"))
        bob.call(call_id="c2")
        while (answer := await bob.hears()).call_id != "c2":
            pass
        assert answer.status == 404


async def test_whoever_wants_no_failure_reports_gets_a_notice_instead() -> None:
    async with SessionStage() as stage:
        stage.hub.at_once = None
        bob = await proxied(stage)
        link = await called(stage, bob)
        link.says(Incoming(b"hello", failure_report="no"))
        inbound = stage.hub.accepted[0][2]
        inbound.stored()
        assert not inbound.settled(Outcome.FAILED, Refused(Reason.NOT_FOUND))
        assert link.reports == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused(Reason.TOO_LARGE, "too long"), 413),
        (Refused(Reason.FORBIDDEN, "no"), 403),
        (Busy(Reason.RATE, "too fast"), 408),
    ],
)
async def test_a_message_that_the_hub_refuses_is_refused(error: Any, status: int) -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        link = await called(stage, bob)
        assert stage.hub.asked_for == [Traffic.SESSION], "leave for the session, before its messages"
        stage.hub.refuse = error
        assert link.says(Incoming(b"hi")).answer == status


async def test_what_nobody_can_read_is_415_and_what_is_malformed_is_400() -> None:
    # SES-19
    async with SessionStage() as stage:
        bob = await proxied(stage)
        link = await called(stage, bob)
        assert link.says(Incoming(b"x", "image/png")).answer == 415
        assert link.says(Incoming(b"x", "message/cpim")).answer == 400
        assert link.says(Incoming(b"x", "nonsense")).answer == 400


async def test_an_envelope_is_opened_and_its_receipt_asked_for() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        link = await called(stage, bob)
        body = (
            b'From: "Juliet" <im:juliet@sip.example>\r\nTo: <im:romeo@xmpp.example>\r\n'
            b"NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: m42\r\n"
            b"imdn.Disposition-Notification: positive-delivery, display\r\n\r\n"
            b"Content-Type: text/plain\r\n\r\nhello"
        )
        assert link.says(Incoming(body, cpim.MEDIA_TYPE)).answer == 200
        message = stage.hub.accepted[0][0]
        assert message.text == "hello"
        assert message.wants == (Disposition.DELIVERED, Disposition.DISPLAYED)


async def test_a_success_report_that_was_asked_for_is_given_when_the_receipt_comes() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        link = await called(stage, bob)
        link.says(Incoming(b"hello", message_id="m9", success_report=True))
        message = stage.hub.accepted[0][0]
        assert message.wants == (Disposition.DELIVERED,)
        receipt = Receipt(
            id="0190r",
            sender=ROMEO,
            recipient=JULIET,
            about=message.id,
            disposition=Disposition.DELIVERED,
            at=1.0,
            received_at=1.0,
            origin_id=message.origin_id,
        )
        delivery = stage.deliver(receipt)
        assert link.reports == [("m9", 200, 5)]
        assert str(await told(delivery)).startswith("delivered")


async def test_an_offer_of_audio_is_refused_as_before() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.call(AUDIO_SDP)
        answer = await bob.hears()
        assert answer.status == 488
        assert answer.get("Warning") == '304 rialto "only messages are exchanged here"'


async def test_a_session_for_files_only_is_refused() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.call(PEER_SDP + b'a=sendonly\r\na=file-selector:name:"a.jpg" type:image/jpeg size:4\r\n')
        assert (await bob.hears()).status == 488


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"nonsense", (), 400),
        (PEER_SDP.replace(b"a=path", b"a=pat"), (), 400),
        (PEER_SDP.replace(b"message/cpim text/plain text/html", b"image/png"), (), 488),
    ],
)
async def test_what_is_no_offer_for_us_is_refused(body: bytes, headers: Any, status: int) -> None:
    # SES-25
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.call(body, *headers)
        assert (await bob.hears()).status == status
        assert not stage.network.sessions.sessions


async def test_a_body_of_another_type_is_415() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        request = bob.asks("INVITE", 1, ("Content-Type", "application/isup"), body=b"x")
        bob.person.say(request)
        answer = await bob.hears()
        assert (answer.status, answer.get("Accept")) == (415, "application/sdp")


async def test_whoever_could_not_be_written_to_can_not_be_called() -> None:
    # SES-11
    async with SessionStage() as stage:
        bob = await proxied(stage)
        stage.hub.refuse = Refused(Reason.DOMAIN_NOT_FOUND, "nobody here can reach that")
        bob.call()
        assert (await bob.hears()).status == 404


async def test_no_sessions_means_488_to_every_invite() -> None:
    async with SessionStage(sessions="never") as stage:
        bob = await proxied(stage)
        bob.call()
        assert (await bob.hears()).status == 488


async def test_where_all_is_tls_sessions_are_too() -> None:
    async with SessionStage(transports=("tls",)) as stage:
        bob = await proxied(stage)
        assert stage.peer.features.encrypted
        bob.call()
        assert (await bob.hears()).status == 488
    async with SessionStage(transports=("tls",), session_security="tcp") as stage:
        assert not stage.peer.features.encrypted


async def test_tls_can_be_demanded() -> None:
    # SES-24
    async with SessionStage(session_security="tls") as stage:
        bob = await proxied(stage)
        bob.call()
        assert (await bob.hears()).status == 488
        secured = PEER_SDP.replace(b"TCP/MSRP", b"TCP/TLS/MSRP").replace(b"msrp:", b"msrps:")
        bob.call(secured, call_id="c2")
        answer = await bob.is_answered()
        assert media_in(answer).secure


async def test_who_can_not_do_tls_refuses_it() -> None:
    async with SessionStage() as stage:
        stage.links.tls = False
        bob = await proxied(stage)
        bob.call(PEER_SDP.replace(b"TCP/MSRP", b"TCP/TLS/MSRP").replace(b"msrp:", b"msrps:"))
        assert (await bob.hears()).status == 488
        assert not stage.network.sessions.sessions


async def test_a_call_without_an_offer_gets_ours() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.call(b"")
        answer: Response = await bob.hears()
        media = media_in(answer)
        assert media.setup is Setup.ACTPASS
        assert stage.links.opened == []
        ack = bob.asks(
            "ACK", 1, ("Content-Type", "application/sdp"), body=PEER_SDP, to_tag=answer.to.tag or ""
        )
        bob.person.say(ack)
        await until(lambda: stage.links.opened)
        assert stage.links.opened[0].terms.active


async def test_setup_says_who_connects() -> None:
    # RFC 6135
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.call(PEER_SDP + b"a=setup:passive\r\n")
        assert media_in(await bob.is_answered()).setup is Setup.ACTIVE
        assert stage.links.opened[0].terms.active


# The end


async def test_juliet_hangs_up_and_romeo_sees_her_gone() -> None:
    # SES-8
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.call()
        answer = await bob.is_answered()
        link = stage.links.opened[0]
        link.opens()
        bob.person.say(bob.asks("BYE", 2, to_tag=answer.to.tag or ""))
        assert (await bob.hears()).status == 200
        assert stage.hub.composed == [
            Composing(sender=JULIET, recipient=ROMEO, state=ChatState.GONE, thread="c1")
        ]
        assert link.closed
        bob.person.say(bob.asks("BYE", 3, to_tag=answer.to.tag or ""))
        assert (await bob.hears()).status == 481


async def test_romeo_leaves_and_the_call_ends() -> None:
    # SES-9
    async with SessionStage() as stage:
        bob = await proxied(stage)
        link = await called(stage, bob)
        gone = Composing(sender=ROMEO, recipient=JULIET, state=ChatState.GONE)
        stage.network.compose(stage.peer, gone)
        bye = await bob.request("BYE")
        assert bye.to.tag == "hers"
        bob.answers(bye, 200)
        assert link.closed
        assert stage.hub.composed == []


async def test_a_session_in_which_nothing_is_said_ends() -> None:
    # SES-9
    async with SessionStage(session_idle_s=60.0) as stage:
        bob = await proxied(stage)
        await called(stage, bob)
        sessions = stage.network.sessions
        (session,) = sessions.sessions
        session.handle_timer(sessions.now() + 59)
        assert not session.leaving
        session.handle_timer(sessions.now() + 61)
        sessions.pump(session)
        await bob.request("BYE")
        assert [one.state for one in stage.hub.composed] == [ChatState.GONE]


async def test_going_down_hangs_up() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        await called(stage, bob)
        (session,) = stage.network.sessions.sessions
        await until(lambda: session.call.state is State.UP)
        await stage.network.stop(1)
        await bob.request("BYE")


async def test_a_call_that_is_never_acknowledged_ends() -> None:
    async with SessionStage(settings=HASTY) as stage:
        bob = await proxied(stage)
        bob.call()
        heard: list[Any] = []
        while not heard or isinstance(heard[-1], Response):
            heard.append(await bob.hears())
        assert len(heard) > 5
        assert isinstance(heard[-1], Request)
        assert heard[-1].method == "BYE"


# Both at once


async def test_when_both_call_ours_is_called_off_and_what_waits_goes_over_theirs() -> None:
    # SES-27
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        delivery = stage.deliver(chat())
        invite = await bob.request("INVITE")
        bob.answers(invite, 180)
        bob.call()
        assert (await bob.is_answered()).status == 200
        await until(lambda: stage.links.opened)
        link = stage.links.opened[0]
        link.opens()
        assert b"Neither, fair saint" in link.sent[0].body
        cancel = await bob.request("CANCEL")
        bob.answers(cancel, 200)
        bob.answers(invite, 487)
        link.answers()
        await told(delivery)
        await until(lambda: len(stage.network.sessions) == 1)
        assert stage.network.features(stage.peer, JULIET).max_bytes == 100_000  # she declined nothing


async def test_of_two_sessions_the_older_is_spoken_over_and_both_are_heard() -> None:
    # SES-27
    async with SessionStage(sessions="always") as stage:
        bob = await proxied(stage)
        ours, first = await open_session(stage, bob)
        ours.answers()
        await told(first)
        theirs = await called(stage, bob)
        stage.deliver(chat("by which?", 2))
        assert len(ours.sent) == 2
        assert theirs.sent == []
        theirs.says(Incoming(b"hi"))
        ours.says(Incoming(b"ho", message_id="m2"))
        assert [message.text for message, _, _ in stage.hub.accepted] == ["hi", "ho"]


# Typing


async def test_typing_goes_over_the_session_both_ways() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        link = await called(stage, bob)
        writing = Composing(sender=ROMEO, recipient=JULIET, state=ChatState.COMPOSING)
        stage.network.compose(stage.peer, writing)
        assert b"<state>active</state>" in link.sent[0].body
        assert link.sent[0].failure_report == "no"
        document = (
            b'<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>active</state>'
            b"<refresh>90</refresh></isComposing>"
        )
        assert link.says(Incoming(document, "application/im-iscomposing+xml")).answer == 200
        (session,) = stage.network.sessions.sessions
        session.handle_timer(stage.network.sessions.now() + 91)
        assert [one.state for one in stage.hub.composed] == [ChatState.COMPOSING, ChatState.PAUSED]
        assert stage.hub.accepted == []


async def test_typing_is_repeated_before_it_lapses_and_ended_by_a_message() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        link = await called(stage, bob)
        stage.network.compose(
            stage.peer, Composing(sender=ROMEO, recipient=JULIET, state=ChatState.COMPOSING)
        )
        (session,) = stage.network.sessions.sessions
        session.handle_timer(stage.network.sessions.now() + 101)
        assert len(link.sent) == 2
        stage.deliver(chat())
        session.handle_timer(stage.network.sessions.now() + 250)
        assert len(link.sent) == 3


# Other requests in the dialog


async def test_the_same_offer_again_gets_the_same_answer() -> None:
    # RFC 4975 section 8.4
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.call()
        first = await bob.is_answered()
        stage.links.opened[0].opens()
        again = bob.asks(
            "INVITE", 2, ("Content-Type", "application/sdp"), body=PEER_SDP, to_tag=first.to.tag or ""
        )
        bob.person.say(again)
        second = await bob.is_answered()
        assert second.status == 200
        assert second.body == first.body
        assert len(stage.links.opened) == 1


async def test_an_offer_with_another_path_moves_the_session() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.call()
        first = await bob.is_answered()
        stage.links.opened[0].opens()
        moved = PEER_SDP.replace(b"/zz;tcp", b"/yy;tcp").replace(b"juliet 5 5", b"juliet 5 6")
        bob.person.say(
            bob.asks("INVITE", 2, ("Content-Type", "application/sdp"), body=moved, to_tag=first.to.tag or "")
        )
        second = await bob.is_answered()
        assert second.status == 200
        assert stage.links.opened[0].closed
        assert stage.links.opened[1].terms.media.path == ("msrp://198.51.100.7:7000/yy;tcp",)
        assert media_in(second).path != media_in(first).path


async def test_an_offer_that_can_not_be_taken_leaves_the_session_as_it_was() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.call()
        first = await bob.is_answered()
        stage.links.opened[0].opens()
        audio = AUDIO_SDP
        bob.person.say(
            bob.asks("INVITE", 2, ("Content-Type", "application/sdp"), body=audio, to_tag=first.to.tag or "")
        )
        assert (await bob.hears()).status == 488
        assert not stage.links.opened[0].closed


@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "INVITE"])
async def test_what_belongs_to_no_session_is_481(method: str) -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.person.say(bob.asks(method, 5, to_tag="nobody"))
        assert (await bob.hears()).status == 481


async def test_an_update_refreshes() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.call(PEER_SDP, ("Supported", "timer"), ("Session-Expires", "600;refresher=uac"))
        answer = await bob.is_answered()
        assert answer.get("Session-Expires") == "600;refresher=uac"
        update = bob.asks(
            "UPDATE", 2, ("Supported", "timer"), ("Session-Expires", "600"), to_tag=answer.to.tag or ""
        )
        bob.person.say(update)
        assert (await bob.hears()).status == 200


async def test_an_info_that_says_nothing_to_us_is_refused() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.call()
        tag = (await bob.is_answered()).to.tag or ""
        bob.person.say(bob.asks("INFO", 2, ("Content-Type", "a/b"), body=b"x", to_tag=tag))
        assert (await bob.hears()).status == 415
        bob.person.say(bob.asks("INFO", 3, to_tag=tag))
        assert (await bob.hears()).status == 200


# Microsoft's kind


async def test_juliet_on_lync_calls_and_writes_within_the_dialog() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.call(MICROSOFT_SDP)
        answer = await bob.is_answered()
        assert answer.status == 200
        assert b"m=message 5060 sip sip:romeo@xmpp.example" in answer.body
        tag = answer.to.tag or ""
        bob.person.say(
            bob.asks(
                "MESSAGE",
                2,
                ("Content-Type", "text/plain; charset=UTF-8"),
                body=b"hello",
                to_tag=tag,
                uri="sip:romeo@127.0.0.1:5060;gr=gw",
            )
        )
        assert (await bob.hears()).status == 200
        ((message, _, _),) = stage.hub.accepted
        assert (message.text, message.recipient, message.thread) == ("hello", ROMEO, "c1")
        delivery = stage.deliver(chat("and you", 2))
        sent = await bob.request("MESSAGE")
        assert sent.to.tag == "hers"
        assert sent.body == b"and you"
        bob.answers(sent, 200)
        assert await told(delivery) == "delivered 200 over MESSAGE in its dialog"


async def test_keyboard_activity_is_typing() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        bob.call(MICROSOFT_SDP)
        tag = (await bob.is_answered()).to.tag or ""
        for number, word in ((2, "type"), (3, "idle")):
            body = f'<KeyboardActivity><status status="{word}"/></KeyboardActivity>'.encode()
            bob.person.say(
                bob.asks("INFO", number, ("Content-Type", "application/xml"), body=body, to_tag=tag)
            )
            assert (await bob.hears()).status == 200
        assert [one.state for one in stage.hub.composed] == [ChatState.COMPOSING, ChatState.ACTIVE]
        stage.network.compose(
            stage.peer, Composing(sender=ROMEO, recipient=JULIET, state=ChatState.COMPOSING)
        )
        info = await bob.request("INFO")
        assert info.body == b'<KeyboardActivity><status status="type"/></KeyboardActivity>'
        bob.answers(info, 200)


async def test_the_first_words_may_come_in_the_invite() -> None:
    async with SessionStage() as stage:
        bob = await proxied(stage)
        words = ("Ms-Text-Format", "text/plain; charset=UTF-8;msgr=WAAtAE0;ms-body=SGVsbG8gdGhlcmU=")
        bob.call(MICROSOFT_SDP, words)
        answer = await bob.is_answered()
        assert "ms-text-format" in (answer.get("Supported") or "") + str(answer.get_all("Supported"))
        ((message, _, _),) = stage.hub.accepted
        assert message.text == "Hello there"


async def test_we_open_a_microsoft_session_where_the_peer_is_of_that_kind() -> None:
    async with SessionStage(sessions="always", session_kind="microsoft") as stage:
        bob = await proxied(stage)
        delivery = stage.deliver(chat())
        invite, _ = await bob.picks_up(MICROSOFT_SDP)
        assert b"m=message 5060 sip null" in invite.body
        sent = await bob.request("MESSAGE")
        assert (sent.to.tag, sent.body) == ("juliet", b"Neither, fair saint")
        bob.answers(sent, 200)
        assert str(await told(delivery)).startswith("delivered")


async def test_a_message_to_a_session_that_is_gone_is_told_so_where_the_peer_speaks_microsoft() -> None:
    async with SessionStage(session_kind="microsoft") as stage:
        bob = await proxied(stage)
        bob.person.say(bob.asks("MESSAGE", 2, ("Content-Type", "text/plain"), body=b"x", to_tag="old"))
        assert (await bob.hears()).status == 481


async def test_a_dialog_that_is_gone_ends_the_session_and_the_message_goes_anew() -> None:
    async with SessionStage(sessions="always", session_kind="microsoft") as stage:
        bob = await proxied(stage)
        delivery = stage.deliver(chat())
        await bob.picks_up(MICROSOFT_SDP)
        bob.answers(await bob.request("MESSAGE"), 481)
        assert isinstance(await delivery.error(), Busy)
        await until(lambda: not stage.network.sessions.sessions)
