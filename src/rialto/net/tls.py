"""TLS as a machine around a machine: ciphertext in, plaintext out, and a handshake that judges nobody.

Every certificate gets through the handshake (self-signed, expired, made for servers only, none at all); what
it is worth is decided afterwards, by `rialto.net.certificates`, because only then is it known whom the peer
says it is, and whether dialback, a pin or DANE can speak for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HandshakeDone:
    """The channel is private; nothing has been said about who is at its other end.

    `chain`: the peer's certificates, DER, its own first; empty if it showed none. `alpn`: what was agreed, or None.
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
    """No channel: `reason` is OpenSSL's, in words. What must still be sent (an alert) is in `data_to_send`."""

    reason: str


@dataclass(frozen=True, slots=True)
class TlsClosed:
    """The peer ended the channel; `clean` is False where it broke off without saying so (truncation)."""

    clean: bool


TlsEvent = HandshakeDone | HandshakeFailed | TlsClosed


class TlsMachine:
    """One end of one TLS channel; made by `CertificateStore.client` and `.server`."""

    def receive_data(self, data: bytes, now: float) -> None:
        """Take ciphertext."""
        raise NotImplementedError

    def next_event(self) -> TlsEvent | None:
        """The next thing that happened to the channel."""
        raise NotImplementedError

    def plaintext(self) -> bytes:
        """What the peer said since the last call."""
        raise NotImplementedError

    def send(self, plaintext: bytes) -> None:
        """Say something; before the handshake is done it waits."""
        raise NotImplementedError

    def data_to_send(self) -> bytes:
        """Ciphertext that must be written now."""
        raise NotImplementedError

    def close(self) -> None:
        """Say goodbye (close_notify)."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate chain and its private key, both PEM files."""

    certificate: Path
    key: Path


class CertificateStore:
    """Our own certificates: which is shown is chosen by the domain that is asked for."""

    def __init__(self, pairs: Sequence[KeyPair], *, ca_file: Path | None = None) -> None:
        """Read all files. Raises `ConfigError` for one that cannot be used."""
        raise NotImplementedError

    def reload(self) -> None:
        """Read the files again; on `ConfigError` everything stays as it was. Open channels are untouched."""
        raise NotImplementedError

    def client(
        self, server_name: str, *, own_domain: str | None = None, alpn: Sequence[str] = ()
    ) -> TlsMachine:
        """The side that connects: asks for `server_name` by SNI, and shows the certificate for `own_domain`."""
        raise NotImplementedError

    def server(self, *, domain: str | None = None, alpn: Sequence[str] = ()) -> TlsMachine:
        """The side that was connected to: shows the certificate for the SNI, else for `domain` (a stream's
        `to`), else the first; asks the peer for its own."""
        raise NotImplementedError
