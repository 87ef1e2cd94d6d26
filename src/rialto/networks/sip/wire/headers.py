"""Names and grammar of headers: canonical spelling, compact forms, lists, parameters, media types.

Everything here works on one header value, already unfolded. Functions that read raise ValueError with a
text that may be shown to the peer (it never repeats what the peer wrote).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec

Params = tuple[tuple[str, str | None], ...]


def words(text: str) -> frozenset[str]:
    """A table of names, written as prose."""
    return frozenset(text.split())


# RFC 3261 section 20 and the extensions that a gateway for messages and presence meets.
_NAMES: Final = words("""
    Accept Accept-Contact Accept-Encoding Accept-Language Alert-Info Allow Allow-Events Authentication-Info
    Authorization Call-ID Call-Info Contact Content-Disposition Content-Encoding Content-Language
    Content-Length Content-Transfer-Encoding Content-Type CSeq Date Error-Info Event Expires From
    History-Info Identity Identity-Info In-Reply-To Max-Breadth Max-Forwards Min-SE MIME-Version Min-Expires
    Organization P-Asserted-Identity P-Preferred-Identity Path Priority Privacy Proxy-Authenticate
    Proxy-Authorization Proxy-Require Reason Record-Route Refer-To Referred-By Reject-Contact Replaces
    Reply-To Request-Disposition Require Retry-After Route Server Service-Route Session-Expires SIP-ETag
    SIP-If-Match Subject Subscription-State Supported Timestamp To Unsupported User-Agent Via Warning
    WWW-Authenticate
""")

# RFC 3261 section 7.3.3; o u RFC 6665; r RFC 3515; b RFC 3892; a j d RFC 3841; x RFC 4028; y RFC 8224;
# n RFC 4474.
COMPACT: Final = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}

# Headers whose grammar is a comma-separated list: the only ones that may be cut at commas, and the only
# known ones that may stand on several lines (RFC 3261 section 7.3.1).
LISTS: Final = words("""
    Accept Accept-Contact Accept-Encoding Accept-Language Alert-Info Allow Allow-Events Call-Info Contact
    Content-Encoding Content-Language Error-Info History-Info In-Reply-To P-Asserted-Identity
    P-Preferred-Identity Path Proxy-Require Reason Record-Route Reject-Contact Request-Disposition Require
    Route Service-Route Supported Unsupported Via Warning
""")

_LOWER: Final = {name.lower(): name for name in _NAMES} | COMPACT
# The spellings met in practice, so that the parser needs one look-up and no lower().
CANONICAL: Final = {name: name for name in _NAMES} | _LOWER | {c.upper(): n for c, n in COMPACT.items()}

_TOKEN_CHARS: Final = r"A-Za-z0-9\-.!%*_+`'~"  # RFC 3261 section 25.1
_TOKEN: Final = re.compile(rf"[{_TOKEN_CHARS}]+")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_MUST_PAIR: Final = re.compile(r'["\\\x00]')
_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_ELEMENT: Final = re.compile(r'(?:[^",<]++|"(?:[^"\\]|\\.)*+"|<[^>]*+>)*+', re.DOTALL)
# More than gen-value allows: peers write addresses, base64 and URIs without quotes.
_VALUE: Final = r'[^\s;,"<>\\\x00-\x1f\x7f]'
_PLAIN_VALUE: Final = re.compile(rf"{_VALUE}+")
_EMPTY: Final = '""'
_PLAIN_PARAMS: Final = re.compile(rf"(?:;[{_TOKEN_CHARS}]++(?:={_VALUE}*+)?+)++")
_PARAM: Final = re.compile(
    rf'[ \t]*+;[ \t]*+([{_TOKEN_CHARS}]++)[ \t]*+(?:=[ \t]*+("(?:[^"\\]|\\.)*+"|{_VALUE}*+)[ \t]*+)?+',
    re.DOTALL,
)
_AUTH_PARAM: Final = re.compile(
    rf'[ \t]*+,?[ \t]*+([{_TOKEN_CHARS}]++)[ \t]*+=[ \t]*+("(?:[^"\\]|\\.)*+"|{_VALUE}*+)[ \t]*+', re.DOTALL
)


@lru_cache(maxsize=1024)
def canonical(name: str) -> str:
    """The spelling that we use for a header name: `call-id`, `i`, `CALL-ID` -> `Call-ID`.

    A name that we don't know is given back as it is. Raises ValueError for what is no token.
    """
    known = _LOWER.get(name.lower())
    if known is not None:
        return known
    if not _TOKEN.fullmatch(name):
        raise ValueError("a header name is no token")
    return name


@lru_cache(maxsize=1024)
def is_token(text: str) -> bool:
    """Whether `text` is a token (RFC 3261 section 25.1): methods, option tags, header names."""
    return _TOKEN.fullmatch(text) is not None


# NUL is legal as a quoted-pair and nowhere else (RFC 3261 section 25.1; RFC 4475 section 3.1.1.2).
_BARE_NUL: Final = re.compile(r"(?<!\\)\x00")


def has_bare_nul(text: str) -> bool:
    """Whether a NUL stands in `text` without being paired with a backslash."""
    return "\0" in text and _BARE_NUL.search(text) is not None


def split_commas(value: str) -> list[str]:
    """Cut a list at its commas, leaving those in quotes and angle brackets; raises ValueError.

    An empty element is an error (RFC 4475 section 3.1.2.1), an empty value an empty list.
    """
    if not value:
        return []
    if "," not in value:
        return [value]
    if '"' not in value and "<" not in value:
        elements = value.split(",")
    else:
        elements = []
        end = -1
        while end < len(value):
            match = _ELEMENT.match(value, end + 1)
            assert match is not None  # the pattern matches the empty string
            elements.append(match[0])
            end = match.end()
            if end < len(value) and value[end] != ",":
                raise ValueError("unterminated quoted string or angle bracket")
    elements = [element.strip(" \t") for element in elements]
    if "" in elements:
        raise ValueError("empty element in a list")
    return elements


def parse_params(text: str) -> Params:
    """Read `;name=value;name="quoted";flag` (leading `;` included); names lower-case, values unquoted.

    Raises ValueError, also for a name that comes twice (RFC 3261 section 7.3.1).
    """
    params: list[tuple[str, str | None]] = []
    if _PLAIN_PARAMS.fullmatch(text):
        for part in text[1:].split(";"):
            name, _, value = part.partition("=")
            params.append((name.lower(), value or None))
    else:
        position = 0
        while position < len(text):
            match = _PARAM.match(text, position)
            if match is None:
                raise ValueError("malformed parameters")
            value = match[2]
            if value and value[0] == '"':
                value = unquote(value)
            params.append((match[1].lower(), value or None))
            position = match.end()
    if len(params) > 1 and len(dict(params)) != len(params):
        raise ValueError("a parameter comes twice")
    return tuple(params)


def write_params(params: Iterable[tuple[str, str | None]]) -> str:
    """Write header parameters, quoting the values that need it."""
    text = "".join([f";{name}" if value is None else f";{name}={value or _EMPTY}" for name, value in params])
    if _PLAIN_PARAMS.fullmatch(text):  # one look at all of them instead of one at each
        return text
    return "".join(
        [
            f";{name}"
            if value is None
            else f";{name}={value if _PLAIN_VALUE.fullmatch(value) else quote(value)}"
            for name, value in params
        ]
    )


def param(params: Iterable[tuple[str, str | None]], name: str) -> str | None:
    """The value of one parameter; "" for one without a value; None if it is absent."""
    for key, value in params:
        if key == name:
            return value or ""
    return None


def quote(text: str) -> str:
    """A quoted-string; what may stand in one only as a pair (NUL) is paired."""
    return '"' + _MUST_PAIR.sub(r"\\\g<0>", text) + '"'


def unquote(text: str) -> str:
    """The text of a quoted-string (quotes included in `text`); raises ValueError if it is none."""
    match = _QUOTED.fullmatch(text)
    if match is None:
        raise ValueError("unterminated quoted string")
    inner = match[1]
    return _PAIR.sub(r"\1", inner) if "\\" in inner else inner


def take_quoted(text: str) -> tuple[str, str]:
    """A quoted-string at the start of `text`, unquoted, and what follows it; raises ValueError."""
    match = _QUOTED.match(text)
    if match is None:
        raise ValueError("unterminated quoted string")
    return unquote(match[0]), text[match.end() :]


_QVALUE: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?", re.ASCII)


def quality(text: str) -> int:
    """A q value in thousandths, 0 to 1000 (RFC 3261 section 25.1: qvalue); raises ValueError."""
    if not _QVALUE.fullmatch(text):
        raise ValueError("malformed q value")
    whole, _, part = text.partition(".")
    return int(whole) * 1000 + int(part.ljust(3, "0"))


def tokens(value: str) -> list[str]:
    """The option tags of Require, Supported, Unsupported, Allow, ...: a list of tokens; ValueError."""
    elements = split_commas(value)
    if not all(map(is_token, elements)):
        raise ValueError("a list of tokens holds something else")
    return elements


class MediaType(msgspec.Struct, frozen=True):
    """`type/subtype;params`; type, subtype and parameter names are lower-case."""

    type: str
    subtype: str
    params: Params = ()

    @property
    def essence(self) -> str:
        """`type/subtype`."""
        return f"{self.type}/{self.subtype}"

    def param(self, name: str) -> str | None:
        """The value of a parameter; "" for one without a value; None if it is absent."""
        return param(self.params, name)

    def __str__(self) -> str:
        text = self.essence
        for name, value in self.params:
            value = value or ""
            text += f";{name}={value if is_token(value) else quote(value)}"
        return text


@lru_cache(maxsize=256)
def _media_type(text: str) -> MediaType:
    essence, semicolon, rest = text.partition(";")
    kind, _, subtype = essence.partition("/")
    kind, subtype = kind.strip(" \t").lower(), subtype.strip(" \t").lower()
    if not is_token(kind) or not is_token(subtype):
        raise ValueError("malformed media type")
    return MediaType(kind, subtype, parse_params(semicolon + rest) if semicolon else ())


def parse_media_type(text: str) -> MediaType:
    """Read a Content-Type, or one element of Accept; raises ValueError."""
    return _media_type(text) if len(text) <= 256 else _media_type.__wrapped__(text)


class Credentials(msgspec.Struct, frozen=True):
    """`Digest name=value, ...`: a challenge or its answer. `scheme` and names are lower-case.

    The values are not shown by `repr`: some are as good as a password to who listens.
    """

    scheme: str
    params: tuple[tuple[str, str], ...] = ()

    def param(self, name: str) -> str | None:
        """The unquoted value of a parameter; None if it is absent."""
        return param(self.params, name)

    def __repr__(self) -> str:
        return f"Credentials({self.scheme!r}, names={[name for name, _ in self.params]})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("scheme", self.scheme)]


def parse_credentials(text: str) -> Credentials:
    """Read Authorization, Proxy-Authorization, WWW-Authenticate or Proxy-Authenticate; ValueError."""
    scheme, _, rest = text.partition(" ")
    if not is_token(scheme):
        raise ValueError("malformed credentials")
    params: dict[str, str] = {}
    position = 0
    while position < len(rest):
        match = _AUTH_PARAM.match(rest, position)
        if match is None:
            raise ValueError("malformed credentials")
        name, value = match[1].lower(), match[2]
        if name in params:
            raise ValueError("a credentials parameter comes twice")
        params[name] = unquote(value) if value[:1] == '"' else value
        position = match.end()
    return Credentials(scheme.lower(), tuple(params.items()))
