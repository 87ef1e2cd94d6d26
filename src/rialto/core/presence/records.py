"""A watch as the store has it, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from sys import intern

import msgspec

from rialto.core.network import Verb
from rialto.core.presence import history
from rialto.core.presence.watch import Watch
from rialto.model.address import Address
from rialto.model.errors import Reason, Refused
from rialto.model.presence import Document, Grant, Pair
from rialto.store import units
from rialto.store.store import WatchRow

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Document] = msgspec.msgpack.Decoder(Document)

_SAME = b""
"""In `told`: the same as `document`."""


MAX_STATES = 64
"""Nobody is online in more places than this."""


def check(document: Document) -> None:
    """Raises Refused for a document that is not fit to be kept."""
    if len(document.states) > MAX_STATES:
        raise Refused(Reason.TOO_LARGE, f"presence of more than {MAX_STATES} instances")
    try:
        _encoder.encode(document)
    except UnicodeEncodeError:
        raise Refused(Reason.BAD_REQUEST, "there is something in the presence that is not Unicode") from None


def written(watch: Watch) -> units.Unit:
    """What writes it, as it is now; what is not yet on disk of history and data is taken along."""
    pair, document, told = watch.pair, watch.document, watch.told_document
    data, watch.fresh_data = watch.fresh_data or {}, None
    entries, watch.entries = watch.entries or [], None
    return [
        (
            units.WRITE_WATCH,
            (
                pair.watcher.local, pair.watcher.domain, pair.presentity.local, pair.presentity.domain,
                watch.watcher_peer, watch.presentity_peer, watch.grant.value,
                watch.reason.value if watch.reason is not None else "", watch.text, watch.note,
                watch.changed_at, int(watch.listening), watch.until,
                watch.owed.value if watch.owed is not None else "",
                _encoder.encode(document) if document is not None else None,
                watch.told_grant.value,
                None if told is None else _SAME if watch.told_all else _encoder.encode(told),
                data.get("watcher"), data.get("presentity"), history.encode(entries),
            ),
        )
    ]  # fmt: skip


def removed(watch: Watch) -> units.Unit:
    """What takes it off the disk."""
    pair = watch.pair
    key = (pair.watcher.local, pair.watcher.domain, pair.presentity.local, pair.presentity.domain)
    return [(units.REMOVE_WATCH, key)]


def read(rows: Iterable[WatchRow]) -> Iterator[tuple[Watch, bytes | None, bytes | None]]:
    """Each watch, with what the watcher's and the presentity's network have kept.

    Addresses are shared: a person who watches fifty is one object. Rows that cannot be understood (a later
    release wrote them) are passed over; they stay on disk.
    """
    people: dict[tuple[str, str], Address] = {}

    def person(local: str, domain: str) -> Address:
        found = people.get((local, domain))
        if found is None:
            found = people[(local, domain)] = Address(local, intern(domain))
        return found

    for row in rows:
        pair = Pair(
            person(row.watcher_local, row.watcher_domain), person(row.presentity_local, row.presentity_domain)
        )
        try:
            watch = _watch(pair, row)
        except (ValueError, msgspec.DecodeError):
            continue
        yield watch, row.watcher_data or None, row.presentity_data or None


def _watch(pair: Pair, row: WatchRow) -> Watch:
    watch = Watch(pair, intern(row.watcher_peer), intern(row.presentity_peer), row.changed_at)
    watch.durable = True
    watch.grant, watch.told_grant = Grant(row.state), Grant(row.told_state)
    watch.reason = Reason(row.reason) if row.reason else None
    watch.text, watch.note = row.text, row.note
    watch.listening, watch.until = bool(row.listening), row.until
    watch.owed = Verb(row.owed) if row.owed else None
    watch.document = document = _decoder.decode(row.document) if row.document is not None else None
    if row.told is not None:
        watch.told_document = document if row.told == _SAME else _decoder.decode(row.told)
    # What was missed while nobody listened is not known; those who listen are asked about at once.
    watch.live = watch.listening
    return watch
