"""TLS as a machine around a machine: ciphertext in, plaintext out, and a handshake that judges nobody.

Every certificate gets through the handshake (self-signed, expired, made for servers only, none at all); what
it is worth is decided afterwards, by `rialto.net.certificates`, because only then is it known whom the peer
says it is, and whether dialback, a pin or DANE can speak for it.

The channel itself is not negotiable: TLS 1.2 or 1.3, forward secrecy and AEAD only (RFC 9325, RFC 7590), no
compression, no renegotiation, no resumption (a resumed session would show no certificate).
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL, crypto

from rialto.model.errors import LocalProtocolError

_RECORD_BYTES = 16384  # what one TLS record carries at most
_BIO_BYTES = 65536


@dataclass(frozen=True, slots=True)
class HandshakeDone:
    """The channel is private; nothing has been said about who is at its other end.

    `chain`: the peer's certificates, DER, its own first; empty if it showed none.
    `alpn`: what was agreed, or None.
    `version`: "TLSv1.3"; `cipher`: OpenSSL's name; `sni`: the server name that was asked for, or None.
    `exporter`: the tls-exporter channel binding (RFC 9266), None below TLS 1.3.
    `server_end_point`: the tls-server-end-point channel binding (RFC 5929), None where undefined.
    """

    chain: tuple[bytes, ...]
    alpn: str | None
    version: str
    cipher: str
    sni: str | None
    exporter: bytes | None
    server_end_point: bytes | None


@dataclass(frozen=True, slots=True)
class HandshakeFailed:
    """No channel: `reason` is OpenSSL's, in words. An alert for the peer may still be in `data_to_send`."""

    reason: str


@dataclass(frozen=True, slots=True)
class TlsClosed:
    """The peer ended the channel; `clean` is False where it broke off, or broke the rules."""

    clean: bool


TlsEvent = HandshakeDone | HandshakeFailed | TlsClosed


class NoCommonProtocol(Exception):
    """Raised inside the ALPN callback, which makes OpenSSL refuse with `no_application_protocol`."""


class TlsMachine:
    """One end of one TLS channel; made by `rialto.net.tls.CertificateStore`.

    A client's hello is ready at birth. Plaintext that is sent before the handshake is done waits for it.
    """

    def __init__(
        self, context: SSL.Context, *, server_name: str | None = None, alpn: Sequence[str] = ()
    ) -> None:
        """A server, unless `server_name` (A-labels or an IP address) says whom this client wants to reach."""
        self._connection = connection = SSL.Connection(context, None)
        self._events: deque[TlsEvent] = deque()
        self._received: list[bytes] = []
        self._waiting: list[bytes] = []
        self._done = False
        self._over = False
        self._is_client = server_name is not None
        self.alpn = tuple(name.encode("ascii") for name in alpn)
        connection.set_app_data(self)
        if server_name is None:
            connection.set_accept_state()
            return
        connection.set_connect_state()
        if not _is_ip_address(server_name):  # RFC 6066 section 3: no literal addresses
            connection.set_tlsext_host_name(server_name.encode("ascii"))
        if self.alpn:
            connection.set_alpn_protos(list(self.alpn))
        self._shake()

    @property
    def established(self) -> bool:
        """True once the handshake is done."""
        return self._done

    def receive_data(self, data: bytes, now: float) -> None:
        """Take ciphertext; `b""` means that the peer closed its side."""
        if self._over:
            return
        if not data:
            if self._done:
                self._end(TlsClosed(clean=False))
            else:
                self._end(HandshakeFailed("the peer closed the connection during the handshake"))
            return
        self._connection.bio_write(data)
        if not self._done:
            self._shake()
        if self._done:
            self._read()

    def next_event(self) -> TlsEvent | None:
        """The next thing that happened to the channel."""
        return self._events.popleft() if self._events else None

    def plaintext(self) -> bytes:
        """What the peer said since the last call."""
        received = self._received
        if not received:
            return b""
        data = received[0] if len(received) == 1 else b"".join(received)
        received.clear()
        return data

    def send(self, plaintext: bytes) -> None:
        """Say something. What is said after the channel ended is dropped."""
        if not plaintext or self._over:
            return
        if not self._done:
            self._waiting.append(plaintext)
            return
        try:
            self._connection.sendall(plaintext)
        except SSL.Error as error:
            self._end(TlsClosed(clean=False))
            raise LocalProtocolError(f"TLS did not take {len(plaintext)} bytes: {_words(error)}") from error

    def data_to_send(self) -> bytes:
        """Ciphertext that must be written now."""
        pieces: list[bytes] = []
        while True:
            try:
                piece = self._connection.bio_read(_BIO_BYTES)
            except SSL.Error:  # WantReadError: there is no more
                break
            pieces.append(piece)
            if len(piece) < _BIO_BYTES:
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Say goodbye (close_notify); the peer may still be talking."""
        if self._done:
            try:
                self._connection.shutdown()
            except SSL.Error:  # the channel is broken already: nothing to say goodbye to
                pass

    def _shake(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            self._end(HandshakeFailed(_words(error)))
            return
        except NoCommonProtocol as error:
            self._end(HandshakeFailed(str(error)))
            return
        self._done = True
        self._events.append(self._result())
        for plaintext in self._waiting:
            self._connection.sendall(plaintext)
        self._waiting.clear()

    def _read(self) -> None:
        recv, received = self._connection.recv, self._received
        while True:
            try:
                received.append(recv(_RECORD_BYTES))
            except SSL.WantReadError:
                return
            except SSL.ZeroReturnError:
                self._end(TlsClosed(clean=True))
                return
            except SSL.Error:
                self._end(TlsClosed(clean=False))
                return

    def _end(self, event: TlsEvent) -> None:
        # A clean end of the peer's side leaves ours open: what we have to say can still be sent.
        self._over = event != TlsClosed(clean=True)
        self._waiting.clear()
        self._events.append(event)

    def _result(self) -> HandshakeDone:
        connection = self._connection
        leaf = connection.get_peer_certificate()
        chain = [_der(certificate) for certificate in connection.get_peer_cert_chain() or ()]
        if leaf is not None and not self._is_client:
            chain.insert(0, _der(leaf))  # OpenSSL leaves a client's own certificate out of its chain
        version = connection.get_protocol_version_name()
        servers = leaf if self._is_client else connection.get_certificate()
        alpn = connection.get_alpn_proto_negotiated()
        sni = connection.get_servername()
        return HandshakeDone(
            chain=tuple(chain),
            alpn=alpn.decode("latin-1") if alpn else None,
            version=version,
            cipher=connection.get_cipher_name() or "",
            sni=sni.decode("latin-1").lower() if sni else None,
            # RFC 9266 section 4.2: below TLS 1.3 it needs the extended master secret: we can't be sure.
            exporter=(
                connection.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
                if version == "TLSv1.3"
                else None
            ),
            server_end_point=_end_point(_der(servers)) if servers is not None else None,
        )


def _der(certificate: crypto.X509) -> bytes:
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


def _end_point(certificate: bytes) -> bytes | None:
    """RFC 5929 section 4.1: hash the server's certificate by its own signature's hash, or a better one."""
    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except Exception:  # unreadable to cryptography, though not to OpenSSL: then there is no binding
        return None
    if algorithm is None:
        return None
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(certificate)
    return digest.finalize()


def _words(error: SSL.Error) -> str:
    """OpenSSL's own reasons, without the library names around them."""
    if error.args and isinstance(error.args[0], list | tuple):
        reasons = [str(entry[-1]) for entry in error.args[0] if isinstance(entry, tuple)]
        return ", ".join(reasons) or "unknown TLS error"
    return ", ".join(str(argument) for argument in error.args) or "unknown TLS error"


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
