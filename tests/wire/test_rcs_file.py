"""The file transfer document of RCS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.wire.rcs_file import MAX_BYTES, RcsFile, RcsFileError, parse, write

DOCUMENT = b"""<?xml version="1.0" encoding="UTF-8"?>
<file><file-info type="thumbnail"><file-size>10</file-size><content-type>image/png</content-type>
<data url="https://content.example/thumb" until="2026-01-01T00:00:00Z"/></file-info>
<file-info type="file" file-disposition="attach">
<file-size>2048</file-size><file-name>Caf\xc3\xa9.jpg</file-name>
<content-type>image/jpeg</content-type><data url="https://content.example/full?a=1&amp;b=2"
until="2026-01-01T00:00:00Z"/></file-info></file>
"""


def test_a_document_is_read_and_the_thumbnail_left_aside() -> None:
    assert parse(DOCUMENT) == RcsFile(
        url="https://content.example/full?a=1&b=2",
        name="Café.jpg",
        media_type="image/jpeg",
        size_bytes=2048,
        until="2026-01-01T00:00:00Z",
    )


@given(
    st.text(
        st.characters(
            min_codepoint=0x21, max_codepoint=0xD7FF, exclude_characters=[chr(c) for c in range(0x7F, 0xA0)]
        ),
        max_size=40,
    ),
    st.integers(0, 2**52),
)
def test_every_file_survives_the_way_there_and_back(name: str, size: int) -> None:
    file = RcsFile(url="https://x/?a&b=<", name=name.strip(), media_type="text/plain", size_bytes=size)
    assert parse(write(file)) == file


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<file/>",
        b"<other><file-info><data url='https://x/'/></file-info></other>",
        b"<file><file-info type='thumbnail'><data url='https://x/'/></file-info></file>",
        b"<file><file-info/></file>",
        b"<file><file-info><data url='file:///etc/passwd'/></file-info></file>",
        b"<file><file-info><data url='javascript:x'/></file-info></file>",
        b"<file><file-info><data url='https://x/ y'/></file-info></file>",
        b"<file><file-info><data url='https://" + b"x" * 3000 + b"'/></file-info></file>",
        b" " * (MAX_BYTES + 1),
    ],
)
def test_what_names_no_file_to_fetch_is_refused(data: bytes) -> None:
    with pytest.raises(RcsFileError):
        parse(data)


def test_a_size_that_nobody_believes_is_unknown() -> None:
    document = "<file><file-info><file-size>{}</file-size><data url='https://x/'/></file-info></file>"
    for size in ("-1", "9" * 40, "many"):
        assert parse(document.format(size).encode()).size_bytes is None
