"""Whoever waits for the answer to one message: its sender, and its sender sending again."""

from __future__ import annotations

import structlog

from rialto.core.network import Inbound, Outcome
from rialto.model.errors import DeliveryError

MOST = 8
"""So many copies of a message that is on disk wait for its outcome; of more, the oldest hear nothing."""

_log = structlog.get_logger(__name__)


class Chorus:
    """Several `Inbound` that are told the same."""

    __slots__ = ("_members",)

    def __init__(self, first: Inbound | None) -> None:
        self._members = [first] if first is not None else []

    def join(self, member: Inbound, *, stored: bool) -> None:
        """One more; `stored` says that the others have been told so, and may go if they don't wait."""
        if stored:
            self._members = [one for one in self._members if one.waiting][1 - MOST :]
        self._members.append(member)

    @property
    def waiting(self) -> bool:
        """See `Inbound`."""
        return any(member.waiting for member in self._members)

    def stored(self) -> None:
        """See `Inbound`."""
        for member in self._members:
            tell_stored(member)

    def refused(self, error: DeliveryError) -> None:
        """See `Inbound`."""
        for member in self._members:
            tell_refused(member, error)

    def settled(self, outcome: Outcome, error: DeliveryError | None) -> bool:
        """See `Inbound`."""
        told = [tell_settled(member, outcome, error) for member in self._members]  # every one of them
        return any(told)


# A network that raises here has a bug; the message is ours all the same, and goes on.


def tell_stored(inbound: Inbound) -> None:
    """`inbound.stored()`, whatever it raises."""
    try:
        inbound.stored()
    except Exception:
        _log.exception("a network failed to acknowledge")


def tell_refused(inbound: Inbound, error: DeliveryError) -> None:
    """`inbound.refused(error)`, whatever it raises."""
    try:
        inbound.refused(error)
    except Exception:
        _log.exception("a network failed to refuse")


def tell_settled(inbound: Inbound, outcome: Outcome, error: DeliveryError | None) -> bool:
    """`inbound.settled(outcome, error)`, whatever it raises: then nobody was told."""
    try:
        return inbound.settled(outcome, error)
    except Exception:
        _log.exception("a network failed to tell its sender")
        return False
