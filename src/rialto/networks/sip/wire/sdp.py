"""Session descriptions (RFC 8866, and RFC 4566 before it): lenient in, strict out.

What is read: lines may end in LF alone, may come in another order than the grammar's, and those that a
message gateway has no use for are kept as they are or let go. What is written is what the grammar says, in
its order. A description says nothing here of what its media mean: that is `offer_answer`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from rialto.model.errors import LocalProtocolError, RemoteProtocolError

MEDIA_TYPE: Final = "application/sdp"

MAX_BYTES: Final = 65_536
MAX_LINES: Final = 1_000
MAX_MEDIA: Final = 32
MAX_LINE: Final = 8_192

_TOKEN: Final = re.compile(r"[!#-'*+\-./0-9A-Z^-~]+", re.ASCII)  # token, and "/" as in TCP/TLS/MSRP
_NUMBER: Final = re.compile(r"[0-9]{1,20}", re.ASCII)
_UNWRITABLE: Final = re.compile(r"[\r\n\0]")

Attributes = tuple[tuple[str, str | None], ...]


class SdpError(RemoteProtocolError):
    """A description that cannot be read; `condition` is the SIP status that says so."""

    def __init__(self, text: str, condition: str = "400") -> None:
        super().__init__(condition, text)


class Origin(msgspec.Struct, frozen=True):
    """The `o=` line: which session this is, and which version of it (RFC 8866 section 5.2)."""

    username: str = "-"
    session_id: int = 0
    version: int = 0
    address: str = "0.0.0.0"
    address_type: str = "IP4"

    def __str__(self) -> str:
        return f"{self.username} {self.session_id} {self.version} IN {self.address_type} {self.address}"


class _Attributed(msgspec.Struct, frozen=True, kw_only=True):
    attributes: Attributes = ()

    def attribute(self, name: str) -> str | None:
        """The value of the first attribute of that name; "" for one without a value; None if absent."""
        for known, value in self.attributes:
            if known == name:
                return value or ""
        return None

    def all(self, name: str) -> list[str]:
        """The values of all attributes of that name."""
        return [value or "" for known, value in self.attributes if known == name]


class Media(_Attributed, frozen=True, kw_only=True):
    """One `m=` section. `port` 0 means that it is refused or over (RFC 3264 section 6); `host` is what its
    own `c=` says, "" where it has none; `title` is `i=`. Attribute names are lower-case."""

    media: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    count: int = 1
    host: str = ""
    title: str = ""

    def refused(self) -> Media:
        """What an answer says to a stream that is not taken: the same with port 0 (RFC 3264 section 6)."""
        return Media(media=self.media, port=0, protocol=self.protocol, formats=self.formats)


class Description(_Attributed, frozen=True, kw_only=True):
    """A whole one. `host` is what the session's `c=` says, "" where there is none."""

    origin: Origin
    media: tuple[Media, ...] = ()
    name: str = "-"
    host: str = ""

    def host_of(self, media: Media) -> str:
        """Where a section's `c=` points (RFC 8866 section 5.7)."""
        return media.host or self.host

    def encode(self) -> bytes:
        """As it goes on the wire. Raises LocalProtocolError for a line end in anything."""
        lines = ["v=0", f"o={self.origin}", f"s={self.name or '-'}"]
        if self.host:
            lines.append(_connection(self.host))
        lines.append("t=0 0")
        lines += _attribute_lines(self.attributes)
        for media in self.media:
            count = f"/{media.count}" if media.count > 1 else ""
            formats = " ".join(media.formats)
            lines.append(f"m={media.media} {media.port}{count} {media.protocol} {formats}")
            if media.title:
                lines.append(f"i={media.title}")
            if media.host:
                lines.append(_connection(media.host))
            lines += _attribute_lines(media.attributes)
        if any(_UNWRITABLE.search(line) for line in lines):
            raise LocalProtocolError("a line end inside a session description")
        return ("\r\n".join(lines) + "\r\n").encode("utf-8", "replace")


def address_type(host: str) -> str:
    """`IP6` for an IPv6 literal, else `IP4`: for a name it says nothing, and IP4 is what peers expect."""
    return "IP6" if ":" in host else "IP4"


def parse_sdp(data: bytes) -> Description:
    """Read a description; raises SdpError."""
    if len(data) > MAX_BYTES:
        raise SdpError("the session description is too long", "413")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # a=charset is nobody's; free text is all that could be wrong
    lines = [line.rstrip("\r") for line in text.split("\n")]
    if len(lines) > MAX_LINES:
        raise SdpError("the session description has too many lines", "413")
    reader = _Reader()
    for line in lines:
        if line.strip():
            reader.read(line)
    return reader.finish()


class _Section:
    """What is collected for the session, or for one media line."""

    __slots__ = ("attributes", "head", "host", "title")

    def __init__(self, head: str = "") -> None:
        self.head = head
        self.host = ""
        self.title = ""
        self.attributes: list[tuple[str, str | None]] = []


class _Reader:
    """Line after line."""

    def __init__(self) -> None:
        self._version = False
        self._origin: Origin | None = None
        self._name = ""
        self._session = _Section()
        self._media: list[_Section] = []
        self._section = self._session

    def read(self, line: str) -> None:
        kind, equals, value = line[:1], line[1:2], line[2:]
        if equals != "=" or not kind.isascii() or not kind.isalpha():
            raise SdpError("a line of the session description has no type")
        if len(line) > MAX_LINE:
            raise SdpError("a line of the session description is too long", "413")
        if "\0" in line:
            raise SdpError("a NUL in the session description")
        if kind == "v":
            if value.strip() != "0":
                raise SdpError("a version of SDP that is not 0")
            self._version = True
        elif kind == "o":
            self._origin = _origin(value)
        elif kind == "s":
            self._name = value.strip()
        elif kind == "c":
            self._section.host = _host(value)
        elif kind == "m":
            if len(self._media) >= MAX_MEDIA:
                raise SdpError("too many media lines", "413")
            self._section = _Section(value)
            self._media.append(self._section)
        elif kind == "i":
            self._section.title = value.strip()
        elif kind == "a":
            name, colon, rest = value.partition(":")
            name = name.strip().lower()  # QUIRK: names are case-sensitive, but no two differ by case alone
            if not _TOKEN.fullmatch(name):
                raise SdpError("a malformed attribute")
            self._section.attributes.append((name, rest.strip() if colon else None))
        # Everything else (t b k r z u e p, and what is not known: RFC 8866 section 5) changes nothing here.

    def finish(self) -> Description:
        if not self._version:
            raise SdpError("no session description")
        if self._origin is None:
            raise SdpError("a session description without an origin")
        return Description(
            origin=self._origin,
            media=tuple(_media(section) for section in self._media),
            name=self._name or "-",
            host=self._session.host,
            attributes=tuple(self._session.attributes),
        )


def _origin(value: str) -> Origin:
    parts = value.split()
    if len(parts) != 6 or not (_NUMBER.fullmatch(parts[1]) and _NUMBER.fullmatch(parts[2])):
        raise SdpError("a malformed origin line")
    return Origin(parts[0], int(parts[1]), int(parts[2]), parts[5].lower(), parts[4].upper())


def _host(value: str) -> str:
    parts = value.split()
    if len(parts) != 3 or parts[0].upper() != "IN":
        raise SdpError("a malformed connection line")
    return parts[2].partition("/")[0].lower()  # a multicast TTL


def _media(section: _Section) -> Media:
    parts = section.head.split()
    if len(parts) < 4:
        # QUIRK(some Microsoft clients): `m=x-ms-message 5060 sip null` has four; fewer is nobody's.
        raise SdpError("a malformed media line")
    port, slash, count = parts[1].partition("/")
    if not (_NUMBER.fullmatch(port) and int(port) < 65_536 and (not slash or _NUMBER.fullmatch(count))):
        raise SdpError("a malformed port in a media line")
    if not (_TOKEN.fullmatch(parts[0]) and _TOKEN.fullmatch(parts[2])):
        raise SdpError("a malformed media line")
    return Media(
        media=parts[0].lower(),
        port=int(port),
        count=min(int(count), 65_535) if slash else 1,
        protocol=parts[2],
        formats=tuple(parts[3:]),
        host=section.host,
        title=section.title,
        attributes=tuple(section.attributes),
    )


def _connection(host: str) -> str:
    return f"c=IN {address_type(host)} {host}"


def _attribute_lines(attributes: Iterable[tuple[str, str | None]]) -> list[str]:
    return [f"a={name}" if value is None else f"a={name}:{value}" for name, value in attributes]
