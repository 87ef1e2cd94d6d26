"""What becomes of a stanza that has come in: a message for the hub, an answer, or nothing.

| stanza | becomes |
|---|---|
| message with words | a `Message` for the hub; a refusal goes back as its error |
| message of type `error` | the return of one of ours (`hub.returned`) |
| message without words | a typing notice or a receipt (`rialto.networks.xmpp.asides`), or nothing |
| iq `get`, `set` | an answer (`rialto.networks.xmpp.answers`) |
| iq `result`, `error` | proof that our ping was read (`rialto.networks.xmpp.channel`), or nothing |
| presence | see `rialto.networks.xmpp.presence_incoming` |

A stanza that leaves something to be kept counts as handled (XEP-0198 section 4), and a ping behind it is
answered, when that is on disk.
"""

from __future__ import annotations

from typing import Final

from rialto.core.network import Outcome
from rialto.model.address import Address
from rialto.model.errors import DeliveryError, Refused
from rialto.model.presence import Pair
from rialto.networks.xmpp.answers import Self, answer_iq
from rialto.networks.xmpp.asides import hear
from rialto.networks.xmpp.conditions import from_error
from rialto.networks.xmpp.live import Desk, LiveStream
from rialto.networks.xmpp.presence import Watching
from rialto.networks.xmpp.presence_incoming import receive_presence
from rialto.networks.xmpp.presence_stanzas import full_jid
from rialto.networks.xmpp.translate import error_reply, to_model
from rialto.networks.xmpp.wire import jid
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.events import StanzaReceived

_MARKED: Final = frozenset({"both", "styling"})
"""Where marks in the text are its form (`formatting` of a peer)."""


class Accepted:
    """A message that was handed to the hub: its stream hears when it is on disk.

    Nobody waits for the far side's answer: XMPP tells of a failure whenever it happens, and the hub's report
    survives a restart.
    """

    __slots__ = ("_event", "_stream", "_ticket")

    waiting = False

    def __init__(self, stream: LiveStream, event: StanzaReceived, ticket: int) -> None:
        self._stream = stream
        self._event = event
        self._ticket = ticket

    def stored(self) -> None:
        """See `Inbound`."""
        self._stream.kept(self._ticket, self._event.number)

    def refused(self, error: DeliveryError) -> None:
        """See `Inbound`."""
        _answer(self._stream, self._event, error_reply(self._event.stanza, error))
        self._stream.kept(self._ticket, self._event.number)

    def settled(self, outcome: Outcome, error: DeliveryError | None) -> bool:
        """See `Inbound`."""
        return False


def receive(desk: Desk, about: Self, watching: Watching, stream: LiveStream, event: StanzaReceived) -> None:
    """Do what is to be done with a stanza."""
    stanza = event.stanza
    if stanza.name == "message":
        if stanza.attributes.get("type") == "error":
            _returned(desk, stream, event)
        elif _message(desk, stream, event):
            return
    elif stanza.name == "iq":
        _iq(desk, about, watching, stream, event)
    elif receive_presence(desk, watching, stream, event):
        return
    stream.handled(event.number)


def _message(desk: Desk, stream: LiveStream, event: StanzaReceived) -> bool:
    """Hand a message to the hub; True if it will be handled when it is on disk."""
    hub = desk.hub
    stanza = event.stanza
    aside: list[Element] = []
    try:
        person = _person(desk, event)
        origin = stream.origin(event.sender.domain, event.proof)
        if origin is None:
            hub.count("ignored", desk.name, "message of a former peer")
            return False
        message = to_model(
            stanza,
            event.sender,
            person,
            new_id=hub.new_id(),
            received_at=desk.context.clock(),
            styling=origin.peer.settings.formatting in _MARKED,
            aside=aside,
        )
        if message is None:
            if aside:
                return hear(desk, stream, event, origin, person, aside, alone=True)
            hub.count("ignored", desk.name, "message without text")
            return False
        ticket = stream.taken()
        try:
            hub.accept(message, origin, Accepted(stream, event, ticket))
        except DeliveryError:
            stream.kept(ticket, 0)
            raise
    except DeliveryError as error:
        _answer(stream, event, error_reply(stanza, error))
        return False
    company = desk.company
    if message.chat_states or company:
        company.heard(event.sender, person, takes_part=message.chat_states)
    if aside:
        hear(desk, stream, event, origin, person, aside, alone=False)
    return True


def _person(desk: Desk, event: StanzaReceived) -> Address:
    """Who the message is for: the person alone, where the resource is known from presence only.

    Clients write to the resource that they see online. Of another network that is a name in a document, a
    PIDF tuple's `id` say, at which nobody can be reached (RFC 7247 section 6.5 makes a `gr` of it).
    """
    recipient = event.recipient
    if not recipient.instance:
        return recipient
    view = desk.hub.presence.view(Pair(event.sender.bare, recipient.bare))
    if view is None or view.told_document is None or view.presentity_peer.network == desk.name:
        return recipient
    to = jid.write(recipient)
    announced = any(
        full_jid(view.pair.presentity, state.instance) == to for state in view.told_document.states
    )
    return recipient.bare if announced else recipient


def _returned(desk: Desk, stream: LiveStream, event: StanzaReceived) -> None:
    message_id = event.stanza.attributes.get("id", "")
    origin = stream.origin(event.sender.domain, event.proof)
    desk.company.left(event.sender, event.recipient)  # typing notices cannot reach that device either
    if not message_id or origin is None:
        desk.hub.count("ignored", desk.name, "error")
        return
    error = from_error(event.stanza)
    desk.forget(event.recipient.domain, event.sender.domain, message_id)
    if not error.text:
        error = Refused(error.reason, _words(error), detail=error.detail, redirect=error.redirect)
    desk.hub.returned(message_id, error, origin)


def _words(error: DeliveryError) -> str:
    return f"the recipient's server says: {error.detail.partition(' ')[0]}"


def _iq(desk: Desk, about: Self, watching: Watching, stream: LiveStream, event: StanzaReceived) -> None:
    stanza = event.stanza
    kind = stanza.attributes.get("type")
    if kind in {"result", "error"}:
        iq_id = stanza.attributes.get("id", "")
        ours = desk.pings.answered(iq_id, event.sender.domain)
        ours = ours or desk.faces.answered(event)
        if not ours and not watching.pong(iq_id, event.recipient.domain, event.sender.domain):
            desk.hub.count("ignored", desk.name, "iq")
        return
    answer, what = desk.faces.answer(event) or answer_iq(stanza, event.recipient, about)
    if answer is not None:
        desk.hub.count("answered", desk.name, what)
        stream.when_kept(lambda: _answer(stream, event, answer))


def _answer(stream: LiveStream, event: StanzaReceived, answer: Element | None) -> None:
    if answer is not None:
        stream.reply(event.recipient.domain, event.sender.domain, answer)
