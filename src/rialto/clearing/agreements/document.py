"""The document that operators sign: canonical JSON, its hash, and Ed25519 signatures.

What is signed is the SHA-256 of the canonical form (RFC 8785), with a word in front that says what it is of:
a signature below an offer is none below an agreement.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from rialto.clearing.agreements.life import NotPossible
from rialto.model.agreement import Agreement, Item, Nanos, Operator

_NANOS = 1_000_000_000

_CONTEXT = {"agreement": b"rialto agreement 1\0", "offer": b"rialto offer 1\0"}


def canonical(document: dict[str, Any]) -> str:
    """The one text that this document has (RFC 8785). Raises NotPossible for what has none."""
    try:
        return rfc8785.dumps(document).decode()
    except (rfc8785.CanonicalizationError, ValueError) as error:
        raise NotPossible(f"that cannot be written in canonical form: {error}") from error


def fingerprint(text: str) -> str:
    """SHA-256 of a canonical document, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def compose(agreement: Agreement, parties: tuple[Operator, Operator], items: list[Item]) -> str:
    """The document of one version; `document_hash` of the agreement is not looked at."""
    return canonical(
        {
            "agreement": agreement.id,
            "version": agreement.version,
            "name": agreement.name,
            "parties": [
                {"role": role, "operator": party.id, "name": party.name, "ioi": party.ioi}
                for role, party in zip("ab", parties, strict=True)
            ],
            "from": instant(agreement.from_ns),
            "to": "" if agreement.to_ns is None else instant(agreement.to_ns),
            "offer": agreement.offer,
            "regulatory": agreement.regulatory,
            "items": [terms(item) for item in items],
        }
    )


def terms(item: Item) -> dict[str, Any]:
    """What an item says in a document, without what the agreement says already."""
    said: dict[str, Any] = msgspec.to_builtins(item)
    for name in ("agreement_id", "version", "from_ns", "to_ns"):
        said.pop(name, None)
    return said


def instant(at_ns: Nanos) -> str:
    """An instant as text that sorts (RFC 3339), to the nanosecond where that is needed."""
    seconds, rest = divmod(at_ns, _NANOS)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09}Z" if rest else f"{text}Z"


def parse_instant(text: str) -> Nanos:
    """Read a date, or a date and time (RFC 3339); without a zone it is UTC. Raises NotPossible."""
    head, dot, tail = text.strip().partition(".")
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
    try:
        read = datetime.fromisoformat(head + tail[len(digits) :])
    except ValueError:
        raise NotPossible(f"{text!r} is no instant; write 2027-01-31 or 2027-01-31T12:00:00Z") from None
    if len(digits) > 9 or bool(dot) != bool(digits):
        raise NotPossible(f"{text!r} is no instant: a second has nine digits at most")
    if read.tzinfo is None:
        read = read.replace(tzinfo=UTC)
    return round(read.timestamp()) * _NANOS + int(digits.ljust(9, "0") or "0")


def new_key() -> Ed25519PrivateKey:
    """A new key of an operator."""
    return Ed25519PrivateKey.generate()


def write_key(key: Ed25519PrivateKey) -> bytes:
    """A private key as PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_key(pem: bytes) -> Ed25519PrivateKey:
    """A private key from PEM. Raises NotPossible."""
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise NotPossible("that is no private key without a passphrase") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise NotPossible("that is a key of another kind; operators sign with Ed25519")
    return key


def public(key: Ed25519PrivateKey) -> str:
    """The public half, in hexadecimal digits."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def sign(key: Ed25519PrivateKey, what: str, document_hash: str) -> str:
    """A signature below an `agreement` or an `offer` of this hash."""
    return key.sign(_CONTEXT[what] + bytes.fromhex(document_hash)).hex()


def verify(public_key: str, what: str, document_hash: str, signature: str) -> None:
    """Raises NotPossible for a signature that is none."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(signature), _CONTEXT[what] + bytes.fromhex(document_hash))
    except (InvalidSignature, ValueError) as error:
        raise NotPossible("the signature does not fit the document and the key") from error
