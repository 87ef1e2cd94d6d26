"""Which server to try first: SRV and NAPTR records put in order, as pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


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


_SIP_SERVICES = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}  # RFC 3263 section 4.1
_XMPP_PORT = 5269


def order_srv(records: Iterable[SrvRecord], random: Callable[[], float]) -> list[SrvRecord]:
    """By priority, then by weighted lot (RFC 2782); `random` gives [0, 1). Target "." is left out."""
    return _order([(record, record) for record in records if record.target], random)


def order_naptr(records: Iterable[NaptrRecord]) -> list[NaptrRecord]:
    """By order, then preference (RFC 3403 section 4.1)."""
    return sorted(records, key=lambda record: (record.order, record.preference))


def sip_services(records: Iterable[NaptrRecord]) -> list[tuple[str, str]]:
    """(transport, SRV name) of the records that RFC 3263 knows, in order; `udp`, `tcp` or `tls`."""
    return [
        (_SIP_SERVICES[record.service], record.replacement)
        for record in order_naptr(records)
        if record.flags == "s" and record.service in _SIP_SERVICES and record.replacement
    ]


def not_offered(records: Sequence[SrvRecord]) -> bool:
    """True where the one record's target is ".": the service is decidedly not available (RFC 2782)."""
    return len(records) == 1 and not records[0].target


def xmpp_candidates(
    domain: str,
    starttls: Sequence[SrvRecord],
    direct: Sequence[SrvRecord],
    random: Callable[[], float],
) -> list[Candidate]:
    """The records of `_xmpp-server` and `_xmpps-server` in one order; the domain itself where there are none.

    Both sets count as one (XEP-0368 section 3). A domain without records is tried at port 5269 (RFC 6120
    section 3.2.2); one that says "." is not: the list is empty."""
    entries = [
        (record, Candidate(record.target, record.port, direct_tls))
        for records, direct_tls in ((starttls, False), (direct, True))
        for record in records
        if record.target
    ]
    if entries or not_offered(starttls):
        return _order(entries, random)
    return [Candidate(domain, _XMPP_PORT)]


def _order(entries: list[tuple[SrvRecord, T]], random: Callable[[], float]) -> list[T]:
    ordered: list[T] = []
    # Weight 0 first, which gives it a very small chance to be drawn before the others (RFC 2782, "Weight").
    left = sorted(entries, key=lambda entry: (entry[0].priority, entry[0].weight > 0))
    while left:
        group = [entry for entry in left if entry[0].priority == left[0][0].priority]
        drawn = int(random() * (sum(record.weight for record, _ in group) + 1))
        running = 0
        for entry in group:
            running += entry[0].weight
            if running >= drawn:
                break
        ordered.append(entry[1])
        left.remove(entry)
    return ordered
