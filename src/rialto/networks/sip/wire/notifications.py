"""The notifier's side of one subscription (RFC 6665 section 4.2), sans-I/O.

             SUBSCRIBE           tell()                   end(), Expires: 0, time is up
    (new) ────────────► pending ────────► active ─────────────────────────► terminated ──► gone
                          └────────────────┴─── a NOTIFY that is refused ──────────────────►

Every SUBSCRIBE is followed by a NOTIFY at once (section 4.2.1.2); everything else waits its turn: one NOTIFY
at a time, documents not more often than every `every_s` (RFC 3856 section 6.10), and what waits is not a
document but the wish to send the latest one, so nothing is queued and the last state is always sent. Who owns
the machine composes the document when it is due.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from rialto.networks.sip.wire.dialogs import Dialog
from rialto.networks.sip.wire.eventing import PRESENCE, SubscriptionState, Substate
from rialto.networks.sip.wire.message import Request
from rialto.wire.pidf_diff import Writer

EVERY_S: Final = 5.0  # RFC 3856 section 6.10
AGAIN_AFTER_S: Final = 30.0
VERSIONS_SKIPPED: Final = 1_000
MAX_FAILURES: Final = 2
"""One NOTIFY that is lost must not cost the watcher the subscription (OpenSIPS#380); the second one does."""

DEADLY: Final = frozenset({404, 405, 410, 416, *range(480, 486), 489, 501, 604})
"""RFC 6665 section 4.2.2: a NOTIFY answered so ends the subscription."""

Compose = Callable[["Notifier", bool], tuple[bytes, tuple[tuple[str, str], ...]]]
"""(machine, whether the watcher ends it) -> body and its headers, both empty for nothing to show."""


class KeptNotifier(msgspec.Struct, array_like=True):
    """What outlives a restart."""

    dialog: Dialog
    state: str
    expires_at: float
    event_id: str
    shown: tuple[str, ...] = ()
    version: int = 0
    """Of the last partial document; 0 where the watcher gets whole ones."""
    numbers: bool = False


class RestingNotifier(msgspec.Struct, array_like=True):
    """Beside its dialog, all of a machine that waits for nothing but news. Times are whole seconds."""

    active: bool
    expires_at: int
    last_at: int
    event_id: str
    shown: tuple[str, ...]
    has_sent: bool
    numbers: bool = False


class Notifier:
    """See the module.

    `contact` is ours, for the dialog; `package` is what Event says; `look`: it is a single look, and its one
    NOTIFY shows what is known; `shown` are the instances shown as open last, `sent` is whatever the composer
    wants to remember; `partial` is there where the watcher gets partial documents (RFC 5263), `numbers` is
    True where it gets the kind of document that has numbers in it.
    """

    __slots__ = (
        "_due_at",
        "_ending_by_watcher",
        "_every_s",
        "_failures",
        "_last_at",
        "_reason",
        "_under_way",
        "_urgent",
        "changed",
        "contact",
        "dialog",
        "event_id",
        "expires_at",
        "gone",
        "look",
        "numbers",
        "package",
        "partial",
        "sent",
        "shown",
        "state",
    )

    def __init__(
        self,
        dialog: Dialog,
        *,
        contact: str,
        event_id: str = "",
        every_s: float = EVERY_S,
        look: bool = False,
        package: str = PRESENCE,
    ) -> None:
        self.dialog = dialog
        self.package = package
        self.event_id = event_id
        self.look = look
        self.sent: object = None
        self.partial: Writer | None = None
        self.numbers = False
        self.contact = contact
        self._every_s = every_s
        self.state = Substate.PENDING
        self.expires_at = 0.0
        self.gone = False
        """It is over: nothing more comes from it, and nothing is expected."""
        self.changed = False
        self.shown: tuple[str, ...] = ()
        self._reason = ""
        self._ending_by_watcher = False
        self._urgent = False
        self._due_at = 0.0
        self._last_at = 0.0
        self._under_way = False
        self._failures = 0

    # -- what comes ------------------------------------------------------------------------------------

    def subscribed(self, expires_s: int, now: float) -> None:
        """A SUBSCRIBE was answered with 200 and this duration: 0 ends it (RFC 8048 section 5.3.3)."""
        self.changed = True
        self._urgent = True
        self._failures = 0
        if self.partial is not None:
            self.partial.lost()  # RFC 5263 section 4.4: the whole after each SUBSCRIBE
        if expires_s:
            self.expires_at = now + expires_s
        else:
            self._finish("timeout")
            self._ending_by_watcher = True

    def tell(self, state: Substate, now: float) -> None:
        """There is news, for `compose` to find; pending and active follow the authorization."""
        if self.state is Substate.TERMINATED:
            return
        if state is not self.state:
            self.state = state
            self.changed = True
            self._urgent = True  # a decision, not a document
        elif not self._due_at:
            self._due_at = max(now, self._last_at + self._every_s)

    def end(self, reason: str) -> None:
        """End it from our side (RFC 6665 section 4.1.3)."""
        if self.state is not Substate.TERMINATED:
            self._finish(reason)

    def receive_response(self, status: int, now: float, retry_after_s: float | None = None) -> None:
        """The final response to the NOTIFY under way."""
        self._under_way = False
        if status < 300:
            self._failures = 0
        elif self.partial is not None:
            self.partial.lost()
        if status in DEADLY or (self.state is Substate.TERMINATED and not self._urgent):
            self.gone = True
        elif status >= 300:
            self._again(now, retry_after_s)

    def request_failed(self, now: float) -> None:
        """No response came, or the NOTIFY could not be sent."""
        self._under_way = False
        if self.partial is not None:
            self.partial.lost()
        if self.state is Substate.TERMINATED and not self._urgent:
            self.gone = True
        else:
            self._again(now, None)

    # -- what is to be done ----------------------------------------------------------------------------

    def next_request(self, now: float, compose: Compose) -> Request | None:
        """A NOTIFY to send now, without Via; None if there is none to be sent yet."""
        if self.gone or self._under_way or not (self._urgent or (self._due_at and self._due_at <= now)):
            return None
        self._urgent = False
        self._due_at = 0.0
        self._under_way = True
        body, headers = compose(self, self._ending_by_watcher)
        if body:
            self._last_at = now
        if self.state is Substate.TERMINATED:
            says = SubscriptionState(self.state, None, self._reason)
        else:
            says = SubscriptionState(self.state, max(0, round(self.expires_at - now)))
        event = f"{self.package};id={self.event_id}" if self.event_id else self.package
        return self.dialog.request(
            "NOTIFY",
            now,
            (("Contact", self.contact), ("Event", event), ("Subscription-State", str(says)), *headers),
            body,
        )

    def next_timer(self) -> float | None:
        """When `handle_timer` and `next_request` must be called at the latest."""
        if self.gone:
            return None
        ends_at = 0.0 if self.state is Substate.TERMINATED else self.expires_at
        due_at = 0.0 if self._under_way else self._due_at
        return min((at for at in (due_at, ends_at) if at), default=None)

    def handle_timer(self, now: float) -> None:
        """Let time pass; `next_request` gives what has become due."""
        if self.state is not Substate.TERMINATED and self.expires_at <= now:
            self._finish("timeout")  # section 4.2.1.4

    # -- what outlives a restart -----------------------------------------------------------------------

    def kept(self) -> KeptNotifier | None:
        """What to write down; None where it has ended."""
        if self.gone or self.state is Substate.TERMINATED:
            return None
        version = 0 if self.partial is None else self.partial.version
        return KeptNotifier(
            self.dialog,
            self.state.value,
            self.expires_at,
            self.event_id,
            self.shown,
            version,
            self.numbers,
        )

    def resume(self, kept: KeptNotifier) -> None:
        """Take up what was written down."""
        self.state = Substate(kept.state)
        self.expires_at = kept.expires_at
        self.shown, self.numbers = kept.shown, kept.numbers
        if kept.version:
            # The last few may not have been written down; a version must never come twice.
            self.partial = Writer(kept.version + VERSIONS_SKIPPED)

    # -- what may rest ---------------------------------------------------------------------------------

    def rest(self) -> RestingNotifier | None:
        """All there is to remember beside `dialog` and `contact`; None while something is going on."""
        busy = self._under_way or self._urgent or self._due_at or self._failures or self.changed or self.gone
        if busy or self.look or self.partial is not None or self.state is Substate.TERMINATED:
            return None
        return RestingNotifier(
            self.state is Substate.ACTIVE,
            int(self.expires_at),
            int(self._last_at),
            self.event_id,
            self.shown,
            self.sent is not None,
            self.numbers,
        )

    def wake(self, resting: RestingNotifier) -> None:
        """The inverse of `rest`, for a machine that is new; `sent` is True where something was."""
        self.state = Substate.ACTIVE if resting.active else Substate.PENDING
        self.expires_at, self._last_at = float(resting.expires_at), float(resting.last_at)
        self.shown, self.numbers = resting.shown, resting.numbers
        self.sent = True if resting.has_sent else None

    def _finish(self, reason: str) -> None:
        self.state = Substate.TERMINATED
        self._reason = reason
        self._urgent = True
        self._due_at = 0.0
        self.changed = True

    def _again(self, now: float, retry_after_s: float | None) -> None:
        self._failures += 1
        if self._failures >= MAX_FAILURES:
            self.gone = True
        elif not self._urgent:
            self._due_at = now + (AGAIN_AFTER_S if retry_after_s is None else max(1.0, retry_after_s))
