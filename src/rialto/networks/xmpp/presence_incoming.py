"""What becomes of a presence stanza that has come in.

| `type` | for the pair | becomes |
|---|---|---|
| `subscribe` | sender watches recipient | `ask`, and `open`: who asks is there |
| `unsubscribe` | | `give_back`; `unsubscribed` at once where there was nothing to give back |
| `probe` | | `open`, and the present state; `fetch` where there is no authorization |
| `subscribed` | recipient watches sender | `granted`, and the state that follows is collected |
| `unsubscribed` | | `refused` |
| none, `unavailable` | | `show`; where nobody watches (directed presence, rooms): nothing, counted |
| `error` | | of a request: `refused`; of news: whoever was told is not there, `close` |

Two people at a time, both bare (RFC 6121 section 3). Nothing answers an error (CHECKLIST DEP-5). A peer with
`presence = false` is answered as `rialto.networks.xmpp.answers` says.

What a server is told to have been handled it never says again. So what is about an authorization counts as
handled when the pair is on disk; what somebody shows is asked for anew after a restart, and need not wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rialto.core.network import Origin
from rialto.model.address import Address
from rialto.model.errors import AddressError, DeliveryError, Reason, Refused
from rialto.model.presence import Grant, Pair, State
from rialto.networks.xmpp.answers import answer_presence
from rialto.networks.xmpp.conditions import from_error
from rialto.networks.xmpp.live import Desk, LiveStream
from rialto.networks.xmpp.presence import MAX_EARLY, Watching
from rialto.networks.xmpp.presence_news import shown, unsubscribed
from rialto.networks.xmpp.presence_stanzas import is_of_a_room, status_of, to_state
from rialto.networks.xmpp.translate import error_reply
from rialto.networks.xmpp.wire import jid
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.events import StanzaReceived

_FOR_GOOD: Final = frozenset(
    {
        Reason.NOT_FOUND,
        Reason.GONE,
        Reason.MOVED,
        Reason.FORBIDDEN,
        Reason.NOT_AUTHENTICATED,
        Reason.NOT_SUPPORTED,
        Reason.BAD_REQUEST,
        Reason.POLICY,
        Reason.NO_AGREEMENT,
        Reason.NOT_ENTITLED,
        Reason.NOT_ACCEPTABLE,
    }
)
"""What ends an authorization that is asked for; one that stands is ended by the first three alone."""
_ABSENT: Final = frozenset({Reason.NOT_FOUND, Reason.GONE, Reason.MOVED})


class _Scene:
    """One stanza and who is concerned."""

    __slots__ = ("desk", "origin", "recipient", "sender", "stanza", "stream", "watching")

    def __init__(
        self, desk: Desk, watching: Watching, stream: LiveStream, event: StanzaReceived, origin: Origin
    ) -> None:
        self.desk = desk
        self.watching = watching
        self.stream = stream
        self.stanza = event.stanza
        self.sender = event.sender
        self.recipient = event.recipient
        self.origin = origin

    @property
    def asking(self) -> Pair:
        """The sender watches the recipient."""
        return Pair(self.sender.bare, self.recipient.bare)

    @property
    def telling(self) -> Pair:
        """The recipient watches the sender."""
        return Pair(self.recipient.bare, self.sender.bare)

    def reply(self, *stanzas: Element) -> None:
        """Answer on the way back."""
        for stanza in stanzas:
            self.stream.reply(self.recipient.domain, self.sender.domain, stanza)

    def present(self, to: Address) -> None:
        """Show once more what the watcher has been told; what is newer than that comes by `tell`, and takes
        back only what was told."""
        view = self.desk.hub.presence.view(self.asking)
        if view is None or view.grant is not Grant.GRANTED or view.told_document is None:
            return
        now, new_id = self.desk.context.clock(), self.watching.new_tell_id
        try:
            stanzas = shown(self.asking.presentity, jid.write(to), view.told_document, now, new_id)
            self.reply(*self.desk.faces.dress(stanzas, self.asking))
        except AddressError:
            self.desk.hub.count("ignored", self.desk.name, "presence XMPP cannot write")


def receive_presence(desk: Desk, watching: Watching, stream: LiveStream, event: StanzaReceived) -> bool:
    """Do what is to be done with it; True if it will be handled when it is on disk. Never raises."""
    stanza = event.stanza
    kind = stanza.attributes.get("type", "") or "available"
    origin = stream.origin(event.sender.domain, event.proof)
    if origin is None:
        desk.hub.count("ignored", desk.name, "presence of a former peer")
        return False
    if (
        not event.recipient.local
        and _speaks_for(desk, origin, event.sender.domain)
        and watching.roll.answered(event.recipient.domain, event.sender, kind)
    ):
        return False
    if not origin.peer.settings.presence or not event.sender.local or not event.recipient.local:
        answer, kind = answer_presence(stanza)
        desk.hub.count("answered" if answer is not None else "ignored", desk.name, f"presence {kind}"[:40])
        if answer is not None:
            stream.reply(event.recipient.domain, event.sender.domain, answer)
        return False
    if not _speaks_for(desk, origin, event.sender.domain):
        desk.hub.count("ignored", desk.name, "presence of another's user")
        return False
    act = _ACTS.get(kind)
    if act is None or is_of_a_room(stanza):
        desk.hub.count("ignored", desk.name, "presence of a room" if act is not None else "presence")
        return False
    scene = _Scene(desk, watching, stream, event, origin)
    try:
        act(scene)
    except (DeliveryError, AddressError) as error:
        reason = error.reason.value if isinstance(error, DeliveryError) else "address"
        desk.hub.count("ignored", desk.name, f"presence {kind}: {reason}"[:40])
    if kind not in _KEPT:
        return False
    ticket = stream.taken()
    pair = scene.asking if _KEPT[kind] == "asking" else scene.telling
    desk.hub.presence.when_kept(pair, lambda: stream.kept(ticket, event.number))
    return True


def _speaks_for(desk: Desk, origin: Origin, domain: str) -> bool:
    """A server where we are a component vouches for all who write through it, but not for others' users."""
    if domain == origin.domain and domain in origin.peer.domains:
        return True
    peer = desk.peer_for(domain)
    return peer is not None and peer.name == origin.peer.name


# -- from a watcher ------------------------------------------------------------------------------------


def _subscribe(scene: _Scene) -> None:
    presence, pair = scene.desk.hub.presence, scene.asking
    before = presence.view(pair)
    scene.desk.faces.met(scene.stanza, pair)
    try:
        presence.ask(pair, scene.origin, note=status_of(scene.stanza))
        presence.open(pair, scene.origin, None)
    except DeliveryError as error:
        if error.retry:  # the request stays, and the server repeats it by itself
            answer = error_reply(scene.stanza, error)
        else:
            answer = unsubscribed(
                pair.presentity,
                pair.watcher,
                scene.stanza.get("id") or scene.watching.new_tell_id(),
                error.text,
            )
        scene.desk.hub.count("answered", scene.desk.name, "presence subscribe")
        if answer is not None:
            scene.reply(answer)
        return
    if before is not None and before.grant is Grant.GRANTED and before.listening:
        scene.present(pair.watcher)


def _unsubscribe(scene: _Scene) -> None:
    presence, pair = scene.desk.hub.presence, scene.asking
    view = presence.view(pair)
    presence.give_back(pair, scene.origin)
    if view is None or view.grant is Grant.NONE:  # CHECKLIST PRS-54
        scene.reply(unsubscribed(pair.presentity, pair.watcher, scene.watching.new_tell_id()))


def _probe(scene: _Scene) -> None:
    presence, pair = scene.desk.hub.presence, scene.asking
    before = presence.view(pair)
    if presence.open(pair, scene.origin, None):
        if before is not None and before.listening:  # a session that begins is told by itself
            scene.present(scene.sender)
        return
    if before is not None and before.grant is Grant.REFUSED:
        # RFC 6121 section 4.3.2: there is no authorization.
        scene.reply(unsubscribed(pair.presentity, pair.watcher, scene.watching.new_tell_id(), before.text))
        return
    presence.fetch(pair, scene.origin)  # RFC 8048 section 7.1; the answer comes by `tell`


# -- from somebody who is watched ----------------------------------------------------------------------


def _subscribed(scene: _Scene) -> None:
    presence, pair = scene.desk.hub.presence, scene.telling
    presence.granted(pair, scene.origin)
    view = presence.view(pair)
    if view is not None and view.grant is Grant.GRANTED and view.listening and view.document is None:
        # QUIRK(ejabberd): what its user's other resources show may overtake the `subscribed`.
        scene.watching.look(view, asked=pair in scene.watching.early)
    scene.watching.early.discard(pair)


def _unsubscribed(scene: _Scene) -> None:
    pair = scene.telling
    scene.watching.drop(pair)
    text = status_of(scene.stanza) or f"{pair.presentity} does not want to be watched"
    scene.desk.hub.presence.refused(pair, scene.origin, Refused(Reason.DECLINED, text), for_good=True)


def _available(scene: _Scene) -> None:
    _said(scene, to_state(scene.stanza, scene.sender.instance))


def _unavailable(scene: _Scene) -> None:
    _said(scene, None)


def _said(scene: _Scene, state: State | None) -> None:
    pair, instance = scene.telling, scene.sender.instance
    if scene.watching.answered(pair, instance, state):
        return
    view = scene.desk.hub.presence.view(pair)
    if view is None or view.grant is not Grant.GRANTED:
        early = scene.watching.early
        if view is not None and view.grant is Grant.PENDING and len(early) < MAX_EARLY:
            early.add(pair)
        scene.desk.hub.count("ignored", scene.desk.name, "presence directed")
        return
    scene.watching.changed(view, instance, state)


def _error(scene: _Scene) -> None:
    """RFC 6121 sections 4.4, 4.5: no more is sent to somebody who is not there."""
    presence, error = scene.desk.hub.presence, from_error(scene.stanza)
    if scene.watching.has_told(scene.stanza.get("id")):
        if error.reason in _ABSENT:
            presence.close(scene.asking, scene.origin)
        return
    pair = scene.telling
    view = presence.view(pair)
    if view is None or view.grant not in (Grant.PENDING, Grant.GRANTED):
        scene.desk.hub.count("ignored", scene.desk.name, "presence error")
        return
    scene.watching.drop(pair)
    ends = _FOR_GOOD if view.grant is Grant.PENDING else _ABSENT
    text = error.text or f"{pair.presentity.domain} says: {error.detail.partition(' ')[0]}"
    said = type(error)(error.reason, text, detail=error.detail, redirect=error.redirect)
    presence.refused(pair, scene.origin, said, for_good=error.reason in ends)


_KEPT: Final = {
    "subscribe": "asking",
    "unsubscribe": "asking",
    "subscribed": "telling",
    "unsubscribed": "telling",
    "error": "telling",
}
"""What changes an authorization, and whose."""

_ACTS: Final[dict[str, Callable[[_Scene], None]]] = {
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "probe": _probe,
    "subscribed": _subscribed,
    "unsubscribed": _unsubscribed,
    "available": _available,
    "unavailable": _unavailable,
    "error": _error,
}
