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

import re
from collections import deque
from typing import Any, Final

from rialto.model.errors import LocalProtocolError
from rialto.networks.sip.wire.lanes import Lanes
from rialto.networks.sip.wire.message import Request, Response
from rialto.networks.sip.wire.tables import (
    CLIENT,
    INVITE_CLIENT,
    INVITE_SERVER,
    LIMITS,
    SERVER,
    cancel_for,
)
from rialto.networks.sip.wire.timers import RFC_TIMING, Durations, Timing
from rialto.networks.sip.wire.transaction import (
    ClientTransaction,
    Event,
    Flow,
    RequestReceived,
    ServerTransaction,
    State,
    Transaction,
)

_OWN_VIA: Final = re.compile(r'[^",]*;branch=([A-Za-z0-9.]+)')


class TransactionLayer:
    """All transactions of one node; sans-I/O."""

    def __init__(self, timing: Timing = RFC_TIMING) -> None:
        self._reliable = Durations(timing, reliable=True)
        self._unreliable = Durations(timing, reliable=False)
        self._servers: dict[tuple[Any, ...], ServerTransaction] = {}
        self._clients: dict[tuple[Any, ...], ClientTransaction] = {}
        self._by_flow: dict[Flow, set[ClientTransaction]] = {}
        self._merging: dict[tuple[Any, ...], ServerTransaction] = {}
        self._lanes: Lanes[Transaction] = Lanes()
        self._events: deque[Event] = deque()
        self._out: deque[tuple[Flow, bytes]] = deque()
        self.absorbed = 0
        """Retransmitted requests that were answered from here or ignored."""
        self.strays = 0
        """Responses, and ACKs, that belong to nothing."""

    # What comes from the wire

    def knows(self, key: tuple[Any, ...]) -> bool:
        """Whether a request with this `server_key` belongs to a transaction that is there already."""
        return key in self._servers

    def receive_request(
        self,
        request: Request,
        flow: Flow,
        now: float,
        owner: Any = None,
        key: tuple[Any, ...] | None = None,
    ) -> None:
        """Take a validated request, whose top Via already says where it came from.

        `owner` becomes that of the transaction, if it makes a new one; `key` is its `server_key`, if known.
        """
        if key is None:
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
        """The transport says that nothing more can be sent to, or comes from, this flow.

        Only requests of ours feel it. An answer of ours finds another way when it is sent (section 18.2.2),
        and a stranger's datagrams, answered to a closed port, must not cost a look at every transaction.
        """
        for transaction in tuple(self._by_flow.get(flow, ())):
            self._step(transaction, "error", now)

    # What the core asks for

    def request(self, request: Request, flow: Flow, now: float, owner: Any = None) -> ClientTransaction:
        """Send a request (not ACK), whose top Via is ours and carries a fresh branch.

        Raises LocalProtocolError if that branch is in use.
        """
        key = (_own_branch(request), request.method)
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
        self._by_flow.setdefault(flow, set()).add(transaction)
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
        transaction.data = response.encode()
        transaction.status = status
        if transaction.method == "INVITE" and transaction.key[0] == "2543":
            self._index_ack(transaction, response)
        trigger = "say 1xx" if status < 200 else "say 2xx" if status < 300 else "say 3xx-6xx"
        self._step(transaction, trigger, now)
        if status >= 200 and transaction.method != "INVITE":
            transaction.spend()

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
            timer = transaction._limit if letter in LIMITS else transaction._retry
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
                    return
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
        elif isinstance(transaction, ClientTransaction):
            self._clients.pop(transaction.key, None)
            same_flow = self._by_flow[transaction.flow]
            same_flow.discard(transaction)
            if not same_flow:
                del self._by_flow[transaction.flow]

    def _index_ack(self, transaction: ServerTransaction, response: Response) -> None:
        """RFC 3261 section 17.2.3: without a usable branch, an ACK is known by the To tag of our response."""
        transaction.ack_key = _old_key(transaction.request, "INVITE", response.to.tag)
        self._servers[transaction.ack_key] = transaction


def server_key(request: Request, method: str | None = None) -> tuple[Any, ...]:
    """Section 17.2.3. `method` stands in for the request's own: that of the request which a CANCEL means."""
    via = request.top_via
    method = method or ("INVITE" if request.method == "ACK" else request.method)
    if via.has_cookie:
        return (via.branch, via.host, via.port, method)
    return _old_key(request, method, request.to.tag)


def _own_branch(request: Request) -> str:
    """The branch of a request of ours: our Vias end with it, so that they need not be read again."""
    match = _OWN_VIA.fullmatch(request.firsts.get("Via", ""))
    return request.top_via.branch if match is None else match[1]


def _old_key(request: Request, method: str, to_tag: str | None) -> tuple[Any, ...]:
    via = request.top_via
    return (
        "2543", method, request.uri, to_tag, request.from_.tag, request.call_id, request.cseq[0],
        via.host, via.port, via.branch,
    )  # fmt: skip
