"""Names and pictures between the hub and the streams: who is asked, who is answered, what presence shows.

    hub ── look_up ──► vCard? ──► their server      XEP-0054; where it has no name, the nickname (XEP-0172)
        ◄── learn ────         ◄──
    a client ── vCard, avatar, nickname? ──► answered from what the hub has seen of the contact

A question goes out as from the watcher, because a server shows different people different things; and what it
says is shown to that watcher alone.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable
from typing import Final, Protocol

from rialto.core.hub import Hub
from rialto.core.network import Context, Peer
from rialto.model.errors import AddressError, DeliveryError
from rialto.model.face import Face
from rialto.model.presence import Grant, Pair
from rialto.networks.xmpp.capabilities import announcement
from rialto.networks.xmpp.cards import (
    answer_card,
    ask_nick,
    ask_vcard,
    hash_of,
    nick_of,
    nickname,
    read_answer,
)
from rialto.networks.xmpp.channel import Parcel
from rialto.networks.xmpp.presence_news import shown
from rialto.networks.xmpp.wire import jid
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.events import StanzaReceived
from rialto.networks.xmpp.wire.namespaces import CAPS

MAX_OPEN: Final = 200
"""So many questions may be unanswered."""
ANSWER_WITHIN_S: Final = 60.0

Write = Callable[[Element, Parcel | None], None]


class Ways(Protocol):
    """What is needed of the network."""

    context: Context

    @property
    def hub(self) -> Hub:
        """The hub."""

    @property
    def capabilities(self) -> str:
        """The `ver` of what people behind us can do."""

    def attend(
        self, peer: Peer, local: str, remote: str, call: Callable[[Write | None, DeliveryError | None], None]
    ) -> None:
        """Call back with the way from one domain to another when there is one."""


class Faces:
    """The faces of one XMPP network."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._numbers = itertools.count(1)
        self._prefix = f"face-{secrets.token_hex(4)}-"
        self._open: dict[str, tuple[Pair, Peer, bool, float]] = {}
        """Question -> about whom, at which peer, whether it is the last, until when it may be answered."""

    # -- asked by us -----------------------------------------------------------------------------------

    def look_up(self, pair: Pair, peer: Peer) -> None:
        """See `FaceNetwork`."""
        if peer.settings.ask_names:
            self._ask(pair, peer, ask_vcard(), last=False)

    def _ask(self, pair: Pair, peer: Peer, question: Element, *, last: bool) -> None:
        now = asyncio.get_running_loop().time()
        while self._open and (len(self._open) >= MAX_OPEN or next(iter(self._open.values()))[3] < now):
            del self._open[next(iter(self._open))]
        iq_id = f"{self._prefix}{next(self._numbers)}"
        try:
            attributes = {"from": jid.write(pair.watcher), "to": jid.write(pair.presentity)}
        except AddressError:
            return
        self._open[iq_id] = (pair, peer, last, now + ANSWER_WITHIN_S)
        stanza = Element("iq", attributes | {"id": iq_id, "type": "get"}, [question])

        def call(write: Write | None, error: DeliveryError | None) -> None:
            if write is not None:
                write(stanza, None)
            else:
                self._open.pop(iq_id, None)

        self._ways.attend(peer, pair.watcher.domain, pair.presentity.domain, call)

    def answered(self, event: StanzaReceived) -> bool:
        """The answer to an IQ; True where it is one of these."""
        iq_id = event.stanza.get("id")
        known = self._open.get(iq_id)
        if known is None:
            return False
        pair, peer, last, _ = known
        if event.sender.bare != pair.presentity or event.recipient.bare != pair.watcher:
            return False  # somebody else's to say
        del self._open[iq_id]
        face = read_answer(event.stanza)
        self._ways.hub.faces.learn(pair, face, "card")
        if not face.called and not last:
            self._ask(pair, peer, ask_nick(), last=True)
        return True

    def pictured(self, pair: Pair, peer: Peer) -> None:
        """See `FaceNetwork`: what is on the watcher's screen is shown once more, with the picture's hash."""
        view = self._ways.hub.presence.view(pair)
        if view is None or view.grant is not Grant.GRANTED or not view.listening:
            return
        told = view.told_document
        if told is None or not told.online:
            return
        now = self._ways.context.clock()
        try:
            watcher = jid.write(pair.watcher)
            stanzas = self.dress(shown(pair.presentity, watcher, told, now, self._new_tell_id), pair)
        except AddressError:
            return

        def call(write: Write | None, error: DeliveryError | None) -> None:
            for stanza in stanzas if write is not None else ():
                write(stanza, None)  # type: ignore[misc]

        self._ways.attend(peer, pair.presentity.domain, pair.watcher.domain, call)

    def _new_tell_id(self) -> str:
        return f"tell-{self._prefix}{next(self._numbers)}"

    # -- asked of us -----------------------------------------------------------------------------------

    def answer(self, event: StanzaReceived) -> tuple[Element, str] | None:
        """The answer to a question about a contact; None for what is no such question."""
        if not event.recipient.local:
            return None
        known = self._ways.hub.faces
        face = known.seen(Pair(event.sender.bare, event.recipient.bare))
        return answer_card(event.stanza, face, known.picture(face))

    # -- in presence -----------------------------------------------------------------------------------

    def met(self, stanza: Element, pair: Pair) -> None:
        """The watcher has asked to see the presentity, and says what it wants to be called."""
        nick = nick_of(stanza)
        if nick:
            self._ways.hub.faces.learn(Pair(pair.presentity, pair.watcher), Face(nick=nick), "said")

    def introduce(self, request: Element, pair: Pair) -> None:
        """Put the watcher's name to a request for presence (XEP-0172 section 4.1)."""
        name = self._ways.hub.faces.name(Pair(pair.presentity, pair.watcher))
        if name:
            request.content.append(nickname(name))

    def dress(self, stanzas: list[Element], pair: Pair) -> list[Element]:
        """Put to what shows the presentity what it can do, and the hash of its picture.

        No nickname: XEP-0172 section 4.1 forbids it there. What can be done is always ours to say: whoever
        asks the contact gets our answer.
        """
        known = self._ways.hub.faces
        for stanza in stanzas:
            if "type" not in stanza.attributes:
                face = known.seen(pair)
                stanza.content[:] = [one for one in stanza.content if not _is_caps(one)]
                stanza.content.append(announcement(self._ways.capabilities))
                if face != Face():
                    picture = known.picture(face)
                    stanza.content.append(hash_of(picture, expected=bool(face.picture_url)))
        return stanzas


def _is_caps(node: Element | str) -> bool:
    return type(node) is Element and node.name == f"{CAPS}}}c"
