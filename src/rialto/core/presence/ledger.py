"""Writing down what has changed, and then acting on it: one write under way for each watch, no more.

What is touched in one turn of the loop is written in one go. While a watch is being written it may be touched
again; it is written again when that write has come back, so that a pair is never twice in one commit.

Whoever has to answer for an event (a network that acknowledges it) waits with `when_kept` for the first write
that has the event in it.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from rialto.core.agenda import CallLater
from rialto.core.presence import records
from rialto.core.presence.watch import Watch
from rialto.store.units import Unit
from rialto.store.writer import Done, StoreError

LAZY_S = 1.0
"""How long what hurries nobody (that a watcher was told, what a network keeps) may wait for company."""

RETRY_S = 1.0

_log = structlog.get_logger(__name__)


class Ledger:
    """Calls `act(watch)` when the watch, as touched, is on disk; `gone(watch)` when it has been removed."""

    def __init__(
        self,
        submit: Callable[[Unit, Done], None],
        call_soon: Callable[[Callable[[], None]], object],
        call_later: CallLater,
        act: Callable[[Watch], None],
        gone: Callable[[Watch], None],
        failed: Callable[[], None],
    ) -> None:
        self._submit = submit
        self._call_soon = call_soon
        self._call_later = call_later
        self._act = act
        self._gone = gone
        self._count_failure = failed
        self._touched: dict[Watch, None] = {}
        self._lazy: dict[Watch, None] = {}
        self._failed: dict[Watch, None] = {}
        """Whose last write failed, and comes again."""
        self._waiting: dict[Watch, list[Callable[[], None]]] = {}
        """Who is called after the next write."""
        self._writing: dict[Watch, list[Callable[[], None]]] = {}
        """Who is called after the write under way."""
        self.held = False
        """While True, nothing is written, and so nothing follows."""
        self._scheduled = False
        self._lazy_scheduled = False

    def touch(self, watch: Watch) -> None:
        """It has changed: write it down and act."""
        self._touched[watch] = None
        self._lazy.pop(watch, None)
        self._failed.pop(watch, None)
        self._schedule()

    def release(self) -> None:
        """What was touched while this was held is written now."""
        self.held = False
        if self._touched:
            self._schedule()

    def pending(self, watch: Watch) -> bool:
        """Whether something has happened to it that is not on disk."""
        return watch.durable and (watch in self._touched or watch.writing or watch in self._failed)

    def when_kept(self, watch: Watch, call: Callable[[], None]) -> None:
        """Call when all that has happened to it so far is on disk: at once, if it is."""
        if not self.pending(watch):
            call()
        elif watch in self._writing and watch not in self._touched:
            self._writing[watch].append(call)
        else:
            self._waiting.setdefault(watch, []).append(call)

    def note(self, watch: Watch) -> None:
        """It has changed in what hurries nobody."""
        if not watch.durable or watch in self._touched:
            return
        self._lazy[watch] = None
        if not self._lazy_scheduled:
            self._lazy_scheduled = True
            self._call_later(LAZY_S, self._flush_lazy)

    def flush(self) -> None:
        """Hand everything over now."""
        self._flush_lazy()
        self._flush()

    def _schedule(self) -> None:
        if not self._scheduled and not self.held:
            self._scheduled = True
            self._call_soon(self._flush)

    def _flush_lazy(self) -> None:
        self._lazy_scheduled = False
        lazy, self._lazy = self._lazy, {}
        for watch in lazy:
            if watch.writing or self.held:
                self.note(watch)
            else:
                self._write(watch, acting=False)

    def _flush(self) -> None:
        self._scheduled = False
        touched, self._touched = self._touched, {}
        for watch in touched:
            if not watch.durable:
                self._act(watch)
                if watch.over():
                    self._gone(watch)
            elif watch.writing:
                self._touched[watch] = None  # `done` comes back to it
            else:
                self._write(watch, acting=True)

    def _write(self, watch: Watch, *, acting: bool) -> None:
        watch.writing = True
        self._writing[watch] = self._waiting.pop(watch, [])
        over = watch.over()
        entries, data = watch.entries or [], watch.fresh_data or {}
        unit = records.removed(watch) if over else records.written(watch)

        def done(error: StoreError | None) -> None:
            watch.writing = False
            waiting = self._writing.pop(watch)
            if error is not None:
                self._count_failure()
                _log.error(
                    "presence could not be stored; trying again", pair=str(watch.pair), error=str(error)
                )
                watch.entries = [*entries, *(watch.entries or [])]
                watch.fresh_data = {**data, **(watch.fresh_data or {})}
                if waiting:
                    self._waiting[watch] = [*waiting, *self._waiting.get(watch, ())]
                if watch not in self._touched:
                    self._failed[watch] = None
                self._call_later(RETRY_S, lambda: self.touch(watch))
                return
            for call in waiting:
                try:
                    call()
                except Exception:
                    _log.exception("who waited for a pair to be kept failed", pair=str(watch.pair))
            if over and watch.over():
                watch.durable = False
                self._gone(watch)
                return
            if watch in self._touched:
                self.touch(watch)  # once more, with what came meanwhile; then act
            elif acting:
                self._act(watch)
                if watch.over():
                    self.touch(watch)

        self._submit(unit, done)
