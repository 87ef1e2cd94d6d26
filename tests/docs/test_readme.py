"""What the README shows is what a user sees."""

import os
import re
import subprocess
import sys
from pathlib import Path

from docs.pages import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COLUMNS = "104"

_VARIES = (
    (re.compile(r"\d{4}-\d\d-\d\d"), "DATE"),
    (re.compile(r"\d+:\d\d:\d\d\.\d+"), "TIME"),
    (re.compile(r"\d+\.\d+ (?:ms|s)\b"), "SPAN"),
    (re.compile(r":\d{4,5}\b"), ":PORT"),
    (re.compile(r"\s+"), " "),
)


def plain(line: str) -> str:
    """A line without what differs from one run to the next."""
    for pattern, instead in _VARIES:
        line = pattern.sub(instead, line)
    return line.strip()


def test_the_excerpt_of_rialto_try_is_what_it_shows() -> None:
    excerpt = README.partition("$ rialto try\n")[2].partition("\n```")[0].splitlines()
    run = subprocess.run(
        [Path(sys.executable).with_name("rialto"), "try", "--once"],
        env=os.environ | {"COLUMNS": COLUMNS},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=50,
        text=True,
        check=True,
    )
    said = [plain(line) for line in run.stdout.splitlines()]
    place = 0
    for line in (plain(line) for line in excerpt if line != "..."):
        assert line in said[place:], f"not shown (any more, or not there): {line}\n\n{run.stdout}"
        place = said.index(line, place) + 1


def test_each_target_of_make_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
    named = {name for page in pages for name in re.findall(r"[`\s]make ([a-z]+)\b[`\n]", page.read_text())}
    assert {"try", "test"} <= named <= targets


def test_what_does_not_work_is_said_plainly() -> None:
    speaks = README.partition("## What it speaks")[2].partition("\n## ")[0]
    missing = {row.split("|")[1].strip() for row in speaks.splitlines() if row.endswith("| not yet |")}
    for word in ("rooms", "accounts", "clearing"):
        assert any(word in row for row in missing), word
