"""From the bytes of one message to a Request or Response: fast for what is well-formed, safe for what is not.

Only what framing and transactions cannot do without is looked at here: the start line, the names of the
headers, Content-Length. Values stay text until somebody asks for a typed view of them.

The end of a line is CR LF, or LF alone if the start line ends so; a message that mixes them is refused,
since the element before us may have seen other lines in it than we do.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from rialto.networks.sip.wire.errors import BadMessage
from rialto.networks.sip.wire.headers import CANONICAL, canonical, has_bare_nul, is_token
from rialto.networks.sip.wire.message import Request, Response

_BLANK: Final = " \t"
_VERSION: Final = re.compile(r"SIP/[0-9]+\.[0-9]+", re.IGNORECASE)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What is too much: anything above is refused before it is worked on."""

    max_head_bytes: int = 32_768
    max_line_bytes: int = 8_192
    max_headers: int = 256
    max_body_bytes: int = 1_048_576


DEFAULT_LIMITS: Final = Limits()


class Head(msgspec.Struct):
    """What a head gave: a message as far as it could be read, and the first thing wrong with it.

    `framed` is False where it is doubtful which lines there are, Content-Length included.
    """

    message: Request | Response | None
    error: BadMessage | None
    framed: bool = True


def head_separator(data: bytes | bytearray) -> bytes | None:
    """What ends the head of the message at the start of `data`; None while its first line has not ended."""
    end = data.find(b"\n")
    if end < 0:
        return None
    return b"\r\n\r\n" if end > 0 and data[end - 1] == 0x0D else b"\n\n"


def parse_head(head: bytes, limits: Limits = DEFAULT_LIMITS) -> Head:
    """Read start line and headers (without the empty line); never raises."""
    error: BadMessage | None = None
    framed = True
    if len(head) > limits.max_head_bytes:
        error = BadMessage(513, "Header Section Too Large")
        head = head[: limits.max_head_bytes]
    text = _decode(head)
    lines = text.split("\r\n")
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        if "\r" in text:
            error = error or BadMessage(400, "Mixed Line Ends")
            framed = False
        lines = text.replace("\r", "").split("\n")
    if len(lines) - 1 > limits.max_headers:
        error = error or BadMessage(513, "Too Many Headers")
        del lines[limits.max_headers + 1 :]
    if len(text) > limits.max_line_bytes and max(map(len, lines)) > limits.max_line_bytes:
        error = error or BadMessage(513, "Header Line Too Long")
    if "\0" in text:
        # Left out, for what stands in the head of a request may be copied into its answer.
        clean = [line for place, line in enumerate(lines) if not (place and has_bare_nul(line))]
        if len(clean) != len(lines):
            error = error or BadMessage(400, "Malformed Header Line")
            lines = clean
    message, start_error = _parse_start_line(lines[0])
    error = start_error or error
    if message is not None:
        if not _parse_headers(lines, message.headers):
            error = error or BadMessage(400, "Malformed Header Line")
        if error is not None:
            error.message = message
    return Head(message, error, framed)


def _parse_headers(lines: list[str], headers: list[tuple[str, str]]) -> bool:
    """Append what stands in all lines but the first; False if one of them is no header."""
    good = True
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        known = CANONICAL.get(name)
        if known is None:
            if line[:1] in _BLANK and headers:
                # RFC 3261 section 7.3.1: a line that starts with white space continues the one before
                name, value = headers[-1]
                headers[-1] = (name, f"{value} {line.strip(_BLANK)}".strip(_BLANK))
                continue
            try:
                known = canonical(name.rstrip(_BLANK))  # the same section: `Name : value` is legal
            except ValueError:
                colon = ""
        if colon and known:
            headers.append((known, value.strip(_BLANK)))
        else:
            good = False
    return good


def _decode(head: bytes) -> str:
    try:
        return head.decode()
    except UnicodeDecodeError:
        # Old phones write Latin-1. Each line for itself, so that one does not spoil the others.
        return "\n".join(map(_decode_line, head.split(b"\n")))


def _decode_line(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _parse_start_line(line: str) -> tuple[Request | Response | None, BadMessage | None]:
    if line[:4].upper() == "SIP/":
        return _parse_status_line(line)
    # RFC 4475 sections 3.1.2.9 and 3.1.2.10: more spaces than one leave no doubt about what is meant.
    parts = line.split(" ") if line.count(" ") == 2 else line.split()
    if len(parts) < 3 or not is_token(parts[0]):
        return None, BadMessage(400, "Malformed Start Line")
    version = parts[-1]
    if version != "SIP/2.0" and not _VERSION.fullmatch(version):
        return None, BadMessage(400, "Malformed Start Line")
    request = Request(parts[0], " ".join(parts[1:-1]))
    if len(parts) > 3 or not parts[1]:
        # RFC 4475 section 3.1.2.8
        return request, BadMessage(400, "Malformed Request-URI")
    if version != "SIP/2.0" and version.upper() != "SIP/2.0":
        return request, BadMessage(505, "Version Not Supported")
    return request, None


def _parse_status_line(line: str) -> tuple[Response, BadMessage | None]:
    """A response, with status 0 if there is none that can be used."""
    version, _, rest = line.partition(" ")
    # RFC 4475 section 3.1.1.13: the space after the code may be all there is, or not even that.
    code, _, reason = rest.partition(" ")
    if version.upper() != "SIP/2.0":
        return Response(0, reason), BadMessage(505, "Version Not Supported")
    if len(code) != 3 or not (code.isascii() and code.isdigit()) or not "100" <= code <= "699":
        return Response(0, reason), BadMessage(400, "Malformed Status Line")  # RFC 4475 section 3.1.2.19
    return Response(int(code), reason), None


def parse_message(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Request | Response:
    """Read one datagram: leading line ends skipped, bytes after the body ignored.

    Only syntax of the start line, of header lines and of Content-Length is looked at; `validate` looks
    at the rest. Raises BadMessage.
    """
    if data[:1] in (b"\r", b"\n"):
        data = data.lstrip(b"\r\n")  # RFC 3261 section 7.5
    separator = head_separator(data)
    end = -1 if separator is None else data.find(separator)
    if separator is None or end < 0:
        head = parse_head(data, limits)
        raise head.error or BadMessage(400, "Message Ends Inside Its Headers", head.message)
    head = parse_head(data[:end], limits)
    message = head.message
    if head.error is not None or message is None:
        raise head.error or BadMessage(400, "Malformed Start Line")
    start = end + len(separator)
    length = message.content_length
    if length is None:
        length = len(data) - start  # RFC 3261 section 18.3: in a datagram, all the rest
    elif length > len(data) - start:
        raise BadMessage(400, "Content-Length Larger Than Message", message)  # RFC 4475 section 3.1.2.2
    if length > limits.max_body_bytes:
        raise BadMessage(413, "Request Entity Too Large", message)
    message.body = data[start : start + length]
    return message
