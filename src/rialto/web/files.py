"""GET and HEAD of the files behind links: `/files/TOKEN/NAME` (RFC 9110 sections 9.3, 14).

The token alone decides; the name is for people. Nothing is listed, nothing is guessed: a wrong token, an
expired one and a path that is none get the same answer. What a browser could run is never shown by it: only
images that are known by their content are, all else is to be saved, and nothing of it may do anything.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import quote

from litestar.handlers import asgi
from litestar.types import Receive, Scope, Send

from rialto.core.files import Files, StoredFile
from rialto.web.problems import MEDIA_TYPE, problem

PIECE_BYTES = 64 * 1024

_PATH = re.compile(rb"/files/([0-9a-f]{32})/[^/]{1,2000}")
"""As it was asked for: nothing in it is decoded, so nothing in it can mean another path."""
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")

_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-robots-tag", b"noindex"),
]

Headers = list[tuple[bytes, bytes]]


def routes(files: Files) -> Any:
    """The handler for everything below `/files`."""

    @asgi("/files", is_mount=True, copy_scope=True)
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]  # type: ignore[typeddict-item]
        if method not in {"GET", "HEAD"}:
            await _refuse(send, 405, [(b"allow", b"GET, HEAD")])
            return
        found = _PATH.fullmatch(scope["raw_path"])
        known = files.find(found[1].decode()) if found else None
        if known is None:
            await _refuse(send, 404)
            return
        stored, path = known
        given = _given(scope["headers"])
        if given.get(b"if-none-match") == _etag(stored):
            await _answer(send, 304, [(b"etag", _etag(stored))])
            return
        headers = _headers(stored)
        # RFC 9110 section 13.1.5: a range is for the file that the client has a part of.
        asked = given.get(b"range", b"") if given.get(b"if-range", _etag(stored)) == _etag(stored) else b""
        first, last, status = wanted_range(asked.decode("latin-1"), stored.size_bytes)
        if status == 416:
            await _refuse(send, 416, [(b"content-range", f"bytes */{stored.size_bytes}".encode())])
            return
        if status == 206:
            headers.append((b"content-range", f"bytes {first}-{last}/{stored.size_bytes}".encode()))
        headers.append((b"content-length", str(last - first + 1).encode()))
        if method == "HEAD":
            await _answer(send, status, headers)
            return
        await _stream(send, status, headers, path, first, last)

    return serve


def wanted_range(text: str, size: int) -> tuple[int, int, int]:
    """(first byte, last byte, status) for a Range header; the whole for none, or for one that is not
    understood (RFC 9110 section 14.2). Several ranges at once are one too many: they get the whole."""
    found = _RANGE.fullmatch(text.replace(" ", ""))
    if found is None or not (found[1] or found[2]):
        return 0, size - 1, 200
    if not found[1]:
        length = min(int(found[2]), size)
        return (size - length, size - 1, 206) if length else (0, -1, 416)
    first = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < first:
        return 0, size - 1, 200
    return (first, last, 206) if first < size else (0, -1, 416)


def _headers(stored: StoredFile) -> Headers:
    how = "inline" if stored.shown else "attachment"
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", stored.name)
    disposition = f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(stored.name, safe='')}"  # RFC 6266
    media_type = stored.media_type
    if media_type.startswith("text/"):
        media_type = "text/plain; charset=utf-8"
    return [
        (b"content-type", media_type.encode()),
        (b"content-disposition", disposition.encode()),
        (b"accept-ranges", b"bytes"),
        (b"etag", _etag(stored)),
        (b"last-modified", formatdate(stored.stored_at, usegmt=True).encode()),
        (b"cache-control", b"private, max-age=3600, immutable"),
    ]


def _etag(stored: StoredFile) -> bytes:
    return f'"{stored.sha256[:32]}"'.encode()


def _given(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    return {name.lower(): value for name, value in headers}


async def _stream(send: Send, status: int, headers: Headers, path: Path, first: int, last: int) -> None:
    try:
        file = await asyncio.to_thread(path.open, "rb")
    except OSError:  # removed in this very moment
        await _refuse(send, 404)
        return
    with file:
        await send({"type": "http.response.start", "status": status, "headers": [*headers, *_ALWAYS]})
        async for piece in _pieces(file, first, last):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _pieces(file: Any, first: int, last: int) -> AsyncIterator[bytes]:
    await asyncio.to_thread(file.seek, first)
    left = last - first + 1
    while left > 0:
        piece = await asyncio.to_thread(file.read, min(PIECE_BYTES, left))
        if not piece:
            raise OSError("a file is shorter than it was")
        left -= len(piece)
        yield piece


async def _answer(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *_ALWAYS]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _refuse(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    body = problem(status)
    about = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await _answer(send, status, [*about, *headers], body)
