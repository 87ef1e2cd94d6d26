"""The one thread that writes, and commits in groups.

## Theory of operation

A commit that survives a power cut costs milliseconds, whatever is in it. So whoever has something to
write submits a unit and goes on; all units that come in while one commit is under way go into the next.
There is at most one batch in the thread: the queue in front of it lives on the event loop's side, and is
handed over whole. Under light load a unit waits for its own commit only; under heavy load the batches grow
and a unit costs microseconds. Nothing needs to be tuned. A unit that nobody waits for may say that it has
time: it then waits a little for the next one that has none, and costs no commit of its own.

Within a batch the units are run statement by statement with `executemany` (see `units`). If that fails,
the batch is rolled back and its units are run again one by one, each in its own savepoint, so that one bad
unit harms no other. If the commit itself fails (a full disk) every unit of the batch has failed; each is
told so, and the next batch tries again.

`done(error)` of every unit is called on the event loop, in the order of submission, after the commit has
returned. That order is what keeps a conversation in order. A `done` that raises harms no other; when all of a
batch have been called, so is `after_batch`.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import structlog

from rialto.model.errors import RialtoError
from rialto.store.units import AT_ONCE, ROWS_AT_ONCE, STATEMENTS, Parameters, Unit

Done = Callable[["StoreError | None"], None]
_Batch = list[tuple[Unit, Done]]

MAX_BATCH_UNITS = 2000
"""More would make the first unit of a batch wait too long."""


_log = structlog.get_logger(__name__)


class StoreError(RialtoError):
    """Something could not be written, and is not on disk."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection that commits only when the disk has it (write-ahead log, synchronous=FULL)."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30.0, check_same_thread=False)
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "journal_size_limit=67108864",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


class Writer:
    """Writes units; create, `start` and use it on one event loop's thread."""

    def __init__(self, path: Path, *, connect: Callable[[Path], sqlite3.Connection] = connect) -> None:
        self._path = path
        self._connect = connect
        self._pending: _Batch = []
        self._busy = False
        self._scheduled = False
        self._pressing = False
        """Among what is pending there is something that wants to be written as soon as can be."""
        self._patience: asyncio.TimerHandle | None = None
        """Runs while there is something pending that has time."""
        self._inbox: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.after_batch: Callable[[], None] | None = None
        self.commits = 0
        """How many batches were committed."""
        self.units = 0
        """How many units those had."""

    @property
    def backlog(self) -> int:
        """How many units wait for a commit that has not begun."""
        return len(self._pending)

    @property
    def open(self) -> bool:
        """Whether it is between `start` and `stop`."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread. Raises `sqlite3.Error` when the database cannot be opened."""
        self._loop = asyncio.get_running_loop()
        self._connection = self._connect(self._path)
        self._thread = threading.Thread(target=self._run, name="rialto-writer", daemon=True)
        self._thread.start()

    def submit(self, unit: Unit, done: Done, *, within_s: float = 0.0) -> None:
        """Write this unit with the next group; `done(None)` on disk, `done(error)` if it is not.

        `within_s`: that group may begin so much later, if no other unit wants it sooner.
        """
        if self._thread is None:
            self._loop.call_soon(done, StoreError("the store is closed"))
            return
        self._pending.append((unit, done))
        if within_s:
            if self._patience is None:
                self._patience = self._loop.call_later(within_s, self._press)
            return
        self._pressing = True
        if not self._busy and not self._scheduled:
            # Not at once: what else happens in this turn of the loop shares the commit.
            self._scheduled = True
            self._loop.call_soon(self._hand_over)

    async def write(self, unit: Unit) -> None:
        """Write one unit and wait for it; for everything that is not the hot path. Raises StoreError."""
        future: asyncio.Future[None] = self._loop.create_future()

        def done(error: StoreError | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self.submit(unit, done)
        await future

    async def flush(self) -> None:
        """Wait until everything submitted so far has been written (or has failed)."""
        if self._thread is not None:
            with contextlib.suppress(StoreError):
                await self.write([])  # its turn comes after theirs

    async def drain(self) -> None:
        """Wait until there is nothing more to write, nor anything that followed from it."""
        while self._thread is not None and (self._busy or self._pending):
            await self.flush()

    async def stop(self) -> None:
        """Write what is submitted, and what follows from that, then end the thread and close the database."""
        await self.drain()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._inbox.put(None)
        await asyncio.to_thread(thread.join)
        self._connection.close()

    def _press(self) -> None:
        self._patience = None
        self._pressing = True
        self._hand_over()

    def _hand_over(self) -> None:
        self._scheduled = False
        if self._busy or not self._pressing:
            return
        self._busy = True
        batch, self._pending = self._pending[:MAX_BATCH_UNITS], self._pending[MAX_BATCH_UNITS:]
        self._pressing = bool(self._pending)
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._inbox.put(batch)

    def _finished(self, batch: _Batch, errors: list[StoreError | None] | None) -> None:
        self._busy = False
        self.commits += 1
        self.units += len(batch)
        if errors is not None:
            failed = [error for error in errors if error is not None]
            _log.error("could not be written", units=len(failed), of=len(batch), error=str(failed[0]))
        self._hand_over()
        for number, (_, done) in enumerate(batch):
            try:
                done(errors[number] if errors is not None else None)
            except Exception:
                _log.exception("what follows from a write failed")
        if self.after_batch is not None:
            self.after_batch()

    # -- in the thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        while (batch := self._inbox.get()) is not None:
            errors = self._write(batch)
            with contextlib.suppress(RuntimeError):  # the loop is gone: nobody is left to be told
                self._loop.call_soon_threadsafe(self._finished, batch, errors)

    def _write(self, batch: _Batch) -> list[StoreError | None] | None:
        """Commit the batch; None when all of it is on disk, else an entry for each unit."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            rows: list[list[Parameters]] = [[] for _ in STATEMENTS]
            for unit, _ in batch:
                for statement, parameters in unit:
                    rows[statement].append(parameters)
            for statement, parameters_list in enumerate(rows):
                if parameters_list:
                    self._execute(statement, parameters_list)
            self._connection.execute("COMMIT")
        except Exception:  # also what the driver says of a value that it cannot write, in many classes
            self._roll_back()
            return self._write_one_by_one(batch)
        return None

    def _execute(self, statement: int, parameters_list: list[Parameters]) -> None:
        done = 0
        if statement in AT_ONCE:
            done = len(parameters_list) // ROWS_AT_ONCE * ROWS_AT_ONCE
            self._connection.executemany(
                AT_ONCE[statement],
                [
                    tuple(chain.from_iterable(parameters_list[first : first + ROWS_AT_ONCE]))
                    for first in range(0, done, ROWS_AT_ONCE)
                ],
            )
        self._connection.executemany(STATEMENTS[statement], parameters_list[done:])

    def _write_one_by_one(self, batch: _Batch) -> list[StoreError | None] | None:
        errors: list[StoreError | None] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for unit, _ in batch:
                self._connection.execute("SAVEPOINT unit")
                try:
                    for statement, parameters in sorted(unit, key=lambda step: step[0]):
                        self._connection.execute(STATEMENTS[statement], parameters)
                except Exception as error:
                    self._connection.execute("ROLLBACK TO unit")  # fails where the disk is to blame
                    errors.append(StoreError(f"{type(error).__name__}: {error}"))
                else:
                    errors.append(None)
                self._connection.execute("RELEASE unit")
            self._connection.execute("COMMIT")
        except Exception as error:
            self._roll_back()
            return [StoreError(f"{type(error).__name__}: {error}")] * len(batch)
        return errors if any(errors) else None

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # "no transaction is active": it was rolled back already
            self._connection.execute("ROLLBACK")
