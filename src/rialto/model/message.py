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
    automatic: ClassVar[bool] = True


Content = Message | Report

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Content] = msgspec.msgpack.Decoder(Content)


def encode(content: Content) -> bytes:
    """The form in which the store keeps it."""
    return _encoder.encode(content)


def decode(data: bytes) -> Content:
    """Read back what `encode` wrote; raises `msgspec.DecodeError` for anything else."""
    return _decoder.decode(data)
