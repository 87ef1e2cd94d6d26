"""The tables of the page on performance are those of the figures that were measured."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
FIGURES = json.loads((ROOT / "bench" / "figures.json").read_text(encoding="utf-8"))

sys.path.append(str(ROOT))

from bench.report import PUBLISHED, markdown, presence_table  # noqa: E402
from bench.systems import SYSTEMS  # noqa: E402


def test_the_tables_are_those_of_the_figures() -> None:
    assert markdown(FIGURES) in PAGE


def test_what_presence_costs_is_what_was_measured() -> None:
    assert presence_table(FIGURES["presence"]) in PAGE


def test_presence_was_measured_with_as_many_as_were_promised_and_stays_within_its_bounds() -> None:
    found = FIGURES["presence"]
    assert found["pairs"] >= 200_000
    assert found["refreshed"] >= found["pairs"]
    assert max(found["taken_up_bytes"], found["asked_bytes"], found["hour_bytes"]) <= 1500
    assert found["restart_s"] <= 30
    assert found["core_percent"] <= 10


def test_published_figures_are_medians_of_five_runs_at_least() -> None:
    assert FIGURES["settings"]["repetitions"] >= 5
    assert all(
        case["systems"][name]["runs"] + case["systems"][name]["failed_runs"] >= 5
        for case in FIGURES["cases"]
        for name in PUBLISHED
    )


def test_every_published_system_is_one_that_can_be_measured() -> None:
    assert set(PUBLISHED) <= set(SYSTEMS)


def test_rialto_lost_nothing_and_told_nothing_twice() -> None:
    for case in FIGURES["cases"]:
        rialto = case["systems"]["rialto"]
        assert (rialto["lost"], rialto["duplicates"], rialto["refused"]) == (0, 0, 0), case["case"]


def test_no_name_of_a_machine_or_of_its_folders_is_published() -> None:
    assert set(FIGURES["machine"]) == {"cpu", "cores", "kernel", "python", "kamailio"}
    assert "/" not in json.dumps(FIGURES["machine"])
