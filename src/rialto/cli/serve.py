"""`rialto serve`: run the server in the foreground, as systemd wants it."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from pathlib import Path

import click

from rialto.cli import frame


@click.command(epilog=frame.examples("rialto serve", "rialto serve --config ./rialto.toml --log-level debug"))
@frame.config_option
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Instead of what the configuration says.",
)
def serve(config_path: Path, log_level: str | None) -> None:
    """Run the server, in the foreground.

    It runs until SIGTERM or Ctrl-C. SIGHUP reads the configuration and the certificates again. SIGTERM
    finishes what is under way, for at most `server.grace_s` seconds, and keeps the rest on disk. Under
    systemd (`Type=notify-reload`) it says when it is ready, and that it is alive. uvloop is used if it is
    installed.

    Exit code: 0 after a stop in good order, 1 if it could not start.
    """
    from rialto import app, log

    config = frame.settings(config_path)
    log.configure(log_level or config.log.level, config.log.format)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(app.serve(config))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, if it is there; None for asyncio's own."""
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
