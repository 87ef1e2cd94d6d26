"""Why somebody is shown as they are, in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rialto.core.network import Verb
from rialto.core.presence import history, records
from rialto.core.presence.watch import Watch
from rialto.model.presence import Document, Grant, Pair, Show
from rialto.store.store import WatchRow

Clock = Callable[[float], str]
"""How a time is written."""


def key(pair: Pair) -> tuple[tuple[str, str], tuple[str, str]]:
    """What the store calls the pair."""
    return (pair.watcher.local, pair.watcher.domain), (pair.presentity.local, pair.presentity.domain)


def account(pair: Pair, watch: Watch | None, row: WatchRow | None) -> dict[str, Any]:
    """What is known of a pair, for people and programs: from memory, from disk, or from both."""
    if watch is None and row is not None:
        watch = next((found for found, _, _ in records.read([row])), None)
    if watch is None:
        return {"known": False, "sentence": nobody(pair.watcher, pair.presentity), "history": []}
    entries = [*history.decode(row.history if row is not None else ""), *(watch.entries or ())]
    return {
        "known": True,
        "sentence": explain(watch, _local),
        "grant": watch.grant.value,
        "since": watch.changed_at,
        "listening": watch.listening,
        "history": [{"at": at, "what": what, "text": text} for at, what, text in entries],
    }


def _local(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def explain(watch: Watch, written: Clock) -> str:
    """The sentence; the first cause that applies is the one that matters."""
    watcher, presentity = watch.pair.watcher, watch.pair.presentity
    since = written(watch.changed_at)
    match watch.grant:
        case Grant.NONE:
            if watch.owed is Verb.GIVE_BACK:
                return f"{watcher} gave the authorization back at {since}; {_failing(watch, written)}"
            return f"{watcher} has no authorization to see {presentity}, and has not asked for one"
        case Grant.PENDING:
            if watch.failures or watch.owed is Verb.ASK:
                where = presentity.domain
                return f"{watcher} asked at {since}, and {where} does not have the request yet; " + _failing(
                    watch, written
                )
            return f"{watcher} asked at {since}, and {presentity} has not decided"
        case Grant.REFUSED:
            why = f": {watch.text}" if watch.text else ""
            code = f" ({watch.reason.value})" if watch.reason is not None else ""
            return f"{presentity} said no at {since}{why}{code}"
        case Grant.GRANTED:
            return _granted(watch, written)


def nobody(watcher: object, presentity: object) -> str:
    """The sentence for a pair that is unknown."""
    return f"{watcher} has never asked to see {presentity}, or has given it back"


def _granted(watch: Watch, written: Clock) -> str:
    watcher, presentity, document = watch.pair.watcher, watch.pair.presentity, watch.document
    if not watch.listening:
        return f"{watcher} may see {presentity}, but has no session in which to be told"
    if document is None:
        return f"{watcher} may see {presentity}, of whom nothing is known; {_failing(watch, written)}"
    at = written(document.as_of)
    if document.stale:
        return (
            f"{presentity} was {_look(document)} at {at}, and is shown as stale; {_failing(watch, written)}"
        )
    if watch.visible() is None:
        return f"{presentity} was {_look(document)} at {at}, before this session; {_failing(watch, written)}"
    if watch.news():
        return f"{presentity} is {_look(document)} since {at}, and {watcher} has not been told yet"
    return f"{presentity} is {_look(document)}, as {presentity.domain} said at {at}"


def _look(document: Document) -> str:
    if not document.online:
        return "offline"
    shows = {state.show for state in document.states} - {Show.AVAILABLE}
    words = ", ".join(sorted(show.value for show in shows))
    return f"online ({words})" if words else "online"


def _failing(watch: Watch, written: Clock) -> str:
    domain = watch.pair.presentity.domain
    if watch.failures:
        why = f": {watch.text}" if watch.text else ""
        again = f"; it is asked again at {written(watch.retry_at)}" if watch.retry_at else ""
        return f"{domain} has not answered since {written(watch.failing_since)}{why}{again}"
    if watch.say is not None and watch.queued:
        return f"{domain} is about to be asked"
    if watch.owed is not None:
        return f"{domain} has been asked and has not answered yet"
    return f"{domain} has said nothing more"
