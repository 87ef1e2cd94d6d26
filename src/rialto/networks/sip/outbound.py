"""One message on its way out: from target to target, until somebody answers for it (RFC 3263 section 4.3).

    begin ─► targets known? ─► choose ─► flow ─► request ─► 2xx: delivered
               │ no: DNS          ▲        │                 401, 407: once more, with credentials
               └──────────────────┤        └ no connection   503, timeout, broken: the next target
                                  └──────────────────────────┘     none left: try again later
                                                                other: refused

The order of events belongs to the network, which drives this; a sending knows only its own course.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rialto.core.network import Delivery, hop
from rialto.model.address import Address
from rialto.model.errors import AddressError, DeliveryError, Reason, Refused, Unreachable
from rialto.networks.sip.conditions import Then, error_from, meaning, retry_after
from rialto.networks.sip.drafts import Draft, branch_for, request_for
from rialto.networks.sip.flows import Flow, StreamFlow, UdpFlow
from rialto.networks.sip.locate import Target
from rialto.networks.sip.routes import Route
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import Request, Response
from rialto.networks.sip.wire.address import parse_name_addrs

MAX_UDP_BYTES = 1300  # RFC 3261 section 18.1.1
ICMP_WITHIN_S = 0.25  # less than T1: the datagram that it answers was the only one
MAX_CHALLENGES = 2  # a proxy's and a server's


class Wires(Protocol):
    """What a sending asks of the network."""

    def now(self) -> float:
        """The loop's time."""

    def flow_to(self, target: Target, trunk: Trunk) -> Flow | None:
        """A flow that this peer's messages may use now."""

    def connect(self, target: Target, sending: Sending) -> None:
        """Make one, and call `connected` or `not_connected`."""

    def transmit(self, request: Request, flow: Flow, sending: Sending) -> object:
        """Begin the client transaction."""

    def via(self, target: Target, branch: str) -> str:
        """Our Via for that target."""

    def nonce(self) -> str:
        """A client nonce."""

    def answered(self, message_id: str) -> int:
        """How many final responses a message has had that did not end it."""

    def note_answered(self, message_id: str) -> None:
        """It had another one."""

    def refused(self, person: Address, what: str, response: Response) -> bool:
        """A person's side has refused something in which `what` (words of `abilities`) was; whether less
        would do."""


class Sending:
    """One delivery, under way."""

    __slots__ = (
        "_again", "_authorization", "_certain", "_draft", "_error", "_flow", "_plain_udp", "_retried",
        "_sent_at", "_target", "_tried", "_wires", "delivery", "route", "trunk",
    )  # fmt: skip

    def __init__(self, wires: Wires, delivery: Delivery, trunk: Trunk, draft: Draft, route: Route) -> None:
        self._wires = wires
        self.delivery = delivery
        self.trunk = trunk
        self.route = route
        self._draft = draft
        self._tried: list[Target] = []
        self._target: Target | None = None
        self._flow: Flow | None = None
        self._sent_at = 0.0
        self._again = 0
        self._authorization: tuple[str, str] | None = None
        self._certain = True
        self._error: DeliveryError | None = None
        self._retried = False
        self._plain_udp = False

    def go(self) -> None:
        """Try the next target, or give up for now."""
        wires = self._wires
        target = self.route.choose(wires.now(), self._tried)
        if target is None:
            self._give_up()
            return
        self._target = target
        self._authorization = None
        self._retried = False
        self._try(target)

    def located(self, error: DeliveryError | None) -> None:
        """DNS has answered for the destination."""
        if error is None:
            self.go()
        else:
            self.delivery.failed(_same(error))

    def connected(self, flow: Flow) -> None:
        """The connection that was asked for is there."""
        self._send(flow)

    def not_connected(self, error: DeliveryError) -> None:
        """It could not be made."""
        target = self._target
        assert target is not None
        if target.transport == "udp":
            self._plain_udp = (
                True  # RFC 3261 section 18.1.1: no TCP there, so UDP after all, as long as it is
            )
            self._try(target)
            return
        self._error = error
        self._next(target)

    def responded(self, response: Response) -> None:
        """A final response."""
        target = self._target
        assert target is not None
        status = response.status
        if status < 300:
            self.route.good(target)
            detail = f"{status} {response.reason}"[:80]
            flow = self._flow
            secured = flow is not None and flow.secured
            proven = "tls" if secured and self.trunk.settings.verify_tls else "address"
            if status == 202:  # RFC 3428 section 7: somebody will try
                self.delivery.sent(hop(proven, secured))
            else:
                self.delivery.delivered(detail, hop(proven, secured))
            return
        self._wires.note_answered(self._draft.id)
        _, then = meaning(status)
        if then is Then.CREDENTIALS and self._answer(response):
            return
        if then is Then.NEXT:
            wait = retry_after(response)
            self.route.avoid(target, self._wires.now(), wait)
            self._error = error_from(response)
            self._next(target, avoid=False)
            return
        self.route.good(target)
        if self._draft.could_refuse and self._wires.refused(
            self.delivery.content.recipient, self._draft.could_refuse, response
        ):
            self.delivery.again()
            return
        error = error_from(response, _redirect(response))
        error.certain = error.certain and self._certain
        if status == 482 and (self._tried or self.delivery.attempt):
            # It went there before, by another branch or an earlier try, and is being worked on
            # (section 8.2.2.2).
            error.certain = False
        self.delivery.failed(error)

    def timed_out(self) -> None:
        """No final response within 64*T1: it may have arrived."""
        target, flow = self._target, self._flow
        assert target is not None
        if isinstance(flow, StreamFlow) and flow.link.last_received < self._sent_at:
            flow.link.abort()  # not a word on it since: it leads nowhere, though TCP has not noticed
        self._certain = False
        self._error = Unreachable(
            Reason.TIMEOUT, "the other side did not answer in time", detail=str(target), certain=False
        )
        self._next(target)

    def broke(self) -> None:
        """The flow broke while we waited."""
        target, flow = self._target, self._flow
        assert target is not None
        if isinstance(flow, UdpFlow) and self._wires.now() - self._sent_at < ICMP_WITHIN_S:
            text = "nobody listens there"  # ICMP said so to the first datagram
        else:
            text = "the connection broke before the answer"
            self._certain = False
        self._error = Unreachable(Reason.UNREACHABLE, text, detail=str(target), certain=self._certain)
        if isinstance(flow, StreamFlow) and not self._retried:
            self._retried = True  # it may only have been an old connection that the peer had forgotten
            self._try(target)
            return
        self._next(target)

    # The course

    def _try(self, target: Target) -> None:
        try:
            wanted = self._carrier(target)
            flow = self._wires.flow_to(wanted, self.trunk)
        except DeliveryError as error:
            self._error = error
            self._next(target)
            return
        if flow is None:
            self._wires.connect(wanted, self)
        else:
            self._send(flow)

    def _carrier(self, target: Target) -> Target:
        """TCP instead of UDP for what is too long for one packet (RFC 3261 section 18.1.1)."""
        if target.transport != "udp" or self._plain_udp:
            return target
        if len(self._draft.body) < MAX_UDP_BYTES // 4:  # a cheap bound, for most
            return target
        if len(self._request(target).encode()) <= MAX_UDP_BYTES:
            return target
        return Target("tcp", target.host, target.port, target.name)

    def _send(self, flow: Flow) -> None:
        target = self._target
        assert target is not None
        self._flow = flow
        self._sent_at = self._wires.now()
        wanted = target
        if target.transport == "udp" and flow.transport == "tcp":
            wanted = Target("tcp", target.host, target.port, target.name)
        self._wires.transmit(self._request(wanted), flow, self)

    def _request(self, target: Target) -> Request:
        draft = self._draft
        if self._authorization is None and self.trunk.answerer is not None:
            value = self.trunk.answerer.again("MESSAGE", draft.uri, self._wires.nonce())
            if value is not None:
                self._authorization = (self.trunk.credentials_header, value)
        branch = branch_for(draft, str(target), self._wires.answered(draft.id))
        return request_for(
            draft, self._wires.via(target, branch), again=self._again, authorization=self._authorization
        )

    def _answer(self, response: Response) -> bool:
        """Answer a challenge (RFC 3261 section 22.3); False when we can't, or have been told no."""
        answerer = self.trunk.answerer
        flow = self._flow
        if answerer is None or flow is None or self._again >= MAX_CHALLENGES:
            return False
        asked, told = (
            ("WWW-Authenticate", "Authorization")
            if response.status == 401
            else ("Proxy-Authenticate", "Proxy-Authorization")
        )
        previous = self._authorization[1] if self._authorization and self._authorization[0] == told else None
        value = answerer.answer(
            response.get_all(asked), "MESSAGE", self._draft.uri, self._wires.nonce(), refused=previous
        )
        if value is None:
            return False
        self._again += 1
        self._authorization = (told, value)
        self.trunk.credentials_header = told
        self._send(flow)
        return True

    def _next(self, target: Target, *, avoid: bool = True) -> None:
        self.trunk.troubled = True
        if avoid:
            self.route.avoid(target, self._wires.now())
        self._tried.append(target)
        self._plain_udp = False
        self.go()

    def _give_up(self) -> None:
        """No target is left; the hub tries again, not before any of them wants to be asked."""
        error = self._error
        wait = self.route.wait_s(self._wires.now())
        if error is None:
            error = Unreachable(Reason.CONGESTION, "the other side asked to be left alone for a while")
        self.delivery.failed(
            Unreachable(
                error.reason,
                error.text,
                detail=error.detail,
                certain=error.certain and self._certain,
                retry_after_s=wait if wait is not None else error.retry_after_s,
            )
        )


def _redirect(response: Response) -> str:
    """The first address that a 3xx names."""
    if response.status // 100 != 3:
        return ""
    try:
        contacts = [name for line in response.get_all("Contact") for name in parse_name_addrs(line)]
    except AddressError:
        return ""
    return str(contacts[0].uri) if contacts else ""


def _same(error: DeliveryError) -> DeliveryError:
    """A fresh copy: one lookup may answer many sendings, and each error goes its own way."""
    kind: Callable[..., DeliveryError] = Unreachable if error.retry else Refused
    return kind(
        error.reason,
        error.text,
        detail=error.detail,
        certain=error.certain,
        retry_after_s=error.retry_after_s,
    )
