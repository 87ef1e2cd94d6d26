"""The four machines as tables (RFC 3261 figures 5 to 8, RFC 6026, RFC 4320), and the actions of their rows.

`rialto.networks.sip.wire.transactions` says how a row is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rialto.networks.sip.wire.message import Request, Response, response_to
from rialto.networks.sip.wire.transaction import (
    AckReceived,
    ClientTransaction,
    ResponseReceived,
    ServerTransaction,
    State,
    Step,
    Table,
    TimedOut,
    Transaction,
    TransportFailed,
)

if TYPE_CHECKING:
    from rialto.networks.sip.wire.transactions import TransactionLayer

# Actions: what rows of the tables do.


def _send(layer: TransactionLayer, transaction: Transaction, now: float, response: Response | None) -> None:
    if transaction.data:
        layer._out.append((transaction.flow, transaction.data))


def _again(layer: TransactionLayer, transaction: Transaction, now: float, response: Response | None) -> None:
    """Send it again, and wait for twice as long (A without end, E and G up to T2)."""
    layer._out.append((transaction.flow, transaction.data))
    timer = transaction._retry
    letter = timer.letter if timer is not None else "E"
    transaction._every = transaction.durations.after(letter, transaction._every)
    transaction._retry = layer._lanes.start(transaction._every, now, transaction, letter)


def _again_t2(
    layer: TransactionLayer, transaction: Transaction, now: float, response: Response | None
) -> None:
    """Send it again, and once more after T2: the peer is at work (section 17.1.2.2)."""
    layer._out.append((transaction.flow, transaction.data))
    transaction._every = transaction.durations.t2_s
    transaction._retry = layer._lanes.start(transaction._every, now, transaction, "E")


def _tell(layer: TransactionLayer, transaction: Transaction, now: float, response: Response | None) -> None:
    assert response is not None
    layer._events.append(ResponseReceived(transaction, response))


def _ack(layer: TransactionLayer, transaction: Transaction, now: float, response: Response | None) -> None:
    assert isinstance(transaction, ClientTransaction)
    if not transaction.ack:
        assert response is not None
        transaction.ack = ack_for(transaction.request, response).encode()
    layer._out.append((transaction.flow, transaction.ack))


def _time_out(
    layer: TransactionLayer, transaction: Transaction, now: float, response: Response | None
) -> None:
    layer._events.append(TimedOut(transaction))


def _fail(layer: TransactionLayer, transaction: Transaction, now: float, response: Response | None) -> None:
    layer._events.append(TransportFailed(transaction))


def _acknowledge(
    layer: TransactionLayer, transaction: Transaction, now: float, response: Response | None
) -> None:
    layer._events.append(AckReceived(transaction))


def _trying(layer: TransactionLayer, transaction: Transaction, now: float, response: Response | None) -> None:
    assert isinstance(transaction, ServerTransaction)
    transaction.status = 100
    transaction.data = response_to(transaction.request, 100).encode()
    layer._out.append((transaction.flow, transaction.data))


_CALLING, _TRYING, _PROCEEDING = State.CALLING, State.TRYING, State.PROCEEDING
_COMPLETED, _CONFIRMED, _ACCEPTED, _END = State.COMPLETED, State.CONFIRMED, State.ACCEPTED, State.TERMINATED
LIMITS = frozenset(("B", "D", "F", "H", "I", "J", "K", "L", "M", "abandoned"))

# RFC 3261 figure 5 as replaced by RFC 6026 section 8.4
INVITE_CLIENT: Table = {
    _CALLING: {
        "A": Step((_again,)),
        "B": Step((_time_out,), _END),
        "1xx": Step((_tell,), _PROCEEDING, retry="", limit=""),
        "2xx": Step((_tell,), _ACCEPTED, retry="", limit="M"),
        "3xx-6xx": Step((_ack, _tell), _COMPLETED, retry="", limit="D"),
        "error": Step((_fail,), _END),
    },
    _PROCEEDING: {
        "1xx": Step((_tell,)),
        "2xx": Step((_tell,), _ACCEPTED, limit="M"),
        "3xx-6xx": Step((_ack, _tell), _COMPLETED, limit="D"),
        "error": Step((_fail,), _END),
    },
    _COMPLETED: {
        "3xx-6xx": Step((_ack,)),
        "D": Step((), _END),
        "error": Step((), _END),
    },
    _ACCEPTED: {
        "2xx": Step((_tell,)),
        "M": Step((), _END),
    },
    _END: {},
}

# RFC 3261 figure 6
CLIENT: Table = {
    _TRYING: {
        "E": Step((_again,)),
        "F": Step((_time_out,), _END),
        "1xx": Step((_tell,), _PROCEEDING),
        "2xx": Step((_tell,), _COMPLETED, retry="", limit="K"),
        "3xx-6xx": Step((_tell,), _COMPLETED, retry="", limit="K"),
        "error": Step((_fail,), _END),
    },
    _PROCEEDING: {
        "E": Step((_again_t2,)),
        "F": Step((_time_out,), _END),
        "1xx": Step((_tell,)),
        "2xx": Step((_tell,), _COMPLETED, retry="", limit="K"),
        "3xx-6xx": Step((_tell,), _COMPLETED, retry="", limit="K"),
        "error": Step((_fail,), _END),
    },
    _COMPLETED: {
        "K": Step((), _END),
    },
    _END: {},
}

# RFC 3261 figure 7 as replaced by RFC 6026 section 8.5
INVITE_SERVER: Table = {
    _PROCEEDING: {
        "request": Step((_send,)),
        "100 invite": Step((_trying,), retry=""),
        "say 1xx": Step((_send,), retry=""),
        "say 2xx": Step((_send,), _ACCEPTED, retry="", limit="L"),
        "say 3xx-6xx": Step((_send,), _COMPLETED, retry="G", limit="H"),
        "abandoned": Step((_time_out,), _END),
    },
    _COMPLETED: {
        "request": Step((_send,)),
        "G": Step((_again,)),
        "H": Step((_time_out,), _END),
        "ack": Step((), _CONFIRMED, retry="", limit="I"),
    },
    _CONFIRMED: {
        "I": Step((), _END),
    },
    _ACCEPTED: {
        "say 2xx": Step((_send,)),
        "ack": Step((_acknowledge,)),
        "L": Step((), _END),
    },
    _END: {},
}

# RFC 3261 figure 8, with RFC 4320: a provisional response is 100, and comes late
SERVER: Table = {
    _TRYING: {
        "100 late": Step((_trying,), _PROCEEDING, retry=""),
        "say 1xx": Step((_send,), _PROCEEDING, retry=""),
        "say 2xx": Step((_send,), _COMPLETED, retry="", limit="J"),
        "say 3xx-6xx": Step((_send,), _COMPLETED, retry="", limit="J"),
        "abandoned": Step((_time_out,), _END),
    },
    _PROCEEDING: {
        "request": Step((_send,)),
        "say 1xx": Step((_send,)),
        "say 2xx": Step((_send,), _COMPLETED, limit="J"),
        "say 3xx-6xx": Step((_send,), _COMPLETED, limit="J"),
        "abandoned": Step((_time_out,), _END),
    },
    _COMPLETED: {
        "request": Step((_send,)),
        "J": Step((), _END),
    },
    _END: {},
}


def _same_hop(request: Request, method: str) -> Request:
    kept = [("Via", str(request.top_via))]
    kept += [
        (name, value)
        for name, value in request.headers
        if name in ("Route", "From", "Call-ID", "Max-Forwards")
    ]
    kept.append(("CSeq", f"{request.cseq[0]} {method}"))
    return Request(method, request.uri, kept)


def ack_for(invite: Request, response: Response) -> Request:
    """The ACK of a 3xx-6xx, which belongs to the INVITE's transaction (section 17.1.1.3)."""
    ack = _same_hop(invite, "ACK")
    to = response.get("To")
    ack.add("To", to if to is not None else str(invite.to))
    return ack


def cancel_for(invite: Request) -> Request:
    """The CANCEL of a request of ours (section 9.1)."""
    cancel = _same_hop(invite, "CANCEL")
    cancel.add("To", str(invite.to))
    return cancel
