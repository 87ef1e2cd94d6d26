"""Is the peer there? Ask with OPTIONS, along the way that messages take."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from rialto.model.address import ascii_domain
from rialto.model.errors import DeliveryError
from rialto.networks.sip.flows import Flow
from rialto.networks.sip.locate import Target
from rialto.networks.sip.routes import Route
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import MAGIC_COOKIE, Request, Response

if TYPE_CHECKING:
    from rialto.networks.sip.dispatch import Dispatch


class Probe:
    """One question; `result` will be (reached, what was found)."""

    def __init__(
        self,
        dispatch: Dispatch,
        trunk: Trunk,
        domain: str,
        route: Route,
        result: asyncio.Future[tuple[bool, str]],
    ) -> None:
        self._dispatch = dispatch
        self._domain = domain
        self.trunk = trunk
        self.route = route
        self.result = result
        self._tried: list[Target] = []
        self._found: list[str] = []
        self._target: Target | None = None

    def go(self) -> None:
        """Ask the next target."""
        target = self.route.choose(self._dispatch.now(), self._tried)
        if target is None:
            self._end(False, "; ".join(self._found) or "no server to ask")
            return
        self._target = target
        self._tried.append(target)
        try:
            flow = self._dispatch.flow_to(target, self.trunk)
        except DeliveryError as error:
            self._failed(error.detail or error.text)
            return
        if flow is None:
            self._dispatch.connect(target, self)
        else:
            self.connected(flow)

    def located(self, error: DeliveryError | None) -> None:
        """DNS has answered."""
        if error is None:
            self.go()
        else:
            self._end(False, f"{error.text}; publish SRV records for it, or set `proxy`")

    def connected(self, flow: Flow) -> None:
        """There is a flow to ask over."""
        dispatch, target = self._dispatch, self._target
        assert target is not None
        host = ascii_domain(self._domain) if self._domain else target.name
        ours = dispatch.context.server_name
        request = Request(
            "OPTIONS",
            f"sip:{host}",
            [
                ("Via", dispatch.via(target, MAGIC_COOKIE + secrets.token_hex(12))),
                ("Max-Forwards", "70"),
                ("From", f"<sip:{ours}>;tag={secrets.token_hex(8)}"),
                ("To", f"<sip:{host}>"),
                ("Call-ID", f"{secrets.token_hex(12)}@{ours}"),
                ("CSeq", "1 OPTIONS"),
            ],
        )
        dispatch.transmit(request, flow, self)

    def not_connected(self, error: DeliveryError) -> None:
        """There is none."""
        self._failed(error.detail or error.text)

    def responded(self, response: Response) -> None:
        """Whatever the answer: somebody is there."""
        self._end(True, f"{self._target} answered {response.status} {response.reason}")

    def timed_out(self) -> None:
        """Nobody answered."""
        self._failed("no answer")

    def broke(self) -> None:
        """The flow broke."""
        self._failed("the connection broke, or nobody listens there")

    def _failed(self, why: str) -> None:
        self._found.append(f"{self._target}: {why}")
        self.go()

    def _end(self, reached: bool, text: str) -> None:
        if not self.result.done():
            self.result.set_result((reached, text))
