"""Documents of strangers: what is read, and what ends the reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.wire.xml import MAX_DEPTH, MAX_ELEMENTS, XmlError, escape, read_document


def test_a_document_becomes_a_tree() -> None:
    root = read_document(b"<a xmlns='urn:x' k='v'><b>one</b><!-- no --><?no no?><b>t<c/>wo</b></a>")
    assert root.name == "urn:x}a"
    assert root.attributes == {"k": "v"}
    assert [node.text for node in root.find_all("urn:x}b")] == ["one", "two"]
    assert root.find("urn:x}c") is None


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"hello",
        b"<a>",
        b"<a></b>",
        b"<a/><a/>",
        b"<!DOCTYPE a><a/>",
        b"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        b"<a>&x;</a>",
        b"<a>\xff</a>",
        b"<a>\x01</a>",
        b"<a k='1' k='2'/>",
        b"<x:a/>",
        b"<a/>" + b" " * 70_000,
        b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1),
        b"<a>" + b"<b/>" * MAX_ELEMENTS + b"</a>",
        b"<?xml version='1.0' encoding='no-such'?><a/>",
    ],
)
def test_what_is_no_document_or_too_much_is_refused(document: bytes) -> None:
    with pytest.raises(XmlError):
        read_document(document)


def test_the_carriers_charset_wins_over_the_documents_own_word() -> None:
    """CHECKLIST PDF-1."""
    document = "<?xml version='1.0' encoding='iso-8859-1'?><a>é</a>".encode()
    assert read_document(document, "UTF-8").text == "é"
    assert read_document(document).text == "Ã©"
    assert read_document("<a>é</a>".encode("utf-16")).text == "é"
    with pytest.raises(XmlError):
        read_document(document, "x-unheard-of")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_whatever_is_escaped_is_read_as_it_was_as_far_as_xml_can_carry_it(text: str) -> None:
    read = read_document(f'<a k="{escape(text)}">{escape(text)}</a>'.encode()).text
    assert len(read) == len(text)
    assert all(one == other or other == "\ufffd" for one, other in zip(text, read, strict=True))
