"""Where a domain is: a pure function of the configured peers.

The most specific entry wins: the domain itself, then `*.` of each parent, then `*`. Where several networks
are configured for the same entry, the network that the message came from is asked first and the others are
alternatives, tried when the first says that there is no such domain (RFC 7247 section 5: an XMPP server looks
for XMPP first, a SIP server for SIP).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rialto.core.network import Peer

_CACHE_LIMIT = 65536


class Routes:
    """The routing table of one configuration; look-ups cost the same for ten domains and a million."""

    def __init__(self, peers: Iterable[Peer]) -> None:
        self._entries: dict[str, tuple[Peer, ...]] = {}
        for peer in peers:
            for domain in peer.domains:
                self._entries[domain] = (*self._entries.get(domain, ()), peer)
        self._cache: dict[tuple[str, str], tuple[Peer, ...]] = {}

    def candidates(self, domain: str, origin_network: str) -> tuple[Peer, ...]:
        """The peers through which the domain may be reached, best first; empty when nobody is."""
        key = (domain, origin_network)
        found = self._cache.get(key)
        if found is None:
            found = next((peers for entry in _entries(domain) if (peers := self._entries.get(entry))), ())
            found = tuple(sorted(found, key=lambda peer: peer.network != origin_network))
            if len(self._cache) >= _CACHE_LIMIT:  # domains come from strangers
                self._cache.clear()
            self._cache[key] = found
        return found

    def peer(self, network: str, domain: str) -> Peer | None:
        """The peer of this network that speaks for the domain."""
        return next((peer for peer in self.candidates(domain, network) if peer.network == network), None)

    def speaks_for(self, peer: Peer, domain: str) -> bool:
        """Whether the domain is that peer's, by name: a link may hold it as it was configured before."""
        found = self.candidates(domain, peer.network)
        return peer in found or any(one.name == peer.name for one in found)

    def projects(self, network: str, domain: str) -> bool:
        """Whether the domain lives elsewhere, so that we speak for it on this network."""
        found = self.candidates(domain, network)
        return bool(found) and all(peer.network != network for peer in found)

    def projected(self, network: str) -> frozenset[str]:
        """The domains configured by name that live elsewhere."""
        return frozenset(
            domain
            for domain, peers in self._entries.items()
            if not domain.startswith("*") and all(peer.network != network for peer in peers)
        )


def _entries(domain: str) -> Iterator[str]:
    yield domain
    parent = domain
    while "." in parent:
        parent = parent.partition(".")[2]
        yield f"*.{parent}"
    yield "*"
