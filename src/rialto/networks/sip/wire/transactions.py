"""Transactions: a request and its responses, over transports that may lose, repeat or reorder them.

RFC 3261 section 17, as mended by RFC 4320 (non-INVITE) and RFC 6026 (INVITE and its 2xx).

    core (ua, network)       request() respond() cancel()         next_event()
                                      │                                ▲
    this layer           four state machines, one per kind of transaction
                                      │                                ▲
    flows                      data_to_send()              receive_request/response()

Theory of operation. Each kind of transaction is a table: in a state, on a trigger, do some actions, go to a
state, start or stop its two timers. A trigger is a message class (`1xx`, `2xx`, `ack`, ...), a timer's
letter, or `error`. What a row does not mention is absorbed: that is how retransmissions die here and late
responses are ignored. Every transaction has at most two timers: `retry` (A, E, G: sends again; also the late
100) and `limit` (B, D, F, H to M: ends the state). A `limit` of zero seconds, as on reliable transports,
rings at once.

    client, INVITE      calling ──1xx──► proceeding        A resend, B give up, D absorb 3xx-6xx, M absorb 2xx
                           │ 2xx ► accepted ◄ 2xx │
                           └ 3xx ► completed ◄ 3xx┘ (sends ACK)
    client, other       trying ──1xx──► proceeding ──2xx-6xx──► completed     E resend, F give up, K absorb
    server, INVITE      proceeding ──2xx──► accepted (L)
                           └──3xx-6xx──► completed (G resend, H give up) ──ack──► confirmed (I)
    server, other       trying ──► proceeding ──2xx-6xx──► completed (J)      100 only late (RFC 4320)

Nobody is believed beyond what identifies a transaction: a request belongs to one by branch, sent-by and
method (section 17.2.3; by more headers where a peer of RFC 2543 gives no usable branch), a response by branch
and method.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from rialto.model.errors import LocalProtocolError
from rialto.networks.sip.wire.lanes import Lanes, Timer
from rialto.networks.sip.wire.message import Request, Response, response_to
from rialto.networks.sip.wire.timers import RFC_TIMING, Durations, Timing


class Flow(Protocol):
    """Where a message came from or goes to: one remote address over one transport."""

    @property
    def reliable(self) -> bool:
        """Whether the transport retransmits by itself (TCP, TLS)."""

    @property
    def alive(self) -> bool:
        """Whether something sent on it may still arrive."""

    @property
    def remote(self) -> tuple[str, int]:
        """IP address and port of the other end."""


class State(enum.Enum):
    """Where a transaction stands."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class Step(NamedTuple):
    """One row of a table. `retry`, `limit`: a letter starts that timer, "" stops it, None leaves it."""

    actions: tuple[Action, ...] = ()
    state: State | None = None
    retry: str | None = None
    limit: str | None = None


Table = dict[State, dict[str, Step]]


class Transaction:
    """What all four kinds share. `owner` is the core's own, to find its way back."""

    __slots__ = (
        "_every", "_limit", "_retry", "data", "durations", "flow", "key", "method", "owner", "request",
        "state", "table",
    )  # fmt: skip

    def __init__(
        self,
        key: tuple[Any, ...],
        request: Request,
        flow: Flow,
        durations: Durations,
        table: Table,
        state: State,
    ) -> None:
        self.key = key
        self.request = request
        self.method = request.method
        self.flow = flow
        self.durations = durations
        self.table = table
        self.state = state
        self.owner: Any = None
        self.data = b""
        """What is sent again: the request (client), the last response (server)."""
        self._retry: Timer[Transaction] | None = None
        self._limit: Timer[Transaction] | None = None
        self._every = 0.0

    @property
    def terminated(self) -> bool:
        """It has ended; nothing can be asked of it any more."""
        return self.state is State.TERMINATED


class ClientTransaction(Transaction):
    """A request of ours. `ack` is what answered the last 3xx-6xx to an INVITE."""

    __slots__ = ("ack",)

    def __init__(
        self,
        key: tuple[Any, ...],
        request: Request,
        flow: Flow,
        durations: Durations,
        table: Table,
        state: State,
    ) -> None:
        super().__init__(key, request, flow, durations, table, state)
        self.ack = b""


class ServerTransaction(Transaction):
    """A request of theirs. `merge_key` says what makes another request the same one by another way."""

    __slots__ = ("ack_key", "merge_key", "status")

    def __init__(
        self,
        key: tuple[Any, ...],
        request: Request,
        flow: Flow,
        durations: Durations,
        table: Table,
        state: State,
    ) -> None:
        super().__init__(key, request, flow, durations, table, state)
        self.merge_key: tuple[Any, ...] | None = None
        self.ack_key: tuple[Any, ...] | None = None
        self.status = 0

    @property
    def answered(self) -> bool:
        """A final response was given."""
        return self.status >= 200


class RequestReceived(msgspec.Struct, frozen=True, gc=False):
    """A new request. `merged`: it came before by another way and is still being worked on (482)."""

    transaction: Any  # ServerTransaction
    merged: bool = False


class AckReceived(msgspec.Struct, frozen=True, gc=False):
    """An ACK for a 2xx, which is the core's business (RFC 3261 section 13.2.2.4)."""

    transaction: Any  # ServerTransaction


class ResponseReceived(msgspec.Struct, frozen=True, gc=False):
    """A response to a request of ours; provisional ones too."""

    transaction: Any  # ClientTransaction
    response: Response


class TimedOut(msgspec.Struct, frozen=True, gc=False):
    """No final response to a request of ours (B, F); no ACK for one of ours (H); nobody answered in here."""

    transaction: Transaction


class TransportFailed(msgspec.Struct, frozen=True, gc=False):
    """The flow broke before the transaction was through."""

    transaction: Transaction


Event = RequestReceived | AckReceived | ResponseReceived | TimedOut | TransportFailed


class TransactionLayer:
    """All transactions of one node; sans-I/O."""

    def __init__(self, timing: Timing = RFC_TIMING) -> None:
        self._reliable = Durations(timing, reliable=True)
        self._unreliable = Durations(timing, reliable=False)
        self._servers: dict[tuple[Any, ...], ServerTransaction] = {}
        self._clients: dict[tuple[Any, ...], ClientTransaction] = {}
        self._merging: dict[tuple[Any, ...], ServerTransaction] = {}
        self._lanes: Lanes[Transaction] = Lanes()
        self._events: deque[Event] = deque()
        self._out: deque[tuple[Flow, bytes]] = deque()
        self.absorbed = 0
        """Retransmitted requests that were answered from here or ignored."""
        self.strays = 0
        """Responses, and ACKs, that belong to nothing."""

    # What comes from the wire

    def knows(self, request: Request) -> bool:
        """Whether the request belongs to a transaction that is there already."""
        return server_key(request) in self._servers

    def receive_request(self, request: Request, flow: Flow, now: float, owner: Any = None) -> None:
        """Take a validated request, whose top Via already says where it came from.

        `owner` becomes that of the transaction, if it makes a new one.
        """
        key = server_key(request)
        known = self._servers.get(key)
        if known is not None:
            if request.method == "ACK":
                self._step(known, "ack", now)
                return
            self.absorbed += 1
            if flow is not known.flow and (not known.flow.alive or flow.remote[0] == known.flow.remote[0]):
                known.flow = flow  # the sender came back on a new connection
            self._step(known, "request", now)
            return
        if (
            request.method == "ACK"
        ):  # never answered: for a 2xx, for what we refused without state, or for nothing
            self.strays += 1
            return
        durations = self._reliable if flow.reliable else self._unreliable
        if request.method == "INVITE":
            transaction = ServerTransaction(key, request, flow, durations, INVITE_SERVER, State.PROCEEDING)
            self._start_retry(transaction, "100 invite", now)
        else:
            transaction = ServerTransaction(key, request, flow, durations, SERVER, State.TRYING)
            self._start_retry(transaction, "100 late", now)
        transaction.owner = owner
        transaction._limit = self._lanes.start(durations.first["abandoned"], now, transaction, "abandoned")
        self._servers[key] = transaction
        merged = False
        if request.method != "CANCEL" and not request.to.tag:  # RFC 3261 section 8.2.2.2
            number, method = request.cseq
            merge_key = (request.call_id, number, method, request.from_.tag)
            first = self._merging.get(merge_key)
            if first is not None and first.flow.alive:
                merged = True
            else:
                self._merging[merge_key] = transaction
                transaction.merge_key = merge_key
        self._events.append(RequestReceived(transaction, merged))

    def receive_response(self, response: Response, now: float) -> None:
        """Take a validated response."""
        transaction = self._clients.get((response.top_via.branch, response.cseq[1]))  # section 17.1.3
        if transaction is None:
            self.strays += 1
            return
        status = response.status
        trigger = "1xx" if status < 200 else "2xx" if status < 300 else "3xx-6xx"
        self._step(transaction, trigger, now, response)

    def flow_failed(self, flow: Flow, now: float) -> None:
        """The transport says that nothing more can be sent to, or comes from, this flow."""
        for transaction in [t for t in self._clients.values() if t.flow is flow]:
            self._step(transaction, "error", now)
        for server in [t for t in self._servers.values() if t.flow is flow]:
            self._step(server, "error", now)

    # What the core asks for

    def request(self, request: Request, flow: Flow, now: float, owner: Any = None) -> ClientTransaction:
        """Send a request (not ACK), whose top Via is ours and carries a fresh branch.

        Raises LocalProtocolError if that branch is in use.
        """
        key = (request.top_via.branch, request.method)
        if key in self._clients:
            raise LocalProtocolError(f"branch {key[0]} is in use")
        durations = self._reliable if flow.reliable else self._unreliable
        if request.method == "INVITE":
            transaction = ClientTransaction(key, request, flow, durations, INVITE_CLIENT, State.CALLING)
            retry, limit = "A", "B"
        else:
            transaction = ClientTransaction(key, request, flow, durations, CLIENT, State.TRYING)
            retry, limit = "E", "F"
        transaction.owner = owner
        transaction.data = data = request.encode()
        self._clients[key] = transaction
        self._out.append((flow, data))
        if not flow.reliable:
            self._start_retry(transaction, retry, now)
        transaction._limit = self._lanes.start(durations.first[limit], now, transaction, limit)
        return transaction

    def respond(self, transaction: ServerTransaction, response: Response, now: float) -> None:
        """Answer a request. Nothing happens if the transaction has ended in the meantime.

        Raises LocalProtocolError for what RFC 4320 forbids, and for a second final response.
        """
        status = response.status
        if transaction.state is State.TERMINATED:
            return
        if transaction.method != "INVITE" and (status == 408 or 100 < status < 200):
            raise LocalProtocolError(f"{status} to {transaction.method}")  # RFC 4320 sections 4.1, 4.2
        if transaction.status >= 200 and not (transaction.method == "INVITE" and 200 <= status < 300):
            raise LocalProtocolError(f"{status} after {transaction.status}")
        transaction.status = status
        transaction.data = response.encode()
        if transaction.method == "INVITE" and transaction.key[0] == "2543":
            self._index_ack(transaction, response)
        trigger = "say 1xx" if status < 200 else "say 2xx" if status < 300 else "say 3xx-6xx"
        self._step(transaction, trigger, now)

    def cancel(self, transaction: ClientTransaction, now: float) -> ClientTransaction | None:
        """Ask that an INVITE of ours be given up; None while or because that can't be asked (section 9.1)."""
        if transaction.method != "INVITE" or transaction.state is not State.PROCEEDING:
            return None
        return self.request(cancel_for(transaction.request), transaction.flow, now)

    def cancelled_by(self, cancel: Request) -> ServerTransaction | None:
        """The transaction that a CANCEL of theirs means (section 9.2)."""
        for method in ("INVITE", "MESSAGE", "OPTIONS"):
            found = self._servers.get(server_key(cancel, method))
            if found is not None:
                return found
        return None

    # What is to be done

    def next_event(self) -> Event | None:
        """The next thing that happened, oldest first."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> list[tuple[Flow, bytes]]:
        """What must be written now, and where; each is handed out once."""
        if not self._out:
            return []
        out = list(self._out)
        self._out.clear()
        return out

    def next_timer(self) -> float | None:
        """When `handle_timer` must be called at the latest."""
        return self._lanes.next()

    def handle_timer(self, now: float) -> None:
        """Let time pass."""
        for transaction, letter in self._lanes.due(now):
            # An earlier one of the same turn may have ended it, or replaced this timer.
            timer = transaction._limit if letter in _LIMITS else transaction._retry
            if timer is None or timer.letter != letter or timer.due > now:
                continue
            self._step(transaction, letter, now)

    @property
    def server_count(self) -> int:
        """How many server transactions are kept."""
        return len(self._servers)

    @property
    def client_count(self) -> int:
        """How many client transactions are kept."""
        return len(self._clients)

    # The engine

    def _step(
        self, transaction: Transaction, trigger: str, now: float, response: Response | None = None
    ) -> None:
        step = transaction.table[transaction.state].get(trigger)
        if step is None:
            return
        actions, state, retry, limit = step
        if state is not None:
            transaction.state = state
        for action in actions:
            action(self, transaction, now, response)
        if retry is not None:
            if transaction._retry is not None:
                transaction._retry.target = None
                transaction._retry = None
            if retry and retry in transaction.durations.first:
                self._start_retry(transaction, retry, now)
        if limit is not None:
            if transaction._limit is not None:
                transaction._limit.target = None
                transaction._limit = None
            if limit:
                seconds = transaction.durations.first[limit]
                if seconds:
                    transaction._limit = self._lanes.start(seconds, now, transaction, limit)
                else:
                    self._step(transaction, limit, now)
        if transaction.state is State.TERMINATED:
            self._forget(transaction)

    def _start_retry(self, transaction: Transaction, letter: str, now: float) -> None:
        transaction._every = transaction.durations.first[letter]
        transaction._retry = self._lanes.start(transaction._every, now, transaction, letter)

    def _forget(self, transaction: Transaction) -> None:
        for timer in (transaction._retry, transaction._limit):
            if timer is not None:
                timer.target = None
        transaction._retry = transaction._limit = None
        transaction.data = b""
        if isinstance(transaction, ServerTransaction):
            self._servers.pop(transaction.key, None)
            if transaction.ack_key is not None:
                self._servers.pop(transaction.ack_key, None)
            if transaction.merge_key is not None:
                self._merging.pop(transaction.merge_key, None)
        else:
            self._clients.pop(transaction.key, None)

    def _index_ack(self, transaction: ServerTransaction, response: Response) -> None:
        """RFC 3261 section 17.2.3: without a usable branch, an ACK is known by the To tag of our response."""
        transaction.ack_key = _old_key(transaction.request, "INVITE", response.to.tag)
        self._servers[transaction.ack_key] = transaction


# Actions: what rows of the tables do.

Action = Callable[[TransactionLayer, Transaction, float, Response | None], None]


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
_LIMITS = frozenset(("B", "D", "F", "H", "I", "J", "K", "L", "M", "abandoned"))

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
        "error": Step((_fail,)),
    },
    _COMPLETED: {
        "request": Step((_send,)),
        "G": Step((_again,)),
        "H": Step((_time_out,), _END),
        "ack": Step((), _CONFIRMED, retry="", limit="I"),
        "error": Step((_fail,)),
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
        "error": Step((_fail,), _END),
    },
    _END: {},
}


# What identifies a transaction, and the requests that belong to one.


def server_key(request: Request, method: str | None = None) -> tuple[Any, ...]:
    """Section 17.2.3. `method` stands in for the request's own: that of the request which a CANCEL means."""
    via = request.top_via
    method = method or ("INVITE" if request.method == "ACK" else request.method)
    if via.has_cookie:
        return (via.branch, via.host, via.port, method)
    return _old_key(request, method, request.to.tag)


def _old_key(request: Request, method: str, to_tag: str | None) -> tuple[Any, ...]:
    via = request.top_via
    return (
        "2543", method, request.uri, to_tag, request.from_.tag, request.call_id, request.cseq[0],
        via.host, via.port, via.branch,
    )  # fmt: skip


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
