"""Typing notices on their way through: only news, only in time, and never ahead of the words.

Nothing here is stored, queued or told to anybody as an error: a notice that cannot be passed on is counted
and let go. What is remembered of each pair is what was said last, so that repetitions go no further and that
what a message has ended is not ended again. While a message to somebody is under way, the newest notice for
them waits for it: it would be shown before the words that it follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from rialto.core.limits import Buckets
from rialto.core.metrics import Metrics
from rialto.core.network import ConversationNetwork, FeaturedNetwork, Network, Origin, Peer
from rialto.core.register import Register
from rialto.model.address import Address
from rialto.model.message import ChatState, Composing

CAPACITY = 20_000
"""So many pairs are remembered; the one that has been silent for longest is forgotten first."""
PARKED_MOST = 2000
PARKED_FOR_ONE_MOST = 50
PARKED_MOST_S = 10.0
SENDER_RATE_PER_S = 2.0

Person = tuple[str, str]
Pair = tuple[Person, Person]

_NEWS_AFTER = {
    ChatState.PAUSED: (ChatState.COMPOSING,),
    ChatState.ACTIVE: (ChatState.COMPOSING, ChatState.PAUSED, ChatState.INACTIVE, ChatState.GONE, None),
}
"""States that are news only after these."""

_log = structlog.get_logger(__name__)


class Notices:
    """All typing notices of one instance.

    `ways(recipient domain, origin)` are the peers by which a notice may go on; `owned` says whether a peer
    speaks for a domain.
    """

    def __init__(
        self,
        *,
        register: Register,
        metrics: Metrics,
        clock: Callable[[], float],
        ways: Callable[[str, Origin], tuple[tuple[Peer, ...], bool]],
        owned: Callable[[Peer, str], bool],
    ) -> None:
        self._register = register
        self._count = metrics.count
        self._clock = clock
        self._ways = ways
        self._owned = owned
        self._buckets = Buckets()
        self._networks: dict[str, ConversationNetwork] = {}
        self._featured: dict[str, FeaturedNetwork] = {}
        self.said: dict[Pair, ChatState] = {}
        """What each one said last to the other, oldest first."""
        self.parked: dict[Person, dict[Person, tuple[float, Peer, Composing]]] = {}
        """By recipient and sender: what waits for messages under way."""

    def start(self, networks: Mapping[str, Network]) -> None:
        """From now on there is somebody to tell."""
        self._networks = {name: one for name, one in networks.items() if isinstance(one, ConversationNetwork)}
        self._featured = {name: one for name, one in networks.items() if isinstance(one, FeaturedNetwork)}

    def compose(self, composing: Composing, origin: Origin) -> None:
        """Pass it on, or let it go."""
        peer = self._allowed(composing, origin)
        if peer is None:
            self._count("ignored", origin.peer.network, "typing")
            return
        pair = pair_of(composing.sender, composing.recipient)
        if not self._news(pair, composing.state):
            return
        if self._register.waiting_for(composing.recipient):
            if len(self.parked) >= PARKED_MOST:
                del self.parked[next(iter(self.parked))]
            waiting = self.parked.setdefault(pair[1], {})
            if len(waiting) < PARKED_FOR_ONE_MOST or pair[0] in waiting:
                waiting[pair[0]] = (self._clock(), peer, composing)
            return
        self._tell(peer, composing)

    def spoken(self, sender: Address, recipient: Address) -> None:
        """Words have come: whoever was writing no longer is."""
        pair = pair_of(sender, recipient)
        if pair in self.said:
            self.said[pair] = ChatState.ACTIVE
        if pair[1] in self.parked:
            self.parked[pair[1]].pop(pair[0], None)

    def heard(self, recipient: Address) -> None:
        """Something for that person has ended: what was said meanwhile may follow."""
        if self._register.waiting_for(recipient):
            return
        for at, peer, composing in self.parked.pop((recipient.local, recipient.domain), {}).values():
            if abs(self._clock() - at) <= PARKED_MOST_S:
                self._tell(peer, composing)

    def _allowed(self, composing: Composing, origin: Origin) -> Peer | None:
        """By whom it goes on; None where it doesn't."""
        sender, recipient, peer = composing.sender, composing.recipient, origin.peer
        if not sender.local or not recipient.local or not self._owned(peer, sender.domain):
            return None
        candidates, same_destination = self._ways(recipient.domain, origin)
        if not candidates or same_destination:
            return None
        now = self._clock()
        if self._buckets.take(peer.name, peer.rate_per_s, now) or self._buckets.take(
            f"{sender.local}@{sender.domain}", SENDER_RATE_PER_S, now
        ):
            return None
        onward = candidates[0]
        if onward.network not in self._networks:
            return None
        featured = self._featured.get(onward.network)
        features = featured.features(onward, recipient) if featured is not None else onward.features
        return onward if features.composing else None

    def _news(self, pair: Pair, state: ChatState) -> bool:
        before = self.said.get(pair)
        if state is before or before not in _NEWS_AFTER.get(state, (before,)):
            return False
        self.said.pop(pair, None)
        if len(self.said) >= CAPACITY:
            del self.said[next(iter(self.said))]
        self.said[pair] = state
        return True

    def _tell(self, peer: Peer, composing: Composing) -> None:
        self._count("composing", peer.name)
        try:
            self._networks[peer.network].compose(peer, composing)
        except Exception:
            _log.exception("a typing notice could not be said", network=peer.network)


def pair_of(sender: Address, recipient: Address) -> Pair:
    """Who writes to whom, whatever the devices."""
    return (sender.local, sender.domain), (recipient.local, recipient.domain)
