"""What holds for every command and every configuration key there is."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from cli.running import run
from rialto import __version__
from rialto.cli import COMMANDS, rialto
from rialto.cli.describe import tables


def every_command(command: click.Command = rialto, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from every_command(inner, (*path, name))


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.code == 0
    assert "Examples:" in result.out
    assert " ".join(("rialto", *path)) in result.out.split("Examples:")[1]
    first = result.out.split("\n\n")[1].strip()
    assert first.endswith(".")
    assert len(first) <= 60 or not path


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_every_option_says_what_it_is_for(path: tuple[str, ...]) -> None:
    command: click.Command = rialto
    for name in path:
        assert isinstance(command, click.Group)
        inner = command.get_command(click.Context(command), name)
        assert inner is not None
        command = inner
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{' '.join(path)}: {parameter.opts}"


def test_the_help_lists_every_command_with_its_whole_first_line() -> None:
    result = run("--help")
    for name in COMMANDS:
        line = next(line for line in result.out.splitlines() if line.startswith(f"  {name} "))
        assert line.endswith(".")
        assert "..." not in line


def test_the_version_is_told() -> None:
    assert run("--version").out == f"rialto, version {__version__}\n"


def test_a_command_that_is_not_there_is_wrong_usage() -> None:
    result = run("prey")
    assert result.code == 2
    assert "No such command 'prey'" in result.err


@pytest.mark.parametrize("name", list(tables()))
def test_every_key_of_the_configuration_says_what_it_is_for(name: str) -> None:
    table = tables()[name]
    assert table.about
    for key in table.keys:
        assert key.about.endswith("."), f"{name}.{key.name}"
        assert key.kind
        assert key.required or key.default, f"{name}.{key.name}"
