"""`rialto agreement`: offers, agreements, signatures and prices."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
from rich.table import Table

from rialto.cli import agreed, frame, show


@click.group(
    epilog=frame.examples("rialto agreement list", "rialto agreement accept bill-and-keep contoso cy")
)
def agreement() -> None:
    """Offer, accept, draft and sign agreements."""


@agreement.command("list", epilog=frame.examples("rialto agreement list --json"))
@frame.instance_options
@frame.json_option
def list_(config_path: Path, data_dir: Path | None, as_json: bool) -> None:
    """List agreements, their items and where those stand."""
    from rialto.clearing.agreements.names import label

    with agreed.registry(config_path, data_dir) as registry:
        names = {one.id: one.name for one in registry.written.operators()}
        rows = [
            {
                "name": one.name,
                "version": one.version,
                "a": names.get(one.a, one.a),
                "b": names.get(one.b, one.b),
                "from": agreed.show_instant(one.from_ns),
                "to": agreed.show_instant(one.to_ns),
                "signed": sorted(names.get(by.operator_id, "") for by in one.signatures),
                "hash": one.document_hash,
                "offer": one.offer,
                "items": {label(item): registry.state(item.id).value for item in registry.items_of(one)},
            }
            for one in registry.written.versions()
        ]
    if as_json:
        frame.write_json(rows)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("name", "version", "a", "b", "from", "signed", "items"):
        table.add_column(name, overflow="fold")
    for row in rows:
        items = row["items"]
        assert isinstance(items, dict)
        table.add_row(
            *(show.safe(str(row[name])) for name in ("name", "version", "a", "b", "from")),
            show.safe(", ".join(row["signed"]) or "nobody"),  # type: ignore[arg-type]
            show.safe("\n".join(f"{name}: {state}" for name, state in items.items())),
        )
    frame.console().print(table if rows else "there is no agreement")


@agreement.command(
    "show", epilog=frame.examples("rialto agreement show cy", "rialto agreement show cy --changes")
)
@frame.instance_options
@click.option("--version", type=int, help="Which; default: the newest.")
@click.option("--changes", is_flag=True, help="The life of its items, with what probes have seen.")
@click.argument("name")
def show_(config_path: Path, data_dir: Path | None, version: int | None, changes: bool, name: str) -> None:
    """Print the document that is signed, as JSON."""
    with agreed.registry(config_path, data_dir) as registry:
        one = registry.agreement(name, version)
        if changes:
            steps = [
                change for item in registry.items_of(one) for change in registry.written.changes(item.id)
            ]
            frame.write_json(msgspec.to_builtins(steps))
        else:
            frame.write_json(msgspec.json.decode(registry.written.document(one.id, one.version)))


@agreement.command(
    epilog=frame.examples("rialto agreement draft cy contoso yahoo --item message --item presence")
)
@frame.instance_options
@agreed.actor_option
@agreed.from_option
@agreed.item_option
@click.option("--to", "end", metavar="INSTANT", help="When it ends; default: never.")
@click.option("--regulatory", default="", help="The law that asks for it, such as dma: then a deadline runs.")
@click.argument("name")
@click.argument("a")
@click.argument("b")
def draft(
    config_path: Path,
    data_dir: Path | None,
    actor: str,
    begin: str | None,
    items: tuple[str, ...],
    end: str | None,
    regulatory: str,
    name: str,
    a: str,
    b: str,
) -> None:
    """Write an agreement, or its next version, to sign.

    A is the operator that asks for it. Items that go on from the version before need no new order.
    """
    with agreed.registry(config_path, data_dir) as registry:
        one = registry.draft(
            actor, name, a, b, [agreed.read_item(item) for item in items],
            at=agreed.instant(begin), to=agreed.instant(end), regulatory=regulatory,
        )  # fmt: skip
        click.echo(f"drafted: {name}, version {one.version}, {one.document_hash}")


@agreement.command(
    epilog=frame.examples(
        "rialto agreement sign cy contoso", "rialto agreement sign cy contoso --key contoso.pem"
    )
)
@frame.instance_options
@agreed.actor_option
@click.option(
    "--key",
    "key_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A PEM file with the operator's Ed25519 key; default: the one in the data folder.",
)
@click.argument("name")
@click.argument("operator")
def sign(
    config_path: Path, data_dir: Path | None, actor: str, key_file: Path | None, name: str, operator: str
) -> None:
    """Sign the newest version of an agreement."""
    from rialto.clearing.agreements import document

    with agreed.registry(config_path, data_dir) as registry:
        if key_file is None:
            one = registry.sign_here(actor, name, operator)
        else:
            key = document.read_key(key_file.read_bytes())
            signature = document.sign(key, "agreement", registry.agreement(name).document_hash)
            one = registry.sign(actor, name, operator, document.public(key), signature)
        missing = 2 - len(one.signatures)
        click.echo(
            f"signed: {name}, version {one.version}; {'one signature is missing' if missing else 'by both'}"
        )


@agreement.command(
    epilog=frame.examples("rialto agreement offer open yahoo --item message,regime=bill_and_keep")
)
@frame.instance_options
@agreed.actor_option
@agreed.item_option
@click.option("--regulatory", default="", help="The law that asks for it, such as dma.")
@click.argument("name")
@click.argument("operator")
def offer(
    config_path: Path,
    data_dir: Path | None,
    actor: str,
    items: tuple[str, ...],
    regulatory: str,
    name: str,
    operator: str,
) -> None:
    """Publish a reference offer that anybody may accept."""
    with agreed.registry(config_path, data_dir) as registry:
        one = registry.publish(actor, name, operator, [agreed.read_item(item) for item in items], regulatory)
        click.echo(f"published: {name}, version {one.version}, {one.hash}")


@agreement.command(epilog=frame.examples("rialto agreement accept open contoso cy"))
@frame.instance_options
@agreed.actor_option
@click.argument("offer")
@click.argument("operator")
@click.argument("name")
def accept(
    config_path: Path, data_dir: Path | None, actor: str, offer: str, operator: str, name: str
) -> None:
    """Accept a reference offer, as an agreement called NAME.

    The offerer signs by itself; sign for the operator that accepts with `rialto agreement sign`.
    """
    with agreed.registry(config_path, data_dir) as registry:
        one = registry.accept(actor, offer, operator, name)
        click.echo(f"accepted: {name}, {one.document_hash}")


@agreement.command(epilog=frame.examples("rialto agreement price yahoo message 0.75 --from 2027-06-16"))
@frame.instance_options
@agreed.actor_option
@agreed.from_option
@click.option("--currency", default="EUR", show_default=True, help="ISO 4217.")
@click.option("--network", default="", help="Only for items with this network.")
@click.argument("price_list")
@click.argument("service", type=click.Choice(("message", "presence", "session", "file")))
@click.argument("unit")
def price(
    config_path: Path,
    data_dir: Path | None,
    actor: str,
    begin: str | None,
    currency: str,
    network: str,
    price_list: str,
    service: str,
    unit: str,
) -> None:
    """Set the price of a unit, from an instant on.

    The price before ends there. A price of 0 is a price: what is free is counted nevertheless.
    """
    from rialto.model.agreement import Tier, Traffic

    with agreed.registry(config_path, data_dir) as registry:
        one = registry.price(
            actor, price_list, Traffic(service), [Tier(unit_nano=agreed.nano(unit))],
            network=network, currency=currency, at=agreed.instant(begin),
        )  # fmt: skip
        click.echo(f"priced: {price_list}, {service}, from {agreed.show_instant(one.from_ns)}")
