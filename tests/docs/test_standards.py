"""`standards.toml` and the code speak of the same standards."""

import re
import tomllib
from typing import Any

import pytest

from docs.pages import ROOT

STANDARDS: list[dict[str, Any]] = tomllib.loads((ROOT / "standards.toml").read_text())["standard"]
BY_ID = {one["id"]: one for one in STANDARDS}
KEYS = {"id", "title", "status", "what", "where", "tested_by", "notes"}

_CITATION = re.compile(r"\b(RFC)s? ?(\d{3,4})\b|\b(XEP)-(\d{4})\b")


def cited(text: str) -> set[str]:
    """The ids of all standards that a text names."""
    return {f"RFC {rfc}" if rfc else f"XEP-{xep}" for _, rfc, _, xep in _CITATION.findall(text)}


def source_files() -> list[str]:
    """The files of the package, relative to the root."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "src").glob("**/*.py"))


@pytest.mark.parametrize("path", source_files())
def test_each_standard_cited_in_the_code_is_listed(path: str) -> None:
    assert cited((ROOT / path).read_text(encoding="utf-8")) - set(BY_ID) == set()


@pytest.mark.parametrize("one", STANDARDS, ids=lambda one: one["id"])
def test_what_is_listed_is_there(one: dict[str, Any]) -> None:
    assert set(one) <= KEYS
    assert one["title"]
    assert one["what"]
    assert one["status"] in ("full", "partial", "none")
    for path in one.get("where", []):
        assert one["id"] in cited((ROOT / path).read_text(encoding="utf-8")), path
    for path in one.get("tested_by", []):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("one", STANDARDS, ids=lambda one: one["id"])
def test_what_is_spoken_names_its_code(one: dict[str, Any]) -> None:
    if one["status"] == "full":
        assert one.get("where")
        assert one.get("tested_by")
    if one["status"] == "none":
        assert not one.get("tested_by")


def test_no_standard_is_listed_twice() -> None:
    assert len(BY_ID) == len(STANDARDS)
