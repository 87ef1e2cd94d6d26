"""Text with form: what is read, what may pass, and what it is where there is less form."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rialto.model import richtext
from rialto.model.errors import RemoteProtocolError
from rialto.model.richtext import Block, Run, Style, imformat, rtf, styling

CHARACTERS = st.text(st.sampled_from("ab cä漢👍<&>\"'*_\n\t\xa0") | st.characters(), max_size=20)
STYLES = st.builds(
    Style,
    bold=st.booleans(),
    italic=st.booleans(),
    underline=st.booleans(),
    strike=st.booleans(),
    code=st.booleans(),
    colour=st.sampled_from(["", "#ff0000", "#00a0ff"]),
    font=st.sampled_from(["", "Arial", "Comic Sans MS"]),
    size_pt=st.sampled_from([0, 8, 24]),
    link=st.sampled_from(["", "https://a.example/?b=1&c=2", "xmpp:a@b.example"]),
)
BLOCKS = st.builds(
    Block,
    runs=st.lists(st.builds(Run, CHARACTERS, STYLES), max_size=4).map(tuple),
    quote=st.integers(0, 3),
    lists=st.lists(st.sampled_from(["ul", "ol"]), max_size=3).map(tuple),
    preformatted=st.booleans(),
)
SCHEMES = ("http", "https", "mailto", "xmpp", "sip", "sips")
ALLOWED = {
    "a": {"href"}, "blockquote": set(), "br": set(), "code": set(), "em": set(), "li": set(), "ol": set(),
    "p": set(), "pre": set(), "span": {"style"}, "strong": set(), "ul": set(),
}  # fmt: skip


def elements(rich: str) -> list[ElementTree.Element]:
    return [one for one in ElementTree.fromstring(f"<body>{rich}</body>").iter() if one.tag != "body"]


def check_allowed(rich: str) -> None:
    for element in elements(rich):
        assert set(element.keys()) <= ALLOWED[element.tag]
        assert element.get("href", "https:").partition(":")[0] in SCHEMES


@settings(max_examples=300, deadline=None)
@given(st.lists(BLOCKS, max_size=5).map(tuple))
def test_what_was_written_is_read_back_the_same(blocks: richtext.Rich) -> None:
    once = richtext.parse(richtext.write(blocks))  # now it is as canonical as can be
    assert richtext.parse(richtext.write(once)) == once
    check_allowed(richtext.write(blocks))


@given(st.lists(BLOCKS, max_size=5).map(tuple))
def test_no_word_is_lost_for_form(blocks: richtext.Rich) -> None:
    def letters(text: str) -> str:
        return "".join(character for character in text if character.isalnum())

    said = "".join(letters(block.text) for block in blocks)
    assert "".join(letters(block.text) for block in richtext.parse(richtext.write(blocks))) == said
    shown = letters(richtext.words(blocks))
    assert all(letters(run.text) in shown for block in blocks for run in block.runs)


@given(st.text(max_size=300) | st.text(st.sampled_from("<>/pblockuteli= \"'&;x!-ahrf:jvsn"), max_size=300))
def test_whatever_comes_only_what_is_allowed_goes_on(source: str) -> None:
    check_allowed(richtext.write(richtext.parse(source)))
    richtext.plain(source)


@pytest.mark.parametrize(
    ("source", "canonical"),
    [
        ("just words", ""),
        ("<p>words</p><div>more</div>", ""),
        ("<html><head><title>T</title></head><body><b>hi</b></body></html>", "<p><strong>hi</strong></p>"),
        ("<script>if (a < b) alert('</p>')</script><i>x</i>", "<p><em>x</em></p>"),
        ("<style>p { color: red }</style><i>x</i>", "<p><em>x</em></p>"),
        ('<a href="javascript:alert(1)">x</a>', ""),
        ('<a href=" JaVaScRiPt:alert(1)">x</a>', ""),
        ('<a href="data:text/html,x">x</a>', ""),
        ('<a href="https://e.example/" onclick="x()">x</a>', '<p><a href="https://e.example/">x</a></p>'),
        ('<b style="background:url(http://t.example/)">x</b>', "<p><strong>x</strong></p>"),
        ('<b>a<img src="http://t.example/1.gif" alt="a cat">b</b>', "<p><strong>aa catb</strong></p>"),
        ("<u>x</u>", '<p><span style="text-decoration:underline">x</span></p>'),
        ('<font color="Red" size="5" face="Arial">x</font>',
         '<p><span style="color:#ff0000;font-family:Arial;font-size:18pt">x</span></p>'),
        ('<span style="color: rgb(1, 2, 300); font-weight: 700">x</span>',
         '<p><span style="color:#0102ff"><strong>x</strong></span></p>'),
        ('<b>x<span style="font-weight:normal">y</span></b>', "<p><strong>x</strong>y</p>"),
        ("<ul><li>a</li><li>b<ol><li>c</li></ol></li></ul>",
         "<ul><li>a</li><li>b<ol><li>c</li></ol></li></ul>"),
        ("<ul><li><p>a</p><p>b</p></li></ul>", "<ul><li>a<br/>b</li></ul>"),
        ("<h1>Title</h1>text", "<p><strong>Title</strong></p><p>text</p>"),
        ("<blockquote>said</blockquote>answer", "<blockquote><p>said</p></blockquote><p>answer</p>"),
        ("<b>never closed", "<p><strong>never closed</strong></p>"),
        ("<b>a<!-- b", "<p><strong>a</strong></p>"),
    ],
)  # fmt: skip
def test_html_becomes_canonical(source: str, canonical: str) -> None:
    assert richtext.sanitise(source) == canonical
    assert richtext.sanitise(canonical) == canonical


@pytest.mark.parametrize(
    "source",
    [
        "<b>" * 20_000,
        "<b>" * 10_000 + "</i>" * 8_000,
        "<a " * 20_000,
        "<a x='" * 10_000,
        '<a x="' * 10_000 + "'" * 5,
        "<!--" * 16_000,
        "<script>" * 8_000,
        "</" * 30_000,
        "<" * 65_000,
        "<ul><li>" * 8_000,
        "<blockquote>x" * 5_000,
        "<li>x" * 13_000,
        "&" * 65_000,
        "&#x" * 20_000,
        "<p>x" * 16_000,
        "x\n" * 32_000,
        " " * 65_000,
        "<br>" * 16_000,
        "<a" + " x" * 32_000,
        "<pre>" + "x <br>" * 10_000,
        "<i>a</i><b>b</b>" * 4_000,
    ],
)
def test_nothing_takes_longer_than_its_length_deserves(source: str) -> None:
    began = time.process_time()
    rich = richtext.write(richtext.parse(source))
    assert time.process_time() - began < 0.5
    assert len(rich) < 4_000_000
    check_allowed(rich)


def test_more_than_anybody_writes_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        richtext.parse("x" * (richtext.MAX_CHARACTERS + 1))


def test_the_words_of_a_rich_text_say_all_that_its_form_says() -> None:
    rich = (
        '<p>see <a href="https://e.example/x">this</a>, <a href="https://e.example">e.example</a></p>'
        "<blockquote><p>said</p></blockquote><ol><li>one</li><li>two<ul><li>deep</li></ul></li></ol>"
        "<p><br/></p><pre>a\n  b</pre>"
    )
    assert richtext.plain(rich) == (
        "see this <https://e.example/x>, e.example\n> said\n1. one\n2. two\n  • deep\n\na\n  b"
    )


def test_words_can_stand_before_and_after() -> None:
    framed = richtext.framed("<p><em>x</em></p>", "a\nb", "<c>")
    assert framed == "<p>a</p><p>b</p><p><em>x</em></p><p>&lt;c&gt;</p>"
    assert richtext.framed("", "a", "b") == ""
    assert richtext.document("<p>x</p>", "en") == (
        '<!DOCTYPE html><html lang="en"><head><title></title></head><body><p>x</p></body></html>'
    )


# -- message styling -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rich", "text"),
    [
        ("<p>a <strong>b c</strong> d</p>", "a *b c* d"),
        ("<p><em><strong>x</strong></em> <code>y*</code></p>", "*_x_* `y*`"),
        ('<p><span style="text-decoration:line-through">no</span></p>', "~no~"),
        ("<p>in<em>side</em> a word</p>", "inside a word"),
        ("<p><em> blank </em></p>", "_blank_"),
        ("<p><strong>one<br/>two</strong></p>", "*one*\n*two*"),
        ("<p><strong>a*b</strong></p>", "a*b"),
        ("<blockquote><p><em>q</em></p></blockquote>", "> _q_"),
        ("<pre>a\nb</pre><p>c</p>", "```\na\nb\n```\nc"),
        ("<ul><li><em>x</em></li></ul>", "• _x_"),
        ('<p><a href="https://e.example/1">x</a></p>', "x <https://e.example/1>"),
    ],
)
def test_form_becomes_message_styling(rich: str, text: str) -> None:
    assert styling.styled(rich) == text


@given(st.lists(BLOCKS, max_size=4).map(tuple))
def test_styling_loses_no_word(blocks: richtext.Rich) -> None:
    blocks = richtext.parse(richtext.write(blocks))
    shown = [character for character in styling.styled_words(blocks) if character.isalnum()]
    assert shown == [character for character in richtext.words(blocks) if character.isalnum()]


# -- X-MMS-IM-Format -----------------------------------------------------------------------------------


@given(STYLES.map(lambda style: replace(style, code=False, size_pt=0, link="")))
def test_a_format_is_the_same_there_and_back(style: Style) -> None:
    rich = richtext.write((Block((Run("words", style),)),))
    value = imformat.value_of(rich)
    assert imformat.style_of(value) == style
    assert imformat.unpacked(imformat.packed(value)) == value
    if style != Style():
        assert imformat.rich_of("words", value) == rich


@pytest.mark.parametrize(
    ("value", "style"),
    [
        ("FN=MS%20Shell%20Dlg; EF=; CO=0; CS=0; PF=0", Style()),
        ("FN=Arial; EF=BIUS; CO=ff", Style(True, True, True, True, colour="#ff0000", font="Arial")),
        ("CO=ff8000", Style(colour="#0080ff")),
        ("CO=1ffffff", Style()),
        ("CO=red; EF=", Style()),
        ("CO=0x12; FN=%3Cscript%3E", Style()),
        ("nonsense", Style()),
        ("EF=B;" * 1000, Style()),
    ],
)
def test_a_format_is_read_as_far_as_it_makes_sense(value: str, style: Style) -> None:
    assert imformat.style_of(value) == style


def test_only_what_all_words_share_is_said_of_a_whole_message() -> None:
    assert "EF=B;" in imformat.value_of("<p><strong><em>a</em></strong> <strong>b</strong></p>")
    assert imformat.value_of("<p><strong>a</strong> b</p>") == ""
    assert imformat.value_of("") == ""


@pytest.mark.parametrize("msgr", ["", "!", "AAA", "A" * 5000, "WA"])
def test_a_msgr_parameter_with_nothing_in_it_says_nothing(msgr: str) -> None:
    assert imformat.unpacked(msgr) == ""


# -- RTF -----------------------------------------------------------------------------------------------

DOCUMENT = rb"""{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fnil\fcharset0 MS Shell Dlg;}
{\f1\fcharset128 Gothic;}{\f2\fcharset0 Arial;}}
{\colortbl ;\red255\green0\blue0;}
{\*\generator Riched20 5.50;}\viewkind4\uc1\pard\cf1\b\f0\fs20 Hello\b0  w\'f6rld\par
\cf0\f1 \'83\'65\'83\'58\'83\'67\par
\f2 {\field{\*\fldinst{HYPERLINK "https://e.example/"}}{\fldrslt{link}}}
 \u8364?\u-10179?\u-8704? \{x\}{\pict 0102}}"""


def test_rtf_is_read_as_people_write_it() -> None:
    text, rich = rtf.sanitise_rtf(DOCUMENT)
    assert text == "Hello wörld\nテスト\nlink <https://e.example/> €😀 {x}"
    assert rich == (
        '<p><span style="color:#ff0000"><strong>Hello</strong></span>'
        '<span style="color:#ff0000"> wörld</span></p>'
        '<p><span style="font-family:Gothic">テスト</span></p>'
        '<p><a href="https://e.example/"><span style="font-family:Arial">link</span></a>'
        '<span style="font-family:Arial"> €😀 {x}</span></p>'
    )


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (rb"a\line b\tab c\par d", "a\nb c\nd"),
        (rb"\ldblquote x\rdblquote\emdash y", "“x”—y"),
        (rb"a\~b\_c\\d", "a b-c\\d"),
        (rb"{\object{\*\objdata 0105}{\result shown}}x", "x"),
        (rb'{\field{\*\fldinst HYPERLINK "javascript:alert(1)"}{\fldrslt x}}', "x"),
        (rb"{\field{\*\fldinst{DDEAUTO c:\\\\cmd.exe}}{\fldrslt x}}", "x"),
        (rb"\uc2\u228 ab\'e4\uc0\u228 x", "ä" + "ä" + "äx"),
        (rb"\ansicpg99999 \'e4", "ä"),
        (b"\\'zz", "zz"),
        (b"{{{unclosed", "unclosed"),
        (b"a}b", "a"),
    ],
)
def test_rtf_text(inside: bytes, text: str) -> None:
    assert rtf.sanitise_rtf(b"{\\rtf1 " + inside + b"}")[0] == text


@pytest.mark.parametrize("data", [b"", b"words", b"{\\rtf1 " + b"x" * rtf.MAX_BYTES + b"}"])
def test_what_is_no_rtf_or_too_much_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        rtf.parse_rtf(data)


@given(
    st.binary(max_size=200)
    | st.text(st.sampled_from("{}\\'ubcf0123 *fonttblcolorb;x"), max_size=300).map(str.encode)
)
def test_any_rtf_becomes_only_what_is_allowed(data: bytes) -> None:
    blocks = rtf.parse_rtf(b"{\\rtf1" + data)
    check_allowed(richtext.write(blocks))


@pytest.mark.parametrize(
    "data",
    [b"{" * 200_000, b"{}" * 100_000, b"\\b" * 100_000, b"\\'e4" * 50_000, b"\\u1?" * 50_000,
     b"\\par" * 50_000, b"{\\fonttbl" + b"{\\f1 x;}" * 20_000, b"{\\colortbl" + b";" * 200_000,
     b"{\\colortbl" + b"\\red1;" * 20_000, b"{\\*\\fldinst" + b"x" * 200_000,
     b"x\\b\\b0" * 20_000, b"{\\b x" * 30_000],
)  # fmt: skip
def test_no_rtf_takes_longer_than_its_length_deserves(data: bytes) -> None:
    began = time.process_time()
    blocks = rtf.parse_rtf(b"{\\rtf1" + data)
    assert time.process_time() - began < 1.0
    check_allowed(richtext.write(blocks))
