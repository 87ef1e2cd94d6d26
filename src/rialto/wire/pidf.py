"""Presence documents: PIDF (RFC 3863) with what people really put into it.

Beside PIDF itself: the person of the data model (RFC 4479) with activities and idleness (RFC 4480), the
`show` of XMPP inside a tuple's status (RFC 8048 section 6.2), the provisional status of RFC 3922, and what
the person is called (RFC 4482).

Writing is strict: declaration, order of children, one tuple at least, ids that are xs:ID. Reading is lenient:
ids and contacts that are missing, priorities out of range (ignored: section 4.1.5), either way of writing
activities; what is not known is passed over with all that is in it (section 4.2.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

from rialto.wire.xml import XML_LANG, Node, XmlError, escape, read_document

MEDIA_TYPE: Final = "application/pidf+xml"
PIDF: Final = "urn:ietf:params:xml:ns:pidf"
DATA_MODEL: Final = "urn:ietf:params:xml:ns:pidf:data-model"
RPID: Final = "urn:ietf:params:xml:ns:pidf:rpid"
CIPID: Final = "urn:ietf:params:xml:ns:pidf:cipid"
JABBER: Final = "jabber:client"
CPIM_IM: Final = "urn:ietf:params:xml:ns:pidf:im"

MAX_TUPLES: Final = 64
MAX_NOTES: Final = 16
MAX_NOTE_CHARACTERS: Final = 2_000
MAX_CARD_CHARACTERS: Final = 1_000
MAX_ACTIVITIES: Final = 16

DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
ALL_NAMES: Final = f' xmlns="{PIDF}" xmlns:dm="{DATA_MODEL}" xmlns:rpid="{RPID}" xmlns:c="{CIPID}"'

_ID_PREFIX: Final = "ID-"
_PLAIN: Final = re.compile(r"[A-Za-z0-9.\-]")
_ESCAPED: Final = re.compile(r"(?:[A-Za-z0-9.\-]|_[0-9a-f]{2})*")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")
_TOKEN: Final = re.compile(r"[a-z][a-z-]{0,40}")
_PRIORITY: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?|\.[0-9]{1,3}", re.ASCII)


class PidfError(ValueError):
    """A body that is no presence document."""


class Note(msgspec.Struct, frozen=True):
    """What somebody says, and in which language (empty: not said)."""

    text: str
    language: str = ""


class Tuple(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One instance. `basic` is True for open, False for closed, None where the document does not say.

    `show` is what `jabber:client` says, or the provisional status of RFC 3922. `priority` is that of the
    contact, in thousandths. Times are seconds since 1970.
    """

    id: str = ""
    basic: bool | None = None
    show: str = ""
    contact: str = ""
    priority: int | None = None
    notes: tuple[Note, ...] = ()
    activities: tuple[str, ...] = ()
    idle_since: float | None = None
    timestamp: float | None = None


class Person(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is true of the person and not of a device (RFC 4479 section 3.2)."""

    notes: tuple[Note, ...] = ()
    activities: tuple[str, ...] = ()
    idle_since: float | None = None
    timestamp: float | None = None


class Card(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a person is called and looks like (RFC 4482 section 3); as it was written, and from anybody."""

    display_name: str = ""
    homepage: str = ""
    icon: str = ""


class Presence(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A whole document; `entity` is the URI of the person."""

    entity: str
    tuples: tuple[Tuple, ...] = ()
    notes: tuple[Note, ...] = ()
    person: Person | None = None
    card: Card | None = None


# -- names ---------------------------------------------------------------------------------------------------


def tuple_id(instance: str) -> str:
    """The id of an instance: an xs:ID (RFC 8048 section 6.2 note 2), another for every other instance."""
    parts = (
        character
        if _PLAIN.match(character)
        else "".join(f"_{byte:02x}" for byte in character.encode("utf-8", "replace"))
        for character in instance
    )
    return _ID_PREFIX + "".join(parts)


def instance_of(identifier: str) -> str:
    """The instance that an id names: the inverse of `tuple_id`, and as good as any for what others write."""
    rest = identifier.removeprefix(_ID_PREFIX)
    if rest != identifier and _ESCAPED.fullmatch(rest) and "_" in rest:
        try:
            instance = re.sub(
                r"((?:_[0-9a-f]{2})+)", lambda found: bytes.fromhex(found[1].replace("_", "")).decode(), rest
            )
        except UnicodeDecodeError:
            return rest
        legible = not _CONTROL.search(instance) and tuple_id(instance) == identifier
        return instance if legible else rest
    return rest


# -- reading -------------------------------------------------------------------------------------------------


def parse(data: bytes, charset: str = "", language: str = "") -> Presence:
    """Read a document; `charset` and `language` are what Content-Type and Content-Language say.

    Raises PidfError.
    """
    try:
        root = read_document(data, charset)
    except XmlError as error:
        raise PidfError(str(error)) from None
    if root.name != f"{PIDF}}}presence":
        raise PidfError("no presence document")
    return from_tree(root, language)


def from_tree(root: Node, language: str = "") -> Presence:
    """The same for a document that has been read as XML, whatever its root is called. Raises PidfError."""
    language = _language(root, language if _LANGUAGE.fullmatch(language) else "")
    tuples = root.find_all(f"{PIDF}}}tuple")
    if len(tuples) > MAX_TUPLES:
        raise PidfError(f"more than {MAX_TUPLES} tuples")
    return Presence(
        entity=root.attributes.get("entity", "").strip(),
        tuples=tuple(_tuple(node, language) for node in tuples),
        notes=_notes(root, PIDF, language),
        person=_person(root, language),
        card=_card(root),
    )


def _card(root: Node) -> Card | None:
    """That of the person; of a device where there is none (section 3 allows either)."""
    nodes = [*root.find_all(f"{DATA_MODEL}}}person"), *root.find_all(f"{PIDF}}}tuple")]

    def said(name: str) -> str:
        found = [one for node in nodes for one in node.find_all(f"{CIPID}}}{name}") if one.text.strip()]
        found.sort(key=lambda one: XML_LANG in one.attributes)  # the one for everybody first
        return found[0].text.strip()[:MAX_CARD_CHARACTERS] if found else ""

    card = Card(display_name=said("display-name"), homepage=said("homepage"), icon=said("icon"))
    return card if card != Card() else None


def _tuple(node: Node, language: str) -> Tuple:
    language = _language(node, language)
    status = node.find(f"{PIDF}}}status")
    contact = node.find(f"{PIDF}}}contact")
    inside = [node] if status is None else [node, status]
    basic = None if status is None else status.find(f"{PIDF}}}basic")
    stamp = node.find(f"{PIDF}}}timestamp")
    return Tuple(
        id=node.attributes.get("id", "").strip(),
        basic={"open": True, "closed": False}.get(basic.text.strip().lower()) if basic is not None else None,
        show=_show(inside),
        contact="" if contact is None else contact.text.strip(),
        priority=None if contact is None else _priority(contact.attributes.get("priority", "")),
        notes=_notes(node, PIDF, language),
        activities=_activities(inside),
        idle_since=_idle(inside),
        timestamp=None if stamp is None else read_time(stamp.text),
    )


def _person(root: Node, language: str) -> Person | None:
    """All persons as one: RFC 4479 knows one, of whom several may report."""
    found = root.find_all(f"{DATA_MODEL}}}person")
    if not found:
        return None
    notes = tuple(note for node in found for note in _notes(node, DATA_MODEL, _language(node, language)))
    stamps = [read_time(stamp.text) for node in found for stamp in node.find_all(f"{DATA_MODEL}}}timestamp")]
    return Person(
        notes=notes[:MAX_NOTES],
        activities=_activities(found),
        idle_since=_idle(found),
        timestamp=max((at for at in stamps if at is not None), default=None),
    )


def _show(nodes: list[Node]) -> str:
    for node in nodes:
        for name in (f"{JABBER}}}show", f"{CPIM_IM}}}im"):
            found = node.find(name)
            if found is not None and found.text.strip():
                return found.text.strip().lower()
    return ""


def _activities(nodes: list[Node]) -> tuple[str, ...]:
    """RFC 4480 section 3.2; without `unknown` and what is in nobody's list."""
    names: dict[str, None] = {}
    for node in nodes:
        for activities in node.find_all(f"{RPID}}}activities"):
            for activity in activities.children:
                namespace, _, name = activity.name.rpartition("}")
                if namespace == RPID and _TOKEN.fullmatch(name) and name not in ("note", "other", "unknown"):
                    names[name] = None
    return tuple(names)[:MAX_ACTIVITIES]


def _idle(nodes: list[Node]) -> float | None:
    """RFC 4480 section 3.14."""
    for node in nodes:
        found = node.find(f"{RPID}}}user-input")
        if found is not None and found.text.strip() == "idle":
            return read_time(found.attributes.get("last-input", ""))
    return None


def _notes(node: Node, namespace: str, language: str) -> tuple[Note, ...]:
    """One for each language (RFC 6121 section 4.7.2.2 can say no more)."""
    notes: dict[str, Note] = {}
    for found in node.find_all(f"{namespace}}}note"):
        text = found.text.strip()[:MAX_NOTE_CHARACTERS]
        spoken = _language(found, language)
        if text and spoken not in notes and len(notes) < MAX_NOTES:
            notes[spoken] = Note(text, spoken)
    return tuple(notes.values())


def _language(node: Node, inherited: str) -> str:
    own = node.attributes.get(XML_LANG)
    if own is None:
        return inherited
    return own if _LANGUAGE.fullmatch(own) else ""


def _priority(text: str) -> int | None:
    text = text.strip()
    if not _PRIORITY.fullmatch(text):
        return None
    whole, _, part = text.partition(".")
    return int(whole or "0") * 1000 + int(part.ljust(3, "0"))


def read_time(text: str) -> float | None:
    """RFC 3339; None for anything else."""
    try:
        moment = datetime.fromisoformat(text.strip().upper())
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


# -- writing -------------------------------------------------------------------------------------------------


def write(presence: Presence) -> bytes:
    """A document, as RFC 3863 section 4 wants it. Raises ValueError for one without tuples."""
    if not presence.tuples:
        raise ValueError("a document needs a tuple")  # RFC 3922 section 6.3.2
    person = presence.person
    rich = person is not None or any(t.activities or t.idle_since is not None for t in presence.tuples)
    names = f' xmlns:dm="{DATA_MODEL}" xmlns:rpid="{RPID}"' if rich else ""
    if presence.card is not None:
        names = (names or f' xmlns:dm="{DATA_MODEL}"') + f' xmlns:c="{CIPID}"'
    head = f'<presence xmlns="{PIDF}"{names} entity="{escape(presence.entity)}">'
    return f"{DECLARATION}{head}{inside(presence)}</presence>".encode()


def inside(presence: Presence) -> str:
    """What is inside the root; the prefixes are those of `ALL_NAMES`."""
    parts = [write_tuple(one, number) for number, one in enumerate(presence.tuples)]
    parts += _write_notes(presence.notes, "note")
    return "".join(parts) + write_person(presence)


def write_person(presence: Presence) -> str:
    """The person with its card; nothing where there is neither."""
    person, card = presence.person, presence.card
    if person is None and card is None:
        return ""
    parts = ['<dm:person id="person">', *_write_card(card)]
    if person is not None:
        parts += _write_rich(person.activities, person.idle_since)
        parts += _write_notes(person.notes, "dm:note")
        if person.timestamp is not None:
            parts.append(f"<dm:timestamp>{write_time(person.timestamp)}</dm:timestamp>")
    parts.append("</dm:person>")
    return "".join(parts)


def write_tuple(one: Tuple, number: int = 0) -> str:
    """One tuple; `number` makes an id where it has none."""
    parts = [f'<tuple id="{escape(one.id or f"{_ID_PREFIX}{number}")}"><status>']
    if one.basic is not None:
        parts.append(f"<basic>{'open' if one.basic else 'closed'}</basic>")
    if one.show:
        parts.append(f'<show xmlns="{JABBER}">{escape(one.show)}</show>')
    parts.append("</status>")
    parts += _write_rich(one.activities, one.idle_since)
    if one.contact:
        priority = "" if one.priority is None else f' priority="{_decimal(one.priority)}"'
        parts.append(f"<contact{priority}>{escape(one.contact)}</contact>")
    parts += _write_notes(one.notes, "note")
    if one.timestamp is not None:
        parts.append(f"<timestamp>{write_time(one.timestamp)}</timestamp>")
    parts.append("</tuple>")
    return "".join(parts)


def _write_card(card: Card | None) -> list[str]:
    if card is None:
        return []
    fields = (("display-name", card.display_name), ("homepage", card.homepage), ("icon", card.icon))
    return [f"<c:{name}>{escape(text)}</c:{name}>" for name, text in fields if text]


def _write_rich(activities: Iterable[str], idle_since: float | None) -> list[str]:
    inside = "".join(f"<rpid:{name}/>" for name in activities if _TOKEN.fullmatch(name))
    parts = [f"<rpid:activities>{inside}</rpid:activities>"] if inside else []
    if idle_since is not None:
        parts.append(f'<rpid:user-input last-input="{write_time(idle_since)}">idle</rpid:user-input>')
    return parts


def _write_notes(notes: Iterable[Note], name: str) -> list[str]:
    return [
        f'<{name} xml:lang="{escape(note.language)}">{escape(note.text)}</{name}>'
        if note.language
        else f"<{name}>{escape(note.text)}</{name}>"
        for note in notes
    ]


def _decimal(thousandths: int) -> str:
    """Section 4.1.5: at most three decimals."""
    whole, part = divmod(max(0, min(1000, thousandths)), 1000)
    return f"{whole}.{part:03d}".rstrip("0").rstrip(".")


def write_time(seconds: float) -> str:
    """RFC 3339 in UTC, with a capital T and Z (section 4.1.7); thousandths where there are any."""
    moment = datetime.fromtimestamp(min(max(seconds, 0.0), 253_402_300_799.0), UTC)
    exact = moment.microsecond >= 1000
    return moment.isoformat(timespec="milliseconds" if exact else "seconds").replace("+00:00", "Z")
