"""Who sent a request: proven by where it comes from, never believed because it says so.

In order: the peer that the sender's domain belongs to; then one of the proofs that its settings allow: the
address it comes from, the certificate that it showed (RFC 5922), a password (RFC 8760). P-Asserted-Identity
counts only where the peer is trusted with it (RFC 3325), and only for addresses of that same peer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from rialto.core.network import Peer
from rialto.model.address import Address
from rialto.model.errors import AddressError
from rialto.net.certificates import Trust, Verdict
from rialto.networks.sip.addresses import address_of, address_of_header
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import Request, parse_name_addrs
from rialto.networks.sip.wire.digest import Challenger
from rialto.networks.sip.wire.digest import Verdict as Credentials


class Source(Protocol):
    """What is known of the connection (or datagram) a request came by."""

    @property
    def remote(self) -> tuple[str, int]:
        """IP address and port."""

    @property
    def secured(self) -> bool:
        """Whether it came encrypted."""

    def certified(self, domain: str, trust: Trust) -> Verdict | None:
        """What the certificate shown on it is worth for this domain; None where there was no TLS."""


class Sender(msgspec.Struct, frozen=True):
    """A proven sender. `username` is the digest account, where that was the proof."""

    address: Address
    trunk: Trunk
    proof: str


class Doubt(msgspec.Struct, frozen=True):
    """A sender that was not proven: how to say so, and why (`code` for counting, `detail` for the log)."""

    status: int
    phrase: str
    code: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()


class Registry(Protocol):
    """Which peer a domain belongs to."""

    def peer_for(self, network: str, domain: str) -> Peer | None:
        """The peer of a network that speaks for a domain."""

    def projects(self, network: str, domain: str) -> bool:
        """Whether the domain lives on another network."""


class Prover:
    """Proves senders, for one network."""

    def __init__(
        self,
        name: str,
        trunks: dict[str, Trunk],
        registry: Registry,
        challenger: Challenger,
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._trunks = trunks
        self._registry = registry
        self._challenger = challenger
        self._clock = clock

    def prove(self, request: Request, source: Source) -> Sender | Doubt:
        """Who sent this request, or why that is not known."""
        try:
            address = address_of_header(request.from_)
        except AddressError as error:
            return Doubt(403, "Unknown Sender", "no-address", str(error))
        trunk = self._trunk(address.domain)
        if "P-Asserted-Identity" in request.firsts:
            asserted = self._asserted(request, source, trunk)
            if asserted is not None:
                address, trunk = asserted
        if trunk is None:
            if address.domain.endswith(".invalid") and self._by_address(source) is not None:
                # RFC 3323 section 4.1: nobody could answer somebody anonymous, so we don't
                # pretend (RFC 5079).
                return Doubt(433, "Anonymity Disallowed", "anonymous", address.domain)
            if self._registry.projects(self._name, address.domain):
                # ARC-14: a domain that we speak for ourselves can't speak to us.
                return Doubt(403, "Not Your Domain", "own-domain", f"from {address}")
            return Doubt(403, "Unknown Domain", "unknown-domain", f"from {address}")
        return self._check(request, source, trunk, address)

    def known(self, source: Source) -> bool:
        """Whether the address belongs to any peer: for requests that need no sender (OPTIONS)."""
        return self._by_address(source) is not None

    def _check(self, request: Request, source: Source, trunk: Trunk, address: Address) -> Sender | Doubt:
        why = []
        trust = trunk.settings.trust
        if "address" in trust:
            if trunk.owns_address(source.remote[0]):
                return Sender(address, trunk, "address")
            why.append(f"{source.remote[0]} is none of its addresses")
        if "tls" in trust:
            verdict = source.certified(address.domain, trunk.trust)
            if verdict is not None and verdict.ok:
                return Sender(address, trunk, "tls")
            why.append("no TLS" if verdict is None else verdict.reason)
        if "digest" in trust:
            judged = self._digest(request, trunk)
            if judged is None:
                return Sender(address, trunk, "digest")
            return judged
        return Doubt(403, "Sender Not Proven", "unproven", f"from {address}: {'; '.join(why)}")

    def _digest(self, request: Request, trunk: Trunk) -> Doubt | None:
        """RFC 3261 section 22.2; None when the credentials are good."""
        now = self._clock()
        verdict, _ = self._challenger.check(
            request.get_all("Authorization"), request.method, now, trunk.passwords.get
        )
        if verdict is Credentials.GOOD:
            return None
        if verdict is Credentials.MALFORMED:
            return Doubt(400, "Malformed Authorization", "credentials", "unreadable credentials")
        if request.method in ("ACK", "CANCEL"):  # section 22.1: these can't be challenged
            return Doubt(403, "Forbidden", "credentials", request.method)
        challenges = self._challenger.challenges(now, stale=verdict is Credentials.STALE)
        code = "challenged" if verdict in (Credentials.ABSENT, Credentials.STALE) else "credentials"
        return Doubt(
            401,
            "Unauthorized",
            code,
            f"credentials {verdict.value}",
            tuple(("WWW-Authenticate", c) for c in challenges),
        )

    def _asserted(
        self, request: Request, source: Source, trunk: Trunk | None
    ) -> tuple[Address, Trunk] | None:
        """RFC 3325 section 9.1: who a trusted peer says it is; not if the user wants it hidden."""
        trunk = trunk or self._by_address(source)
        if trunk is None or not trunk.settings.trust_asserted_identity:
            return None
        privacy = {token.strip().lower() for token in (request.get("Privacy") or "").split(";")}
        if (
            "id" in privacy or "user" in privacy
        ):  # RFC 3323 section 4.2: the far side is outside the trust domain
            return None
        try:
            names = [
                name for line in request.get_all("P-Asserted-Identity") for name in parse_name_addrs(line)
            ]
            address = address_of(next(name.uri for name in names if name.uri.scheme in ("sip", "sips")))
        except (AddressError, StopIteration):
            return None
        return (address, trunk) if self._trunk(address.domain) is trunk else None

    def _trunk(self, domain: str) -> Trunk | None:
        peer = self._registry.peer_for(self._name, domain)
        return self._trunks.get(peer.name) if peer is not None else None

    def _by_address(self, source: Source) -> Trunk | None:
        host = source.remote[0]
        return next((trunk for trunk in self._trunks.values() if trunk.owns_address(host)), None)
