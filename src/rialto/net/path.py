"""From a certificate to somebody we trust: the path of RFC 5280 section 6, built and checked.

`cryptography.x509.verification` follows the rules of the web's CAs, which private federations' CAs often
break in harmless ways (no key identifiers, a root of version 1), and says only that something is wrong.
Operators need to hear *what*; so the path is built here, from its signature primitives, and refuses what it
does not know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from rialto.net.names import to_a_labels

_V = TypeVar("_V", bound=x509.ExtensionType)

_MAX_PATH = 8
_MAX_EXTRAS = 10
_MAX_SIGNATURES = 32  # what one chain may cost in signature checks
_MAX_RSA_BITS = 16384
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,  # any policy will do for us
    }
)
_NO_DOMAINS = (x509.IPAddress, x509.RFC822Name)  # names that we never take for a domain
_FOR_LINKS = frozenset(
    {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a chain.

    `code` is stable: `no-certificate`, `unreadable`, `untrusted`, `self-signed`, `expired`, `not-yet-valid`,
    `wrong-name`, `wrong-usage`, `weak`, `constraint`. `text` is a sentence for people.
    """

    code: str
    text: str


def find_path(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    domain: str,
    now: datetime,
) -> list[Problem]:
    """What is wrong with the best path from `leaf` over `others` to one of `anchors`; nothing if it holds.

    `domain` is what the chain is to prove: the name constraints of its CAs are held against it.
    """
    best: list[Problem] | None = None
    for path in _paths((leaf,), list(others[:_MAX_EXTRAS]), anchors, [_MAX_SIGNATURES]):
        problems = _check(path, domain, now)
        if not problems:
            return []
        if best is None or len(problems) < len(best):
            best = problems
    if best is not None:
        return best
    problems = _weak(leaf) + out_of_time(leaf, now)
    if self_signed(leaf):
        problems.append(Problem("self-signed", "the certificate is self-signed, and not pinned"))
    else:
        issuer = leaf.issuer.rfc4514_string()
        problems.append(
            Problem("untrusted", f"no path leads to a CA that we trust; it was issued by {issuer}")
        )
    return problems


def self_signed(certificate: x509.Certificate) -> bool:
    """True if it was signed by its own key."""
    return certificate.issuer == certificate.subject and _issued(certificate, certificate)


def out_of_time(certificate: x509.Certificate, now: datetime) -> list[Problem]:
    """`expired`, `not-yet-valid` or nothing."""
    name = _name(certificate)
    if now > certificate.not_valid_after_utc:
        return [Problem("expired", f"{name} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")]
    if now < certificate.not_valid_before_utc:
        start = certificate.not_valid_before_utc
        return [Problem("not-yet-valid", f"{name} is not valid before {start:%Y-%m-%d %H:%M} UTC")]
    return []


def _paths(
    path: tuple[x509.Certificate, ...],
    others: list[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    budget: list[int],
) -> Iterator[tuple[x509.Certificate, ...]]:
    """All paths whose signatures hold, from the leaf to an anchor; depth first, anchors before others."""
    last = path[-1]
    if last in anchors:
        yield path
        return
    for issuers, trusted in ((anchors, True), (others, False)):
        for issuer in issuers:
            if issuer.subject != last.issuer or issuer in path:
                continue
            if budget[0] == 0 or len(path) == _MAX_PATH:
                return
            budget[0] -= 1
            if not _issued(issuer, last):
                continue
            if trusted:
                yield (*path, issuer)
            else:
                yield from _paths((*path, issuer), others, anchors, budget)


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    key = issuer.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size > _MAX_RSA_BITS:  # else checking it is an attack
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _check(path: tuple[x509.Certificate, ...], domain: str, now: datetime) -> list[Problem]:
    problems: list[Problem] = []
    for position, certificate in enumerate(path):
        anchor = position == len(path) - 1
        problems += out_of_time(certificate, now)
        problems += _unknown_critical(certificate)
        if not anchor or position == 0:  # an anchor's own signature proves nothing to begin with
            problems += _weak(certificate)
        if position > 0:
            problems += _may_issue(certificate, position - 1, path[:position], anchor)
            problems += _constraints(certificate, path[0], domain)
    return problems


def _may_issue(
    issuer: x509.Certificate, between: int, below: tuple[x509.Certificate, ...], anchor: bool
) -> list[Problem]:
    """Whether it is a CA at all, and for this (RFC 5280 sections 4.2.1.3, 4.2.1.9, 4.2.1.12)."""
    problems: list[Problem] = []
    basic = _extension(issuer, x509.BasicConstraints)
    if basic is None and anchor and issuer.version is x509.Version.v1:
        return []  # an old root that the operator trusts by hand
    if basic is None or not basic.ca:
        return [Problem("constraint", f"{_name(issuer)} is not a CA, but has issued a certificate")]
    own = sum(1 for certificate in below[1:] if certificate.subject == certificate.issuer)
    if basic.path_length is not None and between - own > basic.path_length:
        problems.append(Problem("constraint", f"{_name(issuer)} may not have that many CAs below it"))
    key_usage = _extension(issuer, x509.KeyUsage)
    if key_usage is not None and not key_usage.key_cert_sign:
        problems.append(Problem("constraint", f"{_name(issuer)} may not sign certificates"))
    extended = _extension(issuer, x509.ExtendedKeyUsage)
    if extended is not None and _FOR_LINKS.isdisjoint(extended):
        problems.append(
            Problem("wrong-usage", f"{_name(issuer)} may not issue certificates for servers or clients")
        )
    return problems


def _constraints(issuer: x509.Certificate, leaf: x509.Certificate, domain: str) -> list[Problem]:
    """The issuer's name constraints (RFC 5280 section 4.2.1.10) against the domain to be proven.

    Stricter than the letter: constraints on DNS names and URIs are held against the domain however the
    certificate writes it (SRVName, xmppAddr), else a constrained CA could speak for everybody in those forms.
    """
    constraints = _extension(issuer, x509.NameConstraints)
    if constraints is None:
        return []
    name = to_a_labels(domain)
    for subtree in constraints.excluded_subtrees or ():
        if isinstance(subtree, _NO_DOMAINS):
            continue
        if _within(name, leaf, subtree) is not False:
            return [Problem("constraint", f"{_name(issuer)} may not issue certificates for {domain}")]
    permitted: dict[type[x509.GeneralName], list[bool | None]] = {}
    for subtree in constraints.permitted_subtrees or ():
        if isinstance(subtree, _NO_DOMAINS):
            continue
        permitted.setdefault(type(subtree), []).append(_within(name, leaf, subtree))
    for answers in permitted.values():
        if True not in answers:
            return [Problem("constraint", f"{_name(issuer)} may not issue certificates for {domain}")]
    return []


def _within(name: str, leaf: x509.Certificate, subtree: x509.GeneralName) -> bool | None:
    """Whether what is to be proven is inside a subtree; None where we cannot tell, which counts against
    it."""
    match subtree:
        case x509.DNSName(value=value):
            base = value.lower().lstrip(".")
            return not base or name.endswith("." + base) or (name == base and not value.startswith("."))
        case x509.UniformResourceIdentifier(value=value):
            base = value.lower()
            return name.endswith(base) if base.startswith(".") else name == base
        case x509.DirectoryName(value=value):
            rdns = list(value.rdns)
            return list(leaf.subject.rdns)[: len(rdns)] == rdns
        case _:
            return None


def _unknown_critical(certificate: x509.Certificate) -> list[Problem]:
    return [
        Problem("constraint", f"{_name(certificate)} has a critical extension {extension.oid.dotted_string}")
        for extension in certificate.extensions
        if extension.critical and extension.oid not in _UNDERSTOOD
    ]


def _weak(certificate: x509.Certificate) -> list[Problem]:
    """Keys and hashes below RFC 9325 section 4.5."""
    problems = []
    if isinstance(certificate.signature_hash_algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = certificate.signature_hash_algorithm.name
        problems.append(Problem("weak", f"{_name(certificate)} is signed with {algorithm}"))
    key = certificate.public_key()
    match key:
        case rsa.RSAPublicKey() if key.key_size >= 2048:
            pass
        case ec.EllipticCurvePublicKey() if key.key_size >= 256:
            pass
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            pass
        case _:
            bits = getattr(key, "key_size", "unknown")
            problems.append(Problem("weak", f"{_name(certificate)} has a weak key ({bits} bits)"))
    return problems


def _extension(certificate: x509.Certificate, kind: type[_V]) -> _V | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _name(certificate: x509.Certificate) -> str:
    return f"the certificate of {certificate.subject.rfc4514_string() or 'no subject'}"
