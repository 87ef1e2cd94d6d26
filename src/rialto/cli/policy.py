"""`rialto policy`: why something may pass or not, the rules, and what a new one would do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.table import Table

from rialto.cli import agreed, frame, show

if TYPE_CHECKING:
    from rialto.clearing.agreements.registry import Registry
    from rialto.core.policy.settings import PolicySettings
    from rialto.model.address import Address
    from rialto.model.agreement import Rule, Traffic

SERVICES = ("message", "presence", "session", "file")
SCOPES = ("hub", "operator", "group", "agreement", "user")
EFFECTS = ("allow", "deny", "rate_limit")


@click.group(
    epilog=frame.examples(
        "rialto policy explain ann@contoso.example yan@yahoo.example", "rialto policy rules"
    )
)
def policy() -> None:
    """Explain decisions; write rules, and try them first."""


@policy.command(
    epilog=frame.examples(
        "rialto policy explain ann@contoso.example yan@yahoo.example",
        "rialto policy explain ann@contoso.example yan@yahoo.example presence --at 2027-01-31T12:00:00Z",
    )
)
@frame.instance_options
@frame.json_option
@click.option("--at", "at_text", metavar="INSTANT", help="When (2027-01-31T12:00:00Z); default: now.")
@click.argument("sender", metavar="FROM")
@click.argument("recipient", metavar="TO")
@click.argument("service", type=click.Choice(SERVICES), default="message")
def explain(
    config_path: Path,
    data_dir: Path | None,
    as_json: bool,
    at_text: str | None,
    sender: str,
    recipient: str,
    service: str,
) -> None:
    """Say whether something may pass, and why.

    Every step of the decision, by what is written down today, for any instant of the past or the future.
    Rates are not asked.

    Exit code: 1 if it may not pass.
    """
    from rialto.core.policy import Book, Leave
    from rialto.model.address import Address
    from rialto.model.agreement import Traffic

    settings = _settings(config_path, data_dir)
    with agreed.registry(config_path, data_dir) as registry:
        book = Book(registry.written.snapshot())
    at_ns = agreed.instant(at_text)
    told = Leave(settings, book, _uncounted).explain(
        Address.parse(sender),
        Address.parse(recipient),
        Traffic(service),
        time.time_ns() if at_ns is None else at_ns,
    )
    decision = told.decision
    if as_json:
        frame.write_json({**msgspec.to_builtins(told), "agreements": settings.agreements})
    else:
        _show(told.steps, settings)
        if decision.item_id:
            click.echo(
                f"agreement {decision.agreement}/{decision.agreement_version}, item {decision.item_id}"
            )
        click.echo(f"decision {decision.id}")
    if not decision.allowed:
        frame.no(decision.text)
    if not as_json:
        click.echo(f"allowed: {decision.text}")


def _show(steps: Any, settings: PolicySettings) -> None:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 1))
    for _ in range(3):
        table.add_column(overflow="fold")
    for step in steps:
        mark = "[green]passed[/green]" if step.passed else "[red]refused[/red]"
        table.add_row(step.name, mark, show.safe(step.text))
    frame.console().print(table)
    if settings.agreements != "required":
        click.echo(f"agreements are {settings.agreements}: everything passes, whatever is decided here")


@policy.command(epilog=frame.examples("rialto policy rules", "rialto policy rules --json"))
@frame.instance_options
@frame.json_option
def rules(config_path: Path, data_dir: Path | None, as_json: bool) -> None:
    """List the rules, each in its newest version."""
    with agreed.registry(config_path, data_dir) as registry:
        found = list(_newest(registry).values())
    if as_json:
        frame.write_json([msgspec.to_builtins(one) for one in found])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("rule", "scope", "effect", "from", "to", "service", "since", "until"):
        table.add_column(heading, overflow="fold")
    for one in found:
        effect = f"{one.effect.value}, only counted" if one.shadow else one.effect.value
        cells = (f"{one.name}/{one.version}", one.scope.value, effect, one.subject, one.peer)
        until = agreed.show_instant(one.to_ns)
        table.add_row(
            *map(show.safe, cells), one.service or "all", agreed.show_instant(one.from_ns), until or "-"
        )
    frame.console().print(table)


@policy.command(
    epilog=frame.examples(
        "rialto policy rule wall --scope group --effect deny --subject @traders --peer @analysts --shadow",
        "rialto policy rule slow --scope operator --effect rate_limit --subject contoso --rate 50",
    )
)
@frame.instance_options
@agreed.actor_option
@agreed.from_option
@click.option("--scope", type=click.Choice(SCOPES), required=True, help="Whose rule it is.")
@click.option("--effect", type=click.Choice(EFFECTS), required=True, help="What it does.")
@click.option("--subject", default="*", show_default=True, help="Operator, domain, user, @group or *: from.")
@click.option("--peer", default="*", show_default=True, help="The same: to.")
@click.option("--service", type=click.Choice(SERVICES), help="For this one; default: for all of them.")
@click.option("--priority", default=0, show_default=True, help="The highest of one scope decides.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Of rate_limit: messages a second.")
@click.option("--text", default="", help="The sentence for whoever is refused.")
@click.option("--shadow", is_flag=True, help="Only count what it would do.")
@click.argument("name")
def rule(
    config_path: Path,
    data_dir: Path | None,
    actor: str,
    begin: str | None,
    scope: str,
    effect: str,
    subject: str,
    peer: str,
    service: str | None,
    priority: int,
    rate: float | None,
    text: str,
    shadow: bool,
    name: str,
) -> None:
    """Write a rule, or a new version of the one of that name."""
    from rialto.model.agreement import Effect, Rule, Scope, Traffic

    if (effect == "rate_limit") is (rate is None):
        raise click.UsageError("--rate belongs to --effect rate_limit, and that to it")
    one = Rule(
        id="", name=name, scope=Scope(scope), effect=Effect(effect), subject=_checked(subject),
        peer=_checked(peer), service=Traffic(service) if service else None, priority=priority, shadow=shadow,
        max_rate_per_s=rate, text=text,
    )  # fmt: skip
    with agreed.registry(config_path, data_dir) as registry:
        _say(registry.rule(actor, one, agreed.instant(begin)))


@policy.command(
    epilog=frame.examples("rialto policy on wall", "rialto policy on wall --from 2027-02-01T00:00:00Z")
)
@frame.instance_options
@agreed.actor_option
@agreed.from_option
@click.argument("name")
def on(config_path: Path, data_dir: Path | None, actor: str, begin: str | None, name: str) -> None:
    """Let a rule that only counts do what it says."""
    _switch(config_path, data_dir, actor, begin, name, shadow=False)


@policy.command(epilog=frame.examples("rialto policy off wall"))
@frame.instance_options
@agreed.actor_option
@agreed.from_option
@click.argument("name")
def off(config_path: Path, data_dir: Path | None, actor: str, begin: str | None, name: str) -> None:
    """Roll a rule back: it only counts again."""
    _switch(config_path, data_dir, actor, begin, name, shadow=True)


def _switch(
    config_path: Path, data_dir: Path | None, actor: str, begin: str | None, name: str, *, shadow: bool
) -> None:
    with agreed.registry(config_path, data_dir) as registry:
        old = _named(registry, name)
        _say(
            registry.rule(
                actor, msgspec.structs.replace(old, shadow=shadow, to_ns=None), agreed.instant(begin)
            )
        )


@policy.command(epilog=frame.examples("rialto policy end wall"))
@frame.instance_options
@agreed.actor_option
@agreed.from_option
@click.argument("name")
def end(config_path: Path, data_dir: Path | None, actor: str, begin: str | None, name: str) -> None:
    """End a rule, now or at an instant."""
    with agreed.registry(config_path, data_dir) as registry:
        registry.end_rule(actor, name, agreed.instant(begin))
        click.echo(f"{name} ends")


@policy.command(epilog=frame.examples("rialto policy join @traders ann@contoso.example '*@desk.example'"))
@frame.instance_options
@agreed.actor_option
@click.argument("group")
@click.argument("members", nargs=-1, required=True, metavar="MEMBER...")
def join(config_path: Path, data_dir: Path | None, actor: str, group: str, members: tuple[str, ...]) -> None:
    """Put people into a group.

    A member is `user@domain`, or `*@domain` for all of a domain.
    """
    with agreed.registry(config_path, data_dir) as registry:
        registry.join(actor, group, members)
        click.echo(f"joined: {len(members)}")


@policy.command(epilog=frame.examples("rialto policy leave @traders ann@contoso.example"))
@frame.instance_options
@agreed.actor_option
@click.argument("group")
@click.argument("members", nargs=-1, required=True, metavar="MEMBER...")
def leave(config_path: Path, data_dir: Path | None, actor: str, group: str, members: tuple[str, ...]) -> None:
    """Take people out of a group."""
    with agreed.registry(config_path, data_dir) as registry:
        registry.leave(actor, group, members)
        click.echo(f"left: {len(members)}")


@policy.command(
    "try", epilog=frame.examples("rialto policy try wall", "rialto policy try wall --most 100000")
)
@frame.instance_options
@frame.json_option
@click.option("--most", default=10_000, show_default=True, help="How many messages, from the newest back.")
@click.argument("name")
def try_rule(config_path: Path, data_dir: Path | None, as_json: bool, most: int, name: str) -> None:
    """Try a rule that only counts on messages of the past.

    It says which of those whose trails are kept would be refused or allowed, if they came now. Rates are not
    played.
    """
    from rialto.core.policy.replay import replay

    settings = _settings(config_path, data_dir)
    with agreed.registry(config_path, data_dir) as registry:
        _named(registry, name)
        snapshot = registry.written.snapshot()
    tally = replay(
        snapshot, name, _recorded(frame.folder(config_path, data_dir), most), time.time_ns(), settings
    )
    if as_json:
        frame.write_json(msgspec.to_builtins(tally))
        return
    click.echo(
        f"of {tally.asked} messages, {name} would refuse {tally.refused} and allow {tally.allowed} more"
    )
    table = Table(box=None, pad_edge=False, show_header=False)
    for sender, recipient, count in tally.pairs:
        table.add_row(str(count), show.safe(sender), show.safe(recipient))
    if tally.pairs:
        frame.console().print(table)


def _recorded(folder: Path, most: int) -> Iterator[tuple[Address, Address, Traffic]]:
    from rialto.model.address import Address
    from rialto.model.agreement import Traffic
    from rialto.model.errors import AddressError

    store = frame.open_store(folder)
    try:
        for row in store.latest(most=most):
            if row.type != "message":
                continue
            try:
                yield Address.parse(row.sender), Address.parse(row.recipient), Traffic.MESSAGE
            except AddressError:
                continue  # written by an earlier release with other rules
    finally:
        store.close()


def _settings(config_path: Path, data_dir: Path | None) -> PolicySettings:
    from rialto.core.policy.settings import PolicySettings

    if data_dir is None or config_path.exists():
        return frame.settings(config_path).policy
    return PolicySettings(agreements="required")


def _newest(registry: Registry) -> dict[str, Rule]:
    return {one.name: one for one in registry.written.rules()}


def _named(registry: Registry, name: str) -> Rule:
    found = _newest(registry).get(name)
    if found is None:
        frame.no(f"there is no rule {name!r}", "see `rialto policy rules`")
    return found


def _checked(text: str) -> str:
    """Whom a rule is for. Raises AddressError."""
    from rialto.model.address import Address

    return text if "@" not in text[1:] else str(Address.parse(text).bare)


def _say(one: Rule) -> None:
    counts = " and only counts" if one.shadow else ""
    click.echo(f"{one.name}/{one.version} begins at {agreed.show_instant(one.from_ns)}{counts}")


def _uncounted(*key: str) -> None:
    """Nothing of this has happened."""
