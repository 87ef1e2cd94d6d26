"""Corrections, retractions, reactions, replies, and the words in their place (XEP-0308, 0424, 0444, 0461,
0428)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks.xmpp.stanzas import JULIET, ROMEO, heard, message, read, there_and_back
from rialto.model.message import Relation, RelationKind
from rialto.networks.xmpp.translate import from_model
from rialto.networks.xmpp.wire.element import legal

REPLY_QUOTE = "> Anna wrote:\n> We should bake a cake\n"


def relation(kind: str, target: str = "old", **more: object) -> Relation:
    return Relation(kind=RelationKind(kind), target=target, **more)  # type: ignore[arg-type]


def test_a_correction_is_the_new_text_and_what_it_replaces() -> None:
    got = heard("<body>But, soft?</body><replace xmlns='urn:xmpp:message-correct:0' id='old'/>")
    assert (got.text, got.relation) == ("But, soft?", relation("replace"))


def test_a_correction_without_text_corrects_nothing() -> None:
    assert read("<replace xmlns='urn:xmpp:message-correct:0' id='old'/>") is None


@pytest.mark.parametrize(
    "inside",
    [
        "<retract xmlns='urn:xmpp:message-retract:1' id='old'/>",
        "<retract xmlns='urn:xmpp:message-retract:1' id='old'/><body>/me retracted it</body>"
        "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:message-retract:1'/>",
        "<apply-to xmlns='urn:xmpp:fasten:0' id='old'><retract xmlns='urn:xmpp:message-retract:0'/>"
        "</apply-to>"
        "<body>This person attempted to retract a previous message</body>",
    ],
)
def test_a_retraction_has_no_words_of_its_own(inside: str) -> None:
    got = heard(inside)
    assert (got.text, got.relation) == ("", relation("retract"))


def test_reactions_are_a_set_each_symbol_once() -> None:
    got = heard(
        "<reactions xmlns='urn:xmpp:reactions:0' id='old'><reaction>👋</reaction><reaction> 🐢 </reaction>"
        "<reaction>👋</reaction><reaction/><reaction>two\nlines</reaction>"
        f"<reaction>{'x' * 33}</reaction></reactions>"
    )
    assert (got.text, got.relation) == ("", relation("react", reactions=("👋", "🐢")))


def test_no_reactions_take_back_what_was_there() -> None:
    got = heard("<reactions xmlns='urn:xmpp:reactions:0' id='old'/>")
    assert got.relation == relation("react")


def test_reactions_are_counted_no_further_than_a_limit() -> None:
    many = "".join(f"<reaction>{number}</reaction>" for number in range(100))
    got = heard(f"<reactions xmlns='urn:xmpp:reactions:0' id='old'>{many}</reactions>")
    assert got.relation is not None
    assert len(got.relation.reactions) == 20


def test_words_beside_a_reaction_are_not_lost_for_it() -> None:
    reactions = "<reactions xmlns='urn:xmpp:reactions:0' id='old'><reaction>👋</reaction></reactions>"
    got = heard(f"{reactions}<body>👋 hello again</body>")
    assert (got.text, got.relation) == ("👋 hello again", relation("reply"))
    got = heard(
        f"{reactions}<body>👋</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reactions:0'>"
        "<body/></fallback>"
    )
    assert (got.text, got.relation) == ("", relation("react", reactions=("👋",)))


def reply(body: str, regions: str) -> str:
    escaped = body.replace(">", "&gt;")
    return (
        f"<body>{escaped}</body><reply xmlns='urn:xmpp:reply:0' to='anna@example.com/laptop' id='old'/>"
        f"<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'>{regions}</fallback>"
    )


def test_a_reply_is_the_answer_and_the_words_that_it_answers() -> None:
    got = heard(reply(f"{REPLY_QUOTE}Great idea!", f"<body start='0' end='{len(REPLY_QUOTE)}'/>"))
    assert got.text == "Great idea!"
    assert got.relation == relation("reply", quote="We should bake a cake", quoted="Anna")


def test_a_reply_counts_in_code_points_not_in_units_of_utf_16() -> None:
    quote = "> 🎂🎂🎂\n"
    got = heard(reply(f"{quote}Yum!", f"<body start='0' end='{len(quote)}'/>"))
    assert (got.text, got.relation) == ("Yum!", relation("reply", quote="🎂🎂🎂"))


@pytest.mark.parametrize(
    "regions",
    [
        "<body start='-1' end='5'/>",
        "<body start='7' end='3'/>",
        "<body start='x' end='y'/>",
        "<body start='²' end='5'/>",
        f"<body start='0' end='{'9' * 30}'/>",
    ],
)
def test_a_region_that_is_none_takes_nothing_away(regions: str) -> None:
    assert heard(reply("what was said", regions)).text == "what was said"


def test_a_region_beyond_the_end_ends_with_the_text_and_all_of_it_is_not_nothing() -> None:
    assert heard(reply("what was said", "<body start='4' end='999'/>")).text == "what"
    assert heard(reply("what was said", "<body start='0' end='999'/>")).text == "what was said"


def test_regions_are_counted_no_further_than_a_limit() -> None:
    text = "> x\n" + "a" * 20_000
    got = heard(reply(text, "<body start='0' end='4'/>" * 4000))
    assert len(got.text) > 19_000


def test_words_in_place_of_something_else_stay() -> None:
    got = heard(
        "<body>&gt; quoted\nsaid</body><reply xmlns='urn:xmpp:reply:0' id='old'/>"
        "<fallback xmlns='urn:xmpp:fallback:0' for='urn:somebody:else'><body/></fallback>"
    )
    assert (got.text, got.relation) == ("> quoted\nsaid", relation("reply"))


def test_an_earlier_message_that_is_not_named_is_none() -> None:
    for identity in ("", "id=''", f"id='{'x' * 257}'"):
        got = heard(f"<body>x</body><replace xmlns='urn:xmpp:message-correct:0' {identity}/>")
        assert (got.text, got.relation) == ("x", None)
        assert read(f"<retract xmlns='urn:xmpp:message-retract:1' {identity}/>") is None


def test_a_reply_names_whose_words_it_answers() -> None:
    def author(of: Relation) -> str:
        element = from_model(message(relation=of)).find("urn:xmpp:reply:0}reply")
        assert element is not None
        return element.get("to")

    theirs = relation("reply", target="s1", about="0001")
    ours = relation("reply", target="0001", about="0001")
    part_of_ours = relation("reply", target="0001.2", about="0001")
    assert author(theirs) == str(ROMEO.bare)
    assert author(ours) == author(part_of_ours) == str(JULIET)


def test_a_retraction_says_so_to_clients_that_do_not_know_it() -> None:
    written = from_model(message(text="", relation=relation("retract")))
    body = written.find("body")
    assert body is not None
    assert "retracted" in body.text
    assert written.find("urn:xmpp:fallback:0}fallback") is not None


def test_a_reaction_has_no_body_and_is_chat() -> None:
    written = from_model(message(text="", relation=relation("react", reactions=("👋",))))
    assert written.find("body") is None
    assert written.get("type") == "chat"


def test_a_relation_without_a_target_is_not_written() -> None:
    written = from_model(message(relation=relation("replace", target="")))
    assert [child.local_name for child in written.elements] == ["body", "origin-id"]


words = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).map(legal)
told = words.filter(lambda text: text.strip() == text)
lines = st.lists(told, min_size=1, max_size=3).map("\n".join)


@given(
    st.one_of(
        st.builds(lambda: relation("replace")),
        st.builds(lambda: relation("reply")),
        st.builds(
            lambda quote: relation("reply", quote=quote), lines.filter(lambda x: not x.endswith("wrote:"))
        ),
        st.builds(
            lambda quote, who: relation("reply", quote=quote, quoted=who),
            lines,
            st.from_regex(r"[A-Za-z][A-Za-z ]{0,20}[a-z]", fullmatch=True),
        ),
    ),
    told,
)
def test_what_is_written_of_a_relation_is_read_back(of: Relation, text: str) -> None:
    again = there_and_back(message(text=text, relation=of))
    assert (again.text, again.relation) == (text, of)


@given(st.lists(told.filter(lambda x: len(x) <= 32), unique=True, max_size=20))
def test_reactions_are_read_back(symbols: list[str]) -> None:
    of = relation("react", reactions=tuple(symbols))
    again = there_and_back(message(text="", relation=of))
    assert (again.text, again.relation) == ("", of)


def test_a_retraction_is_read_back() -> None:
    assert there_and_back(message(text="", relation=relation("retract"))).relation == relation("retract")
