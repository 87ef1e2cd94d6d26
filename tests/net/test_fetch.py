"""What comes from the web is bounded, and only what was asked for."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trustme
from cryptography import x509

from rialto.net.fetch import MAX_HEAD_BYTES, FetchError, body_of, fetch

Serve = Callable[[bytes], Awaitable[str]]
OK = b"HTTP/1.1 200 OK\r\n"


def all_at_once(data: bytes, max_bytes: int = 100) -> bytes | None:
    return body_of(data, ended=True, max_bytes=max_bytes)


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", b"hello"),
        (OK + b"Content-Length: 5\r\n\r\nhello and more", b"hello"),
        (OK + b"\r\nhello", b"hello"),
        (b"HTTP/1.0 200\r\n\r\nhello", b"hello"),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", b"hello"),
        (OK + b"Content-Encoding: identity\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
def test_a_body_is_found_however_it_is_cut(data: bytes, body: bytes) -> None:
    assert all_at_once(data) == body
    for cut in range(len(data)):
        early = body_of(data[:cut], ended=False, max_bytes=100)
        assert early is None or early == body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: https://10.0.0.1/\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\n\r\nhello",
        OK + b"Content-Length: 5\r\n\r\nhel",
        OK + b"Content-Length: -5\r\n\r\nhello",
        OK + b"Content-Length: 101\r\n\r\n",
        OK + b"\r\n" + b"x" * 101,
        OK + b"Content-Encoding: gzip\r\n\r\nhello",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n65\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"z" * 2000,
        OK + b"X: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
    ],
)
def test_what_is_no_whole_answer_is_none(data: bytes) -> None:
    with pytest.raises(FetchError):
        all_at_once(data)


def test_too_much_is_refused_before_it_is_there() -> None:
    with pytest.raises(FetchError, match="more than 100 bytes"):
        body_of(OK + b"Content-Length: 1000000\r\n\r\n", ended=False, max_bytes=100)
    with pytest.raises(FetchError, match="more than 100 bytes"):
        body_of(OK + b"\r\n" + b"x" * 101, ended=False, max_bytes=100)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def web(authority: trustme.CA) -> AsyncIterator[Serve]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    servers: list[asyncio.Server] = []

    async def make(response: bytes) -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.readuntil(b"\r\n\r\n")
            writer.write(response.replace(b"REQUEST", request.split(b"\r\n")[0]))
            await writer.drain()
            if response:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        servers.append(server)
        return f"https://localhost:{server.sockets[0].getsockname()[1]}"

    yield make
    for server in servers:
        server.close()


def anchors(authority: trustme.CA) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(authority.cert_pem.bytes())]


async def test_a_thing_is_fetched_from_a_host_that_proves_its_name(web: Serve, authority: trustme.CA) -> None:
    base = await web(OK + b"\r\nREQUEST")
    got = await fetch(f"{base}/a.png?b=c", anchors=anchors(authority), max_bytes=100, timeout_s=5)
    assert got == b"GET /a.png?b=c HTTP/1.1"


async def test_nothing_is_fetched_from_a_host_that_nobody_vouches_for(web: Serve) -> None:
    base = await web(OK + b"\r\nhello")
    with pytest.raises(FetchError, match="SSL"):
        await fetch(f"{base}/", anchors=[], max_bytes=100, timeout_s=5)


async def test_who_does_not_answer_is_not_waited_for(web: Serve, authority: trustme.CA) -> None:
    base = await web(b"")
    with pytest.raises(FetchError, match="not there within"):
        await fetch(f"{base}/", anchors=anchors(authority), max_bytes=100, timeout_s=0.2)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "file:///etc/passwd",
        "https:///x",
        "https://localhost:99999/",
        "https://a/b\r\nX: y",
    ],
)
async def test_other_addresses_are_not_looked_at(url: str) -> None:
    with pytest.raises(FetchError):
        await fetch(url, anchors=[], max_bytes=100, timeout_s=5)
