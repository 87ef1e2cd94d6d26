"""The presence of loopback's people: who allows it, and how they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rialto.core.network import PairView, Verb
from rialto.core.presence import Presence
from rialto.model.errors import Reason, Refused
from rialto.model.message import Text
from rialto.model.presence import Document, Pair, Show, State

HERE = {
    "echo": State("loopback", notes=(Text("say something", "en"),)),
    "busy": State("loopback", Show.DND, notes=(Text("not now", "en"),)),
    "slow": State("loopback", Show.AWAY),
}
"""Everybody who lets themselves be watched, when they are there."""


class People:
    """They are always there, but for `slow`, who comes and goes; `refuse` lets nobody watch."""

    def __init__(self, clock: Callable[[], float], slow_s: float) -> None:
        self._clock = clock
        self._slow_s = slow_s
        self._watched: dict[Pair, asyncio.TimerHandle] = {}

    def watch(self, presence: Presence, view: PairView, verb: Verb) -> None:
        """What the hub wants to know of one of them."""
        pair = view.pair
        name = pair.presentity.local
        if verb in (Verb.CLOSE, Verb.GIVE_BACK):
            self._forget(pair)
            presence.done(pair, None)
        elif name == "refuse":
            error = Refused(Reason.DECLINED, "I would rather not be watched")
            presence.refused(pair, None, error, for_good=True)
        elif name not in HERE:
            error = Refused(Reason.NOT_FOUND, f"there is no {pair.presentity}")
            presence.refused(pair, None, error, for_good=True)
        else:
            if verb is Verb.ASK:
                presence.granted(pair, None)
            self._show(presence, pair, going_on=view.listening)

    def stop(self) -> None:
        """Show nothing more."""
        for pair in list(self._watched):
            self._forget(pair)

    def _show(self, presence: Presence, pair: Pair, *, going_on: bool) -> None:
        now, name = self._clock(), pair.presentity.local
        self._forget(pair)
        away = False
        if name == "slow" and self._slow_s:
            turns, since_s = divmod(now, self._slow_s)
            away = bool(int(turns) % 2)
            if going_on:
                self._watched[pair] = asyncio.get_running_loop().call_later(
                    self._slow_s - since_s, lambda: self._show(presence, pair, going_on=True)
                )
        presence.show(pair, Document(() if away else (HERE[name],), as_of=now), None)

    def _forget(self, pair: Pair) -> None:
        timer = self._watched.pop(pair, None)
        if timer is not None:
            timer.cancel()
