"""The end that is connected to: who comes, what is offered to them, and what they prove.

What a stream may offer depends on what is known: before TLS only TLS where the policy asks for it; EXTERNAL
only when the certificate has been judged good for the domain that the header claims (XEP-0178, RFC 6120
section 13.7); dialback, bidirectional streams and stream management besides.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import ClassVar, Final

from rialto.model.errors import AddressError
from rialto.networks.xmpp.wire.element import Element, escape_attribute
from rialto.networks.xmpp.wire.events import (
    Authenticated,
    Resumed,
    StrangerRefused,
    StreamManagementEnabled,
    StreamOpened,
)
from rialto.networks.xmpp.wire.jid import domain_of
from rialto.networks.xmpp.wire.ledger import Ledger
from rialto.networks.xmpp.wire.namespaces import (
    BIDI,
    BIDI_FEATURE,
    DIALBACK_FEATURE,
    SASL,
    SM,
    STANZA_ERRORS,
    TLS,
)
from rialto.networks.xmpp.wire.parser import Header, Limits, StreamRule
from rialto.networks.xmpp.wire.s2s import Policy, ServerStream
from rialto.networks.xmpp.wire.stream import State, Timing

_MAX_ATTEMPTS: Final = 3  # RFC 6120 section 6.3.4: between 2 and 5


class Receiving(ServerStream):
    """A stream that somebody opened to us.

    `is_ours(domain)` says whether we speak for a domain, `policy_for(remote)` what holds for a peer; both are
    asked with canonical domains. `offer_tls` is False where we have no certificate. `find_ledger(id)` gives
    the ledger of a lost stream, or None. `resumption_s` is how long we promise to keep one (0: no
    resumption).
    """

    _NONZAS: ClassVar[dict[str, str]] = {
        **ServerStream._NONZAS,
        f"{TLS}}}starttls": "_on_starttls",
        f"{SASL}}}auth": "_on_auth",
        f"{SASL}}}response": "_on_response",
        f"{SASL}}}abort": "_on_abort",
        f"{BIDI}}}bidi": "_on_bidi",
        f"{SM}}}enable": "_on_enable",
        f"{SM}}}resume": "_on_resume",
    }

    def __init__(
        self,
        *,
        is_ours: Callable[[str], bool],
        policy_for: Callable[[str], Policy],
        secret: bytes,
        make_id: Callable[[], str],
        now: float,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        timing: Timing = Timing(),  # noqa: B008
        secure: bool = False,
        offer_tls: bool = True,
        resumption_s: float = 300.0,
        find_ledger: Callable[[str], Ledger | None] = lambda _id: None,
    ) -> None:
        super().__init__(secret=secret, make_id=make_id, now=now, limits=limits, timing=timing, secure=secure)
        self.local = ""
        self.remote = ""
        """What the peer calls itself in its header: a claim."""
        self._is_local = is_ours
        self._policy_of = policy_for
        self._offer_tls = offer_tls
        self._offer_bidi = True
        self._offer_sm = True
        self._resumption_s = resumption_s
        self._find_ledger = find_ledger
        self._attempts = 0
        self._awaiting_response = False
        self._authenticated = False  # by SASL

    # -- headers and features --------------------------------------------------------------------------

    def _send_header(self, header: Header | None) -> None:
        self.stream_id = self._make_id()
        modern = header is None or bool(header.attributes.get("version"))
        self._write_header(
            {
                "from": self.local,
                "to": self.remote,
                "id": self.stream_id,
                "version": "1.0" if modern else "",
                "xml:lang": "en",
            }
        )

    def tls_established(self, now: float, proves: Callable[[str], bool]) -> None:
        """The channel is private; the peer begins again (RFC 6120 section 5.4.3.3)."""
        self._now = now
        self.secure = True
        self._proves = proves
        self._restart()

    def _on_header(self, header: Header) -> None:
        version = self._check_header(header)
        attributes = header.attributes
        remote = self._claimed(attributes.get("from", ""))
        if self._authenticated and remote != self.remote:
            raise StreamRule("invalid-from", "you have proven to be somebody else")
        self.remote = remote
        if not attributes.get("to"):
            raise StreamRule("improper-addressing", "to whom?")
        try:
            local = domain_of(attributes["to"])
        except AddressError:
            raise StreamRule("host-unknown", "not a domain") from None
        if not self._is_local(local):
            raise StreamRule("host-unknown", f"{local} is not served here")  # RFC 6120 section 4.9.3.6
        self.local = local
        policy = self._policy_of(remote)
        self._offer_bidi, self._offer_sm = policy.bidirectional, policy.stream_management
        if not version and policy.tls == "required" and not self.secure:
            raise StreamRule("unsupported-version", "TLS is required, so 1.0 is")
        self.state = State.NEGOTIATING
        if self._authenticated:
            self.state = State.OPEN
            self._negotiate_until = None
        self._send_header(header)
        self._emit(StreamOpened(local, remote, self.stream_id))
        if version:
            self._out.append(self._features(policy))

    def _dialback_offered(self) -> bool:
        policy = self._policy_of(self.remote)
        return policy.dialback or not policy.known  # strangers may have to verify our own keys

    def _claimed(self, text: str) -> str:
        if not text:
            return ""  # allowed before TLS (RFC 6120 section 4.7.1), and to those who only verify keys
        try:
            return domain_of(text)
        except AddressError:
            raise StreamRule("invalid-from", "not a domain") from None

    def _external_possible(self, policy: Policy) -> bool:
        return (
            self.secure
            and policy.known
            and policy.external
            and bool(self.remote)
            and not self._authenticated
            and self._proves(self.remote)
        )

    def _features(self, policy: Policy) -> bytes:
        parts = ["<stream:features>"]
        must_secure = policy.tls == "required" and not self.secure
        if not self.secure and self._offer_tls and policy.tls != "off":
            parts.append(f"<starttls xmlns='{TLS}'>{'<required/>' if must_secure else ''}</starttls>")
        if not must_secure:
            if self._external_possible(policy):
                parts.append(f"<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>")
            if self._offer_bidi and not self.bidirectional and not self._authenticated:
                parts.append(f"<bidi xmlns='{BIDI_FEATURE}'/>")
            if self._dialback_offered():
                parts.append(f"<dialback xmlns='{DIALBACK_FEATURE}'><errors/></dialback>")
            if self._offer_sm and self.ledger is None:
                parts.append(f"<sm xmlns='{SM}'/>")
        parts.append("</stream:features>")
        return "".join(parts).encode()

    # -- TLS and SASL ----------------------------------------------------------------------------------

    def _on_starttls(self, _element: Element) -> None:
        if self.secure or self._incoming or not self._offer_tls:
            self._out.append(f"<failure xmlns='{TLS}'/>".encode())  # RFC 6120 section 5.4.2.2
            self.close()
            return
        self._out.append(f"<proceed xmlns='{TLS}'/>".encode())
        self._start_tls(self.local)

    def _on_auth(self, element: Element) -> None:
        if self._authenticated:
            raise StreamRule("not-authorized", "once is enough")
        if not self.secure:
            self._sasl_failure("encryption-required")
        elif element.get("mechanism") != "EXTERNAL":
            self._sasl_failure("invalid-mechanism")
        elif not element.text.strip():
            self._awaiting_response = True
            self._out.append(f"<challenge xmlns='{SASL}'/>".encode())  # RFC 4422 section 5.1
        else:
            self._judge(element.text)

    def _on_response(self, element: Element) -> None:
        if not self._awaiting_response:
            raise StreamRule("not-authorized", "a response to nothing")
        self._awaiting_response = False
        self._judge(element.text)

    def _on_abort(self, _element: Element) -> None:
        self._awaiting_response = False
        self._sasl_failure("aborted")

    def _judge(self, text: str) -> None:
        """SASL EXTERNAL's question: may the bearer of this certificate act as this domain? XEP-0178 section
        3."""
        text = text.strip()
        who = self.remote
        if text not in {"", "="}:
            try:
                who = domain_of(base64.b64decode(text, validate=True).decode())
            except (binascii.Error, UnicodeDecodeError):
                self._sasl_failure("incorrect-encoding")
                return
            except AddressError:
                self._sasl_failure("invalid-authzid")
                return
        if who != self.remote or not who:
            self._sasl_failure("invalid-authzid")
        elif not self._external_possible(self._policy_of(who)):
            self._sasl_failure("not-authorized")
        else:
            self._out.append(f"<success xmlns='{SASL}'/>".encode())
            self._authenticated = True
            pair = (self.local, self.remote)
            self._incoming[pair] = "external"
            if self.bidirectional:
                self._outgoing.add(pair)
            self._restart()
            self._last_stanza = self._now
            self._emit(Authenticated(*pair, "external", outgoing=self.bidirectional, incoming=True))

    def _sasl_failure(self, condition: str) -> None:
        self._attempts += 1
        self._out.append(f"<failure xmlns='{SASL}'><{condition}/></failure>".encode())
        self._emit(StrangerRefused(self.local, self.remote, condition, "SASL EXTERNAL"))
        if self._attempts >= _MAX_ATTEMPTS:
            raise StreamRule("policy-violation", "too many attempts")

    # -- bidirectional streams, stream management ------------------------------------------------------

    def _on_bidi(self, _element: Element) -> None:
        if not self._offer_bidi or self._incoming:
            raise StreamRule("policy-violation", "too late for bidi")  # XEP-0288: before authentication
        self.bidirectional = True

    def _on_enable(self, element: Element) -> None:
        if not self._incoming or self.ledger is not None or not self._offer_sm:
            self._out.append(_failed("unexpected-request"))
            return
        self.ledger = ledger = Ledger()
        attributes = ""
        if element.get("resume") in {"true", "1"} and self._resumption_s > 0:
            ledger.id = self._make_id()
            ledger.max_s = self._resumption_s
            ledger.pairs = frozenset(self._incoming)
            attributes = f" id='{escape_attribute(ledger.id)}' resume='true' max='{int(ledger.max_s)}'"
        self._out.append(f"<enabled xmlns='{SM}'{attributes}/>".encode())
        self._emit(StreamManagementEnabled(bool(ledger.id)))

    def _on_resume(self, element: Element) -> None:
        if not self._incoming or self.ledger is not None or not self._offer_sm:
            self._out.append(_failed("unexpected-request"))
            return
        ledger = self._find_ledger(element.get("previd"))
        if ledger is None or not ledger.pairs & frozenset(self._incoming):
            self._out.append(_failed("item-not-found"))  # also to those who try another's id
            return
        self.ledger = ledger
        ledger.rewind()
        tokens = self._acknowledge(element)
        ledger.go_on()
        previous = escape_attribute(element.get("previd"))
        self._out.append(f"<resumed xmlns='{SM}' h='{ledger.h}' previd='{previous}'/>".encode())
        for data, _ in ledger.unacknowledged():
            self._out.append(data)
            self._fresh = True
        self._emit(Resumed())
        self._emit_acknowledged(tokens)

    # -- dialback's questions --------------------------------------------------------------------------

    def _policy_for(self, remote: str) -> Policy:
        return self._policy_of(remote)

    def _is_ours(self, domain: str) -> bool:
        return self._is_local(domain)

    def _may_be_asked(self) -> bool:
        return True


def _failed(condition: str) -> bytes:
    return f"<failed xmlns='{SM}'><{condition} xmlns='{STANZA_ERRORS}'/></failed>".encode()
