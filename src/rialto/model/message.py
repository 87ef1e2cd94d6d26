"""What one person says to another, and what is said of it afterwards.

These are the canonical forms: every network translates into them and out of them, the store keeps them
(as MessagePack, by field name, so that a later release reads what an earlier one wrote), and nothing in
them belongs to one protocol.
"""

from __future__ import annotations

import enum
from typing import ClassVar

import msgspec

from rialto.model.address import Address
from rialto.model.errors import Reason


class Kind(enum.StrEnum):
    """How a message wants to be met; RFC 6121 section 5.2.2 without `groupchat` and `error`."""

    CHAT = "chat"
    NORMAL = "normal"
    HEADLINE = "headline"


class Text(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A text in a language (BCP 47; empty where the sender did not say)."""

    text: str
    language: str = ""


class Disposition(enum.StrEnum):
    """What became of a message at its recipient's (RFC 5438 section 5); failures are `Report`s."""

    DELIVERED = "delivered"
    """A device of the recipient has it (XEP-0184, `positive-delivery`)."""
    DISPLAYED = "displayed"
    """The recipient has it before the eyes (XEP-0333, `display`)."""
    PROCESSED = "processed"
    """A program of the recipient has worked on it (`processing`)."""


class RelationKind(enum.StrEnum):
    """What a message does to an earlier one."""

    REPLACE = "replace"
    """Its text stands instead (XEP-0308)."""
    RETRACT = "retract"
    """The earlier one is taken back (XEP-0424); there is no text."""
    REACT = "react"
    """`reactions` are all that the sender now feels about it (XEP-0444); there is no text."""
    REPLY = "reply"
    """It answers the earlier one (XEP-0461)."""


class Relation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How a message belongs to an earlier one of the same two people.

    `target` is what the side at which this is read or written calls the earlier message: the sender's name
    for it when the message comes in, the recipient's when it goes out; the hub translates. `about` is our own
    id of it, set by the hub, and empty where the earlier message is not known (any more).
    """

    kind: RelationKind
    target: str
    about: str = ""
    reactions: tuple[str, ...] = ()
    """Of REACT: the emoji; none takes back what was there."""
    quote: str = ""
    """The words of the earlier message, where they are known; they do not stand in the text."""
    quoted: str = ""
    """Who wrote those, as text for people; empty where nobody said."""


class File(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A file that goes with a message, and where it can be had."""

    url: str
    name: str = ""
    media_type: str = ""
    size_bytes: int | None = None
    description: str = ""
    expires_at: float | None = None
    """When the link ends, seconds since 1970; None where nobody said."""
    sha256: str = ""
    """Of the content, in hexadecimal digits."""


class Sealed(msgspec.Struct, frozen=True, gc=False):
    """A payload that only the recipient can open; it passes as it is, or not at all.

    `scheme` is `omemo`, `openpgp`, `smime`, `mls` or `otr`; `media_type` its media type or XML namespace, and
    `data` the bytes (of XML: the element, serialised).
    """

    scheme: str
    media_type: str
    data: bytes


class Message(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="message", kw_only=True):
    """One instant message from one person to another (RFC 3860, RFC 7572).

    `id` is ours, unique for ever, and sorts by time of arrival; `origin_id` is what the sender's protocol
    called it. Times are seconds since 1970, UTC. `stable_id` names the message across retransmissions,
    fail-over and reconnection, and is empty where the sender's side gives no such name; equal names from
    one peer are one message.
    """

    id: str
    sender: Address
    recipient: Address
    text: str
    received_at: float
    language: str = ""
    translations: tuple[Text, ...] = ()
    """The same text in other languages."""
    subject: str = ""
    thread: str = ""
    kind: Kind = Kind.NORMAL
    origin_id: str = ""
    stable_id: str = ""
    sent_at: float | None = None
    """When it was written, where the sender's side said that it had been waiting (XEP-0203, RFC 3428)."""
    expires_at: float | None = None
    hops: tuple[str, ...] = ()
    """Tokens of the Rialto instances that it has passed, oldest first."""
    automatic: bool = False
    """Written by a program in answer to something: nothing automatic may answer it."""
    nick: str = ""
    """The name by which the sender wants to be shown; nobody is believed to be who it says."""
    wants: tuple[Disposition, ...] = ()
    """The receipts that the sender asks for."""
    rich: str = ""
    """The same text with its form, as canonical XHTML (see `richtext`); empty where there is none."""
    files: tuple[File, ...] = ()
    relation: Relation | None = None
    sealed: tuple[Sealed, ...] = ()
    """The same message, sealed; `text` then is for those who cannot open it, and may be empty."""
    chat_states: bool = False
    """The sender's client takes part in typing notices."""


class Report(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="report", kw_only=True):
    """The news that a message did not arrive, on its way home.

    `sender` is who the message was for, `recipient` who wrote it; `about` is the message's id with us and
    `origin_id` with its writer. `certain` is False where it may have arrived all the same.
    """

    id: str
    sender: Address
    recipient: Address
    about: str
    reason: Reason
    received_at: float
    text: str = ""
    certain: bool = True
    origin_id: str = ""
    kind: Kind = Kind.NORMAL
    thread: str = ""
    redirect: str = ""
    excerpt: str = ""
    """The first words of the message, for protocols whose users would not know it by its id."""
    expires_at: float | None = None
    wants: tuple[Disposition, ...] = ()
    """The receipts that the message asked for."""
    sent_at: float | None = None
    """When the message was written, as far as anybody knows."""
    automatic: ClassVar[bool] = True


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="receipt", kw_only=True):
    """The news that a message has arrived, or was looked at, on its way home.

    `sender` is who got the message, `recipient` who wrote it; `about` is the message's id with us and
    `origin_id` with its writer. `at` is when it happened, as the recipient's side says. Nobody is billed for
    a receipt, nothing answers it, and it never asks for receipts itself.
    """

    id: str
    sender: Address
    recipient: Address
    about: str
    disposition: Disposition
    at: float
    received_at: float
    origin_id: str = ""
    thread: str = ""
    expires_at: float | None = None
    sent_at: float | None = None
    """When the message was written, as far as anybody knows."""
    automatic: ClassVar[bool] = True


class ChatState(enum.StrEnum):
    """How somebody takes part in a conversation at the moment (XEP-0085)."""

    ACTIVE = "active"
    COMPOSING = "composing"
    PAUSED = "paused"
    INACTIVE = "inactive"
    GONE = "gone"


class Composing(msgspec.Struct, frozen=True, kw_only=True):
    """The news that somebody is writing to somebody, or has stopped (XEP-0085, RFC 3994).

    It is worth something only now: never stored, queued or billed, and lost when it cannot be said. A network
    reports changes alone. Where its protocol's notices lapse unless they are repeated, it says by itself that
    they have.
    """

    sender: Address
    recipient: Address
    state: ChatState
    thread: str = ""


Content = Message | Report | Receipt

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Content] = msgspec.msgpack.Decoder(Content)


def encode(content: Content) -> bytes:
    """The form in which the store keeps it."""
    return _encoder.encode(content)


def decode(data: bytes) -> Content:
    """Read back what `encode` wrote; raises `msgspec.DecodeError` for anything else."""
    return _decoder.decode(data)
