"""What `rialto quickstart` has been told, and what follows from it, as a pure function."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import msgspec

from rialto.model.address import ascii_domain, canonical_domain
from rialto.model.errors import AddressError, ConfigError
from rialto.networks.sip.wire import Uri, parse_uri

XMPP_PORT, SIP_PORT, SIPS_PORT, COMPONENT_PORT = 5269, 5060, 5061, 5347


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway between the people of `xmpp_domain` and those of `sip_domain`.

    `link` is `s2s` or `component`; `xmpp_host` where the XMPP server is (a component needs it, for s2s the
    DNS knows); `sip_proxy` a SIP URI, empty where the DNS knows; `sip_addresses` are those that its requests
    come from. `ipv6` says whether this machine has it, `notify_reload` whether its systemd knows that type.
    """

    name: str
    xmpp_domain: str
    sip_domain: str
    folder: Path
    data_dir: Path
    command: str
    link: str = "s2s"
    xmpp_host: str = ""
    sip_proxy: str = ""
    sip_addresses: tuple[str, ...] = ()
    ipv6: bool = True
    notify_reload: bool = True

    @property
    def component(self) -> bool:
        """Whether we log in at the XMPP server instead of speaking to it as another server."""
        return self.link == "component"

    @property
    def names(self) -> list[str]:
        """What our certificate must be good for: ourselves, and whom we speak for on either side."""
        return list(
            dict.fromkeys(ascii_domain(name) for name in (self.sip_domain, self.xmpp_domain, self.name))
        )

    @property
    def certificate(self) -> Path:
        """Our certificate chain."""
        return self.folder / "tls" / "chain.pem"

    @property
    def key(self) -> Path:
        """Its key."""
        return self.folder / "tls" / "key.pem"

    @property
    def secret_file(self) -> Path:
        """The component's secret."""
        return self.folder / "component.secret"

    def listens(self, port: int, prefix: str = "") -> list[str]:
        """Everywhere on this machine, at that port."""
        hosts = ["0.0.0.0", "[::]"] if self.ipv6 else ["0.0.0.0"]
        return [f"{prefix}{host}:{port}" for host in hosts]


def make_plan(
    domain: str,
    *,
    folder: Path,
    data_dir: Path,
    command: str,
    name: str = "",
    xmpp_domain: str = "",
    sip_domain: str = "",
    link: str = "s2s",
    xmpp_host: str = "",
    sip_proxy: str = "",
    sip_addresses: tuple[str, ...] = (),
    ipv6: bool = True,
    notify_reload: bool = True,
) -> Plan:
    """Fill in what follows, and refuse what cannot be. Raises ConfigError."""
    domain = _domain(domain, "DOMAIN")
    xmpp_domain = _domain(xmpp_domain or domain, "--xmpp-domain")
    sip_domain = _domain(sip_domain or f"sip.{domain}", "--sip-domain")
    name = _domain(name or f"rialto.{domain}", "--name")
    if len({xmpp_domain, sip_domain, name}) < 3:
        raise ConfigError(
            "--xmpp-domain, --sip-domain, --name",
            "three different names",
            "a domain lives on one side only; the gateway needs a host name of its own",
        )
    if link == "component" and not xmpp_host:
        xmpp_host = "127.0.0.1"
    if sip_proxy:
        uri = _proxy(sip_proxy)
        sip_proxy = str(uri)
        if not sip_addresses and _is_address(uri.host):
            sip_addresses = (uri.host.strip("[]"),)
    for address in sip_addresses:
        if not _is_address(address.partition("/")[0]):
            raise ConfigError("--sip-address", f"an IP address, not {address!r}", "for example 192.0.2.7")
    return Plan(
        name=name,
        xmpp_domain=xmpp_domain,
        sip_domain=sip_domain,
        folder=folder,
        data_dir=data_dir,
        command=command,
        link=link,
        xmpp_host=xmpp_host,
        sip_proxy=sip_proxy,
        sip_addresses=sip_addresses,
        ipv6=ipv6,
        notify_reload=notify_reload,
    )


def _domain(text: str, where: str) -> str:
    try:
        return canonical_domain(text.strip())
    except AddressError as error:
        raise ConfigError(where, "a domain, as in example.org", str(error)) from None


def _proxy(text: str) -> Uri:
    """A SIP URI, with or without its `sip:`."""
    text = text.strip()
    if not text.lower().startswith(("sip:", "sips:")):
        text = f"sip:{text}"
    try:
        uri = parse_uri(text)
        if not uri.host:
            raise AddressError("no host")
    except AddressError as error:
        raise ConfigError(
            "--sip-proxy",
            f"a host or a SIP URI ({error})",
            "for example proxy.example.org, or sip:192.0.2.7:5060;transport=tcp",
        ) from None
    return uri


def _is_address(text: str) -> bool:
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
