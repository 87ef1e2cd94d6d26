"""One SUBSCRIBE or NOTIFY on its way: from target to target until there is a final response (RFC 3263 section
4.3), with an answer to each challenge (RFC 3261 section 22.2).

The same course as that of a message (`outbound`), but for a request that is the affair of this network alone:
who sent it hears of the response, or that there is none.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from rialto.model.errors import DeliveryError
from rialto.networks.sip.conditions import Then, meaning, retry_after
from rialto.networks.sip.flows import Flow, StreamFlow
from rialto.networks.sip.locate import Target
from rialto.networks.sip.routes import Route
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import MAGIC_COOKIE, Request, Response
from rialto.networks.sip.wire.transaction import ClientTransaction

if TYPE_CHECKING:
    from rialto.networks.sip.dispatch import Dispatch

MAX_UDP_BYTES = 1300  # RFC 3261 section 18.1.1
MAX_CHALLENGES = 2
_VIA_BYTES = 160


class Traveller(Protocol):
    """Who sent it."""

    def responded(self, request: Request, response: Response) -> None:
        """The final response."""

    def failed(self, request: Request, error: DeliveryError | None) -> None:
        """No response came (None: in time), or it could not be sent."""


class Course:
    """One request under way. `renumber` gives the CSeq of a repetition."""

    __slots__ = (
        "_again", "_authorization", "_dispatch", "_error", "_flow", "_plain_udp", "_renumber", "_request",
        "_retried", "_sent_at", "_target", "_traveller", "_tried", "route", "transaction", "trunk",
    )  # fmt: skip

    def __init__(
        self,
        dispatch: Dispatch,
        traveller: Traveller,
        trunk: Trunk,
        request: Request,
        route: Route,
        renumber: Callable[[], int],
    ) -> None:
        self._dispatch = dispatch
        self._traveller = traveller
        self.trunk = trunk
        self.route = route
        self._request = request
        self._renumber = renumber
        self._tried: list[Target] = []
        self._target: Target | None = None
        self._flow: Flow | None = None
        self._sent_at = 0.0
        self._again = 0
        self._authorization: tuple[str, str] | None = None
        self._error: DeliveryError | None = None
        self._retried = False
        self._plain_udp = False
        self.transaction: ClientTransaction | None = None
        """The one under way."""

    @property
    def credentials(self) -> tuple[str, str] | None:
        """The header with which a challenge was answered."""
        return self._authorization

    def go(self) -> None:
        """Try the next target, or give up."""
        target = self.route.choose(self._dispatch.now(), self._tried)
        if target is None:
            self._traveller.failed(self._request, self._error)
            return
        self._target = target
        self._retried = self._plain_udp = False
        self._try(target)

    def located(self, error: DeliveryError | None) -> None:
        """DNS has answered."""
        if error is None:
            self.go()
        else:
            self._traveller.failed(self._request, error)

    def connected(self, flow: Flow) -> None:
        """The connection that was asked for is there."""
        self._send(flow)

    def not_connected(self, error: DeliveryError) -> None:
        """It could not be made."""
        target = self._target
        assert target is not None
        if target.transport == "udp":
            self._plain_udp = True  # RFC 3261 section 18.1.1: no TCP there, so UDP after all
            self._try(target)
            return
        self._error = error
        self._next(target)

    def responded(self, response: Response) -> None:
        """A final response."""
        target = self._target
        assert target is not None
        _, then = meaning(response.status) if response.status >= 300 else (None, Then.END)
        if then is Then.CREDENTIALS and self._answer(response):
            return
        if then is Then.NEXT:
            self.route.avoid(target, self._dispatch.now(), retry_after(response))
            self._tried.append(target)
            if self.route.choose(self._dispatch.now(), self._tried) is not None:
                self.go()
                return
        else:
            self.route.good(target)
        self._traveller.responded(self._request, response)

    def timed_out(self) -> None:
        """No final response within 64*T1."""
        target, flow = self._target, self._flow
        assert target is not None
        if isinstance(flow, StreamFlow) and flow.link.last_received < self._sent_at:
            flow.link.abort()
        self._error = None
        self._next(target)

    def broke(self) -> None:
        """The flow broke while we waited."""
        target, flow = self._target, self._flow
        assert target is not None
        if isinstance(flow, StreamFlow) and not self._retried:
            self._retried = True  # it may only have been an old connection that the peer had forgotten
            self._try(target)
            return
        self._next(target)

    def _try(self, target: Target) -> None:
        wanted = target
        long = len(self._request.body) + _VIA_BYTES > MAX_UDP_BYTES // 2 and self._length() > MAX_UDP_BYTES
        if target.transport == "udp" and not self._plain_udp and long:
            wanted = Target("tcp", target.host, target.port, target.name)
        try:
            flow = self._dispatch.flow_to(wanted, self.trunk)
        except DeliveryError as error:
            self._error = error
            self._next(target)
            return
        if flow is None:
            self._dispatch.connect(wanted, self)
        else:
            self._send(flow)

    def _length(self) -> int:
        return len(self._request.encode()) + _VIA_BYTES

    def _send(self, flow: Flow) -> None:
        target = self._target
        assert target is not None
        self._flow = flow
        self._sent_at = self._dispatch.now()
        request = self._request
        answerer = self.trunk.answerer
        if self._authorization is None and answerer is not None:
            value = answerer.again(request.method, request.uri, self._dispatch.nonce())
            if value is not None:
                self._authorization = (self.trunk.credentials_header, value)
        via = self._dispatch.write_via(flow.transport, target.host, MAGIC_COOKIE + secrets.token_hex(12))
        headers = [("Via", via), *request.headers]
        if self._authorization is not None:
            headers.append(self._authorization)
        self.transaction = self._dispatch.transmit(
            Request(request.method, request.uri, headers, request.body), flow, self
        )

    def _answer(self, response: Response) -> bool:
        """Answer a challenge; False when we can't, or have been told no."""
        answerer, flow = self.trunk.answerer, self._flow
        if answerer is None or flow is None or self._again >= MAX_CHALLENGES:
            return False
        asked, told = (
            ("WWW-Authenticate", "Authorization")
            if response.status == 401
            else ("Proxy-Authenticate", "Proxy-Authorization")
        )
        previous = self._authorization[1] if self._authorization and self._authorization[0] == told else None
        request = self._request
        value = answerer.answer(
            response.get_all(asked), request.method, request.uri, self._dispatch.nonce(), refused=previous
        )
        if value is None:
            return False
        self._again += 1
        self._authorization = (told, value)
        self.trunk.credentials_header = told
        # RFC 3261 section 22.2: the same request with the next CSeq.
        request.set("CSeq", f"{self._renumber()} {request.method}")
        self._send(flow)
        return True

    def _next(self, target: Target) -> None:
        self.trunk.troubled = True
        self.route.avoid(target, self._dispatch.now())
        self._tried.append(target)
        self.go()
