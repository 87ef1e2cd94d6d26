"""TLS: our own certificates, and which is shown to whom (the channel itself: `rialto.net.channel`).

Files are read at the start and at `reload()`; a file that cannot be used changes nothing. Each certificate
has one OpenSSL context for each role, because a context is what OpenSSL changes when it hears the server's
name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

from rialto.model.errors import ConfigError, LocalProtocolError
from rialto.net.certificates import describe
from rialto.net.channel import (
    HandshakeDone,
    HandshakeFailed,
    NoCommonProtocol,
    TlsClosed,
    TlsEvent,
    TlsMachine,
)
from rialto.net.names import to_a_labels, wildcard_match

__all__ = [
    "CertificateStore",
    "HandshakeDone",
    "HandshakeFailed",
    "KeyPair",
    "TlsClosed",
    "TlsEvent",
    "TlsMachine",
]

PrivateKey = (
    ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey | rsa.RSAPrivateKey
)

# RFC 9325 section 4.2: forward secrecy and AEAD; TLS 1.3 has nothing else.
_TLS12_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate chain (leaf first) and its private key, both PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class _Identity:
    """One certificate, loaded: the names it is for, and its contexts."""

    names: frozenset[str]
    client: SSL.Context
    server: SSL.Context


class CertificateStore:
    """Our own certificates: which is shown is chosen by the domain that is asked for.

    With several for one domain, the first is taken; for a domain that none was made for, the first of all.
    """

    def __init__(self, pairs: Sequence[KeyPair] = ()) -> None:
        """Read all files. Raises `ConfigError` for one that cannot be used."""
        self._pairs = tuple(pairs)
        self._anonymous = _context()
        self._identities: tuple[_Identity, ...] = ()
        self.reload()

    def __bool__(self) -> bool:
        """True if there is a certificate to show, without which there are no TLS servers."""
        return bool(self._identities)

    @property
    def pairs(self) -> tuple[KeyPair, ...]:
        """The files, as given."""
        return self._pairs

    def reload(self, pairs: Sequence[KeyPair] | None = None) -> None:
        """Read the files again (or others); on `ConfigError` all stays. Open channels are untouched."""
        wanted = self._pairs if pairs is None else tuple(pairs)
        identities = tuple(self._load(pair) for pair in wanted)
        self._pairs, self._identities = wanted, identities

    def covers(self, domain: str) -> bool:
        """True if one of the certificates was made for the domain."""
        return self._find(domain) is not None

    def client(
        self, server_name: str, *, own_domain: str | None = None, alpn: Sequence[str] = ()
    ) -> TlsMachine:
        """The side that connects: asks for `server_name` by SNI (none for an IP address), and shows the
        certificate for `own_domain` if the peer wants one. ALPN as in `xmpp-server`, `sip`."""
        identity = self._choose(own_domain)
        context = self._anonymous if identity is None else identity.client
        return TlsMachine(context, server_name=to_a_labels(server_name), alpn=alpn)

    def server(self, *, domain: str | None = None, alpn: Sequence[str] = ()) -> TlsMachine:
        """The side that was connected to: shows the certificate for the SNI, else for `domain` (a stream's
        `to`), else the first; asks the peer for its own. A client that offers only other ALPNs is refused.

        Raises `LocalProtocolError` where there is no certificate at all.
        """
        identity = self._choose(domain)
        if identity is None:
            raise LocalProtocolError("a TLS server needs a certificate")
        return TlsMachine(identity.server, alpn=alpn)

    def _choose(self, domain: str | None) -> _Identity | None:
        found = None if domain is None else self._find(domain)
        if found is None and self._identities:
            return self._identities[0]
        return found

    def _find(self, domain: str) -> _Identity | None:
        try:
            name = to_a_labels(domain)
        except ValueError:
            return None
        for exact in (True, False):
            for identity in self._identities:
                if name in identity.names if exact else wildcard_match(identity.names, name):
                    return identity
        return None

    def _load(self, pair: KeyPair) -> _Identity:
        for path in (pair.certificate, pair.key):
            if not path.is_file():
                raise ConfigError("tls.certificates", f"a PEM file at {path}", "check the path")
        try:
            known = describe(pair.certificate.read_bytes()).identities
            client, server = _context(pair), _context(pair)
        except OSError as error:
            raise ConfigError(
                "tls.certificates",
                f"a readable PEM file at {error.filename}",
                f"let this user read it ({error.strerror})",
            ) from error
        except (SSL.Error, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigError(
                "tls.certificates",
                f"a PEM certificate chain in {pair.certificate}, and in {pair.key} its own private key "
                "without a passphrase",
                f"openssl says: {error}",
            ) from error
        server.set_tlsext_servername_callback(self._on_server_name)
        server.set_alpn_select_callback(_choose_alpn)
        names = {*known.dns, *known.xmpp, *(name.partition(".")[2] for name in known.srv)}
        names.update(host for uri in known.uri if (host := uri.partition(":")[2]) and "@" not in host)
        return _Identity(frozenset(names), client, server)

    def _on_server_name(self, connection: SSL.Connection) -> None:
        name = connection.get_servername()
        identity = self._find(name.decode("latin-1")) if name else None
        if identity is not None:
            connection.set_context(identity.server)


def _context(pair: KeyPair | None = None) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)  # RFC 9325 section 3.1.1, RFC 8996
    context.set_cipher_list(_TLS12_CIPHERS)
    context.set_options(
        SSL.OP_NO_COMPRESSION  # RFC 7590 section 3.3
        | SSL.OP_NO_RENEGOTIATION
        | SSL.OP_NO_TICKET
        | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"rialto")
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # idle links give their 34 kB of buffers back
    # The peer's certificate is asked for, and let through whatever it is: see the top of
    # `rialto.net.channel`.
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    if pair is not None:
        context.use_certificate_chain_file(str(pair.certificate))
        # By hand, because OpenSSL would ask for a passphrase on the terminal.
        context.use_privatekey(_private_key(pair.key))
        context.check_privatekey()
    return context


def _private_key(path: Path) -> PrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, PrivateKey):
        raise ValueError(f"{path} has a key of a kind that TLS does not use")
    return key


def _choose_alpn(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """The first of ours that the client offers; RFC 7301 section 3.2: none in common ends the handshake."""
    machine = connection.get_app_data()
    assert isinstance(machine, TlsMachine)
    for protocol in machine.alpn:
        if protocol in offered:
            return protocol
    if not machine.alpn:
        return SSL.NO_OVERLAPPING_PROTOCOLS  # type: ignore[return-value]  # we never spoke of ALPN: ignore it
    raise NoCommonProtocol(
        "the client offers other protocols only: " + ", ".join(name.decode("latin-1") for name in offered[:8])
    )
