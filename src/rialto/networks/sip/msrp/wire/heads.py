"""Start lines and header fields of MSRP (RFC 4975 section 9): read leniently, written strictly.

The names of the protocol, its methods and its values keep their case; those of header fields are ABNF
literals, so that any case is read, and the usual one written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rialto.model.errors import AddressError, RemoteProtocolError
from rialto.networks.sip.msrp.wire.uri import MsrpUri, parse_path

MAX_OCTETS: Final = 10**15
"""No message is larger; positions have no more digits than this."""

IDENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-+%=]{3,31}", re.ASCII)
"""Transaction ids and Message-IDs (SES-6)."""

_START: Final = re.compile(
    # QUIRK(anybody): ids of one to three, or up to 64 characters are read all the same.
    r"MSRP ([A-Za-z0-9][A-Za-z0-9.\-+%=]{0,63}) (?:([A-Z]{1,32})|([0-9]{3})(?: ([^\r\n]*))?)",
    re.ASCII,
)
_RANGE: Final = re.compile(r"([0-9]{1,15})-([0-9]{1,15}|\*)/([0-9]{1,15}|\*)", re.ASCII)
_STATUS: Final = re.compile(r"([0-9]{3}) ([0-9]{3})(?: (.*))?", re.ASCII)
_MESSAGE_ID: Final = re.compile(r"[!-~]{1,128}", re.ASCII)
_MAX_FIELDS: Final = 64

PHRASES: Final = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    408: "Request Timeout",
    413: "Message Too Large",
    415: "Unsupported Media Type",
    423: "Interval Out-of-Bounds",
    481: "Session Does Not Exist",
    501: "Unknown Method",
    506: "Session In Use",
}
"""What is said beside a status where nothing better is known."""


class BadHead(RemoteProtocolError):
    """A head that can't be used; `condition` is the status that its sender is told, as text."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`start` counts from 1; `end` and `total` are None where they were `*` (RFC 4975 section 7.1.1)."""

    start: int = 1
    end: int | None = None
    total: int | None = None

    def __str__(self) -> str:
        end = "*" if self.end is None else self.end
        return f"{self.start}-{end}/{'*' if self.total is None else self.total}"


WHOLE: Final = ByteRange()


@dataclass(slots=True)
class Head:
    """A request (`method`) or a response (`status`), without its content.

    `fields` has names in lower case; the values of a field that is there several times stand in lines.
    """

    transaction: str
    method: str = ""
    status: int = 0
    comment: str = ""
    fields: dict[str, str] | None = None

    @property
    def is_request(self) -> bool:
        """Whether it asks for something."""
        return bool(self.method)

    def values(self, name: str) -> list[str]:
        """All values of a field that may be there several times; `name` in lower case."""
        text = (self.fields or {}).get(name)
        return [] if text is None else text.split("\n")

    def one(self, name: str) -> str | None:
        """The value of a field that may be there once. Raises BadHead."""
        text = (self.fields or {}).get(name)
        if text is not None and "\n" in text:
            raise BadHead("400", f"{name} twice")
        return text

    def path(self, name: str) -> tuple[MsrpUri, ...]:
        """A field that is a path, and must be there. Raises BadHead."""
        text = self.one(name)
        if text is None:
            raise BadHead("400", f"no {name}")
        try:
            return parse_path(text)
        except AddressError as error:
            raise BadHead("400", f"{name}: {error}") from None

    def byte_range(self) -> ByteRange | None:
        """Byte-Range, if it is there. Raises BadHead."""
        text = self.one("byte-range")
        if text is None:
            return None
        match = _RANGE.fullmatch(text)
        if match is None or int(match[1]) < 1:
            raise BadHead("400", "Byte-Range")
        return ByteRange(
            int(match[1]),
            None if match[2] == "*" else int(match[2]),
            None if match[3] == "*" else int(match[3]),
        )

    def message_id(self) -> str:
        """Message-ID, which must be there; more is read than may be written. Raises BadHead."""
        text = self.one("message-id")
        if text is None or _MESSAGE_ID.fullmatch(text) is None:
            raise BadHead("400", "Message-ID")
        return text

    def choice(self, name: str, choices: frozenset[str], default: str) -> str:
        """A field that is one of a few words. Raises BadHead."""
        text = self.one(name)
        if text is None:
            return default
        if (word := text.strip().lower()) not in choices:
            raise BadHead("400", name)
        return word

    def reported(self) -> tuple[str, int, str]:
        """Status of a REPORT: namespace, code, words. Raises BadHead."""
        match = _STATUS.fullmatch(self.one("status") or "")
        if match is None:
            raise BadHead("400", "Status")
        return match[1], int(match[2]), match[3] or ""


def parse_start(line: bytes) -> Head:
    """Read a start line. Raises BadHead; what follows it then has no known end."""
    match = _START.fullmatch(line.decode("utf-8", "replace"))
    if match is None:
        raise BadHead("400", "start line")
    if match[2]:
        return Head(match[1], method=match[2])
    return Head(match[1], status=int(match[3]), comment=match[4] or "")


def parse_fields(block: bytes) -> dict[str, str]:
    """Read header fields, as in `Head.fields`. Raises BadHead."""
    fields: dict[str, str] = {}
    if not block:
        return fields
    lines = block.decode("utf-8", "replace").split("\r\n")
    if len(lines) > _MAX_FIELDS:
        raise BadHead("400", "too many header fields")
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or " " in name or "\r" in line or "\n" in line or "\0" in line:
            raise BadHead("400", "header field")
        name, value = name.lower(), value.strip(" \t")
        fields[name] = value if name not in fields else f"{fields[name]}\n{value}"
    return fields


def write_request(transaction: str, method: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """A request without content, whole."""
    return _write(f"MSRP {transaction} {method}", fields, transaction)


def write_response(transaction: str, status: int, comment: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """A response, whole."""
    words = clean(comment) or PHRASES.get(status, "")
    return _write(f"MSRP {transaction} {status}{' ' + words if words else ''}", fields, transaction)


def _write(start: str, fields: Iterable[tuple[str, str]], transaction: str) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"{start}\r\n{lines}-------{transaction}$\r\n".encode()


def clean(text: str) -> str:
    """A text that fits on a line: control characters become spaces."""
    return "".join(character if character.isprintable() else " " for character in text)[:200].strip()
