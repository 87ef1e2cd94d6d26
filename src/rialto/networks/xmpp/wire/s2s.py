"""A stream between two servers: what either end may do once it stands.

Dialback (XEP-0220) plays three parts here: as initiating server we ask for a pair (`request_pair`), as
receiving server we are asked (`DialbackRequested`, `dialback_result`), as authoritative server we say whether
a key is ours (at once, for keys are made from a secret and kept nowhere: XEP-0185). On a bidirectional stream
(XEP-0288) both ends may do all of it, else the initiating end only asks and the receiving end only answers.

Stream management (XEP-0198) is counted in a `Ledger`, which can be taken out of a lost stream and put into
the one that resumes it. At most one request for acknowledgement is under way: it goes out behind whatever was
written in one turn, so under load one `<r/>` answers for many stanzas.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple

from rialto.model.errors import AddressError
from rialto.networks.xmpp.wire.conditions import condition_of, error_element
from rialto.networks.xmpp.wire.dialback import dialback_element, dialback_key, key_is_ours
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.events import (
    Acknowledged,
    Authenticated,
    DialbackRequested,
    KeyVerified,
    PairRefused,
    StrangerRefused,
)
from rialto.networks.xmpp.wire.jid import domain_of
from rialto.networks.xmpp.wire.ledger import Ledger
from rialto.networks.xmpp.wire.namespaces import DIALBACK, SM
from rialto.networks.xmpp.wire.parser import Limits, StreamRule
from rialto.networks.xmpp.wire.stream import State, Stream, Timing

NO_ACKNOWLEDGEMENT: Final = "no acknowledgement"
"""Why a stream ended on which the peer did not answer `<r/>`."""

_MAX_KEY: Final = 512
_PATIENCE_S: Final = 2.0


class Policy(NamedTuple):
    """What one peer may use to prove itself, and whether it must come with TLS (`required`, `optional`,
    `off`).

    `known` is False for a domain that we have no dealings with; `bidirectional` and `stream_management` say
    what it is offered.
    """

    tls: str = "required"
    external: bool = True
    dialback: bool = False
    known: bool = True
    bidirectional: bool = True
    stream_management: bool = True


class ServerStream(Stream):
    """The part of a server-to-server stream that is the same in both roles."""

    _NONZAS: ClassVar[dict[str, str]] = {
        **Stream._NONZAS,
        f"{DIALBACK}}}result": "_on_dialback_result",
        f"{DIALBACK}}}verify": "_on_dialback_verify",
        f"{SM}}}r": "_on_request",
        f"{SM}}}a": "_on_answer",
    }
    max_pairs: ClassVar[int] = 256

    def __init__(
        self,
        *,
        secret: bytes,
        make_id: Callable[[], str],
        now: float,
        limits: Limits,
        timing: Timing,
        secure: bool,
    ) -> None:
        super().__init__(make_id=make_id, now=now, limits=limits, timing=timing, secure=secure)
        self.bidirectional = False
        self.ledger: Ledger | None = None
        """Set while stream management is on."""
        self._secret = secret
        self._asked: set[tuple[str, str]] = set()  # pairs that we have asked for
        self._asking: set[tuple[str, str]] = set()  # pairs that the peer has asked for, being verified
        self._verifying: set[tuple[str, str, str]] = set()  # keys that we have asked about
        self._patience_shown = False
        self._requested_at: float | None = None  # our <r/> under way
        self._ask_at: float | None = None  # when to ask again, if nothing is said before
        self._fresh = False  # stanzas written since the last <r/>
        self._answer_owed = 0  # we said less than this when asked
        self._proves: Callable[[str], bool] = _nobody

    # -- stream management -----------------------------------------------------------------------------

    def send_encoded(self, data: bytes, token: Any = None, *, now: float | None = None) -> None:
        """Write a stanza that is already bytes; see `Stream`."""
        super().send_encoded(data, token, now=now)
        if self.ledger is not None:
            self.ledger.send(data, token)
            self._fresh = True

    def data_to_send(self) -> bytes:
        """What must be written now, with a request for acknowledgement behind what has been said."""
        if self._fresh and self._requested_at is None and self.state is State.OPEN:
            self._request_answer()
        return super().data_to_send()

    def mark_handled(self, number: int) -> None:
        """The stanza with this number needs no more care; raises the `h` that the peer is told."""
        ledger = self.ledger
        if ledger is None or not number:
            return
        ledger.handle(number)
        if self._answer_owed and ledger.handled >= self._answer_owed:
            self._answer()

    def _count(self) -> int:
        return self.ledger.receive() if self.ledger is not None else 0

    def _request_answer(self) -> None:
        self._out.append(f"<r xmlns='{SM}'/>".encode())
        self._requested_at = self._now
        self._ask_at = None
        self._fresh = False

    def _answer(self) -> None:
        assert self.ledger is not None
        if self.state is State.OPEN:
            self._out.append(f"<a xmlns='{SM}' h='{self.ledger.h}'/>".encode())
        self._answer_owed = 0

    def _on_request(self, _element: Element) -> None:
        if self.ledger is None:
            raise StreamRule("policy-violation", "stream management is not on")
        owed = self.ledger.received if self.ledger.received > self.ledger.handled else 0
        self._answer()
        self._answer_owed = owed  # say it again when what is under way is on disk

    def _on_answer(self, element: Element) -> None:
        if self.ledger is None:
            raise StreamRule("policy-violation", "stream management is not on")
        self._requested_at = None
        self._emit_acknowledged(self._acknowledge(element))
        if self.ledger.waiting and not self._fresh:
            self._ask_at = (
                self._now + _PATIENCE_S
            )  # the peer counts later than it answers: ask again, in a while

    def _acknowledge(self, element: Element) -> tuple[Any, ...]:
        """Take the peer's `h`; the tokens it answers for. Raises StreamRule."""
        assert self.ledger is not None
        h = element.get("h")
        if not (h.isascii() and h.isdigit() and len(h) <= 10):
            raise StreamRule("bad-format", "h")
        try:
            return self.ledger.acknowledge(int(h))
        except ValueError:  # XEP-0198 section 4
            raise StreamRule("undefined-condition", "you acknowledge more than was sent") from None

    def _emit_acknowledged(self, tokens: tuple[Any, ...]) -> None:
        if tokens:
            self._emit(Acknowledged(tokens))

    def _timers(self) -> list[float | None]:
        times = super()._timers()
        if self._requested_at is not None:
            times.append(self._requested_at + self._timing.answer_s)
        times.append(self._ask_at)
        return times

    def handle_timer(self, now: float) -> None:
        """Let time pass."""
        super().handle_timer(now)
        if (
            self.state is State.OPEN
            and self._requested_at is not None
            and now >= self._requested_at + self._timing.answer_s
        ):
            self.fail("connection-timeout", NO_ACKNOWLEDGEMENT)
        if self.state is State.OPEN and self._ask_at is not None and now >= self._ask_at:
            self._ask_at = None
            if self._requested_at is None and self.ledger is not None and self.ledger.waiting:
                self._request_answer()

    def _may_rest(self) -> bool:
        return not (self._asking or self._verifying or (self.ledger is not None and self.ledger.waiting))

    def _keep_alive(self) -> None:
        if self.ledger is not None and self._requested_at is None:
            self._request_answer()  # proves more than a space does
        else:
            super()._keep_alive()
        self._last_sent = self._now

    # -- dialback --------------------------------------------------------------------------------------

    def _policy_for(self, remote: str) -> Policy:
        """What holds for `remote` on this stream."""
        raise NotImplementedError

    def _is_ours(self, domain: str) -> bool:
        """Whether we speak for `domain`."""
        raise NotImplementedError

    def request_pair(self, local: str, remote: str) -> None:
        """Ask to send from `local` to `remote` on this stream (XEP-0220 section 2.1.1)."""
        if (local, remote) in self._asked or (local, remote) in self._outgoing:
            return
        self._asked.add((local, remote))
        key = dialback_key(self._secret, receiving=remote, originating=local, stream_id=self.stream_id)
        self._out.append(dialback_element("result", local, remote, key=key))

    def verify_key(self, local: str, remote: str, stream_id: str, key: str) -> None:
        """Ask the authoritative server of `remote` whether it made `key` (XEP-0220 section 2.1.2)."""
        self._verifying.add((local, remote, stream_id))
        self._out.append(dialback_element("verify", local, remote, stream_id=stream_id, key=key))

    def dialback_result(self, local: str, remote: str, valid: bool, condition: str = "") -> None:
        """What became of a `DialbackRequested`: valid, invalid, or (with a stanza error `condition`)
        unknown."""
        if self.state is State.CLOSED or (local, remote) not in self._asking:
            return
        self._asking.remove((local, remote))
        if condition:
            self._refuse_pair(local, remote, condition, "the key could not be verified")
        elif valid:
            self._accept_pair(local, remote, "dialback")
        else:
            self._emit(
                StrangerRefused(local, remote, "invalid", "its authoritative server did not make the key")
            )
            if self._incoming:  # XEP-0220 section 2.2.1: others on this stream are honest
                error = error_element("forbidden")
                self._out.append(dialback_element("result", local, remote, kind="error", error=error))
            else:
                self._out.append(dialback_element("result", local, remote, kind="invalid"))
                self.close()

    def _pair_of(self, element: Element) -> tuple[str, str]:
        """(our domain, theirs) of a dialback element from the peer. Raises StreamRule."""
        try:
            return domain_of(element.get("to")), domain_of(element.get("from"))
        except AddressError:
            raise StreamRule("improper-addressing", "dialback needs from and to") from None

    def _on_dialback_result(self, element: Element) -> None:
        local, remote = self._pair_of(element)
        kind = element.get("type")
        if not kind:
            self._on_pair_asked(local, remote, element.text.strip())
            return
        if (local, remote) not in self._asked:  # XEP-0220 section 3.1: unsolicited dialback
            raise StreamRule("invalid-from", "this pair was not asked for")
        self._asked.remove((local, remote))
        if kind == "valid":
            self._outgoing.add((local, remote))
            if self.bidirectional:
                self._incoming.setdefault((local, remote), "dialback")
            self._proven(Authenticated(local, remote, "dialback", outgoing=True, incoming=self.bidirectional))
        elif kind == "invalid":
            self._emit(PairRefused(local, remote, "invalid", "the peer holds our key to be forged"))
        else:
            condition, text, _ = condition_of(element.find("error"))
            self._emit(PairRefused(local, remote, condition, text))

    def _on_pair_asked(self, local: str, remote: str, key: str) -> None:
        """The peer wants to send from `remote` to `local` (XEP-0220 section 2.2.1)."""
        policy = self._policy_for(remote)
        pair = (local, remote)
        if not self._may_be_asked():
            raise StreamRule("unsupported-stanza-type", "dialback runs the other way on this stream")
        if not key or len(key) > _MAX_KEY:
            raise StreamRule("bad-format", "a dialback key")
        if not self._is_ours(local):
            self._refuse_pair(local, remote, "item-not-found", "no such domain here")
        elif not policy.known:
            self._refuse_pair(local, remote, "forbidden", "not a peer of ours")
        elif policy.tls == "required" and not self.secure:
            self._refuse_pair(local, remote, "policy-violation", "STARTTLS first")
        elif pair in self._incoming:
            self._out.append(dialback_element("result", local, remote, kind="valid"))
        elif policy.external and self._proves(remote):
            self._accept_pair(local, remote, "external")  # XEP-0344: the certificate has said it already
        elif not policy.dialback:
            self._refuse_pair(local, remote, "not-authorized", "a certificate for this domain is required")
        elif len(self._incoming) + len(self._asking) >= self.max_pairs:
            self._refuse_pair(local, remote, "resource-constraint", "too many domains on one stream")
        elif pair not in self._asking:
            if self._negotiate_until is not None and not self._patience_shown:
                # Once: from here on it is our question to its authoritative server that takes the time.
                self._patience_shown = True
                self._negotiate_until = self._now + self._timing.negotiation_s
            self._asking.add(pair)
            self._emit(DialbackRequested(local, remote, self.stream_id, key))

    def _not_yet(self) -> str:
        return "dialback is not finished" if self._asking else super()._not_yet()

    def _may_be_asked(self) -> bool:
        return self.bidirectional

    def _refuse_pair(self, local: str, remote: str, condition: str, text: str) -> None:
        error = error_element(condition, text)
        self._out.append(dialback_element("result", local, remote, kind="error", error=error))
        self._emit(StrangerRefused(local, remote, condition, text))

    def _accept_pair(self, local: str, remote: str, proof: str) -> None:
        self._incoming[local, remote] = proof
        if self.bidirectional:
            self._outgoing.add((local, remote))
        self._out.append(dialback_element("result", local, remote, kind="valid"))
        self._proven(Authenticated(local, remote, proof, outgoing=self.bidirectional, incoming=True))

    def _on_dialback_verify(self, element: Element) -> None:
        local, remote = self._pair_of(element)
        stream_id = element.get("id")
        kind = element.get("type")
        if kind:
            if (local, remote, stream_id) not in self._verifying:
                raise StreamRule("invalid-from", "this key was not asked about")
            self._verifying.remove((local, remote, stream_id))
            condition = condition_of(element.find("error"))[0] if kind == "error" else ""
            valid = {"valid": True, "invalid": False}.get(kind)
            self._emit(KeyVerified(local, remote, stream_id, valid, condition))
        elif not self._may_be_asked():
            raise StreamRule("unsupported-stanza-type", "dialback runs the other way on this stream")
        elif not self._is_ours(local):
            error = error_element("item-not-found")
            self._out.append(
                dialback_element("verify", local, remote, stream_id=stream_id, kind="error", error=error)
            )
        else:
            ours = key_is_ours(
                self._secret, element.text, receiving=remote, originating=local, stream_id=stream_id
            )
            kind = "valid" if ours else "invalid"
            self._out.append(dialback_element("verify", local, remote, stream_id=stream_id, kind=kind))

    def _proven(self, event: Authenticated) -> None:
        """A pair is proven: stanzas may flow."""
        if self.state is State.NEGOTIATING:
            self.state = State.OPEN
        self._negotiate_until = None
        self._last_stanza = self._now
        self._emit(event)


def _nobody(_domain: str) -> bool:
    return False
