"""What the far side has no other way to hear, said in words; and what cannot even be said so.

Pure functions of the message and the declared features, called by `adapt`. The words are the gateway's, so
they are few, they stand apart from the writer's own, and nothing of the writer's own is lost for them.
"""

from __future__ import annotations

from msgspec.structs import replace

from rialto.core.network import Features
from rialto.model import richtext
from rialto.model.errors import Reason, Refused
from rialto.model.message import File, Message, Relation, RelationKind

QUOTE_CHARACTERS = 300
QUOTE_LINES = 6
EXCERPT_CHARACTERS = 60

SCHEMES = {"omemo": "OMEMO", "openpgp": "OpenPGP", "smime": "S/MIME", "mls": "MLS", "otr": "OTR"}
"""What people call the ways in which a message may be sealed."""

_SAID = {
    RelationKind.REPLACE: "correction said in words",
    RelationKind.RETRACT: "retraction said in words",
    RelationKind.REACT: "reaction said in words",
    RelationKind.REPLY: "reply said as a quotation",
}
_LOST = {
    RelationKind.REPLACE: "sent as a new message, not as a correction",
    RelationKind.REPLY: "not marked as a reply",
}
_REFUSED = {
    RelationKind.RETRACT: "that a message is taken back cannot be said to {}",
    RelationKind.REACT: "reactions cannot be said to {}",
}


def plainer(message: Message, features: Features, lost: list[str]) -> Message:
    """The message as the far side can take it; what it lost is added to `lost`. Raises Refused."""
    if message.sealed:
        message = _sealed(message, features)
    if message.rich and not features.rich:
        message = replace(message, rich="")
        lost.append("form left out")
    relation = message.relation
    if relation is not None and (relation.kind not in features.relations or not relation.about):
        message = in_words(message, relation, features, lost)
    if message.files and not features.files:
        message = _linked(message, lost)
    if message.wants:
        kept = tuple([one for one in message.wants if one in features.receipts])
        if len(kept) < len(message.wants):
            gone = ", ".join(one for one in message.wants if one not in kept)
            message = replace(message, wants=kept)
            lost.append(f"receipts not asked for: {gone}")
    return message


def _sealed(message: Message, features: Features) -> Message:
    kept = tuple([one for one in message.sealed if one.scheme in features.sealed])
    if kept:
        return message if len(kept) == len(message.sealed) else replace(message, sealed=kept)
    names = " and ".join(dict.fromkeys(SCHEMES.get(one.scheme, one.scheme) for one in message.sealed))
    raise Refused(
        Reason.NOT_ACCEPTABLE,
        f"your message is encrypted with {names}, which {message.recipient.bare} cannot read on the other"
        " network; switch encryption off for this contact and send it again",
    )


def in_words(message: Message, relation: Relation, features: Features, lost: list[str]) -> Message:
    """The relation as words in the text, if the far side wants to hear it so. Raises Refused."""
    kind = relation.kind
    message = replace(message, relation=None)
    if kind not in features.in_words:
        if kind in _REFUSED:
            raise Refused(Reason.NOT_SUPPORTED, _REFUSED[kind].format(message.recipient.bare))
        lost.append(_LOST[kind])
        return message
    if kind is RelationKind.REPLY:
        if not relation.quote:
            lost.append(_LOST[kind])
            return message
        lost.append(_SAID[kind])
        return _framed(message, before=quotation(relation.quote))
    lost.append(_SAID[kind])
    if kind is RelationKind.REPLACE:
        return replace(
            message,
            text=f"Corrected: {message.text}",
            rich=richtext.framed(message.rich, before="Corrected:"),
        )
    words = _reaction(relation) if kind is RelationKind.REACT else _retraction(relation)
    return replace(message, text=words, rich="")


def quotation(quote: str) -> str:
    """The first lines of a text, quoted as in mail and in XEP-0393."""
    words = quote.strip()
    shown = words[:QUOTE_CHARACTERS].rstrip()
    lines = shown.splitlines()
    if len(lines) > QUOTE_LINES or shown != words:
        lines = lines[:QUOTE_LINES]
        lines[-1] += " …"
    return "\n".join(f"> {line}" for line in lines)


def _reaction(relation: Relation) -> str:
    if not relation.reactions:
        return f"(reaction taken back{_to(relation)})"
    return f"{' '.join(relation.reactions)}{_to(relation) or ' (to an earlier message)'}"


def _retraction(relation: Relation) -> str:
    return f"(message taken back{_to(relation, ': ')})"


def _to(relation: Relation, joint: str = " to ") -> str:
    words = " ".join(relation.quote.split())
    if len(words) > EXCERPT_CHARACTERS:
        words = words[:EXCERPT_CHARACTERS].rstrip() + " …"
    return f"{joint}“{words}”" if words else ""


def _linked(message: Message, lost: list[str]) -> Message:
    """Links to the files, in the text where they are not there already."""
    lines = dict.fromkeys(link(file) for file in message.files if file.url not in message.text)
    lost.append("file sent as a link" if len(message.files) == 1 else "files sent as links")
    message = replace(message, files=())
    return _framed(message, after="\n".join(lines)) if lines else message


def link(file: File) -> str:
    """A file as a line of text."""
    about = ", ".join(part for part in (file.media_type, _size(file.size_bytes)) if part)
    name = " ".join(part for part in (file.description or file.name, f"({about})" if about else "") if part)
    return f"{name}: {file.url}" if name else file.url


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return ""
    for unit, bytes_each in (("MB", 1_000_000), ("kB", 1000)):
        if size_bytes >= bytes_each:
            return f"{size_bytes / bytes_each:.1f} {unit}"
    return f"{size_bytes} bytes"


def _framed(message: Message, before: str = "", after: str = "") -> Message:
    text = "\n".join(part for part in (before, message.text, after) if part)
    return replace(message, text=text, rich=richtext.framed(message.rich, before, after))
