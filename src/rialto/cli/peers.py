"""`rialto peers`: who is at the other end, over which links, how secure, and since when."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from rialto.cli import frame, show
from rialto.control import ask

STATES = {"up": "green", "connecting": "yellow", "down": "red"}


@click.command(epilog=frame.examples("rialto peers", "rialto peers --json"))
@frame.instance_options
@frame.json_option
def peers(config_path: Path, data_dir: Path | None, as_json: bool) -> None:
    """Show the peers: their links, and what is down.

    For each link how it is secured and since when it stands; for each outage since when it lasts. A peer
    without a link is not ill: links are made when there is something to say. `rialto check` tries them
    all.
    """
    answer = ask(frame.socket_of(frame.folder(config_path, data_dir)), "peers")
    if as_json:
        frame.write_json(answer)
        return
    out = frame.console()
    out.print(_table(answer))
    for outage in answer["outages"]:
        out.print(
            f"[red]down[/red] {show.safe(outage['network'])}: {show.safe(outage['destination'])} "
            f"for {show.span(time.time() - outage['since'])}, tried again {_when(outage['retry_at'])}: "
            f"{show.safe(outage['error'])}"
        )


def _table(answer: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("peer", "network", "domains", "link", "state", "security", "since"):
        table.add_column(name, overflow="fold")
    links: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for link in answer["links"]:
        links.setdefault((link["network"], link["peer"]), []).append(link)
    for peer in answer["peers"]:
        mine = links.pop((peer["network"], peer["name"]), [])
        head = (show.safe(peer["name"]), show.safe(peer["network"]), show.safe(" ".join(peer["domains"])))
        for number, link in enumerate(mine):
            table.add_row(*(head if not number else ("", "", "")), *_link(link))
        if not mine:
            table.add_row(*head, "[dim]none[/dim]", "", "", "")
    for (network, name), strangers in links.items():
        for link in strangers:
            table.add_row(show.safe(name) or "[dim]nobody yet[/dim]", show.safe(network), "", *_link(link))
    return table


def _link(link: dict[str, Any]) -> tuple[str, str, str, str]:
    arrow = {"in": "<- ", "out": "-> ", "both": "<> "}.get(link["direction"], "")
    colour = STATES.get(link["state"], "default")
    detail = f" [dim]{show.safe(link['detail'])}[/dim]" if link["detail"] else ""
    return (
        f"{arrow}{show.safe(link['remote'])}",
        f"[{colour}]{show.safe(link['state'])}[/]{detail}",
        show.safe(link["security"]),
        show.span(time.time() - link["since"]) if link["since"] else "",
    )


def _when(at: float) -> str:
    left = at - time.time()
    return f"in {show.span(left)}" if left > 0 else "now"
