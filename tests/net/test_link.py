"""A link with its time, its limits and its boundaries, on a transport that only remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import structlog

from net.pki import dns, make
from net.toy import End, Line, LineMachine, Rang, StillLoop, Transport
from rialto.model.errors import LocalProtocolError
from rialto.net.link import Link, LinkError, LinkLimits
from rialto.net.tls import CertificateStore, HandshakeDone, KeyPair


class Owner:
    """One link with all that its owner hears."""

    def __init__(self, limits: LinkLimits | None = None, *, attach: bool = True) -> None:
        self.loop = StillLoop()
        self.machine = LineMachine()
        self.link: Link[Any] = Link(self.loop, outgoing=True, limits=limits or LinkLimits(), label="toy")
        self.transport = Transport(self.link, self.loop)
        self.events: list[Any] = []
        self.lost: list[LinkError | None] = []
        self.writable: list[bool] = []
        self.link.connection_made(self.transport)  # type: ignore[arg-type]
        if attach:
            self.attach()
            self.loop.turn()

    def attach(self, **more: Any) -> None:
        self.link.attach(
            self.machine, self.on_event, on_lost=self.lost.append, on_writable=self.writable.append, **more
        )

    def on_event(self, event: Any) -> None:
        self.events.append(event)

    def hear(self, data: bytes) -> None:
        self.link.data_received(data)

    @property
    def error(self) -> str:
        self.loop.turn()
        assert len(self.lost) == 1
        assert self.lost[0] is not None
        return self.lost[0].code


def test_bytes_become_events_and_answers_become_bytes() -> None:
    owner = Owner()
    for byte in b"one\ntwo\n":
        owner.hear(bytes([byte]))
    assert owner.events == [Line("one"), Line("two")]
    owner.machine.say("three")
    owner.link.flush()
    assert owner.transport.written == b"three\n"
    assert (owner.link.bytes_in, owner.link.bytes_out) == (8, 6)


def test_an_answer_given_inside_an_event_is_written_with_it() -> None:
    owner = Owner()
    owner.on_event = lambda event: owner.machine.say(event.text) or owner.link.flush() or owner.link.wake()  # type: ignore[method-assign, func-returns-value]
    owner.link._on_event = owner.on_event
    owner.hear(b"one\ntwo\n")
    assert owner.transport.written == b"one\ntwo\n"


def test_many_wakes_are_one_write() -> None:
    owner = Owner()
    writes: list[bytes] = []
    owner.transport.write = writes.append  # type: ignore[method-assign]
    for number in range(100):
        owner.machine.say(str(number))
        owner.link.wake()
    assert writes == []
    owner.loop.turn()
    assert len(writes) == 1


def test_nothing_is_read_before_there_is_a_machine() -> None:
    owner = Owner(attach=False)
    assert not owner.transport.reading
    owner.hear(b"early\n")  # what was on its way already
    owner.machine.say("born")
    owner.attach()
    owner.hear(b"late\n")
    assert owner.events == []
    owner.loop.turn()
    assert owner.transport.reading
    assert owner.events == [Line("early"), Line("late")]
    assert owner.transport.written == b"born\n"


def test_a_link_has_one_machine() -> None:
    owner = Owner()
    with pytest.raises(LocalProtocolError):
        owner.attach()


def test_the_tap_shows_both_ways() -> None:
    owner = Owner(attach=False)
    seen: list[tuple[str, bytes]] = []
    owner.attach(tap=lambda way, data: seen.append((way, data)))
    owner.loop.turn()
    owner.hear(b"one\n")
    owner.machine.say("two")
    owner.link.flush()
    assert seen == [("in", b"one\n"), ("out", b"two\n")]


# -- time -----------------------------------------------------------------------------------------------


def test_the_machines_timer_rings_at_its_time() -> None:
    owner = Owner()
    owner.machine.timer = owner.loop.now + 5
    owner.link.flush()
    owner.loop.wait(4.9)
    assert owner.events == []
    owner.loop.wait(0.2)
    assert owner.events == [Rang(1005.0)]


def test_a_timer_may_move_both_ways() -> None:
    owner = Owner()
    owner.machine.timer = owner.loop.now + 5
    owner.link.flush()
    owner.machine.timer = owner.loop.now + 20
    owner.link.flush()
    owner.loop.wait(19)
    assert owner.events == []
    owner.machine.timer = owner.loop.now + 0.5
    owner.link.flush()
    owner.loop.wait(0.6)
    assert owner.events == [Rang(1019.5)]


def test_who_proves_nothing_is_dropped_in_time() -> None:
    owner = Owner(LinkLimits(handshake_s=30))
    for _ in range(29):
        owner.loop.wait(1)
        owner.hear(b"x")  # a byte a second does not help
    assert not owner.link.closed
    owner.loop.wait(1.1)
    assert owner.error == "handshake-timeout"


def test_who_has_proven_itself_may_stay() -> None:
    owner = Owner(LinkLimits(handshake_s=30))
    owner.link.establish()
    owner.link.establish()
    owner.loop.wait(1000)
    assert not owner.link.closed


def test_silence_ends_a_link_and_a_byte_keeps_it() -> None:
    owner = Owner(LinkLimits(handshake_s=None, idle_s=60))
    for _ in range(100):
        owner.loop.wait(59)
        owner.hear(b"\n")
    assert not owner.link.closed
    assert owner.loop.alarms_set < 210
    owner.loop.wait(61)
    assert owner.error == "idle"


def test_the_idle_limit_can_be_changed() -> None:
    owner = Owner(LinkLimits(handshake_s=None))
    owner.loop.wait(100)
    owner.link.set_idle_limit(120)
    owner.loop.wait(19)
    assert not owner.link.closed
    owner.link.set_idle_limit(None)
    owner.loop.wait(1000)
    assert not owner.link.closed


def test_our_own_pause_is_not_the_peers_silence() -> None:
    owner = Owner(LinkLimits(handshake_s=None, idle_s=60))
    owner.link.pause_reading()
    owner.loop.wait(100)
    owner.link.resume_reading()
    owner.loop.wait(59)
    assert not owner.link.closed
    owner.loop.wait(2)
    assert owner.error == "idle"


# -- back-pressure --------------------------------------------------------------------------------------


def test_a_pause_holds_back_events_that_are_there_already() -> None:
    owner = Owner()

    def one_at_a_time(event: Any) -> None:
        owner.events.append(event)
        owner.link.pause_reading()

    owner.link._on_event = one_at_a_time
    owner.hear(b"one\ntwo\n")
    assert owner.events == [Line("one")]
    assert not owner.transport.reading
    owner.loop.turn()
    assert owner.events == [Line("one")]
    owner.link.resume_reading()
    assert owner.transport.reading
    owner.loop.turn()
    assert owner.events == [Line("one"), Line("two")]


def test_a_slow_reader_is_seen_and_a_quick_one_too() -> None:
    owner = Owner(LinkLimits(high_write_bytes=1000))
    owner.transport.takes = 0
    owner.machine.say("x" * 1500)
    owner.link.flush()
    assert owner.writable == [False]
    assert not owner.link.writable
    owner.transport.read_by_peer(1000)
    assert owner.writable == [False]
    owner.transport.read_by_peer(400)
    assert owner.writable == [False, True]


def test_who_never_reads_costs_so_much_and_no_more() -> None:
    owner = Owner(LinkLimits(max_write_bytes=10_000))
    owner.transport.takes = 100
    while not owner.link.closed:
        owner.machine.say("x" * 999)
        owner.link.flush()
        assert owner.transport.buffered <= 11_000
    assert owner.transport.aborted
    assert owner.error == "not-reading"


# -- ends -----------------------------------------------------------------------------------------------


def test_the_end_is_an_event_and_then_the_link_closes() -> None:
    owner = Owner()
    owner.hear(b"one\n")
    owner.link._on_event = lambda event: (owner.events.append(event), owner.machine.say("bye"))  # type: ignore[func-returns-value]
    owner.transport.peer_closes()
    assert owner.events == [Line("one"), End()]
    assert owner.transport.written == b"bye\n"
    owner.loop.turn()
    assert owner.lost == [None]


def test_an_end_waits_until_the_owner_has_heard_everything() -> None:
    owner = Owner()
    owner.link.pause_reading()
    owner.hear(b"one\n")
    owner.transport.peer_closes()
    owner.loop.turn()
    assert not owner.link.closed
    owner.link.resume_reading()
    owner.loop.turn()
    assert owner.events == [Line("one"), End()]
    assert owner.lost == [None]


def test_a_half_closed_peer_still_gets_its_answer() -> None:
    owner = Owner(LinkLimits(half_closed_s=10))
    owner.hear(b"question\n")
    owner.transport.peer_closes()
    owner.loop.wait(9)
    owner.machine.say("answer")
    owner.link.flush()
    assert owner.transport.written == b"answer\n"
    owner.loop.wait(2)
    assert owner.lost == [None]


def test_closing_says_the_rest_and_hears_no_more() -> None:
    owner = Owner()
    owner.machine.say("bye")
    owner.link.close()
    owner.link.close()
    assert owner.transport.written == b"bye\n"
    assert owner.transport.eof
    owner.hear(b"too late\n")
    owner.link.flush()
    owner.link.wake()
    owner.loop.turn()
    assert owner.events == []
    assert owner.lost == []
    owner.transport.peer_closes()
    owner.loop.turn()
    assert owner.lost == [None]


def test_closing_inside_an_event_stops_the_others() -> None:
    owner = Owner()
    owner.link._on_event = lambda event: (owner.events.append(event), owner.link.close())  # type: ignore[func-returns-value]
    owner.hear(b"one\ntwo\n")
    assert owner.events == [Line("one")]
    assert owner.transport.eof


def test_a_peer_that_ignores_our_end_is_left() -> None:
    owner = Owner(LinkLimits(close_s=5))
    owner.link.close()
    owner.loop.wait(4.9)
    assert owner.lost == []
    owner.loop.wait(0.2)
    assert owner.lost == [None]


def test_a_peer_that_never_takes_the_rest_is_told_of() -> None:
    owner = Owner(LinkLimits(close_s=5))
    owner.transport.takes = 0
    owner.machine.say("bye")
    owner.link.close()
    owner.loop.wait(5.1)
    assert owner.error == "linger"
    assert owner.transport.aborted


def test_a_reset_is_reported() -> None:
    owner = Owner()
    owner.link.connection_lost(ConnectionResetError(104, "Connection reset by peer"))
    assert owner.error == "reset"
    owner.link.connection_lost(None)
    assert len(owner.lost) == 1


def test_a_link_that_is_lost_before_it_has_an_owner_tells_it_later() -> None:
    owner = Owner(attach=False)
    owner.link.connection_lost(ConnectionResetError())
    owner.attach()
    assert owner.error == "reset"


def test_an_abort_has_its_reason() -> None:
    owner = Owner()
    owner.link.abort(LinkError("evicted"))
    owner.link.abort(LinkError("idle"))
    assert owner.error == "evicted"
    assert owner.loop.call_soon is not None
    assert "192.0.2.1:5269" in repr(owner.link)


# -- faults of our own ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where", ["on_event", "receive_data", "handle_timer", "on_writable", "tap", "on_lost"]
)
def test_a_fault_of_ours_is_logged_and_costs_this_link_only(where: str) -> None:
    def fault(*_: object) -> None:
        raise LocalProtocolError("a bug")

    owner = Owner(LinkLimits(high_write_bytes=10))
    if where in ("receive_data", "handle_timer"):
        setattr(owner.machine, where, fault)
    else:
        setattr(owner.link, f"_{where}", fault)
    with structlog.testing.capture_logs() as logs:
        owner.machine.timer = owner.loop.now + 1
        owner.link.flush()
        owner.hear(b"one\n")
        owner.loop.wait(2)
        owner.transport.takes = 0
        if not owner.link.closed:
            owner.machine.say("x" * 100)
            owner.link.flush()
        owner.link.abort()
        owner.loop.turn()
    assert [entry["event"] for entry in logs] == ["link.bug"]
    assert logs[0]["exc_info"]
    assert owner.transport.gone
    if where != "on_lost":
        assert owner.error == "internal"


# -- STARTTLS -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CertificateStore:
    folder: Path = tmp_path_factory.mktemp("pki")
    return CertificateStore([KeyPair(*make("a", names=dns("a.example")).write(folder, "a"))])


class Upgrading(Owner):
    """An owner that goes to TLS when the line says so."""

    def __init__(self, store: CertificateStore, limits: LinkLimits | None = None) -> None:
        self.store = store
        self.tls: list[HandshakeDone] = []
        super().__init__(limits)

    def on_event(self, event: Any) -> None:
        super().on_event(event)
        if event == Line("STARTTLS"):
            self.machine.say("PROCEED")
            self.link.start_tls(self.store.server(), trailing=self.machine.trailing, on_tls=self.on_tls)

    def on_tls(self, done: HandshakeDone) -> None:
        self.tls.append(done)
        self.machine.go_on()
        self.machine.say("welcome")


def shake(owner: Upgrading, cut: int) -> Any:
    """Play the client, `cut` bytes at a time; returns its end of the channel."""
    client = owner.store.client("a.example")
    read = len(owner.transport.written)
    for _ in range(20):
        data = client.data_to_send()
        for start in range(0, len(data), cut):
            owner.hear(data[start : start + cut])
        news, read = owner.transport.written[read:], len(owner.transport.written)
        if not data and not news:
            break
        client.receive_data(news, 0.0) if news else None
    return client


@pytest.mark.parametrize("cut", [1, 50, 100_000])
def test_starttls_changes_over_at_the_exact_byte(store: CertificateStore, cut: int) -> None:
    owner = Upgrading(store)
    owner.hear(b"hello\nSTARTTLS\n")
    assert owner.transport.written == b"PROCEED\n"
    client = shake(owner, cut)
    assert owner.tls == [owner.link.tls]
    assert isinstance(client.next_event(), HandshakeDone)
    assert client.plaintext() == b"welcome\n"
    client.send(b"secret\n")
    owner.hear(client.data_to_send())
    assert owner.events == [Line("hello"), Line("STARTTLS"), Line("secret")]
    assert b"secret" not in owner.transport.written


def test_plaintext_behind_starttls_ends_the_link(store: CertificateStore) -> None:
    """CVE-2011-0411: it would be read as if it had come through TLS."""
    owner = Upgrading(store)
    owner.hear(b"STARTTLS\nMAIL FROM:<mallory>\n")
    assert owner.error == "injection"
    assert owner.events == [Line("STARTTLS")]


def test_plaintext_behind_starttls_in_another_segment_ends_the_link_too(store: CertificateStore) -> None:
    owner = Upgrading(store)
    owner.hear(b"STARTTLS\n")
    owner.hear(b"MAIL FROM:<mallory>\n")
    assert owner.error == "tls"
    assert owner.events == [Line("STARTTLS")]
    assert owner.tls == []


def test_nothing_is_said_in_plain_after_starttls_whatever_becomes_of_it(store: CertificateStore) -> None:
    owner = Upgrading(store)
    owner.hear(b"STARTTLS\n")
    owner.machine.say("secret")
    owner.link.flush()
    owner.hear(b"rubbish that is not TLS")
    owner.machine.say("another secret")
    owner.link.flush()
    owner.link.close()
    owner.loop.turn()
    assert b"secret" not in owner.transport.written


def test_tls_begins_once(store: CertificateStore) -> None:
    owner = Upgrading(store)
    owner.hear(b"STARTTLS\n")
    with pytest.raises(LocalProtocolError):
        owner.link.start_tls(store.server(), trailing=b"")


def test_a_handshake_that_never_ends_runs_out_of_time(store: CertificateStore) -> None:
    owner = Upgrading(store, LinkLimits(handshake_s=10))
    owner.hear(b"STARTTLS\n")
    owner.hear(store.client("a.example").data_to_send()[:-1])
    owner.loop.wait(11)
    assert owner.error == "handshake-timeout"


def test_closing_says_goodbye_in_tls(store: CertificateStore) -> None:
    owner = Upgrading(store)
    owner.hear(b"STARTTLS\n")
    client = shake(owner, 1000)
    client.next_event(), client.plaintext()
    before = len(owner.transport.written)
    owner.machine.say("bye")
    owner.link.close()
    client.receive_data(owner.transport.written[before:], 0.0)
    assert client.plaintext() == b"bye\n"
    assert client.next_event().clean
    owner.transport.peer_closes()
    owner.loop.turn()
    assert owner.lost == [None]


@pytest.mark.parametrize("politely", [True, False])
def test_the_peers_end_in_tls_is_the_machines_end_once(store: CertificateStore, politely: bool) -> None:
    owner = Upgrading(store)
    owner.hear(b"STARTTLS\n")
    client = shake(owner, 1000)
    client.send(b"last\n")
    if politely:
        client.close()
    owner.hear(client.data_to_send())
    owner.transport.peer_closes()
    owner.loop.turn()
    assert owner.events == [Line("STARTTLS"), Line("last"), End()]
    assert owner.lost == [None]
