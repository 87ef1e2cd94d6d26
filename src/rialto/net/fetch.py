"""One small thing from the web (HTTP/1.1, RFC 9112), over TLS, from a host that the operator has named.

No redirects, no proxies, no compression, no second try: what is not there at once is not there. How long it
may take and how much may come is bounded, whatever the other side says of itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

MAX_HEAD_BYTES: Final = 16_384

_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: |\r?\n)")
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")


class FetchError(Exception):
    """It could not be had; the text says why, and repeats nothing that came."""


async def fetch(url: str, *, anchors: Iterable[x509.Certificate], max_bytes: int, timeout_s: float) -> bytes:
    """What is at an `https:` URL. Raises FetchError."""
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        raise FetchError("no such port") from None
    if parts.scheme != "https" or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise FetchError("not an https address")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: image/*\r\nAccept-Encoding: identity\r\n"
        "Connection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=_context(anchors), server_hostname=host
            )
            try:
                writer.write(request.encode("ascii"))
                return await _read(reader, max_bytes)
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise FetchError(f"not there within {timeout_s:g} s") from None
    except (OSError, ssl.SSLError) as error:
        raise FetchError(type(error).__name__) from None


async def _read(reader: asyncio.StreamReader, max_bytes: int) -> bytes:
    data, ended = b"", False
    while True:
        body = body_of(data, ended=ended, max_bytes=max_bytes)
        if body is not None:
            return body
        more = await reader.read(65_536)
        data, ended = data + more, not more


def body_of(data: bytes, *, ended: bool, max_bytes: int) -> bytes | None:
    """The body of the response that `data` begins with; None where more has to come, which it does not if
    `ended`. Raises FetchError."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if len(head) > MAX_HEAD_BYTES:
        raise FetchError("too long a head")
    if not blank:
        if ended:
            raise FetchError("no response")
        return None
    status = _STATUS.match(head + b"\r\n")
    if status is None or status[1] != b"200":
        raise FetchError(f"status {status[1].decode()}" if status is not None else "no response")
    fields: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        fields[name.strip().lower()] = value.strip().lower()
    if fields.get(b"content-encoding", b"identity") != b"identity":
        raise FetchError("compressed")
    if b"transfer-encoding" in fields:
        if fields[b"transfer-encoding"] != b"chunked":
            raise FetchError("an encoding that is not known")
        body, whole = _chunks(rest, max_bytes)
    else:
        length = fields.get(b"content-length")
        if length is not None and not re.fullmatch(rb"[0-9]{1,12}", length):
            raise FetchError("a length that is none")
        size = int(length) if length is not None else None
        body = rest if size is None else rest[:size]
        if (size or 0) > max_bytes or len(body) > max_bytes:
            raise FetchError(f"more than {max_bytes} bytes")
        whole = ended if size is None else len(body) == size
    if not whole and ended:
        raise FetchError("broken off")
    return body if whole else None


def _chunks(data: bytes, max_bytes: int) -> tuple[bytes, bool]:
    """RFC 9112 section 7.1: what is there of the body, and whether that is all."""
    body = b""
    while True:
        size = _SIZE.match(data)
        if size is None:
            if len(data) > 1024:
                raise FetchError("chunks that are none")
            return body, False
        length = int(size[1], 16)
        if not length:
            return body, True
        if len(body) + length > max_bytes:
            raise FetchError(f"more than {max_bytes} bytes")
        if len(data) < size.end() + length + 2:
            return body, False
        body += data[size.end() : size.end() + length]
        data = data[size.end() + length + 2 :]


def _context(anchors: Iterable[x509.Certificate]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    texts = [certificate.public_bytes(Encoding.PEM).decode("ascii") for certificate in anchors]
    if texts:
        with contextlib.suppress(ssl.SSLError):  # one that OpenSSL does not like: nobody is believed by it
            context.load_verify_locations(cadata="".join(texts))
    return context
