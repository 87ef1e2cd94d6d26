"""`rialto quickstart`: what it writes can be used as it is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dns.zone
import pytest

from cli.running import Result, run
from rialto import config
from rialto.cli.quickstart import texts
from rialto.cli.quickstart.plan import make_plan
from rialto.net.certificates import NameKind, describe, proves
from rialto.net.tls import CertificateStore, KeyPair

DOMAIN = "example.org"


def quickstart(folder: Path, *options: str, domain: str = DOMAIN) -> Result:
    return run("quickstart", domain, "--yes", "--output", folder, "--data-dir", folder / "data", *options)


def on_any_port(folder: Path) -> Path:
    """The same configuration, where the usual ports may be somebody else's on this machine."""
    text = (folder / "rialto.toml").read_text()
    for port in ("5060", "5061", "5269"):
        text = text.replace(f':{port}"', ':0"')
    path = folder / "any.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--xmpp", "component"),
        ("--sip-proxy", "192.0.2.7"),
        ("--sip-proxy", "sip:proxy.example.org:5070;transport=tcp", "--sip-address", "192.0.2.0/24"),
        ("--xmpp-host", "192.0.2.5", "--name", "gw.example.org", "--sip-domain", "voice.example.org"),
    ],
    ids=["defaults", "component", "proxy-address", "proxy-uri", "names"],
)
def test_the_configuration_loads_and_a_check_finds_no_error(tmp_path: Path, options: tuple[str, ...]) -> None:
    result = quickstart(tmp_path, *options)
    assert result.code == 0, result.err
    loaded = config.load(tmp_path / "rialto.toml")
    assert set(loaded.networks) == {"xmpp", "sip"}
    assert [peer.network for peer in loaded.peers] == ["xmpp", "sip"]
    checked = run("check", "--offline", "--json", "--config", on_any_port(tmp_path))
    assert [finding for finding in checked.data if finding["level"] == "error"] == []
    assert checked.code in (0, 1)


def test_the_next_steps_are_shown_and_kept(tmp_path: Path) -> None:
    result = quickstart(tmp_path)
    steps = (tmp_path / "NEXT-STEPS.md").read_text()
    assert steps.strip() in result.out
    assert "certbot certonly --standalone -d sip.example.org -d example.org -d rialto.example.org" in steps
    assert f"check --config {tmp_path}/rialto.toml" in steps


@pytest.mark.parametrize(("link", "domain"), [("s2s", "example.org"), ("component", "sip.example.org")])
def test_the_first_message_goes_where_the_gateway_itself_may_speak(
    tmp_path: Path, link: str, domain: str
) -> None:
    quickstart(tmp_path, "--xmpp", link)
    assert f'somebody@{domain} "It works"' in (tmp_path / "NEXT-STEPS.md").read_text()


def test_a_component_gets_a_secret_that_only_its_owner_may_read(tmp_path: Path) -> None:
    quickstart(tmp_path, "--xmpp", "component")
    path = tmp_path / "component.secret"
    secret = path.read_text().strip()
    assert len(secret) >= 32
    assert path.stat().st_mode & 0o077 == 0
    assert f'component_secret = "{secret}"' in (tmp_path / "NEXT-STEPS.md").read_text()
    assert secret not in (tmp_path / "rialto.toml").read_text()
    peer = config.load(tmp_path / "rialto.toml").peers[0]
    assert peer.settings.component_secret() == secret


def test_the_certificate_is_for_everybody_we_speak_for(tmp_path: Path) -> None:
    quickstart(tmp_path)
    pair = KeyPair(tmp_path / "tls" / "chain.pem", tmp_path / "tls" / "key.pem")
    assert CertificateStore([pair]).covers("sip.example.org")
    about = describe(pair.certificate.read_bytes())
    assert proves(about.identities, NameKind.XMPP, "sip.example.org")
    assert proves(about.identities, NameKind.SIP, "example.org")
    assert about.self_signed
    assert set(about.usages) == {"serverAuth", "clientAuth"}
    assert about.days_left(datetime.now(UTC)) > 300
    assert pair.key.stat().st_mode & 0o077 == 0


def test_the_dns_records_are_a_zone(tmp_path: Path) -> None:
    quickstart(tmp_path)
    text = (tmp_path / "dns-records.zone").read_text()
    zone = dns.zone.from_text(
        "@ 3600 IN SOA ns hostmaster 1 1 1 1 1\n@ 3600 IN NS ns.example.net.\n" + text,
        origin="example.org.",
        relativize=False,
    )
    assert {
        (str(name), str(record.target), record.port) for name, _, record in zone.iterate_rdatas("SRV")
    } == {
        ("_xmpp-server._tcp.sip.example.org.", "rialto.example.org.", 5269),
        ("_sips._tcp.example.org.", "rialto.example.org.", 5061),
        ("_sip._tcp.example.org.", "rialto.example.org.", 5060),
        ("_sip._udp.example.org.", "rialto.example.org.", 5060),
    }
    services = [record.service for _, _, record in zone.iterate_rdatas("NAPTR")]
    assert services == [b"SIPS+D2T", b"SIP+D2T", b"SIP+D2U"]
    assert len(list(zone.iterate_rdatas("A"))) == len(list(zone.iterate_rdatas("AAAA"))) == 1


def test_the_unit_starts_what_was_configured(tmp_path: Path) -> None:
    quickstart(tmp_path)
    lines = (tmp_path / "rialto.service").read_text().splitlines()
    assert f"serve --config {tmp_path}/rialto.toml" in next(
        line for line in lines if line.startswith("ExecStart=")
    )
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "User=rialto"):
        assert line in lines
    assert any(line.startswith("WatchdogSec=") for line in lines)


@pytest.mark.parametrize("knows", [True, False])
def test_the_unit_can_be_reloaded_by_the_systemd_there_is(tmp_path: Path, knows: bool) -> None:
    plan = make_plan(
        DOMAIN, folder=tmp_path, data_dir=tmp_path, command="/usr/bin/rialto", notify_reload=knows
    )
    lines = texts.unit(plan).splitlines()
    assert ("Type=notify-reload" in lines) == knows
    assert ("ExecReload=kill -HUP $MAINPID" in lines) != knows


def test_nothing_is_replaced_unless_forced(tmp_path: Path) -> None:
    quickstart(tmp_path)
    path = tmp_path / "rialto.toml"
    path.write_text("precious")
    key = (tmp_path / "tls" / "key.pem").read_bytes()
    refused = quickstart(tmp_path)
    assert refused.code == 1
    assert "there already" in refused.err
    assert path.read_text() == "precious"
    assert (tmp_path / "tls" / "key.pem").read_bytes() == key
    assert quickstart(tmp_path, "--force").code == 0
    assert "precious" not in path.read_text()


def test_a_domain_with_other_letters_is_written_as_each_place_needs_it(tmp_path: Path) -> None:
    assert quickstart(tmp_path, domain="Müller.example").code == 0
    assert 'domains = ["müller.example"]' in (tmp_path / "rialto.toml").read_text()
    assert "_sip._udp.xn--mller-kva.example." in (tmp_path / "dns-records.zone").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sip-domain", DOMAIN), "three different names"),
        (("--xmpp-domain", "no domain"), "a domain, as in example.org"),
        (("--sip-proxy", "http://proxy"), "a host or a SIP URI"),
        (("--sip-address", "proxy.example.org"), "an IP address"),
    ],
)
def test_what_cannot_be_is_refused_with_its_remedy(
    tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    result = quickstart(tmp_path / "new", *options)
    assert result.code == 1
    assert words in result.err
    assert not (tmp_path / "new").exists()
