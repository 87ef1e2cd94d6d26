"""Reading the conformance kit: what stands in `vectors/`, by id."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "vectors"


@cache
def documents() -> dict[str, dict[str, Any]]:
    """Every file of the kit, by its path in the folder."""
    return {
        str(path.relative_to(FOLDER)): tomllib.loads(path.read_text(encoding="utf-8"))
        for path in sorted(FOLDER.glob("**/*.toml"))
    }


def tables(kind: str, direction: str) -> list[Any]:
    """The vectors of a table that go that way, for `parametrize`."""
    return [
        vector
        for document in documents().values()
        if document["kind"] == kind
        for vector in document["vector"]
        if vector["direction"] in (direction, "both")
    ]


@cache
def transcripts() -> dict[str, dict[str, Any]]:
    """The transcripts, by id."""
    return {one["id"]: one for one in documents().values() if one["kind"] == "transcript"}


def name_of(vector: dict[str, Any]) -> str:
    """What pytest calls it."""
    return str(vector["id"])
