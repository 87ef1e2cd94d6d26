"""Files that are sent to one of ours: an offer, the content over MSRP, a message with a link."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from networks.sip.msrp.talk import send
from networks.sip.session_stage import PEER_SDP, Bob, SessionStage, media_in
from rialto.core.files import Files, FileSettings
from rialto.core.metrics import Metrics
from rialto.model.errors import Reason, Refused
from rialto.networks.sip.settings import Settings
from rialto.networks.sip.wire.message_media import Direction, Setup

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
LINES = (
    b"a=setup:active\r\na=sendonly\r\n"
    b'a=file-selector:name:"balcony.png" type:image/png size:%d\r\na=file-transfer-id:t1d\r\n' % len(PICTURE)
)
OFFER = PEER_SDP + LINES
THEIRS = "msrp://198.51.100.7:7000/zz;tcp"


class FileStage(SessionStage):
    """A SIP network with a store of files, and MSRP that is there."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        super().__init__(Settings(listen=("udp:127.0.0.1:0",), msrp=("tcp:127.0.0.1:0",)))
        self.files = Files(
            folder,
            FileSettings(**settings),
            url="https://gw.example",
            clock=lambda: self.now,
            metrics=Metrics(),
        )
        self.files.start()
        network = self.network
        network.context = msgspec.structs.replace(network.context, files=self.files)
        network.sessions.context = network.context

    async def __aenter__(self) -> FileStage:
        await super().__aenter__()
        self.network.sessions.links = self.network.msrp
        return self

    @property
    def left(self) -> list[str]:
        return sorted(path.suffix for path in self.files._folder.iterdir())


class Sender:
    """Who connects and sends."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def connect(self) -> None:
        port = int(self.path.split(":")[2].split("/")[0])
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        self.say(send("gr01", "gr01", None, to=self.path, back=THEIRS))
        assert await self.hears() == "200"

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    def file(self, data: bytes, *, span: str = "", flag: str = "$", name: str = "t001") -> None:
        self.say(
            send(
                name,
                "file1",
                data,
                to=self.path,
                back="msrp://198.51.100.7:7000/zz;tcp",
                kind="image/png",
                span=span,
                flag=flag,
            )
        )

    async def hears(self) -> str:
        async with asyncio.timeout(5):
            return (await self.reader.readuntil(b"$\r\n")).split()[2].decode()


async def offered(stage: FileStage, bob: Bob, offer: bytes = OFFER) -> Sender:
    """A file was offered, and the offer taken."""
    bob.call(offer)
    answer = await bob.is_answered()
    assert answer.status == 200, answer
    media = media_in(answer)
    assert media.file is not None
    assert media.file.transfer_id == "t1d"
    assert (media.direction, media.setup) == (Direction.RECVONLY, Setup.PASSIVE)
    assert media.max_size == stage.files.settings.max_bytes
    sender = Sender(media.path[0])
    await sender.connect()
    return sender


async def test_a_file_becomes_a_message_with_a_link(tmp_path: Path) -> None:
    async with FileStage(tmp_path / "files") as stage:
        bob = await stage.bob()
        sender = await offered(stage, bob)
        sender.file(PICTURE[:5000], span=f"1-*/{len(PICTURE)}", flag="+")
        sender.file(PICTURE[5000:], span=f"5001-{len(PICTURE)}/{len(PICTURE)}", name="t002")
        assert [await sender.hears(), await sender.hears()] == ["200", "200"]
        ((message, origin, _),) = stage.hub.accepted
        (file,) = message.files
        assert (file.name, file.media_type, file.size_bytes) == ("balcony.png", "image/png", len(PICTURE))
        assert message.text == f"balcony.png (image/png, {len(PICTURE) / 1000:.1f} kB): {file.url}"
        assert str(message.sender.bare) == "juliet@sip.example"
        assert origin.proof
        found = stage.files.find(file.url.split("/")[-2])
        assert found is not None
        assert found[1].read_bytes() == PICTURE
        bob.person.say(bob.asks("BYE", 2, to_tag=media_tag(stage)))
        assert (await bob.hears()).status == 200
        assert not stage.network.sessions.sessions
        assert stage.hub.composed == []  # nobody was there who could be gone
        sender.writer.close()


def media_tag(stage: FileStage) -> str:
    (session,) = stage.network.sessions.sessions
    return session.call.dialog.local_tag


async def test_a_file_that_the_hub_refuses_is_removed(tmp_path: Path) -> None:
    async with FileStage(tmp_path / "files") as stage:
        bob = await stage.bob()
        sender = await offered(stage, bob)
        stage.hub.refuse = Refused(Reason.FORBIDDEN, "not to him")
        sender.file(PICTURE)
        assert await sender.hears() == "403"
        assert stage.left == []
        sender.writer.close()


async def test_a_file_that_is_cut_leaves_nothing_and_ends_the_session(tmp_path: Path) -> None:
    async with FileStage(tmp_path / "files") as stage:
        bob = await stage.bob()
        sender = await offered(stage, bob)
        sender.file(PICTURE[:5000], span=f"1-*/{len(PICTURE)}", flag="+")
        assert await sender.hears() == "200"
        assert stage.left == [".part"]
        sender.writer.close()
        bye = await bob.request("BYE")
        bob.answers(bye, 200)
        assert stage.left == []
        assert stage.hub.accepted == []


async def test_a_sender_that_hangs_up_too_early_leaves_nothing(tmp_path: Path) -> None:
    async with FileStage(tmp_path / "files") as stage:
        bob = await stage.bob()
        sender = await offered(stage, bob)
        sender.file(PICTURE[:5000], span=f"1-*/{len(PICTURE)}", flag="+")
        assert await sender.hears() == "200"
        bob.person.say(bob.asks("BYE", 2, to_tag=media_tag(stage)))
        assert (await bob.hears()).status == 200
        assert stage.left == []
        sender.writer.close()


async def test_while_a_file_comes_messages_go_their_own_way(tmp_path: Path) -> None:
    async with FileStage(tmp_path / "files") as stage:
        bob = await stage.bob()
        sender = await offered(stage, bob)
        (conversation,) = stage.network.sessions.conversations.values()
        assert not conversation.opening()
        assert conversation.ready() is None
        sender.file(PICTURE)
        assert await sender.hears() == "200"
        sender.writer.close()


@pytest.mark.parametrize(
    "change",
    [
        (b"a=sendonly", b"a=recvonly"),
        (b"type:image/png", b"type:image/svg+xml"),
        (b"a=file-transfer-id:t1d", b"a=file-range:5-*"),
        (b"size:%d" % len(PICTURE), b"size:99999999999"),
    ],
)
async def test_a_file_that_is_not_taken_is_refused_before_it_comes(
    tmp_path: Path, change: tuple[bytes, bytes]
) -> None:
    async with FileStage(tmp_path / "files") as stage:
        bob = await stage.bob()
        bob.call(OFFER.replace(*change))
        answer = await bob.is_answered()
        assert answer.status == 488
        assert answer.get("Warning")
        assert stage.left == []
        assert not stage.network.sessions.sessions


async def test_a_file_of_which_nothing_comes_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rialto.networks.sip.sessions.file_carrier.STALLED_S", 0.01)
    async with FileStage(tmp_path / "files") as stage:
        bob = await stage.bob()
        sender = await offered(stage, bob)
        bye = await bob.request("BYE")
        bob.answers(bye, 200)
        assert stage.left == []
        sender.writer.close()


async def test_a_sender_that_never_hangs_up_is_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rialto.networks.sip.sessions.file_carrier.PARTING_S", 0.01)
    async with FileStage(tmp_path / "files") as stage:
        bob = await stage.bob()
        sender = await offered(stage, bob)
        sender.file(PICTURE)
        assert await sender.hears() == "200"
        bye = await bob.request("BYE")
        bob.answers(bye, 200)
        assert len(stage.files) == 1
        sender.writer.close()
