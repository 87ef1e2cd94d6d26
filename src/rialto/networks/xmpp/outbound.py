"""The ways out: one `Line` for each pair of our domain and theirs, connected when there is something to say.

A line keeps what was given to it while it connects. If it cannot connect, it gives the deliveries back: the
hub owns the waiting, the back-off and the order. If its stream is lost and can be resumed (XEP-0198), the
deliveries stay with the ledger for as long as the peer promised to remember, and the line tries to resume by
itself.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import structlog
from msgspec.structs import replace

from rialto.core.network import Peer
from rialto.model.address import ascii_domain
from rialto.model.errors import DeliveryError, Reason, Refused, Unreachable
from rialto.net.dns import DnsError, NoSuchDomain, find_xmpp
from rialto.net.link import Link, LinkError, LinkLimits, connect
from rialto.net.srv import Candidate
from rialto.networks.xmpp.channel import Channel, Parcel
from rialto.networks.xmpp.live import Desk, LiveStream
from rialto.networks.xmpp.settings import PeerSettings
from rialto.networks.xmpp.wire import events
from rialto.networks.xmpp.wire.initiating import Initiating
from rialto.networks.xmpp.wire.ledger import Ledger
from rialto.networks.xmpp.wire.s2s import NO_ACKNOWLEDGEMENT

log = structlog.get_logger(__name__)

MAX_ANSWERS = 1000
"""So many stanzas that are nobody's delivery (answers) wait for one connection; more are dropped."""

REST_S = 5.0
"""After a failure answers are dropped for so long; for deliveries the hub decides when it is time."""

MAX_DEAF = 2
"""After so many streams without one acknowledgement (XEP-0198) the peer is pinged instead."""

_RESUME_FIRST_S, _RESUME_MOST_S = 0.5, 10.0

Attend = Callable[[Channel | None, DeliveryError | None], None]
_FATAL = frozenset({"no-tls", "no-authentication", "peer-unproven"})


class CannotConnect(Exception):
    """No stream could be had. `final` where asking another server of the domain would not help."""

    def __init__(
        self, text: str, *, final: bool = False, no_domain: bool = False, external: bool = False
    ) -> None:
        self.text = text
        self.final = final
        self.no_domain = no_domain
        self.external_failed = external
        super().__init__(text)


class OutgoingStream(LiveStream):
    """The initiating end; `opened` is done when stanzas (or keys) may be sent."""

    direction: ClassVar[str] = "out"
    machine: Initiating

    def __init__(self, desk: Desk, link: Link[Any], machine: Initiating) -> None:
        super().__init__(desk, link, machine)
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answer: asyncio.Future[events.KeyVerified] = asyncio.get_running_loop().create_future()
        self.line: Line | None = None
        self._external_failed = False
        self._refusal = ""

    def _name(self) -> str:
        return self.machine.remote

    def _on_start_tls(self, event: events.StartTls) -> None:
        context = self.desk.context
        tls = context.certificates.client(
            self.machine.remote, own_domain=self.machine.local, alpn=["xmpp-server"]
        )
        self.link.start_tls(tls, trailing=event.trailing, on_tls=self._on_tls)

    def _on_ready(self, event: events.Ready) -> None:
        self.link.establish()
        self._is_open()

    def _on_authenticated(self, event: events.Authenticated) -> None:
        super()._on_authenticated(event)
        self._is_open()

    def _proof_of_peer(self, event: events.Authenticated) -> str:
        return self.machine.peers_proof()

    def _is_open(self) -> None:
        if not self.opened.done():
            self.opened.set_result(None)

    def _on_pair_refused(self, event: events.PairRefused) -> None:
        super()._on_pair_refused(event)
        self._refusal = f"{event.condition} {event.text}".strip()
        if event.text == "SASL EXTERNAL":
            self._external_failed = True
        elif not self.proofs:
            self.machine.close()

    def _on_key_verified(self, event: events.KeyVerified) -> None:
        if not self.answer.done():
            self.answer.set_result(event)

    def _on_resumption_failed(self, event: events.ResumptionFailed) -> None:
        if self.line is not None:
            self.line.not_resumed(event.tokens)

    def _on_lost(self, error: LinkError | None) -> None:
        first = not self.closed
        why = self.why or str(error or "closed by the peer")
        if self._refusal:
            why = f"{why}; {self._refusal}"
        super()._on_lost(error)
        final = self.why.partition(":")[0] in _FATAL
        failure = CannotConnect(why, final=final, external=self._external_failed)
        for future in (self.opened, self.answer):
            if not future.done():
                future.set_exception(failure)
                future.exception()  # whoever waits gets it; nobody need
        if first and self.line is not None and self.proofs:
            self.line.lost(self)


async def dial(
    desk: Desk,
    settings: PeerSettings,
    local: str,
    remote: str,
    *,
    verify_only: bool = False,
    resume: Ledger | None = None,
    line: Line | None = None,
) -> OutgoingStream:
    """Open a stream from `local` to `remote`, at whichever of its servers answers. Raises CannotConnect."""
    methods: list[str] = list(settings.authentication)
    last: CannotConnect | None = None
    for candidate in await _candidates(desk, settings, remote, resume):
        try:
            addresses = (await desk.context.dns.addresses(candidate.host)).records
        except NoSuchDomain as error:
            last = last or CannotConnect(str(error), no_domain=candidate.host == ascii_domain(remote))
            continue
        except DnsError as error:
            last = CannotConnect(str(error))
            continue
        for address in addresses:
            for _ in range(2):
                try:
                    return await _open(
                        desk, settings, local, remote, candidate, address, methods,
                        verify_only=verify_only, resume=resume, line=line,
                    )  # fmt: skip
                except CannotConnect as failure:
                    last = failure
                    if not (failure.external_failed and "dialback" in methods and "external" in methods):
                        break
                    methods = ["dialback"]  # it closed the stream over EXTERNAL (XEP-0178): once more without
            if last is not None and last.final:
                raise last
    raise last or CannotConnect(f"{remote} says that it has no XMPP server", no_domain=True)


async def _candidates(
    desk: Desk, settings: PeerSettings, remote: str, resume: Ledger | None
) -> Sequence[Candidate]:
    if settings.host:
        return [Candidate(settings.host, settings.port or 5269, settings.direct_tls)]
    try:
        return await find_xmpp(desk.context.dns, ascii_domain(remote), random.random)
    except NoSuchDomain as error:
        raise CannotConnect(str(error), no_domain=True) from None
    except DnsError as error:
        raise CannotConnect(str(error)) from None


async def _open(
    desk: Desk,
    settings: PeerSettings,
    local: str,
    remote: str,
    candidate: Candidate,
    address: str,
    methods: Sequence[str],
    *,
    verify_only: bool,
    resume: Ledger | None,
    line: Line | None,
) -> OutgoingStream:
    own, context = desk.settings, desk.context
    tls = None
    if candidate.direct_tls:
        if settings.tls == "off":
            raise CannotConnect("only direct TLS is offered, and TLS is off")
        tls = context.certificates.client(remote, own_domain=local, alpn=["xmpp-server"])
    try:
        link = await connect(
            address,
            candidate.port,
            tls=tls,
            limits=LinkLimits(handshake_s=own.negotiation_s),
            timeout_s=own.connect_timeout_s,
            label=f"xmpp to {remote}",
        )
    except LinkError as error:
        raise CannotConnect(str(error)) from None
    now = asyncio.get_running_loop().time()
    machine = Initiating(
        local,
        remote,
        secret=context.secret,
        make_id=lambda: secrets.token_hex(16),
        now=now,
        methods=methods,
        policy=settings.policy(),
        limits=own.limits(),
        timing=own.timing(),
        secure=tls is not None,
        bidirectional=settings.bidirectional,
        stream_management=settings.stream_management,
        verify_only=verify_only,
        resume=resume,
    )
    stream = OutgoingStream(desk, link, machine)
    stream.line = line
    if link.tls is not None:
        stream._on_tls(link.tls)
    stream.attach()
    try:
        await stream.opened
    except asyncio.CancelledError:
        link.abort()
        raise
    return stream


class Line:
    """The way from one of our domains to one of theirs."""

    def __init__(self, desk: Desk, peer: Peer, local: str, remote: str) -> None:
        self.desk = desk
        self.peer = peer
        self.local = local
        self.remote = remote
        self.stream: LiveStream | None = None
        self._waiting: deque[tuple[bytes, Parcel | None]] = deque()
        self._attending: list[Attend] = []
        self._task: asyncio.Task[None] | None = None
        self._ledger: Ledger | None = None
        self._resume_until = 0.0
        self._failures = 0
        self._rest_until = 0.0
        self._deaf = 0  # streams on which the peer said that it counts, and never told its count

    @property
    def idle(self) -> bool:
        """Whether it can be forgotten."""
        busy = self._task is not None or self._waiting or self._attending
        return not busy and self._ledger is None and self.stream is None

    @property
    def connecting(self) -> bool:
        """Whether it is being connected."""
        return self._task is not None

    def use(self, stream: LiveStream) -> None:
        """A stream that leads there has come up (a bidirectional one, opened by them)."""
        if self.stream is None and self._task is None and self._ledger is None:
            self.stream = stream

    def warm_up(self) -> None:
        """Connect before there is anything to say."""
        if self.stream is None and self._task is None:
            self._connect()

    def send(self, data: bytes, delivery: Parcel | None = None) -> None:
        """Write a stanza, now or when there is a stream."""
        channel = self.open_channel()
        if channel is not None:
            channel.write(data, delivery)
            return
        now = asyncio.get_running_loop().time()
        if delivery is None and (len(self._waiting) >= MAX_ANSWERS or now < self._rest_until):
            self.desk.hub.count("ignored", self.desk.name, "answer")
            return
        self._waiting.append((data, delivery))
        if self._task is None:
            self._connect()

    def attend(self, call: Attend) -> None:
        """Call back with the way there, now or when there is one, or with why there is none."""
        channel = self.open_channel()
        if channel is not None:
            call(channel, None)
        elif self._task is None and asyncio.get_running_loop().time() < self._rest_until:
            text = f"{self.remote} cannot be reached"
            call(None, Unreachable(Reason.UNREACHABLE, text, retry_after_s=REST_S))
        else:
            self._attending.append(call)
            if self._task is None:
                self._connect()

    def open_channel(self) -> Channel | None:
        """The way there, if it stands."""
        stream = self.stream
        if stream is None:
            return None
        channel = stream.channels.get((self.local, self.remote))
        if channel is not None and channel.is_open:
            return channel
        self.stream = None
        return None

    def lost(self, stream: LiveStream) -> None:
        """The stream is gone."""
        if self.stream is stream:
            self.stream = None
        machine = stream.machine
        if stream.was_acknowledged:
            self._deaf = 0
        elif stream.why.endswith(NO_ACKNOWLEDGEMENT):
            self._deaf += 1
        ledger = machine.ledger if isinstance(machine, Initiating) else None
        resumable = ledger is not None and ledger.id and ledger.waiting and stream.why != "closed"
        if ledger is not None and resumable and self._deaf < MAX_DEAF:
            loop = asyncio.get_running_loop()
            self._ledger = ledger
            self._resume_until = loop.time() + min(ledger.max_s, self.desk.settings.resumption_s)
            self._failures = 0
            if self._task is None:
                self._connect()
        else:
            stream.give_back()
        if (self._waiting or self._attending) and self._task is None:
            self._connect()

    def not_resumed(self, tokens: tuple[Any, ...]) -> None:
        """The peer has forgotten the stream."""
        self._ledger = None
        for token in tokens:
            if token is not None:
                token.failed(_unreachable("the link was lost, and could not be resumed", certain=False))

    def stop(self) -> None:
        """Connect no more."""
        if self._task is not None:
            self._task.cancel()

    def _connect(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._connecting())

    async def _connecting(self) -> None:
        error: CannotConnect | None = None
        settings = self.peer.settings
        if self._deaf >= MAX_DEAF:
            settings = replace(settings, stream_management=False)
        try:
            stream = await dial(self.desk, settings, self.local, self.remote, resume=self._ledger, line=self)
        except CannotConnect as failure:
            error = failure
        except asyncio.CancelledError:
            return
        except Exception:
            log.exception("xmpp.bug", peer=self.remote)
            error = CannotConnect("a fault of ours")
        if error is not None:
            await self._not_connected(error)
            return
        channel = stream.channels.get((self.local, self.remote))
        if channel is None or not channel.is_open:  # it was lost again in the same instant
            await self._not_connected(CannotConnect(stream.why or "closed at once"))
            return
        self._task = None
        self._ledger = None
        self._failures = 0
        self.stream = stream
        while self._waiting and channel.is_open:
            data, delivery = self._waiting.popleft()
            channel.write(data, delivery)
        attending, self._attending = self._attending, []
        for call in attending:
            call(channel, None)
        self.desk.hub.reachable(self.remote, self.desk.name)

    async def _not_connected(self, failure: CannotConnect) -> None:
        waiting, self._waiting = self._waiting, deque()
        attending, self._attending = self._attending, []
        log.warning("xmpp.unreachable", peer=self.remote, us=self.local, why=failure.text)
        loop = asyncio.get_running_loop()
        self._rest_until = loop.time() + REST_S
        known_by_name = self.remote in self.peer.domains
        for _, delivery in waiting:
            if delivery is not None:
                delivery.failed(_told(failure, self.remote, known_by_name))
        for call in attending:
            call(None, _told(failure, self.remote, known_by_name))
        self.desk.unreachable(self.peer, self.remote)
        ledger = self._ledger
        if ledger is not None:
            delay = min(_RESUME_FIRST_S * 2**self._failures, _RESUME_MOST_S) * (0.75 + random.random() / 2)
            self._failures += 1
            if loop.time() + delay < self._resume_until:
                await asyncio.sleep(delay)
                self._connect()
                return
            self.not_resumed(ledger.abandon())
        self._task = None
        if self._waiting or self._attending:  # given to us meanwhile
            self._connect()


def _told(failure: CannotConnect, remote: str, known_by_name: bool) -> DeliveryError:
    if failure.no_domain and not known_by_name:
        return Refused(Reason.DOMAIN_NOT_FOUND, f"{remote} has no XMPP server", detail=failure.text)
    return _unreachable(f"{remote} cannot be reached", detail=failure.text)


def _unreachable(text: str, *, detail: str = "", certain: bool = True) -> Unreachable:
    return Unreachable(Reason.UNREACHABLE, text, detail=detail, certain=certain)
