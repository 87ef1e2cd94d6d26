"""Certificates made on the spot: self-signed, or from an authority that lives as long as this process."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rialto.model.address import ascii_domain
from rialto.net.tls import KeyPair


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """A private key, for the eyes of this user only."""
    path.unlink(missing_ok=True)  # the mode counts when a file is made
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def self_signed(domains: Sequence[str], certificate: Path, key: Path, *, days: int = 365) -> KeyPair:
    """Write a certificate for these domains that is its own authority, and its key."""
    private = ec.generate_private_key(ec.SECP256R1())
    built = _leaf(domains, private, days).issuer_name(_name(domains[0])).sign(private, hashes.SHA256())
    write_key(key, private)
    certificate.write_bytes(built.public_bytes(Encoding.PEM))
    return KeyPair(certificate, key)


class Authority:
    """A certificate authority in a folder; its own certificate is `ca_file`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.certificate = (
            _dated(365)
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def issue(self, *domains: str) -> KeyPair:
        """Write a certificate for these domains, and its key."""
        private = ec.generate_private_key(ec.SECP256R1())
        built = _leaf(domains, private, 90).issuer_name(self._name).sign(self._key, hashes.SHA256())
        pair = KeyPair(self._folder / f"{domains[0]}.pem", self._folder / f"{domains[0]}.key")
        write_key(pair.key, private)
        pair.certificate.write_bytes(built.public_bytes(Encoding.PEM))
        return pair


def _leaf(domains: Sequence[str], key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    names = [x509.DNSName(ascii_domain(domain)) for domain in domains]
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        _dated(days)
        .subject_name(_name(domains[0]))
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )


def _dated(days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ascii_domain(text)[:64])])
