"""How things look to people."""

from __future__ import annotations

import pytest

from rialto.cli import show


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 ms"),
        (0.00321, "3.2 ms"),
        (1.5, "1.5 s"),
        (59.94, "59.9 s"),
        (60, "1 min"),
        (3900, "1 h 5 min"),
        (86400, "1 d"),
        (180000, "2 d 2 h"),
        (-2, "-2.0 s"),
    ],
)
def test_a_span_is_told_in_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert show.span(seconds) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 1024**4, "5120.0 GiB")]
)
def test_a_size_is_told_in_the_unit_that_suits_it(size_bytes: int, text: str) -> None:
    assert show.size(size_bytes) == text


def test_what_others_wrote_is_neither_markup_nor_control() -> None:
    assert show.safe("[bold]x[/bold]\x1b[2J") == "\\[bold]x\\[/bold]\u241b[2J"
    assert show.plain("tab\tand\nline") == "tab\tand\nline"
