"""Whatever a watcher was told before: after the news, its screen shows what is so."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from networks.xmpp.stage import PLAIN, ROME, VERONA, peer
from rialto.core.network import PairView
from rialto.model.address import Address
from rialto.model.errors import Reason
from rialto.model.presence import Document, Grant, Pair, Show, State
from rialto.networks.xmpp.presence_news import news
from rialto.networks.xmpp.presence_stanzas import full_jid, to_state
from rialto.networks.xmpp.wire.element import Element

NOW = 1_700_049_600.0
PAIR = Pair(Address("romeo", ROME), Address("juliet", VERONA))

instances = st.sampled_from(["balcony", "crypt", "orchard"])
states = st.builds(State, instances, st.sampled_from(Show), priority=st.none() | st.integers(-5, 5))
documents = st.builds(
    Document,
    st.lists(states, max_size=3, unique_by=lambda one: one.instance).map(tuple),
    as_of=st.just(NOW),
    stale=st.booleans(),
)


def view(**more: object) -> PairView:
    whole = {"grant": Grant.GRANTED, "told_grant": Grant.GRANTED, "listening": True} | more
    return PairView(pair=PAIR, watcher_peer=peer(ROME, PLAIN), presentity_peer=peer(VERONA, PLAIN), **whole)  # type: ignore[arg-type]


def told(seen: PairView) -> list[Element]:
    numbers = itertools.count(1)
    return news(seen, NOW, lambda: f"t{next(numbers)}")


class Screen:
    """A client: what is online, by JID."""

    def __init__(self) -> None:
        self.online: dict[str, State] = {}
        self.last = ""

    def see(self, stanzas: list[Element]) -> None:
        for stanza in stanzas:
            kind, sender = stanza.get("type"), stanza.get("from")
            if kind == "unavailable":
                self.online = {
                    jid: state
                    for jid, state in self.online.items()
                    if jid != sender and jid.partition("/")[0] != sender
                }
            elif not kind:
                self.online[sender] = to_state(stanza, sender.partition("/")[2])
            else:
                self.last = kind


@given(st.lists(documents, min_size=1, max_size=6))
def test_the_screen_follows_the_documents(script: list[Document]) -> None:  # PRS-123, PRS-124
    screen, before = Screen(), None
    for document in script:
        if before is not None and document.same_news(before):
            continue
        stanzas = told(view(document=document, told_document=before))
        screen.see(stanzas)
        assert set(screen.online) == {full_jid(PAIR.presentity, one.instance) for one in document.states}
        shows = {jid.partition("/")[2]: state.show for jid, state in screen.online.items()}
        assert shows == {one.instance: one.show for one in document.states}
        aged = [any("as of" in note.text for note in state.notes) for state in screen.online.values()]
        assert all(one is document.stale for one in aged)
        if before is not None and before.stale is document.stale:
            changed = set(before.states) ^ set(document.states)
            assert {stanza.get("from").partition("/")[2] for stanza in stanzas} <= {
                one.instance for one in changed
            }
        before = document


@given(documents, st.sampled_from([Grant.NONE, Grant.REFUSED]))
def test_the_end_of_an_authorization_clears_the_screen(document: Document, grant: Grant) -> None:
    screen = Screen()
    screen.see(told(view(document=document)))
    screen.see(told(view(grant=grant, told_document=document)))
    assert (screen.online, screen.last) == ({}, "unsubscribed")


def test_nothing_is_said_while_nothing_is_decided() -> None:  # PRS-13
    assert told(view(grant=Grant.PENDING, told_grant=Grant.NONE)) == []
    assert told(view(grant=Grant.PENDING, told_grant=Grant.PENDING)) == []


def test_who_was_refused_and_asks_again_at_once_sees_the_end_of_what_was_shown() -> None:  # PRS-97
    shown = Document((State("balcony"), State("crypt")))
    stanzas = told(view(grant=Grant.PENDING, told_grant=Grant.GRANTED, told_document=shown))
    assert [(one.get("type"), one.get("from").rpartition("/")[2]) for one in stanzas] == [
        ("unavailable", "balcony"),
        ("unavailable", "crypt"),
    ]


def test_what_is_not_known_is_not_called_offline() -> None:  # PRS-82
    assert [one.get("type") for one in told(view(told_grant=Grant.PENDING))] == ["subscribed"]


def test_a_decision_reaches_somebody_who_is_not_there() -> None:  # PRS-70
    seen = view(told_grant=Grant.PENDING, listening=False, document=Document((State("x"),)))
    assert [one.get("type") for one in told(seen)] == ["subscribed"]


def test_a_session_that_has_run_out_shows_nothing() -> None:
    before = Document((State("x"), State("y")))
    seen = view(listening=False, document=before, told_document=before)
    assert [one.get("type") for one in told(seen)] == ["unavailable", "unavailable"]


def test_a_single_look_without_an_answer_says_nothing_unless_it_was_a_no() -> None:
    silent = view(grant=Grant.NONE, told_grant=Grant.NONE, listening=False)
    assert told(silent) == []
    refused = view(grant=Grant.NONE, told_grant=Grant.NONE, listening=False, reason=Reason.FORBIDDEN)
    assert [one.get("type") for one in told(refused)] == ["unsubscribed"]


def test_the_bare_jid_goes_before_a_full_one_comes() -> None:
    seen = view(document=Document((State("x"),)), told_document=Document((State(""),)))
    assert [(one.get("type"), one.get("from")) for one in told(seen)] == [
        ("unavailable", f"juliet@{VERONA}"),
        ("", f"juliet@{VERONA}/x"),
    ]
