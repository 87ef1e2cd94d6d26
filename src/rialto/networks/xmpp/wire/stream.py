"""What both ends of every XMPP stream have in common: header, errors, the close handshake, time, and proof.

    OPENING ──header──► NEGOTIATING ──► OPEN            (negotiation and restarts belong to the subclasses)
       │                    │  ▲          │
       │                    ▼  │          │
       │                STARTING_TLS      │
       └────────────────────┴─────────────┴──► CLOSING ──their closing tag, or time──► CLOSED

Theory of operation. Bytes go through the parser; each item is given to `_on_header`, `_on_stanza` or, for
everything else at the first level, to the method that `_NONZAS` names. A stanza comes out as an event only if
its
`from` is in a domain that was proven on this stream (RFC 6120 section 8.1.2.2): `_incoming` maps pairs of
domains to how they were proven, `_outgoing` holds those that we may use. Whoever breaks a rule gets the
stream error for it, the stream ends, and `StreamClosed` is the last event.

Time: until the peer is authenticated it has `negotiation_s` in all, however busy it looks. Then silence of
ours is broken every `keepalive_s`; a stream without stanzas for `idle_s` is closed in peace; and where stream
management is on, a peer that leaves a request for acknowledgement unanswered for `answer_s` is gone.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple

from rialto.model.address import Address
from rialto.model.errors import AddressError, LocalProtocolError
from rialto.networks.xmpp.wire import jid
from rialto.networks.xmpp.wire.conditions import STREAM_CONDITIONS, stream_condition_of
from rialto.networks.xmpp.wire.element import Element, escape, escape_attribute
from rialto.networks.xmpp.wire.events import StanzaReceived, StartTls, StreamClosed, XmppEvent
from rialto.networks.xmpp.wire.namespaces import DIALBACK, SERVER, STREAM_ERRORS, STREAMS
from rialto.networks.xmpp.wire.parser import Header, Limits, StreamParser, StreamRule

_STANZAS: Final = frozenset({"message", "presence", "iq"})
_STREAM_ERROR: Final = f"{STREAMS}}}error"


class Timing(NamedTuple):
    """How long things may take; None for "for ever"."""

    negotiation_s: float = 30.0
    keepalive_s: float | None = 60.0
    idle_s: float | None = None
    answer_s: float = 60.0
    close_s: float = 5.0


class State(enum.Enum):
    """Where a stream is in its life."""

    OPENING = "opening"
    NEGOTIATING = "negotiating"
    STARTING_TLS = "starting TLS"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


_DEAF: Final = frozenset({State.CLOSED, State.STARTING_TLS})


class Stream:
    """One end of one stream, whatever its role.

    `make_id` gives fresh unguessable texts. `now` in the constructor starts the clock of the negotiation.
    """

    content_namespace: ClassVar[str] = SERVER
    _NONZAS: ClassVar[dict[str, str]] = {_STREAM_ERROR: "_on_stream_error"}

    def __init__(
        self, *, make_id: Callable[[], str], now: float, limits: Limits, timing: Timing, secure: bool
    ) -> None:
        self.state = State.OPENING
        self.secure = secure
        self.stream_id = ""
        """The id of the stream, as the receiving side gave it."""
        self._make_id = make_id
        self._limits = limits
        self._timing = timing
        self._parser = StreamParser(limits)
        self._out: list[bytes] = []
        self._events: deque[XmppEvent] = deque()
        self._incoming: dict[tuple[str, str], str] = {}  # (our domain, theirs) -> proof
        self._outgoing: set[tuple[str, str]] = set()
        self._header_sent = False
        self._now = now
        self._negotiate_until: float | None = now + timing.negotiation_s
        self._close_until: float | None = None
        self._last_sent = now
        self._last_stanza = now
        self._tls_domain: str | None = None

    # -- the machine -----------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """Take what arrived; `b""` for the end of the connection."""
        self._now = now
        if self.state is State.CLOSED:
            return
        if not data:
            closing = self.state is State.CLOSING
            self._finish("" if closing else "connection-lost", "", by_peer=not closing)
            return
        if self.state is State.STARTING_TLS:
            return
        fault: StreamRule | None = None
        parser = self._parser
        try:
            parser.feed(data)
        except StreamRule as rule:
            fault = rule  # what came before it still counts
        items = parser.items
        try:
            while items and self._parser is parser and self.state not in _DEAF:
                item = items.popleft()
                if type(item) is Element:
                    self._on_element(item)
                elif type(item) is Header:
                    self._on_header(item)
                else:
                    self._on_end()
        except StreamRule as rule:
            self.fail(rule.condition, rule.text)
            return
        domain = self._tls_domain
        if domain is not None:
            behind = b"?" if items or fault or parser.unread else b""
            self._emit(StartTls(domain, behind))
            self._tls_domain = None
        elif fault is not None and self._parser is parser:
            self.fail(fault.condition, fault.text)

    def next_event(self) -> XmppEvent | None:
        """The next thing that happened, oldest first."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> bytes:
        """What must be written now."""
        if not self._out:
            return b""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self._last_sent = self._now
        return data

    def next_timer(self) -> float | None:
        """When `handle_timer` is due."""
        if self.state is State.CLOSED:
            return None
        times = [time for time in self._timers() if time is not None]
        return min(times) if times else None

    def _timers(self) -> list[float | None]:
        timing = self._timing
        times = [self._close_until, self._negotiate_until]
        if self.state is State.OPEN:
            if timing.keepalive_s is not None:
                times.append(self._last_sent + timing.keepalive_s)
            if timing.idle_s is not None:
                times.append(self._last_stanza + timing.idle_s)
        return times

    def handle_timer(self, now: float) -> None:
        """Let time pass."""
        self._now = now
        if self.state is State.CLOSED:
            return
        timing = self._timing
        if self._close_until is not None:
            if now >= self._close_until:
                self._finish("", "", by_peer=False)
            return
        if self._negotiate_until is not None and now >= self._negotiate_until:
            self.fail("connection-timeout", "too slow")  # RFC 6120 section 4.9.3.4
            return
        if self.state is not State.OPEN:
            return
        if timing.idle_s is not None and now >= self._last_stanza + timing.idle_s and self._may_rest():
            self.close()
            return
        if timing.keepalive_s is not None and now >= self._last_sent + timing.keepalive_s:
            self._keep_alive()

    # -- what the owner asks ---------------------------------------------------------------------------

    def send(self, stanza: Element, token: Any = None) -> None:
        """Write a stanza; its addresses must be of a pair that may be used. Raises LocalProtocolError.

        `token` comes back in `Acknowledged` where the stream has stream management.
        """
        self.send_encoded(stanza.encode(self.content_namespace), token)

    def send_encoded(self, data: bytes, token: Any = None, *, now: float | None = None) -> None:
        """Write a stanza that is already bytes. `now`: after a silence, the time of what was heard last would
        be too early to wait for an answer from."""
        if now is not None:
            self._now = now
        if self.state is not State.OPEN:
            raise LocalProtocolError(f"a stanza on a stream that is {self.state.value}")
        self._out.append(data)
        self._last_stanza = self._now

    def may_send(self, local: str, remote: str) -> bool:
        """Whether stanzas from `local` to `remote` may be sent here now."""
        return self.state is State.OPEN and (local, remote) in self._outgoing

    def mark_handled(self, number: int) -> None:
        """The stanza with this number needs no more care."""

    def close(self, condition: str = "", text: str = "") -> None:
        """End the stream: in peace, or with a stream error."""
        if condition:
            self.fail(condition, text)
        elif self.state in {State.OPENING, State.STARTING_TLS} and not self._header_sent:
            self._finish("", "", by_peer=False)
        elif self.state not in {State.CLOSING, State.CLOSED}:
            self._out.append(b"</stream:stream>")
            self.state = State.CLOSING
            self._negotiate_until = None
            self._close_until = self._now + self._timing.close_s  # RFC 6120 section 4.4

    def fail(self, condition: str, text: str = "") -> None:
        """End the stream with an error; RFC 6120 section 4.9.1.1: nobody waits for the other's closing
        tag."""
        if self.state in {State.CLOSED, State.STARTING_TLS}:
            self._finish(condition, text, by_peer=False)
            return
        if self.state is not State.CLOSING:
            if not self._header_sent:  # RFC 6120 section 4.9.1.2: an error stands in a stream
                self._send_header(None)
            name = condition if condition in STREAM_CONDITIONS else "undefined-condition"
            words = f"<text xmlns='{STREAM_ERRORS}' xml:lang='en'>{escape(text)}</text>" if text else ""
            error = f"<stream:error><{name} xmlns='{STREAM_ERRORS}'/>{words}</stream:error></stream:stream>"
            self._out.append(error.encode())
        self._finish(condition, text, by_peer=False)

    def tls_established(self, now: float, proves: Callable[[str], bool]) -> None:
        """The channel is private now; `proves(domain)` says whether the peer's certificate is for that
        domain."""
        raise LocalProtocolError("this stream did not ask for TLS")

    # -- pieces for the subclasses ---------------------------------------------------------------------

    def _emit(self, event: XmppEvent) -> None:
        self._events.append(event)

    def _send_header(self, header: Header | None) -> None:
        """Write our stream header; `header` is theirs, if we answer one."""
        raise NotImplementedError

    def _write_header(self, attributes: dict[str, str]) -> None:
        written = "".join(
            f" {name}='{escape_attribute(value)}'" for name, value in attributes.items() if value
        )
        self._out.append(
            (
                f"<?xml version='1.0'?><stream:stream xmlns='{self.content_namespace}'"
                f" xmlns:stream='{STREAMS}'"
                + (f" xmlns:db='{DIALBACK}'" if self._dialback_offered() else "")
                + f"{written}>"
            ).encode()
        )
        self._header_sent = True

    def _dialback_offered(self) -> bool:
        """Whether the header says that we speak dialback (XEP-0220 section 2.4.1)."""
        return False

    def _start_tls(self, domain: str) -> None:
        """From here on TLS; the event follows when it is known whether anything came behind."""
        self.state = State.STARTING_TLS
        self._tls_domain = domain

    def _restart(self) -> None:
        """Forget the stream so far: a new one begins (RFC 6120 section 4.3.3)."""
        self._parser = StreamParser(self._limits)
        self._header_sent = False
        self.state = State.OPENING

    def _restart_behind_stanzas(self) -> None:
        """Begin a new stream of which the peer's part may come behind stanzas that it has said in the old
        one."""
        self._parser.expect_restart()
        self._header_sent = False
        self.state = State.OPENING

    def _on_header(self, header: Header) -> None:
        raise NotImplementedError

    def _check_header(self, header: Header) -> str:
        """What every header must be; its version. Raises StreamRule."""
        if header.content_namespace != self.content_namespace:
            raise StreamRule("invalid-namespace", f"this is a stream of {self.content_namespace}")
        version = header.attributes.get("version", "")
        if version:
            major, _, minor = version.partition(".")
            if not (major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()):
                raise StreamRule("unsupported-version", "1.0")  # RFC 6120 section 4.7.5
        return version

    def _on_end(self) -> None:
        if self.state is State.CLOSING:
            self._finish("", "", by_peer=False)
            return
        if self._header_sent:
            self._out.append(b"</stream:stream>")
        self._finish("", "", by_peer=True)

    def _on_element(self, element: Element) -> None:
        name = element.name
        if name in _STANZAS:
            self._on_stanza(element)
            return
        method = self._NONZAS.get(name)
        if method is not None:
            getattr(self, method)(element)
        elif "}" in name and element.namespace:
            raise StreamRule("unsupported-stanza-type", element.local_name[:100])  # RFC 6120 section 4.9.3.24
        elif name.startswith("}"):
            raise StreamRule("invalid-namespace", "an element in no namespace")
        else:
            raise StreamRule("unsupported-stanza-type", name[:100])

    def _on_stream_error(self, element: Element) -> None:
        condition, text = stream_condition_of(element)
        if self.state is not State.CLOSING:
            self._out.append(b"</stream:stream>")
        self._finish(condition, text, by_peer=True)

    def _on_stanza(self, stanza: Element) -> None:
        attributes = stanza.attributes
        try:
            sender, recipient = jid.parse(attributes["from"]), jid.parse(attributes["to"])
        except (KeyError, AddressError):
            if self._incoming:
                raise StreamRule("improper-addressing", "from and to") from None  # RFC 6120 section 4.9.3.7
            raise StreamRule("not-authorized", self._not_yet()) from None
        proof = self._proof(sender, recipient)
        # Also after our closing tag: what was on its way is not to be lost (RFC 6120 section 4.4).
        self._last_stanza = self._now
        self._events.append(StanzaReceived(stanza, sender, recipient, self._count(), proof))

    def _proof(self, sender: Address, recipient: Address) -> str:
        """How the sender's domain was proven for this pair. Raises StreamRule."""
        proof = self._incoming.get((recipient.domain, sender.domain))
        if proof is not None:
            return proof
        if not self._incoming:
            raise StreamRule("not-authorized", self._not_yet())  # RFC 6120 section 4.9.3.12
        if any(remote == sender.domain for _, remote in self._incoming):
            raise StreamRule("improper-addressing", f"{recipient.domain} was not negotiated on this stream")
        raise StreamRule("invalid-from", f"{sender.domain} was not proven on this stream")  # section 4.9.3.9

    def _not_yet(self) -> str:
        """Why stanzas are not welcome yet."""
        return "nobody has been proven on this stream"

    def _count(self) -> int:
        """The number of the stanza that has just come in."""
        return 0

    def _may_rest(self) -> bool:
        """Whether an idle stream may be closed."""
        return True

    def _keep_alive(self) -> None:
        self._out.append(b" ")  # RFC 6120 section 4.6.1
        self._last_sent = self._now

    def _finish(self, condition: str, text: str, *, by_peer: bool) -> None:
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self._negotiate_until = self._close_until = None
        self._emit(StreamClosed(condition, text, by_peer))
