"""One session's leg: what is sent over it and what became of that, and what comes in, message by message.

    opening ──the other end is there──► open ──► over
       └──────────cannot connect──────────────────┘

Whole messages are gathered here, up to what was announced (`max-size`); a `StreamOwner` gets the pieces
instead.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from rialto.model.errors import LocalProtocolError
from rialto.networks.sip.msrp.wire import events as wire
from rialto.networks.sip.msrp.wire.incoming import Incoming
from rialto.networks.sip.msrp.wire.outgoing import Outgoing
from rialto.networks.sip.msrp.wire.session import Session
from rialto.networks.sip.sessions.seam import Outcome, Owner, Result, Terms

if TYPE_CHECKING:
    from rialto.networks.sip.msrp.flow import MsrpFlow

MAX_REPORTABLE = 1024
"""Messages of theirs that we can still report on."""
MAX_GATHERED = 4
"""How many messages of the largest size are gathered at a time."""


@runtime_checkable
class StreamOwner(Protocol):
    """An `Owner` that takes content as it comes, and gives it as it is asked for."""

    def began(self, message: Incoming) -> None:
        """Content will follow; `Leg.refuse` stops it."""

    def piece(self, message: Incoming, data: bytes) -> None:
        """The next content."""

    def whole(self, message: Incoming) -> None:
        """That was all: `Leg.accept` or `Leg.refuse` it."""

    def aborted(self, message: Incoming, why: str) -> None:
        """There will be no more."""

    def wanted(self, message: Outgoing) -> None:
        """More content of ours is wanted: `Leg.feed`."""


class Received:
    """See `sessions.seam.Incoming`: a whole message, whose last chunk waits for an answer."""

    __slots__ = ("_leg", "_message", "body", "content_type", "failure_report", "message_id", "success_report")

    def __init__(self, leg: Leg, message: Incoming, body: bytes) -> None:
        self._leg = leg
        self._message = message
        self.message_id = message.message_id
        self.content_type = message.content_type
        self.body = body
        self.success_report = message.wants_success
        self.failure_report = message.failure

    @property
    def secured(self) -> bool:
        """Whether it came over an encrypted connection."""
        return self._leg.secured

    def accept(self) -> None:
        """200."""
        self._leg.accept(self._message)

    def refuse(self, status: int, comment: str = "") -> None:
        """Anything else."""
        self._leg.refuse(self._message, status, comment)


class Leg:
    """See `sessions.seam.MsrpLink`. `session` is the machine's; `active` says whether we connect."""

    def __init__(
        self,
        session: Session,
        terms: Terms,
        owner: Owner,
        *,
        call_soon: Callable[..., Any],
        on_over: Callable[[Leg], None],
        retry: Callable[[Leg], bool],
        relayed: bool,
    ) -> None:
        """`on_over` hears when it is over, for the books; `retry` is asked once whether a session that was
        refused on a shared connection can have one of its own; `relayed`: a relay of ours stands in front."""
        session.owner = self
        self.session = session
        self.terms = terms
        self.relayed = relayed
        self.opened = False
        self.over = False
        self.flow: MsrpFlow | None = None
        self._owner = owner
        self._stream = owner if isinstance(owner, StreamOwner) else None
        self._call_soon = call_soon
        self._on_over = on_over
        self._retry = retry
        self._early: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self._tokens: dict[Outgoing, object] = {}
        self._gathered: dict[Incoming, bytearray] = {}
        self._gathered_bytes = 0
        self._reportable: OrderedDict[str, Incoming] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Leg {self.session!r} {'over' if self.over else 'open' if self.opened else 'opening'}>"

    # -- for the owner -----------------------------------------------------------------------------------

    @property
    def secured(self) -> bool:
        """Whether its connection is encrypted."""
        return self.flow is not None and self.flow.secured

    def send(
        self,
        body: bytes | None,
        content_type: str,
        *,
        message_id: str,
        token: object,
        success_report: bool = False,
        failure_report: str = "yes",
        **more: Any,
    ) -> None:
        """Send a message; with `body` None a `StreamOwner` is asked for it in pieces. `more`: see
        `Connection.send`."""
        flow = self.flow
        if self.over:
            self._call_soon(self._owner.outcome, token, Outcome(Result.LOST, 0, "", sent=False))
            return
        if flow is None or not self.opened:
            self._early.append(
                (
                    (body, content_type),
                    {
                        "message_id": message_id,
                        "token": token,
                        "success_report": success_report,
                        "failure_report": failure_report,
                        **more,
                    },
                )
            )
            return
        try:
            message = flow.machine.send(
                self.session,
                content_type,
                body,
                message_id=message_id,
                wants_success=success_report,
                failure=failure_report,
                **more,
            )
        except LocalProtocolError as error:
            self._call_soon(self._owner.outcome, token, Outcome(Result.REFUSED, 400, str(error)))
            return
        self._tokens[message] = token
        flow.wake()

    def report(self, message_id: str, status: int, total_bytes: int, comment: str = "") -> None:
        """Say what became of a message that was accepted; `total_bytes` is what was received."""
        message = self._reportable.get(message_id)
        if message is None or self.flow is None or self.over:
            return
        self.flow.machine.report(message, status, comment)
        self.flow.wake()

    def feed(self, message: Outgoing, data: bytes, *, last: bool = False) -> None:
        """More content of a message that is sent in pieces."""
        if self.flow is not None and not self.over:
            self.flow.machine.feed(message, data, last=last)
            self.flow.wake()

    def abort(self, message: Outgoing) -> None:
        """Break a message off."""
        self._tokens.pop(message, None)
        if self.flow is not None and not self.over:
            self.flow.machine.abort(message)
            self.flow.wake()

    def accept(self, message: Incoming) -> None:
        """A message is safe."""
        if self.over or self.flow is None:
            return  # its sender will send it again, over another connection, and find that it is known
        self.flow.machine.accept(message)
        if message.wants_success or message.failure != "no":
            self._reportable[message.message_id] = message
            if len(self._reportable) > MAX_REPORTABLE:
                self._reportable.popitem(last=False)
        self.flow.wake()

    def refuse(self, message: Incoming, status: int, comment: str = "") -> None:
        """A message is not wanted."""
        if self.over or self.flow is None or message.settled:
            return
        self._forget(message)
        self.flow.machine.refuse(message, status, comment)
        self.flow.wake()

    def close(self) -> None:
        """Nothing more is to be told."""
        self._finish()

    # -- from the links ----------------------------------------------------------------------------------

    def may_come_by(self, flow: MsrpFlow) -> bool:
        """Whether its other end may have connected by this flow."""
        terms = self.terms
        if self.flow is not None:
            return self.flow is flow and not terms.active  # our relay's
        if terms.active or self.relayed or self.over or self.session.local.secure != flow.secured:
            return False
        # Without a fingerprint, the URI that only the other end was told is the proof (RFC 4975 section
        # 14.1).
        return not (flow.secured and terms.media.fingerprints) or flow.shows(terms.media.fingerprints)

    def came_by(self, flow: MsrpFlow) -> None:
        """The other end has connected."""
        self.flow = flow

    def go_by(self, flow: MsrpFlow) -> None:
        """There is a connection: to the other end, or to our relay. Whoever is active says so over it
        (SES-17)."""
        self.flow = flow
        flow.join(self)
        if self.terms.active:
            flow.machine.add(self.session, greet=True)
            flow.wake()

    def leave_flow(self) -> None:
        """Go back to where there was no connection."""
        flow, self.flow = self.flow, None
        if flow is not None:
            flow.leave(self)

    def flow_lost(self, why: str) -> None:
        """Its connection is gone."""
        self.fail(why)

    def fail(self, why: str) -> None:
        """It is over: every message without an outcome has one now."""
        if self.over:
            return
        owner = self._owner
        lost = [(token, message.written) for message, token in self._tokens.items()]
        lost += [(more["token"], False) for _, more in self._early]
        gathered = list(self._gathered)
        self._finish()
        for token, sent in lost:
            owner.outcome(token, Outcome(Result.LOST, 0, why, sent=sent))
        if self._stream is not None:
            for message in gathered:
                self._stream.aborted(message, "gone")
        owner.closed(why)

    # -- from the machine --------------------------------------------------------------------------------

    def on_event(self, event: wire.MsrpEvent) -> None:
        """Something happened to this session."""
        if self.over:
            return
        method = _METHODS.get(type(event))
        if method is not None:
            method(self, event)

    def _on_up(self, event: wire.SessionAnswered | wire.SessionBound) -> None:
        if not self.opened:
            self.opened = True
            early, self._early = self._early, []
            for what, how in early:
                self.send(*what, **how)
            self._owner.opened()

    def _on_session_failed(self, event: wire.SessionFailed) -> None:
        flow = self.flow
        if not self.opened and flow is not None and flow.shared and self._retry(self):
            return
        self.fail(str(event.status))

    def _on_began(self, event: wire.MessageBegan) -> None:
        if self._stream is not None:
            self._gathered[event.message] = bytearray()
            self._stream.began(event.message)
            return
        limit = self.terms.max_bytes_in
        if self._gathered_bytes > MAX_GATHERED * limit:
            self.refuse(event.message, 413, "too much at once")
            return
        self._gathered[event.message] = bytearray()

    def _on_content(self, event: wire.ContentReceived) -> None:
        body = self._gathered.get(event.message)
        if body is None:
            return
        if self._stream is not None:
            self._stream.piece(event.message, event.data)
            return
        body += event.data
        self._gathered_bytes += len(event.data)

    def _on_received(self, event: wire.MessageReceived) -> None:
        message = event.message
        body = self._gathered.get(message)
        if body is None:
            return
        self._forget(message)
        if self._stream is not None:
            self._stream.whole(message)
        else:
            self._owner.received(Received(self, message, bytes(body)))

    def _on_aborted(self, event: wire.MessageAborted) -> None:
        if self._forget(event.message) and self._stream is not None:
            self._stream.aborted(event.message, event.why)

    def _on_wanted(self, event: wire.ContentWanted) -> None:
        if self._stream is not None:
            self._stream.wanted(event.message)

    def _on_taken(self, event: wire.MessageTaken) -> None:
        self._settle(event.message, Outcome(Result.ACCEPTED))

    def _on_confirmed(self, event: wire.MessageConfirmed) -> None:
        self._settle(event.message, Outcome(Result.ACCEPTED))  # where the report was quicker than the answer
        self._owner.reported(event.message.message_id, 200, "")

    def _on_failed(self, event: wire.MessageFailed) -> None:
        message = event.message
        if message not in self._tokens:
            self._owner.reported(message.message_id, event.status, event.text)
        elif event.certain and event.status:
            self._settle(message, Outcome(Result.REFUSED, event.status, event.text))
        else:
            self._settle(message, Outcome(Result.LOST, event.status, event.text, sent=message.written))

    def _settle(self, message: Outgoing, outcome: Outcome) -> None:
        if message in self._tokens:
            self._owner.outcome(self._tokens.pop(message), outcome)

    # -- inside ------------------------------------------------------------------------------------------

    def _forget(self, message: Incoming) -> bool:
        body = self._gathered.pop(message, None)
        if body is None:
            return False
        self._gathered_bytes -= len(body)
        return True

    def _finish(self) -> None:
        if self.over:
            return
        self.over = True
        self._tokens.clear()
        self._early.clear()
        self._gathered.clear()
        self._reportable.clear()
        flow, self.flow = self.flow, None
        if flow is not None:
            flow.leave(self)
        self._on_over(self)


_METHODS: dict[type, Callable[[Leg, Any], None]] = {
    wire.SessionAnswered: Leg._on_up,
    wire.SessionBound: Leg._on_up,
    wire.SessionFailed: Leg._on_session_failed,
    wire.MessageBegan: Leg._on_began,
    wire.ContentReceived: Leg._on_content,
    wire.MessageReceived: Leg._on_received,
    wire.MessageAborted: Leg._on_aborted,
    wire.ContentWanted: Leg._on_wanted,
    wire.MessageTaken: Leg._on_taken,
    wire.MessageConfirmed: Leg._on_confirmed,
    wire.MessageFailed: Leg._on_failed,
}
