"""Names to records: a thin, cached shell around dnspython, in which "does not exist" and "don't know" differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rialto.model.errors import RialtoError
from rialto.net.srv import Candidate, NaptrRecord, SrvRecord

R = TypeVar("R")


class DnsError(RialtoError):
    """A name could not be turned into records; `name` is what was asked for."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        super().__init__(f"{name}: {text}")


class NoSuchDomain(DnsError):
    """The name does not exist (NXDOMAIN): a final answer."""


class TemporaryFailure(DnsError):
    """No answer, or none that can be used (timeout, SERVFAIL): ask again later."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[R]):
    """Records of one type; empty where the name exists without them. `secure` is the AD flag of the answer."""

    records: tuple[R, ...]
    secure: bool


@dataclass(frozen=True, slots=True)
class TlsaRecord:
    """RFC 6698 section 2.1."""

    usage: int
    selector: int
    matching: int
    data: bytes


class Resolver:
    """Asks name servers, and remembers the answers (also the negative ones) for as long as they live."""

    def __init__(
        self,
        servers: Sequence[tuple[str, int]] = (),
        *,
        timeout_s: float = 5.0,
        clock: Callable[[], float] | None = None,
        max_cached: int = 10_000,
    ) -> None:
        """`servers` are (IP address, port), the system's if empty; `clock` gives seconds (default: monotonic)."""
        raise NotImplementedError

    async def addresses(self, name: str) -> Answer[str]:
        """IPv6 and IPv4 addresses by turns, IPv6 first; an IP address (also in brackets) is its own answer.

        This and all others raise `NoSuchDomain` or `TemporaryFailure`.
        """
        raise NotImplementedError

    async def srv(self, name: str) -> Answer[SrvRecord]:
        """SRV records of `_service._proto.domain`, unordered (see `rialto.net.srv.order_srv`)."""
        raise NotImplementedError

    async def naptr(self, name: str) -> Answer[NaptrRecord]:
        """NAPTR records, unordered."""
        raise NotImplementedError

    async def tlsa(self, name: str) -> Answer[TlsaRecord]:
        """TLSA records of `_port._tcp.host`; worth something only if `secure`."""
        raise NotImplementedError

    def forget(self) -> None:
        """Empty the cache."""
        raise NotImplementedError


async def find_xmpp(resolver: Resolver, domain: str, random: Callable[[], float]) -> list[Candidate]:
    """Where a domain's XMPP server is, in the order in which to try; empty where it says that it has none.

    Raises `NoSuchDomain` (no SRV, and the fallback name does not exist either) or `TemporaryFailure`.
    """
    raise NotImplementedError
