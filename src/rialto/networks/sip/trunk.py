"""One peer of this network, with its settings worked out: who may speak for it, and how we speak with it."""

from __future__ import annotations

from ipaddress import ip_address

from rialto.core.network import Features, Peer
from rialto.model.errors import ConfigError
from rialto.net.certificates import Trust
from rialto.networks.sip.abilities import CPIM
from rialto.networks.sip.envelopes import Form
from rialto.networks.sip.settings import PeerSettings, parse_networks, parse_proxy, secret, without
from rialto.networks.sip.wire import Uri
from rialto.networks.sip.wire.digest import Answerer, Secret

_MAX_CACHED = 4096


class Trunk:
    """A peer, ready for use.

    `proxy`: where everything goes, or None for RFC 3263 on the domain. `answerer`: our credentials there.
    `passwords`: those that the peer may use here. `trust`: what its certificates are judged by. `form`: how
    it wants its messages.
    """

    def __init__(self, peer: Peer, trust: Trust, secret_of_ours: bytes = b"") -> None:
        settings = peer.settings
        if not isinstance(settings, PeerSettings):
            raise ConfigError(f"peers.{peer.name}", "settings of a SIP peer")
        self.peer = peer
        self.settings = settings
        self.proxy: Uri | None = parse_proxy(settings.proxy) if settings.proxy else None
        self.trust = Trust(
            trust.anchors, trust.pins | {pin.lower().replace(":", "") for pin in settings.tls_pins}
        )
        self.passwords = {
            account.username: secret(
                f"peers.{peer.name}.accounts.password",
                account.password,
                account.password_file,
                account.password_env,
            )
            for account in settings.accounts
        }
        password = secret(
            f"peers.{peer.name}.password", settings.password, settings.password_file, settings.password_env
        )
        self.answerer = Answerer(Secret(settings.username, password)) if settings.username else None
        self.form = Form(
            cpim=settings.cpim,
            html=settings.html,
            rcs_files=settings.files == "rcs",
            receipts=settings.receipts and settings.cpim != "never",
            secret=secret_of_ours,
        )
        self._features: dict[str, Features] = {"": peer.features}
        self.troubled = False
        """Whether any of its servers has failed since it was last heard of."""
        self.credentials_header = "Proxy-Authorization"  # whichever was asked for last
        self._networks = parse_networks(settings.addresses)
        self._known: dict[str, bool] = {}
        if "address" in settings.trust and not self._networks:
            raise ConfigError(
                f"peers.{peer.name}.addresses",
                "at least one address, because `trust` says address",
                "list the addresses of the peer's servers, or trust tls or digest",
            )
        if "digest" in settings.trust and not self.passwords:
            raise ConfigError(
                f"peers.{peer.name}.accounts",
                "at least one account, because `trust` says digest",
                'add accounts = [{ username = "...", password_file = "..." }]',
            )

    def features(self, lacking: str) -> Features:
        """What can be carried to a user of the peer who has refused some of it (words of `abilities`)."""
        known = self._features.get(lacking)
        if known is None:
            if self.settings.cpim == "always":
                lacking = lacking.replace(CPIM, "")
            known = self._features[lacking] = without(self.peer.features, lacking)
        return known

    def owns_address(self, host: str) -> bool:
        """Whether requests from this IP address are the peer's, by its `addresses`."""
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= _MAX_CACHED:
                self._known.clear()
            try:
                address = ip_address(host)
            except ValueError:
                return False
            mapped = getattr(address, "ipv4_mapped", None)
            address = mapped or address
            known = self._known[host] = any(
                address.version == network.version and address in network for network in self._networks
            )
        return known

    def destination(self, domain: str) -> str:
        """What fails together: the proxy, or else the domain."""
        return f"proxy {self.settings.proxy}" if self.proxy is not None else domain

    def uri(self, domain: str) -> Uri:
        """What RFC 3263 is applied to."""
        return self.proxy if self.proxy is not None else Uri(scheme="sip", host=domain)
