"""Where to send a request: RFC 3263, as questions to DNS and a list of targets to try in order.

`search` is pure: it yields what it wants to know and is sent the records; `locate` asks a resolver for it.
The security of a target (which name its certificate must prove) always follows the domain that was asked for,
never what DNS answered (RFC 5922 section 4). `maddr` is ignored: nobody but the operator says where our
requests go.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from ipaddress import ip_address
from typing import Any

import msgspec

from rialto.model.address import ascii_domain
from rialto.model.errors import Reason, Refused, Unreachable
from rialto.net.dns import NoSuchDomain, Resolver, TemporaryFailure
from rialto.net.srv import SrvRecord, not_offered, order_srv, sip_services
from rialto.networks.sip.settings import DEFAULT_PORTS
from rialto.networks.sip.wire import Uri

MAX_TARGETS = 16

_SRV = {"tls": "_sips._tcp.", "tcp": "_sip._tcp.", "udp": "_sip._udp."}


class Target(msgspec.Struct, frozen=True, cache_hash=True):
    """One address to send to. `name` is what a TLS certificate must prove."""

    transport: str
    host: str
    port: int
    name: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}:{host}:{self.port}"


class Question(msgspec.Struct, frozen=True):
    """`kind` is `naptr`, `srv` or `addresses`."""

    kind: str
    name: str


Records = Sequence[Any] | None
"""What was found; None where the name does not exist."""

Search = Generator[Question, Records, list[Target]]


def transport_of(uri: Uri, transports: Sequence[str]) -> str | None:
    """The transport that a URI itself decides, or None; raises Refused for one that we don't speak."""
    wanted = (uri.param("transport") or "").lower()
    secure = uri.scheme == "sips"
    if not wanted:
        return None
    if wanted == "tls" or (
        secure and wanted == "tcp"
    ):  # RFC 3261 section 26.2.2: transport=tls is deprecated, and used
        wanted = "tls"
    if wanted not in DEFAULT_PORTS or (secure and wanted != "tls"):
        raise Refused(Reason.NOT_SUPPORTED, f"no transport {wanted!r} for {uri.scheme}: here")
    return wanted


def search(uri: Uri, transports: Sequence[str], random: Callable[[], float], name: str = "") -> Search:
    """Find the targets for a SIP URI (RFC 3263 section 4).

    `transports` are those that may be used, best first; `name` replaces the name for TLS. Raises
    DeliveryError.
    """
    host = ascii_domain(uri.host)
    secure = uri.scheme == "sips"
    name = name or uri.host
    allowed = ["tls"] if secure else list(transports)
    transport = transport_of(uri, transports)
    numeric = _numeric(host)

    if numeric or uri.port is not None:  # sections 4.1 and 4.2: nothing to look up but the address
        if transport is None:
            transport = "tls" if secure else "udp" if "udp" in allowed else allowed[0]
        return (yield from _addresses([(transport, host, uri.port or DEFAULT_PORTS[transport])], name))

    if transport is not None:
        records = yield Question("srv", _SRV[transport] + host)
        if records:
            return (yield from _from_srv(transport, records, random, name))
        return (yield from _addresses([(transport, host, DEFAULT_PORTS[transport])], name))

    found: list[Target] = []
    naptr = yield Question("naptr", host)
    services = [(t, srv) for t, srv in sip_services(naptr or ()) if t in allowed]
    refused = False
    if not services:  # section 4.1: without NAPTR, by SRV, in our order of preference
        services = [(t, _SRV[t] + host) for t in allowed]
    for offered, srv_name in services:
        records = yield Question("srv", srv_name)
        if not records:
            continue
        if not_offered(records):
            refused = True
            continue
        found += yield from _from_srv(offered, records, random, name)
        if len(found) >= MAX_TARGETS:
            break
    if found:
        return found[:MAX_TARGETS]
    if refused:
        raise Refused(Reason.DOMAIN_NOT_FOUND, f"{host} says that it offers no SIP")
    transport = "tls" if secure else "udp" if "udp" in allowed else allowed[0]
    return (yield from _addresses([(transport, host, DEFAULT_PORTS[transport])], name))


def _from_srv(transport: str, records: Sequence[SrvRecord], random: Callable[[], float], name: str) -> Search:
    if not_offered(records):
        raise Refused(Reason.DOMAIN_NOT_FOUND, f"{name} says that it offers no SIP over {transport}")
    hops = [(transport, record.target, record.port) for record in order_srv(records, random)]
    return (yield from _addresses(hops[:MAX_TARGETS], name, certain=False))


def _addresses(hops: Sequence[tuple[str, str, int]], name: str, certain: bool = True) -> Search:
    """The addresses of each hop, in order. `certain`: no host means no domain."""
    targets: list[Target] = []
    for transport, host, port in hops:
        if _numeric(host):
            targets.append(Target(transport, host.strip("[]"), port, name))
            continue
        for address in (yield Question("addresses", host)) or ():
            targets.append(Target(transport, address, port, name))
    if not targets:
        if certain:
            raise Refused(Reason.DOMAIN_NOT_FOUND, f"{name} can not be found")
        raise Unreachable(Reason.UNREACHABLE, f"the servers of {name} have no addresses")
    return targets[:MAX_TARGETS]


def _numeric(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


async def locate(
    resolver: Resolver, uri: Uri, transports: Sequence[str], random: Callable[[], float], name: str = ""
) -> list[Target]:
    """Ask DNS what `search` wants to know. Raises DeliveryError."""
    try:
        searching = search(uri, transports, random, name)
        question = next(searching)
        while True:
            question = searching.send(await _ask(resolver, question))
    except StopIteration as done:
        targets: list[Target] = done.value
        return targets
    except TemporaryFailure as error:
        raise Unreachable(
            Reason.UNREACHABLE, f"{uri.host} can not be looked up just now", detail=str(error)
        ) from error
    except UnicodeError as error:
        raise Refused(Reason.DOMAIN_NOT_FOUND, f"{uri.host} is no domain", detail=str(error)) from error


async def _ask(resolver: Resolver, question: Question) -> Records:
    asked = question.name
    try:
        if question.kind == "srv":
            return (await resolver.srv(asked)).records
        if question.kind == "naptr":
            try:
                return (await resolver.naptr(asked)).records
            except TemporaryFailure:  # QUIRK: forwarders that answer SERVFAIL to types they don't know
                return None
        return (await resolver.addresses(asked)).records
    except NoSuchDomain:
        return None
