"""Page or session: which way a message goes, and what a refused session means. Pure, and in tables.

`auto`, the default: a session that is open is used; what fits into one MESSAGE goes as that; what does not
opens a session, unless its recipient has turned one down lately. `always`: a conversation opens a session
(RFC 7573 section 4). `never`: everything goes page by page. Whoever turns a session down gets pages
(SES-4), unless the answer says that there is nobody: then a page would fare no better.
"""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

Setting = Literal["auto", "always", "never"]


class Way(enum.Enum):
    """Where a message goes."""

    PAGE = "page"
    SESSION = "session"
    """Over the one that is open."""
    HOLD = "hold"
    """It waits for the one that is being opened."""
    OPEN = "open"


class Facts(msgspec.Struct, frozen=True):
    """What the choice depends on."""

    setting: Setting
    is_message: bool
    """Rather than a report or a receipt."""
    is_conversation: bool = True
    """Rather than a headline, or a program's answer."""
    has_session: bool = False
    is_opening: bool = False
    fits: bool = True
    """It is no longer than a page may be."""
    declined: bool = False
    """The recipient has turned a session down lately."""
    full: bool = False
    """There are as many sessions as there may be."""


def way(facts: Facts) -> tuple[Way, str]:
    """Where to, and why in words."""
    if facts.has_session:
        return Way.SESSION, "a session is open"
    if not facts.is_message or facts.setting == "never":
        return Way.PAGE, ""
    if facts.is_opening:
        return Way.HOLD, "a session is being opened"
    wanted = not facts.fits or (facts.setting == "always" and facts.is_conversation)
    if not wanted:
        return Way.PAGE, ""
    if facts.declined:
        return Way.PAGE, "the recipient takes no session"
    if facts.full:
        return Way.PAGE, "there are too many sessions"
    return Way.OPEN, "too long for a page" if not facts.fits else "every conversation is a session"


NOBODY = frozenset({301, 302, 305, 404, 410, 416, 484, 485, 604})
"""Answers that speak of the person rather than of the session: the message is told the same."""

_CANNOT_S = 86_400.0
_WOULD_NOT_S = 600.0
_TROUBLE_S = 60.0
_CANNOT = frozenset({405, 406, 415, 420, 488, 501, 606})
_WOULD_NOT = frozenset({403, 480, 486, 487, 408, 600, 603})


def remembered_s(status: int) -> float:
    """For how long a refusal of a session is remembered: one that cannot is not asked again today."""
    if status in _CANNOT:
        return _CANNOT_S
    return _WOULD_NOT_S if status in _WOULD_NOT else _TROUBLE_S
