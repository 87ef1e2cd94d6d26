"""What a certificate is worth: the judgement on a chain, after the handshake, as a pure function.

`judge` never raises for what the peer sent: everything wrong with a chain is a `Problem` of its verdict, and
all of them are told at once, because whoever has to put it right wants to know them all.
"""

from __future__ import annotations

import enum
import hashlib
import ssl
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from rialto.model.errors import ConfigError
from rialto.net.names import to_a_labels, wildcard_match
from rialto.net.path import Problem, find_path, out_of_time, self_signed

__all__ = [
    "Description",
    "Identities",
    "NameKind",
    "Problem",
    "Trust",
    "Verdict",
    "describe",
    "fingerprint",
    "identities",
    "judge",
    "key_fingerprint",
    "load_anchors",
    "proves",
]

_XMPP_ADDR = ObjectIdentifier("1.3.6.1.5.5.7.8.5")  # RFC 6120 section 13.7.1.4
_SRV_NAME = ObjectIdentifier("1.3.6.1.5.5.7.8.7")  # RFC 4985
_SIP_DOMAIN = ObjectIdentifier("1.3.6.1.5.5.7.3.20")  # RFC 5924
_USAGE_NAMES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "any",
    _SIP_DOMAIN: "sipDomain",
}
_UTF8_STRING, _IA5_STRING = 0x0C, 0x16  # X.690 section 8.23
_MAX_NAMES = 1000
_MAX_CERTIFICATE_BYTES = 65536


class NameKind(enum.Enum):
    """By which rules a name in a certificate stands for a domain."""

    XMPP = "xmpp"  # RFC 6120 section 13.7.1.2
    SIP = "sip"  # RFC 5922 section 7


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom we believe.

    `anchors`: CA certificates. `pins`: lower-case hex SHA-256 of a certificate or of its public key (SPKI); a
    pinned leaf needs no path and no name, only validity in time.
    """

    anchors: tuple[x509.Certificate, ...] = ()
    pins: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Identities:
    """The names in a certificate: A-labels in lower case; `srv` as `_service.domain`, `uri` as
    `scheme:rest`."""

    dns: tuple[str, ...] = ()
    srv: tuple[str, ...] = ()
    xmpp: tuple[str, ...] = ()
    uri: tuple[str, ...] = ()
    common_name: str | None = None

    def __str__(self) -> str:
        names = dict.fromkeys((*self.dns, *self.srv, *self.xmpp, *self.uri))
        return ", ".join(names) or f"no names but the common name {self.common_name}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the chain proves the domain, and if not, everything that speaks against it."""

    ok: bool
    problems: tuple[Problem, ...] = ()
    identities: Identities = Identities()
    pinned: bool = False

    @property
    def reason(self) -> str:
        """All problems in one line, for logs and errors."""
        return "; ".join(problem.text for problem in self.problems)

    @property
    def codes(self) -> frozenset[str]:
        """The codes of all problems."""
        return frozenset(problem.code for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Description:
    """What `rialto check` says of a certificate.

    Times are UTC; `usages` are `serverAuth`, `clientAuth`, `any`, `sipDomain` or OIDs, and empty where the
    certificate does not restrict its use. Fingerprints are SHA-256 in hex, of the certificate and of its
    public key: either can be a pin."""

    subject: str
    issuer: str
    identities: Identities
    not_before: datetime
    not_after: datetime
    usages: tuple[str, ...]
    self_signed: bool
    fingerprint: str
    key_fingerprint: str

    def days_left(self, now: datetime) -> int:
        """Whole days until it expires; negative once it has."""
        return (self.not_after - now).days


def judge(chain: Sequence[bytes], kind: NameKind, domain: str, trust: Trust, now: datetime) -> Verdict:
    """Does this chain (DER, leaf first) prove that the peer is `domain`? `now` is an aware datetime.

    clientAuth or serverAuth is enough in either role: federation's servers are each other's clients, and
    public CAs no longer issue clientAuth."""
    if not chain:
        return Verdict(False, (Problem("no-certificate", "the peer showed no certificate"),))
    try:
        leaf, *others = _read(chain)
        names, usages = _identities(leaf), _usages(leaf)
    except (
        Exception
    ) as error:  # whatever the parser chokes on: it is the peer's fault, and its reason is told
        return Verdict(False, (Problem("unreadable", f"the certificate cannot be read: {error}"),))
    if trust.pins and not trust.pins.isdisjoint((fingerprint(leaf), key_fingerprint(leaf))):
        problems = out_of_time(leaf, now)
        return Verdict(not problems, tuple(problems), names, pinned=True)
    problems = [] if proves(names, kind, domain) else [_wrong_name(names, domain)]
    if usages and not {"serverAuth", "clientAuth", "any", "sipDomain"}.intersection(usages):
        problems.append(
            Problem(
                "wrong-usage", f"the certificate is for {', '.join(usages)} only, not for servers or clients"
            )
        )
    try:
        problems.extend(find_path(leaf, others, trust.anchors, domain, now))
    except Exception as error:
        problems.append(Problem("unreadable", f"the certificate chain cannot be read: {error}"))
    return Verdict(not problems, tuple(problems), names)


def proves(names: Identities, kind: NameKind, domain: str) -> bool:
    """True if one of the names stands for the domain, by the rules of its protocol.

    A common name proves nothing (RFC 9525 section 2): it is too easily something else.
    """
    try:
        wanted = to_a_labels(domain)
    except ValueError:
        return False
    if kind is NameKind.XMPP:  # RFC 6120 section 13.7.1.2.1
        return (
            wanted in names.dns
            or f"_xmpp-server.{wanted}" in names.srv
            or wanted in names.xmpp
            or wildcard_match(names.dns, wanted)
        )
    # RFC 5922 section 7.1: DNS names count only if there is no sip URI without a user.
    uris = [host for uri in names.uri if (host := _sip_host(uri)) is not None]
    return wanted in uris if uris else wanted in names.dns and not wanted.startswith("*")


def identities(leaf: bytes) -> Identities:
    """The names in one certificate (DER); empty where it cannot be read."""
    try:
        return _identities(x509.load_der_x509_certificate(leaf))
    except Exception:
        return Identities()


def describe(certificate: bytes) -> Description:
    """What stands in a certificate (DER or PEM, the first of several). Raises `ValueError`."""
    if b"-----BEGIN" in certificate:
        loaded = x509.load_pem_x509_certificate(certificate)
    else:
        loaded = x509.load_der_x509_certificate(certificate)
    return Description(
        subject=loaded.subject.rfc4514_string(),
        issuer=loaded.issuer.rfc4514_string(),
        identities=_identities(loaded),
        not_before=loaded.not_valid_before_utc,
        not_after=loaded.not_valid_after_utc,
        usages=_usages(loaded),
        self_signed=self_signed(loaded),
        fingerprint=fingerprint(loaded),
        key_fingerprint=key_fingerprint(loaded),
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the whole certificate, in hex."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def key_fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the public key (SPKI), in hex: survives a renewal with the same key."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def load_anchors(ca_file: Path | None = None) -> tuple[x509.Certificate, ...]:
    """The CA certificates of a PEM file, or the system's. Raises `ConfigError`."""
    path = ca_file or Path(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt")
    remedy = (
        "give the PEM file of the CAs to trust" if ca_file else "install ca-certificates, or set tls.ca_file"
    )
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            "tls.ca_file", f"a readable PEM file at {path} ({error.strerror})", remedy
        ) from error
    try:
        with warnings.catch_warnings():  # some CAs of old have serial numbers that RFC 5280 forbids
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return tuple(x509.load_pem_x509_certificates(text))
    except ValueError as error:
        raise ConfigError("tls.ca_file", f"PEM certificates in {path} ({error})", remedy) from error


def _read(chain: Sequence[bytes]) -> list[x509.Certificate]:
    for certificate in chain:
        if len(certificate) > _MAX_CERTIFICATE_BYTES:
            raise ValueError(f"{len(certificate)} bytes are too many")
    return [x509.load_der_x509_certificate(certificate) for certificate in chain]


def _identities(certificate: x509.Certificate) -> Identities:
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    common_name = str(common[0].value) if common else None
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Identities(common_name=common_name)
    dns: list[str] = []
    srv: list[str] = []
    xmpp: list[str] = []
    uri: list[str] = []
    for count, name in enumerate(names):
        if count == _MAX_NAMES:
            raise ValueError(f"more than {_MAX_NAMES} names")
        match name:
            case x509.DNSName(value=value):
                dns.append(value.lower().removesuffix("."))
            case x509.UniformResourceIdentifier(value=value):
                scheme, _, rest = value.partition(":")
                uri.append(f"{scheme.lower()}:{rest}")
            case x509.OtherName(type_id=type_id, value=value) if type_id == _SRV_NAME:
                _append(srv, _der_string(value, _IA5_STRING))
            case x509.OtherName(type_id=type_id, value=value) if type_id == _XMPP_ADDR:
                _append(xmpp, _der_string(value, _UTF8_STRING))
    return Identities(tuple(dns), tuple(srv), tuple(xmpp), tuple(uri), common_name)


def _append(names: list[str], name: str | None) -> None:
    if name is None:
        return
    try:
        names.append(to_a_labels(name))
    except ValueError:  # no domain: a user's address, or nonsense
        pass


def _der_string(value: bytes, tag: int) -> str | None:
    """A DER string of one kind (X.690 section 8.1); None if it is anything else."""
    if len(value) < 2 or value[0] != tag:
        return None
    length, start = value[1], 2
    if length & 0x80:
        start += length & 0x7F
        if not 2 < start <= 4:
            return None
        length = int.from_bytes(value[2:start], "big")
    if len(value) != start + length:
        return None
    try:
        return value[start:].decode("utf-8" if tag == _UTF8_STRING else "ascii")
    except UnicodeDecodeError:
        return None


def _usages(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(_USAGE_NAMES.get(oid, oid.dotted_string) for oid in usage)


def _sip_host(uri: str) -> str | None:
    """The host of `sip:example.org`; None for another scheme, or with a user (RFC 5922 section 7.1)."""
    if not uri.startswith("sip:") or "@" in uri:
        return None
    host = uri[4:].partition(";")[0].partition("?")[0].partition(":")[0]
    try:
        return to_a_labels(host)
    except ValueError:
        return None


def _wrong_name(names: Identities, domain: str) -> Problem:
    shown = str(names)
    return Problem(
        "wrong-name",
        f"the certificate is not for {domain} but for {shown if len(shown) < 200 else shown[:200] + '...'}",
    )
