"""What a certificate is worth: the judgement on a chain, after the handshake, as a pure function.

`judge` never raises for what the peer sent: everything wrong with a chain is a `Problem` of its verdict.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509


class NameKind(enum.Enum):
    """By which rules a name in a certificate stands for a domain."""

    XMPP = "xmpp"  # RFC 6120 section 13.7.1.2
    SIP = "sip"  # RFC 5922 section 7


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom we believe.

    `anchors`: CA certificates. `pins`: lower-case hex SHA-256 of a certificate or of its public key (SPKI); a
    pinned leaf needs no path and no name, only validity in time.
    """

    anchors: tuple[x509.Certificate, ...] = ()
    pins: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a chain.

    `code` is stable: `no-certificate`, `unreadable`, `untrusted`, `self-signed`, `expired`, `not-yet-valid`,
    `wrong-name`, `wrong-usage`, `weak`, `constraint`. `text` is a sentence for people.
    """

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Identities:
    """The names in a certificate: A-labels in lower case; `srv` as `_service.domain`, `uri` as written."""

    dns: tuple[str, ...] = ()
    srv: tuple[str, ...] = ()
    xmpp: tuple[str, ...] = ()
    uri: tuple[str, ...] = ()
    common_name: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the chain proves the domain, and if not, everything that speaks against it."""

    ok: bool
    problems: tuple[Problem, ...] = ()
    identities: Identities = Identities()
    pinned: bool = False

    @property
    def reason(self) -> str:
        """All problems in one line, for logs and errors."""
        return "; ".join(problem.text for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Description:
    """What `rialto check` says of a certificate. Times are UTC; `usages` are `serverAuth`, `clientAuth`, or OIDs."""

    subject: str
    issuer: str
    identities: Identities
    not_before: datetime
    not_after: datetime
    usages: tuple[str, ...]
    self_signed: bool
    fingerprint: str
    key_fingerprint: str

    def days_left(self, now: datetime) -> int:
        """Whole days until it expires; negative once it has."""
        return (self.not_after - now).days


def judge(chain: Sequence[bytes], kind: NameKind, domain: str, trust: Trust, now: datetime) -> Verdict:
    """Does this chain (DER, leaf first) prove that the peer is `domain` (U- or A-labels), at `now` (aware, UTC)?

    clientAuth or serverAuth is enough in either role: federation's servers are each other's clients.
    """
    raise NotImplementedError


def identities(leaf: bytes) -> Identities:
    """The names in one certificate (DER); empty where it cannot be read."""
    raise NotImplementedError


def describe(certificate: bytes) -> Description:
    """What stands in a certificate (DER or PEM). Raises `ValueError` where it cannot be read."""
    raise NotImplementedError


def load_anchors(ca_file: Path | None = None) -> tuple[x509.Certificate, ...]:
    """The CA certificates of a PEM file, or the system's. Raises `ConfigError`."""
    raise NotImplementedError
