"""Which server to try first: SRV and NAPTR records put in order, as pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """RFC 2782. `target` without the final dot; "" means decidedly not available here (target ".")."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class NaptrRecord:
    """RFC 3403; names without the final dot; `flags` in lower case, `service` in upper case."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host and port to try; `direct_tls` where TLS begins with the first byte (XEP-0368)."""

    host: str
    port: int
    direct_tls: bool = False


def order_srv(records: Iterable[SrvRecord], random: Callable[[], float]) -> list[SrvRecord]:
    """By priority, and by weighted lot within one (RFC 2782); `random` gives [0, 1). Target "." is left out."""
    raise NotImplementedError


def order_naptr(records: Iterable[NaptrRecord]) -> list[NaptrRecord]:
    """By order, then preference (RFC 3403 section 4.1)."""
    raise NotImplementedError


def sip_services(records: Iterable[NaptrRecord]) -> list[tuple[str, str]]:
    """(transport, SRV name) of the records that RFC 3263 knows, in order; transport is `udp`, `tcp`, `tls`."""
    raise NotImplementedError


def not_offered(records: Sequence[SrvRecord]) -> bool:
    """True where the one record's target is ".": the service is decidedly not available (RFC 2782)."""
    raise NotImplementedError


def xmpp_candidates(
    domain: str,
    starttls: Sequence[SrvRecord],
    direct: Sequence[SrvRecord],
    random: Callable[[], float],
) -> list[Candidate]:
    """The records of `_xmpp-server` and `_xmpps-server` merged as one set (XEP-0368); `domain`:5269 if there are
    none at all (RFC 6120 section 3.2.2); empty where the domain says that it offers no XMPP.
    """
    raise NotImplementedError
