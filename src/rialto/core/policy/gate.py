"""Where the hub asks for leave: who need not ask, which service it is, and when to look again.

Switched off it is `None` in one attribute. The gateway itself (its own domain, and what its operator sends)
never asks: an agreement is probed before it is active.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from rialto.core.agenda import CallLater, Timer
from rialto.core.network import Origin
from rialto.core.policy.book import Book
from rialto.core.policy.decision import Decision
from rialto.core.policy.leave import Leave
from rialto.core.policy.settings import PolicySettings
from rialto.core.policy.sheet import Sheet
from rialto.model.address import Address
from rialto.model.agreement import Traffic
from rialto.model.errors import DeliveryError
from rialto.model.message import Message

LOOK_AGAIN_S = 3600.0
"""Timers are this long at most: the calendar may be set meanwhile."""

_log = structlog.get_logger(__name__)


class Gate:
    """`hub.gate`; everything on the event loop's thread."""

    def __init__(
        self,
        settings: PolicySettings,
        *,
        own_domain: str,
        clock: Callable[[], float],
        count: Callable[..., None],
    ) -> None:
        self.settings = settings
        self.leave: Leave | None = None
        """None: whoever is configured may talk."""
        self._own = own_domain
        self._clock = clock
        self._count = count
        self._book = Book(Sheet())
        self._changed: list[Callable[[], None]] = []
        self._call_later: CallLater | None = None
        self._timer: Timer | None = None
        self.configure(settings)

    # -- life ------------------------------------------------------------------------------------------

    def configure(self, settings: PolicySettings) -> None:
        """Take over what is set."""
        self.settings = settings
        if settings.agreements == "off":
            self.leave = None
        elif self.leave is None:
            self.leave = Leave(settings, self._book, self._count)
        else:
            self.leave.settings = settings
            self.leave.use(self._book)
        self._look()

    def use(self, book: Book) -> None:
        """Decide by this book from now on."""
        self._book = book
        if self.leave is not None:
            self.leave.use(book)
        self._look()

    @property
    def epoch(self) -> int:
        """Of what is known."""
        return self._book.epoch

    def on_change(self, call: Callable[[], None]) -> None:
        """Call this whenever somebody may have lost or regained leave: when something was written down, and
        at every instant at which something that was written down begins or ends."""
        self._changed.append(call)

    def start(self, call_later: CallLater) -> None:
        """Look at the clock from now on."""
        self._call_later = call_later
        self._look()

    def stop(self) -> None:
        """Look no more."""
        self._call_later = None
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if self._call_later is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for call in self._changed:
            try:
                call()
            except Exception:
                _log.exception("a change of agreements was not carried out")
        if self.leave is None:
            return
        now = self._clock()
        at_ns = self._book.next_change(int(now * 1e9))
        wait_s = LOOK_AGAIN_S if at_ns is None else min(max(0.0, at_ns / 1e9 - now) + 0.001, LOOK_AGAIN_S)
        self._timer = self._call_later(wait_s, self._look)

    # -- asking ----------------------------------------------------------------------------------------

    def take(self, message: Message, origin: Origin) -> Decision | None:
        """Leave for one message; None where none is needed. Raises DeliveryError."""
        service = Traffic.FILE if message.files else Traffic.MESSAGE
        return self.ask(message.sender, message.recipient, service, origin)

    def ask(
        self, sender: Address, recipient: Address, service: Traffic, origin: Origin | None
    ) -> Decision | None:
        """Leave for one use of a service, which counts; None where none is needed. Raises DeliveryError."""
        leave = self.leave
        if leave is None or self._exempt(sender, recipient, origin):
            return None
        return leave.ask(sender, recipient, service, self._clock())

    def refusal(
        self, sender: Address, recipient: Address, service: Traffic, origin: Origin | None = None
    ) -> DeliveryError | None:
        """What `ask` would say now; nothing is counted."""
        leave = self.leave
        if leave is None or self._exempt(sender, recipient, origin):
            return None
        return leave.refusal(sender, recipient, service, self._clock())

    def _exempt(self, sender: Address, recipient: Address, origin: Origin | None) -> bool:
        return (
            recipient.domain == self._own
            or sender.domain == self._own
            or (origin is not None and origin.domain == self._own)
        )
