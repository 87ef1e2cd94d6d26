"""A bare server-to-server stream for the odd cases: it says what no honest server says.

It connects to the gateway as one domain, with TLS and a certificate if one is given, and then sends bytes.
"""

import asyncio
import base64
import re
import ssl
from pathlib import Path

from . import addresses
from .certificates import Certificate


class StreamEnded(Exception):
    """The gateway has closed the connection."""


class XmppStream:
    """One connection to the gateway; all that came is in `received`."""

    def __init__(self, domain: str, to: str = addresses.SIP_DOMAIN) -> None:
        self.domain = domain
        self.to = to
        self.received = b""
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def connect(self, host: str = addresses.GATEWAY, port: int = 5269) -> None:
        """Only TCP."""
        self._reader, self._writer = await asyncio.open_connection(host, port)

    async def begin(self) -> str:
        """Open the stream and give the features."""
        self.received = b""
        await self.send(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback'"
            " xmlns:stream='http://etherx.jabber.org/streams' version='1.0'"
            f" from='{self.domain}' to='{self.to}'>"
        )
        return await self.until(rb"</stream:features>|<stream:features\s*/>")

    async def start_tls(self, ca_file: Path, certificate: Certificate | None = None) -> str:
        """Open the stream, encrypt it, open it again; the features under TLS."""
        await self.begin()
        await self.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await self.until(rb"<proceed[^>]*>")
        context = ssl.create_default_context(cafile=str(ca_file))
        if certificate is not None:
            context.load_cert_chain(certificate.certificate, certificate.key)
        await self._writer.start_tls(context, server_hostname=self.to)
        return await self.begin()

    async def prove_by_certificate(self, ca_file: Path, certificate: Certificate) -> str:
        """SASL EXTERNAL; comes back with the features of the authenticated stream."""
        features = await self.start_tls(ca_file, certificate)
        assert "EXTERNAL" in features, features
        identity = base64.b64encode(self.domain.encode()).decode()
        await self.send(
            f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{identity}</auth>"
        )
        await self.until(rb"<success[^>]*>")
        return await self.begin()

    async def send(self, data: str | bytes) -> None:
        """StreamEnded when the gateway does not take it any more."""
        try:
            self._writer.write(data.encode() if isinstance(data, str) else data)
            await self._writer.drain()
        except OSError as error:
            raise StreamEnded(str(error)) from error

    async def until(self, pattern: bytes, timeout_s: float = 10.0) -> str:
        """Read until `pattern` has come; all that came since the stream was opened."""
        async with asyncio.timeout(timeout_s):
            while not re.search(pattern, self.received):
                await self._read()
        return self.received.decode("utf-8", "replace")

    async def until_closed(self, timeout_s: float = 10.0) -> str:
        """Read until the gateway hangs up; all that came."""
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    await self._read()
                except StreamEnded:
                    self.close()
                    return self.received.decode("utf-8", "replace")

    async def _read(self) -> None:
        try:
            data = await self._reader.read(65536)
        except OSError as error:
            raise StreamEnded(str(error)) from error
        if not data:
            raise StreamEnded(self.received.decode("utf-8", "replace"))
        self.received += data

    def close(self) -> None:
        self._writer.transport.abort()
