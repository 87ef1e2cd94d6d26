"""SIP, SIPS, IM, PRES and TEL URIs, as RFC 3261 section 19.1 and its neighbours write them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

class Uri(msgspec.Struct, frozen=True, kw_only=True):
    """One URI, taken apart; immutable, so safe to share and to use as a key.

    `scheme` and `host` are lower-case; an IPv6 `host` stands without its brackets. `user` and the
    values of `params` and `headers` are kept as they were written (still %-escaped); parameter names
    are lower-case. `host` is "" for `tel:` and for schemes we do not know, whose text after the colon
    (for `tel:` up to the first `;`) is `opaque`. `==` compares what was written; `equivalent` is the
    comparison of RFC 3261 section 19.1.4. The password never appears in `repr`.
    """

    scheme: str
    host: str = ""
    user: str | None = None
    password: str | None = None
    port: int | None = None
    params: tuple[tuple[str, str | None], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    opaque: str = ""

    @property
    def user_text(self) -> str | None:
        """The user part with its escapes resolved, as text; raises AddressError if that is no UTF-8."""
        raise NotImplementedError

    def param(self, name: str) -> str | None:
        """The value of a parameter as written; "" for one without a value; None if it is absent."""
        raise NotImplementedError

    @property
    def gr(self) -> str | None:
        """The unescaped value of the `gr` parameter (RFC 5627 section 4): which instance is meant."""
        raise NotImplementedError

    def without(self, *names: str) -> Uri:
        """The same URI without these parameters."""
        raise NotImplementedError

    def with_param(self, name: str, value: str | None = None) -> Uri:
        """The same URI with one more parameter (replacing an older one); `value` as plain text."""
        raise NotImplementedError

    @property
    def hostport(self) -> str:
        """`host:port` as it stands in the text, IPv6 in brackets, no port when there is none."""
        raise NotImplementedError

    def equivalent(self, other: Uri) -> bool:
        """Whether both mean the same resource by RFC 3261 section 19.1.4 (which is not transitive)."""
        raise NotImplementedError

    def __str__(self) -> str:
        """The URI as text, password included: for the wire only."""
        raise NotImplementedError


def parse_uri(text: str) -> Uri:
    """Read a URI of any scheme; raises AddressError."""
    raise NotImplementedError


def sip_uri(
    user_text: str | None, host: str, *, scheme: str = "sip", port: int | None = None,
    params: Iterable[tuple[str, str | None]] = (),
) -> Uri:
    """Build a URI from plain text, escaping what must be; raises AddressError for an impossible host."""
    raise NotImplementedError


def escape_user(text: str) -> str:
    """%-escape a user part (RFC 3261 section 25.1: unreserved and user-unreserved stand as they are)."""
    raise NotImplementedError


def unescape(text: str) -> str:
    """Resolve %-escapes into UTF-8 text; raises AddressError for what is no UTF-8 or no escape."""
    raise NotImplementedError
