"""What can be done with operators, agreements, orders and entitlements: each verb is one deed.

The guards are here that need more than one table to decide, and those that need cryptography; the rest is in
`life` (what can follow what) and in the database (what may never be). Whoever asks is named as `actor`.
Raises NotPossible, or NotAllowed where the database says no.

The file is long because there are many verbs; each is short, and they share a clock and the names of things.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from rialto.clearing.agreements import document
from rialto.clearing.agreements.life import PROBES, Event, NotPossible, order_state, step
from rialto.clearing.agreements.names import (
    check_key,
    domain_of,
    group_of,
    holder_of,
    label,
    months_later,
    one_holder,
)
from rialto.model.address import Address
from rialto.model.agreement import (
    Agreement,
    Change,
    Consent,
    Entitlement,
    Group,
    Holding,
    Item,
    Metric,
    Nanos,
    Operator,
    Order,
    OrderState,
    Price,
    Rule,
    Signature,
    State,
    Suspension,
    Tier,
    Traffic,
    course,
    holds,
)
from rialto.store.agreements import Agreements, Offer
from rialto.store.store import Store

IMPORT_AT_ONCE = 1000
"""So many entitlements are granted in one deed."""

MONTHS_DMA = 3
"""How long a gatekeeper has, once it was asked (Regulation (EU) 2022/1925, article 7)."""

LEGS = frozenset((service, side) for service in ("message", "receipt", "presence") for side in "ab")
"""What a probe has to have seen: each of these, with each party."""


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a probe has tried over the wire."""

    what: str
    """`message`, `receipt` or `presence`."""
    side: str
    """`a` or `b`: whose user answered."""
    address: str
    ok: bool
    text: str
    took_ms: float = 0.0


class Registry:
    """All verbs, on one database.

    `clock` gives nanoseconds since 1970; `keys` is the folder of our own keys.
    """

    def __init__(self, written: Agreements, clock: Callable[[], Nanos], keys: Path) -> None:
        self.written = written
        self._clock = clock
        self._keys = keys
        self._last = 0

    # -- operators -------------------------------------------------------------------------------------

    def add_operator(self, actor: str, one: Operator, domains: Iterable[str] = ()) -> Operator:
        """A new operator, from now on or from the instant it says; and the domains that are its own."""
        now = self.now()
        for key in one.keys:
            check_key(key)
        one = replace(one, id=self._id(now), version=1, from_ns=one.from_ns or now)
        with self.written.deed("operator.add", actor, now, {"operator": one.name}):
            self.written.add_operator(one)
            for domain in domains:
                self._hold(one, domain, one.from_ns)
        return one

    def change_operator(self, actor: str, name: str, at: Nanos | None = None, **fields: Any) -> Operator:
        """A new version, from now on or from that instant."""
        now = self.now()
        for key in fields.get("keys", ()):
            check_key(key)
        old = self._newest(name)
        one = replace(
            old, **{**fields, "version": old.version + 1, "from_ns": self._from(at, now), "to_ns": None}
        )
        with self.written.deed("operator.change", actor, now, {"operator": name, "fields": sorted(fields)}):
            self.written.add_operator(one)
        return one

    def add_domain(self, actor: str, name: str, domain: str, at: Nanos | None = None) -> None:
        """The domain is this operator's, from now on or from that instant."""
        now, operator = self.now(), self._newest(name)
        with self.written.deed("domain.add", actor, now, {"operator": name, "domain": domain}):
            self._hold(operator, domain, self._from(at, now))

    def end_domain(self, actor: str, name: str, domain: str, at: Nanos | None = None) -> None:
        """The domain is this operator's no longer, from now on or from that instant."""
        now, domain, operator = self.now(), domain_of(domain), self._newest(name)
        with self.written.deed("domain.end", actor, now, {"operator": name, "domain": domain}):
            if not self.written.end("holding", self._from(at, now), domain=domain, operator_id=operator.id):
                raise NotPossible(f"{domain} is not {name}'s")

    def operator(self, name: str, at: Nanos | None = None) -> Operator:
        """The operator of that name, id or domain, as it is at an instant. Raises NotPossible."""
        at = self.now() if at is None else at
        found = [
            one
            for one in self.written.snapshot().operators()
            if name in (one.name, one.id) and holds(one, at)
        ]
        owner = next((one for one in self.written.holdings() if one.domain == name and holds(one, at)), None)
        if not found and owner is not None:
            return self.operator(owner.operator_id, at)
        if not found:
            raise NotPossible(f"there is no operator {name!r}")
        return found[0]

    def _newest(self, name: str) -> Operator:
        found = [one for one in self.written.operators() if name in (one.name, one.id)]
        if not found:
            raise NotPossible(f"there is no operator {name!r}")
        return found[-1]

    def _hold(self, operator: Operator, domain: str, at: Nanos) -> None:
        self.written.add_holding(Holding(domain=domain_of(domain), operator_id=operator.id, from_ns=at))

    # -- offers ----------------------------------------------------------------------------------------

    def publish(
        self, actor: str, name: str, operator: str, items: Sequence[Item], regulatory: str = ""
    ) -> Offer:
        """Publish a reference offer, signed with the operator's key: whoever accepts it has an agreement."""
        now, offerer = self.now(), self._newest(operator)
        key, public = self._own_key(offerer)
        version = 1 + max((one.version for one in self.written.offers() if one.name == name), default=0)
        body = document.canonical(
            {
                "offer": name,
                "version": version,
                "operator": offerer.id,
                "ioi": offerer.ioi,
                "regulatory": regulatory,
                "items": [document.terms(replace(item, id="")) for item in items],
            }
        )
        hashed = document.fingerprint(body)
        offer = Offer(
            name=name, version=version, operator_id=offerer.id, body=body, hash=hashed, key=public,
            signature=document.sign(key, "offer", hashed), from_ns=now,
        )  # fmt: skip
        with self.written.deed("offer.publish", actor, now, {"offer": name, "version": version}):
            self.written.end("offer", now, name=name)
            self.written.add_offer(offer)
        return offer

    def withdraw_offer(self, actor: str, name: str) -> None:
        """Nobody can accept it any more; what was accepted stays."""
        now = self.now()
        with self.written.deed("offer.withdraw", actor, now, {"offer": name}):
            if not self.written.end("offer", now, name=name):
                raise NotPossible(f"there is no offer {name!r}")

    def accept(self, actor: str, offer: str, operator: str, name: str) -> Agreement:
        """Accept a reference offer as it is: the offerer's signature comes by itself, ours by `sign`."""
        now = self.now()
        one = next((one for one in self.written.offers() if one.name == offer and holds(one, now)), None)
        if one is None:
            raise NotPossible(f"there is no offer {offer!r} now")
        document.verify(one.key, "offer", one.hash, one.signature)
        if document.fingerprint(one.body) != one.hash:
            raise NotPossible(f"the offer {offer!r} is not what was signed")
        body = msgspec.json.decode(one.body)
        items = [msgspec.convert({**item, "agreement_id": ""}, Item) for item in body["items"]]
        agreement = self.draft(
            actor, name, operator, one.operator_id, items,
            offer=f"{one.name}/{one.version}", regulatory=body["regulatory"],
        )  # fmt: skip
        self.sign_here(actor, name, one.operator_id)
        return agreement

    # -- agreements ------------------------------------------------------------------------------------

    def draft(
        self, actor: str, name: str, a: str, b: str, items: Sequence[Item], *, at: Nanos | None = None,
        to: Nanos | None = None, offer: str = "", regulatory: str = "",
    ) -> Agreement:  # fmt: skip
        """Write an agreement, or the next version of one, for both to sign.

        Items of the version before that have the same service, direction and network go on.
        """
        now = self.now()
        parties = self._newest(a), self._newest(b)
        before = [one for one in self.written.versions() if one.name == name]
        old = before[-1] if before else None
        going_on = {label(item): item.id for item in self.written.items(old.id)} if old is not None else {}
        if old is not None and len(old.signatures) == 2 and at is None and old.from_ns > now:
            raise NotPossible(f"{name} begins at {document.instant(old.from_ns)}; say from when this counts")
        agreement = Agreement(
            id=old.id if old is not None else self._id(now),
            version=old.version + 1 if old is not None else 1,
            name=name, a=parties[0].id, b=parties[1].id, from_ns=self._from(at, now), to_ns=to,
            document_hash="", offer=offer, regulatory=regulatory,
        )  # fmt: skip
        if not items:
            raise NotPossible("an agreement without an item agrees on nothing")
        if len({label(item) for item in items}) < len(items):
            raise NotPossible("two items of one service, direction and network")
        items = [
            replace(
                item,
                id=going_on.get(label(item)) or self._id(now),
                agreement_id=agreement.id,
                version=agreement.version,
            )
            for item in items
        ]
        text = document.compose(agreement, parties, items)
        agreement = replace(agreement, document_hash=document.fingerprint(text))
        with self.written.deed(
            "agreement.draft", actor, now, {"agreement": name, "version": agreement.version}
        ):
            self.written.add_agreement(agreement, text, items)
        return agreement

    def sign(self, actor: str, name: str, operator: str, key: str, signature: str) -> Agreement:
        """An operator signs the newest version; once both have, what was ordered may be probed."""
        now, agreement, signer = self.now(), self.agreement(name), self._newest(operator)
        if key not in self.operator(signer.id, now).keys:
            raise NotPossible(f"that key is not one of {signer.name}'s")
        document.verify(key, "agreement", agreement.document_hash, signature)
        one = Signature(operator_id=signer.id, key=key, signature=signature, at_ns=now)
        with self.written.deed("agreement.sign", actor, now, {"agreement": name, "operator": signer.name}):
            self.written.add_signature(agreement, one)
            if len(agreement.signatures) == 1:
                for item in self.items_of(agreement):
                    if self.state(item.id, now) is State.IN_PROGRESS:
                        self._change(item.id, Event.APPROVE, actor, now)
        return self.agreement(name)

    def sign_here(self, actor: str, name: str, operator: str) -> Agreement:
        """The same, with a key that is in our folder."""
        key, public = self._own_key(self._newest(operator))
        signature = document.sign(key, "agreement", self.agreement(name).document_hash)
        return self.sign(actor, name, operator, public, signature)

    def agreement(self, name: str, version: int | None = None) -> Agreement:
        """The newest version, or that one, of the agreement of that name. Raises NotPossible."""
        found = [
            one
            for one in self.written.versions()
            if name in (one.name, one.id) and version in (None, one.version)
        ]
        if not found:
            raise NotPossible(f"there is no agreement {name!r}")
        return found[-1]

    def items(self, which: str) -> list[Item]:
        """The items of an agreement (`NAME`), or one of them (`NAME/LABEL`, or its id), as newest."""
        name, _, named = which.partition("/")
        if not named and not any(name in (one.name, one.id) for one in self.written.versions()):
            found = [item for item in self.written.items() if item.id == name]
            if found:
                return found[-1:]
        found = self.items_of(self.agreement(name))
        if named:
            found = [item for item in found if label(item) == named]
        if not found:
            raise NotPossible(f"{name} has no item {named!r}")
        return found

    def items_of(self, agreement: Agreement) -> list[Item]:
        """The items of one version."""
        return [item for item in self.written.items(agreement.id) if item.version == agreement.version]

    # -- orders and the life of items ------------------------------------------------------------------

    def order(
        self, actor: str, requester: str, which: Sequence[str], form: dict[str, str] | None = None
    ) -> Order:
        """Ask for items to be made active: checked at once, and approved where both have signed."""
        now, operator = self.now(), self._newest(requester)
        items = [item for one in which for item in self.items(one)]
        due = None
        for item in items:
            agreement = self.agreement(item.agreement_id)
            if operator.id not in (agreement.a, agreement.b):
                raise NotPossible(f"{operator.name} is no party of {agreement.name}")
            if agreement.regulatory == "dma":
                due = months_later(now, MONTHS_DMA)
        order = Order(
            id=self._id(now), requester=operator.id, item_ids=tuple(item.id for item in items),
            form=form or {}, at_ns=now, due_ns=due,
        )  # fmt: skip
        with self.written.deed("order.submit", actor, now, {"order": order.id, "items": len(items)}):
            self.written.add_order(order)
            for item in items:
                self._change(item.id, Event.SUBMIT, actor, now)
                missing = self._missing(item, now)
                self._change(item.id, Event.VALIDATE, actor, now)
                if missing:
                    self._change(item.id, Event.HOLD, actor, now, reason=missing)
                elif len(self.agreement(item.agreement_id).signatures) == 2:
                    self._change(item.id, Event.APPROVE, actor, now)
        return order

    def orders(self) -> list[tuple[Order, OrderState, dict[str, State]]]:
        """Every order, where it stands, and where each of its items does; oldest first."""
        now, changes = self.now(), self.written.all_changes()
        found = []
        for order in self.written.orders():
            states = {item_id: _state(item_id, changes.get(item_id, ()), now) for item_id in order.item_ids}
            found.append((order, order_state(states.values()), states))
        return found

    def hold(self, actor: str, which: str, reason: str) -> None:
        """Something is missing."""
        self._each(actor, which, Event.HOLD, reason=reason)

    def resume(self, actor: str, which: str) -> None:
        """It is there now: go on, and approve where both have signed."""
        now = self.now()
        with self.written.deed("item.resume", actor, now, {"items": which}):
            for item in self.items(which):
                missing = self._missing(item, now)
                if missing:
                    raise NotPossible(missing)
                self._change(item.id, Event.RESUME, actor, now)
                if len(self.agreement(item.agreement_id).signatures) == 2:
                    self._change(item.id, Event.APPROVE, actor, now)

    def reject(self, actor: str, which: str, reason: str) -> None:
        """No."""
        self._each(actor, which, Event.REJECT, reason=reason)

    def withdraw(self, actor: str, which: str) -> None:
        """Whoever asked has changed their mind."""
        self._each(actor, which, Event.WITHDRAW)

    def suspend(
        self, actor: str, which: str, reason: Suspension, *, at: Nanos | None = None, to: Nanos | None = None
    ) -> None:
        """Stop it, from now on or from that instant, until the other or until it is reinstated."""
        now = self.now()
        begin = self._from(at, now)
        if to is not None and to <= begin:
            raise NotPossible("it would end before it begins")
        with self.written.deed("item.suspend", actor, now, {"items": which, "reason": reason.value}):
            for item in self.items(which):
                self._change(item.id, Event.SUSPEND, actor, now, at=begin, reason=reason.value)
                if to is not None:
                    self._change(item.id, Event.REINSTATE, actor, now, at=to)

    def reinstate(self, actor: str, which: str) -> None:
        """Let it go on."""
        self._each(actor, which, Event.REINSTATE)

    def notice(self, actor: str, which: str, to: Nanos, reason: str = "") -> None:
        """It ends at that instant, and goes on until then."""
        now = self.now()
        if to < now:
            raise NotPossible("that is past")
        with self.written.deed("item.notice", actor, now, {"items": which, "to": document.instant(to)}):
            for item in self.items(which):
                self._change(item.id, Event.NOTICE, actor, now, reason=reason)
                # At the earliest the next instant: the notice itself is a state that was.
                self._change(item.id, Event.PERIOD_END, actor, now, at=max(to, now + 1), reason=reason)

    def archive(self, actor: str, which: str) -> None:
        """Everything is settled."""
        self._each(actor, which, Event.SETTLE_FINAL)

    def retry(self, actor: str, which: str) -> None:
        """After so many probes that failed, try again."""
        self._each(actor, which, Event.RETRY)

    def probed(self, actor: str, which: str, legs: Sequence[Leg]) -> bool:
        """A probe has been made: what it saw makes the items active, or counts against them."""
        now = self.now()
        seen = {(leg.what, leg.side) for leg in legs if leg.ok}
        ok = seen >= LEGS and all(leg.ok for leg in legs)
        evidence = msgspec.json.encode(legs).decode()
        with self.written.deed("item.probe", actor, now, {"items": which, "ok": ok}):
            for item in self.items(which):
                if ok:
                    missing = self._missing(item, now)
                    if missing:
                        raise NotPossible(missing)
                    self._change(item.id, Event.PROBE_OK, actor, now, evidence=evidence)
                    continue
                failed = [change.event for change in self.written.changes(item.id)[-PROBES + 1 :]]
                last = len(failed) == PROBES - 1 and set(failed) == {Event.PROBE_FAILED.value}
                event = Event.GIVE_UP if last else Event.PROBE_FAILED
                self._change(item.id, event, actor, now, reason=_failed(legs), evidence=evidence)
        return ok

    def check_people(self, which: str, people: Mapping[str, Address]) -> None:
        """Raises NotPossible unless each lives in a domain of that side, and a probe is due."""
        now = self.now()
        for item in self.items(which):
            agreement, state = self.agreement(item.agreement_id), self.state(item.id, now)
            if state is not State.PENDING_ACTIVE:
                raise NotPossible(f"{agreement.name}/{label(item)} is {state}: there is nothing to probe")
            for side, party in (("a", agreement.a), ("b", agreement.b)):
                if self.operator(people[side].domain, now).id != party:
                    name = self._newest(party).name
                    raise NotPossible(f"{people[side]} does not live in a domain of {name}")

    def state(self, item_id: str, at: Nanos | None = None) -> State:
        """Where an item stands at an instant; now, if none is given."""
        return _state(item_id, self.written.changes(item_id), self.now() if at is None else at)

    def why(self, item_id: str) -> str:
        """What was said when the item came to stand where it does now; empty where nothing was."""
        now = self.now()
        stands = course(item_id, self.written.changes(item_id))
        return next((one.reason for one in stands if holds(one, now)), "")

    def _each(self, actor: str, which: str, event: Event, *, reason: str = "") -> None:
        now = self.now()
        with self.written.deed(f"item.{event}", actor, now, {"items": which}):
            for item in self.items(which):
                self._change(item.id, event, actor, now, reason=reason)

    def _change(
        self, item_id: str, event: Event, actor: str, now: Nanos, *, at: Nanos | None = None,
        reason: str = "", evidence: str = "",
    ) -> None:  # fmt: skip
        changes = self.written.changes(item_id)
        at = now if at is None else at
        old = _state(item_id, changes, at)
        self.written.add_change(
            Change(
                item_id=item_id,
                seq=len(changes) + 1,
                event=event.value,
                old=old,
                new=step(old, event),
                reason=reason,
                actor=actor,
                at_ns=now,
                effective_ns=at,
                evidence=evidence,
            )
        )

    def _missing(self, item: Item, now: Nanos) -> str:
        """What must be there before an item can be active; empty when all is."""
        agreement = self.agreement(item.agreement_id)
        owners = {one.operator_id for one in self.written.holdings() if holds(one, now)}
        for party in (agreement.a, agreement.b):
            if party not in owners:
                return f"{self._newest(party).name} has no domain"
        if agreement.to_ns is not None and agreement.to_ns <= now:
            return f"{agreement.name} ended at {document.instant(agreement.to_ns)}"
        if item.regime.priced and not any(
            holds(price, now) and price.service is item.service and price.network in ("", item.network)
            for price in self.written.prices(item.price_list or "-")
        ):
            return f"no price for {item.service} is in force on the price list {item.price_list!r}"
        return ""

    # -- prices ----------------------------------------------------------------------------------------

    def price(
        self, actor: str, price_list: str, service: Traffic, tiers: Sequence[Tier], *, network: str = "",
        currency: str = "EUR", at: Nanos | None = None,
    ) -> Price:  # fmt: skip
        """A price, from now on or from that instant, until the next that is set already."""
        now = self.now()
        begin = self._from(at, now)
        same = [
            price
            for price in self.written.prices(price_list)
            if (price.service, price.network) == (service, network) and price.to_ns != price.from_ns
        ]
        one = Price(
            id=self._id(now), price_list=price_list, service=service, network=network, currency=currency,
            tiers=tuple(tiers), from_ns=begin,
            to_ns=min((price.from_ns for price in same if price.from_ns > begin), default=None),
        )  # fmt: skip
        with self.written.deed("price.add", actor, now, {"list": price_list, "service": service.value}):
            for price in same:
                if holds(price, begin):
                    self.written.end("price", begin, id=price.id)
            self.written.add_price(one)
        return one

    # -- entitlements ----------------------------------------------------------------------------------

    def grant(
        self, actor: str, which: str, holders: Sequence[str], *, metric: Metric = Metric.NAMED_USER,
        quantity: int = 1, at: Nanos | None = None, to: Nanos | None = None,
    ) -> int:  # fmt: skip
        """License these holders for these items; how many entitlements that are."""
        now = self.now()
        begin = self._from(at, now)
        items = self.items(which)
        named = [one_holder(holder, metric) for holder in holders]
        granted = [
            Entitlement(
                id=self._id(now),
                item_id=item.id,
                holder=holder,
                metric=metric,
                quantity=quantity,
                from_ns=begin,
                to_ns=to,
            )
            for item in items
            for holder in named
        ]
        with self.written.deed("entitlement.grant", actor, now, {"items": which, "holders": len(named)}):
            self.written.add_entitlements(granted)
        return len(granted)

    def unlicensed(self, item_id: str, holders: Sequence[str], at: Nanos | None = None) -> list[str]:
        """Those of them who have no entitlement at that instant or later."""
        at = self.now() if at is None else at
        has = {
            one.holder
            for one in self.written.entitlements(item_id)
            if one.metric.named and (one.to_ns is None or one.to_ns > at)
        }
        return [holder for holder in holders if holder not in has]

    def revoke(self, actor: str, which: str, holders: Sequence[str], at: Nanos | None = None) -> int:
        """These holders are licensed no longer, from now on or from that instant; how many that ends."""
        now = self.now()
        end = self._from(at, now)
        with self.written.deed("entitlement.revoke", actor, now, {"items": which, "holders": len(holders)}):
            ended = sum(
                self.written.end("entitlement", end, item_id=item.id, holder=holder_of(holder))
                for item in self.items(which)
                for holder in holders
            )
            if not ended:
                raise NotPossible(f"none of them has an entitlement for {which}")
        return ended

    def consent(
        self, actor: str, user: str, operator: str, services: Sequence[Traffic], *, given: bool
    ) -> None:
        """A user says yes or no to these services with that operator, from now on."""
        now, far, person = self.now(), self._newest(operator), one_holder(user, Metric.NAMED_USER)
        with self.written.deed("consent", actor, now, {"operator": far.name, "given": given}):
            for service in services:
                self.written.add_consent(
                    Consent(user=person, operator_id=far.id, service=service, given=given, from_ns=now)
                )

    # -- rules and groups ------------------------------------------------------------------------------

    def rule(self, actor: str, one: Rule, at: Nanos | None = None) -> Rule:
        """A new rule, or a new version of the one of that name, from now on or from that instant."""
        now = self.now()
        old = [rule for rule in self.written.rules() if rule.name == one.name]
        one = replace(
            one,
            id=old[-1].id if old else self._id(now),
            version=old[-1].version + 1 if old else 1,
            from_ns=self._from(at, now),
        )
        with self.written.deed("rule.add", actor, now, {"rule": one.name, "version": one.version}):
            self.written.add_rule(one)
        return one

    def end_rule(self, actor: str, name: str, at: Nanos | None = None) -> None:
        """The rule does not count any more, from now on or from that instant."""
        now = self.now()
        with self.written.deed("rule.end", actor, now, {"rule": name}):
            if not self.written.end("rule", self._from(at, now), name=name):
                raise NotPossible(f"there is no rule {name!r}")

    def join(self, actor: str, group: str, members: Sequence[str]) -> None:
        """These belong to the group."""
        now, group = self.now(), group_of(group)
        with self.written.deed("group.join", actor, now, {"group": group, "members": len(members)}):
            for member in members:
                self.written.add_member(Group(name=group, member=holder_of(member), from_ns=now))

    def leave(self, actor: str, group: str, members: Sequence[str]) -> None:
        """These do not belong to the group any more."""
        now, group = self.now(), group_of(group)
        with self.written.deed("group.leave", actor, now, {"group": group, "members": len(members)}):
            for member in members:
                self.written.end("member", now, name=group, member=holder_of(member))

    # -- instants, ids, keys ---------------------------------------------------------------------------

    def now(self) -> Nanos:
        """The clock, but never the same instant twice: what follows shall be later."""
        self._last = max(self._clock(), self._last + 1)
        return self._last

    def _from(self, at: Nanos | None, now: Nanos) -> Nanos:
        """When something begins. The past stays as it was."""
        if at is None:
            return now
        if at < now:
            raise NotPossible(f"{document.instant(at)} is past, and the past stays as it was")
        return at

    def _id(self, now: Nanos) -> str:
        """A UUID of version 7 (RFC 9562 section 5.7)."""
        bits = (now // 1_000_000 & (1 << 48) - 1) << 80 | 7 << 76 | secrets.randbits(12) << 64
        bits |= 2 << 62 | secrets.randbits(62)
        digits = f"{bits:032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def key_file(self, operator: Operator) -> Path:
        """Where a key of this operator is, if it is here."""
        return self._keys / f"{operator.id}.pem"

    def make_key(self, actor: str, name: str) -> str:
        """Make a key for an operator in our folder, and add it to its keys; the public key."""
        operator = self._newest(name)
        file = self.key_file(operator)
        if file.exists():
            raise NotPossible(f"{name} has a key here already")
        key = document.new_key()
        self._keys.mkdir(mode=0o700, exist_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(document.write_key(key))
        public = document.public(key)
        self.change_operator(actor, name, keys=(*operator.keys, public))
        return public

    def _own_key(self, operator: Operator) -> tuple[Any, str]:
        try:
            pem = self.key_file(operator).read_bytes()
        except FileNotFoundError:
            raise NotPossible(
                f"no key of {operator.name} is here; `rialto operator key {operator.name}` makes one"
            ) from None
        key = document.read_key(pem)
        return key, document.public(key)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Registry]:
    """The registry of that data folder, whether a server runs there or not. Raises ConfigError."""
    store = Store(folder)
    store.close()
    written = Agreements(store.path)
    try:
        yield Registry(written, time.time_ns, folder / "keys")
    finally:
        written.close()


def _state(item_id: str, changes: Iterable[Change], at: Nanos) -> State:
    states = [one.state for one in course(item_id, changes) if holds(one, at)]
    return states[0] if states else State.DRAFT


def _failed(legs: Sequence[Leg]) -> str:
    bad = [f"{leg.what} with {leg.address}: {leg.text}" for leg in legs if not leg.ok]
    missing = [
        f"no {what} with {side}" for what, side in sorted(LEGS - {(leg.what, leg.side) for leg in legs})
    ]
    return "; ".join(bad + missing)
