"""The Via header: where an answer must go (RFC 3261 section 20.42, RFC 3581)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from rialto.model.errors import AddressError
from rialto.networks.sip.wire.headers import Params, param, parse_params, split_commas, write_params
from rialto.networks.sip.wire.uri import parse_host, parse_port, write_hostport

MAGIC_COOKIE: Final = "z9hG4bK"  # RFC 3261 section 8.1.1.7

_VIA: Final = re.compile(
    r"""
    SIP [ \t]*+ / [ \t]*+ 2\.0 [ \t]*+ / [ \t]*+ (?P<transport> [A-Za-z0-9\-.!%*_+`'~]++ ) [ \t]++
    (?: \[ (?P<ipv6> [0-9A-Fa-f:.]{2,64} ) \] | (?P<host> [A-Za-z0-9_] [A-Za-z0-9_.\-]{0,254}+ ) )
    (?: [ \t]*+ : [ \t]*+ (?P<port> [0-9]{1,5} ) )?+
    """,
    re.VERBOSE | re.IGNORECASE,
)


class Via(msgspec.Struct, frozen=True):
    """One Via value; immutable.

    `transport` is upper-case (`UDP`, `TCP`, `TLS`, ...), `host` as in `Uri` (lower-case, no brackets),
    `port` None when absent, `params` in order with lower-case names, None for no value. `head` is what
    stood before the parameters, so that a peer finds its own spelling again in our answer; "" for a Via
    of ours.
    """

    transport: str
    host: str
    port: int | None = None
    params: Params = ()
    head: str = ""

    def param(self, name: str) -> str | None:
        """The value of a parameter; "" for one without a value; None if it is absent."""
        return param(self.params, name)

    @property
    def branch(self) -> str:
        """The branch, "" if there is none."""
        return param(self.params, "branch") or ""

    @property
    def has_cookie(self) -> bool:
        """Whether the branch identifies the transaction (RFC 3261 section 17.2.3): magic cookie and more.

        Where it does not, RFC 2543's matching applies (RFC 4475 sections 3.2.1 and 3.4.1).
        """
        branch = self.branch
        return len(branch) > len(MAGIC_COOKIE) and branch.startswith(MAGIC_COOKIE)

    @property
    def sent_by(self) -> str:
        """`host:port`, lower-case: fit for comparison (RFC 3261 section 17.2.3)."""
        return write_hostport(self.host, self.port)

    @property
    def received(self) -> str | None:
        """The address in `received`, without brackets."""
        value = param(self.params, "received")
        # RFC 5118 section 4.5: about half of the world writes the brackets.
        return value.strip("[]") if value else None

    @property
    def rport(self) -> int | None:
        """The port in `rport`; None if it is absent or still empty."""
        value = param(self.params, "rport")
        try:
            return parse_port(value) if value else None
        except AddressError:
            return None

    def answered_from(self, address: str, port: int) -> Via:
        """This Via as the server that got it from `address`, `port` must note it.

        Adds `received` where the address is not the one in sent-by, or where `rport` is asked for,
        and fills `rport` (RFC 3261 section 18.2.1, RFC 3581 section 4). What the peer claims in
        `received` is replaced.
        """
        wants_port = param(self.params, "rport") is not None
        claims = param(self.params, "received") is not None
        if not wants_port and not claims and self.host == address.lower():
            return self
        params = [p for p in self.params if p[0] not in ("received", "rport")]
        if wants_port or self.host != address.lower():
            params.append(("received", address))
        if wants_port:
            params.append(("rport", str(port)))
        return msgspec.structs.replace(self, params=tuple(params))

    def __str__(self) -> str:
        head = self.head or f"SIP/2.0/{self.transport} {self.sent_by}"
        return head + write_params(self.params)


@lru_cache(maxsize=1024)
def _parse_head(text: str) -> tuple[str, str, int | None]:
    """Transport, host and port: what does not change from one message of a peer to the next."""
    match = _VIA.fullmatch(text)
    if match is None:
        raise ValueError("malformed protocol or sent-by")
    transport, ipv6, host, port = match.groups()
    try:
        return (
            transport.upper(),
            host.lower() if ipv6 is None else parse_host(ipv6),
            None if port is None else parse_port(port),
        )
    except AddressError as error:
        raise ValueError(str(error)) from None


def parse_via(text: str) -> Via:
    """Read one Via value; raises ValueError."""
    head, semicolon, tail = text.partition(";")
    head = head.rstrip(" \t")
    transport, host, port = _parse_head(head)
    return Via(transport, host, port, parse_params(semicolon + tail) if semicolon else (), head)


def parse_top_via(text: str) -> Via:
    """Read the first value of a Via line (checking only that the others are there); raises ValueError."""
    return parse_via(text) if "," not in text else parse_via(split_commas(text)[0])


def parse_vias(text: str) -> list[Via]:
    """Read a comma-separated list of Via values; raises ValueError."""
    return [parse_via(element) for element in split_commas(text)]
