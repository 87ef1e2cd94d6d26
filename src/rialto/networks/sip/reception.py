"""Requests that come in: who sent them, what becomes of them, and the answers.

message ─► validate ─► retransmission? answered from its transaction
   ─► congested? 503 ─► `identity`: a stranger? 403 without any state ─► transaction
   ─► `ua`: refused? ─► `translate` ─► hub.accept ─► `Answer` waits for what becomes of it
                      ├► `presence`, for SUBSCRIBE and NOTIFY
                      └► `sessions`, for INVITE and what comes in its dialog
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import structlog

from rialto.core.hub import Hub
from rialto.core.network import Context, Origin
from rialto.model.errors import DeliveryError, LocalProtocolError, Reason, Refused
from rialto.net.hostport import join_host_port
from rialto.networks.sip import ua
from rialto.networks.sip.abilities import COMPOSING, CPIM, Abilities
from rialto.networks.sip.addresses import folded
from rialto.networks.sip.bodies import Said
from rialto.networks.sip.fates import Fates
from rialto.networks.sip.flows import Flow, StreamFlow, UdpFlow
from rialto.networks.sip.identity import Doubt, Prover, Sender
from rialto.networks.sip.inbound import Answer, refusal
from rialto.networks.sip.presence import SipPresence
from rialto.networks.sip.routes import Route
from rialto.networks.sip.sessions.desk import SipSessions
from rialto.networks.sip.settings import DEFAULT_PORTS, Settings
from rialto.networks.sip.talks import Talks
from rialto.networks.sip.translate import read, recipient_of, to_message, unsupported
from rialto.networks.sip.transport import Transports
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import BadMessage, Request, Response, response_to, validate
from rialto.networks.sip.wire.lanes import Lanes
from rialto.networks.sip.wire.transaction import RequestReceived, ServerTransaction
from rialto.networks.sip.wire.transactions import TransactionLayer, server_key

CONGESTED_RETRY_AFTER_S = 10
IN_SESSIONS = frozenset({"INVITE", "BYE", "INFO", "UPDATE"})
LOG_AGAIN_S = 60.0
MAX_REMEMBERED = 10_000

_log = structlog.get_logger(__name__)


class Reception:
    """The receiving side of one network. `later` asks for a turn; `route` finds a destination's standing."""

    def __init__(
        self,
        context: Context,
        settings: Settings,
        layer: TransactionLayer,
        transports: Transports,
        hub: Hub,
        prover: Prover,
        later: Callable[[], None],
        route: Callable[[Trunk, str], Route],
        presence: SipPresence,
        talks: Talks,
        abilities: Abilities,
        sessions: SipSessions,
    ) -> None:
        self.name = context.name
        self.context = context
        self.settings = settings
        self.prover = prover
        self.waits: Lanes[Answer] = Lanes()
        self.waiting = 0
        """Messages whose sender waits for an answer."""
        self.stopping = False
        self._layer = layer
        self._transports = transports
        self._hub = hub
        self._later = later
        self._route = route
        self._presence = presence
        self._talks = talks
        self._abilities = abilities
        self._sessions = sessions
        self._loop = asyncio.get_running_loop()
        self._logged: OrderedDict[tuple[str, str], float] = OrderedDict()
        self.own_names: frozenset[str] = frozenset()
        """What our own Via headers say."""

    def receive(self, message: Request | Response, flow: Flow) -> None:
        """Take what was parsed; a turn must follow."""
        now = self._loop.time()
        try:
            validate(message)
        except BadMessage as error:
            self.refuse_garbled(error, flow)
            return
        if isinstance(message, Response):
            self._layer.receive_response(message, now)
        else:
            via = message.top_via
            noted = via.answered_from(*flow.remote)  # RFC 3261 section 18.2.1, RFC 3581 section 4
            if noted is not via:
                message.replace_top_via(noted)
            if isinstance(flow, UdpFlow):
                flow = self._transports.answer_flow(flow, via)
            key = server_key(message)
            if self._layer.knows(key):
                self._layer.receive_request(message, flow, now, key=key)
            else:
                self._new_request(message, flow, now, key)

    def _new_request(self, request: Request, flow: Flow, now: float, key: tuple[Any, ...]) -> None:
        method = request.method
        if method == "ACK":
            if not self._sessions.acknowledged(request):
                self._layer.receive_request(request, flow, now)
            return
        if (method in ("MESSAGE", "SUBSCRIBE") or (method == "INVITE" and request.to.tag is None)) and (
            self._hub.congested or self.stopping or self._layer.server_count >= self.settings.max_transactions
        ):
            self._hub.count("refused", "", Reason.CONGESTION)
            retry = (("Retry-After", str(CONGESTED_RETRY_AFTER_S)),)
            self._reply(request, flow, 503, None, retry)
            return
        sender = self.prover.prove(request, flow)
        if type(sender) is Doubt:
            # A stranger gets an answer, but no state of ours (section 8.2.7).
            cancels = method == "CANCEL" and self._layer.cancelled_by(request) is not None
            refused = ua.inspect(ua.Facts(request, sender, cancels=cancels))
            assert refused is not None
            if refused.code == sender.code:
                self._hub.count("unproven", self.name, sender.code)
                self._log(sender.code, sender.detail, flow)
            else:
                self._hub.count("answered", self.name, method)
            self._reply(request, flow, refused.status, refused.phrase, refused.headers)
            return
        self._transports.establish(flow)
        self._layer.receive_request(request, flow, now, sender, key)

    def consider(self, event: RequestReceived) -> None:
        """A new request, in its transaction."""
        transaction: ServerTransaction = event.transaction
        request, sender = transaction.request, transaction.owner
        transaction.owner = None
        facts = ua.Facts(
            request,
            sender,
            event.merged,
            request.method == "CANCEL" and self._layer.cancelled_by(request) is not None,
            self.own_names,
        )
        try:
            refused = ua.inspect(facts)
            if refused is None and request.method == "MESSAGE":
                if request.to.tag is None or not self._sessions.receive(transaction, request, sender):
                    self._take(transaction, request, sender)
                return
            if refused is None and request.method in IN_SESSIONS:
                self._sessions.receive(transaction, request, sender)
                return
            if refused is None:
                self._presence.receive(transaction, request, sender)
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
        said = read(request)
        settings = trunk.settings
        secure_only = request.uri[:5].lower() == "sips:" or request.to.uri.scheme == "sips"
        origin = Origin(trunk.peer, sender.address.domain, sender.proof, flow.secured, secure_only)
        if said.imdns or said.composing is not None:
            self._take_notice(transaction, request, sender, said, origin)
            return
        if said.envelope is not None:
            self._abilities.shown(sender.address, CPIM)
        composing = settings.composing != "never"
        message = to_message(
            request,
            sender.address,
            hub.new_id(),
            self.context.clock(),
            said,
            receipts=trunk.form.receipts,
            chat_states=composing and self._abilities.can(sender.address, COMPOSING),
        )
        if message is None:
            hub.count("ignored", self.name, "empty")
            self.answer(transaction, 200)
            return
        self._remember(sender, request, flow)
        if composing:
            self._talks.heard(message.sender, message.recipient)
        answer = Answer(self, transaction, settings)
        transaction.owner = answer
        self.waiting += 1
        if settings.answer == "honest" and settings.answer_wait_s > 0:
            answer.timer = self.waits.start(settings.answer_wait_s, self._loop.time(), answer)
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

    def _take_notice(
        self, transaction: ServerTransaction, request: Request, sender: Sender, said: Said, origin: Origin
    ) -> None:
        """What is no message: somebody is writing, or tells what became of a message. Raises BadMessage."""
        person, recipient = sender.address, recipient_of(request)
        flow: Any = transaction.flow
        self._remember(sender, request, flow)
        if said.envelope is not None:
            self._abilities.shown(person, CPIM)
        settings = sender.trunk.settings
        if said.composing is not None:
            if settings.composing == "never":
                raise unsupported(request)  # RFC 3994 section 4: so that there will be no more of them
            self._talks.read(said.composing, person, recipient, origin)
            self.answer(transaction, 200)
            return
        if not sender.trunk.form.receipts:
            raise unsupported(request)
        self._talks.heard(person, recipient)
        answer = Answer(self, transaction, settings)
        transaction.owner = answer
        self.waiting += 1
        at = said.envelope.sent_at if said.envelope is not None else None
        fates = Fates(self._hub, self.context.secret, self.name)
        try:
            fates.take(said.imdns, origin, sender=person, recipient=recipient, at=at, inbound=answer)
        except DeliveryError as error:
            answer.fail(error)
        except Exception:
            _log.exception("a receipt could not be taken", network=self.name, call_id=request.call_id)
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
                    self._transports.alias(flow, via.port or DEFAULT_PORTS["tls"], name)
        if sender.trunk.troubled and self._route(sender.trunk, address.domain).troubled:
            sender.trunk.troubled = False
            self._hub.reachable(sender.trunk.destination(address.domain), self.name)

    def refuse_garbled(self, error: BadMessage, flow: Flow) -> None:
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
                flow = self._transports.answer_flow(flow, via)
        self._reply(request, flow, error.status, error.text, error.headers)

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
            self.waiting -= 1
        request = transaction.request
        response = response_to(request, status, text, to_tag=self.tag(request), headers=headers)
        now = self._loop.time()
        try:
            self._layer.respond(transaction, response, now)
        except LocalProtocolError:
            _log.exception("an answer that can not be given", network=self.name, status=status)
            if not transaction.answered:
                self._layer.respond(transaction, response_to(request, 500, to_tag=self.tag(request)), now)
        self._later()

    def refuse(self, transaction: ServerTransaction, error: DeliveryError) -> None:
        """Say no, as to a message."""
        self.answer(transaction, *refusal(error))

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
            flow.send(response_to(request, status, text, to_tag=self.tag(request), headers=headers).encode())
        except LocalProtocolError as error:
            _log.info("an answer that can not be written", network=self.name, why=str(error))

    def tag(self, request: Request) -> str:
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

    def abandoned(self, transaction: ServerTransaction, answer: Answer) -> None:
        """Its sender has given up, or its transaction broke."""
        answer.abandoned()
        transaction.owner = None
        self.waiting -= 1
