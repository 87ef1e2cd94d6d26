"""What a certificate is worth: names, time, usage, paths, pins."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

from net.pki import CLIENT, EMAIL, NOW, SERVER, Cert, dns, make, srv_name, uri, xmpp_addr
from rialto.model.errors import ConfigError
from rialto.net.certificates import (
    Identities,
    NameKind,
    Trust,
    Verdict,
    describe,
    fingerprint,
    identities,
    judge,
    key_fingerprint,
    load_anchors,
)

ROOT = make("Root", ca=True, end=NOW + timedelta(days=3000))
TRUST = Trust((ROOT.certificate,))


def verdict(
    cert: Cert, domain: str = "a.example", kind: NameKind = NameKind.XMPP, trust: Trust = TRUST
) -> Verdict:
    return judge(cert.der, kind, domain, trust, NOW)


def test_a_valid_certificate_proves_its_domain() -> None:
    found = verdict(make("leaf", ROOT, names=dns("a.example"), usage=[SERVER, CLIENT]))
    assert found == Verdict(True, (), Identities(dns=("a.example",), common_name="leaf"))
    assert found.reason == ""


def test_a_certificate_from_trustme_proves_its_domain() -> None:
    authority = trustme.CA()
    cert = authority.issue_cert("a.example")
    root = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    chain = [
        x509.load_pem_x509_certificate(blob.bytes()).public_bytes(Encoding.DER)
        for blob in cert.cert_chain_pems
    ]
    now = root.not_valid_before_utc + timedelta(days=1)
    assert judge(chain, NameKind.XMPP, "a.example", Trust((root,)), now).ok
    assert judge(chain, NameKind.SIP, "b.example", Trust((root,)), now).codes == {"wrong-name"}


@pytest.mark.parametrize("usage", [[SERVER], [CLIENT], [SERVER, EMAIL], []])
def test_a_certificate_for_servers_or_for_clients_will_do(usage: list[ObjectIdentifier]) -> None:
    assert verdict(make("leaf", ROOT, names=dns("a.example"), usage=usage)).ok


def test_a_certificate_for_mail_will_not_do() -> None:
    assert verdict(make("leaf", ROOT, names=dns("a.example"), usage=[EMAIL])).codes == {"wrong-usage"}


def test_no_certificate_proves_nothing() -> None:
    assert judge([], NameKind.XMPP, "a.example", TRUST, NOW).codes == {"no-certificate"}


@pytest.mark.parametrize("chain", [[b""], [b"\x30\x03\x02\x01\x01"], [b"\x30" * 70000]])
def test_rubbish_is_a_verdict_and_no_exception(chain: list[bytes]) -> None:
    assert judge(chain, NameKind.XMPP, "a.example", TRUST, NOW).codes == {"unreadable"}


def test_rubbish_behind_the_leaf_is_a_verdict_too() -> None:
    good = make("leaf", ROOT, names=dns("a.example"))
    assert judge([*good.der, b"rubbish"], NameKind.XMPP, "a.example", TRUST, NOW).codes == {"unreadable"}


def test_every_cut_of_a_certificate_is_unreadable() -> None:
    der = make("leaf", ROOT, names=dns("a.example")).der[0]
    for cut in range(len(der)):
        assert not judge([der[:cut]], NameKind.XMPP, "a.example", TRUST, NOW).ok


def test_every_flipped_byte_of_a_certificate_is_refused() -> None:
    der = make("leaf", ROOT, names=dns("a.example")).der[0]
    for position in range(0, len(der), 3):
        broken = der[:position] + bytes([der[position] ^ 0x55]) + der[position + 1 :]
        assert not judge([broken], NameKind.XMPP, "a.example", TRUST, NOW).ok


def test_an_expired_certificate_is_refused_for_that_alone() -> None:
    found = verdict(make("leaf", ROOT, names=dns("a.example"), end=NOW - timedelta(seconds=1)))
    assert found.codes == {"expired"}
    assert "2026-05-31 23:59 UTC" in found.reason


def test_a_certificate_of_tomorrow_is_refused_today() -> None:
    found = verdict(make("leaf", ROOT, names=dns("a.example"), start=NOW + timedelta(days=1)))
    assert found.codes == {"not-yet-valid"}


def test_everything_wrong_is_told_at_once() -> None:
    stranger = make("Stranger", ca=True)
    leaf = make("leaf", stranger, names=dns("b.example"), usage=[EMAIL], end=NOW - timedelta(days=1))
    assert verdict(leaf).codes == {"untrusted", "wrong-name", "wrong-usage", "expired"}


# -- names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "domain", "ok"),
    [
        (dns("A.Example"), "a.example", True),
        (dns("b.example", "a.example"), "a.example", True),
        (dns("a.example"), "b.a.example", False),
        (dns("*.a.example"), "im.a.example", True),
        (dns("*.a.example"), "a.example", False),
        (dns("*.a.example"), "x.im.a.example", False),
        (dns("*.example"), "a.example", False),
        (dns("xn--mller-kva.example"), "Müller.example", True),
        ([srv_name("_xmpp-server.a.example")], "a.example", True),
        ([srv_name("_xmpp-client.a.example")], "a.example", False),
        ([srv_name("_xmpp-server.b.example")], "a.example", False),
        ([xmpp_addr("a.example")], "a.example", True),
        ([xmpp_addr("müller.example")], "xn--mller-kva.example", True),
        ([xmpp_addr("user@a.example")], "a.example", False),
        ([xmpp_addr("*.example.org")], "a.example.org", False),
        (uri("sip:a.example"), "a.example", False),
        (uri("xmpp:a.example"), "a.example", False),
        ([x509.IPAddress(ipaddress.ip_address("192.0.2.1"))], "192.0.2.1", False),
        (dns("a.example"), "not a domain..", False),
    ],
)
def test_xmpp_names_follow_rfc_6120_section_13_7_1_2(
    names: list[x509.GeneralName], domain: str, ok: bool
) -> None:
    found = verdict(make("leaf", ROOT, names=names), domain)
    assert found.ok is ok
    assert found.codes == (set() if ok else {"wrong-name"})


@pytest.mark.parametrize(
    ("names", "domain", "ok"),
    [
        (dns("a.example"), "A.example", True),
        (uri("sip:a.example"), "a.example", True),
        (uri("SIP:A.example:5061;transport=tls"), "a.example", True),
        (uri("sips:a.example"), "a.example", False),
        (uri("sip:user@a.example"), "a.example", False),
        # A sip URI without a user makes all DNS names worthless; another one does not.
        ([*uri("sip:b.example"), *dns("a.example")], "a.example", False),
        ([*uri("sip:user@b.example"), *dns("a.example")], "a.example", True),
        ([*uri("https://b.example"), *dns("a.example")], "a.example", True),
        (dns("*.a.example"), "im.a.example", False),
        (dns("*.a.example"), "*.a.example", False),
        (dns("a.example"), "im.a.example", False),
        ([srv_name("_sip.a.example")], "a.example", False),
        ([xmpp_addr("a.example")], "a.example", False),
    ],
)
def test_sip_names_follow_rfc_5922_section_7(names: list[x509.GeneralName], domain: str, ok: bool) -> None:
    found = verdict(make("leaf", ROOT, names=names), domain, NameKind.SIP)
    assert found.ok is ok
    assert found.codes == (set() if ok else {"wrong-name"})


@pytest.mark.parametrize("kind", list(NameKind))
def test_a_common_name_proves_nothing(kind: NameKind) -> None:
    found = verdict(make("a.example", ROOT), kind=kind)
    assert found.codes == {"wrong-name"}
    assert found.identities.common_name == "a.example"


@pytest.mark.parametrize(
    "value", [b"\x05\x00", b"\x0c\x00", b"\x0c\x02\xff\xff", b"\x16\x09a.example", b"\x0c\x09.example."]
)
def test_a_broken_other_name_is_no_name(value: bytes) -> None:
    other = x509.OtherName(ObjectIdentifier("1.3.6.1.5.5.7.8.5"), value)
    assert not verdict(make("leaf", ROOT, names=[other])).ok


def test_a_long_other_name_is_read() -> None:
    name = ".".join(["label" * 10] * 4) + ".example"
    data = name.encode()
    other = x509.OtherName(ObjectIdentifier("1.3.6.1.5.5.7.8.5"), bytes([0x0C, 0x81, len(data)]) + data)
    assert verdict(make("leaf", ROOT, names=[other]), name).ok


def test_identities_of_rubbish_are_none() -> None:
    assert identities(b"rubbish") == Identities()
    assert identities(make("leaf", ROOT, names=dns("a.example")).der[0]).dns == ("a.example",)


# -- paths ----------------------------------------------------------------------------------------------


def test_the_chain_may_lead_over_other_cas_in_any_order() -> None:
    upper = make("Upper", ROOT, ca=True)
    lower = make("Lower", upper, ca=True)
    der = make("leaf", lower, names=dns("a.example")).der
    assert len(der) == 3
    assert judge(der, NameKind.XMPP, "a.example", TRUST, NOW).ok
    assert judge([der[0], der[2], der[1]], NameKind.XMPP, "a.example", TRUST, NOW).ok
    assert judge([der[0], der[2]], NameKind.XMPP, "a.example", TRUST, NOW).codes == {"untrusted"}


def test_an_expired_ca_in_between_is_named() -> None:
    between = make("Between", ROOT, ca=True, end=NOW - timedelta(days=1))
    found = verdict(make("leaf", between, names=dns("a.example")))
    assert found.codes == {"expired"}
    assert "CN=Between" in found.reason


def test_of_two_ways_the_one_that_holds_is_taken() -> None:
    old = make("Between", ROOT, ca=True, end=NOW - timedelta(days=1))
    new = make("Between", ROOT, ca=True, key=old.key)
    leaf = make("leaf", old, names=dns("a.example"))
    chain = [leaf.der[0], old.der[0], new.der[0]]
    assert judge(chain, NameKind.XMPP, "a.example", TRUST, NOW).ok


def test_who_is_no_ca_cannot_vouch() -> None:
    other = make("other", ROOT, names=dns("b.example"))
    assert verdict(make("leaf", other, names=dns("a.example"))).codes == {"constraint"}


def test_a_ca_has_no_more_cas_below_it_than_it_may() -> None:
    upper = make("Upper", ROOT, ca=True, path_length=0)
    assert verdict(make("leaf", upper, names=dns("a.example"))).ok
    lower = make("Lower", upper, ca=True)
    assert verdict(make("leaf", lower, names=dns("a.example"))).codes == {"constraint"}


def test_a_ca_for_mail_cannot_vouch_for_servers() -> None:
    upper = make("Upper", ROOT, ca=True, usage=[EMAIL])
    assert verdict(make("leaf", upper, names=dns("a.example"))).codes == {"wrong-usage"}


def test_a_ca_that_may_not_sign_cannot_vouch() -> None:
    nothing = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    upper = make("Upper", ROOT, ca=True, extensions=[(nothing, True)])
    assert verdict(make("leaf", upper, names=dns("a.example"))).codes == {"constraint"}


def test_a_forged_signature_leads_nowhere() -> None:
    impostor = make("Root", ca=True)  # the same name, another key
    assert verdict(make("leaf", impostor, names=dns("a.example"))).codes == {"untrusted"}


def test_what_is_critical_and_unknown_is_refused() -> None:
    strange = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    assert verdict(make("leaf", ROOT, names=dns("a.example"), extensions=[(strange, True)])).codes == {
        "constraint"
    }
    assert verdict(make("leaf", ROOT, names=dns("a.example"), extensions=[(strange, False)])).ok


def test_weak_keys_are_refused() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    assert verdict(make("leaf", ROOT, names=dns("a.example"), key=weak)).codes == {"weak"}


def test_a_ca_in_a_ring_does_not_run_us_in_circles() -> None:
    one = make("One", ca=True)
    two = make("Two", one, ca=True)
    ring = make("One", two, ca=True, key=one.key)
    leaf = make("leaf", one, names=dns("a.example"))
    chain = [leaf.der[0], ring.der[0], two.der[0]] * 3
    assert judge(chain, NameKind.XMPP, "a.example", TRUST, NOW).codes == {"untrusted"}


@pytest.mark.parametrize(
    ("permitted", "excluded", "ok"),
    [
        (dns("example"), None, True),
        (dns("a.example"), None, True),
        (dns(".a.example"), None, False),
        (dns("b.example"), None, False),
        (dns("b.example", "a.example"), None, True),
        (None, dns("a.example"), False),
        (None, dns("example"), False),
        (None, dns("b.example"), True),
        (uri(".example"), None, True),
        (uri("b.example"), None, False),
        (None, [x509.IPAddress(ipaddress.ip_network("0.0.0.0/0"))], True),
        ([x509.RFC822Name("b.example")], None, True),
        ([x509.RegisteredID(ObjectIdentifier("1.2.3"))], None, False),
        ([x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]))], None, True),
        ([x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")]))], None, False),
    ],
)
def test_a_constrained_ca_vouches_only_within_its_constraints(
    permitted: list[x509.GeneralName] | None, excluded: list[x509.GeneralName] | None, ok: bool
) -> None:
    bounds = x509.NameConstraints(permitted, excluded)
    ca = make("Bound", ROOT, ca=True, extensions=[(bounds, True)])
    # Also where the name has a form for which there is no constraint.
    for name in ([x509.DNSName("a.example")], [xmpp_addr("a.example")], [srv_name("_xmpp-server.a.example")]):
        found = verdict(make("leaf", ca, names=name))
        assert found.codes == (set() if ok else {"constraint"})


def test_a_certificate_that_the_operator_trusts_needs_no_ca() -> None:
    lone = make("lone", names=dns("a.example"))
    assert verdict(lone, trust=Trust((lone.certificate,))).ok
    assert verdict(lone, "b.example", trust=Trust((lone.certificate,))).codes == {"wrong-name"}


# -- pins -----------------------------------------------------------------------------------------------


def test_a_self_signed_certificate_is_refused_by_name() -> None:
    assert verdict(make("lone", names=dns("a.example"))).codes == {"self-signed"}


@pytest.mark.parametrize("pin", [fingerprint, key_fingerprint])
def test_a_pinned_certificate_needs_no_path_and_no_name(pin: object) -> None:
    lone = make("lone", names=dns("elsewhere.example"))
    assert callable(pin)
    trust = Trust((), frozenset({pin(lone.certificate)}))
    found = verdict(lone, trust=trust)
    assert found.ok
    assert found.pinned


def test_a_pinned_certificate_still_expires() -> None:
    lone = make("lone", end=NOW - timedelta(days=1))
    found = verdict(lone, trust=Trust((), frozenset({fingerprint(lone.certificate)})))
    assert found.codes == {"expired"}


def test_a_pin_is_for_the_leaf_only() -> None:
    stranger = make("Stranger", ca=True)
    leaf = make("leaf", stranger, names=dns("a.example"))
    chain = [*leaf.der, *stranger.der]
    trust = Trust((), frozenset({fingerprint(stranger.certificate)}))
    assert not judge(chain, NameKind.XMPP, "a.example", trust, NOW).ok


# -- for people -----------------------------------------------------------------------------------------


def test_a_certificate_is_described() -> None:
    cert = make("leaf", ROOT, names=[*dns("a.example"), xmpp_addr("a.example")], usage=[SERVER])
    said = describe(cert.certificate.public_bytes(Encoding.PEM))
    assert said == describe(cert.der[0])
    assert (said.subject, said.issuer) == ("CN=leaf", "CN=Root")
    assert said.usages == ("serverAuth",)
    assert said.days_left(NOW) == 60
    assert said.days_left(NOW + timedelta(days=61)) == -1
    assert not said.self_signed
    assert describe(ROOT.der[0]).self_signed
    assert str(said.identities) == "a.example"
    assert said.fingerprint == cert.certificate.fingerprint(hashes.SHA256()).hex()


def test_what_is_no_certificate_cannot_be_described() -> None:
    with pytest.raises(ValueError, match=r"\w"):
        describe(b"rubbish")


def test_anchors_are_read_from_a_file(tmp_path: Path) -> None:
    other = make("Other", ca=True)
    file = tmp_path / "ca.pem"
    file.write_bytes(b"".join(ca.certificate.public_bytes(Encoding.PEM) for ca in (ROOT, other)))
    assert load_anchors(file) == (ROOT.certificate, other.certificate)


@pytest.mark.parametrize(
    "text", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_bad_anchor_file_is_the_operators_to_mend(tmp_path: Path, text: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_bytes(text)
    with pytest.raises(ConfigError, match=r"tls\.ca_file"):
        load_anchors(file)


@pytest.mark.parametrize("digest", [hashes.SHA1(), hashes.MD5()])
def test_old_hashes_are_weak(digest: hashes.HashAlgorithm) -> None:
    # cryptography makes no such certificates any more: a good one's algorithm is renamed in its bytes.
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    lone = make("lone", names=dns("a.example"), key=key)
    sha256 = bytes.fromhex("06092a864886f70d01010b")
    old = sha256[:-1] + (b"\x05" if isinstance(digest, hashes.SHA1) else b"\x04")
    assert lone.der[0].count(sha256) == 2
    found = judge([lone.der[0].replace(sha256, old)], NameKind.XMPP, "a.example", TRUST, NOW)
    assert found.codes == {"weak", "untrusted"}
    assert digest.name in found.reason
