"""Making messages fit: what is cut, where, and what is said about it."""

from __future__ import annotations

import html

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rialto.core.adapt import MAX_PARTS, adapt, split
from rialto.core.network import Features
from rialto.model.errors import Reason, Refused
from rialto.model.message import Message, Text
from rialto.testing import message

SPLIT = Features(max_bytes=200, long_messages="split")
NUMBER = regex.compile(r"\A\((\d+)/(\d+)\) ")


def plain(message: Message) -> int:
    return (
        100
        + len(message.text.encode())
        + len(message.subject.encode())
        + sum(len(one.text) for one in message.translations)
    )


def escaped(message: Message) -> int:
    return 100 + len(html.escape(message.text).encode())


def hello(text: str, **more: object) -> Message:
    return message("m", "juliet@xa.example", "romeo@sip.example", text, **more)


TEXTS = st.text(
    st.sampled_from("ab \nä漢👩‍🚀🇩🇪é&<\r‍") | st.characters(exclude_categories=("Cs",)),
    min_size=1,
    max_size=1200,
)


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.sampled_from([plain, escaped]))
@example("word " * 300, plain)
@example("👩‍🚀" * 60, plain)
@example("&" * 300, escaped)
def test_the_parts_of_a_text_are_the_text_and_each_fits(text: str, measure: object) -> None:
    try:
        parts = split(hello(text), 200, measure)  # type: ignore[arg-type]
    except Refused as error:
        if error.reason is not Reason.TOO_LARGE:
            raise
        return
    pieces = [NUMBER.sub("", part.text) for part in parts]
    assert "".join(pieces) == text
    assert all(measure(part) <= 200 for part in parts)  # type: ignore[operator]
    assert [NUMBER.match(part.text).groups() for part in parts] == [  # type: ignore[union-attr]
        (str(number), str(len(parts))) for number in range(1, len(parts) + 1)
    ]
    assert [part.id for part in parts] == [f"m.{number}" for number in range(1, len(parts) + 1)]
    clusters = regex.findall(r"\X", text)
    assert [cluster for piece in pieces for cluster in regex.findall(r"\X", piece)] == clusters


def test_words_stay_whole_where_there_are_any() -> None:
    parts, lost = adapt(hello("indivisible " * 20), SPLIT, plain)
    assert len(parts) > 1
    assert all(part.text.endswith("indivisible ") for part in parts)
    assert lost == (f"split in {len(parts)}",)


def test_the_subject_goes_with_the_first_part_alone() -> None:
    parts, _ = adapt(hello("word " * 60, subject="Verona"), SPLIT, plain)
    assert [part.subject for part in parts] == ["Verona"] + [""] * (len(parts) - 1)


def test_what_fits_is_not_touched() -> None:
    short = hello("hi", subject="s", thread="t", language="it")
    assert adapt(short, SPLIT, plain) == ((short,), ())
    assert adapt(short, Features(), plain) == ((short,), ())


def test_what_the_far_side_does_not_know_is_left_out_and_said() -> None:
    rich = hello("hi", subject="s", thread="t", language="it", translations=(Text("ciao", "it"),))
    parts, lost = adapt(rich, Features(subject=False, thread=False, language=False), plain)
    assert parts == (hello("hi"),)
    assert lost == ("subject left out", "thread left out", "language left out")


def test_translations_go_before_the_text_is_cut() -> None:
    rich = hello("hi", language="en", translations=(Text("ciao " * 100, "it"),))
    assert adapt(rich, SPLIT, plain) == ((hello("hi", language="en"),), ("translations left out",))


def test_an_empty_text_that_only_its_translations_make_long_is_one_message() -> None:
    parts, _ = adapt(hello("", translations=(Text("ciao " * 100, "it"),)), SPLIT, plain)
    assert [part.text for part in parts] == [""]


@pytest.mark.parametrize(
    ("long", "features"),
    [
        ("word " * 60, Features(max_bytes=200)),
        ("word " * 60, Features(max_bytes=105, long_messages="split")),
        ("x" * 100_000, SPLIT),
        ("e" + "́" * 100, Features(max_bytes=150, long_messages="split")),
        (" " * (MAX_PARTS * 89 + 1), SPLIT),
    ],
)
def test_what_cannot_fit_is_refused(long: str, features: Features) -> None:
    with pytest.raises(Refused) as refusal:
        adapt(hello(long), features, plain)
    assert refusal.value.reason is Reason.TOO_LARGE


@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=300),
)
def test_what_is_not_measured_would_have_fitted(local: str, text: str) -> None:
    from urllib.parse import quote

    def measure(message: Message) -> int:
        measured.append(message)
        people = 3 * sum(
            len(quote(one.local, safe="")) + len(one.domain) for one in (message.sender, message.recipient)
        )
        return 400 + people + len(html.escape(message.text).encode())

    measured: list[Message] = []
    words = message("m", "x@xa.example", "romeo@sip.example", text)
    from msgspec.structs import replace

    words = replace(words, sender=replace(words.sender, local=local))
    adapt(words, Features(max_bytes=1300, long_messages="split"), measure)
    if not measured:
        assert measure(words) <= 1300
