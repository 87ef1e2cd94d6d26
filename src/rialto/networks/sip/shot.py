"""A request that nobody answers, on its way: the ACK of a 2xx."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from rialto.model.errors import DeliveryError
from rialto.networks.sip.flows import Flow
from rialto.networks.sip.locate import Target
from rialto.networks.sip.routes import Route
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import MAGIC_COOKIE, Request

if TYPE_CHECKING:
    from rialto.networks.sip.dispatch import Dispatch


class Shot:
    """An ACK for a 2xx: sent once, where the dialog says (RFC 3261 section 13.2.2.4)."""

    __slots__ = ("_dispatch", "_request", "_target", "_tried", "route", "trunk")

    def __init__(self, dispatch: Dispatch, trunk: Trunk, request: Request, route: Route) -> None:
        self._dispatch = dispatch
        self.trunk = trunk
        self.route = route
        self._request = request
        self._tried: list[Target] = []
        self._target: Target | None = None

    def go(self) -> None:
        """Send it, over a connection that there is or that is made."""
        self._target = target = self.route.choose(self._dispatch.now(), self._tried)
        if target is None:
            return  # the 2xx will come again, and with it another try
        self._tried.append(target)
        try:
            flow = self._dispatch.flow_to(target, self.trunk)
        except DeliveryError:
            self.go()
            return
        if flow is None:
            self._dispatch.connect(target, self)
        else:
            self.connected(flow)

    def located(self, error: DeliveryError | None) -> None:
        """DNS has answered."""
        if error is None:
            self.go()

    def connected(self, flow: Flow) -> None:
        """Here it goes."""
        target, request = self._target, self._request
        assert target is not None
        via = self._dispatch.write_via(flow.transport, target.host, MAGIC_COOKIE + secrets.token_hex(12))
        flow.send(Request("ACK", request.uri, [("Via", via), *request.headers], request.body).encode())

    def not_connected(self, error: DeliveryError) -> None:
        """The next one."""
        self.go()
