"""MIME entities within a body: multipart, transfer encodings, character sets (RFC 2045, RFC 2046).

What it takes for instant messages, and bounded (how deep multiparts may stand in one another is for whoever
asks to say). Reading is lenient: bare LF, a preamble, a missing last boundary. Character sets come from a
list: not every codec that a program finds under a name decodes text.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Iterable
from typing import Final

import msgspec

MAX_PARTS: Final = 32
MAX_PART_HEADERS: Final = 32
MAX_HEAD_BYTES: Final = 8_192

_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]", re.ASCII)
_ENDS_IN_SPACE: Final = re.compile(rb"[ \t]*(?:\r?\n|\Z)")


class MimeError(ValueError):
    """What is no MIME entity, or has more in it than anybody needs."""


class UnknownCharset(ValueError):
    """A character set that is not read here."""


class Part(msgspec.Struct, frozen=True):
    """An entity: its headers (names in lower case) in order, and its content as it stands."""

    headers: tuple[tuple[str, str], ...]
    content: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name, which is in lower case."""
        return next((value for key, value in self.headers if key == name), None)


# -- multipart -------------------------------------------------------------------------------------


def read_multipart(data: bytes, boundary: str) -> list[Part]:
    """The parts, in order (RFC 2046 section 5.1). Raises MimeError."""
    if not _BOUNDARY.fullmatch(boundary):
        raise MimeError("no boundary")
    mark = b"--" + boundary.encode("ascii")
    parts: list[Part] = []
    begin = -1
    at = 0 if data.startswith(mark) else _next_mark(data, mark, 0)
    while at >= 0:
        end = at + len(mark)
        last = data.startswith(b"--", end)
        closes = _ENDS_IN_SPACE.match(data, end + 2 if last else end)
        if closes is None:  # another boundary, of which ours is only the beginning
            at = _next_mark(data, mark, end)
            continue
        if begin >= 0:
            parts.append(_part(_without_line_end(data[begin:at])))
            if len(parts) > MAX_PARTS:
                raise MimeError(f"more than {MAX_PARTS} parts")
        if last:
            begin = -1
            break
        begin = closes.end()
        # An empty part's mark may stand right behind.
        at = begin if data.startswith(mark, begin) else _next_mark(data, mark, begin)
    if begin >= 0:  # nobody closed it
        parts.append(_part(_without_line_end(data[begin:])))
    if not parts:
        raise MimeError("no part")
    return parts


def write_multipart(parts: Iterable[Part], boundary: str) -> bytes:
    """The body of a multipart; raises MimeError where the boundary stands in a part."""
    mark = b"--" + boundary.encode("ascii")
    lines: list[bytes] = []
    for part in parts:
        if mark in part.content:
            raise MimeError("the boundary stands in the content")
        lines.append(mark)
        lines += [f"{_NAMES.get(name, name)}: {value}".encode() for name, value in part.headers]
        lines += [b"", part.content]
    lines += [mark + b"--", b""]
    return b"\r\n".join(lines)


_NAMES: Final = {
    "content-type": "Content-Type",
    "content-disposition": "Content-Disposition",
    "content-language": "Content-Language",
    "content-transfer-encoding": "Content-Transfer-Encoding",
    "content-id": "Content-ID",
}


def _next_mark(data: bytes, mark: bytes, start: int) -> int:
    """Where the next line begins with the mark; -1 for nowhere."""
    at = data.find(b"\n" + mark, max(0, start - 1))
    return at + 1 if at >= 0 else -1


def _without_line_end(data: bytes) -> bytes:
    """Without the line end that belongs to the boundary behind it (RFC 2046 section 5.1.1)."""
    return data.removesuffix(b"\n").removesuffix(b"\r")


def _part(data: bytes) -> Part:
    headers: list[tuple[str, str]] = []
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        raw = data[start:end].removesuffix(b"\r")
        start = end + 1
        if not raw:
            return Part(tuple(headers), data[start:])
        if start > MAX_HEAD_BYTES or len(headers) >= MAX_PART_HEADERS:
            raise MimeError("too many headers in a part")
        line = raw.decode("utf-8", "replace")
        if line[0] in " \t" and headers:
            name, value = headers[-1]
            headers[-1] = (name, f"{value} {line.strip()}")
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise MimeError("a part without an empty line behind its headers")
        headers.append((name.strip().lower(), value.strip()))
    return Part(tuple(headers), b"")


# -- transfer encodings ----------------------------------------------------------------------------


def decode_transfer(data: bytes, encoding: str | None) -> bytes:
    """Undo a Content-Transfer-Encoding (RFC 2045 section 6). Raises MimeError."""
    name = (encoding or "").strip().lower()
    if name in ("", "7bit", "8bit", "binary", "identity"):
        return data
    if name == "base64":
        try:
            return base64.b64decode(b"".join(data.split()), validate=True)
        except (ValueError, binascii.Error):
            raise MimeError("base64 that is none") from None
    if name == "quoted-printable":
        return quopri.decodestring(data)
    raise MimeError("an unknown transfer encoding")


# -- character sets --------------------------------------------------------------------------------

_CHARSETS: Final = {
    **{f"iso-8859-{number}": f"iso8859_{number}" for number in (*range(1, 12), *range(13, 17))},
    **{f"windows-125{number}": f"cp125{number}" for number in range(9)},
    **{f"cp125{number}": f"cp125{number}" for number in range(9)},
    "us-ascii": "utf-8",  # whoever says so and writes more, mostly means this
    "ascii": "utf-8",
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "utf-32": "utf-32",
    "utf-32le": "utf-32-le",
    "utf-32be": "utf-32-be",
    "ucs-2": "utf-16-be",
    "iso-10646-ucs-2": "utf-16-be",
    "latin1": "iso8859_1",
    "koi8-r": "koi8_r",
    "koi8-u": "koi8_u",
    "big5": "big5",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "shift_jis": "cp932",
    "euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp",
    "euc-kr": "cp949",
    "tis-620": "tis_620",
    "macintosh": "mac_roman",
}


def decode_text(data: bytes, charset: str | None) -> str:
    """The text, with LF for line ends. Raises UnknownCharset.

    A byte order mark is no text. What is not what it is said to be is read as Latin-1, in which nothing is
    lost (QUIRK(old phones): many never say, and do not write UTF-8).
    """
    name = (charset or "utf-8").strip("\"' ").lower()
    codec = _CHARSETS.get(name)
    if codec is None:
        raise UnknownCharset("a character set that is not read here")
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if text[:1] == "\ufeff":
        text = text[1:]
    return text.replace("\r\n", "\n") if "\r" in text else text
