"""Threads and Call-IDs: one to one, both ways (RFC 7572 tables 1 and 2).

A thread is any text, a Call-ID is `word ["@" word]` (RFC 3261 section 25.1). A thread that reads as a Call-ID
is written as it stands, so that the Call-ID of a SIP user comes back to it unchanged; every other thread is
escaped behind a mark, and so is one that starts with that mark.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

MARK = "thread."
MAX_CALL_ID = 255

_WORD = r"[A-Za-z0-9\-.!%*_+`'~()<>:\\\"/\[\]?{}]+"
_CALL_ID = re.compile(rf"{_WORD}(?:@{_WORD})?\Z", re.ASCII)
_SAFE = "-.!*_+~"


def call_id_from(thread: str) -> str | None:
    """The Call-ID for a thread; None for one that is too long to be carried."""
    if _CALL_ID.match(thread) and not thread.startswith(MARK):
        return thread if len(thread) <= MAX_CALL_ID else None
    call_id = MARK + quote(thread, safe=_SAFE)
    return call_id if len(call_id) <= MAX_CALL_ID and thread else None


def thread_from(call_id: str) -> str:
    """The thread that a Call-ID stands for: the inverse of `call_id_from` on what that makes."""
    if not call_id.startswith(MARK):
        return call_id
    try:
        thread = unquote_to_bytes(call_id[len(MARK) :]).decode("utf-8")
    except UnicodeDecodeError:
        return call_id
    return thread if call_id_from(thread) == call_id else call_id
