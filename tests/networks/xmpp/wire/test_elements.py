"""Elements are read and written without losing or inventing anything."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.networks.xmpp.wire.element import Element, legal
from rialto.networks.xmpp.wire.namespaces import SERVER, STREAMS, XML
from rialto.networks.xmpp.wire.parser import End, Header, Limits, StreamParser, StreamRule

HEADER = (
    f"<?xml version='1.0'?><stream:stream xmlns='{SERVER}' xmlns:stream='{STREAMS}'"
    " xmlns:db='jabber:server:dialback' from='a.example' to='b.example' version='1.0'>"
).encode()

TEXTS = st.text(st.characters(exclude_categories=()), max_size=40)
NAMES = st.sampled_from(["body", "urn:x}y", "urn:z}a-b", "}none", "message"])
ATTRIBUTES = st.dictionaries(st.sampled_from(["id", "to", f"{XML}}}lang", "urn:q}k", "a"]), TEXTS, max_size=4)
ELEMENTS = st.recursive(
    st.builds(Element, NAMES, ATTRIBUTES, st.just([])),
    lambda inner: st.builds(Element, NAMES, ATTRIBUTES, st.lists(st.one_of(TEXTS, inner), max_size=3)),
    max_leaves=8,
)


def read(data: bytes, limits: Limits = Limits()) -> list[object]:  # noqa: B008
    parser = StreamParser(limits)
    parser.feed(HEADER + data)
    return list(parser.items)[1:]


def normal(element: Element) -> Element:
    """Neighbouring texts joined, forbidden characters replaced: what a reader can see."""
    content: list[Element | str] = []
    for node in element.content:
        if isinstance(node, Element):
            content.append(normal(node))
        elif content and isinstance(content[-1], str):
            content[-1] += legal(node)
        elif node:
            content.append(legal(node))
    return Element(element.name, {key: legal(value) for key, value in element.attributes.items()}, content)


@given(st.builds(Element, st.just("message"), ATTRIBUTES, st.lists(st.one_of(TEXTS, ELEMENTS), max_size=3)))
def test_what_is_written_is_read_back(element: Element) -> None:
    assert [normal(item) for item in read(element.encode())] == [normal(element)]  # type: ignore[arg-type]


def test_characters_that_xml_cannot_carry_are_never_written() -> None:  # CHECKLIST MSG-29
    element = Element(
        "message", {"id": "\x00\ud800"}, ["bell \x07, half \udfff, not \ufffe, fine \U0001f600"]
    )
    assert element.encode().decode() == (
        "<message id='\ufffd\ufffd'>bell \ufffd, half \ufffd, not \ufffd, fine \U0001f600</message>"
    )


def test_a_line_break_of_two_characters_survives() -> None:
    (element,) = read(Element("message", {}, ["one\r\ntwo\tthree"]).encode())
    assert isinstance(element, Element)
    assert element.text == "one\r\ntwo\tthree"


def test_a_stream_is_a_header_stanzas_and_an_end_however_it_is_cut() -> None:
    data = HEADER + b" <message><body>&lt;3 \xc3\xa9</body></message>\n<iq/></stream:stream>"
    for seed in range(50):
        dice = random.Random(seed)
        parser = StreamParser()
        rest = data
        while rest:
            size = dice.randint(1, 30)
            parser.feed(rest[:size])
            rest = rest[size:]
        header, message, iq, end = parser.items
        assert isinstance(header, Header)
        assert header.attributes["from"] == "a.example"
        assert header.prefixes["db"] == "jabber:server:dialback"
        assert message == Element("message", {}, [Element("body", {}, ["<3 é"])])
        assert iq == Element("iq")
        assert isinstance(end, End)


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><stream:stream/>", "restricted-xml"),
        (HEADER + b"<message><!-- psst --></message>", "restricted-xml"),
        (HEADER + b"<message><?php ?></message>", "restricted-xml"),
        (HEADER + b"<message>&lol;</message>", "restricted-xml"),
        (HEADER + b"<message></massage>", "not-well-formed"),
        (HEADER + b"<message a='1' a='2'/>", "not-well-formed"),
        (HEADER + b"<q:message/>", "not-well-formed"),
        (HEADER + b"<message>\xff\xfe</message>", "not-well-formed"),
        (HEADER + b"<message>\x00</message>", "not-well-formed"),
        (HEADER + b"between stanzas", "bad-format"),
        (b"GET / HTTP/1.1\r\n\r\n", "not-well-formed"),
        (b"<stream/>", "invalid-namespace"),
        (b"<html>", "bad-format"),
        (b"<?xml version='1.0' encoding='ISO-8859-1'?>", "unsupported-encoding"),
    ],
)
def test_what_streams_forbid_is_refused_as_soon_as_it_is_seen(data: bytes, condition: str) -> None:
    for size in (1, 7, len(data)):
        parser = StreamParser()
        with pytest.raises(StreamRule) as refused:  # noqa: PT012 - it may be any of the pieces
            for start in range(0, len(data), size):
                parser.feed(data[start : start + size])
        assert refused.value.condition == condition


@pytest.mark.parametrize("size", [1 << 10, 1 << 16, 1 << 30])
def test_a_stanza_of_ten_megabytes_costs_no_more_than_the_limit(size: int) -> None:
    import tracemalloc

    parser = StreamParser(Limits(max_bytes=100_000))
    data = HEADER + b"<message><body>" + b"a" * 10_000_000
    tracemalloc.start()
    with pytest.raises(StreamRule, match="policy-violation"):  # noqa: PT012
        for start in range(0, len(data), size):
            parser.feed(data[start : start + size])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
    assert not [item for item in parser.items if isinstance(item, Element)]


def test_a_tag_that_never_ends_is_too_long_as_well() -> None:
    parser = StreamParser(Limits(max_bytes=50_000))
    parser.feed(HEADER)
    with pytest.raises(StreamRule, match="policy-violation"):  # noqa: PT012
        for _ in range(100):
            parser.feed(b"<message id='" + b"x" * 1000 if _ == 0 else b"x" * 1000)


def test_the_limit_on_bytes_holds_to_the_byte_when_the_stanza_ends_in_one_piece() -> None:
    def of(length: int) -> bytes:
        return b"<message>" + b"a" * (length - 9) + b"</message>"

    assert len(read(of(1000), Limits(max_bytes=1000))) == 1
    with pytest.raises(StreamRule, match="policy-violation"):
        read(of(1001), Limits(max_bytes=1000))


def test_a_stanza_ten_thousand_deep_is_refused() -> None:
    with pytest.raises(StreamRule, match="policy-violation"):
        read(b"<a>" * 10_000)


def test_too_many_elements_or_attributes_are_refused() -> None:
    with pytest.raises(StreamRule, match="policy-violation"):
        read(b"<message>" + b"<a/>" * 6000 + b"</message>")
    with pytest.raises(StreamRule, match="policy-violation"):
        read(b"<message " + b" ".join(b"a%d='1'" % n for n in range(65)) + b"/>")


def test_a_peer_that_invents_names_cannot_fill_memory() -> None:
    parser = StreamParser(Limits(renew_after_bytes=20_000))
    parser.feed(HEADER)
    names = []
    for number in range(3000):
        stanza = f"<message><x{number} xmlns='urn:{number}'/></message>".encode()
        if number % 3:
            parser.feed(stanza[:17])
            parser.feed(stanza[17:])
        else:
            parser.feed(stanza)
        names.extend(item.elements[0].name for item in parser.items if isinstance(item, Element))
        parser.items.clear()
        assert len(parser._parser.intern) < 3000
    assert names == [f"urn:{number}}}x{number}" for number in range(3000)]
    parser.feed(b"<db:result>key</db:result></stream:stream>")
    result, end = parser.items
    assert result == Element("jabber:server:dialback}result", {}, ["key"])
    assert isinstance(end, End)


def test_a_renewed_parser_keeps_what_comes_in_one_piece() -> None:
    stanzas = b"".join(b"<message id='%d'><body>a&gt;b</body></message>" % n for n in range(200))
    parser = StreamParser(Limits(renew_after_bytes=500))
    parser.feed(HEADER)
    seen = []
    for start in range(0, len(stanzas), 333):
        parser.feed(stanzas[start : start + 333])
        seen += [item.get("id") for item in parser.items if isinstance(item, Element)]
        parser.items.clear()
    assert seen == [str(n) for n in range(200)]


def test_elements_show_no_content_in_logs() -> None:
    assert "secret" not in repr(Element("message", {"id": "1"}, ["secret"]))
