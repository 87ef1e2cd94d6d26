"""One transaction: its state, what it remembers, and what it tells."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from rialto.model.errors import LocalProtocolError
from rialto.networks.sip.wire.lanes import Timer
from rialto.networks.sip.wire.message import Request, Response
from rialto.networks.sip.wire.timers import Durations

if TYPE_CHECKING:
    from rialto.networks.sip.wire.transactions import TransactionLayer


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
Action = Callable[["TransactionLayer", "Transaction", float, "Response | None"], None]


class Transaction:
    """What all four kinds share. `owner` is the core's own, to find its way back."""

    __slots__ = (
        "_every",
        "_limit",
        "_request",
        "_retry",
        "data",
        "durations",
        "flow",
        "key",
        "method",
        "owner",
        "state",
        "table",
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
        self._request: Request | None = request
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
    def request(self) -> Request:
        """What it is about. Raises LocalProtocolError once it was let go: see `spend`."""
        if self._request is None:
            raise LocalProtocolError("the request has been let go")
        return self._request

    def spend(self) -> None:
        """Let go of the request and of the owner.

        A transaction stays for 32 s after its end to absorb what comes late; for that its bytes are enough:
        the parsed request would cost several times as much, and the garbage collector's time with it.
        """
        self._request = None
        self.owner = None

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
