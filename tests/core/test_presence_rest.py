"""A watch in which nothing is going on: small, and the same as before."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from rialto.core.presence.book import Book
from rialto.core.presence.rest import pack, unpack
from rialto.core.presence.watch import Watch
from rialto.model.address import Address
from rialto.model.message import Text
from rialto.model.presence import Document, Grant, Pair, Show, State

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
STATES = st.builds(
    State,
    TEXTS,
    show=st.sampled_from(Show),
    notes=st.lists(st.builds(Text, TEXTS, TEXTS), max_size=2).map(tuple),
    priority=st.none() | st.integers(-128, 127),
    idle_since=st.none() | st.floats(0, 2e9),
    activities=st.lists(TEXTS, max_size=2).map(tuple),
    contact=TEXTS,
    capabilities=TEXTS,
)
DOCUMENTS = st.builds(
    Document, st.lists(STATES, max_size=3).map(tuple), as_of=st.floats(0, 2e9), stale=st.booleans()
)


def watch(watcher: str = "juliet@x.example", presentity: str = "romeo@s.example") -> Watch:
    one = Watch(Pair(Address.parse(watcher), Address.parse(presentity)), "x", "s", 0.0)
    one.grant = one.told_grant = Grant.GRANTED
    one.listening = one.live = True
    return one


@given(DOCUMENTS)
def test_a_document_at_rest_is_the_same_document(document: Document) -> None:
    assert unpack(pack(document)) == document


@given(st.lists(st.tuples(st.booleans(), st.none() | DOCUMENTS), max_size=8))
def test_what_was_told_stays_what_was_told_whatever_is_shown(
    steps: list[tuple[bool, Document | None]],
) -> None:
    one = watch()
    document: Document | None = None
    told: Document | None = None
    for telling, shown in steps:
        if telling:
            one.told_document = told = shown
        else:
            one.document = document = shown
        assert one.document == document
        found = one.told_document
        assert (found is None) == (told is None)
        assert found is None or told is None or found.same_news(told)
        assert one.told_all == (document is not None and told is not None and document.same_news(told))


def test_a_change_that_is_undone_is_no_news() -> None:
    one = watch()
    here, away = Document((State("desk"),), as_of=1.0), Document((State("desk", Show.AWAY),), as_of=2.0)
    one.document = one.told_document = here
    one.document = away
    assert one.news()
    one.document = Document(here.states, as_of=3.0)
    assert not one.news()


def test_what_is_rare_takes_no_place_once_it_is_over() -> None:
    one = watch()
    empty = sys.getsizeof(one)
    one.failures, one.text = 3, "no answer"
    assert (one.failures, one.text, one.owed) == (3, "no answer", None)
    one.failures, one.text = 0, ""
    assert one.rare is None
    assert sys.getsizeof(one) == empty < 200


@given(st.permutations(range(6)), st.integers(0, 6))
def test_the_book_finds_those_who_watch_a_person(order: list[int], removed: int) -> None:
    book = Book()
    watches = [watch(f"user{number}@x.example", f"romeo{number % 2}@s.example") for number in range(6)]
    for one in watches:
        book.add(one)
    for number in order[:removed]:
        book.remove(watches[number])
    left = {watches[number] for number in order[removed:]}
    for name in ("romeo0@s.example", "romeo1@s.example"):
        person = Address.parse(name)
        assert set(book.of(person)) == {one for one in left if one.pair.presentity == person}
    assert set(book.at("s.example")) == left
    assert book.domains() == (["s.example"] if left else [])
