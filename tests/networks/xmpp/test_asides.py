"""Typing notices and receipts between two gateways' networks: who hears what, and when it counts as read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from net import pki
from networks.xmpp.stage import PLAIN, ROME, VERONA, House, free_port, peer, until
from rialto.model.address import Address
from rialto.model.errors import Reason, Refused
from rialto.model.message import ChatState, Composing, Disposition, Receipt
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import CHAT_STATES, RECEIPTS

ROMEO, JULIET = Address("romeo", ROME, "orchard"), Address("juliet", VERONA, "balcony")


@pytest.fixture
async def houses() -> AsyncIterator[tuple[House, House]]:
    """Romeo's and Juliet's, as far as possible alike."""
    ports = free_port(), free_port()
    made = (
        House(ROME, (peer(VERONA, replace(PLAIN, host="127.0.0.1", port=ports[1])),), port=ports[0]),
        House(VERONA, (peer(ROME, replace(PLAIN, host="127.0.0.1", port=ports[0])),), port=ports[1]),
    )
    for house in made:
        await house.start()
    yield made
    for house in made:
        await house.network.stop(1.0)


async def say(house: House, text: str, sender: Address, recipient: Address, **more: Any) -> None:
    end = house.send(text, str(recipient), sender=str(sender), **more).end
    assert not isinstance(await asyncio.wait_for(end, 5), Exception)


def composing(sender: Address, recipient: Address, state: ChatState = ChatState.COMPOSING) -> Composing:
    return Composing(sender=sender, recipient=recipient, state=state)


def compose(house: House, notice: Composing) -> None:
    house.network.compose(house.hub.peers[0], notice)


async def test_typing_is_shown_to_the_device_that_takes_part(houses: tuple[House, House]) -> None:
    romeo, juliet = houses
    await say(romeo, "soft", ROMEO, JULIET.bare, chat_states=True)
    await until(lambda: juliet.hub.texts() == ["soft"])
    compose(juliet, composing(JULIET, ROMEO.bare))
    await until(lambda: romeo.hub.composed)
    assert romeo.hub.composed == [composing(JULIET, ROMEO)]
    assert romeo.hub.texts() == []


async def test_nobody_else_is_shown_typing(houses: tuple[House, House]) -> None:  # TYP-11
    romeo, juliet = houses
    await say(romeo, "soft", ROMEO, JULIET.bare)
    compose(juliet, composing(JULIET, ROMEO.bare))
    await say(juliet, "ay me", JULIET, ROMEO)
    assert romeo.hub.composed == []
    assert ("ignored", "xmpp", "typing notice for nobody who takes part") in juliet.hub.counted


async def test_gone_ends_the_typing_of_the_other_side_too(houses: tuple[House, House]) -> None:  # TYP-2
    romeo, juliet = houses
    await say(romeo, "soft", ROMEO, JULIET.bare, chat_states=True)
    await say(juliet, "ay me", JULIET, ROMEO, chat_states=True)
    compose(romeo, composing(ROMEO, JULIET.bare, ChatState.GONE))
    await until(lambda: juliet.hub.composed)
    compose(juliet, composing(JULIET, ROMEO.bare))
    compose(romeo, composing(ROMEO, JULIET.bare))
    await say(juliet, "again", JULIET, ROMEO)
    await say(romeo, "again", ROMEO, JULIET.bare)
    assert [notice.state for notice in juliet.hub.composed] == [ChatState.GONE]
    assert romeo.hub.composed == []


async def test_a_state_alone_shows_that_somebody_takes_part(houses: tuple[House, House]) -> None:
    romeo, juliet = houses
    await say(juliet, "ay me", JULIET, ROMEO, chat_states=True)
    compose(romeo, composing(ROMEO, JULIET.bare))
    await until(lambda: juliet.hub.composed)
    compose(juliet, composing(JULIET, ROMEO.bare, ChatState.PAUSED))
    await until(lambda: romeo.hub.composed)


async def test_a_peer_may_be_left_out_of_typing(houses: tuple[House, House]) -> None:
    romeo, juliet = houses
    quiet = replace(PLAIN, host="127.0.0.1", port=juliet.hub.peers[0].settings.port, composing=False)
    juliet.hub.peers = (replace(juliet.hub.peers[0], settings=quiet),)
    await say(juliet, "ay me", JULIET, ROMEO, chat_states=True)
    compose(romeo, composing(ROMEO, JULIET.bare))
    await say(romeo, "soft", ROMEO, JULIET.bare)
    assert juliet.hub.composed == []


def receipt(disposition: Disposition = Disposition.DELIVERED) -> Receipt:
    return Receipt(
        id="r1",
        sender=ROMEO,
        recipient=JULIET,
        about="m1",
        disposition=disposition,
        at=pki.NOW.timestamp(),
        received_at=pki.NOW.timestamp(),
        origin_id="m1",
    )


async def test_a_receipt_is_acknowledged_when_it_is_on_disk(houses: tuple[House, House]) -> None:
    romeo, juliet = houses
    juliet.hub.hold = True
    delivery = romeo.hand(receipt())
    await until(lambda: juliet.hub.held)
    await asyncio.sleep(0.02)
    assert not delivery.end.done()
    juliet.hub.held[0].stored()
    assert await asyncio.wait_for(delivery.end, 5) == "delivered: acknowledged by the server"
    assert juliet.hub.given == [
        {
            "sender": ROMEO,
            "recipient": JULIET,
            "about": "m1",
            "disposition": Disposition.DELIVERED,
            "at": pki.NOW.timestamp(),
        }
    ]
    assert juliet.hub.accepted == []


async def test_a_receipt_that_is_refused_is_not_answered(houses: tuple[House, House]) -> None:
    romeo, juliet = houses
    juliet.hub.refuse = Refused(Reason.FORBIDDEN, "no")
    delivery = romeo.hand(receipt(Disposition.DISPLAYED))
    assert await asyncio.wait_for(delivery.end, 5) == "delivered: acknowledged by the server"
    assert romeo.hub.back == []


async def test_what_xmpp_has_no_word_for_fails(houses: tuple[House, House]) -> None:
    romeo, _ = houses
    end = await romeo.hand(receipt(Disposition.PROCESSED)).end
    assert isinstance(end, Refused)


async def test_a_stanza_that_confirms_several_messages_is_read_when_all_are_on_disk(
    houses: tuple[House, House],
) -> None:
    romeo, juliet = houses
    await say(romeo, "first", ROMEO, JULIET)
    juliet.hub.hold = True
    said: list[Element | str] = [Element(f"{RECEIPTS}}}received", {"id": one}) for one in ("a", "b", "a")]
    said.append(Element(f"{CHAT_STATES}}}composing"))
    romeo.network.say(ROME, VERONA, Element("message", {"from": str(ROMEO), "to": str(JULIET)}, said))
    after = romeo.send("after", str(JULIET), sender=str(ROMEO))
    await until(lambda: len(juliet.hub.held) == 3)
    assert [told["about"] for told in juliet.hub.given] == ["a", "b"]
    assert [notice.state for notice in juliet.hub.composed] == [ChatState.COMPOSING]
    juliet.hub.held[0].stored()
    juliet.hub.held[2].stored()
    await asyncio.sleep(0.02)
    assert not after.end.done()
    juliet.hub.held[1].stored()
    assert await asyncio.wait_for(after.end, 5) == "delivered: acknowledged by the server"


async def test_a_receipt_beside_words_is_heard_as_well(houses: tuple[House, House]) -> None:
    romeo, juliet = houses
    content: list[Element | str] = [
        Element("body", {}, ["thanks"]),
        Element(f"{RECEIPTS}}}received", {"id": "a"}),
        Element(f"{CHAT_STATES}}}gone"),
    ]
    await say(romeo, "first", ROMEO, JULIET)
    romeo.network.say(ROME, VERONA, Element("message", {"from": str(ROMEO), "to": str(JULIET)}, content))
    await say(romeo, "last", ROMEO, JULIET)
    assert juliet.hub.texts() == ["first", "thanks", "last"]
    assert [told["about"] for told in juliet.hub.given] == ["a"]
    assert [notice.state for notice in juliet.hub.composed] == [ChatState.GONE]


async def test_notices_to_a_domain_are_for_nobody(houses: tuple[House, House]) -> None:
    romeo, juliet = houses
    content: list[Element | str] = [Element(f"{CHAT_STATES}}}composing")]
    await say(romeo, "first", ROMEO, JULIET)
    romeo.network.say(ROME, VERONA, Element("message", {"from": str(ROMEO), "to": VERONA}, content))
    await say(romeo, "last", ROMEO, JULIET)
    assert juliet.hub.composed == []


async def test_the_error_of_a_device_ends_its_part(houses: tuple[House, House]) -> None:
    romeo, juliet = houses
    await say(romeo, "soft", ROMEO, JULIET.bare, chat_states=True)
    attributes = {"from": str(ROMEO), "to": str(JULIET.bare), "type": "error"}
    romeo.network.say(ROME, VERONA, Element("message", attributes))
    await say(romeo, "last", ROMEO, JULIET.bare, chat_states=True)
    await until(lambda: len(juliet.hub.accepted) == 2)
    assert juliet.network.company.device_of(ROMEO, JULIET) == ROMEO
    romeo.network.say(ROME, VERONA, Element("message", attributes))
    await until(lambda: juliet.network.company.device_of(ROMEO, JULIET) is None)
