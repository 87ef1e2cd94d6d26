"""How a peer proves itself: certificates over TLS (RFC 5922, RFC 5923), and passwords (RFC 8760)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509

from networks.sip.plays import Caller, Stage, message, outgoing
from rialto.model.errors import ConfigError, Unreachable
from rialto.net.link import Link, connect
from rialto.net.listen import serve
from rialto.net.tls import CertificateStore, KeyPair
from rialto.networks.sip.locate import Target
from rialto.networks.sip.settings import Account, PeerSettings, Settings, parse_listen
from rialto.networks.sip.wire import Request
from rialto.networks.sip.wire.digest import Answerer, Secret
from rialto.networks.sip.wire.stream import StreamMachine

TLS = Settings(listen=("tls:127.0.0.1:0",))


class Authority:
    """A CA, and key pairs that it made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.anchors = (x509.load_pem_x509_certificate(self.ca.cert_pem.bytes()),)

    def store(self, *names: str) -> CertificateStore:
        pairs = []
        for name in names:
            made = self.ca.issue_cert(name)
            certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
            certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
            key.write_bytes(made.private_key_pem.bytes())
            pairs.append(KeyPair(certificate, key))
        return CertificateStore(pairs)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class TlsCaller:
    """Somebody with (or without) a certificate, on one TLS connection."""

    def __init__(self, link: Link[Any]) -> None:
        self.link = link
        self.machine = StreamMachine(0.0)
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()
        link.attach(self.machine, self.inbox.put_nowait)

    @classmethod
    async def call(cls, port: int, store: CertificateStore, own: str | None) -> TlsCaller:
        link = await connect("127.0.0.1", port, tls=store.client("gw.example", own_domain=own))
        return cls(link)

    def say(self, said: Any) -> None:
        self.machine.send(said.encode())
        self.link.wake()

    async def hears(self) -> Any:
        return await asyncio.wait_for(self.inbox.get(), 5)

    answers = Caller.answers

    def close(self) -> None:
        self.link.close()


def tls_stage(authority: Authority, **changes: Any) -> Stage:
    peer = PeerSettings(**({"trust": ("tls",)} | changes))
    return Stage(
        settings=TLS, peer=peer, certificates=authority.store("gw.example"), anchors=authority.anchors
    )


def over_tls(**changes: Any) -> Request:
    return message(via="SIP/2.0/TLS 127.0.0.1:5061;alias", **changes)


async def test_a_certificate_for_the_senders_domain_proves_it(authority: Authority) -> None:
    async with tls_stage(authority) as stage:
        juliet = await TlsCaller.call(stage.port("tls"), authority.store("sip.example"), "sip.example")
        stage.people.append(juliet)  # type: ignore[arg-type]
        juliet.say(over_tls())
        assert (await juliet.hears()).status == 200
        _, origin, _ = stage.hub.accepted[0]
        assert (origin.proof, origin.secured) == ("tls", True)


@pytest.mark.parametrize("own", ["elsewhere.example", None])
async def test_another_certificate_or_none_proves_nothing(authority: Authority, own: str | None) -> None:
    async with tls_stage(authority) as stage:
        store = authority.store(own) if own else CertificateStore()
        mallory = await TlsCaller.call(stage.port("tls"), store, own)
        stage.people.append(mallory)  # type: ignore[arg-type]
        mallory.say(over_tls())
        assert (await mallory.hears()).status == 403
        assert stage.hub.accepted == []


async def test_a_certificate_of_another_ca_proves_nothing(authority: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    async with tls_stage(authority) as stage:
        mallory = await TlsCaller.call(
            stage.port("tls"), Authority(folder).store("sip.example"), "sip.example"
        )
        stage.people.append(mallory)  # type: ignore[arg-type]
        mallory.say(over_tls())
        assert (await mallory.hears()).status == 403


async def test_romeos_answer_goes_back_over_julets_own_connection(authority: Authority) -> None:  # RFC 5923
    async with tls_stage(
        authority, proxy="sip:127.0.0.1:5061;transport=tls", tls_name="sip.example"
    ) as stage:
        juliet = await TlsCaller.call(stage.port("tls"), authority.store("sip.example"), "sip.example")
        stage.people.append(juliet)  # type: ignore[arg-type]
        juliet.say(over_tls())
        await juliet.hears()
        delivery = stage.deliver(outgoing())
        request = await juliet.answers(200)
        assert request.top_via.transport == "TLS"
        assert request.top_via.param("alias") is not None
        assert await delivery.end == "delivered 200 OK"


async def tls_server(store: CertificateStore) -> tuple[Any, asyncio.Queue[TlsCaller]]:
    calls: asyncio.Queue[TlsCaller] = asyncio.Queue()
    listener = await serve("127.0.0.1", 0, lambda link: calls.put_nowait(TlsCaller(link)), tls=store.server)
    return listener, calls


async def test_a_message_leaves_over_tls_only_to_a_server_that_proves_its_name(authority: Authority) -> None:
    for name, good in (("proxy.sip.example", True), ("evil.example", False)):
        listener, calls = await tls_server(authority.store(name))
        proxy = f"sip:127.0.0.1:{listener.port};transport=tls"
        async with tls_stage(authority, proxy=proxy, tls_name="proxy.sip.example") as stage:
            delivery = stage.deliver(outgoing())
            if good:
                await (await asyncio.wait_for(calls.get(), 5)).answers(200)
                assert await delivery.end == "delivered 200 OK"
                ((security, direction),) = [(link.security, link.direction) for link in stage.network.links()]
                assert security.startswith("TLSv1.3")
                assert direction == "out"
            else:
                error = await delivery.error()
                assert isinstance(error, Unreachable)
                assert "could not prove its name" in error.text
                assert ("unproven", "sip", "tls-server") in stage.hub.counted
        listener.close()


async def test_a_connection_that_is_good_enough_for_one_peer_is_not_for_another(authority: Authority) -> None:
    listener, calls = await tls_server(authority.store("evil.example"))
    proxy = f"sip:127.0.0.1:{listener.port};transport=tls"
    async with tls_stage(authority, proxy=proxy, verify_tls=False) as stage:
        delivery = stage.deliver(outgoing())
        await (await asyncio.wait_for(calls.get(), 5)).answers(200)
        assert await delivery.end == "delivered 200 OK"
        careless = stage.network.trunks["bobs"]
        careful = tls_stage(authority, proxy=proxy).network.trunks["bobs"]
        target = Target("tls", "127.0.0.1", listener.port, "127.0.0.1")
        assert stage.network.transports.flow_to(target, careless) is not None
        assert stage.network.transports.flow_to(target, careful) is None
    listener.close()


async def test_listening_for_tls_without_a_certificate_is_a_mistake_that_is_explained() -> None:
    stage = Stage(settings=TLS)
    with pytest.raises(ConfigError, match="certificate"):
        await stage.network.start(stage.hub)  # type: ignore[arg-type]


async def test_an_address_in_use_is_a_mistake_that_is_explained() -> None:
    async with Stage() as stage:
        taken = f"tcp:127.0.0.1:{stage.port('tcp')}"
        other = Stage(settings=Settings(listen=(taken,)))
        with pytest.raises(ConfigError, match="free"):
            await other.network.start(other.hub)  # type: ignore[arg-type]


# Passwords

BY_PASSWORD = PeerSettings(trust=("digest",), accounts=(Account(username="sipsrv", password="secret"),))


def credentials(challenges: list[str], password: str) -> tuple[tuple[str, str], ...]:
    value = Answerer(Secret("sipsrv", password)).answer(challenges, "MESSAGE", "sip:romeo@xmpp.example", "c")
    assert value is not None
    return (("Authorization", value),)


async def test_a_password_proves_a_sender() -> None:
    async with Stage(peer=BY_PASSWORD) as stage:
        juliet = await stage.udp()
        juliet.say(message())
        challenge = await juliet.hears()
        assert challenge.status == 401
        assert stage.network.layer.server_count == 0
        challenges = challenge.get_all("WWW-Authenticate")
        assert ["SHA-256" in text for text in challenges] == [True, False]  # RFC 8760 section 2.3: best first
        juliet.say(message(cseq=2, branch="z9hG4bK2", headers=credentials(challenges, "secret")))
        assert (await juliet.hears()).status == 200
        assert stage.hub.accepted[0][1].proof == "digest"


async def test_a_wrong_password_is_challenged_again_and_proves_nothing() -> None:
    async with Stage(peer=BY_PASSWORD) as stage:
        juliet = await stage.udp()
        juliet.say(message())
        challenges = (await juliet.hears()).get_all("WWW-Authenticate")
        juliet.say(message(cseq=2, branch="z9hG4bK2", headers=credentials(challenges, "wrong")))
        assert (await juliet.hears()).status == 401
        assert ("unproven", "sip", "credentials") in stage.hub.counted
        assert stage.hub.accepted == []


async def test_a_retransmission_with_credentials_is_absorbed_not_judged_again() -> None:
    async with Stage(peer=BY_PASSWORD) as stage:
        juliet = await stage.udp()
        juliet.say(message())
        challenges = (await juliet.hears()).get_all("WWW-Authenticate")
        proven = message(cseq=2, branch="z9hG4bK2", headers=credentials(challenges, "secret"))
        for _ in range(2):
            juliet.say(proven)
            assert (await juliet.hears()).status == 200
        assert len(stage.hub.accepted) == 1


async def test_digest_is_asked_for_where_the_address_is_no_proof() -> None:
    peer = PeerSettings(
        trust=("address", "digest"), addresses=("192.0.2.1",), accounts=(Account(username="a", password="b"),)
    )
    async with Stage(peer=peer) as stage:
        juliet = await stage.udp()
        juliet.say(message())
        assert (await juliet.hears()).status == 401


# Settings


@pytest.mark.parametrize(
    "changes",
    [
        {"trust": ("address",)},
        {"trust": ("digest",)},
        {"trust": ("address",), "addresses": ("nowhere",)},
        {"proxy": "https://proxy.example"},
        {"proxy": "sip:"},
        {"username": "x", "password_file": "/nowhere/at/all"},
        {"username": "x", "password_env": "RIALTO_NO_SUCH_VARIABLE"},
    ],
)
def test_settings_that_can_not_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Stage(peer=PeerSettings(**changes))


def test_secrets_come_from_files_and_stay_out_of_sight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_text("hidden-one\n")
    monkeypatch.setenv("RIALTO_TEST_SECRET", "hidden-two")
    peer = PeerSettings(
        trust=("digest",),
        accounts=(
            Account(username="a", password_file=str(file)),
            Account(username="b", password="hidden-three"),
        ),
        username="us",
        password_env="RIALTO_TEST_SECRET",
    )
    trunk = Stage(peer=peer).network.trunks["bobs"]
    assert trunk.passwords == {"a": "hidden-one", "b": "hidden-three"}
    assert "hidden" not in repr(peer) + repr(peer.accounts) + repr(trunk.answerer)


@pytest.mark.parametrize("text", ["5060", "sctp:1.2.3.4:5", "udp:1.2.3.4:99999", "tcp:[::1", ""])
def test_a_listener_that_can_not_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_listen(text)


def test_a_listener_has_the_port_of_its_transport() -> None:
    assert parse_listen("tls:[::1]").port == 5061
    assert parse_listen("udp:192.0.2.1").port == 5060


def test_addresses_may_be_networks_and_mapped() -> None:
    trunk = Stage(
        peer=PeerSettings(trust=("address",), addresses=("192.0.2.0/24", "2001:db8::/32"))
    ).network.trunks["bobs"]
    assert trunk.owns_address("192.0.2.77")
    assert trunk.owns_address("::ffff:192.0.2.77")
    assert trunk.owns_address("2001:db8::1")
    assert not trunk.owns_address("198.51.100.1")
    assert not trunk.owns_address("nonsense")
