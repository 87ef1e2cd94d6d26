"""The SIP network: what the hub talks to, and what keeps sockets, transactions and decisions moving.

    datagram or stream ─► parse ─► validate ─► (retransmission? answered from its transaction)
        ─► prove the sender ─► transaction ─► inspect (`ua`) ─► `translate` ─► hub.accept ─► `Answer`
    hub ─► deliver ─► `translate` ─► `Sending` ─► locate, flow, transaction ─► 2xx, next target, or an error

Nothing here costs a task or a timer of the loop for a message: one alarm serves all transactions and all
waiting answers; tasks are made for DNS and for new connections only. What strangers send is refused without
keeping state.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from rialto.core.hub import Hub
from rialto.core.network import Context, Delivery, LinkState, Network, Origin, Peer
from rialto.model.address import Address
from rialto.model.errors import ConfigError, DeliveryError, LocalProtocolError, Reason, Refused, Unreachable
from rialto.model.message import Message, Report
from rialto.net.certificates import Trust
from rialto.net.hostport import join_host_port
from rialto.networks.sip import ua
from rialto.networks.sip.addresses import folded, spelling_key
from rialto.networks.sip.flows import Flow, StreamFlow, UdpFlow
from rialto.networks.sip.identity import Doubt, Prover, Sender
from rialto.networks.sip.inbound import Answer
from rialto.networks.sip.locate import Target, locate
from rialto.networks.sip.outbound import Sending
from rialto.networks.sip.probe import Probe
from rialto.networks.sip.routes import Route
from rialto.networks.sip.settings import DEFAULT_PORTS, Settings, parse_listen
from rialto.networks.sip.translate import branch_for, draft, request_for, to_message
from rialto.networks.sip.transport import Transports
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import BadMessage, Request, Response, parse_message, response_to, validate
from rialto.networks.sip.wire.digest import Challenger
from rialto.networks.sip.wire.lanes import Lanes
from rialto.networks.sip.wire.timers import Timing
from rialto.networks.sip.wire.transaction import (
    AckReceived,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    TimedOut,
    TransportFailed,
)
from rialto.networks.sip.wire.transactions import TransactionLayer

TICK_S = 0.1
"""How exactly timers are kept while something is going on."""
CONGESTED_RETRY_AFTER_S = 10
LOG_AGAIN_S = 60.0
MAX_ROUTES = 10_000
MAX_REMEMBERED = 10_000

_log = structlog.get_logger(__name__)


class SipNetwork:
    """See `rialto.core.network.Network`."""

    def __init__(self, settings: Settings, context: Context) -> None:
        """Raises ConfigError for settings that can't work."""
        self.name = context.name
        self.settings = settings
        self.context = context
        self.listens = [parse_listen(text) for text in settings.listen]
        trust = Trust(tuple(context.anchors))
        self.trunks = {peer.name: Trunk(peer, trust) for peer in context.peers}
        self.layer = TransactionLayer(
            Timing(t1_s=settings.t1_s, t2_s=8 * settings.t1_s, t4_s=10 * settings.t1_s)
        )
        self._waits: Lanes[Answer] = Lanes()
        self._routes: OrderedDict[str, Route] = OrderedDict()
        self._locating: dict[str, list[Sending | Probe]] = {}
        self._connecting: dict[Target, list[Sending | Probe]] = {}
        self._answered: OrderedDict[str, int] = OrderedDict()
        self._logged: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._vias: dict[tuple[str, bool], str] = {}
        self._own_names: frozenset[str] = frozenset()
        self._alarm: asyncio.TimerHandle | None = None
        self._tick_s = min(TICK_S, settings.t1_s / 4)
        self._turning = False
        self._due = False
        self._stopping = False
        self._waiting = 0
        self._loop: asyncio.AbstractEventLoop
        self._hub: Hub
        self._prover: Prover
        self._challenger = Challenger(settings.realm or context.server_name, context.secret)
        tap: Callable[[str, str, bytes], None] | None = None
        if context.tap is not None:
            outer = context.tap
            tap = lambda remote, direction, data: outer(self.name, remote, direction, data)  # noqa: E731
        self.transports = Transports(
            settings,
            server_name=context.server_name,
            certificates=context.certificates,
            clock=context.clock,
            on_message=self._on_message,
            on_garbled=self._on_garbled,
            on_lost=self._on_lost,
            tap=tap,
        )

    # -- for the hub -----------------------------------------------------------------------------------

    async def start(self, hub: Hub) -> None:
        """See `Network`."""
        self._loop = asyncio.get_running_loop()
        self._hub = hub
        self._prover = Prover(self.name, self.trunks, hub, self._challenger, self.context.clock)
        await self.transports.start(self.listens)
        self._own_names = self.transports.own_names()
        for transport, host, port in self.transports.bound():
            _log.info("listening", network=self.name, transport=transport, address=join_host_port(host, port))

    async def stop(self, grace_s: float) -> None:
        """See `Network`."""
        self._stopping = True
        end = self._loop.time() + grace_s
        while (self._waiting or self._locating or self._connecting) and self._loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._turn()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        await self.transports.stop()

    async def reload(self, network: Network) -> None:
        """See `Network`: peers and their settings; where we listen stays until a restart."""
        if not isinstance(network, SipNetwork):
            return
        if network.settings.listen != self.settings.listen:
            raise ConfigError("networks.sip.listen", "the same addresses", "restart to listen elsewhere")
        self.context = network.context
        self.trunks = network.trunks
        self._routes.clear()
        self._prover = Prover(self.name, self.trunks, self._hub, self._challenger, self.context.clock)

    def destination(self, peer: Peer, domain: str) -> str:
        """See `Network`."""
        trunk = self.trunks.get(peer.name)
        return trunk.destination(domain) if trunk is not None else domain

    def measure(self, message: Message, peer: Peer) -> int:
        """See `Network`: the whole request (RFC 3428 section 8), at its longest."""
        trunk = self.trunks[peer.name]
        ready = draft(message, server_name=self.context.server_name, spell=self._spell)
        branch = branch_for(ready, "", 9)
        via = max((self._via(t, "", branch) for t in trunk.settings.transports), key=len)
        length = len(request_for(ready, via).encode())
        if trunk.answerer is not None:
            length += CREDENTIALS_BYTES
        return length

    def deliver(self, delivery: Delivery) -> None:
        """See `Network`."""
        trunk = self.trunks.get(delivery.peer.name)
        if trunk is None:
            delivery.failed(Unreachable(Reason.UNREACHABLE, "the peer is no longer configured"))
            return
        if isinstance(delivery.content, Report) and not trunk.settings.failure_notice:
            delivery.failed(Refused(Reason.POLICY, "this peer wants no notices"))
            return
        try:
            ready = draft(delivery.content, server_name=self.context.server_name, spell=self._spell)
        except DeliveryError as error:
            delivery.failed(error)
            return
        self._dispatch(
            Sending(self, delivery, trunk, ready, self._route(trunk, delivery.domain)), delivery.domain
        )
        self._later()

    def links(self) -> list[LinkState]:
        """See `Network`."""
        states = []
        for flow in self.transports.flows:
            remote = join_host_port(*flow.remote)
            trunk = next((t for t in self.trunks.values() if t.owns_address(flow.remote[0])), None)
            states.append(
                LinkState(
                    self.name,
                    trunk.peer.name if trunk is not None else "",
                    f"{flow.transport}:{remote}",
                    "up" if flow.alive else "down",
                    "out" if flow.link.outgoing else "in",
                    flow.describe()["security"],
                    flow.opened_at,
                )
            )
        return states

    async def probe(self, peer: Peer) -> tuple[bool, str]:
        """See `Network`: by OPTIONS."""
        trunk = self.trunks[peer.name]
        domain = next((domain for domain in peer.domains if "*" not in domain), "")
        if not domain and trunk.proxy is None:
            return True, "reached by looking up each domain"
        probe = Probe(self, trunk, domain, self._route(trunk, domain), self._loop.create_future())
        self._dispatch(probe, domain)
        self._later()
        return await probe.result

    # -- for sendings ----------------------------------------------------------------------------------

    def now(self) -> float:
        """The loop's time."""
        return self._loop.time()

    def flow_to(self, target: Target) -> Flow | None:
        """A flow that can be used now. Raises DeliveryError where there can never be one."""
        return self.transports.flow_to(target)

    def connect(self, target: Target, sending: Sending | Probe) -> None:
        """Make a connection; one for all who want it."""
        waiting = self._connecting.get(target)
        if waiting is not None:
            waiting.append(sending)
            return
        self._connecting[target] = [sending]
        self._spawn(self._connect(target, sending.trunk))

    async def _connect(self, target: Target, trunk: Trunk) -> None:
        flow: Flow | None = None
        failure: DeliveryError | None = None
        try:
            own = next(iter(self._hub.projected(self.name)), self.context.server_name)
            flow = await self.transports.connect(target, trunk.trust, own, trunk.settings.verify_tls)
        except DeliveryError as error:
            failure = error
            _log.info("not connected", network=self.name, target=str(target), why=error.detail or error.text)
        for sending in self._connecting.pop(target):
            if flow is not None:
                sending.connected(flow)
            elif failure is not None:
                sending.not_connected(failure)
        self._turn()

    def transmit(self, request: Request, flow: Flow, sending: Sending | Probe) -> None:
        """Begin a client transaction."""
        try:
            self.layer.request(request, flow, self._loop.time(), sending)
        except LocalProtocolError:
            # The branch is still in use: an earlier try has not ended here, though the hub has given it up.
            _log.exception("a branch in use", network=self.name)
            sending.broke()

    def via(self, target: Target, branch: str) -> str:
        """Our Via for requests to that target."""
        return self._via(target.transport, target.host, branch)

    def _via(self, transport: str, host: str, branch: str) -> str:
        key = (transport, ":" in host)
        head = self._vias.get(key)
        if head is None:
            sent_by = self.transports.sent_by(transport, host)
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

    def _route(self, trunk: Trunk, domain: str) -> Route:
        key = f"{trunk.peer.name} {trunk.destination(domain)}"
        route = self._routes.get(key)
        if route is None:
            route = self._routes[key] = Route()
            if len(self._routes) > MAX_ROUTES:
                self._routes.popitem(last=False)
        return route

    def _dispatch(self, sending: Sending | Probe, domain: str) -> None:
        route, trunk = sending.route, sending.trunk
        if route.targets and route.fresh_until > self._loop.time():
            sending.go()
            return
        key = f"{trunk.peer.name} {trunk.destination(domain)}"
        waiting = self._locating.get(key)
        if waiting is not None:
            waiting.append(sending)
            return
        self._locating[key] = [sending]
        self._spawn(self._locate(key, trunk, domain, route))

    async def _locate(self, key: str, trunk: Trunk, domain: str, route: Route) -> None:
        failure: DeliveryError | None = None
        try:
            targets = await locate(
                self.context.dns,
                trunk.uri(domain),
                trunk.settings.transports,
                random.random,
                trunk.settings.tls_name,
            )
            route.found(targets, self._loop.time())
        except DeliveryError as error:
            failure = error
        for sending in self._locating.pop(key):
            sending.located(failure)
        self._turn()

    def _spell(self, address: Address) -> str:
        """How a SIP user writes the own name (ADR-14)."""
        return self._hub.recall(self.name, spelling_key(address)) or ""

    # -- from the wire ---------------------------------------------------------------------------------

    def _on_message(self, message: Request | Response, flow: Flow) -> None:
        now = self._loop.time()
        try:
            validate(message)
        except BadMessage as error:
            self._on_garbled(error, flow)
            return
        if isinstance(message, Response):
            self.layer.receive_response(message, now)
        else:
            via = message.top_via
            noted = via.answered_from(*flow.remote)  # RFC 3261 section 18.2.1, RFC 3581 section 4
            if noted is not via:
                message.replace_top_via(noted)
            if isinstance(flow, UdpFlow):
                flow = self.transports.answer_flow(flow, via)
            if self.layer.knows(message):
                self.layer.receive_request(message, flow, now)
            else:
                self._new_request(message, flow, now)
        self._turn()

    def _new_request(self, request: Request, flow: Flow, now: float) -> None:
        method = request.method
        if method == "ACK":
            self.layer.receive_request(request, flow, now)
            return
        if method == "MESSAGE" and (
            self._hub.congested or self._stopping or self.layer.server_count >= self.settings.max_transactions
        ):
            self._hub.count("refused", "", Reason.CONGESTION)
            retry = (("Retry-After", str(CONGESTED_RETRY_AFTER_S)),)
            self._reply(request, flow, 503, None, retry)
            return
        sender = self._prover.prove(request, flow)
        if type(sender) is Doubt:
            refused = ua.inspect(ua.Facts(request, sender))
            if refused is not None and refused.code == sender.code:
                # A stranger gets no state of ours (section 8.2.7).
                self._hub.count("unproven", self.name, sender.code)
                self._log(sender.code, sender.detail, flow)
                self._reply(request, flow, sender.status, sender.phrase, sender.headers)
                return
        else:
            self.transports.establish(flow)
        self.layer.receive_request(request, flow, now, sender)

    def _on_request(self, event: RequestReceived) -> None:
        transaction: ServerTransaction = event.transaction
        request, sender = transaction.request, transaction.owner
        transaction.owner = None
        facts = ua.Facts(
            request,
            sender,
            event.merged,
            request.method == "CANCEL" and self.layer.cancelled_by(request) is not None,
            self._own_names,
        )
        try:
            refused = ua.inspect(facts)
            if refused is None:
                self._take(transaction, request, sender)
                return
        except BadMessage as error:
            refused = ua.Refusal(error.status, "bad-message", error.text, error.headers)
        if request.method == "MESSAGE":
            peer = sender.trunk.peer.name if isinstance(sender, Sender) else ""
            self._hub.count("refused", peer, refused.code)
            self._log(refused.code, refused.detail, transaction.flow)
        else:
            self._hub.count("answered", self.name, request.method if request.method in ua.KNOWN else "other")
        self.answer(transaction, refused.status, refused.phrase, refused.headers)

    def _take(self, transaction: ServerTransaction, request: Request, sender: Sender) -> None:
        """A MESSAGE from a proven sender. Raises BadMessage."""
        hub, trunk = self._hub, sender.trunk
        flow: Any = transaction.flow
        message = to_message(request, sender.address, hub.new_id(), self.context.clock())
        if message is None:
            hub.count("ignored", self.name, "empty")
            self.answer(transaction, 200)
            return
        self._remember(sender, request, flow)
        secure_only = request.uri[:5].lower() == "sips:"
        origin = Origin(trunk.peer, sender.address.domain, sender.proof, flow.secured, secure_only)
        answer = Answer(self, transaction, trunk.settings)
        transaction.owner = answer
        self._waiting += 1
        if trunk.settings.answer == "honest" and trunk.settings.answer_wait_s > 0:
            answer.timer = self._waits.start(trunk.settings.answer_wait_s, self._loop.time(), answer)
        try:
            hub.accept(message, origin, answer)
        except DeliveryError as error:
            if error.reason in (Reason.FORBIDDEN, Reason.LOOP, Reason.POLICY):
                self._log(error.reason.value, error.detail or error.text, flow)
            answer.fail(error)
        except Exception:
            # The sender must hear something, and the next message must not suffer from this one.
            _log.exception("a message could not be taken", network=self.name, call_id=request.call_id)
            answer.fail(Refused(Reason.INTERNAL, "the gateway failed"))

    def _remember(self, sender: Sender, request: Request, flow: Flow) -> None:
        """What a request teaches: how its sender is spelled, that its server is up, that we may use its
        connection."""
        address = sender.address
        local = folded(address.local)
        if local != address.local or self._hub.recall(self.name, f"{local}@{address.domain}") is not None:
            self._hub.remember(self.name, f"{local}@{address.domain}", address.local)
        if sender.proof == "tls" and isinstance(flow, StreamFlow):
            via = request.top_via
            if via.param("alias") is not None and not flow.link.outgoing:
                name = sender.trunk.settings.tls_name or sender.trunk.uri(address.domain).host
                verdict = flow.certified(name, sender.trunk.trust)
                if verdict is not None and verdict.ok:
                    self.transports.alias(flow, via.port or DEFAULT_PORTS["tls"], name)
        route = self._routes.get(f"{sender.trunk.peer.name} {sender.trunk.destination(address.domain)}")
        if route is not None and route.troubled:
            self._hub.reachable(sender.trunk.destination(address.domain), self.name)

    def _on_garbled(self, error: BadMessage, flow: Flow) -> None:
        """Something that can't be worked on: answered if it is a request that can be, dropped and counted
        otherwise."""
        self._hub.count("bad_input", self.name, str(error.status))
        self._log("bad-message", f"{error.status} {error.text}", flow)
        request = error.request
        if request is None:
            return
        try:
            via = request.top_via
        except BadMessage:
            if isinstance(flow, UdpFlow):
                return  # an answer nobody could match, to an address that anybody could have written
        else:
            request.replace_top_via(via.answered_from(*flow.remote))
            if isinstance(flow, UdpFlow):
                flow = self.transports.answer_flow(flow, via)
        self._reply(request, flow, error.status, error.text, error.headers)

    def _on_lost(self, flow: Flow) -> None:
        self.layer.flow_failed(flow, self._loop.time())
        self._turn()

    # -- answers ---------------------------------------------------------------------------------------

    def answer(
        self,
        transaction: ServerTransaction,
        status: int,
        text: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Give a request its final response."""
        if isinstance(transaction.owner, Answer):
            transaction.owner = None
            self._waiting -= 1
        request = transaction.request
        response = response_to(request, status, text, to_tag=self._tag(request), headers=headers)
        try:
            self.layer.respond(transaction, response, self._loop.time())
        except LocalProtocolError:
            _log.exception("an answer that can not be given", network=self.name, status=status)
        self._later()

    def _reply(
        self,
        request: Request,
        flow: Flow,
        status: int,
        text: str | None,
        headers: tuple[tuple[str, str], ...],
    ) -> None:
        """Answer without a transaction (section 8.2.7)."""
        try:
            flow.send(response_to(request, status, text, to_tag=self._tag(request), headers=headers).encode())
        except LocalProtocolError as error:
            _log.info("an answer that can not be written", network=self.name, why=str(error))

    def _tag(self, request: Request) -> str:
        """The To tag: the same for every copy of a request (section 8.2.7), and of nobody's guessing."""
        firsts = request.firsts
        text = f"{firsts.get('Call-ID')}\0{firsts.get('Via')}\0{firsts.get('CSeq')}"
        data = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, key=self.context.secret[:32], digest_size=8).hexdigest()

    def _log(self, code: str, detail: str, flow: Any) -> None:
        """Log a refusal with its reason: each kind from each address once a minute."""
        now = self._loop.time()
        key = (code, flow.remote[0])
        last = self._logged.get(key)
        if last is not None and now - last < LOG_AGAIN_S:
            return
        self._logged[key] = now
        if len(self._logged) > MAX_REMEMBERED:
            self._logged.popitem(last=False)
        _log.warning(
            "refused",
            network=self.name,
            reason=code,
            detail=detail[:200],
            remote=join_host_port(*flow.remote),
        )

    # -- the turn --------------------------------------------------------------------------------------

    def _later(self) -> None:
        """Something was asked of the transactions outside of a turn."""
        if not self._turning and not self._due:
            self._due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Hand out what has happened, send what is to be sent, set the alarm."""
        self._due = False
        if self._turning:
            return
        self._turning = True
        try:
            layer = self.layer
            while True:
                event = layer.next_event()
                if event is None:
                    break
                if type(event) is RequestReceived:
                    self._on_request(event)
                elif type(event) is ResponseReceived:
                    if event.response.status >= 200:
                        event.transaction.owner.responded(event.response)
                elif type(event) is not AckReceived:
                    self._on_failure(event)
            for flow, data in layer.data_to_send():
                if flow.alive:
                    flow.send(data)  # type: ignore[attr-defined]
                else:
                    self._send_anew(flow, data)
        finally:
            self._turning = False
        self._arm()

    def _on_failure(self, event: Any) -> None:
        transaction = event.transaction
        owner = transaction.owner
        if isinstance(owner, Answer):
            owner.abandoned()
            transaction.owner = None
            self._waiting -= 1
        elif isinstance(owner, Sending | Probe):
            if type(event) is TimedOut:
                owner.timed_out()
            elif type(event) is TransportFailed:
                owner.broke()

    def _arm(self) -> None:
        now = self._loop.time()
        if self._alarm is not None:
            if self._alarm.when() <= now + self._tick_s:
                return
            self._alarm.cancel()
            self._alarm = None
        due = self.layer.next_timer()
        wait = self._waits.next()
        if wait is not None and (due is None or wait < due):
            due = wait
        if due is not None:
            self._alarm = self._loop.call_at(max(due, now + self._tick_s / 2), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now = self._loop.time()
        for answer, _ in self._waits.due(now):
            answer.overdue()
        self.layer.handle_timer(now)
        self._turn()

    def _send_anew(self, flow: Any, data: bytes) -> None:
        """RFC 3261 section 18.2.2: a response whose connection is gone goes to where the request said it came
        from."""
        if not isinstance(flow, StreamFlow) or not self._prover.known(flow):
            return
        message = parse_message(data)
        if not isinstance(message, Response):
            return
        via = message.top_via
        name = flow.remote[0]
        target = Target(flow.transport, flow.remote[0], via.port or DEFAULT_PORTS[flow.transport], name)
        trunk = next(trunk for trunk in self.trunks.values() if trunk.owns_address(flow.remote[0]))
        self._spawn(self._connect_and_send(target, trunk, data))

    async def _connect_and_send(self, target: Target, trunk: Trunk, data: bytes) -> None:
        try:
            flow = await self.transports.connect(target, trunk.trust, self.context.server_name, False)
        except DeliveryError as error:
            _log.info(
                "an answer was lost with its connection",
                network=self.name,
                target=str(target),
                why=error.detail,
            )
            return
        flow.send(data)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


CREDENTIALS_BYTES = 400
"""Room for an answer to a digest challenge, whose length is known only then."""


def create(settings: Settings, context: Context) -> Network:
    """Make the network. Raises ConfigError."""
    return SipNetwork(settings, context)
