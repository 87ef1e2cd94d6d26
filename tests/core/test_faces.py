"""Who is called what: between two people, for a while, and without anybody waiting for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rialto.core import faces as module
from rialto.core.faces import ASK_AGAIN_S, ASK_NOBODY_AGAIN_S, FORGET_S, Faces
from rialto.core.network import Peer
from rialto.model.address import Address
from rialto.model.face import Face, picture_of
from rialto.model.message import Message
from rialto.model.presence import Pair
from rialto.testing import FakeTime, ScriptedNetwork

ALICE, BOB, CAROL = Address("alice", "a.example"), Address("bob", "b.example"), Address("carol", "b.example")
SEEN = Pair(BOB, ALICE)
"""What Alice shows to Bob."""


class Asked(ScriptedNetwork):
    """A network where people can be asked."""

    def __init__(self) -> None:
        super().__init__("asked")
        self.asked: list[Pair] = []
        self.shown: list[Pair] = []

    def look_up(self, pair: Pair, peer: Peer) -> None:
        assert peer.network == "asked"
        self.asked.append(pair)

    def pictured(self, pair: Pair, peer: Peer) -> None:
        assert peer.network == "asked"
        self.shown.append(pair)


def soon(call: Callable[..., Any], *args: Any) -> None:
    call(*args)


class Stage:
    """Alice lives where one can ask, Bob does not."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.network = Asked()
        self.faces = Faces(self.time.clock, self.candidates)
        self.faces.start({"asked": self.network, "mute": ScriptedNetwork("mute")}, soon)

    def candidates(self, domain: str, network: str) -> tuple[Peer, ...]:
        name = {"a.example": "asked", "b.example": "mute"}.get(domain)
        return (Peer(name=domain, network=name, domains=(domain,), settings=None),) if name else ()


def message(nick: str = "") -> Message:
    return Message(
        id="1",
        sender=Address("alice", "a.example", "home"),
        recipient=BOB,
        text="hi",
        received_at=0,
        nick=nick,
    )


def test_a_name_that_came_with_a_message_is_remembered_for_the_next() -> None:
    stage = Stage()
    assert stage.faces.heard(message("Ally")) == "Ally"
    assert stage.faces.heard(message()) == "Ally"
    assert not stage.network.asked


def test_what_was_shown_to_one_is_not_shown_to_another() -> None:
    stage = Stage()
    stage.faces.learn(SEEN, Face(name="Alice"), "document")
    assert stage.faces.name(SEEN) == "Alice"
    assert stage.faces.name(Pair(CAROL, ALICE)) == ""


def test_who_is_not_known_is_asked_for_once() -> None:
    stage = Stage()
    assert stage.faces.heard(message()) == ""
    assert stage.faces.heard(message()) == ""
    assert stage.network.asked == [SEEN]
    stage.faces.learn(SEEN, Face(name="Alice Liddell"), "card")
    assert stage.faces.heard(message()) == "Alice Liddell"
    assert stage.network.asked == [SEEN]


def test_an_old_name_is_used_and_asked_for_again() -> None:
    stage = Stage()
    stage.faces.seen(SEEN)
    stage.faces.learn(SEEN, Face(name="Alice"), "card")
    stage.time.advance(ASK_AGAIN_S - 1)
    assert stage.faces.name(SEEN) == "Alice"
    assert len(stage.network.asked) == 1
    stage.time.advance(2)
    assert stage.faces.name(SEEN) == "Alice"
    assert len(stage.network.asked) == 2


def test_who_has_no_name_is_asked_for_again_sooner() -> None:
    stage = Stage()
    stage.faces.seen(SEEN)
    stage.time.advance(ASK_NOBODY_AGAIN_S + 1)
    stage.faces.seen(SEEN)
    assert len(stage.network.asked) == 2


def test_nobody_is_asked_where_nobody_can_be() -> None:
    stage = Stage()
    assert stage.faces.name(Pair(ALICE, BOB)) == ""
    assert stage.faces.name(Pair(ALICE, Address("x", "nowhere.example"))) == ""
    assert stage.faces.name(Pair(BOB, Address("", "a.example"))) == ""
    assert not stage.network.asked
    assert len(stage.faces) == 0


def test_a_crowd_is_asked_for_at_a_pace() -> None:
    stage = Stage()
    for number in range(1000):
        stage.faces.seen(Pair(Address(f"b{number}", "b.example"), ALICE))
    assert len(stage.network.asked) == module.ASKS_PER_S * 10
    stage.time.advance(1)
    for number in range(1000):
        stage.faces.seen(Pair(Address(f"b{number}", "b.example"), ALICE))
    assert len(stage.network.asked) == module.ASKS_PER_S * 11


def test_what_a_source_said_last_takes_the_place_of_what_it_said_before() -> None:
    faces = Faces(FakeTime().clock)
    faces.learn(SEEN, Face(name="Alice", homepage="https://a.example/"), "document")
    faces.learn(SEEN, Face(nick="ally"), "said")
    assert faces.seen(SEEN) == Face(name="Alice", nick="ally", homepage="https://a.example/")
    faces.learn(SEEN, Face(), "document")
    assert faces.seen(SEEN) == Face(nick="ally")


def test_memory_is_bounded_and_forgets_whom_nobody_heard_of_for_longest(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "CAPACITY", 3)
    faces = Faces(FakeTime().clock)
    pairs = [Pair(BOB, Address(f"a{number}", "a.example")) for number in range(4)]
    for pair in pairs[:3]:
        faces.learn(pair, Face(name="X"), "said")
    faces.learn(pairs[0], Face(name="Y"), "said")
    faces.learn(pairs[3], Face(name="X"), "said")
    assert [faces.name(pair) for pair in pairs] == ["Y", "", "X", "X"]


def test_after_a_month_without_a_word_a_name_is_forgotten() -> None:
    stage = Stage()
    stage.faces.learn(SEEN, Face(name="Alice"), "said")
    stage.time.advance(FORGET_S + 1)
    assert stage.faces.name(SEEN) == ""


def test_who_sees_somebody_is_shown_the_picture_when_it_is_there() -> None:
    stage = Stage()
    picture = picture_of(b"GIF89a")
    assert picture is not None
    url = "https://b.example/bob.gif"
    stage.faces.learn(Pair(ALICE, BOB), Face(picture_url=url), "document")
    stage.faces.learn(Pair(CAROL, BOB), Face(picture_url=url), "document")
    stage.faces.learn(Pair(ALICE, CAROL), Face(picture_url="https://b.example/carol.gif"), "document")
    stage.faces.keep_picture(url, picture)
    assert stage.network.shown == [Pair(ALICE, BOB)], "of those whose network can show it"
    stage.faces.keep_picture(url, picture)
    assert len(stage.network.shown) == 1, "once"


def test_pictures_are_few_and_known_by_where_they_are(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "PICTURES", 2)
    faces = Faces(FakeTime().clock)
    picture = picture_of(b"GIF89a")
    assert picture is not None
    for url in ("https://a/1", "https://a/2", "https://a/3"):
        faces.keep_picture(url, picture)
    assert faces.picture(Face(picture_url="https://a/1")) is None
    assert faces.picture(Face(picture_url="https://a/3")) is picture
    assert faces.picture(Face()) is None
