"""Partial presence documents (RFC 5262): whole ones with a version, and changes to them.

A reader keeps the last document as XML, because changes may be about parts of it that nobody here
understands. A writer compares what it sent last with what it would send now, tuple by tuple; where that is no
shorter, or the order of tuples would be lost, the whole document goes.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from rialto.wire.pidf import (
    ALL_NAMES,
    DECLARATION,
    MAX_TUPLES,
    PIDF,
    PidfError,
    Presence,
    from_tree,
    inside,
    write_person,
    write_tuple,
)
from rialto.wire.xml import Node, Scope, XmlError, escape, read_document
from rialto.wire.xmlpatch import apply, changes_of

MEDIA_TYPE: Final = "application/pidf-diff+xml"
PIDF_DIFF: Final = "urn:ietf:params:xml:ns:pidf-diff"

_FULL: Final = f"{PIDF_DIFF}}}pidf-full"
_ROOT: Final = f"{PIDF}}}presence"
_NAMES: Final = f'{ALL_NAMES} xmlns:p="{PIDF_DIFF}"'


class OutOfStep(ValueError):
    """A document that does not follow the one before: the whole is to be asked for (RFC 5263 section 4.5)."""


class Reader:
    """What a watcher has read so far, in one subscription."""

    __slots__ = ("_root", "_version")

    def __init__(self) -> None:
        self._root: Node | None = None
        self._version = -1

    def read(self, data: bytes, charset: str = "", language: str = "") -> Presence | None:
        """The whole document after this one; None for one that is old. Raises PidfError, OutOfStep."""
        scopes: dict[Node, Scope] = {}
        try:
            root = read_document(data, charset, scopes=scopes)
        except XmlError as error:
            raise PidfError(str(error)) from None
        version = root.attributes.get("version", "").strip()
        if not (version.isascii() and version.isdigit() and len(version) <= 10):
            raise PidfError("no version")
        number = int(version)
        if number <= self._version:
            return None  # RFC 5263 section 4.5
        if root.name == _FULL:
            root.name = _ROOT
        elif root.name != f"{PIDF_DIFF}}}pidf-diff":
            raise PidfError("no partial presence document")
        elif self._root is None or number != self._version + 1:
            self._root = None
            raise OutOfStep("a change to a document that is not here")
        else:
            try:
                root = apply(self._root, changes_of(root, scopes, PIDF_DIFF), also=_FULL)
            except XmlError as error:
                self._root = None
                raise OutOfStep(str(error)) from None
            if root.name != _ROOT:
                self._root = None
                raise OutOfStep("another kind of document")
        presence = from_tree(root, language)
        self._root, self._version = root, number
        return presence

    def forget(self) -> None:
        """Another kind of document has come: only the version goes on (RFC 5263 section 4.5)."""
        self._root = None


class Writer:
    """What a watcher has been sent, in one subscription; `version` is that of the last document."""

    __slots__ = ("_last", "version")

    def __init__(self, version: int = 0) -> None:
        self.version = version
        self._last: Presence | None = None

    def lost(self) -> None:
        """What was sent last may not have arrived: the next one is whole."""
        self._last = None

    def write(self, presence: Presence) -> bytes:
        """The next document. Raises ValueError for one without tuples."""
        if not presence.tuples:
            raise ValueError("a document needs a tuple")  # RFC 3922 section 6.3.2
        self.version += 1
        changes = None if self._last is None else _changes(self._last, presence)
        whole = inside(presence)
        kind, content = (
            ("full", whole) if changes is None or len(changes) >= len(whole) else ("diff", changes)
        )
        self._last = presence
        head = f'<p:pidf-{kind}{_NAMES} entity="{escape(presence.entity)}" version="{self.version}">'
        return f"{DECLARATION}{head}{content}</p:pidf-{kind}>".encode()


def _changes(old: Presence, new: Presence) -> str | None:
    """From one to the other; None where that cannot be said in changes of tuples and the person."""
    if (old.entity, old.notes) != (new.entity, new.notes) or len(new.tuples) > MAX_TUPLES:
        return None
    person, was = write_person(_timeless(new)), write_person(_timeless(old))
    before = {one.id: one for one in old.tuples}
    after = {one.id: one for one in new.tuples}
    if not (all(before) and all(after)) or len(before) != len(old.tuples) or len(after) != len(new.tuples):
        return None
    if [id_ for id_ in before if id_ in after] != [id_ for id_ in after if id_ in before]:
        return None  # the order says which one is the most available
    parts = [f'<p:remove sel="{_selector(id_)}"/>' for id_ in before if id_ not in after]
    place = 'sel="*" pos="prepend"'
    for id_, one in after.items():
        known = before.get(id_)
        if known is None:
            parts.append(f"<p:add {place}>{write_tuple(one)}</p:add>")
        elif replace(known, timestamp=None) != replace(one, timestamp=None):
            parts.append(f'<p:replace sel="{_selector(id_)}">{write_tuple(one)}</p:replace>')
        place = f'sel="{_selector(id_)}" pos="after"'
    if person != was:
        parts.append(_person_change(write_person(new), was))
    return "".join(parts)


def _person_change(person: str, was: str) -> str:
    place = "sel=\"*/dm:person[@id='person']\""
    if not person:
        return f"<p:remove {place}/>"
    if not was:
        return f'<p:add sel="*">{person}</p:add>'
    return f"<p:replace {place}>{person}</p:replace>"


def _selector(identifier: str) -> str:
    return f"*/tuple[@id='{escape(identifier)}']"


def _timeless(presence: Presence) -> Presence:
    """When it was said is no news."""
    if presence.person is None:
        return presence
    return replace(presence, person=replace(presence.person, timestamp=None))
