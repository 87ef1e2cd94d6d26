"""What people see: the two wires side by side, and what was translated into what."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rialto.cli import show
from rialto.cli.demo.wire import Burst, Chunk, layout, parts, translation
from rialto.cli.trail import stops
from rialto.core.trail import decode
from rialto.store.store import Row

STYLES = {
    "sender": "bold cyan",
    "recipient": "bold magenta",
    "text": "bold green",
    "subject": "bold yellow",
    "thread": "blue",
    "language": "bright_red",
    "error": "bold red",
}
SIDES = (("xmpp", "XMPP"), ("sip", "SIP"))
MIN_SIDE_BY_SIDE = 90
"""Columns of the terminal below which the two wires are shown one under the other."""


def burst_view(
    burst: Burst, domains: dict[str, str], width: int, *, everything: bool = False
) -> RenderableType:
    """The two wires of a burst, and the translation between them.

    `domains` names who is at each side; `everything` also shows what servers say to one another.
    """
    shown = [chunk for chunk in burst.chunks if everything or chunk.interesting]
    panels = [
        Panel(
            _wire([chunk for chunk in shown if chunk.network == network], shown),
            title=f"[bold]{name}[/bold]  {show.safe(domains.get(network, ''))}",
            title_align="left",
            border_style="dim",
        )
        for network, name in SIDES
    ]
    if width < MIN_SIDE_BY_SIDE:
        return Group(*panels, _translation(burst))
    grid = Table.grid(expand=True)
    for _ in panels:
        grid.add_column(ratio=1)
    grid.add_row(*panels)
    return Group(grid, _translation(burst))


def headline(row: Row) -> str:
    """One line on what became of a message."""
    took = f"in {show.span(row.settled_at - row.received_at)}" if row.settled_at else "so far"
    colour = {"failed": "red", "dropped": "red", "queued": "yellow"}.get(row.state, "green")
    why = f" ({row.reason})" if row.reason else ""
    return (
        f"[bold]{show.safe(row.sender)}[/bold] to [bold]{show.safe(row.recipient)}[/bold]: {row.type} "
        f"[{colour}]{row.state}[/]{why} {took}"
    )


def print_burst(
    out: Console,
    burst: Burst,
    rows: Sequence[Row],
    domains: dict[str, str],
    trail_command: str,
    *,
    everything: bool = False,
) -> None:
    """Show a burst with the messages that it was about, and the trail of the first of them."""
    if burst.lost:
        out.print(f"[dim]{burst.messages} messages on the wire: too many to be shown[/dim]")
        return
    if not everything and not any(chunk.interesting for chunk in burst.chunks):
        return
    out.print()
    for row in rows:
        out.print(headline(row))
    out.print(burst_view(burst, domains, out.width, everything=everything))
    for row in rows[:1]:
        out.print(stops(decode(row.trail)))
        if trail_command:
            out.print(f"  [dim]$ {show.safe(trail_command.format(id=row.id))}[/dim]", soft_wrap=True)


def _wire(mine: Sequence[Chunk], shown: Sequence[Chunk]) -> Text:
    """One side: each chunk with its time, its direction and its meaning in colour."""
    text = Text(overflow="fold")
    if not mine:
        return Text("(nothing was said here)", style="dim")
    for number, chunk in enumerate(mine):
        if number:
            text.append("\n\n")
        after = show.span(chunk.at - shown[0].at)
        way = f"{chunk.remote} -> Rialto" if chunk.inward else f"Rialto -> {chunk.remote}"
        text.append(f"+{after}  {way}\n", style="dim italic")
        text.append_text(coloured(chunk))
    return text


def coloured(chunk: Chunk) -> Text:
    """A chunk in lines, with each of its parts in the colour of its meaning."""
    lines = layout(chunk).rstrip("\n")
    text = Text(lines, style="default" if chunk.interesting else "dim")
    for part in parts(chunk.network, lines):
        text.stylize(STYLES[part.name], part.start, part.end)
    return text


def _translation(burst: Burst) -> RenderableType:
    rows = translation(burst)
    if not rows:
        return Text()
    first = next((chunk for chunk in burst.chunks if chunk.is_message), None)
    arrow = "->" if first is not None and first.network == "xmpp" else "<-"
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, xmpp, sip in rows:
        style = STYLES[name]
        table.add_row(f"  {name}", Text(_short(xmpp), style=style), arrow, Text(_short(sip), style=style))
    return table


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 70 else line[:69] + "…"


def legend() -> Text:
    """Which colour means what."""
    return Text("  ").join(Text(name, style=style) for name, style in STYLES.items())
