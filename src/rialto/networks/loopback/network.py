"""The loopback network: what each of its people does with a message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from rialto.core.hub import Hub
from rialto.core.network import (
    Context,
    Delivery,
    LinkState,
    Network,
    Origin,
    Outcome,
    PairView,
    Peer,
    Side,
    Verb,
    hop,
)
from rialto.model.errors import Busy, DeliveryError, Reason, Refused
from rialto.model.message import Composing, Message
from rialto.networks.loopback.presence import People
from rialto.networks.loopback.settings import Settings

BUSY_S = 1.0
HERE = hop("local", True)

_log = structlog.get_logger(__name__)


class LoopbackNetwork:
    """See the folder's docstring."""

    pushes = False

    def __init__(self, settings: Settings, context: Context) -> None:
        self.name = context.name
        self._settings = settings
        self._clock = context.clock
        self._peers = context.peers
        self._hub: Hub | None = None
        self._presence = People(context.clock, settings.slow_s)
        self._timers: set[asyncio.TimerHandle] = set()
        self._people: dict[str, Callable[[Delivery, Message], None]] = {
            "echo": self._echo,
            "busy": self._busy,
            "refuse": self._refuse,
            "slow": self._slow,
        }

    async def start(self, hub: Hub) -> None:
        """See `Network`."""
        self._hub = hub

    async def stop(self, grace_s: float) -> None:
        """See `Network`: what has not been answered by now stays in the queue."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._presence.stop()

    async def reload(self, network: Network) -> None:
        """See `Network`."""
        if isinstance(network, LoopbackNetwork):
            self._settings, self._peers = network._settings, network._peers

    def destination(self, peer: Peer, domain: str) -> str:
        """See `Network`: every domain is a world of its own."""
        return domain

    def measure(self, message: Message, peer: Peer) -> int:
        """See `Network`."""
        return len(message.text.encode())

    def deliver(self, delivery: Delivery) -> None:
        """See `Network`."""
        content = delivery.content
        if not isinstance(content, Message):
            delivery.delivered("noted", HERE)
            return
        person = self._people.get(content.recipient.local)
        if person is None:
            delivery.failed(Refused(Reason.NOT_FOUND, f"there is no {content.recipient.bare}"))
        else:
            person(delivery, content)

    def compose(self, peer: Peer, composing: Composing) -> None:
        """See `ConversationNetwork`: `echo@` does as the other does."""
        if composing.recipient.local == "echo" and self._hub is not None:
            back = Composing(
                sender=composing.recipient,
                recipient=composing.sender,
                state=composing.state,
                thread=composing.thread,
            )
            self._hub.compose(back, self._origin(peer, composing.recipient.domain))

    def resume(self, view: PairView, side: Side) -> None:
        """See `PresenceNetwork`: nobody here needs to be reminded."""

    def watch(self, view: PairView, verb: Verb) -> None:
        """See `PresenceNetwork`."""
        if self._hub is not None:
            self._presence.watch(self._hub.presence, view, verb)

    def tell(self, view: PairView) -> None:
        """See `PresenceNetwork`: nobody here watches."""

    def links(self) -> list[LinkState]:
        """See `Network`."""
        return [LinkState(self.name, peer.name, "here", "up", "both", "none needed") for peer in self._peers]

    async def probe(self, peer: Peer) -> tuple[bool, str]:
        """See `Network`."""
        return True, "it is here"

    def _echo(self, delivery: Delivery, message: Message) -> None:
        hub = self._hub
        if hub is None:
            delivery.delivered("heard", HERE)
            return
        origin = self._origin(delivery.peer, delivery.domain)
        self._confirm(message, origin)
        if message.automatic:
            delivery.delivered("heard", HERE)
            return
        echo = Message(
            id=hub.new_id(),
            sender=message.recipient,
            recipient=message.sender,
            text=message.text,
            received_at=self._clock(),
            language=message.language,
            subject=message.subject,
            thread=message.thread,
            kind=message.kind,
            origin_id=message.id,
            stable_id=f"echo of {message.id}",  # told again after a crash, it is still one echo
            automatic=True,
            wants=message.wants,
            rich=message.rich,
            files=message.files,
            chat_states=message.chat_states,
        )
        try:
            hub.accept(echo, origin, _Echoed(delivery))
        except DeliveryError as error:
            _log.info("no echo", message=message.id, reason=error.reason)
            delivery.delivered("heard, and not echoed", HERE)

    def _origin(self, peer: Peer, domain: str) -> Origin:
        return Origin(peer, domain, "local", secured=True)

    def _confirm(self, message: Message, origin: Origin) -> None:
        """Every receipt that was asked for, as by somebody who sits in front of the screen."""
        if self._hub is None:
            return
        for disposition in message.wants:
            try:
                self._hub.receipt(
                    origin,
                    sender=message.recipient,
                    recipient=message.sender,
                    about=message.id,
                    disposition=disposition,
                )
            except DeliveryError as error:
                _log.info("no receipt", message=message.id, reason=error.reason)

    def _busy(self, delivery: Delivery, message: Message) -> None:
        if delivery.attempt == 0:
            delivery.failed(Busy(Reason.UNAVAILABLE, "not now", retry_after_s=BUSY_S))
        else:
            self._confirm(message, self._origin(delivery.peer, delivery.domain))
            delivery.delivered("at last", HERE)

    def _refuse(self, delivery: Delivery, message: Message) -> None:
        delivery.failed(Refused(Reason.DECLINED, "I would rather not"))

    def _slow(self, delivery: Delivery, message: Message) -> None:
        def answer() -> None:
            self._timers.discard(timer)
            self._confirm(message, self._origin(delivery.peer, delivery.domain))
            delivery.delivered("after a while", HERE)

        timer = asyncio.get_running_loop().call_later(self._settings.slow_s, answer)
        self._timers.add(timer)


class _Echoed:
    """Takes the message once its echo is on disk; nobody waits for what becomes of the echo."""

    waiting = False

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    def stored(self) -> None:
        """See `Inbound`."""
        self._delivery.delivered("heard", HERE)

    def refused(self, error: DeliveryError) -> None:
        """See `Inbound`."""
        self._delivery.failed(Busy(error.reason, error.text, retry_after_s=error.retry_after_s))

    def settled(self, outcome: Outcome, error: DeliveryError | None) -> bool:
        """See `Inbound`."""
        return False


def create(settings: Settings, context: Context) -> Network:
    """The network, as configured."""
    return LoopbackNetwork(settings, context)
