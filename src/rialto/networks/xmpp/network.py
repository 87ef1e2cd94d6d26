"""The XMPP network: listeners, lines, logins, and who is who among them.

other servers ──► IncomingStream ─┐                          ┌─► Line ──► OutgoingStream ──► other servers
                                  ├─► incoming ─► hub ─► deliver
a server ──────► ComponentStream ─┘                          └─► Login ─► ComponentStream ─► a server
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Callable
from typing import Any

import structlog

from rialto import __version__
from rialto.core.hub import Hub
from rialto.core.network import Context, Delivery, LinkState, Network, PairView, Peer, Side, Verb
from rialto.model.errors import ConfigError, DeliveryError, Reason, Refused
from rialto.model.message import ChatState, Composing, Message, Receipt
from rialto.model.presence import Pair
from rialto.net.hostport import split_host_port
from rialto.net.link import Link, LinkLimits
from rialto.net.listen import Listener, ListenLimits, serve
from rialto.networks.xmpp.answers import Self, capabilities_of_people
from rialto.networks.xmpp.channel import Channel, Parcel, Pings
from rialto.networks.xmpp.company import Company
from rialto.networks.xmpp.conversation import from_composing, from_receipt
from rialto.networks.xmpp.faces import Faces
from rialto.networks.xmpp.inbound import IncomingStream
from rialto.networks.xmpp.incoming import receive
from rialto.networks.xmpp.live import LiveStream
from rialto.networks.xmpp.login import Login
from rialto.networks.xmpp.outbound import CannotConnect, Line, OutgoingStream, dial
from rialto.networks.xmpp.presence import Watching, Write
from rialto.networks.xmpp.settings import PeerSettings, Settings
from rialto.networks.xmpp.translate import from_model, from_report
from rialto.networks.xmpp.verify import Verifications
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.events import DialbackRequested, StanzaReceived
from rialto.networks.xmpp.wire.ledger import Ledger
from rialto.networks.xmpp.wire.namespaces import COMPONENT, SERVER
from rialto.networks.xmpp.wire.s2s import Policy

log = structlog.get_logger(__name__)

MAX_WARM = 100
"""So many streams are opened at the start."""

_STRANGER = Policy(known=False)


class XmppNetwork:
    """See the top of the file; the methods are those of `Network`, of `PresenceNetwork`, and of
    `rialto.networks.xmpp.live.Desk`."""

    pushes = True
    """See `PresenceNetwork`: a server tells as long as the authorization stands."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self.name = context.name
        self.settings = settings
        self.context = context
        self.pings = Pings(
            f"ping-{secrets.token_hex(8)}-", settings.confirm_s, lambda: asyncio.get_running_loop().time()
        )
        self._about = _about(settings)
        self.capabilities = capabilities_of_people(self._about)
        self._hub: Hub | None = None
        self._listeners: list[Listener] = []
        self._streams: set[LiveStream] = set()
        self._lines: dict[tuple[str, str], Line] = {}
        self._logins: dict[tuple[str, str], Login] = {}
        self._ledgers: dict[str, Ledger] = {}
        self._verifications = Verifications(self)
        self._watching = Watching(self)
        self.faces = Faces(self)
        self.company = Company()
        self._policies: dict[str, Policy] = {}
        self._stopping = False
        self._quiet = asyncio.Event()

    @property
    def hub(self) -> Hub:
        """See `Desk`."""
        assert self._hub is not None
        return self._hub

    # -- life ------------------------------------------------------------------------------------------

    async def start(self, hub: Hub) -> None:
        """See `Network`."""
        self._hub = hub
        hub.on_relief(self._relieved)
        for listen, direct in ((self.settings.listen, False), (self.settings.listen_tls, True)):
            for text in listen:
                await self._listen(text, direct)
        if not self.context.certificates.pairs:
            log.warning("xmpp.no-certificate", note="nobody can use TLS with us: see [tls] certificates")
        self._log_in()
        self._warm_up()
        self._watching.start()

    def _warm_up(self) -> None:
        """Connect to the peers that are known by name.

        The first message need not wait, and a burst of first messages keeps its order. QUIRK(Prosody 0.12):
        what its users say between SASL's success and the features overtakes what was waiting for the stream.
        """
        pairs = [
            (peer, local, remote)
            for peer in self.context.peers
            if peer.settings.link == "s2s" and peer.settings.bidirectional
            for remote in peer.domains
            if "*" not in remote
            for local in sorted(self._projected())
        ]
        for peer, local, remote in pairs[:MAX_WARM]:
            self._line(peer, local, remote).warm_up()

    def _projected(self) -> frozenset[str]:
        """Whose domains we speak for, our own name apart."""
        return self.hub.projected(self.name) - {self.context.server_name}

    async def _listen(self, text: str, direct: bool) -> None:
        where = f"networks.{self.name}.{'listen_tls' if direct else 'listen'}"
        try:
            host, port = split_host_port(text, 5270 if direct else 5269)
        except ValueError as error:
            raise ConfigError(
                where, str(error), "write for example 192.0.2.1:5269 or [2001:db8::1]:5269"
            ) from None
        settings, certificates = self.settings, self.context.certificates
        limits = ListenLimits(
            max_connections=settings.max_connections,
            max_per_address=settings.max_connections_per_address,
            max_half_open=settings.max_half_open,
            max_half_open_per_address=max(1, settings.max_half_open // 5),
        )
        try:
            listener = await serve(
                host,
                port,
                self._accept,
                tls=(lambda: certificates.server(alpn=["xmpp-server"])) if direct else None,
                limits=limits,
                link_limits=LinkLimits(handshake_s=2 * settings.negotiation_s),  # the machine is stricter
                label=f"{self.name} s2s",
            )
        except OSError as error:
            raise ConfigError(
                where, f"an address that can be listened on, not {text}", str(error.strerror or error)
            ) from None
        self._listeners.append(listener)
        log.info("xmpp.listening", host=listener.host, port=listener.port, direct_tls=direct)

    def _accept(self, link: Link[Any]) -> None:
        IncomingStream(self, link, offer_tls=bool(self.context.certificates.pairs)).attach()

    def _log_in(self) -> None:
        wanted: dict[tuple[str, str], Peer] = {}
        for peer in self.context.peers:
            if peer.settings.link == "component":
                for component in peer.settings.components or sorted(self._projected()):
                    wanted[peer.name, component] = peer
        for key, login in list(self._logins.items()):
            if wanted.get(key) is None or wanted[key].settings != login.peer.settings:
                login.stop()
                del self._logins[key]
        for key, peer in wanted.items():
            if key not in self._logins:
                self._logins[key] = login = Login(self, peer, key[1])
                login.start()
            else:
                self._logins[key].peer = peer

    async def stop(self, grace_s: float) -> None:
        """See `Network`."""
        self._stopping = True
        for listener in self._listeners:
            listener.close()
        for login in self._logins.values():
            login.stop()
        for line in self._lines.values():
            line.stop()
        self._verifications.stop()
        self._watching.stop()
        for stream in list(self._streams):
            stream.close()
        if not self._streams:
            self._quiet.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(grace_s, 5.0)):
                await self._quiet.wait()
        for stream in list(self._streams):
            stream.link.abort()

    async def reload(self, network: Network) -> None:
        """See `Network`: addresses that are listened on stay as they are."""
        if not isinstance(network, XmppNetwork):
            return
        listening = (self.settings.listen, self.settings.listen_tls)
        if listening != (network.settings.listen, network.settings.listen_tls):
            log.warning("xmpp.reload", note="other addresses to listen on need a restart")
        self.settings, self.context, self._about = network.settings, network.context, network._about
        self.capabilities = network.capabilities
        self._policies.clear()
        loop = asyncio.get_running_loop()
        loop.call_soon(self._after_reload)

    def _after_reload(self) -> None:
        """The hub knows the new peers by now."""
        self._log_in()
        for key, line in list(self._lines.items()):
            peer = self.peer_for(line.remote)
            if peer is None or peer.settings != line.peer.settings:
                del self._lines[key]
                if isinstance(line.stream, OutgoingStream):
                    line.stream.close()
            else:
                line.peer = peer

    # -- for the hub -----------------------------------------------------------------------------------

    def destination(self, peer: Peer, domain: str) -> str:
        """See `Network`: a server fails as a whole, be it the domain's or the one where we are a
        component."""
        return peer.name if peer.settings.link == "component" else domain

    def measure(self, message: Message, peer: Peer) -> int:
        """See `Network`."""
        try:
            how = peer.settings.formatting
            stanza = from_model(message, now=self.context.clock(), how=how, introduce=True)
            return len(stanza.encode())
        except DeliveryError:
            return 0  # it will be refused when it is delivered, with the reason

    def deliver(self, delivery: Delivery) -> None:
        """See `Network`."""
        content, peer = delivery.content, delivery.peer
        try:
            if isinstance(content, Message):
                nick = content.nick
                stanza = from_model(
                    content,
                    now=self.context.clock(),
                    how=peer.settings.formatting,
                    introduce=bool(nick) and self.company.introduces(content.sender, content.recipient, nick),
                )
            elif isinstance(content, Receipt):
                stanza = from_receipt(content, now=self.context.clock())
            else:
                stanza = from_report(content)
        except DeliveryError as error:
            delivery.failed(error)
            return
        local = content.sender.domain
        if peer.settings.link == "component":
            login = self._logins.get((peer.name, local))
            if login is not None:
                login.send(stanza.encode(COMPONENT), delivery)
                return
            delivery.failed(
                Refused(
                    Reason.FORBIDDEN, f"{local} is no component of {peer.name}", detail="see `components`"
                )
            )
            return
        self._line(peer, local, content.recipient.domain).send(stanza.encode(SERVER), delivery)

    def compose(self, peer: Peer, composing: Composing) -> None:
        """See `ConversationNetwork`: to the device that takes part, if there is a way to it just now."""
        device = self.company.device_of(composing.recipient, composing.sender)
        channel = self._open_channel(peer, composing.sender.domain, composing.recipient.domain)
        if device is None or channel is None:
            self.hub.count("ignored", self.name, "typing notice for nobody who takes part")
            return
        try:
            stanza = from_composing(composing, device)
        except DeliveryError:
            self.hub.count("ignored", self.name, "typing notice XMPP cannot write")
            return
        channel.write(stanza.encode(COMPONENT if peer.settings.link == "component" else SERVER), None)
        if composing.state is ChatState.GONE:
            self.company.left(device, composing.sender)

    def _open_channel(self, peer: Peer, local: str, remote: str) -> Channel | None:
        """The way there, if it stands."""
        if peer.settings.link == "component":
            login = self._logins.get((peer.name, local))
            return login.channel() if login is not None else None
        return self._line(peer, local, remote).open_channel()

    def links(self) -> list[LinkState]:
        """See `Network`."""
        states = [stream.state() for stream in self._streams]
        states += [login.state() for login in self._logins.values() if not login.is_open]
        states += [
            LinkState(self.name, line.peer.name, line.remote, "connecting", "out")
            for line in self._lines.values()
            if line.connecting
        ]
        return states

    async def probe(self, peer: Peer) -> tuple[bool, str]:
        """See `Network`."""
        settings: PeerSettings = peer.settings
        if settings.link == "component":
            logins = [login for login in self._logins.values() if login.peer.name == peer.name]
            down = [login for login in logins if not login.is_open]
            if not logins:
                return False, "no name to log in as: set `components`, or give another network a peer"
            if down:
                return False, f"not logged in as {down[0].component}: {down[0].why}"
            return True, "logged in as " + ", ".join(login.component for login in logins)
        local = min(self._projected(), default=self.context.server_name)
        remote = next((domain for domain in peer.domains if "*" not in domain), "")
        if not remote:
            return True, "any domain: nothing to try"
        try:
            async with asyncio.timeout(self.settings.negotiation_s):
                stream = await dial(self, settings, local, remote)
        except CannotConnect as failure:
            return False, f"as {local}: {failure.text}"
        except TimeoutError:
            return False, f"no stream within {self.settings.negotiation_s:g} s"
        found = f"{stream.link.remote[0]}:{stream.link.remote[1]}, {stream.state().security}"
        stream.close()
        return True, found

    # -- for the hub: presence -------------------------------------------------------------------------

    def resume(self, view: PairView, side: Side) -> None:
        """See `PresenceNetwork`."""
        self._watching.resume(view, side)

    def watch(self, view: PairView, verb: Verb) -> None:
        """See `PresenceNetwork`."""
        self._watching.watch(view, verb)

    def confirm(self, view: PairView) -> bool:
        """See `ConfirmingNetwork`."""
        return self._watching.roll.call(view)

    def tell(self, view: PairView) -> None:
        """See `PresenceNetwork`."""
        self._watching.tell(view)

    def look_up(self, pair: Pair, peer: Peer) -> None:
        """See `rialto.core.faces.FaceNetwork`."""
        self.faces.look_up(pair, peer)

    def pictured(self, pair: Pair, peer: Peer) -> None:
        """See `rialto.core.faces.FaceNetwork`."""
        self.faces.pictured(pair, peer)

    def attend(
        self, peer: Peer, local: str, remote: str, call: Callable[[Write | None, DeliveryError | None], None]
    ) -> None:
        """See `rialto.networks.xmpp.presence.Ways`."""
        if peer.settings.link == "s2s":
            self._line(peer, local, remote).attend(
                lambda channel, error: call(_writer(channel, SERVER), error)
            )
            return
        login = self._logins.get((peer.name, local))
        if login is None:
            call(None, Refused(Reason.FORBIDDEN, f"{local} is no component of {peer.name}"))
            return
        channel = login.channel()
        call(_writer(channel, COMPONENT), None if channel is not None else login.absence())

    # -- for the streams -------------------------------------------------------------------------------

    def peer_for(self, remote: str) -> Peer | None:
        """See `Desk`."""
        return self.hub.peer_for(self.name, remote)

    def policy_for(self, remote: str) -> Policy:
        """See `Desk`."""
        policy = self._policies.get(remote)
        if policy is None:
            peer = self.peer_for(remote) if remote else None
            if peer is None or peer.settings.link != "s2s":
                return _STRANGER
            policy = peer.settings.policy()
            if len(self._policies) < 10_000:
                self._policies[remote] = policy
        return policy

    def is_ours(self, domain: str) -> bool:
        """See `Desk`."""
        return domain == self.context.server_name or self.hub.projects(self.name, domain)

    def find_ledger(self, ledger_id: str) -> Ledger | None:
        """See `Desk`: also that of a stream which we do not know to be dead yet."""
        for stream in list(self._streams):
            if isinstance(stream, IncomingStream):
                ledger = stream.machine.ledger
                if ledger is not None and ledger.id == ledger_id:
                    stream.link.abort()
                    stream.give_back()
                    stream.machine.ledger = None
                    return ledger
        return self._ledgers.pop(ledger_id, None)

    def keep_ledger(self, ledger: Ledger) -> None:
        """See `Desk`."""
        if self._stopping or len(self._ledgers) >= self.settings.max_connections:
            return
        self._ledgers[ledger.id] = ledger
        asyncio.get_running_loop().call_later(ledger.max_s, self._ledgers.pop, ledger.id, None)

    def on_stanza(self, stream: LiveStream, event: StanzaReceived) -> None:
        """See `Desk`."""
        receive(self, self._about, self._watching, stream, event)

    def say(self, local: str, remote: str, stanza: Element) -> None:
        """See `Desk`."""
        peer = self.peer_for(remote)
        if peer is not None and peer.settings.link == "s2s" and not self._stopping:
            self._line(peer, local, remote).send(stanza.encode(SERVER))

    def forget(self, local: str, remote: str, message_id: str) -> None:
        """See `Desk`."""
        for stream in self._streams:
            if (local, remote) in stream.channels or (local, "") in stream.channels:
                stream.forget(message_id)

    def opened(self, stream: LiveStream) -> None:
        """See `Desk`."""
        self._streams.add(stream)

    def proven(self, stream: LiveStream, local: str, remote: str) -> None:
        """See `Desk`."""
        line = self._lines.get((local, remote))
        if line is not None:
            line.use(stream)

    def gone(self, stream: LiveStream) -> None:
        """See `Desk`."""
        self._streams.discard(stream)
        if stream.why != "closed" and not self._stopping:
            self._missed(stream)
        if self._stopping and not self._streams:
            self._quiet.set()

    def unreachable(self, peer: Peer, remote: str) -> None:
        """See `Desk`: what its users are now, nobody knows."""
        self._watching.missed(peer, remote)

    def on_dialback(self, stream: LiveStream, event: DialbackRequested) -> None:
        """See `Desk`."""
        if isinstance(stream, IncomingStream | OutgoingStream):
            self._verifications.begin(stream, event)

    # -- inside ----------------------------------------------------------------------------------------

    def _missed(self, stream: LiveStream) -> None:
        """What was on the stream when it was lost may have been presence."""
        outgoing = isinstance(stream, OutgoingStream) and not stream.machine.bidirectional
        for _, remote in {} if outgoing else stream.proofs:
            peer = stream.peer_of(remote)
            if peer is not None:
                self._watching.missed(peer, remote)

    def _line(self, peer: Peer, local: str, remote: str) -> Line:
        line = self._lines.get((local, remote))
        if line is None:
            if len(self._lines) > 10_000:
                self._lines = {key: line for key, line in self._lines.items() if not line.idle}
            line = self._lines[local, remote] = Line(self, peer, local, remote)
        if line.stream is None:
            for stream in self._streams:
                channel = stream.channels.get((local, remote))
                if channel is not None and channel.is_open:
                    line.use(stream)
                    break
        return line

    def _relieved(self) -> None:
        for stream in self._streams:
            # Not all at once: what they have kept for us comes in the same instant.
            asyncio.get_running_loop().call_later(random.random() * 0.05, stream.go_on)


def _writer(channel: Channel | None, namespace: str) -> Write | None:
    if channel is None:
        return None

    def write(stanza: Element, parcel: Parcel | None) -> None:
        channel.write(stanza.encode(namespace), parcel)

    return write


def _about(settings: Settings) -> Self:
    return Self(
        gateway_type=settings.gateway_type,
        version=__version__ if settings.show_version else "",
        contacts=settings.contacts,
    )


def create(settings: Settings, context: Context) -> Network:
    """The network, as configured."""
    return XmppNetwork(settings, context)
