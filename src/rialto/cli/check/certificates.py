"""Our certificates: do they load, for whom are they good, for what, and for how long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rialto.cli.check.findings import Finding, error, ok, warning
from rialto.config import Config
from rialto.core.routing import Routes
from rialto.model.errors import ConfigError
from rialto.net.certificates import NameKind, Trust, Verdict, describe, judge, load_anchors
from rialto.net.tls import CertificateStore, KeyPair

SOON_DAYS = 30
RENEW = "renew it (certbot renew), then `systemctl reload rialto`"
KINDS = {"xmpp": NameKind.XMPP, "sip": NameKind.SIP}


def certificates(config: Config, now: datetime) -> Iterator[Finding]:
    """Every file by itself, then every domain that we speak for on a side that uses certificates."""
    try:
        trust = Trust(load_anchors(Path(config.tls.ca_file) if config.tls.ca_file else None))
    except ConfigError as problem:
        yield error("certificates", problem.where, problem.expected, problem.remedy)
        return
    chains: list[list[bytes]] = []
    for table in config.tls.certificates:
        pair = KeyPair(Path(table.certificate), Path(table.key))
        try:
            CertificateStore([pair])
            pem = pair.certificate.read_bytes()
        except ConfigError as problem:
            yield error("certificates", table.certificate, problem.expected, problem.remedy)
            continue
        chains.append([one.public_bytes(Encoding.DER) for one in x509.load_pem_x509_certificates(pem)])
        yield from _file(table.certificate, pem, Path(table.key), now)
    for network, domain in needed(config):
        yield _domain(network, domain, config, chains, trust, now)


def needed(config: Config) -> Iterator[tuple[str, str]]:
    """(network, domain): whom we must prove to be, on which network."""
    routes = Routes(config.peers)
    for name, network in config.networks.items():
        if network.protocol == "xmpp":
            used = any(_by_certificate(peer.settings) for peer in network.peers)
        else:
            used = any(text.startswith("tls:") for text in getattr(network.settings, "listen", ()))
        if used:
            yield from ((name, domain) for domain in sorted(routes.projected(name)))


def _by_certificate(settings: object) -> bool:
    return getattr(settings, "link", "s2s") == "s2s" and getattr(settings, "tls", "required") != "off"


def _file(path: str, pem: bytes, key: Path, now: datetime) -> Iterator[Finding]:
    about = describe(pem)
    names = str(about.identities)
    left = about.days_left(now)
    if about.not_before > now:
        yield error("certificates", path, f"not valid before {about.not_before:%Y-%m-%d}", "check the clock")
    elif left < 0:
        yield error("certificates", path, f"expired on {about.not_after:%Y-%m-%d}", RENEW)
    elif left < SOON_DAYS:
        yield warning("certificates", path, f"expires in {left} days, on {about.not_after:%Y-%m-%d}", RENEW)
    else:
        yield ok("certificates", path, f"for {names}; {left} days left; its key fits")
    if about.usages and not {"serverAuth", "any"} & set(about.usages):
        yield error(
            "certificates",
            path,
            f"may only be used for {', '.join(about.usages)}",
            "get one with serverAuth: every peer that connects to us demands it",
        )
    elif about.usages and not {"clientAuth", "any"} & set(about.usages):
        # Public CAs no longer issue clientAuth.
        yield ok(
            "certificates", path, "serverAuth only: peers that insist on clientAuth need dialback or a pin"
        )
    if key.stat().st_mode & 0o007:
        yield warning(
            "certificates", str(key), "everybody on this machine may read the key", f"chmod o-rwx {key}"
        )


def _domain(
    network: str, domain: str, config: Config, chains: Sequence[Sequence[bytes]], trust: Trust, now: datetime
) -> Finding:
    kind = KINDS[config.networks[network].protocol]
    about = f"{network}: {domain}"
    verdicts = [judge(chain, kind, domain, trust, now) for chain in chains]
    if any(verdict.ok for verdict in verdicts):
        return ok("certificates", about, "proven by a certificate that peers can check")
    named = [verdict for verdict in verdicts if "wrong-name" not in verdict.codes]
    if not named:
        return error(
            "certificates",
            about,
            "none of our certificates is for this domain",
            "get one that names it, and list it under [[tls.certificates]]",
        )
    return warning(
        "certificates", about, _reason(named[0]), "a certificate of a public CA; or pins, or dialback"
    )


def _reason(verdict: Verdict) -> str:
    return f"peers will not be convinced: {verdict.reason}"
