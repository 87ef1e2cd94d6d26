"""Files over MSRP: from store to store, piece by piece; and those that are not what was said of them."""

from __future__ import annotations

import asyncio
import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from networks.sip.msrp.test_msrp_links import House, MakeHouse, Talker, house, trunk  # noqa: F401
from rialto.core.files import Files, FileSettings
from rialto.core.metrics import Metrics
from rialto.model.errors import Busy, DeliveryError, Reason, Refused
from rialto.networks.sip.msrp.files import ArrivedFile, FileReceiver, FileSender, status_for, take_file
from rialto.networks.sip.msrp.leg import Leg
from rialto.networks.sip.sessions.seam import Place, Terms
from rialto.networks.sip.wire.file_offer import FileOffer
from rialto.networks.sip.wire.message_media import Kind, MessageMedia

LARGE = random.Random(7).randbytes(3_000_000)


def store(folder: Path, **settings: Any) -> Files:
    files = Files(
        folder,
        FileSettings(**settings),
        url="https://gw.example",
        clock=lambda: 1_000_000.0,
        metrics=Metrics(),
    )
    files.start()
    return files


def offer(data: bytes, **more: Any) -> FileOffer:
    said = {"name": "film.bin", "media_type": "application/octet-stream", "size_bytes": len(data)} | more
    return FileOffer(**said)


class Desk:
    """Two houses; at one a file is received."""

    def __init__(self, one: House, other: House, files: Files) -> None:
        self.one, self.other, self.files = one, other, files
        self.told: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.receiver: FileReceiver

    def open(self, where: House, place: Place, other: Place, owner: Any, *, active: bool) -> Leg:
        terms = Terms(
            place=place,
            media=MessageMedia(kind=Kind.MSRP, path=other.path),
            active=active,
            trunk=trunk(),
            max_bytes_in=self.files.settings.max_bytes,
        )
        leg = owner.leg = where.links.open(terms, owner)
        return leg

    def receive(self, offered: FileOffer, sender: Any) -> Leg:
        """Both ends; the sender connects."""
        here, there = self.one.place(), self.other.place()
        writing = take_file(self.files, offered, "peer")
        self.receiver = FileReceiver(
            self.files,
            writing,
            offered,
            arrived=lambda file: self.told.put_nowait(("arrived", file)),
            failed=lambda why: self.told.put_nowait(("failed", why)),
        )
        self.open(self.other, there, here, self.receiver, active=False)
        return self.open(self.one, here, there, sender, active=True)

    async def hears(self, what: str) -> Any:
        async with asyncio.timeout(5):
            kind, about = await self.told.get()
        assert kind == what, about
        return about


@pytest.fixture
async def desk(house: MakeHouse, tmp_path: Path) -> Desk:  # noqa: F811
    return Desk(await house(), await house("b.example", "tcp:127.0.0.1:0"), store(tmp_path / "there"))


class Source:
    """A file that is sent, and what became of that."""

    def __init__(self) -> None:
        self.done: asyncio.Queue[str] = asyncio.Queue()

    async def sender(self, folder: Path, data: bytes, **more: Any) -> FileSender:
        files = store(folder / "here")
        stored = await files.publish(data, name="film.bin", media_type="application/octet-stream")
        found = files.find(stored.token)
        assert found is not None
        return FileSender(found[1], stored, done=self.done.put_nowait, **more)

    async def ends(self) -> str:
        async with asyncio.timeout(5):
            return await self.done.get()


@pytest.mark.parametrize("data", [b"", b"short", LARGE], ids=["empty", "short", "large"])
async def test_a_file_goes_from_store_to_store_in_pieces(desk: Desk, tmp_path: Path, data: bytes) -> None:
    source = Source()
    hashes = (("sha-1", hashlib.sha1(data).hexdigest().upper()), ("md5", "00"))
    desk.receive(
        offer(data, hashes=hashes, size_bytes=len(data) or None), await source.sender(tmp_path, data)
    )
    file: ArrivedFile = await desk.hears("arrived")
    assert source.done.empty()  # not before the message that brings its link is safe
    file.accept()
    assert await source.ends() == ""
    found = desk.files.find(file.stored.token)
    assert found is not None
    assert found[1].read_bytes() == data
    assert desk.files.link(file.stored).name == "film.bin"
    desk.receiver.stop()
    assert desk.told.empty()


async def test_a_part_of_a_file_is_sent(desk: Desk, tmp_path: Path) -> None:
    source = Source()
    desk.receive(offer(b"cdef"), await source.sender(tmp_path, b"abcdefgh", begin=3, end=6))
    file: ArrivedFile = await desk.hears("arrived")
    assert desk.files.find(file.stored.token)[1].read_bytes() == b"cdef"  # type: ignore[index]
    file.accept()
    assert await source.ends() == ""


async def test_a_file_that_nobody_may_have_is_removed(desk: Desk, tmp_path: Path) -> None:
    source = Source()
    desk.receive(offer(LARGE), await source.sender(tmp_path, LARGE))
    file: ArrivedFile = await desk.hears("arrived")
    file.refuse(403, "not to her")
    assert await source.ends() == "403 not to her"
    assert len(desk.files) == 0
    assert list((tmp_path / "there").iterdir()) == []


async def test_a_file_that_is_not_what_its_hash_said_is_refused(desk: Desk, tmp_path: Path) -> None:
    source = Source()
    wrong = (("sha-1", hashlib.sha1(b"other").hexdigest()),)
    desk.receive(offer(LARGE, hashes=wrong), await source.sender(tmp_path, LARGE))
    assert "hash" in await desk.hears("failed")
    assert "403" in await source.ends()
    assert list((tmp_path / "there").iterdir()) == []


async def test_a_file_of_another_size_is_refused_at_once(desk: Desk, tmp_path: Path) -> None:
    source = Source()
    desk.receive(offer(LARGE, size_bytes=10), await source.sender(tmp_path, LARGE))
    assert "announced" in await desk.hears("failed")
    assert "413" in await source.ends()
    assert list((tmp_path / "there").iterdir()) == []


async def test_a_file_that_turns_out_too_large_is_stopped(house: MakeHouse, tmp_path: Path) -> None:  # noqa: F811
    desk = Desk(
        await house(),
        await house("b.example", "tcp:127.0.0.1:0"),
        store(tmp_path / "there", max_bytes=100_000),
    )
    source = Source()
    desk.receive(offer(LARGE, size_bytes=None), await source.sender(tmp_path, LARGE))
    assert "413" in await source.ends()
    desk.receiver.stop()
    await desk.hears("failed")
    assert list((tmp_path / "there").iterdir()) == []


async def test_a_cut_in_the_middle_leaves_nothing(desk: Desk, tmp_path: Path) -> None:
    talker: Any = Talker()
    leg = desk.receive(offer(LARGE), talker)
    leg.send(LARGE[:1_000_000], "application/octet-stream", message_id="id12", token="t")
    await talker.hears("opened")
    leg.flow.link.abort()  # type: ignore[union-attr]
    await desk.hears("failed")
    assert list((tmp_path / "there").iterdir()) == []


async def test_a_file_that_is_broken_off_leaves_nothing(desk: Desk, tmp_path: Path) -> None:
    talker: Any = Talker()
    talker.began = talker.piece = talker.whole = talker.aborted = lambda *_: None
    wanted: asyncio.Queue[Any] = asyncio.Queue()
    talker.wanted = wanted.put_nowait
    leg = desk.receive(offer(LARGE), talker)
    leg.send(None, "application/octet-stream", message_id="id12", token="t", total_bytes=len(LARGE))
    message = await wanted.get()
    leg.feed(message, LARGE[:300_000])
    await wanted.get()
    leg.abort(message)
    assert "broken off" in await desk.hears("failed")
    assert list((tmp_path / "there").iterdir()) == []


async def test_a_session_is_for_one_file(desk: Desk, tmp_path: Path) -> None:
    talker: Any = Talker()
    leg = desk.receive(offer(b"one"), talker)
    leg.send(b"one", "application/octet-stream", message_id="id12", token="t1")
    leg.send(b"two", "application/octet-stream", message_id="id34", token="t2")
    file: ArrivedFile = await desk.hears("arrived")
    file.accept()
    await talker.hears("opened")
    told = {(await talker.hears("outcome"))[1:4] for _ in range(2)}
    assert {(token, status) for token, _, status in told} == {("t1", 200), ("t2", 403)}


async def test_a_session_that_ends_before_the_file_does_leaves_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.receive(offer(LARGE), Talker())
    desk.receiver.stop()
    await desk.hears("failed")
    assert list((tmp_path / "there").iterdir()) == []


async def test_a_file_that_is_gone_is_broken_off(desk: Desk, tmp_path: Path) -> None:
    source = Source()
    sender = await source.sender(tmp_path, LARGE)
    sender._path.unlink()
    desk.receive(offer(LARGE), sender)
    assert await source.ends() == "the file is no longer there"
    desk.receiver.stop()


async def test_who_sends_a_file_takes_nothing(desk: Desk, tmp_path: Path) -> None:
    source = Source()
    sender = await source.sender(tmp_path, b"x")
    talker: Any = Talker()
    here, there = desk.one.place(), desk.other.place()
    back = desk.open(desk.other, there, here, talker, active=False)
    desk.open(desk.one, here, there, sender, active=True)
    await talker.hears("opened")
    back.send(b"for you", "text/plain", message_id="id12", token="t")
    while (told := await talker.hears())[0] != "outcome":
        assert told[0] == "received"
    assert told[3] == 403
    assert await source.ends() == ""
    sender.stop()


@pytest.mark.parametrize(
    ("offered", "reason"),
    [
        (offer(b"abc", sending=False), Reason.NOT_SUPPORTED),
        (offer(b"abc", begin=2), Reason.NOT_SUPPORTED),
        (offer(b"abc", end=2), Reason.NOT_SUPPORTED),
        (FileOffer(), Reason.NOT_SUPPORTED),
        (offer(b"abc", media_type="image/svg+xml"), Reason.NOT_ACCEPTABLE),
        (offer(b"abc", size_bytes=10**10), Reason.TOO_LARGE),
    ],
)
def test_what_is_not_taken_is_refused_before_a_byte_comes(
    offered: FileOffer, reason: Reason, tmp_path: Path
) -> None:
    with pytest.raises(Refused) as refused:
        take_file(store(tmp_path), offered, "peer")
    assert refused.value.reason is reason
    with pytest.raises(Refused):
        take_file(None, offered, "peer")


def test_the_whole_of_a_file_may_be_called_a_range(tmp_path: Path) -> None:
    take_file(store(tmp_path), offer(b"abc", end=3), "peer").abort()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused(Reason.NOT_ACCEPTABLE), 415),
        (Refused(Reason.TOO_LARGE), 413),
        (Busy(Reason.CONGESTION), 413),
        (Refused(Reason.BAD_REQUEST), 403),
    ],
)
def test_a_refusal_has_its_status(error: DeliveryError, status: int) -> None:
    assert status_for(error) == status
