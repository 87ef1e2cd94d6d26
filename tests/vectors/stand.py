"""A whole gateway between an XMPP server and a SIP user agent that the test plays by hand.

The gateway is a real hub with a real store and both real networks, on sockets of the loopback. The XMPP
server takes it in as a component and writes stanzas as the vectors have them; the SIP user agent speaks UDP.
What the gateway says is kept in three lines: stanzas, requests, responses.

Its time is that of the test: `pass_time` moves its clock and its timers, and nobody waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from xml.etree import ElementTree as ET

from rialto.core.hub import Hub
from rialto.core.network import Context, Peer
from rialto.core.settings import QueueSettings
from rialto.net.dns import Answer, NoSuchDomain
from rialto.net.tls import CertificateStore
from rialto.networks.sip import settings as sip_settings
from rialto.networks.sip.network import SipNetwork
from rialto.networks.xmpp import settings as xmpp_settings
from rialto.networks.xmpp.network import XmppNetwork
from rialto.store.store import Store
from vectors.msrp import MsrpEnd
from vectors.wires import Sip, Stanza

XMPP_DOMAIN, SIP_DOMAIN = "example.com", "example.net"
PING = "{urn:xmpp:ping}ping"
STEPS = 400
"""In so many steps time passes."""


class NoDns:
    """Knows IP addresses only."""

    async def addresses(self, name: str) -> Answer[str]:
        if name[0].isdigit():
            return Answer((name,))
        raise NoSuchDomain(name, "no such name")

    async def srv(self, name: str) -> Any:
        raise NoSuchDomain(name, "no such name")

    naptr = srv


class XmppServer(asyncio.Protocol):
    """Juliet's server: takes a component in, answers its pings, keeps its stanzas."""

    def __init__(self) -> None:
        self.stanzas: asyncio.Queue[Stanza] = asyncio.Queue()
        self.ready = asyncio.Event()
        self._answered = asyncio.Event()
        self._parser: Any = ET.XMLPullParser(("start", "end"))
        self._depth = 0
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._parser, self._depth = ET.XMLPullParser(("start", "end")), 0
        self.ready.clear()

    def data_received(self, data: bytes) -> None:
        self._parser.feed(data)
        for kind, node in self._parser.read_events():
            if kind == "start":
                self._depth += 1
                if self._depth == 1:
                    self.say(
                        "<stream:stream xmlns='jabber:component:accept' "
                        f"xmlns:stream='http://etherx.jabber.org/streams' from='{SIP_DOMAIN}' id='s1'>"
                    )
            else:
                self._depth -= 1
                if self._depth == 1:
                    self._take(node)

    def _take(self, node: ET.Element) -> None:
        name = node.tag.rpartition("}")[2]
        if name == "handshake":
            self.say("<handshake/>")
            self.ready.set()
        elif name == "iq" and node.get("type") == "result" and node.get("id") == "turn":
            self._answered.set()
        elif name == "iq" and node.find(PING) is not None:
            self.say(
                f"<iq type='result' from='{node.get('to')}' to='{node.get('from')}' id='{node.get('id')}'/>"
            )
        elif name == "iq" and node.get("type") == "get":
            # A gateway may be curious (about names, abilities); here it learns nothing.
            self.say(
                f"<iq type='error' from='{node.get('to')}' to='{node.get('from')}' id='{node.get('id')}'>"
                "<error type='cancel'>"
                "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            )
        else:
            self.stanzas.put_nowait(Stanza(node))

    def say(self, text: str) -> None:
        self._transport.write(text.encode())

    async def turn(self) -> None:
        """Until the gateway has read everything, and said what it had to say about it."""
        self._answered.clear()
        self.say(
            f"<iq type='get' from='{XMPP_DOMAIN}' to='{SIP_DOMAIN}' id='turn'>"
            "<ping xmlns='urn:xmpp:ping'/></iq>"
        )
        await asyncio.wait_for(self._answered.wait(), 5)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class SipAgent(asyncio.DatagramProtocol):
    """Romeo's user agent, and the proxy in front of it."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[Sip] = asyncio.Queue()
        self.responses: asyncio.Queue[Sip] = asyncio.Queue()
        self.gateway = ("127.0.0.1", 0)
        self.port = 0
        self._seen: set[bytes] = set()
        self._turns = 0
        self._answered = asyncio.Event()
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        sip = Sip(data.decode())
        if sip.field("cseq-method") == "OPTIONS":
            self._answered.set()
        elif data in self._seen:
            pass  # a retransmission
        elif sip.field("status") != "100":
            self._seen.add(data)
            (self.responses if sip.is_response else self.requests).put_nowait(sip)

    def say(self, sip: Sip) -> None:
        self._transport.sendto(sip.encode(), self.gateway)

    async def turn(self) -> None:
        """As that of the server."""
        self._answered.clear()
        self._turns += 1
        self.say(
            Sip(
                f"OPTIONS sip:{XMPP_DOMAIN} SIP/2.0\n"
                f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bKturn{self._turns}\n"
                f"Max-Forwards: 70\nFrom: <sip:{SIP_DOMAIN}>;tag=turn\nTo: <sip:{XMPP_DOMAIN}>\n"
                f"Call-ID: turn{self._turns}\nCSeq: 1 OPTIONS"
            )
        )
        await asyncio.wait_for(self._answered.wait(), 5)

    def close(self) -> None:
        self._transport.close()


class Stand:
    """`async with` raises it and takes it down."""

    def __init__(self, folder: Path, *, sessions: bool = False) -> None:
        self._folder = folder
        self._sessions = sessions
        self.msrp = MsrpEnd()
        self.paths: tuple[str, str] | None = None
        """Of the session, once there is one: the gateway's, and Romeo's."""
        self.server = XmppServer()
        self.agent = SipAgent()
        self._ahead_s = 0.0

    def _clock(self) -> float:
        return time.time() + self._ahead_s

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        real = loop.time
        loop.time = lambda: real() + self._ahead_s  # type: ignore[method-assign]
        self._listener = await loop.create_server(lambda: self.server, "127.0.0.1", 0)
        await loop.create_datagram_endpoint(lambda: self.agent, local_addr=("127.0.0.1", 0))
        await self.msrp.listen()
        xmpp = xmpp_settings.PeerSettings(
            link="component",
            host="127.0.0.1",
            port=self._listener.sockets[0].getsockname()[1],
            secret="s3cret",
            tls="off",
        )
        sip = sip_settings.PeerSettings(
            proxy=f"sip:127.0.0.1:{self.agent.port};transport=udp",
            transports=("udp",),
            trust=("address",),
            addresses=("127.0.0.1",),
            notify_every_s=0,
            sessions="always" if self._sessions else "auto",
        )
        self._peers = (
            Peer("verona", "xmpp", (XMPP_DOMAIN,), xmpp, xmpp_settings.features(xmpp)),
            Peer("mantua", "sip", (SIP_DOMAIN,), sip, sip_settings.features(sip)),
        )
        await self._raise(0)
        return self

    async def _raise(self, port: int) -> None:
        """The gateway, with what is in its folder."""
        self.store = Store(self._folder)
        self.hub = Hub(
            store=self.store,
            peers=self._peers,
            settings=QueueSettings(),
            server_name="gw.example",
            clock=self._clock,
        )

        def context(name: str) -> Context:
            return Context(
                name=name,
                server_name="gw.example",
                secret=b"s" * 32,
                peers=tuple(peer for peer in self._peers if peer.network == name),
                dns=NoDns(),
                certificates=CertificateStore([]),
                anchors=(),
                clock=self._clock,
            )

        self.xmpp = XmppNetwork(xmpp_settings.Settings(listen=()), context("xmpp"))
        settings = sip_settings.Settings(
            listen=(f"udp:127.0.0.1:{port}",), msrp=("tcp:127.0.0.1:0",) if self._sessions else ()
        )
        self.sip = SipNetwork(settings, context("sip"))
        await self.hub.start({"xmpp": self.xmpp, "sip": self.sip})
        await self.xmpp.start(self.hub)
        await self.sip.start(self.hub)
        self.hub.go()
        self.agent.gateway = ("127.0.0.1", self.sip.transports.bound()[0][2])
        await asyncio.wait_for(self.server.ready.wait(), 5)

    async def _fell(self) -> None:
        await self.hub.stop(0.0)
        await self.xmpp.stop(0.0)
        await self.sip.stop(0.0)
        await self.hub.close()

    async def __aexit__(self, *_: object) -> None:
        await self._fell()
        del asyncio.get_running_loop().time
        self.server.close()
        self.agent.close()
        self.msrp.close()
        self._listener.close()

    async def restart(self) -> None:
        """The gateway ends and comes back, on the same disk and the same port."""
        await self.settle()
        self.server.ready.clear()
        await self._fell()
        await self._raise(self.agent.gateway[1])

    async def pass_time(self, seconds: float, enough: Callable[[], bool]) -> float:
        """Let so many seconds of the gateway's time pass, or as many as are `enough`; how many they were."""
        loop = asyncio.get_running_loop()
        start, step_s = loop.time(), seconds / STEPS
        while not enough() and loop.time() < start + seconds:
            self._ahead_s += step_s
            await self.server.turn()
            await self.agent.turn()
        return loop.time() - start

    async def settle(self) -> None:
        """Until nothing more follows from what was said: written to the store, and out on both wires."""
        for _ in range(3):
            await self.store.writer.drain()
            await self.server.turn()
            await self.agent.turn()
            if self.paths is not None:
                await self.msrp.turn(*self.paths)
