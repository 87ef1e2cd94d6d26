"""Digest authentication of RFC 8760 (with RFC 7616), both sides: MD5, SHA-256, SHA-512-256 with qop=auth."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

import msgspec


class Secret(msgspec.Struct, frozen=True):
    """A user name and its password; neither `repr` nor `str` shows the password."""

    username: str
    password: str


class Answerer:
    """The client side: answers challenges with one user's credentials, counting nonce uses."""

    def __init__(self, secret: Secret, *, algorithms: Sequence[str] = ("SHA-256", "MD5")) -> None:
        raise NotImplementedError

    def answer(self, challenges: Sequence[str], method: str, uri: str, cnonce: str) -> str | None:
        """The value of (Proxy-)Authorization for the best challenge among `challenges`.

        `challenges` are all values of WWW-Authenticate (or all of Proxy-Authenticate), one per line,
        topmost preferred (RFC 8760 section 2.4). None when none can be answered, or when the same
        credentials were just refused (a second challenge with a new nonce and without stale=true).
        Raises ValueError for a malformed challenge.
        """
        raise NotImplementedError

    def again(self, method: str, uri: str, cnonce: str) -> str | None:
        """Authorization for a further request under the last nonce; None if there is none yet."""
        raise NotImplementedError


class Verdict(enum.Enum):
    """What came of a request's credentials."""

    GOOD = "good"
    ABSENT = "absent"  # challenge
    STALE = "stale"  # challenge with stale=true: right password, nonce too old or used before
    WRONG = "wrong"  # challenge again, or 403
    MALFORMED = "malformed"  # 400


class Challenger:
    """The server side: makes nonces that need no memory, checks answers against them."""

    def __init__(
        self, realm: str, secret: bytes, *, algorithms: Sequence[str] = ("SHA-256", "MD5"),
        nonce_lifetime_s: float = 300.0,
    ) -> None:
        raise NotImplementedError

    def challenges(self, now: float, *, stale: bool = False) -> list[str]:
        """Values for one WWW-Authenticate (or Proxy-Authenticate) line each, most preferred first."""
        raise NotImplementedError

    def check(
        self, values: Sequence[str], method: str, uri: str, now: float,
        password_of: Callable[[str], str | None],
    ) -> tuple[Verdict, str | None]:
        """Judge all (Proxy-)Authorization values of a request; with GOOD comes the user name."""
        raise NotImplementedError
