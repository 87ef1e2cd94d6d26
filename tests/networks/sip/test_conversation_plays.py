"""Receipts, typing notices and form between Juliet, who has a SIP telephone, and the hub."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from networks.sip.plays import Person, Stage, message, outgoing
from rialto.model.address import Address
from rialto.model.errors import Busy, Reason
from rialto.model.message import ChatState, Composing, Disposition, File, Message, Receipt, Report
from rialto.networks.sip import bodies
from rialto.networks.sip.abilities import COMPOSING, CPIM
from rialto.networks.sip.envelopes import message_id_for
from rialto.networks.sip.settings import PeerSettings, Settings
from rialto.networks.sip.wire import Request, response_to
from rialto.wire import imdn, iscomposing
from rialto.wire.imdn import Imdn
from rialto.wire.iscomposing import IsComposing

ROMEO = Address("romeo", "xmpp.example")
JULIET = Address("juliet", "sip.example")
SECRET = b"s" * 32
BOTH = (Disposition.DELIVERED, Disposition.DISPLAYED)
ASKING = """From: Juliet <sip:juliet@sip.example>
To: <sip:romeo@xmpp.example>
DateTime: 2027-01-15T07:00:00+01:00
NS: imdn <urn:ietf:params:imdn>
imdn.Message-ID: 34jk324j
imdn.Disposition-Notification: positive-delivery, negative-delivery, display

Content-Type: text/plain

O happy dagger"""
ENVELOPE = """From: <sip:juliet@sip.example>
To: <sip:romeo@xmpp.example>
NS: imdn <urn:ietf:params:imdn>
imdn.Message-ID: {}

Content-Type: {}
Content-Disposition: notification

{}"""


def peer(**settings: Any) -> PeerSettings:
    return PeerSettings(trust=("address",), addresses=("127.0.0.1",), **settings)


def juliets(person: Person, **settings: Any) -> PeerSettings:
    """The peer, whose users are all reached at one telephone."""
    return peer(proxy=f"sip:127.0.0.1:{person.port}", **settings)


class House(Stage):
    """The stage, with Juliet's telephone where messages for her go."""

    def __init__(self, *, t1_s: float = 0.5, **settings: Any) -> None:
        self._more = settings
        self._t1_s = t1_s
        self.juliet: Person

    async def __aenter__(self) -> House:
        self.juliet = Person(0)
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self.juliet, local_addr=("127.0.0.1", 0))
        super().__init__(
            peer=juliets(self.juliet, transports=("udp",), **self._more),
            settings=Settings(listen=("udp:127.0.0.1:0", "tcp:127.0.0.1:0"), t1_s=self._t1_s),
        )
        await super().__aenter__()
        self.juliet._to = ("127.0.0.1", self.port("udp"))
        self.people.append(self.juliet)
        return self

    def writes(self, state: ChatState = ChatState.COMPOSING, sender: Address = ROMEO, **more: Any) -> None:
        self.network.compose(self.peer, Composing(sender=sender, recipient=JULIET, state=state, **more))

    async def juliet_says(self, text: str = "Romeo", **more: Any) -> Any:
        self.juliet.say(message(text, **more))
        return await self.juliet.hears()


def inside(request: Request) -> bodies.Said:
    return bodies.read(request.content_type, request.body)


def receipt(origin_id: str, **changes: Any) -> Receipt:
    fields: dict[str, Any] = {
        "id": "0190aaaaaaaaaaaaaaaaaaa",
        "sender": ROMEO,
        "recipient": JULIET,
        "about": "0190bbbbbbbbbbbbbbbbbbb",
        "disposition": Disposition.DISPLAYED,
        "at": 1_800_000_000.0,
        "received_at": 1_800_000_000.0,
        "origin_id": origin_id,
    }
    return Receipt(**(fields | changes))


def enveloped(text: str) -> dict[str, Any]:
    return {"body": text.replace("\r\n", "\n").replace("\n", "\r\n").encode(), "content_type": "message/cpim"}


async def asked(house: House) -> Message:
    """Juliet sends a message that asks for receipts."""
    answer = await house.juliet_says(**enveloped(ASKING), branch="z9hG4bKasking")
    assert answer.status == 200
    return house.hub.accepted[-1][0]


# Receipts, to SIP


async def test_what_juliet_asks_for_reaches_the_hub() -> None:  # RCT-11, RCT-12
    async with House() as house:
        said = await asked(house)
        assert said.text == "O happy dagger"
        assert said.wants == BOTH
        assert said.nick == "Juliet"


@pytest.mark.parametrize(
    ("disposition", "kind", "status"),
    [
        (Disposition.DELIVERED, "delivery", "delivered"),
        (Disposition.DISPLAYED, "display", "displayed"),
        (Disposition.PROCESSED, "processing", "processed"),
    ],
)
async def test_juliet_is_told_of_the_message_that_she_sent(
    disposition: Disposition, kind: str, status: str
) -> None:  # RCT-13: the id that is confirmed is the id that was sent
    async with House() as house:
        said = await asked(house)
        house.deliver(receipt(said.origin_id, disposition=disposition))
        request = await house.juliet.answers(200)
        assert request.uri == "sip:juliet@sip.example"
        assert request.get("Content-Type") == "message/cpim"
        assert b"Content-Disposition: notification\r\n" in request.body
        assert b"Disposition-Notification:" not in request.body
        found = inside(request)
        assert found.imdns == (
            Imdn(
                message_id="34jk324j",
                datetime="2027-01-15T07:00:00+01:00",
                kind=kind,
                status=status,
                recipient_uri="sip:romeo@xmpp.example",
            ),
        )
        assert found.envelope is not None
        assert found.envelope.message_id not in ("", "34jk324j")


async def test_notifications_go_the_way_that_was_asked_for() -> None:
    async with House() as house:
        wanted = ASKING.replace(
            "imdn.Disposition",
            "imdn.IMDN-Record-Route: <sip:imdn@relay.sip.example>\n"
            "imdn.IMDN-Record-Route: <sip:x@evil.example>\n"
            "imdn.Original-To: <sip:list@xmpp.example>\n"
            "imdn.Disposition",
        )
        answer = await house.juliet_says(**enveloped(wanted))
        assert answer.status == 200
        house.deliver(receipt(house.hub.accepted[-1][0].origin_id))
        request = await house.juliet.answers(200)
        assert request.uri == "sip:imdn@relay.sip.example"
        routes = re.findall(rb"imdn.IMDN-Route: <(.*)>", request.body)
        assert routes == [b"sip:imdn@relay.sip.example", b"sip:x@evil.example"]
        assert inside(request).imdns[0].original_recipient_uri == "sip:list@xmpp.example"


async def test_nobody_can_send_our_notifications_to_a_stranger() -> None:  # RFC 5438 section 14
    async with House() as house:
        route = "imdn.IMDN-Record-Route: <sip:victim@elsewhere.example>\nimdn.Disposition"
        await house.juliet_says(**enveloped(ASKING.replace("imdn.Disposition", route)))
        house.deliver(receipt(house.hub.accepted[-1][0].origin_id))
        assert (await house.juliet.answers(200)).uri == "sip:juliet@sip.example"


async def test_a_receipt_of_what_asked_for_none_goes_nowhere() -> None:
    async with House() as house:
        delivery = house.deliver(receipt("z9hG4bKplain"))
        assert (await delivery.error()).reason is Reason.NOT_SUPPORTED
        await house.juliet.hears_nothing()


async def test_a_peer_without_receipts_is_not_heard_asking() -> None:
    async with House(receipts=False) as house:
        said = await asked(house)
        assert said.wants == ()
        assert said.origin_id == "z9hG4bKasking"
        assert house.peer.features.receipts == ()


@pytest.mark.parametrize(
    ("reason", "certain", "status"),
    [
        (Reason.UNREACHABLE, True, "failed"),
        (Reason.FORBIDDEN, True, "failed"),
        (Reason.TIMEOUT, False, "error"),
    ],
)
@pytest.mark.parametrize("failure_notice", [True, False])
async def test_a_failure_is_told_as_it_was_asked_for(
    reason: Reason, certain: bool, status: str, failure_notice: bool
) -> None:  # RCT-14
    async with House(failure_notice=failure_notice) as house:
        said = await asked(house)
        house.deliver(failed(said.origin_id, reason=reason, certain=certain))
        [told] = inside(await house.juliet.answers(200)).imdns
        assert (told.message_id, told.kind, told.status) == ("34jk324j", "delivery", status)


async def test_a_failure_is_told_in_words_to_who_did_not_ask() -> None:
    async with House() as house:
        house.deliver(failed("z9hG4bKplain"))
        request = await house.juliet.answers(200)
        assert request.get("Content-Type") == "text/plain;charset=UTF-8"
        assert b"was not delivered" in request.body


def failed(origin_id: str, **changes: Any) -> Report:
    fields: dict[str, Any] = {
        "id": "0190aaaaaaaaaaaaaaaaaaa",
        "sender": ROMEO,
        "recipient": JULIET,
        "about": "0190bbbbbbbbbbbbbbbbbbb",
        "reason": Reason.UNREACHABLE,
        "received_at": 1_800_000_000.0,
        "origin_id": origin_id,
    }
    return Report(**(fields | changes))


# Receipts, from SIP


async def test_romeos_question_is_asked_in_an_envelope() -> None:  # RCT-11, RCT-12
    async with House() as house:
        sent = outgoing("Shall I hear more?", wants=BOTH, nick="Romeo")
        house.deliver(sent)
        request = await house.juliet.answers(200)
        found = inside(request)
        assert found.text == "Shall I hear more?"
        assert found.envelope is not None
        assert found.envelope.wants == BOTH
        assert found.envelope.wants_failure
        assert found.envelope.message_id == message_id_for(sent.id, SECRET)
        assert found.envelope.nick == "Romeo"


async def test_what_asks_for_nothing_goes_without_an_envelope() -> None:
    async with House() as house:
        house.deliver(outgoing("Shall I speak at this?"))
        request = await house.juliet.answers(200)
        assert request.get("Content-Type") == "text/plain;charset=UTF-8"


async def test_an_envelope_can_be_had_for_everything() -> None:
    async with House(cpim="always") as house:
        house.deliver(outgoing("Shall I speak at this?"))
        assert inside(await house.juliet.answers(200)).envelope is not None
        house.writes()
        await house.juliet.hears_nothing()  # she has not written yet


@pytest.mark.parametrize(
    ("kind", "status", "disposition"),
    [
        ("delivery", "delivered", Disposition.DELIVERED),
        ("display", "displayed", Disposition.DISPLAYED),
        ("processing", "processed", Disposition.PROCESSED),
        ("processing", "stored", Disposition.PROCESSED),
    ],
)
async def test_what_juliet_confirms_is_what_was_sent(
    kind: str, status: str, disposition: Disposition
) -> None:  # RCT-11
    async with House() as house:
        answer = await tells(house, "0190bbbbbbbbbbbbbbbbbbb.2", kind, status)
        assert answer.status == 200
        [told] = house.hub.receipts
        assert told["about"] == "0190bbbbbbbbbbbbbbbbbbb.2"
        assert told["disposition"] is disposition
        assert (told["sender"], told["recipient"]) == (JULIET, ROMEO)
        assert house.hub.accepted == []


@pytest.mark.parametrize(("status", "certain"), [("failed", True), ("error", False)])
async def test_what_failed_after_all_comes_back(status: str, certain: bool) -> None:
    async with House() as house:
        answer = await tells(house, "0190bbbbbbbbbbbbbbbbbbb", "delivery", status)
        assert answer.status == 200
        [(message_id, error)] = house.hub.came_back
        assert (message_id, error.reason) == ("0190bbbbbbbbbbbbbbbbbbb", Reason.UNAVAILABLE)
        assert error.certain is certain
        assert house.hub.receipts == []


@pytest.mark.parametrize("kind", ["delivery", "display", "processing"])
async def test_a_notification_that_is_denied_says_nothing_of_the_message(kind: str) -> None:
    async with House() as house:
        assert (await tells(house, "0190bbbbbbbbbbbbbbbbbbb", kind, "forbidden")).status == 200
        assert house.hub.came_back == []
        assert house.hub.receipts == []


async def test_a_forged_message_id_is_let_be() -> None:
    async with House() as house:
        answer = await tells(
            house, "", "display", "displayed", name="0190bbbbbbbbbbbbbbbbbbb-0000000000000000"
        )
        assert answer.status == 200
        assert house.hub.receipts == []
        assert ("ignored", "sip", "receipt") in house.hub.counted


async def test_a_receipt_that_cannot_be_kept_is_sent_again() -> None:
    async with House() as house:
        house.hub.refuse = Busy(Reason.CONGESTION, "too many receipts", retry_after_s=3)
        answer = await tells(house, "0190bbbbbbbbbbbbbbbbbbb", "display", "displayed")
        assert answer.status == 503
        assert answer.get("Retry-After") == "3"


async def test_a_peer_without_receipts_is_told_that_there_are_none() -> None:
    async with House(receipts=False) as house:
        assert (await tells(house, "0190bbbbbbbbbbbbbbbbbbb", "display", "displayed")).status == 415


async def tells(house: House, about: str, kind: str, status: str, name: str = "") -> Any:
    document = imdn.write(
        Imdn(message_id=name or message_id_for(about, SECRET), datetime="", kind=kind, status=status)
    )
    body = ENVELOPE.format("d834jied93rf", "message/imdn+xml", document.decode())
    return await house.juliet_says(**enveloped(body))


# What a contact does not take


@pytest.mark.parametrize("status", [415, 406])
async def test_who_refuses_an_envelope_gets_plain_text_from_then_on(status: int) -> None:  # liblinphone#215
    async with House() as house:
        first = house.deliver(outgoing("one", 1, wants=BOTH))
        await house.juliet.answers(status, (("Accept", "text/plain"),))
        assert await asyncio.wait_for(first.end, 5) == "again"
        assert house.network.features(house.peer, JULIET).receipts == ()
        house.deliver(outgoing("one", 1))  # what the hub makes of it
        request = await house.juliet.answers(200)
        assert request.get("Content-Type") == "text/plain;charset=UTF-8"
        assert house.network.features(house.peer, Address("nurse", "sip.example")).receipts != ()
        assert any("cpim" in value for value in house.hub.memory.values()), "over restarts"


async def test_who_sends_an_envelope_can_take_one_after_all() -> None:
    async with House() as house:
        house.hub.memory["lacks juliet@sip.example"] = f"{COMPOSING} {CPIM}"
        await asked(house)
        assert house.network.features(house.peer, JULIET).receipts == house.peer.features.receipts
        assert not house.network.features(house.peer, JULIET).composing


async def test_an_envelope_that_must_be_is_not_given_up() -> None:
    async with House(cpim="always") as house:
        delivery = house.deliver(outgoing("one", wants=BOTH))
        await house.juliet.answers(415)
        assert (await delivery.error()).reason is Reason.NOT_ACCEPTABLE


async def test_another_refusal_teaches_nothing() -> None:
    async with House() as house:
        delivery = house.deliver(outgoing("one", wants=BOTH))
        await house.juliet.answers(404)
        assert (await delivery.error()).reason is Reason.NOT_FOUND
        assert house.hub.memory == {}


async def test_form_is_given_up_and_the_envelope_kept_where_only_form_was_the_trouble() -> None:
    async with House(html="alternative") as house:
        delivery = house.deliver(outgoing("b", rich="<p><strong>b</strong></p>", wants=BOTH))
        request = await house.juliet.answers(415, (("Accept", "text/plain, message/cpim"),))
        assert inside(request).rich
        assert await asyncio.wait_for(delivery.end, 5) == "again"
        features = house.network.features(house.peer, JULIET)
        assert not features.rich
        assert features.receipts == house.peer.features.receipts


async def test_files_go_as_documents_to_those_who_want_them() -> None:
    async with House(files="rcs") as house:
        assert house.peer.features.files == "rcs"
        file = File(url="https://files.example/a", name="a.txt", size_bytes=3)
        house.deliver(outgoing("https://files.example/a", files=(file,)))
        [found] = inside(await house.juliet.answers(200)).files
        assert (found.url, found.name) == (file.url, file.name)


# Typing, from SIP


def writing(*, active: bool = True, refresh_s: int | None = 60) -> dict[str, Any]:
    document = iscomposing.write(IsComposing(active=active, refresh_s=refresh_s))
    return {"body": document, "content_type": iscomposing.MEDIA_TYPE}


async def test_juliet_is_seen_to_write_and_to_stop() -> None:
    async with House() as house:
        for number, active in enumerate([True, True, False, False]):
            answer = await house.juliet_says(
                **writing(active=active), branch=f"z9hG4bK{number}", cseq=number + 1
            )
            assert answer.status == 200
        assert [one.state for one in house.hub.composed] == [ChatState.COMPOSING, ChatState.ACTIVE]
        assert house.hub.accepted == [], "never a message"


async def test_in_an_envelope_as_well() -> None:
    async with House() as house:
        document = iscomposing.write(IsComposing(active=True)).decode()
        body = ENVELOPE.format("1", iscomposing.MEDIA_TYPE, document).replace("\r\n", "\n")
        answer = await house.juliet_says(
            body=body.replace("\n", "\r\n").encode(), content_type="message/cpim"
        )
        assert answer.status == 200
        assert [one.state for one in house.hub.composed] == [ChatState.COMPOSING]


async def test_what_is_not_repeated_lapses() -> None:  # TYP-6, TYP-8
    async with House() as house:
        await house.juliet_says(**writing(refresh_s=1))
        house.hub.arrived.clear()
        later(house, 1.5)
        await asyncio.wait_for(house.hub.arrived.wait(), 5)
        assert [one.state for one in house.hub.composed] == [ChatState.COMPOSING, ChatState.PAUSED]


async def test_a_message_ends_it_without_a_word() -> None:
    async with House() as house:
        await house.juliet_says(**writing(refresh_s=1))
        await house.juliet_says("there", branch="z9hG4bKthere", cseq=2)
        later(house, 1.5)
        await house.juliet.hears_nothing()
        assert [one.state for one in house.hub.composed] == [ChatState.COMPOSING]


async def test_who_wants_no_typing_notices_says_so() -> None:  # TYP-9
    async with House(composing="never") as house:
        assert (await house.juliet_says(**writing())).status == 415
        await house.juliet_says("plain", branch="z9hG4bKplain", cseq=2)
        assert not house.hub.accepted[-1][0].chat_states
        house.writes()
        await house.juliet.hears_nothing()


async def test_her_messages_say_that_she_can_be_told_of_writing() -> None:  # TYP-11
    async with House() as house:
        await house.juliet_says("hello")
        assert house.hub.accepted[-1][0].chat_states
        house.hub.memory["lacks juliet@sip.example"] = COMPOSING
        await house.juliet_says("hello", branch="z9hG4bKtwo", cseq=2)
        assert not house.hub.accepted[-1][0].chat_states


# Typing, to SIP


def later(house: House, seconds: float) -> None:
    """Let the clock of the typing notices go on."""
    talks = house.network.talks
    now = talks._now

    def then() -> float:
        return now() + seconds

    talks._now = then
    talks._agenda._clock = then
    talks._agenda._tick()


async def conversation(house: House) -> None:
    """Juliet has written to Romeo."""
    assert (await house.juliet_says("Romeo?", branch="z9hG4bKfirst")).status == 200


async def test_juliet_sees_romeo_write_again_and_again_until_he_stops() -> None:  # TYP-7, TYP-8, TYP-10
    async with House() as house:
        await conversation(house)
        house.writes()
        request = await house.juliet.answers(200)
        assert request.get("Content-Type") == "application/im-iscomposing+xml"
        assert "Contact" not in request.firsts  # MSG-16
        assert inside(request).composing == IsComposing(active=True, refresh_s=120, content_type="text/plain")
        assert int(request.get("Expires") or 0) <= 120, "nobody shall keep it"
        later(house, 101)
        again = await house.juliet.answers(200)
        assert inside(again).composing == inside(request).composing
        house.writes(ChatState.PAUSED)
        over = inside(await house.juliet.answers(200)).composing
        assert over is not None
        assert not over.active
        later(house, 300)
        await house.juliet.hears_nothing()
        assert house.network.talks.lines == {}


async def test_nobody_is_told_before_they_have_written() -> None:  # TYP-9
    async with House() as house:
        house.writes()
        await house.juliet.hears_nothing()
    async with House(composing="always") as house:
        house.writes()
        await house.juliet.answers(200)


async def test_what_was_begun_before_her_message_came_is_an_answer() -> None:
    async with House() as house:
        house.writes()
        await house.juliet.hears_nothing()
        house.juliet.say(message("Romeo?"))
        heard = [await house.juliet.hears(), await house.juliet.hears()]
        [request] = [one for one in heard if isinstance(one, Request)]
        assert inside(request).composing is not None
        house.juliet.say(response_to(request, 200, to_tag="j"))
        house.writes(ChatState.PAUSED)
        await house.juliet.answers(200)


async def test_who_refuses_a_typing_notice_gets_no_other() -> None:  # TYP-9
    async with House() as house:
        await conversation(house)
        house.writes()
        await house.juliet.answers(415, (("Accept", "text/plain"),))
        await house.juliet.hears_nothing()
        house.writes(ChatState.PAUSED)
        house.writes()
        await house.juliet.hears_nothing()
        assert not house.network.features(house.peer, JULIET).composing
        assert house.network.talks.lines == {}


async def test_who_drops_a_typing_notice_gets_no_other_for_a_while() -> None:
    async with House(t1_s=0.01) as house:
        await conversation(house)
        house.writes()
        await house.juliet.hears()  # and no answer
        for _ in range(400):
            await asyncio.sleep(0.01)
            if not house.network.talks.lines:
                break
        assert house.network.talks.lines == {}
        await asyncio.sleep(0.05)  # what was repeated is still on its way
        while not house.juliet.inbox.empty():
            house.juliet.inbox.get_nowait()
        house.writes()
        await house.juliet.hears_nothing()
        assert house.hub.memory == {}, "it may only have been switched off"


async def test_a_message_waits_for_the_notice_before_it_and_ends_it() -> None:  # MSG-17
    async with House() as house:
        await conversation(house)
        house.writes()
        notice = await house.juliet.hears()
        delivery = house.deliver(outgoing("my dear"))
        await house.juliet.hears_nothing()
        house.juliet.say(response_to(notice, 200, to_tag="j"))
        request = await house.juliet.answers(200)
        assert request.body == b"my dear"
        assert await asyncio.wait_for(delivery.end, 5) == "delivered 200 OK"
        later(house, 101)
        await house.juliet.hears_nothing()
        assert house.network.talks.lines == {}


async def test_a_notice_waits_for_the_message_on_the_wire() -> None:  # MSG-17
    async with House() as house:
        await conversation(house)
        nurse = Address("nurse", "xmpp.example")
        await house.juliet_says("Nurse?", uri="sip:nurse@xmpp.example", branch="z9hG4bKsecond", call_id="2")
        house.writes()
        await house.juliet.answers(200)
        house.deliver(outgoing("from the nurse", sender=nurse))
        message_on_wire = await house.juliet.hears()
        later(house, 101)
        await house.juliet.hears_nothing()
        house.juliet.say(response_to(message_on_wire, 200, to_tag="j"))
        again = inside(await house.juliet.answers(200)).composing
        assert again is not None
        assert again.active


async def test_of_several_writers_each_is_told() -> None:
    async with House(composing="always") as house:
        house.writes()
        first = await house.juliet.hears()
        house.writes(sender=Address("nurse", "xmpp.example"))
        await house.juliet.hears_nothing()
        house.juliet.say(response_to(first, 200, to_tag="j"))
        second = await house.juliet.answers(200)
        assert "nurse" in second.from_.uri.user_text


async def test_a_notice_belongs_to_its_conversation() -> None:
    async with House(composing="always") as house:
        house.writes(thread="balcony@verona")
        assert (await house.juliet.answers(200)).call_id == "balcony@verona"
