"""Running commands in tests: in this process, or as a server of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from rialto.cli import frame, rialto
from rialto.control import ask

COMMAND = [sys.executable, "-c", "from rialto.cli import main; main()"]

LOOPBACK = """
[server]
name = "gw.example"
data_dir = "{folder}/data"
grace_s = 1.0

[networks.loopback]
slow_s = 60.0

[[peers]]
network = "loopback"
domains = ["test.example"]
in_flight_per_recipient = 1
"""


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Its output, where that is JSON."""
        return json.loads(self.out)


def run(*arguments: str | Path, text: str = "", env: dict[str, str] | None = None) -> Result:
    """One command line, as `main` runs it."""
    with CliRunner().isolation(input=text, env=env) as (out, err, _):
        code = frame.run(rialto, [str(argument) for argument in arguments])
        return Result(code, out.getvalue().decode(), err.getvalue().decode())


class Server:
    """`rialto serve` with a loopback network, in a process of its own."""

    def __init__(self, folder: Path, text: str = LOOPBACK, env: dict[str, str] | None = None) -> None:
        self.config = folder / "rialto.toml"
        self.data_dir = folder / "data"
        self.config.write_text(text.format(folder=folder))
        self.process = subprocess.Popen(
            [*COMMAND, "serve", "--config", str(self.config)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.log = [self.wait_for("ready")]

    def wait_for(self, event: str) -> dict[str, Any]:
        """Read the log until an event; fails if the server ends before."""
        assert self.process.stderr is not None
        seen = []
        for line in self.process.stderr:
            seen.append(line)
            if line.startswith("{") and json.loads(line)["event"].startswith(event):
                return dict(json.loads(line))
        raise AssertionError(f"no {event}: {''.join(seen)}")

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Ask its control socket."""
        return ask(self.data_dir / "control.sock", command, **arguments)

    def run(self, *arguments: str | Path, text: str = "") -> Result:
        """A command for this server."""
        return run(*arguments, "--config", self.config, text=text)

    def stop(self) -> int:
        """End it in good order; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=20)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code
