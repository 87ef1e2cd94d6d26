"""TLS as a machine: against itself in memory, whole and byte by byte, and against the standard library's."""

from __future__ import annotations

import hashlib
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa

from net.pki import CLIENT, NOW, SERVER, dns, make
from rialto.model.errors import ConfigError, LocalProtocolError
from rialto.net.tls import CertificateStore, HandshakeDone, HandshakeFailed, KeyPair, TlsClosed, TlsMachine

ROOT = make("Root", ca=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    make("a", ROOT, names=dns("a.example", "*.wild.example"), usage=[SERVER]).write(folder, "a")
    make("b", ROOT, names=dns("b.example"), usage=[SERVER]).write(folder, "b")
    make("old", names=dns("old.example"), end=NOW - timedelta(days=20)).write(folder, "old")
    ROOT.write(folder, "root")
    return folder


def pair(folder: Path, name: str) -> KeyPair:
    return KeyPair(folder / f"{name}.crt", folder / f"{name}.key")


@pytest.fixture
def store(folder: Path) -> CertificateStore:
    return CertificateStore([pair(folder, "a"), pair(folder, "b")])


def carry(one: TlsMachine, other: TlsMachine, cut: int | None = None) -> int:
    """Carry bytes both ways until there are none; `cut` at a time. Returns how many there were."""
    carried = 0
    while True:
        quiet = True
        for source, target in ((one, other), (other, one)):
            data = source.data_to_send()
            carried += len(data)
            step = cut or len(data) or 1
            for start in range(0, len(data), step):
                quiet = False
                target.receive_data(data[start : start + step], 0.0)
        if quiet:
            return carried


def done(machine: TlsMachine) -> HandshakeDone:
    event = machine.next_event()
    assert isinstance(event, HandshakeDone), event
    return event


@pytest.mark.parametrize("cut", [None, 1, 7, 1000])
def test_both_sides_come_to_terms_however_the_bytes_are_cut(store: CertificateStore, cut: int | None) -> None:
    client, server = store.client("b.example", own_domain="a.example"), store.server()
    carry(client, server, cut)
    ours, theirs = done(client), done(server)
    assert ours.version == theirs.version == "TLSv1.3"
    assert ours.sni == theirs.sni == "b.example"
    assert ours.exporter == theirs.exporter
    assert ours.exporter is not None
    assert len(ours.exporter) == 32
    assert ours.server_end_point == theirs.server_end_point == hashlib.sha256(ours.chain[0]).digest()
    client.send(b"hello")
    server.send(b"x" * 100_000)
    carry(client, server, cut)
    assert server.plaintext() == b"hello"
    assert client.plaintext() == b"x" * 100_000
    assert client.plaintext() == b""


def test_the_certificate_is_chosen_by_the_name_that_is_asked_for(
    folder: Path, store: CertificateStore
) -> None:
    def shown(server_name: str, domain: str | None = None) -> bytes:
        client = store.client(server_name)
        carry(client, store.server(domain=domain))
        return done(client).chain[0]

    a, b = shown("a.example"), shown("b.example")
    assert a != b
    assert shown("x.wild.example") == a
    assert shown("B.EXAMPLE.") == b
    assert shown("unknown.example") == a
    assert shown("unknown.example", domain="b.example") == b
    assert shown("127.0.0.1") == a
    assert store.covers("x.wild.example")
    assert not store.covers("wild.example")
    assert not store.covers("..")


def test_both_show_what_they_have(store: CertificateStore) -> None:
    client, server = store.client("a.example", own_domain="b.example"), store.server()
    carry(client, server)
    assert len(done(client).chain) == len(done(server).chain) == 1


def test_a_client_may_show_nothing(store: CertificateStore) -> None:
    client, server = CertificateStore().client("a.example"), store.server()
    carry(client, server)
    assert done(server).chain == ()
    assert done(client).chain


def test_plaintext_waits_for_the_handshake(store: CertificateStore) -> None:
    client, server = store.client("a.example"), store.server()
    client.send(b"eager")
    server.send(b"me too")
    carry(client, server)
    assert server.plaintext() == b"eager"
    assert client.plaintext() == b"me too"


def test_alpn_is_agreed(store: CertificateStore) -> None:
    client, server = (
        store.client("a.example", alpn=["sip", "xmpp-server"]),
        store.server(alpn=["xmpp-server"]),
    )
    carry(client, server)
    assert done(client).alpn == done(server).alpn == "xmpp-server"


def test_without_alpn_on_either_side_there_is_none(store: CertificateStore) -> None:
    for client, server in (
        (store.client("a.example"), store.server(alpn=["sip"])),
        (store.client("a.example", alpn=["sip"]), store.server()),
    ):
        carry(client, server)
        assert done(client).alpn is None
        assert done(server).alpn is None


def test_a_client_of_another_protocol_is_refused(store: CertificateStore) -> None:
    """RFC 7301 section 3.2; it is what stops attacks across protocols (RFC 9325 section 3.7)."""
    client, server = store.client("a.example", alpn=["http/1.1"]), store.server(alpn=["xmpp-server"])
    carry(client, server)
    failed, refused = server.next_event(), client.next_event()
    assert isinstance(failed, HandshakeFailed)
    assert "http/1.1" in failed.reason
    assert isinstance(refused, HandshakeFailed)
    assert "no application protocol" in refused.reason


def test_a_goodbye_is_clean_and_leaves_the_other_side_open(store: CertificateStore) -> None:
    client, server = store.client("a.example"), store.server()
    carry(client, server)
    done(client), done(server)
    client.send(b"last words")
    client.close()
    server.receive_data(client.data_to_send(), 0.0)
    assert server.plaintext() == b"last words"
    assert server.next_event() == TlsClosed(clean=True)
    server.send(b"an answer")
    client.receive_data(server.data_to_send(), 0.0)
    assert client.plaintext() == b"an answer"


def test_a_connection_that_breaks_off_is_not_clean(store: CertificateStore) -> None:
    client, server = store.client("a.example"), store.server()
    carry(client, server)
    done(server)
    server.receive_data(b"", 0.0)
    assert server.next_event() == TlsClosed(clean=False)
    server.send(b"to nobody")
    assert server.data_to_send() == b""


def test_a_tampered_record_ends_the_channel(store: CertificateStore) -> None:
    client, server = store.client("a.example"), store.server()
    carry(client, server)
    done(server)
    client.send(b"hello")
    record = client.data_to_send()
    server.receive_data(record[:-1] + bytes([record[-1] ^ 1]), 0.0)
    assert server.next_event() == TlsClosed(clean=False)
    assert server.plaintext() == b""
    assert server.data_to_send() != b""  # the alert
    server.receive_data(record, 0.0)
    assert server.plaintext() == b""


def test_breaking_off_in_the_handshake_is_a_failure(store: CertificateStore) -> None:
    server = store.server()
    server.receive_data(b"", 0.0)
    failed = server.next_event()
    assert isinstance(failed, HandshakeFailed)
    assert "closed" in failed.reason


@pytest.mark.parametrize(
    "rubbish", [b"<stream:stream xmlns='jabber:server'>", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff"]
)
def test_what_is_not_tls_fails_with_a_reason(store: CertificateStore, rubbish: bytes) -> None:
    server = store.server()
    server.receive_data(rubbish, 0.0)
    failed = server.next_event()
    assert isinstance(failed, HandshakeFailed)
    assert failed.reason
    assert server.next_event() is None
    server.receive_data(rubbish, 0.0)
    assert server.next_event() is None


# -- against the standard library's TLS -----------------------------------------------------------------


class Stdlib:
    """The other end, by `ssl` over memory BIOs."""

    def __init__(self, context: ssl.SSLContext, *, server_side: bool, name: str | None = None) -> None:
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self.into, self.out, server_side=server_side, server_hostname=name)

    def shake(self, machine: TlsMachine) -> None:
        finished = False
        for _ in range(10):
            try:
                self.object.do_handshake()
                finished = True
            except ssl.SSLWantReadError:
                pass
            if data := self.out.read():
                machine.receive_data(data, 0.0)
            if data := machine.data_to_send():
                self.into.write(data)
        assert finished


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_any_clients_certificate_gets_through_the_handshake(store: CertificateStore, tmp_path: Path) -> None:
    stranger = make("Stranger", ca=True)
    strange = {
        "server-only": make("leaf", stranger, names=dns("c.example"), usage=[SERVER]),
        "self-signed": make("lone", names=dns("c.example")),
        "expired": make("leaf", stranger, end=NOW - timedelta(days=20)),
        "nameless": make("leaf", stranger, usage=[CLIENT]),
        "a-ca": stranger,
        "weak": make("weak", key=rsa.generate_private_key(public_exponent=65537, key_size=1024)),
    }
    for name, cert in strange.items():
        context = client_context()
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.load_cert_chain(*cert.write(tmp_path, name))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context.maximum_version = version
            server = store.server()
            Stdlib(context, server_side=False, name="a.example").shake(server)
            event = done(server)
            assert list(event.chain) == cert.der, name
            assert event.version == ("TLSv1.2" if version is ssl.TLSVersion.TLSv1_2 else "TLSv1.3")
            assert (event.exporter is None) is (version is ssl.TLSVersion.TLSv1_2)


def test_any_servers_certificate_gets_through_the_handshake(store: CertificateStore, tmp_path: Path) -> None:
    for name, cert in (
        ("expired", make("old", names=dns("c.example"), end=NOW - timedelta(days=20))),
        ("client-only", make("leaf", make("Stranger", ca=True), usage=[CLIENT])),
    ):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*cert.write(tmp_path, name))
        client = store.client("a.example")
        Stdlib(context, server_side=True).shake(client)
        assert list(done(client).chain) == cert.der


def test_the_standard_library_believes_our_chain(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.create_child_ca().issue_cert("b.example")
    leaf.private_key_pem.write_to_path(tmp_path / "b.key")
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(tmp_path / "b.crt", append=True)
    store = CertificateStore([pair(tmp_path, "b")])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    server = store.server()
    Stdlib(context, server_side=False, name="b.example").shake(server)
    assert done(server).sni == "b.example"
    with pytest.raises(ssl.SSLCertVerificationError):
        Stdlib(context, server_side=False, name="c.example").shake(store.server())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_1_1_is_refused(store: CertificateStore) -> None:
    context = client_context()
    context.set_ciphers("ALL@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    peer = Stdlib(context, server_side=False, name="a.example")
    server = store.server()
    with pytest.raises(ssl.SSLError):
        peer.shake(server)
    assert isinstance(server.next_event(), HandshakeFailed)


@pytest.mark.parametrize("ciphers", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "NULL-SHA256"])
def test_without_forward_secrecy_and_authenticated_encryption_there_is_no_channel(
    store: CertificateStore, ciphers: str
) -> None:
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    server = store.server()
    with pytest.raises(ssl.SSLError):
        Stdlib(context, server_side=False, name="a.example").shake(server)
    assert isinstance(server.next_event(), HandshakeFailed)


# -- the store ------------------------------------------------------------------------------------------


def test_certificates_are_read_again(folder: Path, tmp_path: Path) -> None:
    crt, key = make("one", names=dns("a.example")).write(tmp_path, "own")
    store = CertificateStore([KeyPair(crt, key)])

    def shown() -> bytes:
        client = store.client("a.example")
        carry(client, store.server())
        return done(client).chain[0]

    before = shown()
    make("two", names=dns("a.example")).write(tmp_path, "own")
    assert shown() == before
    store.reload()
    after = shown()
    assert after != before
    crt.write_text("rubbish")
    with pytest.raises(ConfigError):
        store.reload()
    assert shown() == after
    store.reload([pair(folder, "a")])
    assert store.pairs == (pair(folder, "a"),)


def test_a_key_of_another_certificate_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="its own private key"):
        CertificateStore([KeyPair(folder / "a.crt", folder / "b.key")])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.crt"):
        CertificateStore([KeyPair(tmp_path / "none.crt", tmp_path / "none.key")])


def test_a_server_without_a_certificate_is_our_own_mistake() -> None:
    store = CertificateStore()
    assert not store
    with pytest.raises(LocalProtocolError):
        store.server()
