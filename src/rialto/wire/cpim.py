"""message/cpim: a message with its own envelope (RFC 3862).

Three blocks, each ended by an empty line: (the MIME headers of whatever carries it, which are not ours,) the
CPIM headers, and an encapsulated MIME entity. Reading is lenient where senders are known to be careless: a
missing empty line between the two header blocks (as in every example of RFC 7702), parameters behind `<uri>`,
names in the wrong case, bare LF. Writing is strict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

MEDIA_TYPE = "message/cpim"
NAMESPACE = "urn:ietf:params:cpim-headers:"  # section 4; section 6 of the RFC misspells it
IMDN = "urn:ietf:params:imdn"  # RFC 5438

MAX_HEADERS = 64
MAX_HEAD_BYTES = 16_384

_HEADER = re.compile(
    r"(?:([A-Za-z0-9!#$%&'*+^_`|~-]+)\.)?([A-Za-z0-9!#$%&'*+^_`|~-]+):((?:;[^ ]*)?) ?(.*)\Z", re.DOTALL
)
_ADDRESS = re.compile(r'\s*(?:"(.*)"|([^<"]*?))\s*<([^>]*)>', re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.|\Z)", re.DOTALL)
_LETTERS = {"b": "\b", "t": "\t", "n": "\n", "r": "\r"}
_OUT = {"\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_KNOWN = {name.lower(): name for name in ("From", "To", "cc", "DateTime", "Subject", "NS", "Require")}


class CpimError(ValueError):
    """A text that is no message/cpim, or one that requires what we do not know."""


class Header(msgspec.Struct, frozen=True):
    """One CPIM header: `namespace` (a URI), `name`, unescaped `value`, and `language` where `;lang=` was
    given."""

    name: str
    value: str
    namespace: str = NAMESPACE
    language: str = ""


class Cpim(msgspec.Struct, frozen=True):
    """One message/cpim: CPIM headers in order, the headers of the entity within (names in lower case), its
    content."""

    headers: tuple[Header, ...]
    content_headers: tuple[tuple[str, str], ...]
    content: bytes

    def get(self, name: str, namespace: str = NAMESPACE) -> Header | None:
        """The first header of that name and namespace."""
        for header in self.headers:
            if header.name == name and header.namespace == namespace:
                return header
        return None

    def content_header(self, name: str) -> str | None:
        """A header of the entity within."""
        name = name.lower()
        return next((value for key, value in self.content_headers if key == name), None)


def parse_address(value: str) -> tuple[str, str]:
    """(formal name, URI) of a From, To or cc, whose escapes have been undone; raises CpimError. What stands
    behind the `>` is left out."""
    match = _ADDRESS.match(value)
    if match is None:
        raise CpimError(f"no <URI> in {value[:60]!r}")
    quoted, plain, uri = match.groups()
    return (quoted if quoted is not None else plain.strip()), uri.strip()


def write_address(name: str, uri: str) -> str:
    """The value of a From, To or cc as it stands on the wire; the formal name is a quoted string (section
    3.6). Neither may have control characters in it."""
    if not name:
        return f"<{uri}>"
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{uri}>'


def unescape(text: str) -> str:
    """Section 2.3: an unknown escape is the character itself, a lone backslash at the end is nothing."""
    if "\\" not in text:
        return text

    def one(match: re.Match[str]) -> str:
        code = match.group(1)
        if len(code) == 5:
            return chr(int(code[1:], 16))
        return _LETTERS.get(code, code)

    return _ESCAPE.sub(one, text)


def escape(text: str) -> str:
    """Section 2.3: the backslash and control characters, nothing else."""
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        _OUT.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 0x20 or ord(c) == 0x7F else c) for c in text
    )


def parse(data: bytes, understood: Iterable[str] = ("From", "To", "DateTime", "Subject", "NS", "cc")) -> Cpim:
    """Read one message/cpim body.

    Raises CpimError, also where `Require` names a header that is not in `understood` (CPM-10).
    """
    head, rest = _cut(data)
    headers: list[Header] = []
    content_headers: list[tuple[str, str]] = []
    prefixes = {"": NAMESPACE}
    for line in head:
        if line[:8].lower() == "content-":  # the empty line was forgotten
            content_headers.append(_mime_header(line))
            continue
        headers.append(_cpim_header(line, prefixes))
    if not content_headers:
        head, rest = _cut(rest)
        content_headers = _mime_headers(head)
    for header in headers:
        if header.name == "Require" and header.namespace == NAMESPACE:
            known = {name.lower() for name in understood}
            for wanted in header.value.split(","):
                name = wanted.strip().rpartition(".")[2].lower()
                if name and name not in known:
                    raise CpimError(f"requires {wanted.strip()[:60]!r}")
    return Cpim(tuple(headers), tuple(content_headers), rest)


def build(cpim: Cpim) -> bytes:
    """Write it, strictly; raises CpimError for names that can't stand in a header."""
    prefixes = {NAMESPACE: ""}
    lines: list[str] = []
    for header in cpim.headers:
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+^_`|~-]+", header.name):
            raise CpimError(f"{header.name!r} is no header name")
        if header.name == "NS" and header.namespace == NAMESPACE:
            declared, uri = parse_address(header.value)
            prefixes.setdefault(uri, declared)
        prefix = prefixes.get(header.namespace)
        if prefix is None:
            prefix = prefixes[header.namespace] = "imdn" if header.namespace == IMDN else f"ns{len(prefixes)}"
            lines.append(f"NS: {prefix} <{header.namespace}>")
        name = f"{prefix}.{header.name}" if prefix else header.name
        language = f";lang={header.language}" if header.language else ""
        lines.append(f"{name}:{language} {escape(header.value)}")
    lines.append("")
    names = {"content-type": "Content-Type", "content-language": "Content-Language"}
    for key, value in cpim.content_headers:
        if not value.isprintable():
            raise CpimError(f"a control character in {key}")
        lines.append(f"{names.get(key, key)}: {value}")
    lines += ["", ""]
    return "\r\n".join(lines).encode("utf-8") + cpim.content


def _cut(data: bytes) -> tuple[list[str], bytes]:
    """The lines up to the first empty one, and what follows that."""
    lines: list[str] = []
    start = 0
    while True:
        end = data.find(b"\n", start)
        if end < 0:
            raise CpimError("no empty line behind the headers")
        line = data[start:end].removesuffix(b"\r")
        start = end + 1
        if not line:
            return lines, data[start:]
        if start > MAX_HEAD_BYTES or len(lines) >= MAX_HEADERS:
            raise CpimError("too many headers")
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            raise CpimError("headers that are no UTF-8") from None


def _cpim_header(line: str, prefixes: dict[str, str]) -> Header:
    match = _HEADER.match(line)
    if match is None:
        raise CpimError(f"{line[:60]!r} is no header")
    prefix, name, params, value = match.groups()
    language = ""
    for param in params.split(";")[1:]:
        key, _, text = param.partition("=")
        if key.lower() == "lang":
            language = text
    namespace = prefixes.get(prefix or "")
    if namespace is None:
        namespace = f"undeclared:{prefix}"
    if namespace == NAMESPACE:
        name = _KNOWN.get(name.lower(), name)
        if name == "NS":
            declared, uri = parse_address(value)
            prefixes[declared] = uri
    return Header(name, unescape(value.strip()), namespace, language)


def _mime_headers(lines: list[str]) -> list[tuple[str, str]]:
    unfolded: list[str] = []
    for line in lines:
        if line[0] in " \t" and unfolded:
            unfolded[-1] += " " + line.strip()
        else:
            unfolded.append(line)
    return [_mime_header(line) for line in unfolded]


def _mime_header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise CpimError(f"{line[:60]!r} is no header")
    return name.strip().lower(), value.strip()
