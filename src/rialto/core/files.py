"""Files that one side can only send and the other only fetch: kept here for a while, behind a link.

Each file is two in the folder: `TOKEN`, the content, and `TOKEN.json`, what is said of it. The content takes
its name last, when everything is on disk; so a file is there whole or not at all, whatever happens, and what
a crash has left (`.part`, a description without a content) is swept up at the start. The token is all that
one needs to fetch the file, and cannot be guessed: 128 random bits.

    begin ──► Incoming.write ... ──► Incoming.finish ──► StoredFile ──► link (a `model.File`)
                                └──► Incoming.abort

Nothing here is ever whole in memory. What is too large, of a kind that is not taken, or over somebody's quota
is refused with a `Refused` that its sender can be told; a full store is `Busy`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import hashlib
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, BinaryIO
from urllib.parse import quote

import msgspec
import structlog
from msgspec import Meta

from rialto.core.metrics import Metrics
from rialto.model.errors import Busy, Reason, Refused
from rialto.model.message import File

_log = structlog.get_logger(__name__)

DAY_S = 86400.0
MAX_NAME = 120
RETRY_AFTER_S = 600.0

OCTETS = "application/octet-stream"

_MAGIC: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("image/png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("image/jpeg", re.compile(rb"\xff\xd8\xff")),
    ("image/gif", re.compile(rb"GIF8[79]a")),
    ("image/webp", re.compile(rb"RIFF....WEBP", re.DOTALL)),
)
"""The types whose content is looked at; also the only ones that a browser may show at once."""

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}")
_TOKEN = re.compile(r"[0-9a-f]{32}")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|\u202a-\u202e\u2066-\u2069]+')


class FileSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The files that are kept here for people to fetch; nothing is, unless there is a `[web]`."""

    max_bytes: Annotated[int, Meta(gt=0, description="How large one file may be.")] = 25 * 1024 * 1024
    max_total_bytes: Annotated[int, Meta(gt=0, description="How much all files may take on disk.")] = (
        5 * 1024 * 1024 * 1024
    )
    max_total_bytes_per_peer: Annotated[
        int, Meta(gt=0, description="How much the files of one peer's users may take.")
    ] = 1024 * 1024 * 1024
    max_files: Annotated[int, Meta(gt=0, description="How many files there may be.")] = 100_000
    keep_days: Annotated[float, Meta(gt=0, description="How long a file can be fetched.")] = 14.0
    types: Annotated[
        tuple[str, ...],
        Meta(description="The media types that are taken, with `*` for any part of the name."),
    ] = ("image/*", "audio/*", "video/*", "text/plain", "application/*")
    refused_types: Annotated[tuple[str, ...], Meta(description="Those that are not, all the same.")] = (
        "image/svg*",
        "application/*script*",
        "application/x-msdos*",
        "application/x-msdownload",
        "application/x-sh",
        "application/xhtml+xml",
        "application/vnd.microsoft.portable-executable",
    )


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file, as `TOKEN.json` says it. Times are seconds since 1970, UTC."""

    token: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    peer: str
    """Whose user sent it; empty for our own."""
    stored_at: float
    expires_at: float

    @property
    def shown(self) -> bool:
        """Whether a browser may show it; everything else is to be saved."""
        return any(self.media_type == media_type for media_type, _ in _MAGIC)


class Incoming:
    """A file that is being written. Whoever began it ends it, by `finish` or `abort`."""

    def __init__(self, files: Files, described: StoredFile, path: Path, most_bytes: int) -> None:
        self._files = files
        self._described = described
        self._path = path
        self._most_bytes = most_bytes
        self._file: BinaryIO | None = path.open("xb", buffering=256 * 1024)
        self._sum = hashlib.sha256()
        self._head = b""
        self.size_bytes = 0
        self.promised_bytes = described.size_bytes
        """What counts against the quotas until the end is known."""

    def write(self, data: bytes | memoryview) -> None:
        """Add some bytes. Raises Refused for one byte too many, Busy when the disk is full; then it is
        gone."""
        if self._file is None:
            raise RuntimeError("this file has ended")
        self.size_bytes += len(data)
        if self.size_bytes > self._most_bytes:
            self.abort()
            raise Refused(Reason.TOO_LARGE, f"a file may have {self._most_bytes} bytes here")
        if len(self._head) < 16:
            self._head += bytes(data[: 16 - len(self._head)])
        self._sum.update(data)
        try:
            self._file.write(data)
        except OSError as error:
            self.abort()
            raise _no_room(error) from error

    async def finish(self) -> StoredFile:
        """Have it on disk. Raises Refused where it is not what was announced, Busy when the disk is full."""
        described, file = self._described, self._file
        if file is None:
            raise RuntimeError("this file has ended")
        if described.size_bytes and described.size_bytes != self.size_bytes:
            self.abort()
            raise Refused(
                Reason.BAD_REQUEST, f"{self.size_bytes} bytes came of a file of {described.size_bytes}"
            )
        stored = msgspec.structs.replace(
            described,
            size_bytes=self.size_bytes,
            sha256=self._sum.hexdigest(),
            media_type=_true_type(described.media_type, self._head),
        )
        try:
            await asyncio.to_thread(self._settle, file, stored)
        except OSError as error:
            self.abort()
            raise _no_room(error) from error
        except BaseException:
            self.abort()
            raise
        self._file = None
        self._files.arrived(self, stored)
        return stored

    def abort(self) -> None:
        """Forget it; also after it has ended."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            self._file.close()
        self._file = None
        for path in (self._path, self._path.with_suffix(".json")):
            path.unlink(missing_ok=True)
        self._files.gone(self)

    def _settle(self, file: BinaryIO, stored: StoredFile) -> None:
        """In a thread: the content, then its description, then the name by which it is there."""
        file.flush()
        os.fsync(file.fileno())
        file.close()
        description = self._path.with_suffix(".json")
        with description.open("wb") as written:
            written.write(msgspec.json.encode(stored))
            written.flush()
            os.fsync(written.fileno())
        self._path.rename(self._path.with_suffix(""))
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Files:
    """The store of files below `folder`; `url` is how the world reaches it, without a slash at its end.

    Everything happens on the event loop's thread, save the last write of a file.
    """

    def __init__(
        self,
        folder: Path,
        settings: FileSettings,
        *,
        url: str,
        clock: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self.settings = settings
        self.url = url
        self._folder = folder
        self._clock = clock
        self._count = metrics.count
        self._stored: dict[str, StoredFile] = {}
        self._incoming: dict[Incoming, str] = {}
        self._bytes_of: dict[str, int] = {}

    def start(self) -> None:
        """See what is there, and sweep up what a crash has left. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        left = set()
        for entry in os.scandir(self._folder):
            if entry.is_file(follow_symlinks=False):
                left.add(entry.name)
        for name in [name for name in left if _TOKEN.fullmatch(name) and f"{name}.json" in left]:
            with contextlib.suppress(OSError, msgspec.DecodeError):
                stored = msgspec.json.decode((self._folder / f"{name}.json").read_bytes(), type=StoredFile)
                if stored.token == name:
                    self._keep(stored)
                    left -= {name, f"{name}.json"}
        for name in left:
            (self._folder / name).unlink(missing_ok=True)
        if left:
            _log.info("files.swept", files=len(left))
        self.sweep()

    def close(self) -> None:
        """Forget what is still coming."""
        for incoming in list(self._incoming):
            incoming.abort()

    def __len__(self) -> int:
        return len(self._stored)

    @property
    def size_bytes(self) -> int:
        """What all files take, with those that are coming."""
        return sum(self._bytes_of.values())

    def begin(
        self, *, peer: str, name: str = "", media_type: str = "", size_bytes: int | None = None
    ) -> Incoming:
        """A new file of a user of that peer. Raises Refused or Busy, in words that its sender can be told."""
        settings = self.settings
        media_type = media_type.partition(";")[0].strip().lower() or OCTETS
        if not _TYPE.fullmatch(media_type) or not self._takes(media_type):
            self._count("files", peer, "refused")
            raise Refused(Reason.NOT_ACCEPTABLE, f"files of the type {media_type[:80]} are not taken here")
        if size_bytes is not None and size_bytes > settings.max_bytes:
            self._count("files", peer, "refused")
            raise Refused(Reason.TOO_LARGE, f"a file may have {settings.max_bytes} bytes here")
        promised = size_bytes if size_bytes is not None else settings.max_bytes
        if self._bytes_of.get(peer, 0) + promised > settings.max_total_bytes_per_peer:
            why = f"the files of {peer} take too much room here"
        elif self.size_bytes + promised > settings.max_total_bytes:
            why = "there is no room for more files here"
        elif len(self._stored) + len(self._incoming) >= settings.max_files:
            why = "there are too many files here"
        else:
            why = ""
        if why:
            self._count("files", peer, "no room")
            raise Busy(Reason.CONGESTION, why, retry_after_s=RETRY_AFTER_S)
        now = self._clock()
        token = secrets.token_hex(16)
        described = StoredFile(
            token=token,
            name=safe_name(name),
            media_type=media_type,
            size_bytes=size_bytes or 0,
            sha256="",
            peer=peer,
            stored_at=now,
            expires_at=now + settings.keep_days * DAY_S,
        )
        try:
            incoming = Incoming(self, described, self._folder / f"{token}.part", promised)
        except OSError as error:
            raise _no_room(error) from error
        incoming.promised_bytes = promised
        self._incoming[incoming] = peer
        self._bytes_of[peer] = self._bytes_of.get(peer, 0) + promised
        return incoming

    async def publish(self, data: bytes, *, name: str, media_type: str, peer: str = "") -> StoredFile:
        """Keep something small that is in memory. Raises Refused or Busy."""
        incoming = self.begin(peer=peer, name=name, media_type=media_type, size_bytes=len(data))
        incoming.write(data)
        return await incoming.finish()

    def link(self, stored: StoredFile) -> File:
        """The file as a message carries it."""
        return File(
            url=f"{self.url}/files/{stored.token}/{quote(stored.name)}",
            name=stored.name,
            media_type=stored.media_type,
            size_bytes=stored.size_bytes,
            expires_at=stored.expires_at,
            sha256=stored.sha256,
        )

    def find(self, token: str) -> tuple[StoredFile, Path] | None:
        """The file behind a link, and where its content is; None where there is none (any more)."""
        stored = self._stored.get(token)
        if stored is None or stored.expires_at <= self._clock():
            return None
        return stored, self._folder / token

    def all(self) -> list[StoredFile]:
        """All files, oldest first."""
        return sorted(self._stored.values(), key=lambda stored: stored.stored_at)

    def remove(self, token: str) -> bool:
        """Remove one now; False where there is none. Who is fetching it gets it to its end."""
        stored = self._stored.pop(token, None)
        if stored is None:
            return False
        self._release(stored.peer, stored.size_bytes)
        # Without its content a description means nothing; the other way round as well.
        for path in (self._folder / token, self._folder / f"{token}.json"):
            path.unlink(missing_ok=True)
        return True

    def sweep(self) -> None:
        """Remove what has expired; to be called now and then."""
        now = self._clock()
        for token in [token for token, stored in self._stored.items() if stored.expires_at <= now]:
            self.remove(token)
            self._count("files", "", "expired")

    # -- for `Incoming` --------------------------------------------------------------------------------

    def arrived(self, incoming: Incoming, stored: StoredFile) -> None:
        """It is on disk."""
        self.gone(incoming)
        self._keep(stored)
        self._count("files", stored.peer, "stored")

    def gone(self, incoming: Incoming) -> None:
        """It is not under way any more."""
        peer = self._incoming.pop(incoming, None)
        if peer is not None:
            self._release(peer, incoming.promised_bytes)

    def _keep(self, stored: StoredFile) -> None:
        self._stored[stored.token] = stored
        self._bytes_of[stored.peer] = self._bytes_of.get(stored.peer, 0) + stored.size_bytes

    def _release(self, peer: str, size_bytes: int) -> None:
        left = self._bytes_of.get(peer, 0) - size_bytes
        if left > 0:
            self._bytes_of[peer] = left
        else:
            self._bytes_of.pop(peer, None)

    def _takes(self, media_type: str) -> bool:
        settings = self.settings
        return any(fnmatch.fnmatchcase(media_type, taken) for taken in settings.types) and not any(
            fnmatch.fnmatchcase(media_type, refused) for refused in settings.refused_types
        )


def safe_name(name: str) -> str:
    """A file name that can stand in a link, a header and any file system; `file` where nothing is left."""
    name = _UNSAFE.sub("_", name.strip()).strip(". _")
    if len(name) > MAX_NAME:
        stem, dot, suffix = name.rpartition(".")
        name = f"{stem[: MAX_NAME - 11]}.{suffix}" if dot and len(suffix) <= 10 else name[:MAX_NAME]
    return name.encode("utf-8", "ignore").decode() or "file"


def _true_type(said: str, head: bytes) -> str:
    """The type by content where we can tell it; what claims to be such a type and is not, is only bytes."""
    for media_type, magic in _MAGIC:
        if magic.match(head):
            return media_type
    return OCTETS if any(said == media_type for media_type, _ in _MAGIC) else said


def _no_room(error: OSError) -> Busy:
    return Busy(
        Reason.INTERNAL, "the file could not be stored", detail=str(error), retry_after_s=RETRY_AFTER_S
    )
