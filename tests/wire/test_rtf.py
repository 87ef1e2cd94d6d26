"""RTF: the words and the simplest of their form, and nothing that anybody hides in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.wire.rtf import MAX_DEPTH, RtfError, to_html, to_text

# As Windows Messenger and Communicator write it.
COMMUNICATOR = (
    rb"{\rtf1\fbidis\ansi\ansicpg1252\deff0\nouicompat\deflang1033{\fonttbl{\f0\fnil\fcharset0 Segoe UI;}"
    rb"{\f1\fnil Segoe UI;}}" + b"\r\n" + rb"{\colortbl ;\red0\green0\blue255;\red128\green0\blue0;}"
    rb"{\*\generator Riched20 10.0}\viewkind4\uc1"
    + b"\r\n"
    + rb"\pard\ltrpar\cf1\f0\fs20 Hello \b bold\b0  and "
    rb"{\i italic}\par"
    + b"\r\n"
    + rb"\cf2\ul gr\'fc\'df\ulnone\cf0  \u8364? 5\f1\par"
    + b"\r\n"
    + rb"}"
    + b"\r\n"
)


def test_what_a_messenger_writes_is_read() -> None:
    assert to_text(COMMUNICATOR) == "Hello bold and italic\ngrüß € 5"
    assert to_html(COMMUNICATOR) == (
        '<span style="color: #0000ff">Hello </span>'
        '<strong><span style="color: #0000ff">bold</span></strong>'
        '<span style="color: #0000ff"> and </span>'
        '<em><span style="color: #0000ff">italic</span></em>'
        '<span style="color: #0000ff"><br/></span>'
        '<u><span style="color: #800000">grüß</span></u> € 5'
    )


@pytest.mark.parametrize(
    ("rtf", "text"),
    [
        (rb"{\rtf1 a\~b\-c\_d\{e\}\\f}", "a\u00a0bc\u2011d{e}\\f"),
        (rb"{\rtf1 \u-10179?\u-8704?}", "😀"),
        (rb"{\rtf1\uc2 \u8364EUx}", "€x"),
        (rb"{\rtf1\uc0 \u8364 x}", "€x"),
        (rb"{\rtf1\uc1 \u8364\'80x}", "€x"),
        (rb"{\rtf1\ansicpg932 \'93\'fa}", "日"),
        (rb"{\rtf1\ansicpg1251 \'e6\'f3\'ea}", "жук"),
        (rb"{\rtf1 one\line two\tab three\emdash}", "one\ntwo\tthree—"),
        (rb"{\rtf1 {\pict\wmetafile8 0123}seen{\*\secret hidden {deep}} too}", "seen too"),
        (rb"{\rtf1 <b>&}", "<b>&"),
        (rb"{\rtf1 one}{\rtf1 two}", "one"),
        (rb"{\rtf1 open {\b and", "open and"),
    ],
)
def test_the_words_are_found(rtf: bytes, text: str) -> None:
    assert to_text(rtf) == text


def test_markup_in_the_words_stays_words() -> None:
    assert to_html(rb"{\rtf1 <script>&}") == "&lt;script&gt;&amp;"


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"{\\rt", b"{\\rtf1" + b"{" * (MAX_DEPTH + 1), b"{\\rtf1\\bin5 abcde}"]
)
def test_what_is_no_rtf_of_a_message_is_refused(data: bytes) -> None:
    with pytest.raises(RtfError):
        to_text(data)


@given(st.binary(max_size=300))
def test_no_input_does_worse_than_being_refused(data: bytes) -> None:
    try:
        to_text(b"{\\rtf1" + data)
        to_html(b"{\\rtf1" + data)
    except RtfError:
        return
