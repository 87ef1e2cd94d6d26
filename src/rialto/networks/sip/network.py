"""The SIP network: what the hub talks to, and the turn that keeps everything moving.

    datagram or stream ─► parse ─► `reception`: who, what, may they ─► hub.accept ─► `Answer`
    hub ─► deliver ─► `drafts` ─► `Sending` ─► `dispatch`: where, by which flow ─► 2xx or an error
                                     both ─► transactions ─► flows

Nothing here costs a task or a timer of the loop for a message: one alarm serves all transactions and all
waiting answers. In a turn, what the transactions have to tell is handed out, and what they have to send is
sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from rialto.core.hub import Hub
from rialto.core.network import Context, Delivery, Features, LinkState, Network, PairView, Peer, Side, Verb
from rialto.model.address import Address
from rialto.model.errors import ConfigError, DeliveryError, Reason, Refused, Unreachable
from rialto.model.message import Composing, Message, Report
from rialto.net.certificates import Trust
from rialto.net.hostport import join_host_port
from rialto.networks.sip.addresses import spelling_key
from rialto.networks.sip.course import Course
from rialto.networks.sip.dispatch import Dispatch
from rialto.networks.sip.drafts import asks_for_failures, branch_for, draft, request_for
from rialto.networks.sip.flows import Flow, StreamFlow
from rialto.networks.sip.identity import Prover
from rialto.networks.sip.inbound import Answer
from rialto.networks.sip.locate import Target
from rialto.networks.sip.msrp.links import MsrpLinks
from rialto.networks.sip.outbound import Sending
from rialto.networks.sip.presence import SipPresence
from rialto.networks.sip.probe import Probe
from rialto.networks.sip.reception import Reception
from rialto.networks.sip.sessions.desk import SipSessions
from rialto.networks.sip.sessions.lines import Invitation
from rialto.networks.sip.settings import DEFAULT_PORTS, Settings, parse_listen
from rialto.networks.sip.talks import Talks
from rialto.networks.sip.transport import Transports
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import BadMessage, Request, Response, parse_message
from rialto.networks.sip.wire.digest import Challenger
from rialto.networks.sip.wire.timers import Timing
from rialto.networks.sip.wire.transaction import (
    AckReceived,
    Event,
    RequestReceived,
    ResponseReceived,
    TimedOut,
)
from rialto.networks.sip.wire.transactions import TransactionLayer

TICK_S = 0.1
"""How exactly timers are kept while something is going on."""
CREDENTIALS_BYTES = 400
"""Room for an answer to a digest challenge, whose length is known only then."""

_log = structlog.get_logger(__name__)


class SipNetwork:
    """See `Network`, and all that a network may be besides, in `rialto.core.network`."""

    pushes = False
    """A notifier is silent once the subscription has ended."""

    def __init__(self, settings: Settings, context: Context) -> None:
        """Raises ConfigError for settings that can't work."""
        self.name = context.name
        self.settings = settings
        self.context = context
        self.listens = [parse_listen(text) for text in settings.listen]
        trust = Trust(tuple(context.anchors))
        self.trunks = {peer.name: Trunk(peer, trust, context.secret) for peer in context.peers}
        self.layer = TransactionLayer(
            Timing(t1_s=settings.t1_s, t2_s=8 * settings.t1_s, t4_s=10 * settings.t1_s)
        )
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._tick_s = min(TICK_S, settings.t1_s / 4)
        self._turning = False
        self._due = False
        self._challenger = Challenger(settings.realm or context.server_name, context.secret)
        self._loop: asyncio.AbstractEventLoop
        self._hub: Hub
        self.dispatch: Dispatch
        self.reception: Reception
        self.talks: Talks
        self.presence = SipPresence(context, self._trunk, self._spell)
        self.sessions = SipSessions(
            context,
            self._trunk,
            self._spell,
            self.measure,
            max_sessions=settings.max_sessions,
            t1_s=settings.t1_s,
        )
        self.msrp: MsrpLinks
        tap: Callable[[str, str, bytes], None] | None = None
        if context.tap is not None:
            outer = context.tap
            tap = lambda remote, direction, data: outer(self.name, remote, direction, data)  # noqa: E731
        self._tap = tap
        self.transports = Transports(
            settings,
            server_name=context.server_name,
            certificates=context.certificates,
            clock=context.clock,
            on_message=self._on_message,
            on_garbled=self._on_garbled,
            on_lost=self._on_lost,
            count=lambda what, why: self._hub.count(what, self.name, why),
            known=lambda host: any(trunk.owns_address(host) for trunk in self.trunks.values()),
            tap=tap,
        )

    # -- for the hub -----------------------------------------------------------------------------------

    async def start(self, hub: Hub) -> None:
        """See `Network`."""
        self._loop = asyncio.get_running_loop()
        self._hub = hub
        self.dispatch = Dispatch(self.context, self.layer, self.transports, hub, self._turn)
        self.talks = Talks(
            self.context, hub, self.dispatch, self.dispatch.abilities, self._trunk, self._spell, self._later
        )
        self.reception = Reception(
            self.context, self.settings, self.layer, self.transports, hub, self._prover(),
            self._later, self.dispatch.route, self.presence, self.talks, self.dispatch.abilities,
            self.sessions,
        )  # fmt: skip
        await self.transports.start(self.listens)
        self.reception.own_names = self.transports.own_names()
        self.presence.start(hub, self.dispatch, self.reception, self.transports, self._later)
        self.msrp = MsrpLinks(
            self.settings,
            name=self.name,
            server_name=self.context.server_name,
            certificates=self.context.certificates,
            dns=self.context.dns,
            trust=Trust(tuple(self.context.anchors)),
            clock=self.context.clock,
            count=lambda what, why: hub.count(what, self.name, why),
            tap=self._tap,
        )
        await self.msrp.start()
        self.sessions.start(
            hub, self.dispatch, self.reception, self.presence, self.transports, self.layer, self._later,
            self.msrp,
        )  # fmt: skip
        for transport, host, port in self.transports.bound():
            _log.info("listening", network=self.name, transport=transport, address=join_host_port(host, port))

    def _prover(self) -> Prover:
        return Prover(self.name, self.trunks, self._hub, self._challenger, self.context.clock)

    async def stop(self, grace_s: float) -> None:
        """See `Network`."""
        self.reception.stopping = True
        self.sessions.stop()
        end = self._loop.time() + grace_s
        while (self.reception.waiting or self.dispatch.busy) and self._loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        self.presence.stop()
        self.talks.stop()
        await self.dispatch.stop()
        self._turn()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        await self.msrp.stop()
        await self.transports.stop()

    async def reload(self, network: Network) -> None:
        """See `Network`: peers and their settings; where we listen stays until a restart."""
        if not isinstance(network, SipNetwork):
            return
        if network.settings.listen != self.settings.listen:
            raise ConfigError("networks.sip.listen", "the same addresses", "restart to listen elsewhere")
        self.context = network.context
        self.trunks = network.trunks
        self.dispatch.forget()
        self.reception.prover = self._prover()

    def destination(self, peer: Peer, domain: str) -> str:
        """See `Network`."""
        trunk = self.trunks.get(peer.name)
        return trunk.destination(domain) if trunk is not None else domain

    def measure(self, message: Message, peer: Peer) -> int:
        """See `Network`: the whole request (RFC 3428 section 8), at its longest."""
        trunk = self.trunks[peer.name]
        ready = draft(message, server_name=self.context.server_name, spell=self._spell, form=trunk.form)
        branch = branch_for(ready, "", 9)
        via = max((self.dispatch.write_via(t, "", branch) for t in trunk.settings.transports), key=len)
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
        if self.sessions.deliver(delivery, trunk):
            self._later()
            return
        content = delivery.content
        if isinstance(content, Report) and not (
            trunk.settings.failure_notice or (trunk.form.receipts and asks_for_failures(content))
        ):
            delivery.failed(Refused(Reason.POLICY, "this peer wants no notices"))
            return
        try:
            ready = draft(content, server_name=self.context.server_name, spell=self._spell, form=trunk.form)
        except DeliveryError as error:
            delivery.failed(error)
            return
        route = self.dispatch.route(trunk, delivery.domain)
        dispatch = self.dispatch
        if self.talks.lines:

            def begin(watched: Delivery) -> None:
                dispatch.begin(Sending(dispatch, watched, trunk, ready, route), watched.domain)

            self.talks.begin(content, delivery, begin)
        else:
            dispatch.begin(Sending(dispatch, delivery, trunk, ready, route), delivery.domain)
        self._later()

    def features(self, peer: Peer, recipient: Address) -> Features:
        """See `FeaturedNetwork`."""
        trunk = self.trunks.get(peer.name)
        if trunk is None:
            return peer.features
        page = trunk.features(self.dispatch.abilities.lacking(recipient))
        return self.sessions.features(peer, recipient, page)

    def compose(self, peer: Peer, composing: Composing) -> None:
        """See `ConversationNetwork`."""
        if not self.sessions.compose(composing):
            self.talks.compose(peer, composing)

    def resume(self, view: PairView, side: Side) -> None:
        """See `PresenceNetwork`."""
        self.presence.resume(view, side)

    def watch(self, view: PairView, verb: Verb) -> None:
        """See `PresenceNetwork`."""
        self.presence.watch(view, verb)

    def tell(self, view: PairView) -> None:
        """See `PresenceNetwork`."""
        self.presence.tell(view)

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
        return states + self.msrp.links()

    async def probe(self, peer: Peer) -> tuple[bool, str]:
        """See `Network`: by OPTIONS."""
        trunk = self.trunks[peer.name]
        domain = next((domain for domain in peer.domains if "*" not in domain), "")
        if not domain and trunk.proxy is None:
            return True, "reached by looking up each domain"
        route = self.dispatch.route(trunk, domain)
        probe = Probe(self.dispatch, trunk, domain, route, self._loop.create_future())
        self.dispatch.begin(probe, domain)
        self._later()
        return await probe.result

    def _trunk(self, name: str) -> Trunk | None:
        return self.trunks.get(name)

    def _spell(self, address: Address) -> str:
        """How a SIP user writes the own name (ADR-14)."""
        return self._hub.recall(self.name, spelling_key(address)) or ""

    # -- from the wire ---------------------------------------------------------------------------------

    def _on_message(self, message: Request | Response, flow: Flow) -> None:
        self.reception.receive(message, flow)
        self._turn()

    def _on_garbled(self, error: BadMessage, flow: Flow) -> None:
        self.reception.refuse_garbled(error, flow)

    def _on_lost(self, flow: Flow) -> None:
        self.layer.flow_failed(flow, self._loop.time())
        self._turn()

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
            self._hand_out()
        finally:
            self._turning = False
        self._arm()

    def _hand_out(self) -> None:
        layer = self.layer
        while (event := layer.next_event()) is not None:
            try:
                self._on_event(event)
            except Exception:
                # A bug of ours; it must not cost the others their turn.
                _log.exception("an event could not be met", network=self.name, what=type(event).__name__)
        for flow, data in layer.data_to_send():
            if flow.alive:
                flow.send(data)  # type: ignore[attr-defined]
            else:
                self._send_anew(flow, data)

    def _on_event(self, event: Event) -> None:
        if type(event) is RequestReceived:
            self.reception.consider(event)
            return
        if type(event) is AckReceived:  # with the branch of the INVITE, as RFC 2543 had it
            self.sessions.acknowledged_by_branch(event.transaction.request)
            return
        owner: Any = event.transaction.owner
        if type(event) is ResponseReceived:
            if type(owner) is Invitation:
                owner.heard(event.response)
            elif event.response.status >= 200 and owner is not None:
                event.transaction.spend()
                owner.responded(event.response)
        elif isinstance(owner, Answer):
            self.reception.abandoned(event.transaction, owner)  # type: ignore[arg-type]
        elif isinstance(owner, Sending | Probe | Course):
            if type(event) is TimedOut:
                owner.timed_out()
            else:
                owner.broke()

    def _arm(self) -> None:
        """See that the alarm rings within a tick: something may have been started that is due soon."""
        soon = self._loop.time() + self._tick_s
        if self._alarm is not None:
            if self._alarm_at <= soon:  # uvloop's handle of what is due already cannot say `when`
                return
            self._alarm.cancel()
        self._alarm_at = soon
        self._alarm = self._loop.call_at(soon, self._ring)

    def _ring(self) -> None:
        """What is due, and then the alarm for whatever is due next, which may be far off."""
        self._alarm = None
        now = self._loop.time()
        for answer, _ in self.reception.waits.due(now):
            answer.overdue()
        self.layer.handle_timer(now)
        self._turning = True  # no alarm a tick from now only because time has passed
        try:
            self._hand_out()
        finally:
            self._turning = False
        due = [at for at in (self.layer.next_timer(), self.reception.waits.next()) if at is not None]
        if due:
            self._alarm_at = min(due)
            self._alarm = self._loop.call_at(self._alarm_at, self._ring)

    def _send_anew(self, flow: Any, data: bytes) -> None:
        """RFC 3261 section 18.2.2: a response whose connection is gone goes to where the request said it came
        from."""
        if not isinstance(flow, StreamFlow) or not self.reception.prover.known(flow):
            return
        message = parse_message(data)
        if not isinstance(message, Response):
            return
        via = message.top_via
        name = flow.remote[0]
        target = Target(flow.transport, flow.remote[0], via.port or DEFAULT_PORTS[flow.transport], name)
        trunk = next(trunk for trunk in self.trunks.values() if trunk.owns_address(flow.remote[0]))
        self.dispatch.spawn(self.dispatch.connect_and_send(target, trunk, data))


def create(settings: Settings, context: Context) -> Network:
    """Make the network. Raises ConfigError."""
    return SipNetwork(settings, context)
