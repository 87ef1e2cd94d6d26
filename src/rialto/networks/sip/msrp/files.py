"""Files over MSRP (RFC 5547): into the store as they come, out of it as they are asked for.

    offer ──take_file──► core.files.Incoming ──FileReceiver: piece, piece, ...──► on disk ──arrived──► a link
    a stored file ──FileSender: wanted, piece, wanted, ...──► taken

Nothing is whole in memory: what comes is written at once, what goes is read when the connection has room. The
last chunk of a file is answered when the message that brings its link is safe, like that of any message.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog

from rialto.core.files import Files, StoredFile
from rialto.core.files import Incoming as Writing
from rialto.model.errors import Busy, DeliveryError, Reason, Refused
from rialto.networks.sip.msrp.flow import new_id
from rialto.networks.sip.msrp.leg import Leg
from rialto.networks.sip.msrp.wire.incoming import Incoming
from rialto.networks.sip.msrp.wire.outgoing import Outgoing
from rialto.networks.sip.sessions.seam import Outcome, Result
from rialto.networks.sip.wire.file_offer import FileOffer

_log = structlog.get_logger(__name__)

READ_BYTES: Final = 128 * 1024
_HASHES: Final = {
    "sha-1": "sha1",
    "sha-224": "sha224",
    "sha-256": "sha256",
    "sha-384": "sha384",
    "sha-512": "sha512",
}
"""What RFC 5547 section 6 may say of a file; SHA-1 here tells files apart, and proves nothing."""


def take_file(files: Files | None, offer: FileOffer, peer: str) -> Writing:
    """Where an offered file goes. Raises Refused or Busy, in words that its sender can be told.

    We take files that are pushed, whole; nobody pulls files out of the gateway (they have links).
    """
    if files is None:
        raise Refused(Reason.NOT_SUPPORTED, "no files are taken here")
    if not offer.selected or not offer.sending:
        raise Refused(Reason.NOT_SUPPORTED, "files can be sent here, and not asked for")
    if offer.begin != 1 or (offer.end is not None and offer.end != offer.size_bytes):
        raise Refused(Reason.NOT_SUPPORTED, "files are taken here whole, not in parts")
    return files.begin(peer=peer, name=offer.name, media_type=offer.media_type, size_bytes=offer.size_bytes)


def status_for(error: DeliveryError) -> int:
    """The MSRP status for a file that can't be kept (RFC 4975 section 10)."""
    if error.reason is Reason.NOT_ACCEPTABLE:
        return 415
    return 413 if isinstance(error, Busy) or error.reason is Reason.TOO_LARGE else 403


class ArrivedFile:
    """See `sessions.seam.Incoming`, but for its content: a file that is in the store, and whose sender waits
    for an answer. `description` is what the offer said
    of it; `success_report` whether its sender wants to know when a person has it."""

    def __init__(
        self, receiver: FileReceiver, message: Incoming, stored: StoredFile, description: str
    ) -> None:
        self.stored = stored
        self.message_id = message.message_id
        self.content_type = message.content_type
        self.body = b""
        self.description = description
        self.failure_report = message.failure
        self.success_report = message.wants_success
        self._receiver = receiver
        self._message = message

    def accept(self) -> None:
        """The message that brings its link is safe."""
        self._receiver.leg.accept(self._message)

    def refuse(self, status: int, comment: str = "") -> None:
        """Nobody may have it: it is removed."""
        self._receiver.files.remove(self.stored.token)
        self._receiver.leg.refuse(self._message, status, comment)


class FileReceiver:
    """See `Owner` and `StreamOwner`: takes one file. `leg` is to be set to what `MsrpLinks.open` gives.

    Exactly one of `arrived` and `failed` is called, once.
    """

    leg: Leg

    def __init__(
        self,
        files: Files,
        writing: Writing,
        offer: FileOffer,
        *,
        arrived: Callable[[ArrivedFile], None],
        failed: Callable[[str], None],
    ) -> None:
        self.files = files
        self.received_bytes = 0
        self.done = False
        """Whether it has arrived."""
        self._writing: Writing | None = writing
        self._offer = offer
        self._arrived = arrived
        self._failed = failed
        self._message: Incoming | None = None
        self._task: asyncio.Task[None] | None = None
        self._told = False
        self._sums = [
            (hashlib.new(_HASHES[name], usedforsecurity=False), digest.lower())
            for name, digest in offer.hashes
            if name in _HASHES
        ]

    # -- StreamOwner -------------------------------------------------------------------------------------

    def began(self, message: Incoming) -> None:
        """See `StreamOwner`. The session is for one file; whatever else comes is not it."""
        size = self._offer.size_bytes
        if self._message is not None or self._writing is None:
            self.leg.refuse(message, 403, "this session is for one file")
        elif size is not None and message.total_bytes is not None and message.total_bytes != size:
            self.leg.refuse(message, 413, "this is not the file that was announced")
            self._fail("another file came than was announced")
        else:
            self._message = message

    def piece(self, message: Incoming, data: bytes) -> None:
        """See `StreamOwner`."""
        writing = self._writing
        if message is not self._message or writing is None:
            return
        try:
            writing.write(data)
        except DeliveryError as error:
            self.leg.refuse(message, status_for(error), error.text)
            self._fail(error.text)
            return
        self.received_bytes += len(data)
        for total, _ in self._sums:
            total.update(data)

    def whole(self, message: Incoming) -> None:
        """See `StreamOwner`."""
        writing = self._writing
        if message is not self._message or writing is None:
            self.leg.refuse(message, 403, "this session is for one file")
        elif any(total.hexdigest() != digest for total, digest in self._sums):
            self.leg.refuse(
                message, 403, "the hash is not the one that was announced"
            )  # RFC 5547 section 8.3.2
            self._fail("the file is not what its hash said")
        else:
            self._writing = None
            self._task = asyncio.get_running_loop().create_task(self._finish(writing, message))

    async def _finish(self, writing: Writing, message: Incoming) -> None:
        try:
            stored = await writing.finish()
        except DeliveryError as error:
            self.leg.refuse(message, status_for(error), error.text)
            self._fail(error.text)
            return
        if self.leg.over:  # its sender will believe that it failed
            self.files.remove(stored.token)
            self._fail("the connection broke before the file was safe")
            return
        self._told = self.done = True
        try:
            self._arrived(ArrivedFile(self, message, stored, self._offer.description))
        except Exception:
            _log.exception("a file could not be taken")
            self.files.remove(stored.token)
            self.leg.refuse(message, 403, "the gateway failed")

    def aborted(self, message: Incoming, why: str) -> None:
        """See `StreamOwner`."""
        if message is self._message:
            self._fail(f"the file was broken off ({why})")

    def wanted(self, message: Outgoing) -> None:
        """See `StreamOwner`: we send nothing."""

    # -- Owner -------------------------------------------------------------------------------------------

    def opened(self) -> None:
        """See `Owner`."""

    def received(self, incoming: Any) -> None:
        """See `Owner`: everything comes in pieces."""

    def outcome(self, token: object, outcome: Outcome) -> None:
        """See `Owner`."""

    def reported(self, message_id: str, status: int, comment: str) -> None:
        """See `Owner`."""

    def closed(self, error: str) -> None:
        """See `Owner`."""
        if self._task is None:
            self._fail(error)

    def stop(self) -> None:
        """The session ended in SIP: what has not come whole is forgotten."""
        self.leg.close()
        if self._task is None:
            self._fail("the session ended")

    def _fail(self, why: str) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.abort()
        if not self._told:
            self._told = True
            self._failed(why)


class FileSender:
    """See `Owner` and `StreamOwner`: sends one file, or the part of it that is asked for, when the session is
    up.

    `done` is called once: with nothing when all of it was taken, else with what went wrong.
    """

    leg: Leg

    def __init__(
        self,
        path: Path,
        stored: StoredFile,
        *,
        done: Callable[[str], None],
        begin: int = 1,
        end: int | None = None,
    ) -> None:
        """`begin` and `end` count from 1, as in `file-range` (RFC 5547 section 6)."""
        self._path = path
        self._stored = stored
        self._done = done
        self._at = begin - 1
        self._stop = stored.size_bytes if end is None else min(end, stored.size_bytes)
        self._task: asyncio.Task[None] | None = None
        self._over = False

    def opened(self) -> None:
        """See `Owner`."""
        self.leg.send(
            None,
            self._stored.media_type,
            message_id=new_id(),
            token=self,
            total_bytes=max(0, self._stop - self._at),
        )

    def wanted(self, message: Outgoing) -> None:
        """See `StreamOwner`."""
        if self._task is None and not self._over:
            self._task = asyncio.get_running_loop().create_task(self._read(message))

    async def _read(self, message: Outgoing) -> None:
        length = min(READ_BYTES, self._stop - self._at)
        try:
            data = await asyncio.to_thread(_read_at, self._path, self._at, length)
        except OSError as error:
            data = b""
            _log.warning("a stored file cannot be read", why=str(error))
        self._task = None
        if self._over:
            return
        if len(data) < length:
            self.leg.abort(message)
            self._finish("the file is no longer there")
            return
        self._at += length
        self.leg.feed(message, data, last=self._at >= self._stop)

    def outcome(self, token: object, outcome: Outcome) -> None:
        """See `Owner`."""
        if outcome.result is Result.ACCEPTED:
            self._finish("")
        else:
            self._finish(f"{outcome.status} {outcome.comment}".strip())

    def closed(self, error: str) -> None:
        """See `Owner`."""
        self._finish(error)

    def stop(self) -> None:
        """The session ended in SIP."""
        self.leg.close()
        self._finish("the session ended")

    def received(self, incoming: Any) -> None:
        """See `Owner`."""

    def reported(self, message_id: str, status: int, comment: str) -> None:
        """See `Owner`."""

    def began(self, message: Incoming) -> None:
        """See `StreamOwner`: nothing is taken here."""
        self.leg.refuse(message, 403, "nothing is taken here")

    def piece(self, message: Incoming, data: bytes) -> None:
        """See `StreamOwner`."""

    def whole(self, message: Incoming) -> None:
        """See `StreamOwner`."""

    def aborted(self, message: Incoming, why: str) -> None:
        """See `StreamOwner`."""

    def _finish(self, error: str) -> None:
        if not self._over:
            self._over = True
            self._done(error)


def _read_at(path: Path, at: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(at)
        return file.read(length)
