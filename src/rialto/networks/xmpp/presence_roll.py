"""Is a watcher still there, of whom nothing is heard? The watcher's server is asked, by the gateway itself.

Somebody who watches and shows no presence in return is never seen to leave, and a subscription on the other
side would be refreshed for ever. So before that is done the gateway's own domain probes the user (RFC 8048
section 8.1). Servers tell a stranger nothing (RFC 6121 section 4.3.2: `unsubscribed`); one that trusts the
gateway, or whose user lets the gateway's domain see the presence, answers. Whoever does not is left in peace
for a day, and counts as being there.

One question serves for everybody whom the user watches in that domain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from rialto.core.network import PairView
from rialto.model.address import Address
from rialto.model.errors import AddressError
from rialto.model.presence import Grant, Pair
from rialto.networks.xmpp.presence_news import request

if TYPE_CHECKING:
    from rialto.networks.xmpp.presence import Ways

ANSWER_WITHIN_S = 30.0
IN_PEACE_S = 86_400.0
MAX_IN_PEACE = 10_000
"""Of so many users it is remembered that there is no use in asking."""


class Roll:
    """All questions under way in one network."""

    def __init__(
        self, ways: Ways, new_id: Callable[[], str], later: Callable[[float, Callable[[], None]], None]
    ) -> None:
        self._ways = ways
        self._new_id = new_id
        self._later = later
        self._called: dict[tuple[str, Address], set[Pair]] = {}
        """Our domain that asks, and who is asked about: for whose sake."""
        self._in_peace: dict[Address, float] = {}

    def call(self, view: PairView) -> bool:
        """Ask, if there is any need; see `ConfirmingNetwork`."""
        pair, peer, now = view.pair, view.watcher_peer, asyncio.get_running_loop().time()
        back = self._ways.hub.presence.view(Pair(pair.presentity, pair.watcher))
        if not peer.settings.presence or (back is not None and back.grant is Grant.GRANTED):
            return False  # whoever is shown is also shown to leave
        if self._in_peace.get(pair.watcher, 0.0) > now:
            return False
        key = pair.presentity.domain, pair.watcher
        waiting = self._called.get(key)
        if waiting is not None:
            waiting.add(pair)
            return True
        try:
            probe = request("probe", Address("", key[0]), pair.watcher, self._new_id())
        except AddressError:
            return False
        self._called[key] = {pair}
        self._later(ANSWER_WITHIN_S, lambda: self._no_answer(key))
        self._ways.attend(
            peer,
            key[0],
            pair.watcher.domain,
            lambda write, _: write(probe, None) if write is not None else None,
        )
        return True

    def answered(self, domain: str, sender: Address, kind: str) -> bool:
        """A presence stanza for a domain of ours; False where nothing was asked."""
        key = domain, sender.bare
        if key not in self._called:
            return False
        if kind == "unavailable" and sender.instance:
            return True  # one of several, perhaps
        pairs = self._called.pop(key)
        if kind == "unavailable":
            for pair in pairs:
                self._ways.hub.presence.close(pair, None)
        elif kind != "available":  # CHECKLIST PRS-40: it is no decision about anybody
            self._leave_in_peace(sender.bare)
        return True

    def _no_answer(self, key: tuple[str, Address]) -> None:
        if self._called.pop(key, None) is not None:
            self._leave_in_peace(key[1])

    def _leave_in_peace(self, person: Address) -> None:
        now = asyncio.get_running_loop().time()
        if len(self._in_peace) >= MAX_IN_PEACE:
            self._in_peace = {one: until for one, until in self._in_peace.items() if until > now}
        if len(self._in_peace) < MAX_IN_PEACE:
            self._in_peace[person] = now + IN_PEACE_S
