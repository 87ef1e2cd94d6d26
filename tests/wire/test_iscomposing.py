"""application/im-iscomposing+xml: RFC 3994, its examples and what is done with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.wire.iscomposing import (
    DEFAULT_REFRESH_S,
    MAX_REFRESH_S,
    ComposingError,
    IsComposing,
    parse,
    write,
)

# RFC 3994 section 5
ACTIVE = b"""<?xml version="1.0" encoding="UTF-8"?>
<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
xsi:schemaLocation="urn:ietf:params:xml:ns:im-composing
iscomposing.xsd">
  <state>active</state>
  <contenttype>text/plain</contenttype>
  <refresh>90</refresh>
</isComposing>
"""
IDLE = b"""<?xml version="1.0" encoding="UTF-8"?>
<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
xsi:schemaLocation="urn:ietf:params:xml:ns:im-composing
iscomposing.xsd">
  <state>idle</state>
  <lastactive>2003-01-27T10:43:00Z</lastactive>
  <contenttype>audio</contenttype>
</isComposing>
"""


def test_the_examples_of_the_standard_are_read() -> None:  # TYP-10
    assert parse(ACTIVE) == IsComposing(active=True, refresh_s=90, content_type="text/plain")
    assert parse(IDLE) == IsComposing(active=False, content_type="audio", last_active="2003-01-27T10:43:00Z")


def document(inside: str) -> bytes:
    return f'<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing">{inside}</isComposing>'.encode()


@pytest.mark.parametrize("state", ["idle", "thinking", "ACTIVE", ""])
def test_every_other_state_is_idle(state: str) -> None:  # TYP-6
    assert not parse(document(f"<state>{state}</state>")).active


@pytest.mark.parametrize(
    ("refresh", "lasts_s"),
    [
        ("", DEFAULT_REFRESH_S),
        ("<refresh>60</refresh>", 60),
        ("<refresh> 75 </refresh>", 75),
        ("<refresh>0</refresh>", DEFAULT_REFRESH_S),
        ("<refresh>-5</refresh>", DEFAULT_REFRESH_S),
        ("<refresh>soon</refresh>", DEFAULT_REFRESH_S),
        ("<refresh>99999999</refresh>", MAX_REFRESH_S),
        ("<refresh>" + "9" * 500 + "</refresh>", DEFAULT_REFRESH_S),
    ],
)
def test_a_writer_is_believed_for_as_long_as_it_says(refresh: str, lasts_s: int) -> None:  # TYP-6
    assert parse(document(f"<state>active</state>{refresh}")).lasts_s == lasts_s


@given(st.booleans(), st.none() | st.integers(1, 10**8), st.sampled_from(["", "text/plain", "a&<b"]))
def test_every_status_survives_the_way_there_and_back(
    active: bool, refresh_s: int | None, content_type: str
) -> None:
    status = IsComposing(active=active, refresh_s=refresh_s, content_type=content_type)
    assert parse(write(status)) == status


@pytest.mark.parametrize(
    "data", [b"", b"<other/>", b"<isComposing/>", b"<!DOCTYPE isComposing><isComposing/>", b" " * 10_000]
)
def test_what_says_nothing_about_writing_is_refused(data: bytes) -> None:
    with pytest.raises(ComposingError):
        parse(data)
