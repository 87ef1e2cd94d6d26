"""What the documentation takes from the code: settings, commands, metrics and tables, as Markdown."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from rialto.cli import rialto as command_line
from rialto.cli.describe import tables
from rialto.core import adapt, metrics, policy
from rialto.core.network import Features
from rialto.model.errors import Reason, Refused
from rialto.networks.sip import conditions as sip
from rialto.networks.sip import notices
from rialto.networks.xmpp import conditions as xmpp

ROOT = Path(__file__).parents[2]


PROTOCOL_NAMES = {"xmpp": "XMPP", "sip": "SIP"}


def instance() -> str:
    """The tables that every configuration has one of."""
    return "\n\n".join(_keys(name) for name in tables() if not name.startswith(("networks", "peers")))


def networks() -> str:
    """The settings of each network."""
    return _by_protocol("networks")


def peers() -> str:
    """What every peer has, then what those of each protocol have."""
    return f"{_keys('peers')}\n\n{_by_protocol('peers')}"


def _by_protocol(kind: str) -> str:
    found = []
    for name in tables():
        first, _, rest = name.partition(".")
        if first == kind and rest:
            if "." not in rest:
                found.append(f"### {PROTOCOL_NAMES.get(rest, rest.capitalize())} {kind}")
            found.append(_keys(name))
    return "\n\n".join(found)


def _keys(name: str) -> str:
    described = tables()[name]
    rows = [
        (
            f"`{key.name}`",
            _cell(key.kind),
            "required" if key.required else f"`{_cell(key.default)}`",
            _cell(key.about),
        )
        for key in described.keys
    ]
    about = "" if described.about.strip(".") == described.header else f": {described.about}"
    return f"`{described.header}`{about}\n\n" + _table(("key", "type", "default", "what for"), rows)


def commands() -> str:
    """Every command with its help, as `--help` says it."""
    return "\n\n".join(_help())


def command_names() -> list[str]:
    """Every command that can be run: `queue list`, not `queue`."""
    return [" ".join(path) for path, command in walk() if not isinstance(command, click.Group)]


def walk(
    command: click.Command = command_line, path: tuple[str, ...] = ("rialto",)
) -> Iterable[tuple[tuple[str, ...], click.Command]]:
    """All commands and groups with the words that lead to them."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk(found, (*path, name))


def metric_table() -> str:
    """Counters and gauges."""
    rows = [
        (f"`rialto_{name}_total`", " ".join(f"`{label}`" for label in labels), text)
        for name, (text, labels) in metrics.COUNTERS.items()
    ]
    rows += [(f"`rialto_{name}`", "", text) for name, text in metrics.GAUGES.items()]
    return _table(("metric", "labels", "what it counts"), rows)


def reason_table() -> str:
    """Each reason on either side."""
    rows = []
    for reason in Reason:
        condition, kind = xmpp.TO_XMPP[reason]
        plain, moved = (sip.status_for(Refused(reason, redirect=to)) for to in ("", "sip:new@example.org"))
        status = f"{plain}" if plain == moved else f"{moved} with a new address, else {plain}"
        rows.append((f"`{reason.value}`", f"`<{condition}/>` `{kind}`", status, notices.WHY[reason]))
    return _table(("reason", "to an XMPP sender", "to a SIP sender", "in a sentence"), rows)


def from_xmpp() -> str:
    """What each stanza error means to us, and what a SIP sender hears of it."""
    rows = [
        (f"`<{condition}/>`", f"`{reason.value}`", str(sip.status_for(Refused(reason))))
        for condition, reason in sorted(xmpp.FROM_XMPP.items())
    ]
    return _table(("stanza error", "reason", "to a SIP sender"), rows)


_THEN = {
    sip.Then.END: "the sender is told",
    sip.Then.LATER: "tried again",
    sip.Then.NEXT: "the next server, then tried again",
    sip.Then.UNSURE: "the sender is told, as uncertain",
    sip.Then.CREDENTIALS: "once more, with credentials; then the sender is told",
}


def from_sip() -> str:
    """What each status means to us, what we do, and what an XMPP sender hears of it."""
    rows = [
        (str(status), f"`{found.reason.value}`", _THEN[found.then], f"`<{xmpp.TO_XMPP[found.reason][0]}/>`")
        for status, found in sorted(sip.MEANINGS.items())
    ]
    return _table(("status", "reason", "what happens", "to an XMPP sender"), rows)


def rules() -> str:
    """The rules of the hub's policy, in their order."""
    return ", ".join(f"`{name}`" for name, _ in policy.RULES)


def limits() -> str:
    """What adaptation does to a message that is too long."""
    return (
        f"At most {adapt.MAX_PARTS} parts: what would take more is refused with `{Reason.TOO_LARGE.value}`."
    )


def features() -> str:
    """What a peer can declare that it carries."""
    return ", ".join(f"`{name}`" for name in Features.__struct_fields__)


_HOW_MUCH = {"full": "all that applies here", "partial": "in part", "none": "no"}


def standards(*kinds: str) -> str:
    """The standards of one kind (`RFC`, `XEP`) from `standards.toml`."""
    rows = []
    for one in read_standards():
        if not one["id"].startswith(kinds[0]):
            continue
        what = _cell(one["what"]) + (f" *{_cell(one['notes'])}*" if one.get("notes") else "")
        rows.append(
            (f"[{one['id']}]({_address(one['id'])})", _cell(one["title"]), _HOW_MUCH[one["status"]], what)
        )
    return _table(("standard", "title", "spoken", "what of it, and what was decided"), rows)


def read_standards() -> list[dict[str, Any]]:
    """`standards.toml`."""
    found: list[dict[str, Any]] = tomllib.loads((ROOT / "standards.toml").read_text())["standard"]
    return found


PARTS: dict[str, Callable[..., str]] = {
    "instance": instance,
    "networks": networks,
    "peers": peers,
    "commands": commands,
    "metrics": metric_table,
    "reasons": reason_table,
    "from-xmpp": from_xmpp,
    "from-sip": from_sip,
    "rules": rules,
    "limits": limits,
    "features": features,
    "standards": standards,
}


def _help() -> Iterable[str]:
    for path, one in walk():
        if len(path) > 1:
            own = click.Context(one, info_name=" ".join(path), max_content_width=96, terminal_width=96)
            yield f"{'#' * min(len(path), 3)} {' '.join(path)}"
            yield f"```text\n{one.get_help(own).replace(chr(8), '')}\n```"


def _address(name: str) -> str:
    kind, number = name.replace("-", " ").split()
    if kind == "RFC":
        return f"https://www.rfc-editor.org/rfc/rfc{int(number)}"
    return f"https://xmpp.org/extensions/xep-{number}.html"


def _cell(text: str) -> str:
    line = " ".join(text.split()).replace("|", "\\|")
    return line if "`" in line else line.replace("<", "&lt;")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
