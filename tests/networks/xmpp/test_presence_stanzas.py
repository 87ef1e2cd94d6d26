"""What an instance is, as a stanza and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.model.address import Address
from rialto.model.message import Text
from rialto.model.presence import Show, State
from rialto.networks.xmpp.presence_stanzas import (
    as_of_text,
    delay,
    from_state,
    full_jid,
    is_of_a_room,
    to_state,
    written,
)
from rialto.networks.xmpp.wire import jid
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.parser import StreamParser

JULIET = Address("juliet", "capulet.example")
NOON = 1_700_049_600.0

texts = st.text(st.characters(codec="utf-8"), max_size=40)
languages = st.sampled_from(["", "en", "de-CH", "x", "not a language", "1_2"])
states = st.builds(
    State,
    instance=st.text(max_size=12),
    show=st.sampled_from(Show),
    notes=st.lists(st.builds(Text, texts, languages), max_size=4).map(tuple),
    priority=st.none() | st.integers(-200, 200),
    idle_since=st.none() | st.floats(allow_nan=False) | st.floats(0, 4e9),
    activities=st.lists(st.sampled_from(["meeting", "on-the-phone", "vacation", "<b>", ""]), max_size=3).map(
        tuple
    ),
    capabilities=st.sampled_from(["", "https://client.example#QgayPKawpkPSDYmwT/WM94uAlu0=", "#", "x"]),
)


def stanza_of(state: State, **more: float) -> Element:
    settings = {"as_of": NOON, "now": NOON} | more
    return from_state(state, JULIET, "romeo@montague.example", stanza_id="p1", stale=False, **settings)


def test_all_of_it_is_carried() -> None:
    state = State(
        instance="balcony",
        show=Show.XA,
        notes=(Text("gone to bed", "en"), Text("im Bett", "de")),
        priority=-1,
        idle_since=NOON,
        activities=("sleeping",),
        capabilities="https://client.example#abc=",
    )
    stanza = stanza_of(state)
    assert stanza.encode() == (
        b"<presence from='juliet@capulet.example/balcony' to='romeo@montague.example' id='p1'>"
        b"<show>xa</show><status xml:lang='en'>gone to bed</status><status xml:lang='de'>im Bett</status>"
        b"<priority>-1</priority><idle xmlns='urn:xmpp:idle:1' since='2023-11-15T12:00:00Z'/>"
        b"<activities xmlns='urn:ietf:params:xml:ns:pidf:rpid'><sleeping/></activities>"
        b"<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://client.example' ver='abc='/>"
        b"</presence>"
    )
    assert to_state(stanza, "balcony") == state


def on_the_wire(stanza: Element) -> Element:
    """As the far side reads it."""
    parser = StreamParser()
    parser.feed(b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>")
    parser.feed(stanza.encode())
    (found,) = [one for one in parser.items if isinstance(one, Element)]
    return found


@given(states)
def test_a_state_that_has_passed_once_passes_unchanged(state: State) -> None:
    once = to_state(on_the_wire(stanza_of(state)), state.instance)
    assert to_state(on_the_wire(stanza_of(once)), state.instance) == once
    assert once.show is state.show
    if state.priority is None or -128 <= state.priority <= 127:
        assert once.priority == state.priority


@given(states)
def test_it_can_be_written_whatever_it_is(state: State) -> None:
    assert stanza_of(state).encode().decode().isascii() in (True, False)
    jid.parse(full_jid(JULIET, state.instance))


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_instances_are_two_resources_and_one_is_always_the_same(one: str, other: str) -> None:  # PRS-103
    assert (full_jid(JULIET, one) == full_jid(JULIET, other)) == (one == other)


@pytest.mark.parametrize(
    "instance", ["a b", "ünï", "x" * 1023, "~0", "~" + "0" * 32, "e\u0301", "\x00", "x" * 1024, " ", "\ud800"]
)
def test_odd_instances_have_a_resource_that_xmpp_takes(instance: str) -> None:
    written_jid = full_jid(JULIET, instance)
    assert jid.write(jid.parse(written_jid)) == written_jid
    assert full_jid(JULIET, jid.parse(written_jid).instance + "x") != written_jid


def test_without_an_instance_it_is_the_bare_jid() -> None:  # AMB-4
    assert stanza_of(State("")).get("from") == "juliet@capulet.example"


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        (Element("show", {}, ["asleep"]), State("x")),
        (Element("show", {}, ["chat"]), State("x", Show.CHAT)),
        (Element("priority", {}, ["128"]), State("x")),
        (Element("priority", {}, ["high"]), State("x")),
        (Element("priority", {}, [" -128\n"]), State("x", priority=-128)),
        (Element("urn:xmpp:idle:1}idle", {"since": "yesterday"}), State("x")),
        (Element("urn:xmpp:idle:1}idle", {"since": "1969-07-21T02:56:15"}), State("x")),
        (Element("http://jabber.org/protocol/caps}c", {"node": "n", "ver": "v", "hash": "md5"}), State("x")),
        (Element("status"), State("x")),
    ],
)
def test_what_is_said_wrongly_is_not_said(child: Element, expected: State) -> None:
    assert to_state(Element("presence", {}, [child]), "x") == expected


def test_there_is_one_status_for_a_language_and_it_may_be_that_of_the_stanza() -> None:
    stanza = Element(
        "presence",
        {"http://www.w3.org/XML/1998/namespace}lang": "en"},
        [Element("status", {}, ["here"]), Element("status", {}, ["there"])],
    )
    assert to_state(stanza, "x").notes == (Text("here", "en"),)


def test_what_was_said_long_ago_is_stamped_and_what_is_stale_says_so() -> None:
    assert delay(JULIET, NOON, NOON + 59) == []
    assert stanza_of(State("x"), now=NOON + 90).elements[-1] == Element(
        "urn:xmpp:delay}delay", {"from": "capulet.example", "stamp": "2023-11-15T12:00:00Z"}
    )
    stale = from_state(
        State("x", notes=(Text("here", "en"),)), JULIET, "r@m", stanza_id="", as_of=NOON, stale=True, now=NOON
    )
    assert [one.text for one in stale.find_all("status")] == ["here (as of 12:00 UTC)"]
    assert stale.find("urn:xmpp:delay}delay") is not None


def test_how_old_it_is_is_written_with_the_day_where_that_matters() -> None:
    assert as_of_text(NOON, NOON + 3600) == "as of 12:00 UTC"
    assert as_of_text(NOON, NOON + 50_000) == "as of 2023-11-15 12:00 UTC"
    assert as_of_text(1e30, NOON) == "as of an unknown time"
    assert written(1e30) == ""


def test_a_room_is_known_by_its_mark() -> None:
    assert is_of_a_room(Element("presence", {}, [Element("http://jabber.org/protocol/muc}x")]))
    assert is_of_a_room(Element("presence", {}, [Element("http://jabber.org/protocol/muc#user}x")]))
    assert not is_of_a_room(Element("presence", {}, [Element("show", {}, ["away"])]))
