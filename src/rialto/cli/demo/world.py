"""The world of `rialto try`: a real instance in a folder, an XMPP server and a SIP phone around it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from rialto import config as configuration
from rialto.app import App
from rialto.cli.certificates import Authority
from rialto.cli.demo import sip_phone, xmpp_server
from rialto.cli.demo.sip_phone import SipPhone
from rialto.cli.demo.wire import Recorder
from rialto.cli.demo.xmpp_server import XmppServer
from rialto.cli.describe import toml
from rialto.model.address import Address
from rialto.net.certificates import Trust, load_anchors
from rialto.net.tls import CertificateStore, KeyPair

XMPP_DOMAIN, SIP_DOMAIN, TEST_DOMAIN = "capulet.example", "montague.example", "test.example"
SERVER_NAME = "rialto.example"
JULIET = Address("juliet", XMPP_DOMAIN, "balcony")
ROMEO = Address("romeo", SIP_DOMAIN)
LOOPBACK = "127.0.0.1"
ADDRESS_DOMAINS = ("localhost", LOOPBACK)
"""What SIP clients without a domain of their own call themselves by."""
TEST_PEOPLE = ("echo", "busy", "refuse", "slow")
WISHED_PORTS = {"sip": 15060, "xmpp": 15269, "phone": 25060, "server": 25269}


class Ports(msgspec.Struct, frozen=True):
    """Who listens where: Rialto for SIP and for XMPP, the phone, the XMPP server."""

    sip: int
    xmpp: int
    phone: int
    server: int


class Heard(msgspec.Struct, frozen=True):
    """Somebody got a message; `error` where it is the news that one of theirs did not arrive."""

    network: str
    sender: Address
    recipient: Address
    text: str
    error: str = ""


class Told(msgspec.Struct, frozen=True):
    """A SIP sender got the answer to a MESSAGE: 200, 202, or why not."""

    status: int
    reason: str


News = Heard | Told


class Places:
    """Ports that are ours from now on: the wished ones where they are free, else what the kernel gives.

    They are held until `release`, so that two trials at once do not want the same.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []
        self.ports = Ports(**{name: self._hold(port) for name, port in WISHED_PORTS.items()})

    def release(self) -> None:
        """Let go, for those who will listen there."""
        for one in self._held:
            one.close()
        self._held.clear()

    def _hold(self, wished: int) -> int:
        """A port that is free for TCP and UDP on the loopback interface. Raises OSError if none is."""
        for port in (wished, 0, 0, 0):
            stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                stream.bind((LOOPBACK, port))
                stream.listen()
                found: int = stream.getsockname()[1]
                datagrams.bind((LOOPBACK, found))
            except OSError:
                stream.close()
                datagrams.close()
                continue
            self._held += [stream, datagrams]
            return found
        raise OSError(errno.EADDRINUSE, "no port is free on the loopback interface")


def settings(folder: Path, ports: Ports) -> dict[str, Any]:
    """The configuration, as TOML would be read."""
    authority = Authority(folder, "Rialto's trial authority")
    for names in ((SERVER_NAME, SIP_DOMAIN, *ADDRESS_DOMAINS, TEST_DOMAIN), (XMPP_DOMAIN,)):
        authority.issue(*names)
    return {
        "server": {"name": SERVER_NAME, "data_dir": str(folder), "grace_s": 1.0},
        "tls": {
            "ca_file": str(authority.ca_file),
            "certificates": [
                {"certificate": str(folder / f"{SERVER_NAME}.pem"), "key": str(folder / f"{SERVER_NAME}.key")}
            ],
        },
        "log": {"level": "warning", "format": "text"},
        "networks": {
            "xmpp": {"listen": [f"{LOOPBACK}:{ports.xmpp}"]},
            "sip": {"listen": [f"udp:{LOOPBACK}:{ports.sip}", f"tcp:{LOOPBACK}:{ports.sip}"]},
            "loopback": {},
        },
        "peers": [
            {
                "network": "xmpp",
                "domains": [XMPP_DOMAIN],
                "host": LOOPBACK,
                "port": ports.server,
                "ask_names": False,  # who looks at the wire wants to see the message
            },
            {
                "network": "sip",
                "domains": [SIP_DOMAIN, *ADDRESS_DOMAINS],
                "proxy": f"sip:{LOOPBACK}:{ports.phone};transport=udp",
                "trust": ["address"],
                "addresses": ["127.0.0.0/8", "::1"],
                "sender_rate_per_s": 10_000.0,  # people play with load generators
                "rate_per_s": 10_000.0,
            },
            {"network": "loopback", "domains": [TEST_DOMAIN]},
        ],
    }


SCENARIO = f"""\
<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="A message to somebody at {XMPP_DOMAIN}">
  <send retrans="500"><![CDATA[
MESSAGE sip:[service]@{XMPP_DOMAIN} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:mercutio@{SIP_DOMAIN}>;tag=[pid]-[call_number]
To: <sip:[service]@{XMPP_DOMAIN}>
Call-ID: [call_id]
CSeq: 1 MESSAGE
Content-Type: text/plain;charset=UTF-8
Content-Length: [len]

Message [call_number] of mercutio
  ]]></send>
  <recv response="202" optional="true" next="1"/>
  <recv response="200"/>
  <label id="1"/>
</scenario>
"""
"""For sipp, which can do it many times a second."""


def write_toml(data: dict[str, Any]) -> str:
    """The same as a file, so that other commands and a curious reader can use it."""
    lines = []
    for name in ("server", "tls", "log"):
        lines += [f"[{name}]", *(f"{key} = {toml(value)}" for key, value in data[name].items()), ""]
    for name, table in data["networks"].items():
        lines += [f"[networks.{name}]", *(f"{key} = {toml(value)}" for key, value in table.items()), ""]
    for peer in data["peers"]:
        lines += ["[[peers]]", *(f"{key} = {toml(value)}" for key, value in peer.items()), ""]
    return "\n".join(lines)


class World:
    """Everything, running; `on_news` hears what the people in it hear."""

    def __init__(self, folder: Path, recorder: Recorder, on_news: Callable[[News], None]) -> None:
        self.folder = folder
        self._places = Places()
        self.ports = self._places.ports
        data = settings(folder, self.ports)
        self.config_path = folder / "rialto.toml"
        self.config_path.write_text(write_toml(data))
        (folder / "message.xml").write_text(SCENARIO)
        self._on_news = on_news
        self.app = App(configuration.load(self.config_path), tap=recorder.tap)
        theirs = CertificateStore([KeyPair(folder / f"{XMPP_DOMAIN}.pem", folder / f"{XMPP_DOMAIN}.key")])
        trust = Trust(load_anchors(folder / "ca.pem"))
        self.server = XmppServer(XMPP_DOMAIN, (LOOPBACK, self.ports.xmpp), theirs, trust, self._on_xmpp)
        self.phone = SipPhone(SIP_DOMAIN, (LOOPBACK, self.ports.sip), self._on_sip)

    async def start(self) -> None:
        """Open every socket. Raises ConfigError and OSError."""
        self._places.release()
        await self.server.start(self.ports.server)
        await self.phone.start(self.ports.phone)
        await self.app.start()

    async def stop(self) -> None:
        """Close everything, in good order."""
        await self.app.stop()
        self.phone.stop()
        await self.server.stop()

    def say(self, sender: str, recipient: Address, text: str) -> None:
        """`juliet` or `romeo` says something. Raises AddressError."""
        if sender == JULIET.local:
            self.server.say(JULIET, recipient, text)
        else:
            self.phone.say(ROMEO, recipient, text)

    def _on_xmpp(self, event: xmpp_server.Received) -> None:
        self._on_news(Heard("xmpp", event.sender, event.recipient, event.text, event.error))

    def _on_sip(self, event: sip_phone.Received | sip_phone.Answered) -> None:
        if isinstance(event, sip_phone.Received):
            self._on_news(Heard("sip", event.sender, event.recipient, event.text))
        else:
            self._on_news(Told(event.status, event.reason))
