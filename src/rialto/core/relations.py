"""What a message speaks of: from its sender's name for an earlier message to ours, and to the recipient's.

Each side calls a message what it learnt with it: its writer by the writer's own id, its reader by the id that
we wrote. An earlier message of these two people is found by our id; by its writer's stable name, if it is
under way or ended lately; else on disk by the id that its writer gave it. What cannot be found is said in
words (see `wording`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from msgspec.structs import replace

from rialto.core import records
from rialto.core.item import Item
from rialto.core.network import Peer, same_person
from rialto.core.register import Register
from rialto.model.address import Address
from rialto.model.errors import AddressError
from rialto.model.message import Message, Relation, RelationKind
from rialto.store.store import Store

QUOTE_CHARACTERS = 400
MAX_LOOKUPS = 200
"""So many at a time; what comes on top of that is said in words."""

_ID_CHARACTERS = 23
_OWN_ONLY = (RelationKind.REPLACE, RelationKind.RETRACT)

_log = structlog.get_logger(__name__)


class Relations:
    """Finds what messages speak of; `ready(item)` is called when the disk has been asked."""

    def __init__(self, store: Store, register: Register, ready: Callable[[Item], None]) -> None:
        self._store = store
        self._register = register
        self._ready = ready
        self._tasks: set[asyncio.Task[None]] = set()

    def known(self, message: Message, peer: Peer) -> Message:
        """The message, related to what is in memory; as it was where that is not enough.

        Whatever its sender's side may have said of our ids, it does not know them.
        """
        relation = message.relation
        if relation is None:
            return message
        relation = replace(relation, about="")
        return replace(message, relation=from_memory(message, relation, peer, self._register) or relation)

    def look_up(self, item: Item) -> None:
        """Ask the disk, if the item speaks of something that is not known; it is not ready meanwhile."""
        message = item.whole
        item.ready = True
        if not isinstance(message, Message) or message.relation is None or message.relation.about:
            return
        if len(self._tasks) >= MAX_LOOKUPS:
            return
        item.ready = False
        task = asyncio.get_running_loop().create_task(self._look_up(item, message, message.relation))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until all that was begun has been done."""
        await asyncio.gather(*self._tasks)

    async def _look_up(self, item: Item, message: Message, relation: Relation) -> None:
        try:
            found = await asyncio.to_thread(from_disk, message, relation, self._store)
        except Exception as error:  # then it is said in words
            _log.error("a relation could not be looked up", message=item.id, error=str(error))
            found = None
        if found is not None:
            item.whole = replace(message, relation=found)
        self._ready(item)


def from_memory(message: Message, relation: Relation, peer: Peer, register: Register) -> Relation | None:
    """The relation with the recipient's name for what it speaks of; None where the disk has to be asked.

    `peer` is the sender's.
    """
    item = register.get(_ours(relation.target))
    if item is None:
        known = register.known(records.name_key(peer, message.sender, message.recipient, relation.target))
        if isinstance(known, tuple):
            message_id = known[2]
            return replace(relation, target=message_id, about=message_id)
        item = known
    whole = item.whole if item is not None else None
    if not isinstance(whole, Message):
        return None
    return _told(message, relation, whole.id, whole.sender, whole.recipient, whole.origin_id, whole.text)


def from_disk(message: Message, relation: Relation, store: Store) -> Relation | None:
    """The same from the store; blocks. None where there is no such message."""
    ours = _ours(relation.target)
    row = store.row(ours) if ours else None
    rows = [row] if row is not None else store.by_origin_id(relation.target)
    for row in rows:
        if row.type != "message":
            continue
        try:
            sender, recipient = Address.parse(row.sender), Address.parse(row.recipient)
        except AddressError:  # written by an earlier release with other rules
            continue
        content = records.readable(row)
        text = content.text if isinstance(content, Message) else ""
        found = _told(message, relation, row.id, sender, recipient, row.origin_id, text)
        if found is not None:
            return found
    return None


def _ours(target: str) -> str:
    """The id of ours in a name, without the number of a part; empty if it cannot be one."""
    message_id = target.partition(".")[0]
    return message_id if len(message_id) == _ID_CHARACTERS else ""


def _told(
    message: Message,
    relation: Relation,
    about: str,
    sender: Address,
    recipient: Address,
    origin_id: str,
    text: str,
) -> Relation | None:
    """The relation for the recipient's eyes, if the earlier message was between the same two people."""
    if same_person(sender, message.sender) and same_person(recipient, message.recipient):
        target = about  # the recipient knows it by what we wrote
    elif same_person(sender, message.recipient) and same_person(recipient, message.sender):
        if relation.kind in _OWN_ONLY:
            return None  # nobody corrects or takes back what another wrote
        target = origin_id
    else:
        return None
    if not target:
        return None
    quote = relation.quote or text[:QUOTE_CHARACTERS]
    return replace(relation, target=target, about=about, quote=quote)
