"""SIP, SIPS, IM, PRES and TEL URIs, as RFC 3261 section 19.1 and its neighbours write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import msgspec

from rialto.model.errors import AddressError
from rialto.networks.sip.wire.headers import Params, param

MAILBOX_SCHEMES: Final = frozenset({"sip", "sips", "im", "pres"})  # user@host; RFC 3261, 3860, 3859
_CACHED_LENGTH: Final = 256

_MARK: Final = "-_.!~*'()"  # RFC 3261 section 25.1
_USER_SAFE: Final = _MARK + "&=+$,;?/"  # user-unreserved
_PARAM_SAFE: Final = _MARK + "[]/:&+$"  # param-unreserved

_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,254}")
_PORT: Final = re.compile(r"[0-9]{1,5}")

# The grammar of SIP-URI with more characters allowed in the user part than it names: whoever sends
# `#31#` or UTF-8 unescaped is understood. Possessive throughout, so linear in the length.
_MAILBOX: Final = re.compile(
    r"""
    (?: (?P<user> (?: [^\x00-\x20\x7f"<>%@:\\] | %[0-9A-Fa-f]{2} )++ )
        (?: : (?P<password> (?: [^\x00-\x20\x7f"<>%@:\\] | %[0-9A-Fa-f]{2} )*+ ) )?+
        @ )?
    (?: \[ (?P<ipv6> [0-9A-Fa-f:.]{2,64} ) \] | (?P<host> [A-Za-z0-9_] [A-Za-z0-9_.\-]{0,254}+ ) )
    (?: : (?P<port> [0-9]{1,5}+ ) )?+
    (?P<params> (?: ; [^\x00-\x20\x7f"<>@?,;\\]++ )*+ )
    (?: \? (?P<headers> [^\x00-\x20\x7f"<>@,;\\]++ ) )?+
    """,
    re.VERBOSE,
)
_OPAQUE: Final = re.compile(r'([A-Za-z][A-Za-z0-9+.\-]{0,63}):([^\x00-\x20\x7f"<>]++)')
_NUMBER: Final = re.compile(r"\+?[0-9A-Fa-f*#().\-]{1,128}")


class Uri(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
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
    params: Params = ()
    headers: tuple[tuple[str, str], ...] = ()
    opaque: str = ""

    @property
    def user_text(self) -> str | None:
        """The user part with its escapes resolved, as text; raises AddressError if that is no UTF-8.

        It may hold anything that can be escaped, NUL included (RFC 4475 section 3.1.1.4).
        """
        return None if self.user is None else unescape(self.user)

    def param(self, name: str) -> str | None:
        """The value of a parameter as written; "" for one without a value; None if it is absent."""
        return param(self.params, name)

    @property
    def gr(self) -> str | None:
        """The unescaped value of the `gr` parameter (RFC 5627 section 4): which instance is meant.

        "" for a temporary GRUU. Raises AddressError for a value that is no UTF-8.
        """
        value = param(self.params, "gr")
        return value and unescape(value)

    def without(self, *names: str) -> Uri:
        """The same URI without these parameters."""
        return msgspec.structs.replace(self, params=tuple(p for p in self.params if p[0] not in names))

    def with_param(self, name: str, value: str | None = None) -> Uri:
        """The same URI with one more parameter (replacing an older one); `value` as plain text."""
        written = None if value is None else quote(value, safe=_PARAM_SAFE)
        kept = tuple(p for p in self.params if p[0] != name)
        return msgspec.structs.replace(self, params=(*kept, (name, written)))

    @property
    def hostport(self) -> str:
        """`host:port` as it stands in the text, IPv6 in brackets, no port when there is none."""
        return write_hostport(self.host, self.port)

    def equivalent(self, other: Uri) -> bool:
        """Whether both mean the same resource by RFC 3261 section 19.1.4 (which is not transitive)."""
        if self.scheme != other.scheme or self.opaque.lower() != other.opaque.lower():
            return False
        if (
            _plain(self.user) != _plain(other.user)
            or _plain(self.password) != _plain(other.password)
            or _comparable_host(self.host) != _comparable_host(other.host)
            or self.port != other.port
        ):
            return False
        ours, theirs = dict(self.params), dict(other.params)
        for name in ours.keys() | theirs.keys():
            if name in ours and name in theirs:
                if (_plain(ours[name]) or "").lower() != (_plain(theirs[name]) or "").lower():
                    return False
            elif name in _NEVER_IGNORED:
                return False
        return _comparable_headers(self.headers) == _comparable_headers(other.headers)

    def __str__(self) -> str:
        """The URI as text, password included: for the wire only."""
        text = f"{self.scheme}:{self.opaque}"
        if self.user is not None:
            text += self.user if self.password is None else f"{self.user}:{self.password}"
            text += "@"
        text += write_hostport(self.host, self.port)
        for name, value in self.params:
            name = quote(name, safe=_PARAM_SAFE)
            text += f";{name}" if value is None else f";{name}={value}"
        if self.headers:
            text += "?" + "&".join(f"{name}={value}" for name, value in self.headers)
        return text

    def __repr__(self) -> str:
        return f"Uri({self._shown()!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("text", self._shown())]

    def _shown(self) -> str:
        return str(self if self.password is None else msgspec.structs.replace(self, password="***"))


# RFC 3261 section 19.1.4: in one URI alone, these are never ignored.
_NEVER_IGNORED: Final = frozenset({"user", "ttl", "method", "maddr", "transport"})


def _plain(text: str | None) -> str | None:
    """Escapes of characters outside RFC 2396's reserved set resolved, the others in one spelling."""
    if text is None or "%" not in text:
        return text
    return _ESCAPE.sub(_plain_escape, text)


def _plain_escape(escape: re.Match[str]) -> str:
    meant = chr(int(escape[0][1:], 16))
    return meant if meant.isascii() and (meant.isalnum() or meant in _MARK) else escape[0].upper()


def _comparable_host(host: str) -> str:
    return IPv6Address(host).compressed if ":" in host else host


def _comparable_headers(headers: tuple[tuple[str, str], ...]) -> list[tuple[str, str | None]]:
    return sorted((name.lower(), _plain(value)) for name, value in headers)


def write_hostport(host: str, port: int | None) -> str:
    """`host:port`, IPv6 in brackets."""
    if ":" in host:
        host = f"[{host}]"
    return host if port is None else f"{host}:{port}"


def parse_host(text: str) -> str:
    """A host as Uri and Via keep it: lower-case, an IPv6 address without brackets; raises AddressError."""
    if text[:1] == "[" and text[-1:] == "]":
        return _ipv6(text[1:-1])
    if ":" in text:
        return _ipv6(text)
    if not _HOST.fullmatch(text):
        raise AddressError("malformed host")
    return text.lower()


def _ipv6(text: str) -> str:
    # RFC 5118 section 4.10: the grammar of RFC 3261 leads to one colon too many.
    text = text.replace(":::", "::")
    try:
        IPv6Address(text)
    except ValueError:
        raise AddressError("malformed IPv6 address") from None
    if "%" in text:
        raise AddressError("malformed IPv6 address")
    return text.lower()


def parse_port(text: str) -> int:
    """A port number, 1 to 65535; raises AddressError."""
    port = int(text) if _PORT.fullmatch(text) else 0
    if not 0 < port < 65536:
        raise AddressError("malformed port")
    return port


def _parse_uri(text: str) -> Uri:
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in MAILBOX_SCHEMES:
        return _parse_other(text)
    match = _MAILBOX.fullmatch(rest)
    if match is None:
        raise AddressError(f"malformed {scheme} URI")
    user, password, ipv6, host, port, params, headers = match.groups()
    return Uri(
        scheme=scheme,
        user=user,
        password=password,
        host=host.lower() if ipv6 is None else _ipv6(ipv6),
        port=None if port is None else parse_port(port),
        params=_parse_params(params) if params else (),
        headers=_parse_headers(headers) if headers else (),
    )


def _parse_other(text: str) -> Uri:
    match = _OPAQUE.fullmatch(text)
    if match is None:
        raise AddressError("malformed URI")
    scheme, rest = match[1].lower(), match[2]
    if scheme != "tel":
        return Uri(scheme=scheme, opaque=rest)
    number, semicolon, params = rest.partition(";")
    if not _NUMBER.fullmatch(number):  # RFC 3966 section 3
        raise AddressError("malformed tel URI")
    return Uri(scheme=scheme, opaque=number, params=_parse_params(semicolon + params))


def _parse_params(text: str) -> Params:
    params: list[tuple[str, str | None]] = []
    for part in text.split(";")[1:]:
        name, equals, value = part.partition("=")
        # RFC 4475 section 3.1.1.3: escapes in a name are resolved, once.
        name = (unescape(name) if "%" in name else name).lower()
        if not name or ("%" in value and _broken_escape(value)):
            raise AddressError("malformed URI parameter")
        params.append((name, value if equals else None))
    if len(params) > 1 and len(dict(params)) != len(params):
        raise AddressError("a URI parameter comes twice")  # RFC 3261 section 19.1.1
    return tuple(params)


def _parse_headers(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [part.partition("=") for part in text.split("&")]
    if not all(name and equals for name, equals, _ in pairs) or _broken_escape(text):
        raise AddressError("malformed URI headers")
    return tuple((name, value) for name, _, value in pairs)


_cached_uri = lru_cache(maxsize=4096)(_parse_uri)


def parse_uri(text: str) -> Uri:
    """Read a URI of any scheme; raises AddressError."""
    return _cached_uri(text) if len(text) <= _CACHED_LENGTH else _parse_uri(text)


def sip_uri(
    user_text: str | None,
    host: str,
    *,
    scheme: str = "sip",
    port: int | None = None,
    params: Iterable[tuple[str, str | None]] = (),
) -> Uri:
    """Build a URI from plain text, escaping what must be; raises AddressError for an impossible host."""
    uri = Uri(
        scheme=scheme,
        user=None if user_text is None else escape_user(user_text),
        host=parse_host(host),
        port=port,
    )
    for name, value in params:
        uri = uri.with_param(name, value)
    return uri


def escape_user(text: str) -> str:
    """%-escape a user part (RFC 3261 section 25.1: unreserved and user-unreserved stand as they are).

    Raises AddressError for text that has no UTF-8 form.
    """
    try:
        return quote(text, safe=_USER_SAFE)
    except UnicodeEncodeError:
        raise AddressError("a lone surrogate has no place in an address") from None


def _broken_escape(text: str) -> bool:
    return text.count("%") != len(_ESCAPE.findall(text))


def unescape(text: str) -> str:
    """Resolve %-escapes into UTF-8 text; raises AddressError for what is no UTF-8 or no escape."""
    if "%" not in text:
        return text
    if _broken_escape(text):
        raise AddressError("malformed escape")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise AddressError("escapes that are no UTF-8") from None
