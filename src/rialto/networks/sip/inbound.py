"""The answer to an inbound MESSAGE, while it is not yet given: the network's `Inbound`.

Three ways, as the peer's settings say (AMB-5). `honest`: 200 promises that the far side has taken it, so it
waits for that for `answer_wait_s` and then says 202, which promises nothing (RFC 3428 section 7); a failure
within the wait is said at once. `200` and `202`: that, as soon as the message is on disk, for peers who can't
wait or don't know the other.
"""

from __future__ import annotations

import re
from typing import Protocol

from rialto.core.network import Outcome
from rialto.model.errors import DeliveryError
from rialto.networks.sip.conditions import phrase, status_for
from rialto.networks.sip.settings import PeerSettings
from rialto.networks.sip.wire.lanes import Timer
from rialto.networks.sip.wire.transaction import ServerTransaction

_URI = re.compile(r"[!#-;=?-~]{1,1000}", re.ASCII)
"""What may stand between the angle brackets of a Contact."""

RATHER_LATER_S = 10.0
"""Retry-After where an error does not say."""


class Responder(Protocol):
    """Who sends the answer."""

    def answer(
        self,
        transaction: ServerTransaction,
        status: int,
        text: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Give the final response, now."""


class Answer:
    """One unanswered MESSAGE."""

    __slots__ = ("_done", "_mode", "_overdue", "_responder", "_stored", "_transaction", "timer")

    def __init__(self, responder: Responder, transaction: ServerTransaction, settings: PeerSettings) -> None:
        self._responder = responder
        self._transaction = transaction
        self._mode = settings.answer
        self._stored = False
        self._overdue = settings.answer_wait_s <= 0
        self._done = False
        self.timer: Timer[Answer] | None = None

    @property
    def waiting(self) -> bool:
        """See `Inbound`."""
        return not self._done

    def stored(self) -> None:
        """See `Inbound`."""
        self._stored = True
        if self._mode == "200":
            self._say(200)
        elif self._mode == "202" or self._overdue:
            self._say(202)

    def refused(self, error: DeliveryError) -> None:
        """See `Inbound`."""
        self.fail(error)

    def settled(self, outcome: Outcome, error: DeliveryError | None) -> bool:
        """See `Inbound`."""
        if self._done:
            return False
        if error is not None:
            self.fail(error)
        else:
            self._say(200 if outcome is Outcome.DELIVERED else 202)
        return True

    def overdue(self) -> None:
        """The wait is over: the far side is taking its time."""
        self._overdue = True
        if self._stored and not self._done:
            self._say(202)

    def abandoned(self) -> None:
        """Nobody waits any more: the client's own time is up, or its transaction broke."""
        self._finish()

    def fail(self, error: DeliveryError) -> None:
        """Say no."""
        if not self._done:
            status, text, headers = refusal(error)
            self._say(status, text, headers)

    def _say(self, status: int, text: str | None = None, headers: tuple[tuple[str, str], ...] = ()) -> None:
        if self._done:
            return
        self._finish()
        self._responder.answer(self._transaction, status, text, headers)

    def _finish(self) -> None:
        self._done = True
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def refusal(error: DeliveryError) -> tuple[int, str | None, tuple[tuple[str, str], ...]]:
    """Status, phrase and headers that tell a SIP sender of an error."""
    status = status_for(error)
    headers: list[tuple[str, str]] = []
    if error.retry_after_s is not None or status == 503:
        headers.append(("Retry-After", str(max(1, round(error.retry_after_s or RATHER_LATER_S)))))
    if error.redirect and not _URI.fullmatch(error.redirect):
        status = 410 if status == 301 else 480 if status == 302 else status
    elif error.redirect and status in (301, 302):
        headers.append(("Contact", f"<{_sip(error.redirect)}>"))
    headers.append(("Rialto-Reason", error.reason.value))
    return status, phrase(error.text), tuple(headers)


def _sip(address: str) -> str:
    """A new address as a SIP URI: an `xmpp:` one is reached through here (CHECKLIST ERR-9)."""
    scheme, colon, rest = address.partition(":")
    if not colon or "@" in scheme:
        return f"sip:{address}"
    return f"sip:{rest}" if scheme == "xmpp" else address
