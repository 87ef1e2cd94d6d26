"""The end that connects: from the first header to a stream on which our stanzas may flow.

    header ─► features ─► STARTTLS ─► header ─► features ─► <bidi/> ─┬─► EXTERNAL ─► header ─► features ─┐
                                                                     └─► dialback ──────────────────────┤
                                                                        open ◄── <resume/> or <enable/> ◄─┘

What to do next is decided in one place, `_proceed`, from what is known so far: the peer's features, whether
the channel is private, what its certificate proved, which ways are left. A way that fails is struck off and
the next is tried on the same stream, as XEP-0178 lets the peer allow.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from rialto.networks.xmpp.wire.element import Element, escape_attribute
from rialto.networks.xmpp.wire.events import (
    Authenticated,
    PairRefused,
    Ready,
    Resumed,
    ResumptionFailed,
    StreamManagementEnabled,
    StreamOpened,
)
from rialto.networks.xmpp.wire.ledger import Ledger
from rialto.networks.xmpp.wire.namespaces import (
    BIDI,
    BIDI_FEATURE,
    DIALBACK,
    DIALBACK_FEATURE,
    SASL,
    SM,
    STREAMS,
    TLS,
)
from rialto.networks.xmpp.wire.parser import Header, Limits, StreamRule
from rialto.networks.xmpp.wire.s2s import Policy, ServerStream
from rialto.networks.xmpp.wire.stream import State, Timing

_FEATURES: Final = f"{STREAMS}}}features"


class Initiating(ServerStream):
    """A stream that we open from `local` to `remote`.

    `methods` are the ways to prove ourselves, in order: `external` (only if we have a certificate to show)
    and
    `dialback`. `policy` is what the peer may use to prove itself, and whether TLS must be. `verify_only`
    makes a stream that proves nothing and asks for nothing but keys: `Ready` comes when it may. `resume` is
    the ledger of a stream that was lost. `secure` from the start means direct TLS (XEP-0368).
    """

    _NONZAS: ClassVar[dict[str, str]] = {
        **ServerStream._NONZAS,
        _FEATURES: "_on_features",
        f"{TLS}}}proceed": "_on_proceed",
        f"{TLS}}}failure": "_on_tls_failure",
        f"{SASL}}}success": "_on_success",
        f"{SASL}}}failure": "_on_failure",
        f"{SASL}}}challenge": "_on_challenge",
        f"{SM}}}enabled": "_on_enabled",
        f"{SM}}}resumed": "_on_resumed",
        f"{SM}}}failed": "_on_failed",
    }

    def __init__(
        self,
        local: str,
        remote: str,
        *,
        secret: bytes,
        make_id: Callable[[], str],
        now: float,
        methods: Sequence[str] = ("external", "dialback"),
        policy: Policy = Policy(),  # noqa: B008 - immutable
        limits: Limits = Limits(),  # noqa: B008
        timing: Timing = Timing(),  # noqa: B008
        secure: bool = False,
        bidirectional: bool = True,
        stream_management: bool = True,
        verify_only: bool = False,
        resume: Ledger | None = None,
    ) -> None:
        super().__init__(secret=secret, make_id=make_id, now=now, limits=limits, timing=timing, secure=secure)
        self.local = local
        self.remote = remote
        self.peer_proven = False
        """Whether the certificate that the peer showed is for its domain."""
        self._left = [] if verify_only else list(methods)
        self._policy = policy
        self._want_bidi = bidirectional and not verify_only
        self._want_sm = stream_management and not verify_only
        self._verify_only = verify_only
        self._resume = resume
        self._trying = ""
        self._proven_by = ""  # how we have proven ourselves
        self._first: Authenticated | None = None  # told when the stream is open
        self._features: Element | None = None
        self._dialback_declared = False
        if not secure:
            self._send_header(None)

    # -- headers ---------------------------------------------------------------------------------------

    def _send_header(self, header: Header | None) -> None:
        self._write_header({"from": self.local, "to": self.remote, "version": "1.0", "xml:lang": "en"})

    def tls_established(self, now: float, proves: Callable[[str], bool]) -> None:
        """The channel is private; say everything again (RFC 6120 section 5.4.3.3)."""
        self._now = now
        self.secure = True
        self._proves = proves
        self.peer_proven = self._policy.external and proves(self.remote)
        self._restart()
        if not (self.peer_proven or self._policy.dialback or self._verify_only):
            # Nothing has been sent on this stream yet; nothing needs to be.
            self._finish("peer-unproven", "its certificate does not prove the domain", by_peer=False)
            return
        self._send_header(None)

    def _on_header(self, header: Header) -> None:
        version = self._check_header(header)
        self.stream_id = header.attributes.get("id", "")
        self.state = State.NEGOTIATING
        self._dialback_declared = DIALBACK in header.prefixes.values()
        self._emit(StreamOpened(self.local, header.attributes.get("from", ""), self.stream_id))
        if not version:  # before RFC 3920 there were no features: only dialback is left
            self._features = Element(_FEATURES)
            self._proceed()

    # -- what next -------------------------------------------------------------------------------------

    def _on_features(self, element: Element) -> None:
        self._features = element
        self._proceed()

    def _offers(self, name: str) -> Element | None:
        return self._features.find(name) if self._features is not None else None

    def _proceed(self) -> None:
        if not self.stream_id:  # not earlier: a stream that only brings an error may do without
            raise StreamRule("bad-format", "a stream without id")  # RFC 6120 section 4.7.3
        if not self.secure and self._policy.tls != "off" and self._offers(f"{TLS}}}starttls") is not None:
            self._out.append(f"<starttls xmlns='{TLS}'/>".encode())
        elif not self.secure and self._policy.tls == "required":
            self._give_up("no-tls", "the peer does not offer TLS")
        elif self._verify_only:
            self._negotiate_until = None
            self.state = State.OPEN
            self._emit(Ready())
        elif self._proven_by:
            self._count_or_open()
        else:
            self._authenticate()

    def _authenticate(self) -> None:
        if self._want_bidi and self._offers(f"{BIDI_FEATURE}}}bidi") is not None and not self.bidirectional:
            self._out.append(f"<bidi xmlns='{BIDI}'/>".encode())  # XEP-0288: before SASL or dialback
            self.bidirectional = True
        while self._left:
            method = self._left.pop(0)
            if method == "external" and self._external_offered():
                self._trying = method
                who = base64.b64encode(self.local.encode()).decode()  # XEP-0178 section 3
                self._out.append(f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>{who}</auth>".encode())
                return
            if method == "dialback" and self._peer_has_dialback():
                self._trying = method
                self.request_pair(self.local, self.remote)
                return
        self._give_up("no-authentication", "no way to prove who we are is left")

    def _external_offered(self) -> bool:
        mechanisms = self._offers(f"{SASL}}}mechanisms")
        return mechanisms is not None and any(
            mechanism.text.strip() == "EXTERNAL" for mechanism in mechanisms.find_all(f"{SASL}}}mechanism")
        )

    def _peer_has_dialback(self) -> bool:
        # Older servers only declare the namespace (XEP-0220 section 2.4.1).
        return self._dialback_declared or self._offers(f"{DIALBACK_FEATURE}}}dialback") is not None

    def _dialback_offered(self) -> bool:
        return self._policy.dialback or self._verify_only

    def _give_up(self, condition: str, text: str) -> None:
        self._out.append(b"</stream:stream>")
        self._finish(condition, text, by_peer=False)

    # -- TLS and SASL ----------------------------------------------------------------------------------

    def _on_proceed(self, _element: Element) -> None:
        if self.secure or self.state is not State.NEGOTIATING:
            raise StreamRule("policy-violation", "proceed")
        self._start_tls(self.remote)

    def _on_tls_failure(self, _element: Element) -> None:
        self._finish("no-tls", "the peer refused to start TLS", by_peer=True)  # RFC 6120 section 5.4.2.2

    def _on_success(self, _element: Element) -> None:
        if self._trying != "external" or self._proven_by:
            raise StreamRule("not-authorized", "nothing was asked")
        self._proven_by = "external"
        if self.bidirectional:
            # QUIRK(Prosody 0.12): it speaks as soon as it has said so, before its new header and features.
            self._incoming[self.local, self.remote] = self.peers_proof()
            self._restart_behind_stanzas()
        else:
            self._restart()
        self._send_header(None)

    def peers_proof(self) -> str:
        """How the peer, whom we have called, is proven to be who we wanted."""
        return "external" if self.peer_proven else "dialback"

    def _on_failure(self, element: Element) -> None:
        if self._trying != "external" or self._proven_by:
            raise StreamRule("not-authorized", "nothing was asked")
        condition = element.elements[0].local_name if element.elements else "not-authorized"
        self._emit(PairRefused(self.local, self.remote, condition, "SASL EXTERNAL"))
        self._authenticate()

    def _on_challenge(self, _element: Element) -> None:
        self._out.append(f"<response xmlns='{SASL}'>=</response>".encode())

    # -- stream management -----------------------------------------------------------------------------

    def _proven(self, event: Authenticated) -> None:
        """Dialback has proven a pair; the first is what the stream is for, and then we agree on counting."""
        if self._proven_by or self.state is not State.NEGOTIATING:
            super()._proven(event)
        else:
            self._proven_by = "dialback"
            self._first = event
            self._count_or_open()

    def _count_or_open(self) -> None:
        if self._want_sm and self._offers(f"{SM}}}sm") is not None:
            if self._resume is not None and self._resume.id:
                previous = escape_attribute(self._resume.id)
                self._out.append(f"<resume xmlns='{SM}' h='{self._resume.h}' previd='{previous}'/>".encode())
            else:
                self._enable()
        else:
            self._forget_resumption()
            self._open()

    def _enable(self) -> None:
        self._forget_resumption()
        self._out.append(f"<enable xmlns='{SM}' resume='true'/>".encode())

    def _forget_resumption(self) -> None:
        if self._resume is not None:
            self._emit(ResumptionFailed(self._resume.abandon()))
            self._resume = None

    def _open(self) -> None:
        event, self._first = self._first, None
        if event is None:  # proven by SASL, for the pair of the stream header
            pair = (self.local, self.remote)
            self._outgoing.add(pair)
            if self.bidirectional:
                self._incoming[pair] = self.peers_proof()
            event = Authenticated(*pair, "external", outgoing=True, incoming=self.bidirectional)
        super()._proven(event)

    def _on_enabled(self, element: Element) -> None:
        if not self._proven_by or self.ledger is not None or self.state is State.OPEN:
            raise StreamRule("policy-violation", "enabled")
        self.ledger = ledger = Ledger()
        if element.get("resume") in {"true", "1"}:
            ledger.id = element.get("id")[:4000]
            ledger.location = element.get("location")[:300]
            seconds = element.get("max")
            ledger.max_s = float(seconds) if seconds.isascii() and seconds.isdigit() else 300.0
        self._open()
        self._emit(StreamManagementEnabled(bool(ledger.id)))

    def _on_resumed(self, element: Element) -> None:
        ledger, self._resume = self._resume, None
        if ledger is None or not self._proven_by or element.get("previd") != ledger.id:
            raise StreamRule("policy-violation", "resumed")
        self.ledger = ledger
        ledger.rewind()
        tokens = self._acknowledge(element)
        self._open()
        for data, _ in ledger.unacknowledged():
            self._out.append(data)
            self._fresh = True
        self._emit(Resumed())
        self._emit_acknowledged(tokens)

    def _on_failed(self, element: Element) -> None:
        """Neither resumed nor enabled; a stream can do without (XEP-0198 section 5)."""
        if not self._proven_by or self.state is State.OPEN:
            raise StreamRule("policy-violation", "failed")
        if self._resume is None:
            self._open()
            return
        ledger = self._resume
        if element.get("h"):  # XEP-0198 section 5: it may remember how far it had come all the same
            self.ledger = ledger
            tokens = self._acknowledge(element)
            self.ledger = None
            self._emit_acknowledged(tokens)
        self._enable()

    # -- dialback's questions --------------------------------------------------------------------------

    def _policy_for(self, remote: str) -> Policy:
        # On a bidirectional stream the peer may only bring more names of the one it is to us.
        return self._policy if remote == self.remote else self._policy._replace(known=False)

    def _is_ours(self, domain: str) -> bool:
        return domain == self.local or any(domain == local for local, _ in self._outgoing)
