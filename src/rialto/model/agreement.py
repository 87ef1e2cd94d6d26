"""Who may exchange what with whom, and on what terms: operators, agreements, entitlements, rules.

Nothing here is ever edited. A change is a new version, or an end, from an instant on; instants are integer
nanoseconds since 1970 UTC, and every interval is half-open: `from_ns <= at < to_ns`, where `to_ns` is None
for one without an end. Ids are UUIDv7 as text. States carry the names of TM Forum's schemas.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Protocol

import msgspec

Nanos = int


class Interval(Protocol):
    """What is so for a time."""

    @property
    def from_ns(self) -> Nanos:
        """The first instant."""

    @property
    def to_ns(self) -> Nanos | None:
        """The first instant after it; None for none."""


class Traffic(enum.StrEnum):
    """What can be exchanged."""

    MESSAGE = "message"
    PRESENCE = "presence"
    SESSION = "session"
    FILE = "file"


class Direction(enum.StrEnum):
    """Who may begin: the first party of the agreement, the second, or either."""

    A_TO_B = "a_to_b"
    B_TO_A = "b_to_a"
    BOTH = "both"


class Kind(enum.StrEnum):
    """What an operator is."""

    ENTERPRISE = "enterprise"
    PUBLIC_IM = "public_im"
    CARRIER = "carrier"
    HUB = "hub"


class Federation(enum.StrEnum):
    """With whom an operator's users may speak when no agreement says it."""

    CLOSED = "closed"
    """With nobody but those who are on its allow list."""
    DISCOVERED = "discovered"
    """With anybody, within the trust tier of those who are not on its allow list."""
    OPEN = "open"


class Regime(enum.StrEnum):
    """How an item is charged."""

    FREE = "free"
    BILL_AND_KEEP = "bill_and_keep"
    PER_USER_MONTH = "per_user_month"
    PER_EVENT = "per_event"
    PER_SESSION = "per_session"
    PER_SUBSCRIPTION_MONTH = "per_subscription_month"
    REVENUE_SHARE = "revenue_share"
    PAID_PEERING = "paid_peering"

    @property
    def priced(self) -> bool:
        """Whether it needs a price list that is in force."""
        return self not in (Regime.FREE, Regime.BILL_AND_KEEP)


class Payer(enum.StrEnum):
    """Who pays."""

    ORIGINATING = "originating"
    TERMINATING = "terminating"
    BOTH = "both"
    LICENCE_HOLDER = "licence_holder"


class OptIn(enum.StrEnum):
    """Whether a user of either side is asked."""

    NONE = "none"
    """Nobody is asked."""
    OPT_IN = "opt_in"
    """Off, until the user says yes."""
    OPT_OUT = "opt_out"
    """On, until the user says no."""


class Metric(enum.StrEnum):
    """What a licence counts."""

    NAMED_USER = "named_user"
    ASSIGNED_SEAT = "assigned_seat"
    ACTIVE_USER = "active_user"
    HIGH_WATER_MARK = "high_water_mark"
    POOL = "pool"

    @property
    def named(self) -> bool:
        """Whether the holder is one person."""
        return self in (Metric.NAMED_USER, Metric.ASSIGNED_SEAT)


class State(enum.StrEnum):
    """Where an item stands, from its draft to the archive."""

    DRAFT = "draft"
    ACKNOWLEDGED = "acknowledged"
    IN_PROGRESS = "inProgress"
    HELD = "held"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    PENDING_ACTIVE = "pendingActive"
    FAILED = "failed"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    PENDING_TERMINATE = "pendingTerminate"
    TERMINATED = "terminated"
    ARCHIVED = "archived"


class OrderState(enum.StrEnum):
    """Where an order stands; it follows from the states of its items."""

    ACKNOWLEDGED = "acknowledged"
    IN_PROGRESS = "inProgress"
    HELD = "held"
    PENDING = "pending"
    PARTIAL = "partial"
    COMPLETED = "completed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Suspension(enum.StrEnum):
    """Why an item is suspended; `STILL_FLOWS` says what passes nevertheless."""

    NON_PAYMENT = "non_payment"
    CREDIT_LIMIT = "credit_limit"
    SECURITY = "security"
    ABUSE = "abuse"
    REGULATORY = "regulatory"
    MAINTENANCE = "maintenance"
    MUTUAL = "mutual"


STILL_FLOWS: Mapping[str, frozenset[Traffic]] = MappingProxyType(
    {
        # Who has reached the limit of its credit still gets its messages, and nothing new begins.
        Suspension.CREDIT_LIMIT: frozenset({Traffic.MESSAGE}),
        Suspension.NON_PAYMENT: frozenset(),
        Suspension.SECURITY: frozenset(),
        Suspension.ABUSE: frozenset(),
        Suspension.REGULATORY: frozenset(),
        Suspension.MAINTENANCE: frozenset(),
        Suspension.MUTUAL: frozenset(),
    }
)


class Scope(enum.StrEnum):
    """Whose rule it is; `hub`, `operator` and `group` denials are never overridden."""

    HUB = "hub"
    OPERATOR = "operator"
    GROUP = "group"
    """An ethical wall, where it denies."""
    AGREEMENT = "agreement"
    USER = "user"


class Effect(enum.StrEnum):
    """What a rule does."""

    ALLOW = "allow"
    DENY = "deny"
    RATE_LIMIT = "rate_limit"


class Operator(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An organisation that runs domains, in one version."""

    id: str
    version: int = 1
    name: str
    """How it is called here, and on the command line; unique."""
    ioi: str
    """Its inter-operator identifier; unique."""
    kind: Kind = Kind.ENTERPRISE
    federation: Federation = Federation.CLOSED
    allowed: tuple[str, ...] = ()
    """Its allow list: names of operators, and domains."""
    keys: tuple[str, ...] = ()
    """Its Ed25519 public keys, 64 hexadecimal digits each."""
    currency: str = "EUR"
    time_zone: str = "UTC"
    from_ns: Nanos = 0
    to_ns: Nanos | None = None


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A domain belongs to an operator, for a time; to one at most at any instant."""

    domain: str
    operator_id: str
    from_ns: Nanos
    to_ns: Nanos | None = None


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's signature below a document."""

    operator_id: str
    key: str
    """The public key, in hexadecimal digits."""
    signature: str
    """128 hexadecimal digits."""
    at_ns: Nanos


class Agreement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version of an agreement between two operators: `a`, who asked for it, and `b`."""

    id: str
    version: int = 1
    name: str = ""
    """How it is called on the command line; unique among agreements."""
    a: str
    """Id of an operator."""
    b: str
    from_ns: Nanos
    to_ns: Nanos | None = None
    document_hash: str
    """SHA-256 of the canonical document, in hexadecimal digits: what both sign."""
    signatures: tuple[Signature, ...] = ()
    offer: str = ""
    """The reference offer that it accepts, as `name/version`."""
    supersedes: int | None = None
    """The version before."""
    regulatory: str = ""
    """The law that asks for it, such as `dma`; empty for none."""


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is activated: one service, in one direction, to one network, on one set of terms.

    The id stays from version to version of the agreement, the terms need not.
    """

    id: str
    agreement_id: str
    version: int = 1
    """Of the agreement."""
    service: Traffic
    direction: Direction = Direction.BOTH
    network: str = ""
    """What an order calls the far side: `aol`, `yahoo`; a label for people."""
    regime: Regime = Regime.FREE
    payer: Payer = Payer.ORIGINATING
    licence_side: str = ""
    """`a` or `b`: whose users need an entitlement where the regime is `per_user_month`; default: `a`."""
    overage_allowed: bool = False
    """Users without an entitlement may pass nevertheless, and are counted."""
    price_list: str = ""
    opt_in: OptIn = OptIn.NONE
    max_rate_per_s: float | None = None
    max_contacts: int | None = None
    from_ns: Nanos = 0
    """When these terms begin and end; in a snapshot, those of its version of the agreement."""
    to_ns: Nanos | None = None

    @property
    def licensed(self) -> str:
        """The side whose users need an entitlement, `a` or `b`; empty where nobody does."""
        return (self.licence_side or "a") if self.regime is Regime.PER_USER_MONTH else ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An item is in a state, for a time."""

    item_id: str
    state: State
    reason: str = ""
    """Of a suspension: a `Suspension`; otherwise what was said."""
    from_ns: Nanos
    to_ns: Nanos | None = None

    def carries(self, service: Traffic) -> bool:
        """Whether anything of this service passes in this state."""
        if self.state is State.SUSPENDED:
            return service in STILL_FLOWS.get(self.reason, ())
        return self.state in (State.ACTIVE, State.PENDING_TERMINATE)


class Entitlement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody is licensed for an item, for a time."""

    id: str
    item_id: str
    holder: str
    """`user@domain` for a named metric; otherwise `*@domain`, or the name of a group (`@sales`)."""
    metric: Metric = Metric.NAMED_USER
    quantity: int = 1
    from_ns: Nanos
    to_ns: Nanos | None = None
    order_id: str = ""


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rule of policy, in one version.

    `subject` and `peer` each are an operator's name, a domain, `user@domain`, a group (`@traders`), or `*`.
    A rule of scope `group` counts both ways; others are for what goes from `subject` to `peer`.
    """

    id: str
    version: int = 1
    name: str
    scope: Scope
    effect: Effect
    subject: str = "*"
    peer: str = "*"
    service: Traffic | None = None
    """None for all of them."""
    priority: int = 0
    """Among rules of one scope, the highest is asked first; at equal priority a denial is."""
    shadow: bool = False
    """It is counted, and does nothing."""
    max_rate_per_s: float | None = None
    text: str = ""
    """The sentence for the human."""
    from_ns: Nanos = 0
    to_ns: Nanos | None = None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody belongs to a group, for a time: `@traders` has `ann@x.example`."""

    name: str
    member: str
    """`user@domain`, or `*@domain`."""
    from_ns: Nanos
    to_ns: Nanos | None = None


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """A user has said yes or no to a service with an operator, for a time."""

    user: str
    operator_id: str
    """Of the far side."""
    service: Traffic
    given: bool
    from_ns: Nanos
    to_ns: Nanos | None = None


class Snapshot(Protocol):
    """All that a decision may depend on, as it is written down at one moment, past and future included.

    Intervals are those that count: a version that was superseded ends where the next begins, an entitlement
    that was revoked ends where it was revoked, and what is scheduled begins at its instant. Only versions
    that every party has signed are here. Each is iterated once, in no particular order.
    """

    @property
    def epoch(self) -> int:
        """Rises with every change."""

    def operators(self) -> Iterable[Operator]:
        """All versions."""

    def holdings(self) -> Iterable[Holding]:
        """Which domain is whose."""

    def agreements(self) -> Iterable[Agreement]:
        """All signed versions."""

    def items(self) -> Iterable[Item]:
        """The items of those."""

    def standings(self) -> Iterable[Standing]:
        """What state each item is in, and when."""

    def entitlements(self) -> Iterable[Entitlement]:
        """Who is licensed."""

    def rules(self) -> Iterable[Rule]:
        """All versions of all rules."""

    def groups(self) -> Iterable[Group]:
        """Who belongs to which group."""

    def consents(self) -> Iterable[Consent]:
        """What users have said."""


class Tier(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The price up to a number of units, that number included; `up_to` is None for the last tier."""

    up_to: int | None = None
    unit_nano: int = 0
    """Of one unit, at 10^-9 of the currency."""
    flat_nano: int = 0


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one service costs on a price list, for a time."""

    id: str
    price_list: str
    service: Traffic
    network: str = ""
    currency: str = "EUR"
    tiers: tuple[Tier, ...]
    from_ns: Nanos
    to_ns: Nanos | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody has asked for items to be made active."""

    id: str
    requester: str
    """Id of an operator."""
    item_ids: tuple[str, ...]
    form: dict[str, str] = {}
    """What a network wants to know: domains, host names, certificates, whom to notify."""
    at_ns: Nanos
    due_ns: Nanos | None = None
    """The deadline, where a law or a contract sets one."""


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of an item's life; what is scheduled is written down before it takes effect."""

    item_id: str
    seq: int
    """1 for the first."""
    event: str
    old: State
    new: State
    reason: str = ""
    actor: str = ""
    at_ns: Nanos
    """When it was decided."""
    effective_ns: Nanos
    evidence: str = ""
    """What was seen, as JSON: of a probe, each of its legs."""


def course(item_id: str, changes: Iterable[Change]) -> list[Standing]:
    """The states of one item, in order, from its changes in order.

    A change makes void what had been scheduled for its own instant or later.
    """
    stands: list[tuple[Nanos, State, str]] = []
    for change in changes:
        while stands and stands[-1][0] >= change.effective_ns:
            stands.pop()
        stands.append((change.effective_ns, change.new, change.reason))
    ends = [*(at for at, _, _ in stands[1:]), None][: len(stands)]
    return [
        Standing(item_id=item_id, state=state, reason=reason, from_ns=at, to_ns=end)
        for (at, state, reason), end in zip(stands, ends, strict=True)
    ]


def holds(one: Interval, at_ns: Nanos) -> bool:
    """Whether the instant is within the interval."""
    return one.from_ns <= at_ns and (one.to_ns is None or at_ns < one.to_ns)
