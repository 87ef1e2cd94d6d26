"""The small parts of the core: ids, routes, limits, trails, memory, names that are remembered."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.core import memory, trail
from rialto.core.chorus import MOST, Chorus
from rialto.core.ids import Ids, floor_id
from rialto.core.limits import Buckets
from rialto.core.memory import Memory
from rialto.core.metrics import COUNTERS, Metrics
from rialto.core.network import Outcome
from rialto.core.recent import Recent
from rialto.core.routing import Routes
from rialto.core.trail import Event, Stop
from rialto.store.store import Store
from rialto.testing import FakeTime, Recorder, peer

# -- ids -----------------------------------------------------------------------------------------------


@given(st.lists(st.floats(min_value=0, max_value=4e9), min_size=1, max_size=200))
def test_ids_rise_whatever_the_clock_does(times: list[float]) -> None:
    clock = iter(times)
    new_id = Ids(lambda: next(clock))
    ids = [new_id() for _ in times]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert all(len(one) == 23 for one in ids)


def test_ids_rise_over_a_restart_with_a_clock_that_is_behind() -> None:
    last = Ids(lambda: 2000.0)()
    assert Ids(lambda: 1000.0, last)() > last


def test_more_ids_than_a_millisecond_can_count_still_rise() -> None:
    new_id = Ids(lambda: 1.0)
    ids = [new_id() for _ in range(70_000)]
    assert ids == sorted(ids)


def test_the_floor_of_a_time_is_below_its_ids() -> None:
    assert floor_id(1234.5678) < Ids(lambda: 1234.5678)()
    assert floor_id(1234.569) > Ids(lambda: 1234.567)()
    assert floor_id(-5) == "0" * 11


# -- routes --------------------------------------------------------------------------------------------


def test_the_most_specific_entry_wins() -> None:
    exact, below, deeper, rest = (
        peer("exact", "sip", "a.example"),
        peer("below", "sip", "*.example"),
        peer("deeper", "sip", "*.b.example"),
        peer("rest", "xmpp", "*"),
    )
    routes = Routes([rest, below, exact, deeper])
    found = {
        domain: routes.candidates(domain, "")[0].name
        for domain in ("a.example", "c.example", "x.b.example", "b.example", "z", "example")
    }
    assert found == {
        "a.example": "exact", "c.example": "below", "x.b.example": "deeper", "b.example": "below",
        "z": "rest",
        "example": "rest",
    }  # fmt: skip
    assert Routes([exact]).candidates("z", "sip") == ()


def test_the_network_of_the_sender_is_asked_first() -> None:
    one, other = peer("one", "xmpp", "*"), peer("other", "sip", "*")
    routes = Routes([one, other])
    assert routes.candidates("z", "sip") == (other, one)  # RFC 7247 section 5
    assert routes.candidates("z", "xmpp") == (one, other)
    assert routes.peer("sip", "z") is other


def test_a_network_speaks_for_domains_that_live_elsewhere() -> None:
    routes = Routes(
        [peer("xa.example", "xmpp"), peer("sip.example", "sip"), peer("any", "xmpp", "*.wild.example")]
    )
    assert routes.projects("sip", "xa.example")
    assert not routes.projects("xmpp", "xa.example")
    assert routes.projects("sip", "a.wild.example")
    assert not routes.projects("sip", "nowhere")
    assert routes.projected("sip") == {"xa.example"}
    assert routes.projected("xmpp") == {"sip.example"}


def test_a_peer_speaks_for_its_domains_also_when_it_was_configured_anew() -> None:
    routes = Routes([peer("x", "xmpp", "xa.example"), peer("y", "xmpp", "xb.example")])
    assert routes.speaks_for(peer("x", "xmpp", "xa.example"), "xa.example")
    assert not routes.speaks_for(peer("x", "xmpp", "xa.example"), "xb.example")


def test_the_domains_of_strangers_do_not_fill_the_memory() -> None:
    routes = Routes([peer("any", "xmpp", "*")])
    for number in range(70_000):
        routes.candidates(f"h{number}", "sip")
    assert len(routes._cache) <= 65_536


# -- limits --------------------------------------------------------------------------------------------


def test_a_bucket_holds_ten_seconds_and_fills_again() -> None:
    buckets = Buckets()
    assert [buckets.take("a", 2.0, 100.0) for _ in range(20)] == [0.0] * 20
    assert buckets.take("a", 2.0, 100.0) == pytest.approx(0.5)
    assert buckets.take("b", 2.0, 100.0) == 0.0
    assert buckets.take("a", 2.0, 100.6) == 0.0


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    buckets = Buckets()
    buckets.take("a", 1.0, 10_000.0)
    assert [buckets.take("a", 1.0, 10.0) for _ in range(9)] == [0.0] * 9


def test_there_are_never_more_buckets_than_said() -> None:
    buckets = Buckets(capacity=100)
    for number in range(1000):
        buckets.take("busy", 1.0, 0.0)
        buckets.take(str(number), 1.0, 0.0)
    assert len(buckets._buckets) == 100
    assert buckets.take("busy", 1.0, 0.0) > 0  # it was used all the time, and is remembered


# -- trails --------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 4e9), st.sampled_from(Stop), st.text()), max_size=5))
def test_a_trail_is_read_back_even_in_pieces(stops: list[tuple[float, Stop, str]]) -> None:
    events = [Event(at, stop, text, {"n": 1}) for at, stop, text in stops]
    assert trail.decode("".join(trail.encode([event]) for event in events)) == events


def test_half_a_character_from_a_peer_does_not_break_the_trail() -> None:
    line = trail.encode([Event(1.0, Stop.FAILED, "bad \ud800", {"detail": "\udc80", "n": 1})])
    (event,) = trail.decode(line)
    assert event.text == "bad ?"
    assert event.data == {"detail": "?", "n": 1}


# -- memory --------------------------------------------------------------------------------------------


async def test_memory_is_bounded_keeps_the_newest_and_writes_only_news(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CAPACITY", 3)
    store, time = Store(tmp_path), FakeTime()
    store.writer.start()
    kept = Memory(store, time.clock)
    for number in range(5):
        time.advance(1)
        kept.put("xmpp", str(number), "v")
        kept.put("xmpp", str(number), "v")
    await store.writer.drain()
    assert store.writer.units == 5 + 1  # and the end of the waiting
    assert [kept.get("xmpp", str(number)) for number in range(5)] == [None, None, "v", "v", "v"]
    again = Memory(store, time.clock)
    again.load("xmpp")
    again.load("sip")
    assert [again.get("xmpp", str(number)) for number in range(5)] == [None, None, "v", "v", "v"]
    time.advance(1)
    again.put("xmpp", "new", "v")
    assert again.get("xmpp", "2") is None  # the oldest went
    await store.writer.stop()
    store.close()


def test_recent_names_are_bounded_and_the_newest_are_known() -> None:
    recent = Recent(10)
    for number in range(100):
        recent.put(bytes([number]), (Outcome.SENT, None))
    assert len(recent) <= 20
    assert all(recent.get(bytes([number])) for number in range(90, 100))
    recent.put(b"c", (Outcome.DELIVERED, None))
    assert recent.get(b"c") == (Outcome.DELIVERED, None)


# -- those who wait ------------------------------------------------------------------------------------


def test_a_chorus_tells_everybody_before_the_commit_and_keeps_few_after() -> None:
    chorus = Chorus(first := Recorder())
    early = [Recorder(waiting=True) for _ in range(20)]
    for one in early:
        chorus.join(one, stored=False)
    chorus.stored()
    assert all(one.steps == ["stored"] for one in [first, *early])
    for _ in range(20):
        chorus.join(last := Recorder(waiting=True), stored=True)
    assert len(chorus._members) == MOST
    assert chorus.waiting
    assert chorus.settled(Outcome.SENT, None)
    assert last.steps == ["settled"]


def test_every_counter_can_be_counted() -> None:
    metrics = Metrics()
    for name, (text, labels) in COUNTERS.items():
        metrics.count(name, *labels)
        assert metrics.value(name, *labels) == 1.0
        assert text.endswith(".")
