"""The requirements that code and tests name are explained."""

import re
from pathlib import Path

from docs.pages import ROOT, text_of

_NAME = re.compile(r"\b(?:ADR|AMB|ARC|CPM|DEP|ERR|MSG|PRS)-\d+\b")


def named(folder: Path) -> set[str]:
    """The names of all requirements in the sources of a folder."""
    return {
        name for path in folder.glob("**/*.py") for name in _NAME.findall(path.read_text(encoding="utf-8"))
    }


def test_each_requirement_that_is_named_is_explained() -> None:
    explained = set(re.findall(r"^\| ([A-Z]+-\d+) \|", text_of("inside/checklist.md"), re.MULTILINE))
    assert named(ROOT / "src") | named(ROOT / "tests") <= explained
