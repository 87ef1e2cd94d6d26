"""`rialto check`: the server looks at itself and at its world, and says what to do about what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from rialto.cli import frame, show
from rialto.cli.check.findings import Finding, Level, error, ok, worst
from rialto.model.errors import ConfigError

STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


@click.command(
    epilog=frame.examples(
        "rialto check",
        "rialto check --offline --config ./rialto.toml",
        "rialto check --json",
    )
)
@frame.config_option
@frame.json_option
@click.option("--offline", is_flag=True, help="Look at this machine only: no DNS, no peers.")
@click.option("--problems", is_flag=True, help="Show only what is wrong.")
def check(config_path: Path, as_json: bool, offline: bool, problems: bool) -> int:
    """Look for mistakes, and say how to put them right.

    In the configuration, the disk, the clock, the ports, the certificates, the DNS, the web side, and at
    each peer. One line for each finding, and for each problem the remedy. Peers are asked by the running
    server, or, if none runs, from here.

    Exit code: 0, all is well; 1, there are warnings; 2, there are errors.
    """
    from rialto import log

    log.configure("error", "text")
    findings = list(_findings(config_path, offline))
    shown = [finding for finding in findings if finding.level or not problems]
    if as_json:
        frame.write_json([finding.as_data() for finding in shown])
    else:
        _print(shown, findings)
    return int(worst(findings))


def _findings(config_path: Path, offline: bool) -> Iterator[Finding]:
    from rialto.cli.check import certificates, machine, names, reach, web
    from rialto.net.dns import Resolver
    from rialto.net.hostport import split_host_port

    try:
        config = frame.settings(config_path)
    except ConfigError as problem:
        yield error("config", problem.where, problem.expected, problem.remedy)
        return
    yield ok("config", str(config_path), f"{len(config.networks)} networks, {len(config.peers)} peers")
    running = reach.is_running(config)
    yield ok("config", "server", "running" if running else "not running")
    yield from machine.disk(config)
    yield from machine.clock(config, now=machine.wall_clock(), synchronised=machine.kernel_synchronised)
    yield from machine.ports(config, running=running)
    yield from certificates.certificates(config, datetime.now(UTC))
    if offline:
        return
    servers = [split_host_port(server, 53) for server in config.dns.servers]

    async def look() -> list[Finding]:
        return await names.names(config, Resolver(servers, timeout_s=config.dns.timeout_s))

    yield from asyncio.run(look())
    yield from web.web(config, running=running)
    if running:
        yield from reach.by_server(config)
        return
    try:
        yield from asyncio.run(reach.by_ourselves(config))
    except ConfigError as problem:
        yield error("peers", problem.where, problem.expected, problem.remedy)


def _print(shown: list[Finding], findings: list[Finding]) -> None:
    out = frame.console()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in shown:
        text = f"[bold]{show.safe(finding.about)}[/bold]  {show.safe(finding.text)}"
        if finding.remedy:
            text += f"\n[dim]remedy:[/dim] {show.safe(finding.remedy)}"
        style = STYLES[finding.level]
        table.add_row(f"[{style}]{finding.level.name.lower()}[/]", finding.area, text)
    out.print(table)
    counts = [sum(finding.level is level for finding in findings) for level in Level]
    out.print(f"{counts[0]} in order, {counts[1]} warnings, {counts[2]} errors")
