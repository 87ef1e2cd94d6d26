"""Writing down what has changed, and then acting on it: one write under way for each watch, no more.

What is touched in one turn of the loop is written in one go. While a watch is being written it may be touched
again; it is written again when that write has come back, so that a pair is never twice in one commit.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from rialto.core.presence import records
from rialto.core.presence.alarms import CallLater
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
        self._failed = failed
        self._touched: dict[Watch, None] = {}
        self._lazy: dict[Watch, None] = {}
        self._scheduled = False
        self._lazy_scheduled = False

    def touch(self, watch: Watch) -> None:
        """It has changed: write it down and act."""
        self._touched[watch] = None
        self._lazy.pop(watch, None)
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._flush)

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

    def _flush_lazy(self) -> None:
        self._lazy_scheduled = False
        lazy, self._lazy = self._lazy, {}
        for watch in lazy:
            if watch.writing:
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
        over = watch.over()
        entries, data = watch.entries or [], watch.fresh_data or {}
        unit = records.removed(watch) if over else records.written(watch)

        def done(error: StoreError | None) -> None:
            watch.writing = False
            if error is not None:
                self._failed()
                _log.error(
                    "presence could not be stored; trying again", pair=str(watch.pair), error=str(error)
                )
                watch.entries = [*entries, *(watch.entries or [])]
                watch.fresh_data = {**data, **(watch.fresh_data or {})}
                self._call_later(RETRY_S, lambda: self.touch(watch))
                return
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
