"""What is wrong, as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every answer that is an error."""

    status: int
    title: str
    detail: str = ""
    type: str = "about:blank"


def problem(status: int, detail: str = "") -> bytes:
    """The body for that status."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    return msgspec.json.encode(Problem(status, title, detail))
