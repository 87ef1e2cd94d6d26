"""What becomes of somebody's presence on the way to SIP and back (RFC 8048 section 6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.model.address import Address
from rialto.model.message import Text
from rialto.model.presence import Document, Show, State
from rialto.networks.sip.documents import ACTIVITY_OF, SHOW_OF, fraction, from_pidf, to_pidf, whole
from rialto.wire.pidf import Note, Person, Presence, Tuple, parse, write

JULIET = Address("juliet", "example.com")
NOW = 1_767_323_045.0  # 2026-01-02 03:04:05 UTC


def seen(document: Document) -> Document:
    """Out, over the wire, and in again."""
    return from_pidf(parse(write(to_pidf(document, JULIET))), JULIET, document.as_of)


def read(*tuples: Tuple, person: Person | None = None, notes: tuple[Note, ...] = ()) -> tuple[State, ...]:
    entity = "pres:juliet@example.com"
    return from_pidf(Presence(entity=entity, tuples=tuples, person=person, notes=notes), JULIET, NOW).states


_WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=20)


@st.composite
def _states(draw: st.DrawFn) -> State:
    show = draw(st.sampled_from(Show))
    # What an activity says and `show` denies is no state that anybody could have.
    fitting = ["working", "looking-for-work", "tv"] + [
        name for name, implied in SHOW_OF.items() if implied is show and name != ACTIVITY_OF.get(show)
    ]
    languages = draw(st.lists(st.sampled_from(["", "en", "de-CH", "it"]), unique=True, max_size=3))
    notes = tuple(
        Text(text, language) for language in languages if (text := draw(_WORDS).strip().replace("\u0085", ""))
    )
    return State(
        instance=draw(
            st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=20)
        ),
        show=show,
        notes=notes,
        priority=draw(st.none() | st.integers(0, 127)),
        idle_since=draw(st.none() | st.integers(1, 2_000_000_000).map(float)),
        activities=tuple(draw(st.lists(st.sampled_from(fitting), unique=True, max_size=3))),
        contact=draw(st.sampled_from(["", "sip:juliet@elsewhere.example", "im:j@c.example"])),
    )


@given(st.lists(_states(), max_size=5, unique_by=lambda state: state.instance))
def test_a_document_that_goes_out_and_comes_back_is_the_same(states: list[State]) -> None:
    document = Document(tuple(sorted(states, key=lambda state: state.instance)), as_of=NOW)
    assert seen(document) == document


def test_example_19_of_rfc_8048_is_written() -> None:
    """PRS-100 to PRS-105. The example's Content-Length, Request-URI and To are its own affair."""
    state = State("yn0cl4bnw0yr3vym", Show.AWAY)
    presence = to_pidf(Document((state,), as_of=NOW), JULIET)
    (one,) = presence.tuples
    assert presence.entity == "pres:juliet@example.com"
    assert (one.id, one.basic, one.show) == ("ID-yn0cl4bnw0yr3vym", True, "away")
    assert one.contact == "sip:juliet@example.com"
    assert one.timestamp == NOW


def test_nobody_online_is_one_closed_tuple() -> None:
    """PRS-102, PRS-111."""
    (one,) = to_pidf(Document(as_of=NOW), JULIET).tuples
    assert (one.id, one.basic) == ("ID-", False)
    (one,) = to_pidf(Document(as_of=NOW), JULIET, gone=("balcony",)).tuples
    assert (one.id, one.basic) == ("ID-balcony", False)


def test_who_has_left_is_closed_and_who_remains_is_open() -> None:
    """PRS-108, PRS-123."""
    document = Document((State("a"),), as_of=NOW)
    tuples = to_pidf(document, JULIET, gone=("a", "b")).tuples
    assert [(one.id, one.basic) for one in tuples] == [("ID-a", True), ("ID-b", False)]
    assert seen(document).states == document.states


def test_the_most_available_comes_first() -> None:
    states = (State("a", Show.DND), State("b", Show.AWAY), State("c", priority=5), State("d", priority=9))
    tuples = to_pidf(Document(states), JULIET).tuples
    assert [one.id for one in tuples] == ["ID-d", "ID-c", "ID-b", "ID-a"]


@pytest.mark.parametrize(
    ("priority", "thousandths"), [(0, 0), (1, 7), (2, 15), (13, 102), (126, 992), (127, 1000)]
)
def test_priorities_as_the_rfcs_have_them(priority: int, thousandths: int) -> None:
    """PRS-104."""
    assert fraction(priority) == thousandths
    assert whole(thousandths) == priority


def test_every_priority_has_a_fraction_of_its_own() -> None:
    assert [whole(fraction(priority)) for priority in range(128)] == list(range(128))


def test_a_negative_priority_is_not_written() -> None:
    """PRS-104."""
    assert fraction(-1) is None
    (one,) = to_pidf(Document((State("a", priority=-5),)), JULIET).tuples
    assert one.priority is None


@pytest.mark.parametrize(("activity", "show"), SHOW_OF.items())
def test_an_activity_says_how_willing_somebody_is(activity: str, show: Show) -> None:
    one = Tuple(id="a", basic=True)
    (state,) = read(one, person=Person(activities=(activity,)))
    assert state.show is show
    assert state.activities == (() if activity == ACTIVITY_OF.get(show) else (activity,))
    assert read(Tuple(id="a", basic=True, activities=(activity,))) == (state,)


def test_what_xmpp_says_counts_more_than_an_activity() -> None:
    (state,) = read(Tuple(id="a", basic=True, show="chat"), person=Person(activities=("busy",)))
    assert (state.show, state.activities) == (Show.CHAT, ("busy",))


def test_the_person_is_asked_where_the_instances_say_nothing() -> None:
    states = read(
        Tuple(id="a", basic=True),
        Tuple(id="b", basic=True, show="xa"),
        person=Person(activities=("meeting",)),
    )
    assert [state.show for state in states] == [Show.DND, Show.XA]


@pytest.mark.parametrize(
    ("one", "online"),
    [
        (Tuple(id="a", basic=True), True),
        (Tuple(id="a", basic=False, show="away"), False),
        (Tuple(id="a"), False),
        (Tuple(id="a", show="busy"), True),
        (Tuple(id="a", activities=("away",)), True),
    ],
)
def test_who_is_online(one: Tuple, online: bool) -> None:
    """PRS-121; `basic` may be left out (pjproject#1367)."""
    assert bool(read(one)) is online


def test_tuples_without_an_id_are_still_told_apart() -> None:
    """QUIRK(Kamailio xmpp): the id that must be there is not."""
    assert [state.instance for state in read(Tuple(basic=True))] == [""]
    assert [state.instance for state in read(Tuple(basic=True), Tuple(basic=True))] == ["1", "2"]


def test_ids_that_mean_the_same_to_us_are_two() -> None:
    assert len({s.instance for s in read(*(Tuple(id=i, basic=True) for i in ("a", "ID-a", "a'")))}) == 3


def test_notes_of_the_tuple_come_before_those_of_the_whole() -> None:
    """PRS-128."""
    of_all, own = Note("of all"), Note("own", "en")
    assert read(Tuple(id="a", basic=True, notes=(own,)), notes=(of_all,))[0].notes == (Text("own", "en"),)
    assert read(Tuple(id="a", basic=True), notes=(of_all,))[0].notes == (Text("of all"),)


@pytest.mark.parametrize("contact", ["sip:juliet@example.com:5070", "pres:juliet@example.com", "garbage", ""])
def test_a_contact_that_says_nothing_new_is_none(contact: str) -> None:
    assert read(Tuple(id="a", basic=True, contact=contact))[0].contact == ""


def test_what_is_old_says_so() -> None:
    """The timestamp tells the truth, and so does the note; and they are not those of the last document."""
    fresh = Document((State("a", Show.AWAY, (Text("lunch", "en"),)),), as_of=NOW)
    old = Document(fresh.states, as_of=NOW, stale=True)
    (one,) = to_pidf(old, JULIET).tuples
    assert one.notes == (Note("(as of 03:04 UTC) lunch", "en"),)
    assert one.timestamp is not None
    assert 0 < one.timestamp - NOW < 1
    assert write(to_pidf(old, JULIET)) != write(to_pidf(fresh, JULIET))
    (one,) = to_pidf(Document((State("a"),), as_of=NOW, stale=True), JULIET).tuples
    assert one.notes == (Note("as of 03:04 UTC", "en"),)
    (one,) = to_pidf(Document(as_of=NOW, stale=True), JULIET).tuples
    assert one.notes == (Note("as of 03:04 UTC", "en"),)
