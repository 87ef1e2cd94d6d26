"""`rialto config`: every key there is, and whether a file is in order."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from rialto.cli import frame
from rialto.cli.describe import Key, tables
from rialto.config import DEFAULT_PATH


@click.group(epilog=frame.examples("rialto config describe", "rialto config check ./rialto.toml"))
def config() -> None:
    """Describe the configuration, or check it."""


@config.command(
    epilog=frame.examples(
        "rialto config describe",
        "rialto config describe peers.sip",
        "rialto config describe --toml > all.toml",
    )
)
@frame.json_option
@click.option(
    "--toml", "as_toml", is_flag=True, help="Write a file with every key at its default, commented."
)
@click.argument("table", metavar="[TABLE]", required=False)
def describe(as_json: bool, as_toml: bool, table: str | None) -> None:
    """Say what may stand in the configuration.

    Every key of TABLE, or of all tables. TABLE is `server`, `networks.xmpp`, `peers`, `peers.sip`, ... For
    each key: its type, its default, and what it is for.
    """
    known = tables()
    if table is not None:
        wanted = {name: one for name, one in known.items() if name == table or name.startswith(f"{table}.")}
        if not wanted:
            raise click.UsageError(f"there is no table {table}; there are: {', '.join(known)}")
        known = wanted
    if as_json:
        frame.write_json(
            {
                name: {"about": one.about, "keys": [key.as_data() for key in one.keys]}
                for name, one in known.items()
            }
        )
    elif as_toml:
        click.echo("\n\n".join(one.as_toml() for one in known.values()))
    else:
        out = frame.console()
        for number, one in enumerate(known.values()):
            out.print(("\n" if number else "") + f"[bold]{escape(one.header)}[/bold]  {escape(one.about)}")
            out.print(_keys(one.keys))


@config.command(epilog=frame.examples("rialto config check", "rialto config check ./rialto.toml"))
@click.argument(
    "path",
    metavar="[FILE]",
    required=False,
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="RIALTO_CONFIG",
)
def check(path: Path | None) -> None:
    """Say whether a configuration is in order.

    FILE, or the usual one. Only the file is looked at. `rialto check` looks at the world as well.
    """
    path = path or DEFAULT_PATH
    loaded = frame.settings(path)
    networks = ", ".join(loaded.networks) or "none"
    click.echo(f"{path}: in order (networks: {networks}; peers: {len(loaded.peers)})")


def _keys(keys: tuple[Key, ...]) -> Table:
    table = Table(box=None, pad_edge=True, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", style="cyan")
    table.add_column(overflow="fold")
    for key in keys:
        default = "required" if key.required else f"= {key.default}"
        table.add_row(f"  {key.name}", escape(key.kind), f"{escape(key.about)} [dim]{escape(default)}[/dim]")
    return table
