"""Sendings on their way: where each destination is, the connections to it, and the transactions over them.

DNS and new connections are the only things that take a task; whoever wants the same lookup or the same
connection waits for the one that is under way.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from rialto.core.hub import Hub
from rialto.core.network import Context
from rialto.model.address import Address
from rialto.model.errors import DeliveryError, LocalProtocolError, Reason, Unreachable
from rialto.networks.sip.abilities import Abilities
from rialto.networks.sip.course import Course
from rialto.networks.sip.flows import Flow
from rialto.networks.sip.locate import Target, locate
from rialto.networks.sip.outbound import Sending
from rialto.networks.sip.probe import Probe
from rialto.networks.sip.routes import Route
from rialto.networks.sip.shot import Shot
from rialto.networks.sip.transport import Transports
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import Request, Response, Uri
from rialto.networks.sip.wire.transaction import ClientTransaction
from rialto.networks.sip.wire.transactions import TransactionLayer

MAX_ROUTES = 10_000
MAX_REMEMBERED = 10_000

_log = structlog.get_logger(__name__)


class Dispatch:
    """What sendings and probes ask for. `turn` is called when something has happened outside of one."""

    def __init__(
        self,
        context: Context,
        layer: TransactionLayer,
        transports: Transports,
        hub: Hub,
        turn: Callable[[], None],
    ) -> None:
        self.name = context.name
        self.context = context
        self._layer = layer
        self._transports = transports
        self._hub = hub
        self._turn = turn
        self.abilities = Abilities(context.name, hub)
        self._loop = asyncio.get_running_loop()
        self._routes: OrderedDict[str, Route] = OrderedDict()
        self._locating: dict[str, list[Sending | Probe | Course | Shot]] = {}
        self._connecting: dict[tuple[Target, str], list[Sending | Probe | Course | Shot]] = {}
        self._answered: OrderedDict[str, int] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._vias: dict[tuple[str, bool], str] = {}
        self._stopped = False

    @property
    def busy(self) -> bool:
        """Whether a lookup or a connection is being waited for."""
        return bool(self._locating or self._connecting)

    def forget(self) -> None:
        """The peers have changed: look everything up again."""
        self._routes.clear()

    async def stop(self) -> None:
        """Give up what is under way, and begin nothing any more."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def now(self) -> float:
        """The loop's time."""
        return self._loop.time()

    def flow_to(self, target: Target, trunk: Trunk) -> Flow | None:
        """A flow that can be used now. Raises DeliveryError where there can never be one."""
        return self._transports.flow_to(target, trunk)

    def connect(self, target: Target, sending: Sending | Probe | Course | Shot) -> None:
        """Make a connection; one for all who want it."""
        key = (target, sending.trunk.peer.name)
        waiting = self._connecting.get(key)
        if waiting is not None:
            waiting.append(sending)
            return
        self._connecting[key] = [sending]
        self.spawn(self._connect(target, sending.trunk))

    async def _connect(self, target: Target, trunk: Trunk) -> None:
        flow: Flow | None = None
        failure: DeliveryError | None = None
        try:
            flow = await self._transports.connect(target, trunk, self._own_name())
        except DeliveryError as error:
            failure = error
            _log.info("not connected", network=self.name, target=str(target), why=error.detail or error.text)
        except Exception:
            _log.exception("not connected", network=self.name, target=str(target))
            failure = Unreachable(Reason.INTERNAL, "the gateway could not connect")
        for sending in self._connecting.pop((target, trunk.peer.name)):
            if flow is not None:
                sending.connected(flow)
            elif failure is not None:
                sending.not_connected(failure)
        self._turn()

    def transmit(
        self, request: Request, flow: Flow, sending: Sending | Probe | Course
    ) -> ClientTransaction | None:
        """Begin a client transaction."""
        try:
            return self._layer.request(request, flow, self._loop.time(), sending)
        except LocalProtocolError:
            # The branch is still in use: an earlier try has not ended here, though the hub has given it up.
            _log.exception("a branch in use", network=self.name)
            sending.broke()
            return None

    def via(self, target: Target, branch: str) -> str:
        """Our Via for requests to that target."""
        return self.write_via(target.transport, target.host, branch)

    def write_via(self, transport: str, host: str, branch: str) -> str:
        """Our Via for requests over this transport to that host."""
        key = (transport, ":" in host)
        head = self._vias.get(key)
        if head is None:
            sent_by = self._transports.sent_by(transport, host)
            alias = ";alias" if transport == "tls" else ""  # RFC 5923 section 5
            head = self._vias[key] = f"SIP/2.0/{transport.upper()} {sent_by};rport{alias};branch="  # RFC 3581
        return head + branch

    def nonce(self) -> str:
        """A client nonce."""
        return secrets.token_hex(8)

    def answered(self, message_id: str) -> int:
        """How many final responses a message has had that did not end it: each has used up a branch."""
        return self._answered.get(message_id, 0)

    def note_answered(self, message_id: str) -> None:
        """It had another one."""
        self._answered[message_id] = self._answered.get(message_id, 0) + 1
        if len(self._answered) > MAX_REMEMBERED:
            self._answered.popitem(last=False)

    def refused(self, person: Address, what: str, response: Response) -> bool:
        """See `Wires` of `outbound`."""
        return self.abilities.refused(person, what, response)

    def route(self, trunk: Trunk, domain: str, uri: Uri | None = None) -> Route:
        """The targets of a destination (or of a URI), and their standing."""
        key = _key(trunk, domain, uri)
        route = self._routes.get(key)
        if route is None:
            route = self._routes[key] = Route()
            if len(self._routes) > MAX_ROUTES:
                self._routes.popitem(last=False)
        return route

    def begin(self, sending: Sending | Probe | Course | Shot, domain: str, uri: Uri | None = None) -> None:
        """Let a sending go, as soon as it is known where to: by the domain, or by a URI of its dialog."""
        route, trunk = sending.route, sending.trunk
        if route.targets and route.fresh_until > self._loop.time():
            sending.go()
            return
        key = _key(trunk, domain, uri)
        waiting = self._locating.get(key)
        if waiting is not None:
            waiting.append(sending)
            return
        self._locating[key] = [sending]
        self.spawn(self._locate(key, trunk, uri or trunk.uri(domain), route))

    def _own_name(self) -> str:
        """Whose certificate we show: that of a domain which we speak for, if we have one."""
        ours = sorted(self._hub.projected(self.name))
        return next(
            (name for name in ours if self.context.certificates.covers(name)), self.context.server_name
        )

    async def _locate(self, key: str, trunk: Trunk, uri: Uri, route: Route) -> None:
        failure: DeliveryError | None = None
        try:
            targets = await locate(
                self.context.dns,
                uri,
                trunk.settings.transports,
                random.random,
                trunk.settings.tls_name,
            )
            route.found(targets, self._loop.time())
        except DeliveryError as error:
            failure = error
        except Exception:
            # Whatever it was, those who wait must hear of it: nobody else will wake them.
            _log.exception("not located", network=self.name, domain=uri.host)
            failure = Unreachable(Reason.INTERNAL, "the gateway could not look up the domain")
        for sending in self._locating.pop(key):
            sending.located(failure)
        self._turn()

    async def connect_and_send(self, target: Target, trunk: Trunk, data: bytes) -> None:
        """Make a connection for one answer whose own is gone."""
        try:
            flow = await self._transports.connect(target, trunk, self._own_name())
        except DeliveryError as error:
            _log.info(
                "an answer was lost with its connection",
                network=self.name,
                target=str(target),
                why=error.detail,
            )
            return
        flow.send(data)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this in a task of its own, which ends with us."""
        if self._stopped:
            work.close()
            return
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _key(trunk: Trunk, domain: str, uri: Uri | None) -> str:
    return f"{trunk.peer.name} {trunk.destination(domain) if uri is None else uri}"
