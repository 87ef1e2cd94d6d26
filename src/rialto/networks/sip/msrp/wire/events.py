"""What a connection tells its owner, oldest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rialto.networks.sip.msrp.wire.heads import Head
from rialto.networks.sip.msrp.wire.incoming import Incoming
from rialto.networks.sip.msrp.wire.outgoing import Outgoing
from rialto.networks.sip.msrp.wire.session import Session


@dataclass(frozen=True, slots=True)
class SessionBound:
    """The other end has connected: the first request for this session came on this connection."""

    session: Session


@dataclass(frozen=True, slots=True)
class SessionAnswered:
    """The other end has answered our `greet`: the session is up, on both sides."""

    session: Session


@dataclass(frozen=True, slots=True)
class SessionFailed:
    """The other end does not know the session (481), or has it elsewhere (506), or did not get what we sent
    (408): it is over, and to be removed. What was not confirmed may be sent on a new one."""

    session: Session
    status: int


@dataclass(frozen=True, slots=True)
class MessageBegan:
    """The first chunk of a message has come; its content follows. It may be refused from here on."""

    message: Incoming


@dataclass(frozen=True, slots=True)
class ContentReceived:
    """The next `data` of a message, in order."""

    message: Incoming
    data: bytes


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """All of the message was handed on: `accept` or `refuse` it, before its sender's 30 s are over."""

    message: Incoming


@dataclass(frozen=True, slots=True)
class MessageAborted:
    """A message that will not be whole: `why` is `sender` (it broke off), `stalled` (nothing came for long),
    `inconsistent`, `too-large` or `gone` (its session ended)."""

    message: Incoming
    why: str


@dataclass(frozen=True, slots=True)
class DuplicateReceived:
    """A message came that was accepted before, and was answered; only its reports may be repeated."""

    message: Incoming


@dataclass(frozen=True, slots=True)
class ContentWanted:
    """A message of ours that is sent in pieces has nothing left to send: `feed` it."""

    message: Outgoing


@dataclass(frozen=True, slots=True)
class MessageTaken:
    """All chunks were answered with 200; where only failures are answered, all was written. A relay's answer
    speaks for the relay alone: `MessageFailed` may still follow (RFC 4976 section 3)."""

    message: Outgoing


@dataclass(frozen=True, slots=True)
class MessageConfirmed:
    """Success reports cover all of it."""

    message: Outgoing


@dataclass(frozen=True, slots=True)
class MessageFailed:
    """It was not taken; `certain` is False where it may have been (no answer, or the session ended).

    `status` is the peer's, a relay's, or 408 for no answer; 0 where the session or connection ended.
    """

    message: Outgoing
    status: int
    text: str
    certain: bool


@dataclass(frozen=True, slots=True)
class Responded:
    """The answer to a request made with `Connection.request`; `response` is None where none came in time."""

    token: Any
    response: Head | None


@dataclass(frozen=True, slots=True)
class Fault:
    """The other end broke a rule, and was told where it can be; for the counters. `code`: `bad-request`,
    `no-session`, `session-in-use`, `forbidden`, `too-large`, `too-many`, `bad-type`, `bad-method`,
    `inconsistent`, `stray-response`, `stray-report`."""

    code: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The connection is good for nothing any more: `not-msrp` (what came can't be read), `slow` (a request
    that does not go on), `no-answer` (something was not answered, and nothing else was heard)."""

    code: str
    text: str = ""


MsrpEvent = (
    SessionBound
    | SessionAnswered
    | SessionFailed
    | MessageBegan
    | ContentReceived
    | MessageReceived
    | MessageAborted
    | DuplicateReceived
    | ContentWanted
    | MessageTaken
    | MessageConfirmed
    | MessageFailed
    | Responded
    | Fault
    | Broken
)
