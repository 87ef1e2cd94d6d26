"""Every command line in the documentation is one that the program understands."""

import re
import shlex
from pathlib import Path

import click
import pytest

from docs.pages import PAGES, ROOT, blocks, prose
from rialto.cli import rialto

_INLINE = re.compile(r"`((?:\.venv/bin/)?rialto [^`]+)`")
_LOOKS_LIKE_A_COMMAND = re.compile(r"(?:^|(?<=[\s/]))(?<!-u )rialto(?= [a-z-])")
_ENDS = frozenset(["|", "||", "&&", ";", ">", "<", "&", "#"])


def shown() -> list[tuple[Path, str, bool]]:
    """(page, command line from `rialto` on, whether it is complete) for each one shown."""
    found = []
    for language in ("console", "sh", "bash"):
        for block in blocks(language):
            for line in block.text.splitlines():
                if line.startswith(("$ ", "# ")) and (start := _LOOKS_LIKE_A_COMMAND.search(line)):
                    found.append((block.page, line[start.start() :], True))
    for page in PAGES:
        found += [(page, line.removeprefix(".venv/bin/"), False) for line in _INLINE.findall(prose(page))]
    return found


def understand(line: str, *, complete: bool) -> None:
    """Let click read the line, and run nothing. Raises click.ClickException."""
    words = shlex.split(line, comments=False)
    for place, word in enumerate(words):
        if word in _ENDS:
            words = words[:place]
            break
    words = [word for word in words if word != "..."]
    context = rialto.make_context("rialto", words[1:], resilient_parsing=False)
    command: click.Command = rialto
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
        try:
            context = command.make_context(command.name, list(rest), parent=context)
        except click.MissingParameter:
            if complete:
                raise
            return


@pytest.fixture(autouse=True)
def files_need_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of the examples are the reader's."""
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: Path(value))


@pytest.mark.parametrize(
    ("page", "line", "complete"),
    shown(),
    ids=lambda value: str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)[:60],
)
def test_the_command_line_is_understood(page: Path, line: str, complete: bool) -> None:
    if line in ("rialto --version", "rialto --help"):  # they end the program
        return
    understand(line, complete=complete)


def test_each_command_is_shown_somewhere() -> None:
    lines = " ".join(line for _, line, _ in shown())
    names = rialto.list_commands(click.Context(rialto))
    assert [name for name in names if f"rialto {name}" not in lines] == []


@pytest.mark.parametrize("line", ["rialto fly", "rialto trail --sideways ID", "rialto queue retri --all"])
def test_a_wrong_command_line_would_be_found(line: str) -> None:
    with pytest.raises(click.UsageError):
        understand(line, complete=True)
