"""A play fails where a gateway says something else, nothing, or too much."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from vectors.kit import transcripts
from vectors.play import Play
from vectors.stand import Stand


async def played(folder: Path, *acts: dict[str, Any]) -> None:
    async with Stand(folder) as stand:
        play = Play(stand)
        for act in acts:
            await play.run(act)
        await play.end()


def message() -> dict[str, Any]:
    return deepcopy(transcripts()["rfc7572-5"])


@pytest.mark.parametrize(
    ("right", "wrong", "field"),
    [
        ("if either thee dislike", "if neither thee dislike", "body"),
        ("juliet@example.com", "nurse@example.com", "to"),
        ("/dr4hcr0st3lup4c", "", "from"),
        ("<thread>9E97", "<thread>0E97", "thread"),
    ],
)
async def test_something_else(right: str, wrong: str, field: str, tmp_path: Path) -> None:
    act = message()
    act["step"][1]["wire"] = act["step"][1]["wire"].replace(right, wrong)
    with pytest.raises(AssertionError, match=f"'{field}'"):
        await played(tmp_path, act)


async def test_a_field_that_must_not_be_there(tmp_path: Path) -> None:
    act = message()
    act["step"][1]["absent"] = ["body"]
    with pytest.raises(AssertionError, match="'body'"):
        await played(tmp_path, act)


async def test_a_field_that_must_be_there(tmp_path: Path) -> None:
    act = message()
    act["step"][1]["present"] = ["subject"]
    with pytest.raises(AssertionError, match="'subject'"):
        await played(tmp_path, act)


async def test_too_much(tmp_path: Path) -> None:
    act = message()
    del act["step"][1]
    with pytest.raises(AssertionError, match="nobody expected"):
        await played(tmp_path, act)


async def test_something_forbidden(tmp_path: Path) -> None:
    act = message()
    act["step"][1]["forbidden"] = True
    with pytest.raises(AssertionError, match="it said"):
        await played(tmp_path, act)


async def test_something_optional_is_fine_either_way(tmp_path: Path) -> None:
    act = message()
    act["step"][1]["optional"] = True
    act["step"].append(act["step"][1] | {"wire": act["step"][1]["wire"].replace("romeo", "tybalt")})
    await played(tmp_path, act)


def refresh() -> list[dict[str, Any]]:
    return [deepcopy(transcripts()[name]) for name in ("rfc8048-5.2.1", "rfc8048-5.2.2-refresh")]


async def test_something_too_late(tmp_path: Path) -> None:
    first, then = refresh()
    then["step"][1]["within"] = 20
    with pytest.raises(AssertionError, match="has not said within 20"):
        await played(tmp_path, first, then)


async def test_something_too_early(tmp_path: Path) -> None:
    first, then = refresh()
    then["step"][1]["not_before"] = 498
    with pytest.raises(AssertionError, match="already"):
        await played(tmp_path, first, then)
