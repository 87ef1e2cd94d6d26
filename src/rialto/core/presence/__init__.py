"""Presence: who watches whom, what was allowed, what is known, and who has been told.

## Theory of operation

Everything hangs on a `Watch`: one pair of watcher and presentity. Two people who watch each other are two
of them, and neither knows of the other (RFC 8048 section 5.2.3). What happens to a watch is an `Event`; the
table in `machine` says what follows from it under the present `Grant`. That table is all of the logic; the
rest of this folder sees to it that what follows does follow, once, after a crash too, and not all at once.

**What is wanted, not what to do.** Nobody keeps a list of things to be sent. A watch says how things are
(`grant`, `document`), what the watcher was told (`told_grant`, `told_document`), and what the far side has
yet to answer (`owed`). The watcher is told whenever the first two differ; the far side is asked until it has
answered. Ten changes in one turn of the loop are one change; a change that is undone is none.

**The disk first.** A watch that has changed is written, and only then told (`presence` puts both into one
turn). So after a crash the watcher may be told again what it knows, which no screen shows, but an instance
that was announced is always on disk, and can be taken off the screen when it has gone. That it was told is
written later, together with other things. Within one commit a pair is written once, so that the order of
statements in `store.units` cannot matter.

**Little by little.** Whoever asks about many people at once, a restart above all, goes through `pace`: a
budget a second, in random order. What people do goes before what we do ourselves.

**Time.** One `agenda` with at most one entry a watch that is in force; refreshing a session moves no
entry, it is looked at again when it comes up. Watches without a deadline cost the clock nothing.

**Age.** A far side that fails to answer for `stale_after_s`, or whose network says `silent`, leaves a stale
document. Every watched pair is also compared with its far side once in `audit_every_s`, in turn.
"""

from __future__ import annotations

from rialto.core.presence.presence import Presence
from rialto.core.presence.settings import PresenceSettings

__all__ = ["Presence", "PresenceSettings"]
