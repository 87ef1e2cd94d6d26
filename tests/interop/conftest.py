"""Fixtures of the interop tests, one for each kind of peer, for the namespace that `run` makes."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interop.gateway import Gateway
from interop.peers import addresses
from interop.peers.baresip import Baresip
from interop.peers.certificates import Authority, Certificate
from interop.peers.dns import dnsmasq
from interop.peers.ejabberd import Ejabberd
from interop.peers.kamailio import Kamailio, Transport
from interop.peers.program import Program
from interop.peers.prosody import Mode, Prosody
from interop.peers.purple import Purple
from interop.peers.sip_socket import SipSocket
from interop.peers.sipp import Sipp
from interop.peers.sipp_presence import SippPresence
from interop.peers.xmpp_client import XmppClient
from interop.peers.xmpp_roster import RosterClient

HERE = Path(__file__).parent
NAMESPACE = "RIALTO_INTEROP_NAMESPACE"
LINES_OF_LOG = 40
SERVED = ("xa.example", "xb.example", "secure.example")
_left_out = 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what lies here, and leave it out where there is no namespace: default ports may be somebody's."""
    global _left_out
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.interop)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(120))
    if NAMESPACE not in os.environ:
        _left_out = len(ours)
        items[:] = [item for item in items if item not in set(ours)]
        config.hook.pytest_deselected(items=ours)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _left_out:
        terminalreporter.write_line(
            f"{_left_out} interop tests left out: they need a namespace, 'make interop' makes one"
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Put the ends of all logs into the report of a failure."""
    report = yield
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if report.failed and folder is not None:
        for log in sorted(p for p in folder.rglob("*") if p.suffix in {".log", ".errors"} and p.is_file()):
            lines = log.read_text(errors="replace").splitlines()[-LINES_OF_LOG:]
            if lines:
                text = "\n".join(line[:400] for line in lines)
                report.sections.append((str(log.relative_to(folder)), text))
    return report


@pytest.fixture(scope="session")
def dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The name server of the zone example., at 127.0.0.1."""
    program = dnsmasq(tmp_path_factory.mktemp("dns"))
    yield program
    program.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The certificate authority that everybody trusts."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("other-certificates"), "Other CA")


@pytest.fixture(scope="session")
def sip_certificate(authority: Authority) -> Certificate:
    """The certificate of sip.example and of its proxy."""
    return authority.issue("sip.example", "proxy.sip.example")


@pytest.fixture
def prosody(tmp_path: Path, dns: Program, authority: Authority) -> Iterator[Callable[..., Prosody]]:
    """Make and start a Prosody: `prosody("xa.example", "dialback" | "external" | "component")`."""
    made: list[Prosody] = []

    def make(
        domain: str = "xa.example", mode: Mode = "dialback", certificate: Certificate | None = None
    ) -> Prosody:
        server = Prosody(tmp_path, domain, mode, certificate or authority.issue(domain), authority.ca_file)
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def ejabberd(
    tmp_path: Path, dns: Program, authority: Authority, other_authority: Authority
) -> Iterator[Callable[..., Ejabberd]]:
    """Make and start an ejabberd: `ejabberd("xb.example", "dialback" | "external" | "component")`."""
    made: list[Ejabberd] = []

    def make(domain: str = "xb.example", mode: Mode = "dialback") -> Ejabberd:
        server = Ejabberd(
            tmp_path, domain, mode, authority.issue(domain), authority.ca_file, other_authority.ca_file
        )
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def kamailio(
    tmp_path: Path, dns: Program, authority: Authority, sip_certificate: Certificate
) -> Iterator[Callable[..., Kamailio]]:
    """Make and start the proxy of sip.example: `kamailio(to_gateway="udp" | "tcp" | "tls")`."""
    made: list[Kamailio] = []

    def make(
        to_gateway: Transport = "udp", certificate: Certificate | None = None, **settings: Any
    ) -> Kamailio:
        shown = certificate or sip_certificate
        server = Kamailio(tmp_path, shown, authority.ca_file, to_gateway, **settings)
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def sipp(tmp_path: Path, dns: Program) -> Iterator[Sipp]:
    """SIPp: registers users, sends lists of texts, waits for messages."""
    made = Sipp(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def baresip(tmp_path: Path, dns: Program) -> Iterator[Callable[..., Baresip]]:
    """Make a baresip that is registered at the proxy: `baresip("bob", "carol@sip.example", port=6060)`."""
    made: list[Baresip] = []

    def make(user: str, partner: str, port: int, transport: Transport = "udp") -> Baresip:
        client = Baresip(tmp_path, user, partner, port, transport)
        made.append(client)
        client.start()
        return client

    yield make
    for client in made:
        client.stop()


@pytest.fixture
async def purple(tmp_path: Path, dns: Program) -> AsyncIterator[Callable[[str], Awaitable[Purple]]]:
    """Log a libpurple in at the proxy: `await purple("bob")`."""
    made: list[Purple] = []

    async def make(user: str) -> Purple:
        client = Purple(tmp_path, user, 6667 + len(made))
        made.append(client)
        await client.log_in()
        return client

    yield make
    for client in made:
        await client.stop()


@pytest.fixture
async def log_in(dns: Program, authority: Authority) -> AsyncIterator[Callable[[str], Awaitable[XmppClient]]]:
    """Log a user in at the XMPP server of its domain: `await log_in("alice@xa.example")`."""
    made: list[XmppClient] = []

    async def make(jid: str) -> XmppClient:
        client = XmppClient(jid, authority.ca_file)
        made.append(client)
        await client.log_in()
        return client

    yield make
    for client in made:
        await client.log_out()


@pytest.fixture
async def log_in_roster(
    dns: Program, authority: Authority
) -> AsyncIterator[Callable[[str], Awaitable[RosterClient]]]:
    """The same for a user who looks at presence: `await log_in_roster("alice@xa.example/desk")`."""
    made: list[RosterClient] = []

    async def make(jid: str) -> RosterClient:
        client = RosterClient(jid, authority.ca_file)
        made.append(client)
        await client.log_in()
        return client

    yield make
    for client in made:
        await client.log_out()


@pytest.fixture
def sipp_presence(sipp: Sipp) -> SippPresence:
    """SIPp: publishes, watches, refuses."""
    return SippPresence(sipp)


@pytest.fixture
def gateway(
    tmp_path: Path, dns: Program, authority: Authority, sip_certificate: Certificate
) -> Iterator[Callable[..., Gateway]]:
    """Make and start the gateway: `gateway(xmpp_peer(...), sip_peer(...))`.

    It holds a certificate for sip.example (which it serves for XMPP), for
    xa.example and xb.example (SIP), and for secure.example.
    """
    made: list[Gateway] = []

    def make(*tables: str, **networks: dict[str, object]) -> Gateway:
        ours = [sip_certificate]
        ours += [authority.issue(domain, file_name=f"gateway-{domain}") for domain in SERVED]
        one = Gateway(tmp_path, authority.ca_file, ours, *tables, **networks)
        made.append(one)
        one.start()
        return one

    yield make
    for one in made:
        one.stop()
        assert "Traceback" not in one.program.read_log()


@pytest.fixture
def stranger() -> Iterator[SipSocket]:
    """A SIP socket at an address that nobody trusts."""
    made = SipSocket(addresses.STRANGER)
    yield made
    made.close()
