"""Pictures of people on SIP: fetched from where they say, if that is a place that the operator has named.

A stranger writes the address. So nothing is fetched unless the peer's `icon_hosts` has its host, and never
more than a few at a time, nor the same one soon again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from msgspec.structs import replace

from rialto.core.faces import Faces
from rialto.model.face import Face, picture_of
from rialto.net.fetch import FetchError

MAX_BYTES: Final = 48 * 1024
"""As base64 it must fit into a stanza of any server."""
TIMEOUT_S: Final = 10.0
AT_ONCE: Final = 4
MAX_WAITING: Final = 100
MAX_REMEMBERED: Final = 1_000
AGAIN_S: Final = 6 * 3600.0

_log = structlog.get_logger(__name__)


class Icons:
    """Those of one network. `fetch` gets what is at a URL, or raises FetchError."""

    def __init__(self, clock: Callable[[], float], fetch: Callable[[str], Awaitable[bytes]]) -> None:
        self._clock = clock
        self._fetch = fetch
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._asked_at: dict[str, float] = {}

    def admit(
        self,
        face: Face,
        hosts: Sequence[str],
        faces: Faces,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> Face:
        """The face with its picture's address where that may be looked at, and without it elsewhere."""
        url = face.picture_url
        if not url:
            return face
        parts = urlsplit(url)
        if parts.scheme != "https" or parts.netloc.lower() not in hosts:
            return replace(face, picture_url="")
        now = self._clock()
        if 0 <= now - self._asked_at.get(url, float("-inf")) < AGAIN_S or self._waiting >= MAX_WAITING:
            return face
        self._asked_at.pop(url, None)
        if len(self._asked_at) >= MAX_REMEMBERED:
            del self._asked_at[next(iter(self._asked_at))]
        self._asked_at[url] = now
        self._waiting += 1
        spawn(self._get(url, faces))
        return face

    async def _get(self, url: str, faces: Faces) -> None:
        try:
            async with self._turn:
                picture = picture_of(await self._fetch(url))
        except FetchError as error:
            _log.info("sip.icon", host=urlsplit(url).netloc, why=str(error))
            return
        finally:
            self._waiting -= 1
        if picture is None:
            _log.info("sip.icon", host=urlsplit(url).netloc, why="no picture")
        else:
            faces.keep_picture(url, picture)
