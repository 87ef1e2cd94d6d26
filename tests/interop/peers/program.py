"""A program under test: started with a log file, watched, stopped by its own process id."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

POLL_S = 0.02


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 15.0) -> None:
    """Poll `condition`; AssertionError naming `what` when it has not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s} s in vain: {what}")
        time.sleep(POLL_S)


def is_listening(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


class Program:
    """One process with its log. `start` may be called again after `stop` or `kill`; the log goes on."""

    def __init__(
        self, name: str, command: Sequence[str | Path], folder: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = [str(word) for word in command]
        self.env = {**os.environ, **(env or {})}
        self.folder = folder
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        assert not self.is_running, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.folder,
                start_new_session=True,
            )

    def wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float = 15.0) -> None:
        """Wait until `condition` holds; at once an error when the program has ended meanwhile."""

        def alive_and_so() -> bool:
            assert self.is_running, f"{self.name} has ended:\n{self.tail()}"
            return condition()

        wait_until(alive_and_so, f"{self.name}: {what}\n{self.tail()}", timeout_s)

    def wait_for_port(self, host: str, port: int, timeout_s: float = 15.0) -> None:
        self.wait_for(lambda: is_listening(host, port), f"listens at {host}:{port}", timeout_s)

    def wait_for_log(self, text: str, timeout_s: float = 15.0) -> None:
        self.wait_for(lambda: text in self.read_log(), f"says {text!r}", timeout_s)

    def wait(self, timeout_s: float) -> int:
        """Wait for the program's own end and give its exit status."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def stop(self, timeout_s: float = 5.0) -> int | None:
        """Ask it to end (SIGTERM), insist after `timeout_s`; its exit status."""
        if self._process is None:
            return None
        if self.is_running:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.returncode

    def kill(self) -> None:
        """kill -9 of the whole process group, now: nothing gets to say good-bye."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def read_log(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.read_log().splitlines()[-lines:])
