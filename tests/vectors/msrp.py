"""MSRP as the vectors write it, and Romeo's end of it (RFC 4975); read without Rialto's own codecs."""

from __future__ import annotations

import asyncio
import re
from typing import Any

_START = re.compile(r"MSRP (\S+) (?:(\d{3})(?: .*)?|([A-Z]+))")


class Msrp:
    """One request or response, as text."""

    def __init__(self, text: str) -> None:
        lines = text.replace("\r\n", "\n").split("\n")
        match = _START.fullmatch(lines[0])
        assert match is not None, lines[0]
        self.tid = match[1]
        self.status = match[2] or ""
        self.method = match[3] or ""
        self.flag = lines[-1].removeprefix(f"-------{self.tid}")
        assert self.flag in ("$", "+", "#"), lines[-1]
        head, empty, body = "\n".join(lines[1:-1]).partition("\n\n")
        self.headers = [
            (name, value.strip()) for name, _, value in (x.partition(":") for x in head.split("\n"))
        ]
        self.body = body if empty else ""

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    def field(self, name: str) -> str:
        """A field of the vectors' vocabulary; empty where it is absent."""
        match name:
            case "method" | "status" | "body" | "flag":
                return str(getattr(self, name))
            case "content-type":
                return self.get(name).partition(";")[0].strip().lower()
            case "report-status":
                return " ".join(self.get("status").split()[:2])
        return self.get(name)

    def encode(self) -> bytes:
        """As it goes on the wire."""
        lines = [f"MSRP {self.tid} {self.status or self.method}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body:
            lines += ["", self.body.replace("\n", "\r\n")]
        return "\r\n".join([*lines, f"-------{self.tid}{self.flag}", ""]).encode()


def read_msrp(wire: str) -> Msrp:
    """An MSRP wire of a vector."""
    return Msrp(wire.removesuffix("\n"))


class MsrpEnd(asyncio.Protocol):
    """Romeo's client: listens, connects, and keeps what it hears. An empty SEND is answered and not kept."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[Msrp] = asyncio.Queue()
        self.responses: asyncio.Queue[Msrp] = asyncio.Queue()
        self.port = 0
        self._transport: Any = None
        self._connected = asyncio.Event()
        self._data = ""
        self._answered = asyncio.Event()
        self._turns = 0

    async def listen(self) -> None:
        """Begin; the port is known then."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: self, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def connect(self, path: str) -> None:
        """To whoever that path names, if nobody has connected yet."""
        if self._transport is None:
            match = re.match(r"msrps?://([^/:]+):(\d+)", path)
            assert match is not None, path
            await asyncio.get_running_loop().create_connection(lambda: self, match[1], int(match[2]))

    async def connected(self) -> None:
        """Wait for whoever was asked to connect."""
        await asyncio.wait_for(self._connected.wait(), 5)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._connected.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._connected.clear()

    def data_received(self, data: bytes) -> None:
        self._data += data.decode()
        while (match := _START.match(self._data)) is not None:
            end = re.search(rf"^-------{re.escape(match[1])}[$+#]\r\n", self._data, re.MULTILINE)
            if end is None:
                return
            text, self._data = self._data[: end.end() - 2], self._data[end.end() :]
            self._take(Msrp(text))

    def _take(self, msrp: Msrp) -> None:
        if msrp.method == "SEND" and not msrp.body:
            self.say(answer_to(msrp))
        elif msrp.tid.startswith("turn"):
            self._answered.set()
        else:
            (self.requests if msrp.method else self.responses).put_nowait(msrp)

    def say(self, msrp: Msrp) -> None:
        self._transport.write(msrp.encode())

    async def turn(self, to_path: str, from_path: str) -> None:
        """Until the gateway has read everything that was said before."""
        if self._transport is None:
            return
        self._answered.clear()
        self._turns += 1
        self.say(
            Msrp(
                f"MSRP turn{self._turns:04} SEND\nTo-Path: {to_path}\nFrom-Path: {from_path}\n"
                f"Message-ID: turn{self._turns:04}\nByte-Range: 1-0/0\n-------turn{self._turns:04}$"
            )
        )
        await asyncio.wait_for(self._answered.wait(), 5)

    def close(self) -> None:
        self._listener.close()
        if self._transport is not None:
            self._transport.close()


def answer_to(msrp: Msrp) -> Msrp:
    """200 to a request."""
    to, back = msrp.get("from-path"), msrp.get("to-path")
    return Msrp(f"MSRP {msrp.tid} 200 OK\nTo-Path: {to}\nFrom-Path: {back}\n-------{msrp.tid}$")
