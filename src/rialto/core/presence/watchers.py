"""Who watches somebody, for those who may know: the presentity's side (RFC 3857, watcher information).

A presentity that nobody attends to costs nothing. For one that is attended to, whoever attends is called when
something that can be seen of a watcher has changed, and the change is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from rialto.core.network import Watcher
from rialto.core.presence.watch import Watch
from rialto.model.address import Address
from rialto.model.presence import Grant

Call = Callable[[tuple[Watcher, ...]], None]

_log = structlog.get_logger(__name__)


def watchers(watches: Iterable[Watch]) -> tuple[Watcher, ...]:
    """Those of one presentity, by address; whoever has only had a look is none."""
    found = [_watcher(watch) for watch in watches if watch.grant is not Grant.NONE]
    return tuple(sorted(found, key=lambda one: (one.address.domain, one.address.local)))


def _watcher(watch: Watch) -> Watcher:
    return Watcher(
        address=watch.pair.watcher,
        grant=watch.grant,
        listening=watch.listening,
        since=watch.changed_at,
        note=watch.note,
        reason=watch.reason,
    )


class Attendance:
    """Who wants to know about whose watchers."""

    def __init__(self, of: Callable[[Address], Iterable[Watch]]) -> None:
        self._of = of
        self._calls: dict[Address, dict[object, Call]] = {}
        self._known: dict[Address, tuple[Watcher, ...]] = {}

    def attend(self, presentity: Address, call: Call) -> Callable[[], None]:
        """Call with every change from now on; returned is what ends it."""
        key = object()
        if presentity not in self._calls:
            self._known[presentity] = watchers(self._of(presentity))
        self._calls.setdefault(presentity, {})[key] = call

        def end() -> None:
            calls = self._calls.get(presentity, {})
            calls.pop(key, None)
            if not calls:
                self._calls.pop(presentity, None)
                self._known.pop(presentity, None)

        return end

    def look(self, presentity: Address) -> None:
        """Something of one of the watches is on disk that was not."""
        calls = self._calls.get(presentity)
        if calls is None:
            return
        now = watchers(self._of(presentity))
        if now == self._known[presentity]:
            return
        self._known[presentity] = now
        for call in list(calls.values()):
            try:
                call(now)
            except Exception:
                _log.exception("who attends to watchers failed", presentity=str(presentity))
