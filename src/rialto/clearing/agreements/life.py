"""The life of an item, and of an order: which event leads from which state to which.

    draft - acknowledged - inProgress - pendingActive - active - pendingTerminate - terminated - archived
                               |              |            |
                              held          failed     suspended

Everything is a table; whatever is not in it cannot happen.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from rialto.model.agreement import OrderState, State
from rialto.model.errors import RialtoError

PROBES = 5
"""After so many that failed an item has failed."""


class NotPossible(RialtoError):
    """What is asked for cannot be done now; the text says why, and what to do first."""


class Event(enum.StrEnum):
    """What can happen to an item."""

    SUBMIT = "submit"
    VALIDATE = "validate"
    HOLD = "hold"
    RESUME = "resume"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    APPROVE = "approve"
    PROBE_OK = "probe_ok"
    PROBE_FAILED = "probe_failed"
    GIVE_UP = "give_up"
    RETRY = "retry"
    SUSPEND = "suspend"
    REINSTATE = "reinstate"
    NOTICE = "notice"
    PERIOD_END = "period_end"
    SETTLE_FINAL = "settle_final"


TABLE: Mapping[State, Mapping[Event, State]] = MappingProxyType(
    {
        State.DRAFT: {Event.SUBMIT: State.ACKNOWLEDGED, Event.WITHDRAW: State.CANCELLED},
        State.ACKNOWLEDGED: {
            Event.VALIDATE: State.IN_PROGRESS,
            Event.REJECT: State.REJECTED,
            Event.WITHDRAW: State.CANCELLED,
        },
        State.IN_PROGRESS: {
            Event.HOLD: State.HELD,
            Event.APPROVE: State.PENDING_ACTIVE,
            Event.REJECT: State.REJECTED,
            Event.WITHDRAW: State.CANCELLED,
        },
        State.HELD: {
            Event.RESUME: State.IN_PROGRESS,
            Event.REJECT: State.REJECTED,
            Event.WITHDRAW: State.CANCELLED,
        },
        State.PENDING_ACTIVE: {
            Event.PROBE_OK: State.ACTIVE,
            Event.PROBE_FAILED: State.PENDING_ACTIVE,
            Event.GIVE_UP: State.FAILED,
            Event.WITHDRAW: State.CANCELLED,
        },
        State.FAILED: {Event.RETRY: State.PENDING_ACTIVE, Event.WITHDRAW: State.CANCELLED},
        State.ACTIVE: {Event.SUSPEND: State.SUSPENDED, Event.NOTICE: State.PENDING_TERMINATE},
        State.SUSPENDED: {Event.REINSTATE: State.ACTIVE, Event.NOTICE: State.PENDING_TERMINATE},
        State.PENDING_TERMINATE: {Event.PERIOD_END: State.TERMINATED},
        State.TERMINATED: {Event.SETTLE_FINAL: State.ARCHIVED},
        State.REJECTED: {Event.SUBMIT: State.ACKNOWLEDGED},
        State.CANCELLED: {Event.SUBMIT: State.ACKNOWLEDGED},
        State.ARCHIVED: {},
    }
)


def step(state: State, event: Event) -> State:
    """The state that follows. Raises NotPossible."""
    try:
        return TABLE[state][event]
    except KeyError:
        can = ", ".join(TABLE[state]) or "nothing more"
        raise NotPossible(f"it is {state}: {event} is not possible, only {can}") from None


def order_state(states: Iterable[State]) -> OrderState:
    """Where an order stands whose items stand so: completed only when every one is active."""
    found = set(states)
    for all_of, state in _WHOLE:
        if found <= all_of:
            return state
    if found & _RUNNING:
        return OrderState.PARTIAL
    if State.HELD in found:
        return OrderState.HELD
    if State.PENDING_ACTIVE in found:
        return OrderState.PENDING
    return OrderState.IN_PROGRESS if State.IN_PROGRESS in found else OrderState.ACKNOWLEDGED


_RUNNING = {State.ACTIVE, State.SUSPENDED, State.PENDING_TERMINATE}

_WHOLE: tuple[tuple[set[State], OrderState], ...] = (
    ({State.ACTIVE}, OrderState.COMPLETED),
    ({State.CANCELLED}, OrderState.CANCELLED),
    ({State.REJECTED, State.CANCELLED}, OrderState.REJECTED),
    ({State.FAILED, State.REJECTED, State.CANCELLED}, OrderState.FAILED),
)
