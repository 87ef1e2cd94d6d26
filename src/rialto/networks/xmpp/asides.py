"""What becomes of typing notices, receipts and read marks that have come in.

None of them is ever answered, not even with an error: nobody reads it, and two programs could go on for ever.
A receipt counts as handled when it is on disk; a typing notice is worth something now or never.
"""

from __future__ import annotations

from rialto.core.network import Origin, Outcome
from rialto.model.address import Address
from rialto.model.errors import DeliveryError
from rialto.model.message import ChatState
from rialto.networks.xmpp.conversation import CONFIRMATIONS, read_confirmation, read_state
from rialto.networks.xmpp.live import Desk, LiveStream
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.events import StanzaReceived


class Noted:
    """Receipts of one stanza that were handed to the hub: their stream hears when all are on disk."""

    __slots__ = ("_left", "_number", "_stream", "_ticket")

    waiting = False

    def __init__(self, stream: LiveStream, number: int, count: int) -> None:
        self._stream = stream
        self._number = number
        self._left = count
        self._ticket = stream.taken()

    def stored(self) -> None:
        """See `Inbound`."""
        self._left -= 1
        if self._left == 0:
            self._stream.kept(self._ticket, self._number)

    def refused(self, error: DeliveryError) -> None:
        """See `Inbound`."""
        self.stored()

    def settled(self, outcome: Outcome, error: DeliveryError | None) -> bool:
        """See `Inbound`."""
        return True  # nobody is to hear of it


def hear(
    desk: Desk,
    stream: LiveStream,
    event: StanzaReceived,
    origin: Origin,
    person: Address,
    elements: list[Element],
    *,
    alone: bool,
) -> bool:
    """Hand on what was said to `person`; True if the stanza will be handled when that is on disk.

    `alone` is False for what stood beside words, which are the hub's already.
    """
    hub, stanza = desk.hub, event.stanza
    if not person.local or not event.sender.local:
        hub.count("ignored", desk.name, "notice of or for a domain")
        return False
    now = desk.context.clock()
    confirmed = []
    for element in elements:
        if element.name not in CONFIRMATIONS:
            if origin.peer.settings.composing:
                composing = read_state(element, stanza, event.sender, person)
                if composing.state is ChatState.GONE:
                    desk.company.left(event.sender, person)
                else:
                    desk.company.heard(event.sender, person, takes_part=True)
                hub.compose(composing, origin)
        elif (one := read_confirmation(element, stanza, now)) is not None and one not in confirmed:
            confirmed.append(one)
    if not confirmed:
        return False
    inbound = Noted(stream, event.number if alone else 0, len(confirmed))
    for one in confirmed:
        try:
            hub.receipt(
                origin,
                sender=event.sender,
                recipient=person,
                about=one.about,
                disposition=one.disposition,
                at=one.at,
                inbound=inbound,
            )
        except DeliveryError:
            inbound.stored()
    return True
