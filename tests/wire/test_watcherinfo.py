"""Watcher information is read and written as RFC 3858 has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.wire.watcherinfo import (
    EVENTS,
    MAX_WATCHERS,
    STATUSES,
    Listed,
    WatcherInfo,
    WatcherInfoError,
    parse,
    write,
)

EXAMPLE = b"""<?xml version="1.0"?>
<watcherinfo xmlns="urn:ietf:params:xml:ns:watcherinfo" version="7" state="partial">
  <watcher-list resource="sip:juliet@capulet.example" package="presence">
    <watcher status="active" id="a1" duration-subscribed="509" event="approved">sip:romeo@x.example</watcher>
    <watcher status="pending" id="b2" display-name="Paris &amp; Co" event="subscribe">
       sip:paris@x.example</watcher>
    <shadow/>
  </watcher-list>
  <watcher-list resource="sip:juliet@capulet.example" package="conference">
    <watcher status="active" id="c3" event="subscribe">sip:nurse@x.example</watcher>
  </watcher-list>
</watcherinfo>"""


def test_a_document_is_read() -> None:
    info = parse(EXAMPLE)
    assert (info.resource, info.version, info.full) == ("sip:juliet@capulet.example", 7, False)
    assert info.watchers == (
        Listed(id="a1", uri="sip:romeo@x.example", status="active", event="approved", subscribed_s=509),
        Listed(
            id="b2", uri="sip:paris@x.example", status="pending", event="subscribe", display_name="Paris & Co"
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "left"),
    [
        (b'status="active" id="a1"', b'status="odd" id="a1"', ["b2"]),
        (b"sip:romeo@x.example", b"", ["b2"]),
        (b'id="a1"', b"", ["sip:romeo@x.example", "b2"]),
    ],
)
def test_what_says_too_little_is_passed_over(old: bytes, new: bytes, left: list[str]) -> None:
    assert [one.id for one in parse(EXAMPLE.replace(old, new)).watchers] == left


def test_an_event_nobody_knows_is_a_subscribe() -> None:
    assert parse(EXAMPLE.replace(b'"approved"', b'"whim"')).watchers[0].event == "subscribe"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<presence xmlns='urn:ietf:params:xml:ns:pidf'/>",
        EXAMPLE.replace(b'version="7"', b""),
        EXAMPLE.replace(b'version="7"', b'version="-7"'),
        EXAMPLE.replace(b'"partial"', b'"half"'),
        EXAMPLE.replace(b'<?xml version="1.0"?>', b'<!DOCTYPE x [<!ENTITY y "z">]>'),
        EXAMPLE.replace(
            b"<shadow/>",
            b"".join(
                b'<watcher status="active" id="n%d" event="approved">sip:%d@x</watcher>' % (n, n)
                for n in range(MAX_WATCHERS)
            ),
        ),
    ],
)
def test_what_is_no_watcher_information_is_refused(data: bytes) -> None:
    with pytest.raises(WatcherInfoError):
        parse(data)


_texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).map(str.strip).filter(bool)


@given(
    st.lists(
        st.builds(
            Listed,
            id=_texts,
            uri=_texts,
            status=st.sampled_from(list(STATUSES.values())),
            event=st.sampled_from(sorted(EVENTS)),
            display_name=st.just("") | _texts,
            subscribed_s=st.none() | st.integers(0, 10**6),
        ),
        unique_by=lambda one: one.id,
        max_size=5,
    ),
    st.integers(0, 1000),
    st.booleans(),
)
def test_what_is_written_is_read_again(watchers: list[Listed], version: int, full: bool) -> None:
    info = WatcherInfo(resource="sip:juliet@x", version=version, full=full, watchers=tuple(watchers))
    assert parse(write(info)) == info
