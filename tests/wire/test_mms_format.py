"""X-MMS-IM-Format: the look of a text, beside it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.wire.mms_format import Look, from_parameter, parse, to_html, to_parameter, write


@pytest.mark.parametrize(
    ("value", "look"),
    [
        (
            "FN=MS%20Shell%20Dlg; EF=BI; CO=800000; CS=0; PF=22",
            Look(font="MS Shell Dlg", bold=True, italic=True, colour="#000080"),
        ),
        ("FN=Arial; EF=; CO=0; CS=0; PF=22", Look(font="Arial")),
        ("FN=Arial; EF=US; CO=ff; CS=0", Look(font="Arial", underline=True, strike=True, colour="#ff0000")),
        ("fn=;ef=b;rl=1", Look(bold=True, right_to_left=True)),
        ("FN=x%22%3E; CO=zzz", Look()),
        ("", Look()),
        ("x" * 5000, Look()),
    ],
)
def test_a_look_is_read(value: str, look: Look) -> None:
    assert parse(value) == look


LOOKS = st.builds(
    Look,
    font=st.sampled_from(["", "Arial", "MS Shell Dlg", "Ünï"]),
    bold=st.booleans(),
    italic=st.booleans(),
    underline=st.booleans(),
    strike=st.booleans(),
    colour=st.sampled_from(["", "#000080", "#ff0000", "#0a0b0c"]),
    right_to_left=st.booleans(),
)


@given(LOOKS)
def test_every_look_survives_the_way_there_and_back(look: Look) -> None:
    assert parse(write(look)) == look
    assert from_parameter(to_parameter(look)) == look


@pytest.mark.parametrize(
    "value",
    ["", "!", "AAA", base64.b64encode("Other: EF=B".encode("utf-16-le")).decode(), "A" * 9000],
)
def test_what_cannot_be_read_is_no_look(value: str) -> None:
    assert from_parameter(value) == Look()


def test_a_text_in_its_look() -> None:
    look = parse("FN=Arial; EF=BU; CO=ff")
    assert to_html("a <b>\nc", look) == (
        '<strong><u><span style="font-family: Arial; color: #ff0000">a &lt;b&gt;<br/>c</span></u></strong>'
    )
    assert to_html("plain", Look()) == ""
