"""The Via header: where an answer must go (RFC 3261 section 20.42, RFC 3581)."""

from __future__ import annotations

import msgspec

MAGIC_COOKIE = "z9hG4bK"  # RFC 3261 section 8.1.1.7


class Via(msgspec.Struct, frozen=True):
    """One Via value; immutable.

    `transport` is upper-case (`UDP`, `TCP`, `TLS`, ...), `host` as in `Uri` (lower-case, no brackets),
    `port` None when absent, `params` in order with lower-case names, None for no value.
    """

    transport: str
    host: str
    port: int | None = None
    params: tuple[tuple[str, str | None], ...] = ()

    def param(self, name: str) -> str | None:
        """The value of a parameter; "" for one without a value; None if it is absent."""
        raise NotImplementedError

    @property
    def branch(self) -> str:
        """The branch, "" if there is none."""
        raise NotImplementedError

    @property
    def has_cookie(self) -> bool:
        """Whether the branch identifies the transaction (RFC 3261 section 17.2.3): magic cookie and more."""
        raise NotImplementedError

    @property
    def sent_by(self) -> str:
        """`host:port` as written."""
        raise NotImplementedError

    @property
    def received(self) -> str | None:
        """The address in `received`, without brackets."""
        raise NotImplementedError

    @property
    def rport(self) -> int | None:
        """The port in `rport`; None if it is absent or still empty."""
        raise NotImplementedError

    def answered_from(self, address: str, port: int) -> Via:
        """This Via as the server that got it from `address`, `port` must note it.

        Adds `received` where the address is not the one in sent-by, or where `rport` is asked for,
        and fills `rport` (RFC 3261 section 18.2.1, RFC 3581 section 4).
        """
        raise NotImplementedError

    def __str__(self) -> str:
        raise NotImplementedError


def parse_via(text: str) -> Via:
    """Read one Via value; raises ValueError."""
    raise NotImplementedError


def parse_vias(text: str) -> list[Via]:
    """Read a comma-separated list of Via values; raises ValueError."""
    raise NotImplementedError
