"""Documents of ours and presence documents of SIP (RFC 8048 tables 1 and 2, RFC 4480).

    show         `jabber:client` inside <status> (table 1 note 7), and an RPID activity of the person for
                 those who have never heard of it
    instance     the tuple's id
    priority     of the contact: 0 to 127 is 0 to 1 in thousandths, negative is not written (note 6)
    stale        a note "as of 14:02 UTC" in front, and timestamps that say the same

A document that came from here and goes back is the same document; tables before branches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from rialto.model.address import Address
from rialto.model.errors import AddressError
from rialto.model.message import Text
from rialto.model.presence import Document, Show, State
from rialto.networks.sip.addresses import address_of, uri_of
from rialto.networks.sip.wire import parse_uri
from rialto.wire.pidf import Note, Person, Presence, Tuple, instance_of, tuple_id

SHOW_OF: dict[str, Show] = {
    "away": Show.AWAY,
    "appointment": Show.AWAY,
    "breakfast": Show.AWAY,
    "dinner": Show.AWAY,
    "holiday": Show.XA,
    "in-transit": Show.AWAY,
    "lunch": Show.AWAY,
    "meal": Show.AWAY,
    "permanent-absence": Show.XA,
    "sleeping": Show.XA,
    "steering": Show.AWAY,
    "travel": Show.AWAY,
    "vacation": Show.XA,
    "worship": Show.AWAY,
    "busy": Show.DND,
    "meeting": Show.DND,
    "on-the-phone": Show.DND,
    "performance": Show.DND,
    "presentation": Show.DND,
}
"""What an activity (RFC 4480 section 3.2) says of somebody who says nothing else."""

ACTIVITY_OF: dict[Show, str] = {Show.AWAY: "away", Show.XA: "away", Show.DND: "busy"}
"""What is written for those who only know activities; read back it tells no more than the show does."""

_SHOWS: dict[str, Show] = {
    "chat": Show.CHAT,
    "away": Show.AWAY,
    "xa": Show.XA,
    "dnd": Show.DND,
    "busy": Show.DND,  # RFC 3922 section 5.2.10
}

_WILLING = [Show.CHAT, Show.AVAILABLE, Show.AWAY, Show.XA, Show.DND]
_MAX_INSTANCE = 255


def to_pidf(
    document: Document, presentity: Address, *, gone: Iterable[str] = (), spelling: str = ""
) -> Presence:
    """Write a document; `gone` are instances that were shown and are offline now.

    The most available comes first: many telephones look at the first tuple and no further.
    """
    entity = str(uri_of(presentity.bare, spelling, scheme="pres"))
    contact = str(uri_of(presentity.bare, spelling))
    # RFC 3863 section 4.1.7: another document must not have the same timestamp.
    stamp = document.as_of + 0.001 if document.stale else document.as_of
    states = sorted(document.states, key=rank)
    alone = len(states) == 1
    tuples = [_tuple(state, contact, stamp, document, alone=alone) for state in states]
    online = {state.instance for state in states}
    closed = [instance for instance in gone if instance not in online]
    if not tuples and not closed:
        closed = [""]  # RFC 3922 section 6.3.2: there is always one
    note = (_as_of(document),) if document.stale and not states else ()
    tuples += [
        Tuple(id=tuple_id(instance), basic=False, contact=contact, notes=note, timestamp=stamp or None)
        for instance in closed
    ]
    return Presence(entity=entity, tuples=tuple(tuples), person=_person(states, stamp))


def from_pidf(presence: Presence, presentity: Address, now: float) -> Document:
    """Read a document; sorted by instance, because the order of tuples tells nothing."""
    online = [one for one in presence.tuples if _is_open(one)]
    alone = len(online) == 1
    states: dict[str, State] = {}
    for number, one in enumerate(online):
        instance = instance_of(one.id)[:_MAX_INSTANCE]
        if not one.id and not alone:
            instance = str(number + 1)  # QUIRK(Kamailio xmpp): tuples without the id that they must have
        while instance in states:
            instance += "'"  # `ID-a` and `a` are two
        states[instance] = _state(one, instance, presence, presentity, alone=alone)
    return Document(tuple(sorted(states.values(), key=lambda state: state.instance)), as_of=now)


def fraction(priority: int | None) -> int | None:
    """An XMPP priority in thousandths; None for one that has no place there (table 1 note 6)."""
    return None if priority is None or priority < 0 else min(priority, 127) * 1000 // 127


def whole(thousandths: int | None) -> int | None:
    """The inverse of `fraction`."""
    return None if thousandths is None else -(-thousandths * 127 // 1000)


# -- out -----------------------------------------------------------------------------------------------------


def _tuple(state: State, contact: str, stamp: float, document: Document, *, alone: bool) -> Tuple:
    notes = tuple(Note(text.text, text.language) for text in state.notes)
    if document.stale:
        notes = (_stale_note(document, notes), *notes[1:])
    return Tuple(
        id=tuple_id(state.instance),
        basic=True,
        show="" if state.show is Show.AVAILABLE else state.show.value,
        contact=state.contact or contact,
        priority=fraction(state.priority),
        notes=notes,
        activities=() if alone else state.activities,
        idle_since=state.idle_since,
        timestamp=stamp or None,
    )


def _person(states: Sequence[State], stamp: float) -> Person | None:
    """Of the most available instance; all that it does where it is the only one."""
    if not states:
        return None
    best = states[0]
    told = (ACTIVITY_OF[best.show],) if best.show in ACTIVITY_OF else ()
    activities = (*told, *best.activities) if len(states) == 1 else told
    if not activities:
        return None
    return Person(activities=tuple(dict.fromkeys(activities)), timestamp=stamp or None)


def rank(state: State) -> tuple[int, int]:
    """By which the most available instance is the least."""
    return _WILLING.index(state.show), -(state.priority or 0)


def _as_of(document: Document) -> Note:
    return Note(f"as of {datetime.fromtimestamp(document.as_of, UTC):%H:%M} UTC", "en")


def _stale_note(document: Document, notes: tuple[Note, ...]) -> Note:
    """With its age in front of what the person said last."""
    as_of = _as_of(document)
    if not notes or not notes[0].text:
        return as_of
    return replace(notes[0], text=f"({as_of.text}) {notes[0].text}")


# -- in ------------------------------------------------------------------------------------------------------


def _is_open(one: Tuple) -> bool:
    """RFC 3863 section 4.1.4: `basic` may be left out; then only one who says more than that is there."""
    if one.basic is None:
        return bool(one.show or one.activities)
    return one.basic


def _state(one: Tuple, instance: str, presence: Presence, presentity: Address, *, alone: bool) -> State:
    person = presence.person
    activities = one.activities
    if person is not None and (alone or not (one.show or activities)):
        activities = (*activities, *(name for name in person.activities if name not in activities))
    show = _SHOWS.get(one.show)
    if show is None:
        show = max(
            (SHOW_OF[name] for name in activities if name in SHOW_OF),
            key=_WILLING.index,
            default=Show.AVAILABLE,
        )
    notes = one.notes or (person.notes if person is not None else ()) or presence.notes  # PRS-128
    idle_since = one.idle_since
    if idle_since is None and alone and person is not None:
        idle_since = person.idle_since
    return State(
        instance=instance,
        show=show,
        notes=tuple(Text(note.text, note.language) for note in notes),
        priority=whole(one.priority),
        idle_since=idle_since,
        activities=tuple(name for name in activities if name != ACTIVITY_OF.get(show)),
        contact="" if _is_own(one.contact, presentity) else one.contact[:1024],
    )


def _is_own(contact: str, presentity: Address) -> bool:
    """Whether a contact says nothing that the address does not."""
    if not contact:
        return True
    try:
        return address_of(parse_uri(contact)).bare == presentity.bare
    except AddressError:
        return True  # nobody could use it
