"""What the hub and a network know of one another.

A network is a folder under `rialto.networks` with a module-level `create(settings, context) -> Network`.
The hub hands it `Delivery` objects; it hands the hub messages, together with an `Inbound` through which it
hears what became of them. Nobody waits in a coroutine for any of this: a message costs no task.

    Network                                        Hub
       │  accept(message, origin, inbound)          │
       ├───────────────────────────────────────────►│  raises DeliveryError: refused, nothing kept
       │  inbound.stored()                          │
       │◄───────────────────────────────────────────┤  on disk: may be acknowledged
       │  inbound.settled(outcome) -> told?         │
       │◄───────────────────────────────────────────┤  the far side has answered, or never will
       │                                            │
       │  deliver(delivery)                         │
       │◄───────────────────────────────────────────┤
       │  delivery.sent() | delivered() | failed()  │
       ├───────────────────────────────────────────►│  exactly one, exactly once
       │  returned(message_id, error, origin)       │
       ├───────────────────────────────────────────►│  it bounced after all
       │  receipt(origin, about=message_id, ...)    │
       ├───────────────────────────────────────────►│  the recipient's device has it, or has shown it
       │  compose(composing, origin)                │
       ├───────────────────────────────────────────►│  somebody is writing
       │  compose(peer, composing)                  │
       │◄───────────────────────────────────────────┤

A `Receipt` reaches its writer as a `Delivery` does; a network that says in its peers' `Features.receipts`
that they know receipts must be able to write them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import msgspec

from rialto.model.address import Address
from rialto.model.errors import DeliveryError, Reason
from rialto.model.message import Composing, Content, Disposition, Message, RelationKind
from rialto.model.presence import Document, Grant, Pair

if TYPE_CHECKING:
    from rialto.core.files import Files
    from rialto.core.hub import Hub


class Features(msgspec.Struct, frozen=True):
    """What the other end of a link can carry; `rialto.core.adapt` makes messages fit it."""

    max_bytes: int | None = None
    """The most that one message may take on the wire, as `Network.measure` counts; None for no limit."""
    long_messages: str = "refuse"
    """What to do above it: `split` into numbered parts, or `refuse`."""
    in_flight_per_recipient: int = 1
    """How many messages to one person may be unanswered at a time (RFC 3428 section 8: one)."""
    in_flight: int = 256
    """How many to the whole destination."""
    encrypted: bool = False
    """Whether nothing ever goes to this peer unencrypted; all that may be given whoever demands that."""
    subject: bool = True
    thread: bool = True
    language: bool = True
    rich: bool = False
    """Whether `Message.rich` can be said."""
    relations: tuple[RelationKind, ...] = ()
    """Which relations can be said otherwise than in words."""
    in_words: tuple[RelationKind, ...] = tuple(RelationKind)
    """Of the others, which are put into words; else they are left out, and what is nothing without them is
    refused."""
    receipts: tuple[Disposition, ...] = ()
    """Which receipts can be asked for, and told to those who have asked."""
    files: str = ""
    """How files go: empty for a link in the text; else the network's own word for its way (`oob`, `msrp`)."""
    sealed: tuple[str, ...] = ()
    """The schemes of `Message.sealed` that get through untouched."""
    composing: bool = False
    """Whether typing notices can be said."""


class Peer(msgspec.Struct, frozen=True, eq=False):
    """The other end of a link: who it speaks for, and how to speak with it.

    `domains` are canonical; `*` stands for every domain that nobody else is configured for,
    `*.example.org` for every domain below. `settings` is the network's own `PeerSettings`.
    """

    name: str
    network: str
    domains: tuple[str, ...]
    settings: Any
    features: Features = Features()
    rate_per_s: float = 1000.0
    """Messages a second that this peer may send, on average."""
    sender_rate_per_s: float = 20.0
    """Messages a second that one of its users may send, on average."""


class Origin(msgspec.Struct, frozen=True):
    """Where a message came from, as proven at the link, never as claimed in the message."""

    peer: Peer
    domain: str
    """The domain that was authenticated."""
    proof: str
    """How: `external`, `dialback`, `component`, `tls`, `digest`, `address`, `local`."""
    secured: bool = False
    """Whether the last hop was encrypted."""
    secure_only: bool = False
    """The sender demands security on every hop (`sips:`)."""


Hop = dict[str, Any]
"""What is to be noted of a hop: `proof` and `secured`, as in `Origin`. Never changed once it is made."""


@lru_cache(maxsize=64)
def hop(proof: str, secured: bool) -> Hop:
    """How the far side of a hop was proven, and whether the hop was encrypted."""
    return {"proof": proof, "secured": secured}


NOTHING_KNOWN: Hop = {}


class Outcome(enum.Enum):
    """How a delivery ended."""

    SENT = "sent"
    """Written to the wire; the far side does not tell more."""
    DELIVERED = "delivered"
    """The far side has answered for it."""
    FAILED = "failed"


class Inbound(Protocol):
    """What a network keeps of a message that it has handed in, while somebody waits for the answer."""

    @property
    def waiting(self) -> bool:
        """Whether somebody still waits, so that a failure can be told through `settled`."""

    def stored(self) -> None:
        """The message is on disk: it may be acknowledged."""

    def refused(self, error: DeliveryError) -> None:
        """The message could not be put on disk; nothing of it is kept."""

    def settled(self, outcome: Outcome, error: DeliveryError | None) -> bool:
        """The far side has answered (or never will: `error`). True when the sender was told by this.

        When it returns False for an error the hub sends a `Report` home instead.
        """


class Delivery(Protocol):
    """One message (or report, or numbered part) to be written to one peer, once."""

    content: Content
    peer: Peer
    attempt: int
    """0 for the first try; the same content may have been on the wire before when it is more."""
    domain: str
    """The domain to reach: that of the recipient."""

    def sent(self, hop: Hop = NOTHING_KNOWN) -> None:
        """It is on the wire, and no confirmation is to be had; `hop` (see `hop`) goes into the trail."""

    def delivered(self, detail: str = "", hop: Hop = NOTHING_KNOWN) -> None:
        """The far side has answered for it; `detail` (`200 OK`) and `hop` go into the trail."""

    def again(self, why: str = "") -> None:
        """Nothing has arrived, for this recipient turned out to carry less than was thought: ask
        `FeaturedNetwork.features` anew, adapt anew, and try at once. A few times only. `why` goes into the
        trail."""

    def failed(self, error: DeliveryError) -> None:
        """It did not work; `error.retry` says whether the hub should try again."""


class LinkState(msgspec.Struct, frozen=True):
    """One link as `rialto peers` shows it."""

    network: str
    peer: str
    remote: str
    state: str
    """`up`, `connecting`, `down`."""
    direction: str = ""
    security: str = ""
    """TLS version and cipher, how the peer was authenticated."""
    since: float = 0.0
    detail: str = ""


class Network(Protocol):
    """One configured way into the world."""

    name: str

    async def start(self, hub: Hub) -> None:
        """Listen and connect. Raises ConfigError (an address in use, a certificate that does not load)."""

    async def stop(self, grace_s: float) -> None:
        """Take nothing more, finish what is under way within `grace_s`, close every link."""

    async def reload(self, network: Network) -> None:
        """Take over settings and peers from a freshly created instance of the same kind (SIGHUP)."""

    def destination(self, peer: Peer, domain: str) -> str:
        """What fails together: messages with equal destinations share one back-off and one window."""

    def measure(self, message: Message, peer: Peer) -> int:
        """How many bytes the message would take on the wire to this peer, everything included."""

    def deliver(self, delivery: Delivery) -> None:
        """Write it; answer through the delivery, now or later, exactly once. Never raises."""

    def links(self) -> list[LinkState]:
        """What is connected to whom, for people to look at."""

    async def probe(self, peer: Peer) -> tuple[bool, str]:
        """Ask whether the peer is there; (reached, what was found or what is wrong and the remedy)."""


@runtime_checkable
class FeaturedNetwork(Protocol):
    """What a `Network` has besides where recipients of one peer differ in what they can carry."""

    def features(self, peer: Peer, recipient: Address) -> Features:
        """What this recipient can carry now: `peer.features`, but for what has been learnt. Asked for every
        message; never raises."""


@runtime_checkable
class ConversationNetwork(Protocol):
    """What a `Network` that carries typing notices has besides; the hub is told with `Hub.compose`."""

    def compose(self, peer: Peer, composing: Composing) -> None:
        """Say it to its recipient, or let it be; nothing is to be answered. Never raises.

        Only changes come, and a message ends what was said before it: COMPOSING is not taken back by its
        writer. How long it is worth something, and repeating it meanwhile, is the network's own matter.
        """


Side = Literal["watcher", "presentity"]
"""Whose network one is, in a pair."""


class Verb(enum.StrEnum):
    """What the hub wants of a presentity's network, for one pair. All may come again: they say how things
    shall be, not what has to change."""

    ASK = "ask"
    """The watcher wants the authorization; `view.listening` says whether it also has a session now. Answer
    `pending` as soon as the far side has it, and `granted` or `refused` when it has decided."""
    GIVE_BACK = "give back"
    """The watcher wants the authorization no longer. Answer `done`."""
    OPEN = "open"
    """The watcher is authorized and listens: bring the present state, and go on telling. Answer `show`, or
    `done` where the state that is known stands. Also comes for a dialog that lives, after a restart or an
    outage: then news may have been missed."""
    CLOSE = "close"
    """The watcher listens no longer; the authorization stays. Needs no answer."""
    FETCH = "fetch"
    """One look, for a watcher that may have neither authorization nor session, or to compare. Answer `show`
    or `refused`."""


class PairView(msgspec.Struct, frozen=True, kw_only=True):
    """One pair as a network sees it, at one moment."""

    pair: Pair
    watcher_peer: Peer
    presentity_peer: Peer
    grant: Grant
    document: Document | None = None
    """The present state, for this watcher alone (RFC 8048 section 8.2). None: nothing is known, which is not
    the same as offline. Only ever set where the watcher may see it."""
    listening: bool = False
    """Whether the watcher has a notification session."""
    until: float | None = None
    """When that ends, seconds since 1970; None where it has no end of its own."""
    told_grant: Grant = Grant.NONE
    """What the watcher was told last."""
    told_document: Document | None = None
    """What it was shown last in this session, and so what its screen has now; None for nothing."""
    reason: Reason | None = None
    """Of REFUSED: why."""
    text: str = ""
    """The same as a sentence."""
    note: str = ""
    """What the watcher said when it asked."""
    watcher_data: bytes | None = None
    """What the watcher's network has kept; in `resume` only."""
    presentity_data: bytes | None = None
    """What the presentity's network has kept; in `resume` only."""


class Watcher(msgspec.Struct, frozen=True):
    """One of those who watch somebody, or ask to: what the presentity's side may know of them (RFC 3857)."""

    address: Address
    """Bare."""
    grant: Grant
    """PENDING, GRANTED or REFUSED."""
    listening: bool
    """Whether the watcher has a session now."""
    since: float
    """When the grant last changed, seconds since 1970."""
    note: str = ""
    """What was said with the request."""
    reason: Reason | None = None
    """Of REFUSED: why."""


@runtime_checkable
class PresenceNetwork(Protocol):
    """What a `Network` that carries presence has besides; it answers through `hub.presence`.

    The hub never calls these from within a call of `hub.presence`: they come in a later turn of the loop.
    None of them may raise.
    """

    pushes: bool
    """Whether a presentity's side here goes on telling while there is no session, as XMPP servers do; then
    what was shown last is still true when the next session begins."""

    def resume(self, view: PairView, side: Side) -> None:
        """Take note of a pair of an earlier run, in which this network has that side. Comes before `start`;
        nothing may go on the wire for it. For what does not live any more the hub says OPEN by itself."""

    def watch(self, view: PairView, verb: Verb) -> None:
        """Of the presentity's network: carry it out, and answer."""

    def tell(self, view: PairView) -> None:
        """Of the watcher's network: `grant` or `document` is news, or the session has run out
        (`listening` False). Say what the protocol can say; `told_grant` and `told_document` are what was told
        before. How often one watcher may hear is the network's to bound; the last state must arrive."""


@runtime_checkable
class ConfirmingNetwork(Protocol):
    """What a `PresenceNetwork` has besides where a watcher may leave without its hearing of it."""

    def confirm(self, view: PairView) -> bool:
        """Of the watcher's network: find out whether the session still is, and `close` it if not. False where
        there is nothing to be found out. Called from within `hub.presence.confirm`; never raises."""


class Context(msgspec.Struct, frozen=True):
    """What the application gives to a network when it creates it."""

    name: str
    """What this network is called in the configuration; its protocol's name, unless there are several."""
    server_name: str
    secret: bytes
    """32 random bytes of this instance, durable: for dialback keys, digest nonces, tags."""
    peers: tuple[Peer, ...]
    """The peers of this network."""
    dns: Any
    """`rialto.net.dns.Resolver`."""
    certificates: Any
    """`rialto.net.tls.CertificateStore`: ours, by name."""
    anchors: Any
    """The CA certificates that we trust (`rialto.net.certificates.Trust`)."""
    clock: Callable[[], float]
    """Seconds since 1970; the event loop's own clock is used for timers."""
    files: Files | None = None
    """Where files are kept that people fetch by a link; None where there is no `[web]`."""
    tap: Callable[[str, str, str, bytes], None] | None = None
    """(network, remote, `in`|`out`, bytes): shows the wire to a person; None in production."""


def same_person(one: Address, other: Address) -> bool:
    """Whether two addresses are one person, whatever the device."""
    return one.local == other.local and one.domain == other.domain
