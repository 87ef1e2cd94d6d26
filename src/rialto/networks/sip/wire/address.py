"""A name and the URI behind it, with header parameters: From, To, Contact, Route, P-Asserted-Identity."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from rialto.model.errors import AddressError
from rialto.networks.sip.wire.headers import (
    Params,
    param,
    parse_params,
    quote,
    split_commas,
    take_quoted,
    write_params,
)
from rialto.networks.sip.wire.uri import Uri, parse_uri, unescape

# A display name without quotes should be tokens. People's phones send more than that, which does no harm
# as long as it cannot be mistaken for what comes next; RFC 4475 section 3.1.2.15 has a comma in it.
_LOOSE_NAME: Final = re.compile(r'[^\x00-\x08\x0a-\x1f\x7f",;<>\\]*+')


_CACHED_LENGTH: Final = 512


class NameAddr(msgspec.Struct, frozen=True):
    """`"display" <uri>;params`; immutable.

    `display` is plain text (unquoted, unescaped), "" when absent. `params` are header parameters in
    order, names lower-case, quoted values unquoted, None for a parameter without a value.
    """

    uri: Uri
    display: str = ""
    params: Params = ()

    def param(self, name: str) -> str | None:
        """The value of a header parameter; "" for one without a value; None if it is absent."""
        return param(self.params, name)

    @property
    def tag(self) -> str | None:
        """The `tag` parameter of From and To."""
        return param(self.params, "tag") or None

    @property
    def gr(self) -> str | None:
        """Which instance is meant: `gr` of the URI, or of the header as many examples write it.

        RFC 5627 section 4 puts it inside the angle brackets; examples in RFC 7572 and others outside.
        Raises AddressError for a value that is no UTF-8.
        """
        value = self.uri.gr
        if value is not None:
            return value
        value = param(self.params, "gr")
        return value and unescape(value)

    def with_tag(self, tag: str) -> NameAddr:
        """The same with this tag."""
        kept = tuple(p for p in self.params if p[0] != "tag")
        return NameAddr(self.uri, self.display, (*kept, ("tag", tag)))

    def __str__(self) -> str:
        """As it stands in a header; the URI always in angle brackets."""
        name = f"{quote(self.display)} " if self.display else ""
        return f"{name}<{self.uri}>{write_params(self.params)}"


def parse_name_addr(text: str) -> NameAddr:
    """Read one name-addr or addr-spec with header parameters; raises AddressError."""
    if text.count(">") == 1 and len(text) <= _CACHED_LENGTH:
        # The tag changes with every message, who it is from does not.
        who, bracket, tail = text.partition(">")
        known = _cached_name_addr(who + bracket)
        return NameAddr(known.uri, known.display, _parse_tail(tail)) if tail else known
    return _parse_name_addr(text)


def _parse_name_addr(text: str) -> NameAddr:
    try:
        if text[:1] == '"':
            display, rest = take_quoted(text)
            rest = rest.lstrip(" \t")
            if rest[:1] != "<":
                raise AddressError("a display name without an address")
        else:
            bracket = text.find("<")
            if bracket < 0:
                return _parse_addr_spec(text)
            display, rest = text[:bracket].strip(" \t"), text[bracket:]
            if display and not _LOOSE_NAME.fullmatch(display):
                raise AddressError("malformed display name")
        uri, closing, tail = rest[1:].partition(">")
        if not closing:
            raise AddressError("unterminated angle bracket")
    except ValueError as error:
        raise AddressError(str(error)) from None
    # RFC 4475 section 3.1.2.14: white space next to the brackets may be ignored.
    return NameAddr(parse_uri(uri.strip(" \t")), display, _parse_tail(tail) if tail else ())


_cached_name_addr = lru_cache(maxsize=4096)(_parse_name_addr)


def _parse_tail(text: str) -> Params:
    try:
        return parse_params(text)
    except ValueError as error:
        raise AddressError(str(error)) from None


def _parse_addr_spec(text: str) -> NameAddr:
    # RFC 3261 section 20.10: without brackets, what follows a semicolon belongs to the header, and a URI
    # with a comma or a question mark must not stand here (RFC 4475 section 3.1.2.13).
    uri, semicolon, tail = text.partition(";")
    if "?" in uri or "," in uri:
        raise AddressError("a URI that needs angle brackets")
    return NameAddr(parse_uri(uri.strip(" \t")), "", _parse_tail(semicolon + tail) if semicolon else ())


def parse_name_addrs(text: str) -> list[NameAddr]:
    """Read a comma-separated list of them (Contact, Route, ...); raises AddressError."""
    try:
        return [parse_name_addr(element) for element in split_commas(text)]
    except ValueError as error:
        raise AddressError(str(error)) from None
