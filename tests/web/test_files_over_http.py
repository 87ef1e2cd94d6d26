"""Files over HTTP, by real connections: what one gets, and what strangers get."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trustme

from rialto.core.files import Files, FileSettings, StoredFile
from rialto.core.metrics import Metrics
from rialto.model.errors import ConfigError
from rialto.web import server
from rialto.web.application import application
from rialto.web.files import wanted_range
from rialto.web.server import Web
from rialto.web.settings import WebSettings

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 800


class House:
    """A web server with a store of files."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.now = time.time()
        self.files = Files(
            folder / "files", FileSettings(), url="", clock=lambda: self.now, metrics=Metrics()
        )
        self.files.start()
        self.settings = WebSettings(listen="127.0.0.1:0", **settings)  # type: ignore[arg-type]
        self.web = Web(self.settings, application(self.files), grace_s=1.0)

    async def put(
        self, data: bytes = PNG, name: str = "fôto.png", media_type: str = "image/png"
    ) -> StoredFile:
        return await self.files.publish(data, name=name, media_type=media_type, peer="p")

    def path(self, stored: StoredFile) -> str:
        return self.files.link(stored).url

    def client(self, scheme: str = "http", **options: object) -> httpx.AsyncClient:
        host, port = self.web.address
        return httpx.AsyncClient(base_url=f"{scheme}://{host}:{port}", trust_env=False, **options)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def opened(folder: Path, **settings: object) -> AsyncIterator[House]:
    house = House(folder, **settings)
    await house.web.start()
    try:
        yield house
    finally:
        await house.web.stop()


@contextlib.asynccontextmanager
async def dialled(
    house: House, **options: object
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*house.web.address, **options)  # type: ignore[arg-type]
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_file_comes_whole_and_can_do_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as house, house.client() as client:
        stored = await house.put()
        answer = await client.get(house.path(stored))
        assert (answer.status_code, answer.content) == (200, PNG)
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["content-disposition"].startswith('inline; filename="f_to.png"')
        assert "filename*=UTF-8''f%C3%B4to.png" in answer.headers["content-disposition"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers


async def test_what_is_no_picture_is_to_be_saved(tmp_path: Path) -> None:
    async with opened(tmp_path) as house, house.client() as client:
        page = await house.put(b"<script>alert(1)</script>", "a.html", "text/plain")
        answer = await client.get(house.path(page))
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"


async def test_the_name_in_the_link_is_for_people(tmp_path: Path) -> None:
    async with opened(tmp_path) as house, house.client() as client:
        stored = await house.put()
        assert (await client.get(f"/files/{stored.token}/anything")).content == PNG


async def test_head_says_the_same_without_the_content(tmp_path: Path) -> None:
    async with opened(tmp_path) as house, house.client() as client:
        stored = await house.put()
        answer = await client.head(house.path(stored))
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == str(len(PNG))


async def test_a_part_can_be_asked_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as house, house.client() as client:
        stored = await house.put()
        path = house.path(stored)
        answer = await client.get(path, headers={"range": "bytes=10-19"})
        assert (answer.status_code, answer.content) == (206, PNG[10:20])
        assert answer.headers["content-range"] == f"bytes 10-19/{len(PNG)}"
        beyond = await client.get(path, headers={"range": f"bytes={len(PNG)}-"})
        assert beyond.status_code == 416
        assert beyond.headers["content-range"] == f"bytes */{len(PNG)}"
        other = await client.get(path, headers={"range": "bytes=0-1", "if-range": '"another"'})
        assert (other.status_code, len(other.content)) == (200, len(PNG))
        etag = answer.headers["etag"]
        assert (await client.get(path, headers={"if-none-match": etag})).status_code == 304


@pytest.mark.parametrize(
    ("text", "size", "result"),
    [
        ("", 10, (0, 9, 200)),
        ("bytes=0-", 10, (0, 9, 206)),
        ("bytes=3-5", 10, (3, 5, 206)),
        ("bytes=3-500", 10, (3, 9, 206)),
        ("bytes=-4", 10, (6, 9, 206)),
        ("bytes=-400", 10, (0, 9, 206)),
        ("bytes=-0", 10, (0, -1, 416)),
        ("bytes=10-", 10, (0, -1, 416)),
        ("bytes=5-3", 10, (0, 9, 200)),
        ("bytes=-", 10, (0, 9, 200)),
        ("bytes=0-1,3-4", 10, (0, 9, 200)),
        ("lines=0-1", 10, (0, 9, 200)),
        ("bytes=" + "9" * 400 + "-", 10, (0, 9, 200)),
        ("bytes=0-", 0, (0, -1, 416)),
    ],
)
def test_ranges(text: str, size: int, result: tuple[int, int, int]) -> None:
    assert wanted_range(text, size) == result


@pytest.mark.parametrize(
    "path",
    [
        "/files",
        "/files/",
        "/files/{token}",
        "/files/{token}/",
        "/files/{token}.json",
        "/files/{token}/a/b",
        "/files/" + "0" * 32 + "/a",
        "/files/../rialto.db",
        "/files/%2e%2e/rialto.db",
        "/files/{token}/../../rialto.db",
        "/files/..%2f..%2frialto.db/x",
        "/files/{token}%00/x",
        "/files/{TOKEN}/x",
    ],
)
async def test_nothing_else_is_to_be_had(tmp_path: Path, path: str) -> None:
    async with opened(tmp_path) as house:
        stored = await house.put()
        (tmp_path / "rialto.db").write_text("secret")
        asked = path.format(token=stored.token, TOKEN=stored.token.upper())
        async with dialled(house) as (reader, writer):
            writer.write(f"GET {asked} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 404")
        assert b"application/problem+json" in answer
        assert b"secret" not in answer


async def test_a_file_that_has_expired_is_as_one_that_never_was(tmp_path: Path) -> None:
    async with opened(tmp_path) as house, house.client() as client:
        stored = await house.put()
        house.now = stored.expires_at
        gone = await client.get(house.path(stored))
        never = await client.get(f"/files/{'0' * 32}/x")
        assert (gone.status_code, gone.content) == (never.status_code, never.content) == (404, never.content)


async def test_other_methods_are_not_allowed(tmp_path: Path) -> None:
    async with opened(tmp_path) as house, house.client() as client:
        stored = await house.put()
        for method in ("POST", "PUT", "DELETE"):
            answer = await client.request(method, house.path(stored))
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_health_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as house, house.client() as client:
        assert (await client.get("/health")).json() == {"status": "ok"}
        missing = await client.get("/nothing")
        assert (missing.status_code, missing.json()["title"]) == (404, "Not Found")


async def test_a_head_of_any_length_ends_somewhere(tmp_path: Path) -> None:
    async with opened(tmp_path) as house, dialled(house) as (reader, writer):
        answer = b""
        with contextlib.suppress(ConnectionError):
            writer.write(b"GET / HTTP/1.1\r\n")
            for _ in range(40):
                writer.write(b"X-Long: " + b"x" * 1000 + b"\r\n")
                await writer.drain()
            answer = await reader.read()
        assert not answer or answer.startswith(b"HTTP/1.1 400")


async def test_whoever_sends_no_request_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_S", 0.05)
    async with opened(tmp_path) as house, dialled(house) as (reader, writer):
        writer.write(b"GET / HT")
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_whoever_reads_nothing_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STALLED_S", 0.05)
    lost = asyncio.Event()
    was_lost = server._Connection.connection_lost

    def connection_lost(connection: server._Connection, error: Exception | None) -> None:
        was_lost(connection, error)
        lost.set()

    monkeypatch.setattr(server._Connection, "connection_lost", connection_lost)
    async with opened(tmp_path) as house, dialled(house, limit=1024) as (_, writer):
        large = await house.put(PNG + bytes(20_000_000), "large.png")
        writer.write(f"GET {house.path(large)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.wait_for(lost.wait(), 5)


async def test_the_idle_make_room_for_those_who_ask(tmp_path: Path) -> None:
    async with opened(tmp_path, max_connections=20) as house, contextlib.AsyncExitStack() as crowd:
        for _ in range(60):
            await crowd.enter_async_context(dialled(house))
        client = await crowd.enter_async_context(house.client())
        stored = await house.put()
        assert (await client.get(house.path(stored))).content == PNG
        assert house.web._server is not None
        assert len(house.web._server.server_state.connections) <= 20


async def test_tls_is_spoken_and_a_renewed_certificate_taken(tmp_path: Path) -> None:
    authority = trustme.CA()

    def issue() -> None:
        issued = authority.issue_cert("127.0.0.1")
        (tmp_path / "web.key").write_bytes(issued.private_key_pem.bytes())
        (tmp_path / "web.crt").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))

    context = ssl.create_default_context()
    authority.configure_trust(context)
    issue()
    where = {"certificate": str(tmp_path / "web.crt"), "key": str(tmp_path / "web.key")}
    async with opened(tmp_path, **where) as house:

        async def shown() -> bytes:
            async with dialled(house, ssl=context) as (_, writer):
                certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
                return certificate

        async with house.client("https", verify=context) as client:
            stored = await house.put()
            assert (await client.get(house.path(stored))).content == PNG
        before = await shown()
        issue()
        house.web.reload(house.settings)
        assert await shown() != before
        (tmp_path / "web.crt").write_text("rubbish")
        with pytest.raises(ConfigError, match=r"web\.certificate"):
            house.web.reload(house.settings)


async def test_an_address_in_use_is_said(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        host, port = house.web.address
        other = Web(WebSettings(listen=f"{host}:{port}"), application(house.files), grace_s=1.0)
        with pytest.raises(ConfigError, match=r"web\.listen"):
            await other.start()
