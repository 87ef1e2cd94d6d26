"""MSRP URIs: `msrp://host:port/session;tcp`, and when two of them are one (RFC 4975 section 6)."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

import msgspec

from rialto.model.errors import AddressError

MAX_URI_CHARACTERS: Final = 1024
MAX_PATH: Final = 16
"""URIs in one path: more relays than this are a loop, or an attack."""

UriKey = tuple[bool, str, int | None, str, str]
"""What is compared of a URI; see `MsrpUri.key`."""

_URI: Final = re.compile(
    r"(?P<scheme>msrps?)://(?:(?P<user>[^@/;\s]*)@)?"
    r"(?P<host>\[[0-9a-f:.]+\]|[^\[\]@:/;\s]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/(?P<session>[A-Za-z0-9\-._~+=/%!$&'()*,:@]+))?"
    r"(?P<tail>(?:;[^\s;]+)*)",
    re.IGNORECASE | re.ASCII,
)
_ESCAPE: Final = re.compile(r"%([0-9a-f]{2})", re.IGNORECASE)
_UNRESERVED: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")


class MsrpUri(msgspec.Struct, frozen=True, kw_only=True):
    """One end of a session, or (without `session_id`) a device such as a relay.

    `host` is without brackets. `port` is None where the URI names none: there is no default port. `user` and
    `parameters` mean nothing to a comparison.
    """

    secure: bool = False
    host: str
    port: int | None = None
    session_id: str = ""
    transport: str = "tcp"
    user: str = ""
    parameters: tuple[str, ...] = ()

    @property
    def key(self) -> UriKey:
        """Equal for two URIs that mean the same thing (RFC 4975 section 6.1)."""
        return (self.secure, _comparable(self.host), self.port, self.session_id, self.transport.lower())

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return "".join(
            (
                "msrps://" if self.secure else "msrp://",
                f"{self.user}@" if self.user else "",
                host,
                f":{self.port}" if self.port is not None else "",
                f"/{self.session_id}" if self.session_id else "",
                f";{self.transport}",
                *(f";{parameter}" for parameter in self.parameters),
            )
        )


@lru_cache(maxsize=2048)
def parse_uri(text: str) -> MsrpUri:
    """Read one URI. Raises AddressError.

    A missing transport is read as `tcp`, the only one there is.
    """
    if len(text) > MAX_URI_CHARACTERS:
        raise AddressError("an MSRP URI that is too long")
    match = _URI.fullmatch(text)
    if match is None:
        raise AddressError(f"{text[:100]!r} is no MSRP URI")
    host = match["host"].strip("[]")
    if match["host"].startswith("["):
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise AddressError(f"{host[:50]!r} is no IPv6 address") from None
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise AddressError(f"{port} is no port")
    parameters = match["tail"].split(";")[1:] or ["tcp"]
    return MsrpUri(
        secure=match["scheme"].lower() == "msrps",
        host=host,
        port=port,
        session_id=match["session"] or "",
        transport=parameters[0].lower(),
        user=match["user"] or "",
        parameters=tuple(parameters[1:]),
    )


@lru_cache(maxsize=2048)
def parse_path(text: str) -> tuple[MsrpUri, ...]:
    """Read To-Path, From-Path, Use-Path or an SDP `path`: first to be visited first. Raises AddressError."""
    words = text.split()
    if not 0 < len(words) <= MAX_PATH:
        raise AddressError(f"a path of {len(words)} URIs")
    return tuple(map(parse_uri, words))


def write_path(path: tuple[MsrpUri, ...]) -> str:
    """A path as the wire and SDP have it."""
    return " ".join(map(str, path))


def _comparable(host: str) -> str:
    """Percent-escapes of what needs none are undone, IP addresses have one spelling."""
    text = host.lower()
    if "%" in text:
        text = _ESCAPE.sub(_unescaped, text).lower()
    if ":" in text or text[-1:].isdigit():
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            return text
    return text


def _unescaped(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0]
