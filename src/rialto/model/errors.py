"""What can go wrong, in one tree.

RialtoError
├── ConfigError          the operator's files: where, what was expected, the remedy
├── AddressError         a text that is no address
├── DeliveryError        a message that does not arrive: a public reason, a private detail
│   ├── Refused          somebody said no, for good
│   ├── Busy             not now: come back after `retry_after_s`
│   ├── Unreachable      nobody answered
│   └── Expired          it waited too long
└── ProtocolError
    ├── LocalProtocolError    our bug: logged with its stack, never sent
    └── RemoteProtocolError   theirs: answered with its condition, counted
"""

from __future__ import annotations

import enum
from typing import ClassVar, Self


class RialtoError(Exception):
    """The root; never raised itself."""


class ConfigError(RialtoError):
    """A configuration that cannot be used.

    `where` is a file and key (`rialto.toml: networks.sip.listen`), `expected` what should have stood
    there, `remedy` what the operator can do about it.
    """

    def __init__(self, where: str, expected: str, remedy: str = "") -> None:
        self.where = where
        self.expected = expected
        self.remedy = remedy
        super().__init__(f"{where}: {expected}" + (f" ({remedy})" if remedy else ""))


class AddressError(RialtoError):
    """A text that cannot be read as an address, or an address that a protocol cannot write."""


class Reason(enum.StrEnum):
    """Why a message was not delivered: stable codes, the same in every protocol, trail and report.

    Each network has one table from its wire conditions to these and back.
    """

    BAD_REQUEST = "bad-request"
    NOT_AUTHENTICATED = "not-authenticated"
    FORBIDDEN = "forbidden"
    POLICY = "policy"
    NO_AGREEMENT = "no-agreement"
    NOT_ENTITLED = "not-entitled"
    NOT_FOUND = "not-found"
    DOMAIN_NOT_FOUND = "domain-not-found"
    GONE = "gone"
    MOVED = "moved"
    UNAVAILABLE = "unavailable"
    DECLINED = "declined"
    NOT_ACCEPTABLE = "not-acceptable"
    NOT_SUPPORTED = "not-supported"
    TOO_LARGE = "too-large"
    UNSECURED = "unsecured"
    LOOP = "loop"
    CONFLICT = "conflict"
    RATE = "rate"
    CONGESTION = "congestion"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    EXPIRED = "expired"
    INTERNAL = "internal"
    OTHER = "other"


class DeliveryError(RialtoError):
    """A message that was not delivered, or may not have been.

    `reason` is a stable code and `text` a sentence; both are shown to the sender. `detail` is for the
    operator alone. `certain` is False where the message may have arrived all the same. `retry` says
    whether the same attempt may succeed later; `retry_after_s` when the far side said how much later.
    `redirect` is a new address, where the far side gave one (`gone`, `moved`).
    """

    retry: ClassVar[bool] = False

    def __init__(
        self,
        reason: Reason,
        text: str = "",
        *,
        detail: str = "",
        certain: bool = True,
        retry_after_s: float | None = None,
        redirect: str = "",
    ) -> None:
        self.reason = reason
        self.text = text
        self.detail = detail
        self.certain = certain
        self.retry_after_s = retry_after_s
        self.redirect = redirect
        super().__init__(f"{reason}: {text or detail}")

    def in_doubt(self) -> Self:
        """The same error, of a message that may have arrived all the same."""
        if not self.certain:
            return self
        return type(self)(
            self.reason,
            self.text,
            detail=self.detail,
            certain=False,
            retry_after_s=self.retry_after_s,
            redirect=self.redirect,
        )


class Refused(DeliveryError):
    """Somebody said no, and would say so again."""


class Busy(DeliveryError):
    """Somebody said: not now."""

    retry = True


class Unreachable(DeliveryError):
    """The far side could not be reached, or did not answer."""

    retry = True


class Expired(DeliveryError):
    """The message waited longer than it may."""


class ProtocolError(RialtoError):
    """The rules of a protocol were broken."""


class LocalProtocolError(ProtocolError):
    """We were about to break the rules: a bug of ours; nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the rules.

    `condition` is what its protocol calls the fault (an XMPP stream or stanza condition, a SIP status
    code as text); `text` may be sent to the peer.
    """

    def __init__(self, condition: str, text: str = "") -> None:
        self.condition = condition
        self.text = text
        super().__init__(f"{condition}: {text}" if text else condition)
