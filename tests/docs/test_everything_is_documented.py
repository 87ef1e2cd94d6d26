"""Nothing that an operator can meet is without a word in the documentation."""

import re

import click
import pytest

from docs.pages import blocks, load_parts, text_of
from rialto.core.metrics import COUNTERS, GAUGES
from rialto.core.trail import Stop
from rialto.model.errors import Reason
from rialto.networks.sip import notices
from rialto.networks.sip.conditions import STATUSES
from rialto.networks.xmpp.conditions import TO_XMPP

parts = load_parts()
SHOWN = {f"{block.argument}" for block in blocks("{generated}")}
TABLES = parts.tables()


def first_cells(page: str) -> set[str]:
    """What stands in backquotes in the first column of the tables of a page."""
    rows = re.findall(r"^\| (`[^|]*) \|", text_of(page), re.MULTILINE)
    return {name for cell in rows for name in re.findall(r"`([^`]+)`", cell)}


def test_each_key_of_the_configuration_is_in_the_reference() -> None:
    assert {"instance", "networks", "peers"} <= SHOWN
    reference = "".join(parts.PARTS[part]() for part in ("instance", "networks", "peers"))
    for table in TABLES.values():
        assert f"`{table.header}`" in reference
        assert all(f"| `{key.name}` |" in reference for key in table.keys)


@pytest.mark.parametrize(
    ("table", "key"), [(name, key) for name, table in TABLES.items() for key in table.keys], ids=str
)
def test_each_setting_says_what_it_is_for(table: str, key: object) -> None:
    assert len(key.about) > 10  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", parts.command_names())
def test_each_command_has_help_with_an_example(name: str) -> None:
    command = next(one for path, one in parts.walk() if " ".join(path) == name)
    assert command.help
    assert f"Examples:\n  {name}".partition("\n")[0] in (command.epilog or "")
    assert name in (command.epilog or "")
    assert all(param.help for param in command.params if isinstance(param, click.Option))
    assert "commands" in SHOWN


@pytest.mark.parametrize("name", [f"{name}_total" for name in COUNTERS] + list(GAUGES))
def test_each_metric_says_when_to_look_closer(name: str) -> None:
    assert f"rialto_{name}" in first_cells("operate/watching.md")
    assert "metrics" in SHOWN


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_explained_and_has_its_place_in_both_protocols(reason: Reason) -> None:
    assert reason.value in first_cells("understand/errors.md")
    assert reason in TO_XMPP
    assert reason in STATUSES
    assert reason in notices.WHY


@pytest.mark.parametrize("stop", Stop)
def test_each_stop_of_a_trail_is_explained(stop: Stop) -> None:
    assert stop.value in first_cells("understand/life-of-a-message.md")


def test_nothing_is_explained_that_does_not_exist() -> None:
    metrics = {name for name in first_cells("operate/watching.md") if name.startswith("rialto_")}
    assert metrics <= {*(f"rialto_{name}_total" for name in COUNTERS), *(f"rialto_{name}" for name in GAUGES)}
    assert first_cells("understand/life-of-a-message.md") == {stop.value for stop in Stop}


def test_each_part_can_be_made() -> None:
    for shown in sorted(SHOWN):
        part, *arguments = shown.split()
        assert parts.PARTS[part](*arguments).strip()


def test_each_part_is_used() -> None:
    assert {shown.split()[0] for shown in SHOWN} == set(parts.PARTS)
