"""The command line: `rialto COMMAND`. One file a command; what all of them share is in `frame`.

Exit codes: 0, it was done; 1, it could not be done, and the text says why; 2, the command was written wrong.
A command that says more with its code says so in its help.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from rialto import __version__
from rialto.cli import frame

COMMANDS = {
    "try": "rialto.cli.try_it:try_it",
    "quickstart": "rialto.cli.quickstart:quickstart",
    "serve": "rialto.cli.serve:serve",
    "check": "rialto.cli.check:check",
    "send": "rialto.cli.send:send",
    "trail": "rialto.cli.trail:trail",
    "why": "rialto.cli.why:why",
    "peers": "rialto.cli.peers:peers",
    "queue": "rialto.cli.queue:queue",
    "files": "rialto.cli.files:files",
    "operator": "rialto.cli.operator:operator",
    "agreement": "rialto.cli.agreement:agreement",
    "order": "rialto.cli.order:order",
    "entitlement": "rialto.cli.entitlement:entitlement",
    "policy": "rialto.cli.policy:policy",
    "apply": "rialto.cli.apply:apply",
    "config": "rialto.cli.config:config",
    "backup": "rialto.cli.backup:backup",
    "restore": "rialto.cli.restore:restore",
}
"""Where each command is: it is imported when it is used, so that small commands start fast."""


class Commands(click.Group):
    """The commands of `COMMANDS`, in that order."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=frame.examples("rialto try", "rialto quickstart example.org", "rialto serve", "rialto check"),
)
@click.version_option(__version__, "-V", "--version", prog_name="rialto")
def rialto() -> None:
    """A gateway between instant messaging networks: XMPP, SIP/SIMPLE and the networks beyond.

    Begin with `rialto try`, which needs nothing but this command.
    """


def main(arguments: Sequence[str] | None = None) -> Any:
    """The entry point: run, say what went wrong in words, and exit with a code."""
    sys.exit(frame.run(rialto, arguments))
