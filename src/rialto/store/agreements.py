"""Operators, agreements, entitlements and rules in the database: written as deeds, read as a snapshot.

Every deed is one transaction, is written down itself with its actor, and begins an epoch. It uses a
connection of its own: another process, and another thread than the writer's, may do it while the server
runs. What the database does not allow is raised as `NotAllowed`, and then nothing of the deed has happened.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rialto.model.agreement import (
    Agreement,
    Change,
    Consent,
    Entitlement,
    Group,
    Holding,
    Item,
    Nanos,
    Operator,
    Order,
    Price,
    Rule,
    Signature,
    Standing,
    course,
)
from rialto.model.errors import RialtoError
from rialto.store.writer import connect

T = TypeVar("T")

_encode = msgspec.json.encode


class NotAllowed(RialtoError):
    """The database refuses it, in its own words."""


class Signable(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an agreement, signed or not, with what there is to sign."""

    agreement: Agreement
    document: str


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a published reference offer."""

    name: str
    version: int
    operator_id: str
    body: str
    """The canonical document."""
    hash: str
    key: str
    signature: str
    from_ns: Nanos
    to_ns: Nanos | None = None


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done."""

    epoch: int
    at_ns: Nanos
    actor: str
    what: str
    data: dict[str, Any]


class Agreements:
    """What is written of agreements in one database; for one thread at a time. `close` it."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._connection.row_factory = sqlite3.Row

    def close(self) -> None:
        """Let the database go."""
        self._connection.close()

    # -- writing ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def deed(self, what: str, actor: str, at_ns: Nanos, data: dict[str, Any]) -> Iterator[None]:
        """All that is written within is written together, or not at all. Raises NotAllowed."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._insert("deed", at_ns=at_ns, actor=actor, what=what, data=_encode(data).decode())
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
        except sqlite3.IntegrityError as error:
            raise NotAllowed(str(error)) from error

    def _insert(self, table: str, **columns: Any) -> None:
        names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
        self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(columns.values()))

    def add_operator(self, one: Operator) -> None:
        """A new operator, or a new version of one."""
        self._insert("operator", **_of(one, "id version name ioi from_ns to_ns"), body=_text(one))

    def add_holding(self, one: Holding) -> None:
        """A domain becomes an operator's."""
        self._insert("holding", **_of(one, "domain operator_id from_ns to_ns"))

    def add_offer(self, one: Offer) -> None:
        """A reference offer is published."""
        self._insert("offer", **msgspec.structs.asdict(one))

    def add_agreement(self, one: Agreement, document: str, items: Iterable[Item]) -> None:
        """A version of an agreement, with the items that it has."""
        names = "id version name a b from_ns to_ns document_hash offer regulatory"
        self._insert("agreement", **_of(one, names), document=document)
        for item in items:
            self._insert("item", **_of(item, "id version agreement_id service direction"), body=_text(item))

    def add_signature(self, agreement: Agreement, one: Signature) -> None:
        """A party signs a version."""
        self._insert(
            "signature",
            agreement_id=agreement.id,
            version=agreement.version,
            document_hash=agreement.document_hash,
            **msgspec.structs.asdict(one),
        )

    def add_change(self, one: Change) -> None:
        """An item changes its state, now or later."""
        self._insert("item_change", **msgspec.structs.asdict(one))

    def add_order(self, one: Order) -> None:
        """Somebody asks for items."""
        self._insert(
            "provisioning_order",
            **_of(one, "id requester at_ns due_ns"),
            item_ids=_encode(one.item_ids).decode(),
            form=_encode(one.form).decode(),
        )

    def add_price(self, one: Price) -> None:
        """A price, from an instant on."""
        # Every tier says its bound, null for none, so that the database can look.
        tiers = [{**msgspec.to_builtins(tier), "up_to": tier.up_to} for tier in one.tiers]
        names = "id price_list service network currency from_ns to_ns"
        self._insert("price", **_of(one, names), tiers=_encode(tiers).decode())

    def add_entitlements(self, some: Iterable[Entitlement]) -> None:
        """Holders are licensed."""
        names = "id item_id holder metric quantity from_ns to_ns order_id"
        for one in some:
            self._insert("entitlement", **_of(one, names))

    def add_rule(self, one: Rule) -> None:
        """A new rule, or a new version of one."""
        self._insert("rule", **_of(one, "id version name from_ns to_ns"), body=_text(one))

    def add_member(self, one: Group) -> None:
        """Somebody joins a group."""
        self._insert("member", **_of(one, "name member from_ns to_ns"))

    def add_consent(self, one: Consent) -> None:
        """A user says yes or no; what the user said before ends."""
        key = {"user": one.user, "operator_id": one.operator_id, "service": one.service}
        self.end("consent", one.from_ns, **key)
        self._insert("consent", **key, from_ns=one.from_ns, to_ns=one.to_ns, given=int(one.given))

    def end(self, table: str, to_ns: Nanos, **which: Any) -> int:
        """What holds at that instant or begins later ends then, or never begins; how many rows that were."""
        where = " AND ".join(f'"{name}" = ?' for name in which)
        return self._connection.execute(
            f"UPDATE {table} SET to_ns = max(from_ns, ?)"
            f" WHERE {where} AND (to_ns IS NULL OR to_ns > max(from_ns, ?))",
            (to_ns, *which.values(), to_ns),
        ).rowcount

    # -- reading ---------------------------------------------------------------------------------------

    def _rows(self, query: str, *parameters: Any) -> list[sqlite3.Row]:
        return self._connection.execute(query, parameters).fetchall()

    @property
    def epoch(self) -> int:
        """How many deeds there have been."""
        return int(self._rows("SELECT coalesce(max(seq), 0) FROM deed")[0][0])

    def snapshot(self) -> Written:
        """All that counts, read at one moment."""
        self._connection.execute("BEGIN")
        try:
            versions = self.versions()
            return Written(
                epoch=self.epoch,
                operators=_succeeding(self.operators()),
                holdings=self.holdings(),
                agreements=_succeeding([_signed(one) for one in versions if len(one.signatures) == 2]),
                items=self.items(),
                changes=self.all_changes(),
                entitlements=self.entitlements(),
                rules=_succeeding(self.rules()),
                groups=[
                    Group(**row) for row in self._dicts("SELECT name, member, from_ns, to_ns FROM member")
                ],
                consents=msgspec.convert(self._dicts("SELECT * FROM consent"), list[Consent], strict=False),
            )
        finally:
            self._connection.execute("COMMIT")

    def _dicts(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in self._rows(query, *parameters)]

    def operators(self) -> list[Operator]:
        """All versions, as they were written."""
        return self._bodies(Operator, "SELECT body, to_ns FROM operator ORDER BY id, version")

    def rules(self) -> list[Rule]:
        """All versions, as they were written."""
        return self._bodies(Rule, "SELECT body, to_ns FROM rule ORDER BY id, version")

    def _bodies(self, kind: type[T], query: str) -> list[T]:
        decoder = msgspec.json.Decoder(kind)
        found: list[Any] = []
        for body, to_ns in self._rows(query):
            one: Any = decoder.decode(body)
            found.append(one if one.to_ns == to_ns else msgspec.structs.replace(one, to_ns=to_ns))
        return found

    def holdings(self) -> list[Holding]:
        """Which domain is, was and will be whose."""
        return [Holding(**row) for row in self._dicts("SELECT * FROM holding ORDER BY domain, from_ns")]

    def versions(self, agreement_id: str = "") -> list[Agreement]:
        """All versions of that agreement, or of all, with their signatures."""
        signed: dict[tuple[str, int], list[Signature]] = defaultdict(list)
        which, given = ("WHERE agreement_id = ?", (agreement_id,)) if agreement_id else ("", ())
        for row in self._rows(f"SELECT * FROM signature {which} ORDER BY at_ns", *given):
            signed[row["agreement_id"], row["version"]].append(
                Signature(
                    operator_id=row["operator_id"],
                    key=row["key"],
                    signature=row["signature"],
                    at_ns=row["at_ns"],
                )
            )
        which = "WHERE id = ?" if agreement_id else ""
        columns = "id, version, name, a, b, from_ns, to_ns, document_hash, offer, regulatory"
        return [
            Agreement(
                **row,
                signatures=tuple(signed[row["id"], row["version"]]),
                supersedes=row["version"] - 1 or None,
            )
            for row in self._dicts(f"SELECT {columns} FROM agreement {which} ORDER BY id, version", *given)
        ]

    def document(self, agreement_id: str, version: int) -> str:
        """What is signed. Raises KeyError."""
        rows = self._rows(
            "SELECT document FROM agreement WHERE id = ? AND version = ?", agreement_id, version
        )
        if not rows:
            raise KeyError(agreement_id)
        return str(rows[0][0])

    def items(self, agreement_id: str = "") -> list[Item]:
        """The items of all versions, as they were written."""
        which, given = ("WHERE agreement_id = ?", (agreement_id,)) if agreement_id else ("", ())
        decoder = msgspec.json.Decoder(Item)
        rows = self._rows(f"SELECT body FROM item {which} ORDER BY id, version", *given)
        return [decoder.decode(row[0]) for row in rows]

    def changes(self, item_id: str) -> list[Change]:
        """The life of an item, in order."""
        rows = self._dicts("SELECT * FROM item_change WHERE item_id = ? ORDER BY seq", item_id)
        return msgspec.convert(rows, list[Change])

    def all_changes(self) -> dict[str, list[Change]]:
        """The lives of all items."""
        found: dict[str, list[Change]] = defaultdict(list)
        rows = self._dicts("SELECT * FROM item_change ORDER BY item_id, seq")
        for change in msgspec.convert(rows, list[Change]):
            found[change.item_id].append(change)
        return found

    def orders(self) -> list[Order]:
        """All orders, oldest first."""
        rows = self._dicts("SELECT * FROM provisioning_order ORDER BY id")
        return [
            msgspec.convert(
                {
                    **row,
                    "item_ids": msgspec.json.decode(row["item_ids"]),
                    "form": msgspec.json.decode(row["form"]),
                },
                Order,
            )
            for row in rows
        ]

    def prices(self, price_list: str = "") -> list[Price]:
        """The prices of that list, or of all."""
        which, given = ("WHERE price_list = ?", (price_list,)) if price_list else ("", ())
        rows = self._dicts(f"SELECT * FROM price {which} ORDER BY price_list, from_ns", *given)
        return msgspec.convert(
            [{**row, "tiers": msgspec.json.decode(row["tiers"])} for row in rows], list[Price]
        )

    def entitlements(self, item_id: str = "") -> list[Entitlement]:
        """The entitlements for that item, or for all."""
        which, given = ("WHERE item_id = ?", (item_id,)) if item_id else ("", ())
        query = f"SELECT * FROM entitlement {which} ORDER BY item_id, holder, from_ns"
        return msgspec.convert(self._dicts(query, *given), list[Entitlement])

    def offers(self) -> list[Offer]:
        """All versions of all offers."""
        return [Offer(**row) for row in self._dicts("SELECT * FROM offer ORDER BY name, version")]

    def deeds(self, *, most: int = 100) -> list[Deed]:
        """What was done, newest first."""
        rows = self._rows("SELECT * FROM deed ORDER BY seq DESC LIMIT ?", most)
        return [
            Deed(
                epoch=row["seq"],
                at_ns=row["at_ns"],
                actor=row["actor"],
                what=row["what"],
                data=msgspec.json.decode(row["data"]),
            )
            for row in rows
        ]


class Written:
    """A `Snapshot` in memory."""

    def __init__(
        self,
        *,
        epoch: int,
        operators: list[Operator],
        holdings: list[Holding],
        agreements: list[Agreement],
        items: list[Item],
        changes: dict[str, list[Change]],
        entitlements: list[Entitlement],
        rules: list[Rule],
        groups: list[Group],
        consents: list[Consent],
    ) -> None:
        self.epoch = epoch
        self._operators = operators
        self._holdings = holdings
        self._agreements = agreements
        self._items = items
        self._changes = changes
        self._entitlements = entitlements
        self._rules = rules
        self._groups = groups
        self._consents = consents

    def operators(self) -> Iterable[Operator]:
        """See `Snapshot`."""
        return self._operators

    def holdings(self) -> Iterable[Holding]:
        """See `Snapshot`."""
        return self._holdings

    def agreements(self) -> Iterable[Agreement]:
        """See `Snapshot`."""
        return self._agreements

    def items(self) -> Iterable[Item]:
        """See `Snapshot`."""
        spans = {(one.id, one.version): (one.from_ns, one.to_ns) for one in self._agreements}
        for item in self._items:
            span = spans.get((item.agreement_id, item.version))
            if span is not None:
                yield msgspec.structs.replace(item, from_ns=span[0], to_ns=span[1])

    def standings(self) -> Iterable[Standing]:
        """See `Snapshot`."""
        for item_id, changes in self._changes.items():
            yield from course(item_id, changes)

    def entitlements(self) -> Iterable[Entitlement]:
        """See `Snapshot`."""
        return self._entitlements

    def rules(self) -> Iterable[Rule]:
        """See `Snapshot`."""
        return self._rules

    def groups(self) -> Iterable[Group]:
        """See `Snapshot`."""
        return self._groups

    def consents(self) -> Iterable[Consent]:
        """See `Snapshot`."""
        return self._consents


def _signed(one: Agreement) -> Agreement:
    """It counts from the last signature on, if that came later than it says itself."""
    return msgspec.structs.replace(one, from_ns=max(one.from_ns, *(by.at_ns for by in one.signatures)))


def _of(one: msgspec.Struct, names: str) -> dict[str, Any]:
    return {name: getattr(one, name) for name in names.split()}


def _text(one: msgspec.Struct) -> str:
    return _encode(one).decode()


def _succeeding(versions: list[T]) -> list[T]:
    """Each version ends where the next of the same id begins; they come in order."""
    found: list[Any] = []
    for version in versions:
        one: Any = version
        before = found[-1] if found else None
        if (
            before is not None
            and before.id == one.id
            and (before.to_ns is None or before.to_ns > one.from_ns)
        ):
            found[-1] = msgspec.structs.replace(before, to_ns=one.from_ns)
        found.append(one)
    return found
