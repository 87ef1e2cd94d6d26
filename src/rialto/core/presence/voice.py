"""How the hub speaks to the networks about a pair: who speaks for whom, and what if nobody does."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog
from msgspec.structs import replace

from rialto.core.network import (
    ConfirmingNetwork,
    Network,
    PairView,
    Peer,
    PresenceNetwork,
    Side,
    Verb,
)
from rialto.core.presence.watch import Watch

Candidates = Callable[[str, str], tuple[Peer, ...]]
"""(domain, the network that asks) -> the peers that reach it, best first."""

_log = structlog.get_logger(__name__)


class Voice:
    """The networks, as far as presence goes."""

    def __init__(self, networks: Mapping[str, Network], candidates: Candidates) -> None:
        self._networks = networks
        self._presence = {
            name: network for name, network in networks.items() if isinstance(network, PresenceNetwork)
        }
        self._confirming = {
            name: network for name, network in networks.items() if isinstance(network, ConfirmingNetwork)
        }
        self.candidates = candidates

    def carries(self, peer: Peer | None) -> bool:
        """Whether presence goes over that peer's network."""
        return peer is not None and peer.network in self._presence

    def pushes(self, watch: Watch) -> bool:
        """Whether the presentity's side goes on telling without a session."""
        peer = self.presentity_peer(watch)
        return peer is not None and peer.network in self._presence and self._presence[peer.network].pushes

    def destination(self, peer: Peer, domain: str) -> str:
        """What fails together, as the network says."""
        network = self._networks.get(peer.network)
        return network.destination(peer, domain) if network is not None else domain

    def watcher_peer(self, watch: Watch) -> Peer | None:
        """Who speaks for the watcher; None where the configuration has nobody any more."""
        return self._peer(watch.pair.watcher.domain, watch.watcher_peer)

    def presentity_peer(self, watch: Watch) -> Peer | None:
        """Who speaks for the presentity."""
        return self._peer(watch.pair.presentity.domain, watch.presentity_peer)

    def view(self, watch: Watch) -> PairView | None:
        """The pair for a network; None where one of the two cannot be reached any more."""
        watcher, presentity = self.watcher_peer(watch), self.presentity_peer(watch)
        if watcher is None or presentity is None:
            return None
        return watch.view(watcher, presentity)

    def tell(self, watch: Watch, view: PairView) -> None:
        """Tell the watcher's network."""
        network = self._presence.get(view.watcher_peer.network)
        if network is None:
            return
        try:
            network.tell(view)
        except Exception:
            _log.exception("a watcher could not be told", pair=str(watch.pair))

    def say(self, watch: Watch, view: PairView, verb: Verb) -> bool:
        """Tell the presentity's network; False where it does not take it."""
        network = self._presence.get(view.presentity_peer.network)
        if network is None:
            return False
        try:
            network.watch(view, verb)
        except Exception:
            _log.exception("a network could not watch", pair=str(watch.pair), verb=verb.value)
            return False
        return True

    def confirm(self, watch: Watch) -> bool:
        """Whether the watcher's network goes and looks if the session still is."""
        peer = self.watcher_peer(watch)
        network = self._confirming.get(peer.network) if peer is not None else None
        view = self.view(watch) if network is not None else None
        if network is None or view is None:
            return False
        try:
            return network.confirm(view)
        except Exception:
            _log.exception("a session could not be confirmed", pair=str(watch.pair))
            return False

    def resume(self, watch: Watch, watcher_data: bytes | None, presentity_data: bytes | None) -> None:
        """Give both networks what they had kept, each its own."""
        sides: tuple[tuple[Side, Peer | None, dict[str, bytes | None]], ...] = (
            ("watcher", self.watcher_peer(watch), {"watcher_data": watcher_data}),
            ("presentity", self.presentity_peer(watch), {"presentity_data": presentity_data}),
        )
        view = self.view(watch)
        if view is None:
            return
        for side, peer, data in sides:
            network = self._presence.get(peer.network) if peer is not None else None
            if network is None:
                continue
            try:
                network.resume(replace(view, **data), side)
            except Exception:
                _log.exception("a network could not take up a pair", pair=str(watch.pair))

    def _peer(self, domain: str, name: str) -> Peer | None:
        found = self.candidates(domain, "")
        for peer in found:
            if peer.name == name:
                return peer
        return found[0] if found else None
