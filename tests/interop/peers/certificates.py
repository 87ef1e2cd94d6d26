"""A certificate authority of our own: good certificates for every domain, and bad ones to be refused."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

ID_ON_DNS_SRV = ObjectIdentifier("1.3.6.1.5.5.7.8.7")  # RFC 4985 section 2
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where one certificate and its key lie, and both in one file for those who want it so."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Issues what is asked for below `folder`; valid things in folders apart from invalid ones."""

    def __init__(self, folder: Path, name: str = "Interop CA") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self.ca_file = folder / "ca.crt"
        certificate = (
            _builder(self._name, self._name, self._key, days=3650)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, *domains: str, is_expired: bool = False, file_name: str | None = None) -> Certificate:
        """A certificate for `domains`, good for a server and for a client (SASL EXTERNAL, mutual TLS)."""
        key = ec.generate_private_key(ec.SECP256R1())
        # dNSName and SRVName, but no xmppAddr.
        # QUIRK(ejabberd 23.01): badarg on an inbound SASL EXTERNAL whose certificate carries xmppAddr.
        names: list[x509.GeneralName] = []
        for domain in domains:
            names += [x509.DNSName(domain), _srv_name(f"_xmpp-server.{domain}")]
        signed = _leaf(domains[0], self._name, key, names, days=-1 if is_expired else 365)
        return _save(self.folder, file_name or domains[0], signed.sign(self._key, hashes.SHA256()), key)

    def self_signed(self, domain: str) -> Certificate:
        """A certificate that vouches for itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = _leaf(domain, _name(domain), key, [x509.DNSName(domain)], days=365)
        return _save(self.folder, f"{domain}-self-signed", signed.sign(key, hashes.SHA256()), key)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 30 * DAY)
        .not_valid_after(now + days * DAY)
    )


def _leaf(
    common_name: str,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    names: list[x509.GeneralName],
    days: int,
) -> x509.CertificateBuilder:
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        _builder(_name(common_name), issuer, key, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _srv_name(name: str) -> x509.OtherName:
    value = name.encode("ascii")
    return x509.OtherName(ID_ON_DNS_SRV, bytes((0x16, len(value))) + value)  # DER: IA5String


def _save(
    folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> Certificate:
    saved = Certificate(folder / f"{name}.crt", folder / f"{name}.key", folder / f"{name}.pem")
    crt = certificate.public_bytes(serialization.Encoding.PEM)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    saved.certificate.write_bytes(crt)
    saved.key.write_bytes(pem)
    saved.both.write_bytes(crt + pem)
    return saved
