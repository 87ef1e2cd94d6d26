"""The shape of the code: who may import whom, what things are called, what every file says of itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src" / "rialto").rglob("*.py"))
NOT_NOUNS_OF_THE_TRADE = (
    "Manager",
    "Handler",
    "Service",
    "Processor",
    "Helper",
    "Util",
    "Utils",
    "Base",
    "Impl",
)
LONG_LINES = 600
WIRE_SUBMODULES = {"asyncio", "socket", "ssl", "time", "random"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def written(paths: list[Path]) -> list[Path]:
    return [path for path in paths if path.read_text().strip()]


def test_the_outside_knows_the_inside_and_never_the_other_way_round() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("path", written(SOURCES), ids=name_of)
def test_a_file_says_in_its_first_line_what_it_is(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text()), clean=False)
    assert text, "it has no docstring"
    first = text.split("\n", 1)[0]
    assert first.strip(), "its docstring begins with an empty line"
    if len(path.read_text().splitlines()) > LONG_LINES:
        assert re.search(r"\blong\b|\blength\b|\blines\b", text), f"above {LONG_LINES} lines it says why"


@pytest.mark.parametrize("path", written(SOURCES), ids=name_of)
def test_classes_have_the_names_of_things(path: Path) -> None:
    classes = [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    assert [name for name in classes if name.endswith(NOT_NOUNS_OF_THE_TRADE)] == []


@pytest.mark.parametrize("path", [path for path in SOURCES if "wire" in path.parts], ids=name_of)
def test_wire_code_reads_no_clock_and_does_no_io(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert not imported & WIRE_SUBMODULES


@pytest.mark.parametrize("path", written(SOURCES), ids=name_of)
def test_nothing_is_left_to_be_done(path: Path) -> None:
    marks = "TO" + "DO", "FIX" + "ME", "X" * 3
    assert [mark for mark in marks if re.search(rf"\b{mark}\b", path.read_text())] == []
