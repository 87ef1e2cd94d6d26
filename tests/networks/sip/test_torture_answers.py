"""The torture messages of RFC 4475 and RFC 5118 at a whole endpoint, answered as they describe."""

from __future__ import annotations

import pytest

from networks.sip.plays import Stage
from networks.sip.torture_table import TABLE, Row
from rialto.core.network import Peer
from rialto.networks.sip.wire import BadMessage, Request, Response, parse_message

NOBODY = {"escnull", "unksm2"}
"""Their From is nobody that a peer could speak for, and who asks comes before what (RFC 3261 section 8.2)."""


class Ear:
    """A flow that keeps what is sent on it."""

    reliable = True
    alive = True
    secured = False
    transport = "tcp"
    remote = ("127.0.0.1", 5060)

    def __init__(self) -> None:
        self.heard: list[Response] = []

    def send(self, data: bytes) -> None:
        message = parse_message(data)
        assert isinstance(message, Response)
        self.heard.append(message)

    def certified(self, domain: str, trust: object) -> None:
        return None


async def answers(row: Row) -> tuple[list[Response], Stage]:
    """What a trusted peer hears that sends this message, whatever its From says."""
    async with Stage() as stage:
        everybody: Peer = stage.peer
        stage.hub.peer_for = lambda network, domain: everybody  # type: ignore[method-assign,assignment]
        ear = Ear()
        try:
            stage.network._on_message(parse_message(row.data), ear)  # type: ignore[arg-type]
        except BadMessage as error:
            stage.network._on_garbled(error, ear)  # type: ignore[arg-type]
        return ear.heard, stage


def rows(*outcomes: str) -> pytest.MarkDecorator:
    chosen = [row for row in TABLE if row.outcome in outcomes]
    return pytest.mark.parametrize("row", chosen, ids=[row.name for row in chosen])


@rows("drop")
async def test_what_can_not_be_answered_is_not(row: Row) -> None:
    heard, _ = await answers(row)
    assert heard == []


@rows("reject")
async def test_what_is_malformed_is_refused_with_its_status(row: Row) -> None:
    heard, stage = await answers(row)
    assert [response.status for response in heard] == [row.status]
    assert stage.hub.accepted == []


@rows("accept")
async def test_what_is_well_formed_is_answered_for_what_it_asks(row: Row) -> None:
    heard, _ = await answers(row)
    message = parse_message(row.data)
    if not isinstance(message, Request) or message.method == "ACK":
        assert heard == []
        return
    (response,) = heard
    if row.name in NOBODY:
        assert response.status == 403
    elif row.answers:
        assert response.status in row.answers
    else:
        refused = 481 if message.to.tag else 488
        assert response.status == (refused if message.method == "INVITE" else 200)
