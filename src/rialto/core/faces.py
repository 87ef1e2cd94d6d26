"""Who is called what, as far as anybody has told.

What one person shows to another is shown to that one alone: a name in a message, a display name in From, a
presence document, a vCard that a server gave to one who asked. So everything here belongs to a pair, as
presence does (RFC 8048 section 8.2). It is in memory only: it is learnt anew with the next message or
document, and a message carries its sender's name with it on disk.

A network that can ask (`FaceNetwork`) is asked when a name is needed and none is known, or an old one. Nobody
waits for the answer: what goes out meanwhile goes without a name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol, runtime_checkable

from rialto.core.limits import Buckets
from rialto.core.network import Network, Peer
from rialto.core.policy.gate import Gate
from rialto.model.address import Address
from rialto.model.agreement import Traffic
from rialto.model.face import Face, Picture
from rialto.model.message import Message
from rialto.model.presence import Pair

CAPACITY: Final = 20_000
"""So many pairs are known; who was of no use for longest is forgotten first."""
PICTURES: Final = 256
ASK_AGAIN_S: Final = 6 * 3600.0
ASK_NOBODY_AGAIN_S: Final = 900.0
"""Where the last answer had no name in it."""
ASKS_PER_S: Final = 20.0
FORGET_S: Final = 30 * 86_400.0

Source = Literal["card", "document", "said"]
"""Where it is from, the best first: what somebody published, a presence document, beside a message or
request."""
_SOURCES: Final[tuple[Source, ...]] = ("card", "document", "said")


@runtime_checkable
class FaceNetwork(Protocol):
    """What a `Network` has besides, where people can be asked for their names."""

    def look_up(self, pair: Pair, peer: Peer) -> None:
        """Ask for what the presentity shows the watcher, and `learn` it as `card`. Never raises."""

    def pictured(self, pair: Pair, peer: Peer) -> None:
        """Of the watcher's network: there is a picture now of the presentity. Never raises."""


class _Known:
    """Of one pair."""

    __slots__ = ("asked_at", "face", "said", "seen_at")

    def __init__(self) -> None:
        self.said: dict[Source, Face] = {}
        self.face = Face()
        self.seen_at = 0.0
        self.asked_at: float | None = None


class Faces:
    """All that is known, bounded."""

    def __init__(
        self,
        clock: Callable[[], float],
        candidates: Callable[[str, str], tuple[Peer, ...]] | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._clock = clock
        self._candidates = candidates
        self._gate = gate
        self._known: dict[Pair, _Known] = {}
        self._pictures: dict[str, Picture] = {}
        self._buckets = Buckets(1)
        self._networks: dict[str, FaceNetwork] = {}
        self._call_soon: Callable[..., Any] | None = None

    def __len__(self) -> int:
        return len(self._known)

    def start(self, networks: Mapping[str, Network], call_soon: Callable[..., Any]) -> None:
        """From now on networks may be asked."""
        self._networks = {name: one for name, one in networks.items() if isinstance(one, FaceNetwork)}
        self._call_soon = call_soon

    def learn(self, pair: Pair, face: Face, source: Source) -> None:
        """What the presentity shows the watcher; takes the place of all that this source said before."""
        known = self._known.pop(pair, None) or _Known()
        if len(self._known) >= CAPACITY:
            del self._known[next(iter(self._known))]
        self._known[pair] = known
        known.seen_at = self._clock()
        if known.said.get(source) == face:
            return
        known.said[source] = face
        merged = Face()
        for one in _SOURCES:
            merged = merged.over(known.said.get(one, Face()))
        known.face = merged

    def seen(self, pair: Pair) -> Face:
        """What is known of the presentity that the watcher may see; asks for more where that could help.

        Where there is leave for messages alone, a name comes with these, and nothing else is shown.
        """
        gate = self._gate
        if (
            gate is not None
            and gate.leave is not None
            and gate.refusal(pair.watcher, pair.presentity, Traffic.PRESENCE) is not None
        ):
            return Face()
        now = self._clock()
        known = self._known.get(pair)
        if known is None:
            self._ask(pair, now)
            return Face()
        age = now - known.seen_at
        if age > FORGET_S:
            del self._known[pair]
            return Face()
        if known.asked_at is None:
            if not known.face.called:
                self._ask(pair, now)
        elif not 0 <= now - known.asked_at < (ASK_AGAIN_S if known.face.called else ASK_NOBODY_AGAIN_S):
            self._ask(pair, now)
        return known.face

    def name(self, pair: Pair) -> str:
        """What to call the presentity when something of it is shown to the watcher; empty: by its address."""
        return self.seen(pair).called

    def heard(self, message: Message) -> str:
        """The name that travels with a message: the one that came with it, else the one that is known."""
        pair = Pair(message.recipient.bare, message.sender.bare)
        if not message.nick:
            return self.name(pair) if message.sender.local else ""
        known = self._known.get(pair)
        if known is None or (said := known.said.get("said")) is None or said.nick != message.nick:
            self.learn(pair, Face(nick=message.nick), "said")
        return message.nick

    def picture(self, face: Face) -> Picture | None:
        """The picture itself, where it was fetched."""
        return self._pictures.get(face.picture_url)

    def keep_picture(self, url: str, picture: Picture) -> None:
        """It was fetched."""
        if url not in self._pictures and len(self._pictures) >= PICTURES:
            del self._pictures[next(iter(self._pictures))]
        news = self._pictures.get(url) != picture
        self._pictures[url] = picture
        for pair, known in self._known.items():
            if news and known.face.picture_url == url:
                self._tell(pair)

    def _ask(self, pair: Pair, now: float) -> None:
        """Let the presentity's network ask, soon: it may be in the middle of something."""
        network, peer = self._home(pair.presentity)
        if network is None or peer is None or self._call_soon is None:
            return
        if self._buckets.take("", ASKS_PER_S, now):
            return
        known = self._known.setdefault(pair, _Known())
        known.seen_at, known.asked_at = known.seen_at or now, now
        if len(self._known) > CAPACITY:
            del self._known[next(iter(self._known))]
        self._call_soon(network.look_up, pair, peer)

    def _tell(self, pair: Pair) -> None:
        """Let the watcher's network say that there is a picture."""
        network, peer = self._home(pair.watcher)
        if network is not None and peer is not None and self._call_soon is not None:
            self._call_soon(network.pictured, pair, peer)

    def _home(self, person: Address) -> tuple[FaceNetwork | None, Peer | None]:
        """Where somebody lives, if that is a network that has to do with faces."""
        if not self._networks or self._candidates is None or not person.local:
            return None, None
        peers = self._candidates(person.domain, "")
        return (self._networks.get(peers[0].network), peers[0]) if peers else (None, None)


def of_person(person: Address, viewer: Address) -> Pair:
    """The pair under which it stands what a person shows to a viewer."""
    return Pair(viewer.bare, person.bare)
