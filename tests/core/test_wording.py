"""What is said in words where the far side has no other way to hear it, and what is said of that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rialto.core.adapt import adapt
from rialto.core.network import Features
from rialto.core.wording import quotation
from rialto.model import richtext
from rialto.model.errors import Reason, Refused
from rialto.model.message import Disposition, File, Message, Relation, RelationKind, Sealed
from rialto.testing import message

WHOLE = Features(
    rich=True, relations=tuple(RelationKind), receipts=tuple(Disposition), files="oob", composing=True,
    sealed=("omemo",),
)  # fmt: skip
RICH = "<p><em>hello</em></p>"
CAT = File(url="https://f.example/cat.jpg", name="cat.jpg", media_type="image/jpeg", size_bytes=1_250_000)


def hello(text: str = "hello", **more: object) -> Message:
    return message("m", "juliet@xa.example", "romeo@sip.example", text, **more)


def related(kind: str, **more: object) -> Relation:
    return Relation(kind=RelationKind(kind), target="t", about="0", **more)  # type: ignore[arg-type]


def measure(message: Message) -> int:
    links = sum(len(file.url) for file in message.files)
    return 100 + len(message.text.encode()) + len(message.rich.encode()) + 20 * len(message.wants) + links


NARROW = Features()


def one(message: Message, features: Features = NARROW) -> tuple[Message, tuple[str, ...]]:
    (adapted,), lost = adapt(message, features, measure)
    return adapted, lost


@pytest.mark.parametrize(
    ("relation", "text", "words", "lost"),
    [
        (related("replace"), "hello", "Corrected: hello", "correction said in words"),
        (related("retract"), "", "(message taken back)", "retraction said in words"),
        (related("retract", quote="a\nb"), "", "(message taken back: “a b”)", "retraction said in words"),
        (
            related("react", reactions=("👍", "🎉")),
            "",
            "👍 🎉 (to an earlier message)",
            "reaction said in words",
        ),
        (
            related("react", reactions=("👍",), quote="x" * 99),
            "",
            f"👍 to “{'x' * 60} …”",
            "reaction said in words",
        ),
        (related("react"), "", "(reaction taken back)", "reaction said in words"),
        (
            related("reply", quote="when?\nwhere?"),
            "now",
            "> when?\n> where?\nnow",
            "reply said as a quotation",
        ),
        (related("reply"), "now", "now", "not marked as a reply"),
    ],
)
def test_relations_are_said_in_words(relation: Relation, text: str, words: str, lost: str) -> None:
    written = hello(text, relation=relation)
    assert one(written) == (hello(words), (lost,))
    assert one(written, WHOLE) == (written, ())
    unknown = replace(written, relation=replace(relation, about=""))
    assert one(unknown, WHOLE) == (hello(words), (lost,))


@pytest.mark.parametrize(
    ("kind", "lost"),
    [("replace", "sent as a new message, not as a correction"), ("reply", "not marked as a reply")],
)
def test_who_wants_no_such_words_gets_the_text_alone(kind: str, lost: str) -> None:
    written = hello(relation=related(kind, quote="q"))
    assert one(written, Features(in_words=())) == (hello(), (lost,))


@pytest.mark.parametrize("kind", ["react", "retract"])
def test_what_is_nothing_without_words_is_refused_to_who_wants_none(kind: str) -> None:
    with pytest.raises(Refused) as refusal:
        one(hello("", relation=related(kind)), Features(in_words=()))
    assert refusal.value.reason is Reason.NOT_SUPPORTED
    assert "romeo@sip.example" in refusal.value.text


def test_form_goes_with_the_words_around_it_or_is_left_out() -> None:
    reply = hello(rich=RICH, relation=related("reply", quote="q"))
    assert one(reply, Features(rich=True))[0].rich == f"<p>&gt; q</p>{RICH}"
    correction = hello(rich=RICH, relation=related("replace"))
    assert one(correction, Features(rich=True))[0].rich == f"<p>Corrected:</p>{RICH}"
    assert one(hello(rich=RICH)) == (hello(), ("form left out",))


def test_a_quotation_is_a_few_lines() -> None:
    assert quotation("a\nb") == "> a\n> b"
    assert quotation("\n".join("abcdefgh")).endswith("> f …")
    assert quotation("x" * 400) == "> " + "x" * 300 + " …"


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        (CAT, "look", "look\ncat.jpg (image/jpeg, 1.2 MB): https://f.example/cat.jpg"),
        (CAT, "", "cat.jpg (image/jpeg, 1.2 MB): https://f.example/cat.jpg"),
        (CAT, "see https://f.example/cat.jpg", "see https://f.example/cat.jpg"),
        (File(url="https://f.example/1"), "", "https://f.example/1"),
        (File(url="https://f.example/1", size_bytes=10), "", "(10 bytes): https://f.example/1"),
        (File(url="https://f.example/1", size_bytes=2048, description="D", name="n"), "",
         "D (2.0 kB): https://f.example/1"),
    ],
)  # fmt: skip
def test_a_file_is_a_link_where_it_can_be_nothing_better(file: File, text: str, words: str) -> None:
    written = hello(text, files=(file,))
    assert one(written) == (hello(words), ("file sent as a link",))
    assert one(written, WHOLE) == (written, ())


def test_receipts_are_asked_of_those_who_can_give_them() -> None:
    written = hello(wants=(Disposition.DELIVERED, Disposition.DISPLAYED))
    some = Features(receipts=(Disposition.DELIVERED,))
    assert one(written, some) == (
        hello(wants=(Disposition.DELIVERED,)), ("receipts not asked for: displayed",),
    )  # fmt: skip


def test_what_is_sealed_passes_untouched_or_not_at_all() -> None:
    omemo, otr = Sealed("omemo", "x", b"1"), Sealed("otr", "y", b"2")
    assert one(hello("", sealed=(omemo,)), WHOLE) == (hello("", sealed=(omemo,)), ())
    assert one(hello("", sealed=(otr, omemo)), WHOLE)[0].sealed == (omemo,)
    with pytest.raises(Refused) as refusal:
        one(hello("I sent you something", sealed=(omemo, otr)))
    assert refusal.value.reason is Reason.NOT_ACCEPTABLE
    assert "OMEMO and OTR" in refusal.value.text
    with pytest.raises(Refused) as refusal:
        one(hello("x" * 100, sealed=(omemo,)), replace(WHOLE, max_bytes=150, long_messages="split"))
    assert refusal.value.reason is Reason.TOO_LARGE


def test_form_goes_before_the_text_is_cut_and_files_come_last() -> None:
    narrow = replace(WHOLE, max_bytes=220, long_messages="split")
    assert one(hello("x" * 100, rich="<p>" + "x" * 100 + "</p>"), narrow) == (
        hello("x" * 100),
        ("form left out",),
    )
    assert one(
        hello("x" * 100, rich="<p>" + "x" * 100 + "</p>"), replace(narrow, long_messages="refuse")
    ) == (
        hello("x" * 100),
        ("form left out",),
    )
    long = hello(
        "word " * 40, rich=RICH, files=(CAT,), wants=(Disposition.DELIVERED,), relation=related("replace")
    )
    parts, lost = adapt(long, narrow, measure)
    assert lost == ("form left out", "correction said in words", f"split in {len(parts)}")
    assert parts[0].text.startswith(f"(1/{len(parts)}) Corrected: ")
    assert [part.wants for part in parts] == [()] * (len(parts) - 1) + [(Disposition.DELIVERED,)]
    assert [part.files for part in parts] == [()] * (len(parts) - 1) + [(CAT,)]
    assert all(measure(part) <= 220 for part in parts)
    assert all(part.relation is None and not part.rich for part in parts)


WORDS = st.text(st.sampled_from("ab c<&>\n👍"), min_size=1, max_size=30)
MESSAGES = st.builds(
    lambda text, rich, relation, files, wants: hello(
        text,
        rich=richtext.write(richtext.paragraphs(text)) if rich else "",
        relation=relation,
        files=files,
        wants=wants,
    ),
    WORDS,
    st.booleans(),
    st.none()
    | st.builds(
        Relation,
        kind=st.sampled_from(list(RelationKind)),
        target=st.just("t"),
        about=st.sampled_from(["", "0"]),
        reactions=st.lists(st.sampled_from("👍🎉"), max_size=2).map(tuple),
        quote=WORDS | st.just(""),
    ),
    st.lists(
        st.builds(File, url=WORDS.map(lambda path: f"https://f.example/{path!r}"), name=WORDS), max_size=2
    ).map(tuple),
    st.lists(st.sampled_from(list(Disposition)), unique=True, max_size=3).map(tuple),
)
FEATURES = st.builds(
    Features,
    rich=st.booleans(),
    relations=st.lists(st.sampled_from(list(RelationKind)), max_size=4).map(tuple),
    in_words=st.lists(st.sampled_from(list(RelationKind)), max_size=4).map(tuple),
    receipts=st.lists(st.sampled_from(list(Disposition)), max_size=3).map(tuple),
    files=st.sampled_from(["", "oob"]),
)
IN_WORDS = ("said in words", "said as a quotation", "not marked", "sent as a new message")
AS_LINKS = ("as a link", "as links")
LOSSES = {
    "rich": ("form", *IN_WORDS, *AS_LINKS),
    "relation": IN_WORDS,
    "files": AS_LINKS,
    "wants": ("receipts not asked for",),
}


@given(MESSAGES, FEATURES)
def test_whatever_is_lost_is_said(written: Message, features: Features) -> None:
    try:
        adapted, lost = one(written, features)
    except Refused as refusal:
        if refusal.reason is not Reason.NOT_SUPPORTED:
            raise
        return
    said = "; ".join(lost)
    for name, phrases in LOSSES.items():
        if getattr(written, name) != getattr(adapted, name):
            assert any(phrase in said for phrase in phrases)
    if not lost:
        assert adapted == written
    if written.relation is None or written.relation.kind in (RelationKind.REPLACE, RelationKind.REPLY):
        assert written.text in adapted.text  # nobody's words are lost
    assert all(file.url in adapted.text or file in adapted.files for file in written.files)


@given(MESSAGES)
def test_a_far_side_that_can_carry_everything_gets_everything(written: Message) -> None:
    if written.relation is not None and not written.relation.about:
        written = replace(written, relation=None)
    assert one(written, WHOLE) == (written, ())
