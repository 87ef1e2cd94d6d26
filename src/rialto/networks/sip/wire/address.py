"""A name and the URI behind it, with header parameters: From, To, Contact, Route, P-Asserted-Identity."""

from __future__ import annotations

import msgspec

from rialto.networks.sip.wire.uri import Uri


class NameAddr(msgspec.Struct, frozen=True):
    """`"display" <uri>;params`; immutable.

    `display` is plain text (unquoted, unescaped), "" when absent. `params` are header parameters in
    order, names lower-case, quoted values unquoted, None for a parameter without a value.
    """

    uri: Uri
    display: str = ""
    params: tuple[tuple[str, str | None], ...] = ()

    def param(self, name: str) -> str | None:
        """The value of a header parameter; "" for one without a value; None if it is absent."""
        raise NotImplementedError

    @property
    def tag(self) -> str | None:
        """The `tag` parameter of From and To."""
        raise NotImplementedError

    @property
    def gr(self) -> str | None:
        """Which instance is meant: `gr` of the URI, or of the header as many examples write it.

        RFC 5627 section 4 puts it inside the angle brackets; examples in RFC 7572 and others outside.
        """
        raise NotImplementedError

    def with_tag(self, tag: str) -> NameAddr:
        """The same with this tag."""
        raise NotImplementedError

    def __str__(self) -> str:
        """As it stands in a header; the URI always in angle brackets."""
        raise NotImplementedError


def parse_name_addr(text: str) -> NameAddr:
    """Read one name-addr or addr-spec with header parameters; raises AddressError."""
    raise NotImplementedError


def parse_name_addrs(text: str) -> list[NameAddr]:
    """Read a comma-separated list of them (Contact, Route, ...); raises AddressError."""
    raise NotImplementedError
