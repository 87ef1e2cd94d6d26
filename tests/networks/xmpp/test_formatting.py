"""Form: XHTML-IM and marks in the text, in and out (XEP-0071, XEP-0393, RFC 7572 section 7)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networks.xmpp.stanzas import heard, message, there_and_back
from rialto.model import richtext
from rialto.model.richtext.styling import styled as with_marks
from rialto.networks.xmpp.styling import read_styling
from rialto.networks.xmpp.translate import from_model
from rialto.networks.xmpp.wire.element import Element

XHTML = (
    "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>{}</body>"
    "</html>"
)


def shown(text: str) -> str:
    return richtext.write(read_styling(text))


def test_xhtml_is_read_as_form_beside_the_plain_text() -> None:  # MSG-10
    got = heard(f"<body>But, soft!</body>{XHTML.format('<p>But, <strong>soft</strong>!</p>')}")
    assert (got.text, got.rich) == ("But, soft!", "<p>But, <strong>soft</strong>!</p>")


def test_xhtml_without_a_plain_text_gets_one() -> None:
    got = heard(XHTML.format("<p>But, <em>soft</em>!</p>"))
    assert (got.text, got.rich) == ("But, soft!", "<p>But, <em>soft</em>!</p>")


def test_nothing_dangerous_gets_through_xhtml() -> None:  # XEP-0071 section 13
    inside = (
        "<p onclick='x()'>But, <strong>soft</strong><script>alert(1)</script>"
        "<img src='https://spy.example/x.gif' alt='rose'/><a href='javascript:x()'>!</a></p>"
    )
    rich = heard(f"<body>But, soft!</body>{XHTML.format(inside)}").rich
    assert "<strong>soft</strong>" in rich
    for word in ("script", "onclick", "img", "spy.example", "alert"):
        assert word not in rich


def test_xhtml_that_only_repeats_the_words_has_no_form() -> None:
    assert heard(f"<body>soft</body>{XHTML.format('<p>soft</p>')}").rich == ""


@pytest.mark.parametrize(
    ("text", "rich"),
    [  # most are examples of XEP-0393
        ("plain span", "<p>plain span</p>"),
        ("*strong span*", "<p><strong>strong span</strong></p>"),
        ("plain _emphasis_ plain", "<p>plain <em>emphasis</em> plain</p>"),
        ("`pre` plain *strong*", "<p><code>pre</code> plain <strong>strong</strong></p>"),
        ("*strong* plain*", "<p><strong>strong</strong> plain*</p>"),
        ("* plain *strong*", "<p>* plain <strong>strong</strong></p>"),
        ("not strong*", "<p>not strong*</p>"),
        ("*not strong", "<p>*not strong</p>"),
        ("*not \n strong*", "<p>*not\u00a0</p><p>\u00a0strong*</p>"),
        ("*not *strong", "<p>*not *strong</p>"),
        ("**", "<p>**</p>"),
        ("***", "<p>***</p>"),
        ("****", "<p>****</p>"),
        ("snake_case_name 2*3*4", "<p>snake_case_name 2*3*4</p>"),
        ("*_both_*", "<p><strong><em>both</em></strong></p>"),
        ("`*raw*`", "<p><code>*raw*</code></p>"),
        ("> quoted\n>> twice\nsaid", None),
        ("```ignored\n(println)\n```\nafter", None),
    ],
)
def test_marks_are_read_as_the_standard_has_them(text: str, rich: str | None) -> None:
    if rich is not None:
        assert shown(text) == rich
    got = heard(f"<body>{text.replace('>', '&gt;')}</body>", styling=True)
    blocks = read_styling(text)
    assert got.text == text
    assert got.rich == (richtext.write(blocks) if richtext.has_form(blocks) else "")


def test_quotations_and_fences_are_blocks() -> None:
    blocks = read_styling("> one\n>> two\n> ```\n> code *raw*\nsaid\n```\nopen")
    assert [(block.text, block.quote, block.preformatted) for block in blocks] == [
        ("one", 1, False),
        ("two", 2, False),
        ("code *raw*", 1, True),
        ("said", 0, False),
        ("open", 0, True),
    ]


def test_marks_are_marks_only_where_the_peer_is_said_to_use_them() -> None:
    assert heard("<body>*soft*</body>").rich == ""
    unstyled = "<unstyled xmlns='urn:xmpp:styling:0'/>"
    assert heard(f"<body>*soft*</body>{unstyled}", styling=True).rich == ""


def test_reading_marks_takes_no_time_whatever_the_text() -> None:
    for text in ("*a " * 6000, "*" * 20_000, ">" * 20_000, "*_~`" * 5000, "`a " * 6000, ">*_ " * 5000):
        assert read_styling(text)
    [block] = read_styling("*x* " * 10_000)
    assert not richtext.has_form((block,))


def body(written: Element) -> str:
    element = written.find("body")
    assert element is not None
    return element.text


RICH = '<p>But, <strong>soft</strong>! <a href="https://a.example/">what</a> <em>light</em></p>'


def test_form_is_written_in_both_ways_or_in_one() -> None:  # MSG-10
    rich = message(text="But, soft! what light", rich=RICH)
    assert body(from_model(rich)) == "But, *soft*! what <https://a.example/> _light_"
    html = (
        b"<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><p>But"
    )
    assert html in from_model(rich).encode()
    assert body(from_model(rich, how="xhtml")) == "But, soft! what light"
    assert html in from_model(rich, how="xhtml").encode()
    assert html not in from_model(rich, how="styling").encode()
    assert from_model(rich, how="plain").encode() == from_model(message(text=rich.text)).encode()


def test_a_text_whose_own_marks_say_its_form_stays_as_it_is() -> None:
    text = "this *is* 2*3, _quite_ so\n> and quoted"
    assert body(from_model(message(text=text, rich=shown(text)))) == text


word = st.from_regex(r"[a-zA-Z0-9äж☾.,!?-]{1,8}", fullmatch=True)
mark = st.sampled_from(["", "*", "_", "~", "`"])
styled = st.builds(lambda one, around: f"{around}{one}{around}", word, mark)
line = st.builds(
    lambda quote, words: quote + " ".join(words), st.sampled_from(["", "> "]), st.lists(styled, min_size=1)
)


@settings(max_examples=50)
@given(st.lists(line, min_size=1, max_size=4).map("\n".join))
def test_a_text_with_marks_is_read_back_with_its_form(text: str) -> None:
    sent = heard(f"<body>{text.replace('>', '&gt;')}</body>", styling=True)
    again = there_and_back(sent, styling=True)
    assert (again.text, again.rich) == (sent.text, sent.rich)
    alone = there_and_back(sent, styling=True, how="styling")
    assert (alone.text, alone.rich) == (sent.text, sent.rich)
    assert shown(with_marks(shown(text))) == shown(text)
