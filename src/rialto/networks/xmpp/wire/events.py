"""What a stream can tell: one dataclass each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rialto.model.address import Address
from rialto.networks.xmpp.wire.element import Element


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The peer's stream header was accepted. `remote` is what it calls itself: a claim, and may be empty."""

    local: str
    remote: str
    stream_id: str


@dataclass(frozen=True, slots=True)
class StartTls:
    """Everything said so far goes out in plain; the next byte, both ways, is TLS.

    Afterwards the shell calls `tls_established`. `domain`: ours when we are the TLS server, theirs when the
    client. `trailing` is not empty where plaintext came behind the command (RFC 6120 section 5.4.3.3).
    """

    domain: str
    trailing: bytes


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A domain pair may be used: we may send (`outgoing`), they may send (`incoming`).

    `proof`: `external`, `dialback`, `component`.
    """

    local: str
    remote: str
    proof: str
    outgoing: bool
    incoming: bool


@dataclass(frozen=True, slots=True)
class PairRefused:
    """The peer did not let us send from `local` to `remote`: dialback was `invalid`, or an error
    `condition`."""

    local: str
    remote: str
    condition: str
    text: str


@dataclass(frozen=True, slots=True)
class StrangerRefused:
    """We did not let the peer in as `remote`, and told it so: for the log and the counters."""

    local: str
    remote: str
    condition: str
    text: str


@dataclass(frozen=True, slots=True)
class DialbackRequested:
    """The peer wants to send from `remote` to `local` and offers `key`.

    The shell asks the authoritative server of `remote` whether `key` goes with `stream_id`, and calls
    `dialback_result`.
    """

    local: str
    remote: str
    stream_id: str
    key: str


@dataclass(frozen=True, slots=True)
class KeyVerified:
    """The authoritative server's answer to `verify_key`; `valid` is None where it could not say
    (`condition`)."""

    local: str
    remote: str
    stream_id: str
    valid: bool | None
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """A stream that was opened only to verify keys has come as far as it needs to."""


@dataclass(frozen=True, slots=True)
class StanzaReceived:
    """A stanza whose addresses are in order and whose sender's domain is proven on this stream.

    Call `mark_handled(number)` once it needs no more care (it is on disk, or answered).
    """

    stanza: Element
    sender: Address
    recipient: Address
    number: int
    proof: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The peer has taken responsibility for the stanzas that were sent with these tokens, oldest first."""

    tokens: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class StreamManagementEnabled:
    """Both sides count now (XEP-0198)."""

    resumable: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    """An earlier stream goes on in this one; what the peer had missed has been written again."""


@dataclass(frozen=True, slots=True)
class ResumptionFailed:
    """The peer does not remember the earlier stream; nobody can say what became of `tokens`."""

    tokens: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """The last event: the stream is over and the connection is to be closed.

    `condition` is empty after a close in peace, else a stream error condition or one of `connection-lost` (no
    closing tag), `no-tls`, `no-authentication` (nothing in common, or all refused), `peer-unproven` (its
    certificate is not for its domain, and nothing else may prove it). `by_peer` says who began.
    """

    condition: str
    text: str
    by_peer: bool


XmppEvent = (
    StreamOpened
    | StartTls
    | Authenticated
    | PairRefused
    | StrangerRefused
    | DialbackRequested
    | KeyVerified
    | Ready
    | StanzaReceived
    | Acknowledged
    | StreamManagementEnabled
    | Resumed
    | ResumptionFailed
    | StreamClosed
)
