"""Files that are kept for people to fetch: whole or not at all, bounded, and gone in time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.core.files import DAY_S, Files, FileSettings, StoredFile, safe_name
from rialto.core.metrics import Metrics
from rialto.model.errors import Busy, Reason, Refused

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


class Shelf:
    """A store of files on a clock that one can turn."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder / "files"
        self.settings = FileSettings(**settings)  # type: ignore[arg-type]
        self.now = 1_000_000.0
        self.metrics = Metrics()
        self.files = self.opened()

    def opened(self) -> Files:
        files = Files(
            self.folder,
            self.settings,
            url="https://gw.example",
            clock=lambda: self.now,
            metrics=self.metrics,
        )
        files.start()
        return files

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    async def put(self, data: bytes = PNG, name: str = "a.png", media_type: str = "image/png") -> StoredFile:
        return await self.files.publish(data, name=name, media_type=media_type, peer="p")


async def test_what_was_stored_in_pieces_is_found_whole(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    incoming = shelf.files.begin(peer="p", name="grüße.txt", media_type="text/plain; charset=utf-8")
    for piece in (b"hal", b"lo ", b"welt"):
        incoming.write(piece)
    stored = await incoming.finish()
    found = shelf.files.find(stored.token)
    assert found is not None
    assert found[1].read_bytes() == b"hallo welt"
    assert (stored.media_type, stored.size_bytes) == ("text/plain", 10)
    assert stored.sha256 == hashlib.sha256(b"hallo welt").hexdigest()
    link = shelf.files.link(stored)
    assert link.url == f"https://gw.example/files/{stored.token}/gr%C3%BC%C3%9Fe.txt"
    assert (link.name, link.expires_at) == ("grüße.txt", shelf.now + 14 * DAY_S)


async def test_a_file_is_there_after_a_restart_and_what_a_crash_left_is_not(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    stored = await shelf.put()
    half = shelf.files.begin(peer="p")
    half.write(b"half")
    assert half._file is not None
    half._file.close()
    (shelf.folder / f"{'0' * 32}.json").write_bytes(b"{}")  # its content never got its name
    (shelf.folder / ("1" * 32)).write_bytes(b"nobody knows")
    (shelf.folder / f"{'2' * 32}.json").write_bytes(b"not json")
    (shelf.folder / ("2" * 32)).write_bytes(b"")
    again = shelf.opened()
    assert [kept.token for kept in again.all()] == [stored.token]
    assert shelf.names() == {stored.token, f"{stored.token}.json"}
    assert again.size_bytes == len(PNG)


async def test_a_file_goes_when_its_time_has_come(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, keep_days=2.0)
    stored = await shelf.put()
    shelf.now += 2 * DAY_S - 1
    shelf.files.sweep()
    assert shelf.files.find(stored.token) is not None
    shelf.now += 1
    assert shelf.files.find(stored.token) is None
    shelf.files.sweep()
    assert shelf.names() == set()
    assert shelf.files.size_bytes == 0


async def test_too_large_is_refused_at_once_where_the_size_is_known(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, max_bytes=1000)
    with pytest.raises(Refused) as refused:
        shelf.files.begin(peer="p", size_bytes=1001)
    assert refused.value.reason is Reason.TOO_LARGE
    assert shelf.metrics.value("files", "p", "refused") == 1


async def test_too_large_is_refused_at_the_byte_where_it_is_not_known(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, max_bytes=1000)
    incoming = shelf.files.begin(peer="p")
    incoming.write(bytes(1000))
    with pytest.raises(Refused):
        incoming.write(b"x")
    assert shelf.names() == set()
    assert shelf.files.size_bytes == 0


@pytest.mark.parametrize("size", [9, 11])
async def test_a_file_of_another_size_than_announced_is_refused(tmp_path: Path, size: int) -> None:
    shelf = Shelf(tmp_path)
    incoming = shelf.files.begin(peer="p", size_bytes=10)

    async def send() -> None:
        incoming.write(bytes(size))
        await incoming.finish()

    with pytest.raises(Refused):
        await send()
    assert shelf.names() == set()
    assert shelf.files.size_bytes == 0


@pytest.mark.parametrize(
    "media_type", ["image/svg+xml", "text/html", "application/javascript", "nonsense", "a/b/c", "../x"]
)
def test_what_a_browser_could_run_is_not_taken(tmp_path: Path, media_type: str) -> None:
    with pytest.raises(Refused) as refused:
        Shelf(tmp_path).files.begin(peer="p", media_type=media_type)
    assert refused.value.reason is Reason.NOT_ACCEPTABLE


async def test_the_content_says_what_a_picture_is(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    assert (await shelf.put(PNG, media_type="application/octet-stream")).shown
    disguised = await shelf.put(b"<script>alert(1)</script>", media_type="image/png")
    assert disguised.media_type == "application/octet-stream"
    assert not disguised.shown


async def test_a_peer_has_only_its_share_and_all_together_have_what_there_is(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, max_bytes=100, max_total_bytes_per_peer=250, max_total_bytes=400)
    for _ in range(2):
        await shelf.files.publish(bytes(100), name="x", media_type="", peer="greedy")
    with pytest.raises(Busy) as full:
        shelf.files.begin(peer="greedy")
    assert "greedy" in full.value.text
    first = shelf.files.begin(peer="other")  # may still become 100 bytes
    await shelf.files.publish(bytes(100), name="x", media_type="", peer="third")
    with pytest.raises(Busy):
        shelf.files.begin(peer="third", size_bytes=1)
    first.abort()
    shelf.files.begin(peer="third", size_bytes=1).abort()
    assert shelf.files.size_bytes == 300


async def test_there_are_only_so_many_files(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, max_files=2)
    await shelf.put()
    incoming = shelf.files.begin(peer="p")
    with pytest.raises(Busy):
        shelf.files.begin(peer="p")
    incoming.abort()
    incoming.abort()
    shelf.files.begin(peer="p")
    shelf.files.close()
    assert len(shelf.names()) == 2


async def test_a_removed_file_is_gone_for_good(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    stored = await shelf.put()
    assert shelf.files.remove(stored.token)
    assert not shelf.files.remove(stored.token)
    assert shelf.files.find(stored.token) is None
    assert shelf.names() == set()


def test_a_disk_that_is_full_is_busy_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path)
    incoming = shelf.files.begin(peer="p")

    def full(data: bytes) -> int:
        raise OSError(28, "No space left on device")

    assert incoming._file is not None
    incoming._file.close()
    monkeypatch.setattr(incoming, "_file", SimpleNamespace(write=full, close=lambda: None))
    with pytest.raises(Busy) as busy:
        incoming.write(b"x")
    assert "No space" in busy.value.detail
    assert "No space" not in busy.value.text
    assert shelf.names() == set()


@given(st.text(max_size=400))
def test_a_name_can_stand_everywhere(name: str) -> None:
    safe = safe_name(name)
    assert 1 <= len(safe) <= 121
    assert not set(safe) & set('/\\:*?"<>|\r\n\x00\u202e')
    assert not safe.startswith(".")
    assert safe.encode()


@pytest.mark.parametrize(
    ("said", "safe"),
    [
        ("../../etc/passwd", "etc_passwd"),
        ("photo\u202egpj.exe", "photo_gpj.exe"),
        ("", "file"),
        ("...", "file"),
        ("n" * 300 + ".jpeg", "n" * 109 + ".jpeg"),
    ],
)
def test_names_of_the_wild(said: str, safe: str) -> None:
    assert safe_name(said) == safe
