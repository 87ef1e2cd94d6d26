"""A bare socket that speaks SIP for the odd cases which no honest client produces."""

import asyncio
import socket

from . import addresses
from .sip_text import SipText, read_sip


class SipSocket:
    """Sends bytes by UDP from `host`:`port` and reads the answers."""

    def __init__(self, host: str = addresses.STRANGER, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self._socket.setblocking(False)
        self.host, self.port = self._socket.getsockname()

    def message(self, sender: str, to: str, text: str, *, number: int = 1, extra: str = "") -> bytes:
        """A MESSAGE from sip:`sender` to sip:`to`; `extra` are further header lines."""
        body = text.encode()
        extra = "".join(f"{line}\r\n" for line in extra.splitlines())
        head = (
            f"MESSAGE sip:{to} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{self.port}x{number};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{sender}>;tag=t{number}\r\nTo: <sip:{to}>\r\n"
            f"Call-ID: {number}-{self.port}@{self.host}\r\nCSeq: {number} MESSAGE\r\n{extra}"
        )
        if "content-type" not in extra.lower():
            head += "Content-Type: text/plain;charset=UTF-8\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def ask(
        self, request: bytes, to: tuple[str, int] = (addresses.GATEWAY, 5060), timeout_s: float = 5
    ) -> SipText:
        """Send `request` once and give the final answer; TimeoutError when none comes."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendto(self._socket, request, to)
        async with asyncio.timeout(timeout_s):
            while True:
                answer = read_sip(await loop.sock_recv(self._socket, 65536))
                if answer.status >= 200:
                    return answer

    def close(self) -> None:
        self._socket.close()
