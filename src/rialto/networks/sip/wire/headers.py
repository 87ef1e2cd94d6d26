"""Names and grammar of headers: canonical spelling, compact forms, lists, parameters, media types."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


def canonical(name: str) -> str:
    """The spelling that we use for a header name: `call-id`, `i`, `CALL-ID` -> `Call-ID`."""
    raise NotImplementedError


def split_commas(value: str) -> list[str]:
    """Cut a list at its commas, leaving those in quotes and angle brackets; raises ValueError.

    An empty element is an error (RFC 4475 section 3.1.2.1).
    """
    raise NotImplementedError


def parse_params(text: str) -> tuple[tuple[str, str | None], ...]:
    """Read `;name=value;name="quoted";flag` (leading `;` included); names lower-case, values unquoted.

    Raises ValueError.
    """
    raise NotImplementedError


def write_params(params: Iterable[tuple[str, str | None]]) -> str:
    """Write header parameters, quoting the values that need it."""
    raise NotImplementedError


def quote(text: str) -> str:
    """A quoted-string."""
    raise NotImplementedError


def unquote(text: str) -> str:
    """The text of a quoted-string (quotes included in `text`); raises ValueError if it is none."""
    raise NotImplementedError


def quality(text: str) -> int:
    """A q value in thousandths, 0 to 1000; raises ValueError."""
    raise NotImplementedError


def tokens(value: str) -> list[str]:
    """The option tags of Require, Supported, Unsupported, Allow, ...: a list of tokens."""
    raise NotImplementedError


class MediaType(msgspec.Struct, frozen=True):
    """`type/subtype;params`; type, subtype and parameter names are lower-case."""

    type: str
    subtype: str
    params: tuple[tuple[str, str | None], ...] = ()

    @property
    def essence(self) -> str:
        """`type/subtype`."""
        return f"{self.type}/{self.subtype}"

    def param(self, name: str) -> str | None:
        """The value of a parameter; "" for one without a value; None if it is absent."""
        raise NotImplementedError

    def __str__(self) -> str:
        raise NotImplementedError


def parse_media_type(text: str) -> MediaType:
    """Read a Content-Type, or one element of Accept; raises ValueError."""
    raise NotImplementedError


class Credentials(msgspec.Struct, frozen=True):
    """`Digest name=value, ...`: a challenge or its answer. `scheme` and names are lower-case."""

    scheme: str
    params: tuple[tuple[str, str], ...] = ()

    def param(self, name: str) -> str | None:
        """The unquoted value of a parameter; None if it is absent."""
        raise NotImplementedError


def parse_credentials(text: str) -> Credentials:
    """Read Authorization, Proxy-Authorization, WWW-Authenticate or Proxy-Authenticate; ValueError."""
    raise NotImplementedError
