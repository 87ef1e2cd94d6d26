"""Publishing somebody's presence at a presence server (RFC 3903 section 4), sans-I/O.

    entity tag   document   Expires
    none         whole      > 0       the first, and after a 412
    known        whole      > 0       modifies
    known        none       > 0       refreshes
    known        none       0         removes

That table is all there is to send; which row is due follows from what is wanted (`publish`, `withdraw`), from
what the server has, and from the time. One request at a time (section 4.1); what changes meanwhile waits, and
only the latest is sent. Who owns the machine composes the document when it is due.

`now` is in seconds since 1970. What is to outlive a restart: the entity tag, and until when it is good.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from rialto.networks.sip.wire.errors import BadMessage
from rialto.networks.sip.wire.eventing import PRESENCE, expires_of
from rialto.networks.sip.wire.message import Request, Response

RETRY_S: Final = 60.0
RETRY_MOST_S: Final = 3600.0
REFRESH_LEAST_S: Final = 5.0
MAX_ETAG: Final = 256
MAX_IN_A_ROW: Final = 3
"""How often 412 and 423 are taken for an answer, one after the other."""
_EPOCH: Final = 1_577_836_800  # 2020-01-01: CSeq follows the clock, and so goes on growing after a crash

HOPELESS: Final = frozenset({400, 403, 404, 405, 406, 410, 413, 415, 416, 484, 489, 501, 604})
"""Asked again, these would be answered the same; it is tried again only when an hour has passed."""

Compose = Callable[[], tuple[bytes, str]]
"""The document and its type; empty for nothing to show."""


class KeptPublication(msgspec.Struct, array_like=True):
    """What outlives a restart."""

    call_id: str
    tag: str
    etag: str
    expires_at: float


class Publisher:
    """See the module. `uri` is whose presence it is; `ask_s` for how long; `spread` gives 0 to 1."""

    __slots__ = (
        "_ask_s", "_call_id", "_cseq", "_due_at", "_every_s", "_fails", "_in_a_row", "_last_at", "_news",
        "_refresh_at", "_sent_s", "_spread", "_tag", "_under_way", "_wanted", "changed", "etag", "expires_at",
        "uri",
    )  # fmt: skip

    def __init__(
        self,
        uri: str,
        *,
        call_id: str,
        tag: str,
        ask_s: int,
        every_s: float,
        spread: Callable[[], float],
    ) -> None:
        self.uri = uri
        self.etag = ""
        self.expires_at = 0.0
        self.changed = False
        """Whether there is something to be written down; whoever does so sets it to False."""
        self._call_id = call_id
        self._tag = tag
        self._ask_s = ask_s
        self._every_s = every_s
        self._spread = spread
        self._cseq = 0
        self._wanted = False
        self._news = False
        self._under_way = False
        self._sent_s = 0
        self._due_at = 0.0
        self._refresh_at = 0.0
        self._last_at = 0.0
        self._fails = 0
        self._in_a_row = 0

    # -- what is wanted --------------------------------------------------------------------------------

    def publish(self, now: float) -> None:
        """There is a document, or a new one."""
        self._wanted = self._news = True
        if not self._due_at:
            self._due_at = max(now, self._last_at + self._every_s)

    def withdraw(self, now: float) -> None:
        """There is nothing to show any more."""
        self._wanted = self._news = False
        self._refresh_at = 0.0
        self._due_at = now if self.etag else 0.0

    @property
    def over(self) -> bool:
        """Whether nothing is at the server, nor on its way."""
        return not (self._wanted or self._under_way or self.etag)

    # -- what comes ------------------------------------------------------------------------------------

    def receive_response(self, response: Response, now: float, retry_after_s: float | None = None) -> None:
        """The final response; challenges have been met before."""
        self._under_way = False
        status = response.status
        if status < 300:
            self._accepted(response, now)
        elif not self._sent_s:  # the server will forget it in time
            self._forget()
        elif status == 412 and self.etag and self._in_a_row < MAX_IN_A_ROW:
            self._in_a_row += 1
            self._forget()  # section 4.1.3: it is gone there; publish anew
            self._news, self._due_at = True, now
        elif status == 423 and self._in_a_row < MAX_IN_A_ROW and _least(response) > self._ask_s:
            self._in_a_row += 1
            self._ask_s = _least(response)
            self._due_at = now
        else:
            self._again(now, RETRY_MOST_S if status in HOPELESS else retry_after_s)

    def request_failed(self, now: float, retry_after_s: float | None = None) -> None:
        """No final response came, or the PUBLISH could not be sent."""
        self._under_way = False
        if self._sent_s:
            self._again(now, retry_after_s)
        else:
            self._forget()

    # -- what is to be done ----------------------------------------------------------------------------

    def next_request(self, now: float, compose: Compose) -> Request | None:
        """A PUBLISH to send now, without Via."""
        if self._under_way or not self._due_at or self._due_at > now:
            return None
        self._due_at = 0.0
        body, kind = b"", ""
        if self._wanted and (self._news or not self.etag):
            body, kind = compose()
            if not body and not self.etag:
                return None  # nothing is known; `publish` comes when something is
            self._last_at = now
        elif not self.etag:
            return None
        self._news = False
        self._under_way = True
        self._refresh_at = 0.0
        self._sent_s = self._ask_s if self._wanted else 0
        return self._request(now, body, kind)

    def _request(self, now: float, body: bytes, kind: str) -> Request:
        headers = [
            ("Max-Forwards", "70"),
            ("From", f"<{self.uri}>;tag={self._tag}"),
            ("To", f"<{self.uri}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self.next_cseq(now)} PUBLISH"),
            ("Event", PRESENCE),
            ("Expires", str(self._sent_s)),
        ]
        if self.etag:
            headers.append(("SIP-If-Match", self.etag))
        if body:
            headers.append(("Content-Type", kind))
        return Request("PUBLISH", self.uri, headers, body)

    def next_cseq(self, now: float) -> int:
        """The number for the next request."""
        self._cseq = max(self._cseq + 1, int(now) - _EPOCH, 1)
        return self._cseq

    def next_timer(self) -> float | None:
        """When `handle_timer` and `next_request` must be called at the latest."""
        if self._under_way:
            return None
        return min((at for at in (self._due_at, self._refresh_at) if at), default=None)

    def handle_timer(self, now: float) -> None:
        """Let time pass; `next_request` gives what has become due."""
        if self.etag and self.expires_at <= now:  # too late for a refresh
            self._forget()
            self._news = self._wanted
            self._due_at = now if self._wanted else 0.0
        elif self._refresh_at and self._refresh_at <= now:
            self._refresh_at = 0.0
            self._due_at = self._due_at or now

    # -- what outlives a restart -----------------------------------------------------------------------

    def kept(self) -> KeptPublication | None:
        """What to write down; None where there is nothing at the server."""
        return KeptPublication(self._call_id, self._tag, self.etag, self.expires_at) if self.etag else None

    def resume(self, kept: KeptPublication, now: float) -> bool:
        """Take up what was written down; False if it has run out since."""
        if kept.expires_at <= now or not kept.etag:
            return False
        self._call_id, self._tag = kept.call_id, kept.tag
        self.etag, self.expires_at = kept.etag, kept.expires_at
        self._wanted = True
        self._refresh_at = now + (kept.expires_at - now) * (0.5 + 0.4 * self._spread())
        return True

    # -- the engine ------------------------------------------------------------------------------------

    def _accepted(self, response: Response, now: float) -> None:
        self._fails = self._in_a_row = 0
        if not self._sent_s:
            self._forget()
            return
        etag = (response.get("SIP-ETag") or "").strip()
        try:
            lasts_s = expires_of(response)
        except BadMessage:
            lasts_s = None
        # Section 6 step 5: both must be there. Without a tag nothing can be said about it again.
        self.etag = etag if len(etag) <= MAX_ETAG else ""
        lasts_s = self._sent_s if lasts_s is None else min(lasts_s, self._sent_s)
        self.expires_at = now + lasts_s
        self._refresh_at = now + max(REFRESH_LEAST_S, lasts_s * (0.75 + 0.15 * self._spread()))
        self.changed = True
        if not self._wanted:
            self.withdraw(now)  # it was taken back while it was being published

    def _again(self, now: float, retry_after_s: float | None) -> None:
        """What could not be said is said later; the latest, if there is another by then."""
        wait_s = min(RETRY_MOST_S, RETRY_S * 2.0 ** min(self._fails, 10))
        self._fails += 1
        self._in_a_row = 0
        if not self._wanted:
            self.withdraw(now)
            return
        self._news = True
        self._due_at = now + max(wait_s, retry_after_s or 0.0) * (0.75 + 0.5 * self._spread())

    def _forget(self) -> None:
        self.etag = ""
        self.expires_at = self._refresh_at = 0.0
        self.changed = True
        if not self._wanted:
            self._due_at = 0.0


def _least(response: Response) -> int:
    """Min-Expires of a 423; 0 where it can not be read."""
    try:
        return expires_of(response, "Min-Expires") or 0
    except BadMessage:
        return 0
