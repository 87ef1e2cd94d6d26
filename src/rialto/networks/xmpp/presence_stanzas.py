"""Presence stanzas and the canonical `State`, both ways (RFC 6121 section 4.7, RFC 8048 section 6).

| State | stanza |
|---|---|
| `instance` | the resource of `from`; an empty one is the bare JID |
| `show` | `<show/>`; none for `available` |
| `notes` | `<status/>`, one for each language |
| `priority` | `<priority/>` |
| `idle_since` | XEP-0319 `<idle since=''/>` |
| `activities` | RPID `<activities/>` (RFC 4480 section 3.2), as it stands in PIDF |
| `capabilities` | XEP-0115 `<c/>`, where its hash is SHA-1 |

What is stale says so in every status, and with a time stamp (XEP-0203).
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Final

from rialto.model.address import Address
from rialto.model.errors import AddressError
from rialto.model.message import Text
from rialto.model.presence import Show, State
from rialto.networks.xmpp.wire import jid
from rialto.networks.xmpp.wire.element import XML_LANG, Element, legal
from rialto.networks.xmpp.wire.namespaces import CAPS, DELAY, IDLE, MUC, MUC_USER, RPID

MAX_STATUSES: Final = 16
MAX_STATUS_CHARACTERS: Final = 2000
MAX_ACTIVITIES: Final = 16
AGE_WORTH_TELLING_S: Final = 60.0
"""What was said longer ago gets a time stamp."""

_SHOWS: Final = {show.value: show for show in Show if show is not Show.AVAILABLE}
_LANGUAGE: Final = re.compile(r"[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8}){0,7}\Z")
_ACTIVITY: Final = re.compile(r"[a-z][a-z-]{0,39}\Z")
_PRIORITY: Final = re.compile(r"[+-]?[0-9]{1,3}\Z")
_SUBSTITUTE: Final = re.compile(r"~[0-9a-f]{32}\Z")
_ROOMS: Final = frozenset({f"{MUC}}}x", f"{MUC_USER}}}x"})


def to_state(stanza: Element, instance: str) -> State:
    """What an available presence says of one instance; what it says wrongly counts as not said."""
    language = stanza.attributes.get(XML_LANG, "")
    show, priority, idle, capabilities = Show.AVAILABLE, None, None, ""
    notes: dict[str, Text] = {}
    activities: tuple[str, ...] = ()
    for child in stanza.content:
        if type(child) is not Element:
            continue
        name = child.name
        if name == "status":
            spoken = child.attributes.get(XML_LANG, language)
            spoken = spoken if _LANGUAGE.match(spoken) else ""
            text = legal(child.text[:MAX_STATUS_CHARACTERS])
            # RFC 6121 section 4.7.2.2: one for each language.
            if text and spoken not in notes and len(notes) < MAX_STATUSES:
                notes[spoken] = Text(text, spoken)
        elif name == "show":
            show = _SHOWS.get(child.text, Show.AVAILABLE)
        elif name == "priority":
            priority = _priority(child.text)
        elif name == f"{IDLE}}}idle":
            idle = _moment(child.get("since"))
        elif name == f"{CAPS}}}c":
            if child.get("hash") == "sha-1" and child.get("node") and child.get("ver"):
                capabilities = f"{child.get('node')}#{child.get('ver')}"[:512]
        elif name == f"{RPID}}}activities":
            found = [one.local_name for one in child.elements if one.namespace == RPID]
            activities = tuple([one for one in found if _ACTIVITY.match(one)][:MAX_ACTIVITIES])
    return State(
        instance=instance,
        show=show,
        notes=tuple(notes.values()),
        priority=priority,
        idle_since=idle,
        activities=activities,
        capabilities=capabilities,
    )


def from_state(
    state: State,
    presentity: Address,
    recipient: str,
    *,
    stanza_id: str,
    as_of: float,
    stale: bool,
    now: float,
) -> Element:
    """The stanza that announces one instance. `as_of`: when its side last said so. Raises AddressError."""
    attributes = {"from": full_jid(presentity, state.instance), "to": recipient, "id": stanza_id}
    content: list[Element | str] = []
    if state.show is not Show.AVAILABLE:
        content.append(Element("show", {}, [state.show.value]))
    content += _statuses(state.notes, as_of_text(as_of, now) if stale else "")
    if state.priority is not None:
        content.append(Element("priority", {}, [str(max(-128, min(127, state.priority)))]))
    if state.idle_since is not None and (since := written(state.idle_since)):
        content.append(Element(f"{IDLE}}}idle", {"since": since}))
    activities = [one for one in state.activities if _ACTIVITY.match(one)][:MAX_ACTIVITIES]
    if activities:
        content.append(
            Element(f"{RPID}}}activities", {}, [Element(f"{RPID}}}{activity}") for activity in activities])
        )
    node, _, ver = state.capabilities.rpartition("#")
    if node and ver:
        content.append(Element(f"{CAPS}}}c", {"hash": "sha-1", "node": node, "ver": ver}))
    content += delay(presentity, as_of, now, always=stale)
    return Element("presence", attributes, content)


def full_jid(person: Address, instance: str) -> str:
    """The JID of one of a person's instances. Raises AddressError for a person XMPP cannot write.

    The same instance is always the same resource, and no two are one: what XMPP could not write, or would
    fold (RFC 7622 section 3.4), is replaced by a digest.
    """
    if not instance:
        return jid.write(person)
    if not _SUBSTITUTE.match(instance):
        try:
            text = jid.write(Address(person.local, person.domain, instance))
            if text.partition("/")[2] == instance == legal(instance):
                return text
        except AddressError:
            pass
    digest = hashlib.sha256(instance.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{jid.write(person)}/~{digest}"


def is_of_a_room(stanza: Element) -> bool:
    """Whether this presence is that of a chat room's (XEP-0045), and says nothing of a person."""
    return any(child.name in _ROOMS for child in stanza.elements)


def status_of(stanza: Element) -> str:
    """What was said with a request or an answer."""
    status = stanza.find("status")
    return legal(status.text[:MAX_STATUS_CHARACTERS]) if status is not None else ""


def as_of_text(as_of: float, now: float) -> str:
    """How old something is, for people: `as of 14:02 UTC`, with the day where that was not today's."""
    try:
        moment = datetime.fromtimestamp(as_of, UTC)
    except (ValueError, OverflowError, OSError):
        return "as of an unknown time"
    recent = 0 <= now - as_of < 43_200
    return f"as of {moment:%H:%M} UTC" if recent else f"as of {moment:%Y-%m-%d %H:%M} UTC"


def delay(presentity: Address, as_of: float, now: float, *, always: bool = False) -> list[Element | str]:
    """The time stamp of what was said some time ago (XEP-0203)."""
    if (always or now - as_of > AGE_WORTH_TELLING_S) and as_of > 0 and (stamp := written(as_of)):
        return [Element(f"{DELAY}}}delay", {"from": presentity.domain, "stamp": stamp})]
    return []


def written(at: float) -> str:
    """A time as XEP-0082 writes it; empty for one that has no such form."""
    try:
        moment = datetime.fromtimestamp(round(at, 3), UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z"


def _statuses(notes: tuple[Text, ...], age: str) -> list[Element | str]:
    if age:
        notes = tuple([Text(f"{note.text} ({age})", note.language) for note in notes]) or (Text(age),)
    said: dict[str, Element] = {}
    for note in notes[:MAX_STATUSES]:
        language = note.language if _LANGUAGE.match(note.language) else ""
        text = note.text[: MAX_STATUS_CHARACTERS + len(age) + 3]
        if text and language not in said:
            said[language] = Element("status", {XML_LANG: language} if language else {}, [text])
    return list(said.values())


def _priority(text: str) -> int | None:
    text = text.strip()
    if not _PRIORITY.match(text):
        return None
    number = int(text)
    return number if -128 <= number <= 127 else None


def _moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
