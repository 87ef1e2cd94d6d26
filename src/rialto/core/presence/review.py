"""What is watched, whenever somebody may have lost or regained leave to watch.

Who has lost it is shown nothing more: a session ends as one does that has run out, and the authorization
stays, for it is the watched one's and not the operators'. What was only asked for is refused. With the leave
a session comes back by itself where it would have lasted (an XMPP user's); a dialog that has an end is for
its watcher to begin anew.
"""

from __future__ import annotations

from rialto.core.policy.gate import Gate
from rialto.core.presence.course import Course
from rialto.core.presence.machine import Event
from rialto.core.presence.watch import Watch, clean
from rialto.model.agreement import Traffic
from rialto.model.presence import Grant

AT_ONCE = 500
"""So many are looked at in one turn of the loop."""


class Review:
    """Goes through all watches, some at a time; begins anew where the last one was not finished."""

    def __init__(self, course: Course, gate: Gate) -> None:
        self._course = course
        self._gate = gate
        self._left: list[Watch] = []
        self._running = False
        self._held: dict[Watch, None] = {}
        """Sessions that ended for want of leave, and would have lasted."""

    def begin(self) -> None:
        """Somebody may have lost leave, or regained it."""
        if self._gate.leave is None and not self._held:
            return
        self._left = list(self._course.book)
        if not self._running:
            self._running = True
            self._some()

    def _some(self) -> None:
        few, self._left = self._left[:AT_ONCE], self._left[AT_ONCE:]
        for watch in few:
            if self._course.book.find(watch.pair) is watch:
                self._look(watch)
        self._running = bool(self._left)
        if self._running:
            self._course.later(0.0, self._some)
        else:
            self._held = {one: None for one in self._held if self._course.book.find(one.pair) is one}

    def _look(self, watch: Watch) -> None:
        pair, course = watch.pair, self._course
        refusal = self._gate.refusal(pair.watcher, pair.presentity, Traffic.PRESENCE)
        if refusal is None:
            if watch in self._held:
                del self._held[watch]
                if watch.grant in (Grant.PENDING, Grant.GRANTED) and not watch.listening:
                    course.note(watch, "leave regained", "")
                    course.happen(watch, Event.OPEN)
        elif watch.grant is Grant.PENDING:
            watch.reason, watch.text = refusal.reason, clean(refusal.text)
            course.happen(watch, Event.REFUSED, watch.text)
        elif watch.listening:
            if watch.until is None:
                self._held[watch] = None
            course.note(watch, "leave lost", refusal.text)
            course.happen(watch, Event.RUN_OUT)

    def forget(self, watch: Watch) -> None:
        """Its watcher has gone: nothing is to come back."""
        self._held.pop(watch, None)
