"""The DNS: do others find us for the domains that we speak for, and do we find our peers."""

from __future__ import annotations

import random
from ipaddress import ip_address

from rialto.cli.check.findings import Finding, error, ok, warning
from rialto.cli.check.machine import listens
from rialto.config import Config, NetworkConfig
from rialto.core.routing import Routes
from rialto.model.address import ascii_domain
from rialto.model.errors import DeliveryError
from rialto.net.dns import DnsError, NoSuchDomain, Resolver, TemporaryFailure, find_xmpp
from rialto.net.srv import SrvRecord, sip_services
from rialto.networks.sip.locate import locate
from rialto.networks.sip.settings import parse_proxy
from rialto.networks.sip.wire import Uri

RECORDS = {
    "xmpp": (("_xmpp-server._tcp", "tcp"), ("_xmpps-server._tcp", "tls")),
    "sip": (("_sips._tcp", "tls"), ("_sip._tcp", "tcp"), ("_sip._udp", "udp")),
}
"""For each protocol, under which names the world looks for which kind of server."""
WITHOUT_RECORDS = {"xmpp": {("tcp", 5269)}, "sip": {("udp", 5060), ("tcp", 5060)}}
"""And where, at the addresses of the domain itself, if it finds none (RFC 6120 section 3.2.2, RFC 3263)."""


async def names(config: Config, resolver: Resolver) -> list[Finding]:
    """Both ways, for every network that uses the DNS."""
    try:
        return await _names(config, resolver)
    except TemporaryFailure as problem:
        return [error("dns", "name servers", str(problem), "look at them (dns.servers), then check again")]


async def _names(config: Config, resolver: Resolver) -> list[Finding]:
    found: list[Finding] = []
    ours = await _addresses(resolver, config.server.name)
    if not ours:
        found.append(
            warning(
                "dns",
                config.server.name,
                "our own name has no address",
                "publish A and AAAA records for it, or set server.name to one that has",
            )
        )
    else:
        found.append(ok("dns", config.server.name, " ".join(sorted(ours))))
    routes = Routes(config.peers)
    for name, network in config.networks.items():
        if network.protocol not in RECORDS:
            continue
        for domain in sorted(routes.projected(name)):
            if domain != config.server.name and _published(network) and not _is_local(domain):
                found += await _ours(config, network, domain, ours, resolver)
        for peer in network.peers:
            for domain in peer.domains:
                if "*" not in domain:
                    found.append(await _theirs(network, name, domain, peer.settings, resolver))
    return found


def _is_local(domain: str) -> bool:
    """Whether no DNS could say anything of it."""
    if domain == "localhost":
        return True
    try:
        ip_address(domain.strip("[]"))
    except ValueError:
        return False
    return True


def _is_told(network: NetworkConfig) -> bool:
    """Whether every peer's place is written in the configuration: then ours may be written in theirs."""
    return all(
        getattr(peer.settings, "host", "") or getattr(peer.settings, "proxy", "") for peer in network.peers
    )


def _published(network: NetworkConfig) -> bool:
    """A component's domains are published by the server that it belongs to."""
    return any(getattr(peer.settings, "link", "s2s") == "s2s" for peer in network.peers)


async def _ours(
    config: Config, network: NetworkConfig, domain: str, ours: set[str], resolver: Resolver
) -> list[Finding]:
    """Does the world find us when it looks for a domain that we speak for?"""
    about = f"{network.name}: {domain}"
    host = ascii_domain(config.server.name)
    ports = {(transport, port) for name, transport, _, port in listens(config) if name == network.name}
    found: list[Finding] = []
    services = await _services(network, domain, resolver)
    for name, transport in services:
        remedy = f"publish: {name}. 3600 IN SRV 5 0 {_port(ports, transport)} {host}."
        records = [record for record in await _records(resolver, name) if record.target]
        if not records:
            continue
        mine = [record for record in records if await _is_us(record, config.server.name, ours, resolver)]
        wrong = [record.port for record in mine if (transport, record.port) not in ports]
        if not mine:
            targets = ", ".join(f"{record.target}:{record.port}" for record in records)
            found.append(error("dns", about, f"{name} leads to {targets}, not to us", remedy))
        elif wrong:
            text = f"{name} names port {wrong[0]}, where we do not listen ({transport})"
            found.append(error("dns", about, text, remedy))
        else:
            found.append(ok("dns", about, f"{name} leads to us"))
    if found:
        return found
    if ports & WITHOUT_RECORDS[network.protocol] and ours & await _addresses(resolver, domain):
        return [ok("dns", about, "no SRV records, but its own address is ours")]
    name, transport = next((one for one in services if _port(ports, one[1])), services[0])
    remedy = f"publish: {name}. 3600 IN SRV 5 0 {_port(ports, transport)} {host}."
    if _is_told(network):
        text = "no SRV records: only peers that were told where we are can find us for it"
        return [warning("dns", about, text, remedy)]
    return [error("dns", about, "no SRV records: nobody can find us for it", remedy)]


async def _services(network: NetworkConfig, domain: str, resolver: Resolver) -> list[tuple[str, str]]:
    """(SRV name, transport) where the world looks; for SIP NAPTR records say it (RFC 3263 section 4.1)."""
    usual = [(f"{name}.{ascii_domain(domain)}", transport) for name, transport in RECORDS[network.protocol]]
    if network.protocol != "sip":
        return usual
    try:
        records = (await resolver.naptr(ascii_domain(domain))).records
    except DnsError:
        return usual
    return [(name, transport) for transport, name in sip_services(records)] or usual


async def _records(resolver: Resolver, name: str) -> tuple[SrvRecord, ...]:
    """Empty where there are none. Raises TemporaryFailure."""
    try:
        return (await resolver.srv(name)).records
    except NoSuchDomain:
        return ()


def _port(ports: set[tuple[str, int]], transport: str) -> int:
    return min((port for kind, port in ports if kind == transport), default=0)


async def _theirs(
    network: NetworkConfig, name: str, domain: str, settings: object, resolver: Resolver
) -> Finding:
    """Do we find the server of a domain of a peer?"""
    about = f"{name}: {domain}"
    host = str(getattr(settings, "host", ""))
    try:
        if network.protocol == "xmpp":
            if host:
                return _found(about, [host], await _addresses(resolver, host))
            candidates = await find_xmpp(resolver, ascii_domain(domain), random.random)
            hosts = [f"{one.host}:{one.port}" for one in candidates]
            addresses = [await _addresses(resolver, one.host) for one in candidates]
            return _found(about, hosts, set().union(*addresses))
        proxy = str(getattr(settings, "proxy", ""))
        uri = parse_proxy(proxy) if proxy else Uri(scheme="sip", host=ascii_domain(domain))
        transports = list(getattr(settings, "transports", ()))
        targets = await locate(resolver, uri, transports, random.random)
        return ok("dns", about, f"found: {', '.join(str(target) for target in targets)}")
    except DeliveryError as problem:
        return error("dns", about, problem.text, _REMEDY)


_REMEDY = "its operator must publish records; or set where it is: `host` for XMPP, `proxy` for SIP"


def _found(about: str, hosts: list[str], addresses: set[str]) -> Finding:
    if not hosts:
        return error("dns", about, "it says that it has no server", _REMEDY)
    if not addresses:
        return error("dns", about, f"{', '.join(hosts)} has no address", _REMEDY)
    return ok("dns", about, f"found: {', '.join(hosts)}")


async def _addresses(resolver: Resolver, host: str) -> set[str]:
    """Empty where there are none. Raises TemporaryFailure."""
    try:
        return set((await resolver.addresses(ascii_domain(host))).records)
    except NoSuchDomain:
        return set()


async def _is_us(record: SrvRecord, name: str, ours: set[str], resolver: Resolver) -> bool:
    if record.target == ascii_domain(name):
        return True
    return bool(ours & await _addresses(resolver, record.target))
