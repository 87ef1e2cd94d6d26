"""`rialto operator`: who runs which domains, and with which keys they sign."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from rialto.cli import agreed, frame, show

KINDS = ("enterprise", "public_im", "carrier", "hub")
FEDERATION = ("closed", "discovered", "open")


@click.group(epilog=frame.examples("rialto operator list", "rialto operator add contoso -d contoso.example"))
def operator() -> None:
    """Write down who runs which domains."""


@operator.command("list", epilog=frame.examples("rialto operator list --json"))
@frame.instance_options
@frame.json_option
def list_(config_path: Path, data_dir: Path | None, as_json: bool) -> None:
    """List operators and their domains, as they are now."""
    from rialto.model.agreement import holds

    with agreed.registry(config_path, data_dir) as registry:
        now = registry.now()
        found = [one for one in registry.written.snapshot().operators() if holds(one, now)]
        domains = [one for one in registry.written.holdings() if holds(one, now)]
    rows = [
        {
            "name": one.name,
            "ioi": one.ioi,
            "kind": one.kind.value,
            "federation": one.federation.value,
            "allowed": list(one.allowed),
            "domains": [held.domain for held in domains if held.operator_id == one.id],
            "keys": list(one.keys),
            "id": one.id,
        }
        for one in sorted(found, key=lambda one: one.name)
    ]
    if as_json:
        frame.write_json(rows)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("name", "kind", "federation", "domains", "keys"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(
            show.safe(str(row["name"])),
            str(row["kind"]),
            str(row["federation"]),
            show.safe(", ".join(row["domains"])),
            " ".join(key[:8] for key in row["keys"]),
        )
    frame.console().print(table if rows else "there is no operator")


@operator.command(epilog=frame.examples("rialto operator add contoso --domain contoso.example --key"))
@frame.instance_options
@agreed.actor_option
@click.option("--domain", "-d", "domains", multiple=True, help="A domain of its own; may come again.")
@click.option("--ioi", default="", help="Its inter-operator identifier; default: its name.")
@click.option("--kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True, help="What it is.")
@click.option(
    "--federation",
    type=click.Choice(FEDERATION),
    default=FEDERATION[0],
    show_default=True,
    help="With whom its users may speak when no agreement says it.",
)
@click.option("--key", "make_key", is_flag=True, help="Make a key for it, here in the data folder.")
@click.argument("name")
def add(
    config_path: Path,
    data_dir: Path | None,
    actor: str,
    domains: tuple[str, ...],
    ioi: str,
    kind: str,
    federation: str,
    make_key: bool,
    name: str,
) -> None:
    """Add an operator, from now on."""
    from rialto.model.agreement import Federation, Kind, Operator

    with agreed.registry(config_path, data_dir) as registry:
        one = Operator(id="", name=name, ioi=ioi or name, kind=Kind(kind), federation=Federation(federation))
        registry.add_operator(actor, one, domains)
        click.echo(f"added: {name}")
        if make_key:
            click.echo(f"key: {registry.make_key(actor, name)}")


@operator.command(epilog=frame.examples("rialto operator change contoso --federation discovered"))
@frame.instance_options
@agreed.actor_option
@agreed.from_option
@click.option("--federation", type=click.Choice(FEDERATION), help="With whom its users may speak.")
@click.option("--allow", multiple=True, help="An operator or domain on its allow list; replaces the list.")
@click.option("--public-key", "keys", multiple=True, help="A public key of its own; replaces them all.")
@click.argument("name")
def change(
    config_path: Path,
    data_dir: Path | None,
    actor: str,
    begin: str | None,
    federation: str | None,
    allow: tuple[str, ...],
    keys: tuple[str, ...],
    name: str,
) -> None:
    """Change an operator, from an instant on."""
    from rialto.model.agreement import Federation

    fields = {
        **({"federation": Federation(federation)} if federation else {}),
        **({"allowed": allow} if allow else {}),
        **({"keys": keys} if keys else {}),
    }
    if not fields:
        raise click.UsageError("say what changes")
    with agreed.registry(config_path, data_dir) as registry:
        one = registry.change_operator(actor, name, agreed.instant(begin), **fields)
        click.echo(f"changed: {name}, version {one.version} from {agreed.show_instant(one.from_ns)}")


@operator.command(epilog=frame.examples("rialto operator key contoso"))
@frame.instance_options
@agreed.actor_option
@click.argument("name")
def key(config_path: Path, data_dir: Path | None, actor: str, name: str) -> None:
    """Make a key for an operator, in the data folder.

    The private half stays in `keys/` below the data folder. With it the operator's signature below whoever
    accepts one of its offers comes by itself.
    """
    with agreed.registry(config_path, data_dir) as registry:
        click.echo(f"key: {registry.make_key(actor, name)}")


@operator.command(epilog=frame.examples("rialto operator domain contoso contoso.example"))
@frame.instance_options
@agreed.actor_option
@agreed.from_option
@click.option("--end", is_flag=True, help="It is this operator's no longer.")
@click.argument("name")
@click.argument("domain")
def domain(
    config_path: Path,
    data_dir: Path | None,
    actor: str,
    begin: str | None,
    end: bool,
    name: str,
    domain: str,
) -> None:
    """Say that a domain is an operator's, or is no longer."""
    with agreed.registry(config_path, data_dir) as registry:
        if end:
            registry.end_domain(actor, name, domain, agreed.instant(begin))
        else:
            registry.add_domain(actor, name, domain, agreed.instant(begin))
        click.echo(f"{'ended' if end else 'added'}: {domain}")
