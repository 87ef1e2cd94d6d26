"""`rialto check`: each thing that can be wrong is found, and comes with its remedy."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.running import LOOPBACK, Server, run
from net import pki
from rialto import config as configuration
from rialto.cli.certificates import Authority
from rialto.cli.check import certificates, machine, names
from rialto.cli.check.findings import Finding, Level, worst
from rialto.config import Config
from rialto.net.dns import Answer, NoSuchDomain, TemporaryFailure
from rialto.net.srv import NaptrRecord, SrvRecord
from rialto.net.tls import KeyPair
from rialto.store.store import Store

NOW = pki.NOW
SIP_PEOPLE, XMPP_PEOPLE, OURSELVES = "sip.example.org", "example.org", "gw.example.org"


def make_config(folder: Path, **changes: Any) -> Config:
    """A gateway between `XMPP_PEOPLE` and `SIP_PEOPLE`."""
    data: dict[str, Any] = {
        "server": {"name": OURSELVES, "data_dir": str(folder / "data")},
        "networks": {
            "xmpp": {"listen": ["127.0.0.1:5269"]},
            "sip": {"listen": ["udp:127.0.0.1:5060", "tls:127.0.0.1:5061"]},
        },
        "peers": [
            {"network": "xmpp", "domains": [XMPP_PEOPLE]},
            {"network": "sip", "domains": [SIP_PEOPLE]},
        ],
    }
    return configuration.parse(data | changes)


def only(findings: Iterator[Finding] | list[Finding], about: str = "") -> Finding:
    """The one finding about something; fails if there are several."""
    found = [finding for finding in findings if about in finding.about]
    assert len(found) == 1, found
    return found[0]


# -- certificates --------------------------------------------------------------------------------------


def with_certificate(folder: Path, pair: KeyPair, ca_file: Path | None = None) -> Config:
    tls: dict[str, Any] = {"certificates": [{"certificate": str(pair.certificate), "key": str(pair.key)}]}
    return make_config(folder, tls=tls | ({"ca_file": str(ca_file)} if ca_file else {}))


def write(folder: Path, made: pki.Cert, name: str = "leaf") -> KeyPair:
    pair = KeyPair(*made.write(folder, name))
    pair.key.chmod(0o600)
    return pair


def test_a_certificate_that_peers_can_check_is_in_order(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    pair = authority.issue(OURSELVES, SIP_PEOPLE, XMPP_PEOPLE)
    config = with_certificate(tmp_path, pair, authority.ca_file)
    findings = list(certificates.certificates(config, datetime.now(UTC) + timedelta(hours=1)))
    assert only(findings, f"xmpp: {SIP_PEOPLE}").level is Level.OK
    assert only(findings, f"sip: {XMPP_PEOPLE}").level is Level.OK
    assert only(findings, str(pair.certificate)).level is Level.OK


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [
        (60, Level.OK, "60 days left"),
        (29, Level.WARNING, "expires in 29 days, on 2026-06-30"),
        (-2, Level.ERROR, "expired on 2026-05-30"),
    ],
)
def test_a_certificate_is_looked_at_before_it_expires(
    tmp_path: Path, days: int, level: Level, words: str
) -> None:
    made = pki.make("x", names=pki.dns(SIP_PEOPLE, XMPP_PEOPLE), end=NOW + timedelta(days=days))
    config = with_certificate(tmp_path, write(tmp_path, made))
    finding = only(certificates.certificates(config, NOW), "leaf.crt")
    assert (finding.level, words in finding.text) == (level, True), finding
    assert ("certbot renew" in finding.remedy) == (level is not Level.OK)


def test_a_certificate_for_other_names_is_an_error(tmp_path: Path) -> None:
    made = pki.make("x", names=pki.dns(OURSELVES, XMPP_PEOPLE))
    findings = list(certificates.certificates(with_certificate(tmp_path, write(tmp_path, made)), NOW))
    wrong = only(findings, f"xmpp: {SIP_PEOPLE}")
    assert (wrong.level, wrong.text) == (Level.ERROR, "none of our certificates is for this domain")
    assert "[[tls.certificates]]" in wrong.remedy


def test_a_self_signed_certificate_is_a_warning_with_the_reason(tmp_path: Path) -> None:
    made = pki.make("x", names=pki.dns(SIP_PEOPLE, XMPP_PEOPLE))
    findings = list(certificates.certificates(with_certificate(tmp_path, write(tmp_path, made)), NOW))
    finding = only(findings, f"xmpp: {SIP_PEOPLE}")
    assert finding.level is Level.WARNING
    assert "self-signed" in finding.text


def test_a_certificate_that_is_not_for_servers_is_an_error(tmp_path: Path) -> None:
    made = pki.make("x", names=pki.dns(SIP_PEOPLE, XMPP_PEOPLE), usage=[pki.EMAIL])
    findings = list(certificates.certificates(with_certificate(tmp_path, write(tmp_path, made)), NOW))
    assert [one.level for one in findings if "leaf.crt" in one.about] == [Level.OK, Level.ERROR]


def test_a_certificate_for_servers_only_is_said_to_be(tmp_path: Path) -> None:
    made = pki.make("x", names=pki.dns(SIP_PEOPLE, XMPP_PEOPLE), usage=[pki.SERVER])
    findings = list(certificates.certificates(with_certificate(tmp_path, write(tmp_path, made)), NOW))
    assert any("serverAuth only" in one.text and one.level is Level.OK for one in findings)


def test_a_key_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    one, other = pki.make("x", names=pki.dns("a.example")), pki.make("y", names=pki.dns("b.example"))
    pair = KeyPair(write(tmp_path, one).certificate, write(tmp_path, other, "other").key)
    finding = only(certificates.certificates(with_certificate(tmp_path, pair), NOW), "leaf.crt")
    assert finding.level is Level.ERROR
    assert "its own private key" in finding.text


def test_a_key_that_everybody_may_read_is_a_warning(tmp_path: Path) -> None:
    pair = write(tmp_path, pki.make("x", names=pki.dns(SIP_PEOPLE, XMPP_PEOPLE)))
    pair.key.chmod(0o644)
    finding = only(certificates.certificates(with_certificate(tmp_path, pair), NOW), "leaf.key")
    assert (finding.level, finding.remedy) == (Level.WARNING, f"chmod o-rwx {pair.key}")


def test_a_component_and_a_trunk_without_tls_need_no_certificate(tmp_path: Path) -> None:
    peers = [
        {
            "network": "xmpp",
            "domains": [XMPP_PEOPLE],
            "link": "component",
            "host": "127.0.0.1",
            "secret": "x",
        },
        {"network": "sip", "domains": [SIP_PEOPLE]},
    ]
    networks = {"xmpp": {"listen": []}, "sip": {"listen": ["udp:127.0.0.1:5060"]}}
    assert list(certificates.certificates(make_config(tmp_path, peers=peers, networks=networks), NOW)) == []


# -- this machine --------------------------------------------------------------------------------------


def test_a_port_that_somebody_else_has_is_an_error_and_ours_is_not(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = make_config(
            tmp_path, networks={"xmpp": {"listen": [f"127.0.0.1:{port}"]}, "sip": {"listen": []}}
        )
        finding = only(machine.ports(config, running=False))
        assert (finding.level, finding.text) == (Level.ERROR, "somebody else listens there")
        assert f"sport = :{port}" in finding.remedy
        assert only(machine.ports(config, running=True)).level is Level.OK
    assert only(machine.ports(config, running=False)).level is Level.OK
    assert only(machine.ports(config, running=True)).level is Level.ERROR


def test_an_address_that_is_not_ours_is_an_error(tmp_path: Path) -> None:
    config = make_config(
        tmp_path, networks={"xmpp": {"listen": []}, "sip": {"listen": ["udp:198.51.100.1:5060"]}}
    )
    finding = only(machine.ports(config, running=False))
    assert finding.level is Level.ERROR
    assert "ip address show" in finding.remedy


@pytest.mark.parametrize(
    ("now", "synchronised", "level"),
    [
        (datetime(2027, 1, 1, tzinfo=UTC), True, Level.OK),
        (datetime(2027, 1, 1, tzinfo=UTC), None, Level.OK),
        (datetime(2027, 1, 1, tzinfo=UTC), False, Level.WARNING),
        (datetime(1970, 1, 2, tzinfo=UTC), True, Level.ERROR),
        (datetime(2090, 1, 1, tzinfo=UTC), True, Level.ERROR),
    ],
)
def test_the_clock_is_looked_at(
    tmp_path: Path, now: datetime, synchronised: bool | None, level: Level
) -> None:
    config = make_config(tmp_path)
    found = only(machine.clock(config, now=now.timestamp(), synchronised=lambda: synchronised))
    assert found.level is level
    assert bool(found.remedy) == bool(level)


def test_a_database_from_the_future_tells_of_a_clock_that_was_set_back(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    Store(tmp_path / "data").close()
    now = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    os.utime(tmp_path / "data" / "rialto.db", (now + 7200, now + 7200))
    finding = only(machine.clock(config, now=now, synchronised=lambda: True))
    assert finding.level is Level.ERROR
    assert "2 h in the future" in finding.text


def test_the_kernel_can_be_asked_whether_its_clock_is_kept_right() -> None:
    assert machine.kernel_synchronised() in (True, False, None)


def test_a_database_of_a_later_release_is_an_error(tmp_path: Path) -> None:
    Store(tmp_path / "data").close()
    with sqlite3.connect(tmp_path / "data" / "rialto.db") as database:
        database.execute("UPDATE meta SET value = '999' WHERE key = 'compat'")
    database.close()
    finding = only(machine.disk(make_config(tmp_path)), "rialto.db")
    assert (finding.level, finding.text) == (Level.ERROR, "written by a later release")


def test_a_broken_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rialto.db").write_bytes(b"nonsense" * 1000)
    finding = only(machine.disk(make_config(tmp_path)), "rialto.db")
    assert finding.level is Level.ERROR
    assert "rialto restore" in finding.remedy


@pytest.mark.parametrize(
    ("free", "level"), [(10**6, Level.ERROR), (10**8, Level.WARNING), (10**11, Level.OK)]
)
def test_a_full_disk_is_told_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: Usage(free))
    found = [finding for finding in machine.disk(make_config(tmp_path)) if "free" in finding.text]
    assert [finding.level for finding in found] == [level]


class Usage:
    """What `shutil.disk_usage` gives."""

    def __init__(self, free: int) -> None:
        self.free = free


# -- the DNS -------------------------------------------------------------------------------------------


class Names:
    """A resolver that knows what it was told: records by name; an exception is raised."""

    def __init__(self, **records: Any) -> None:
        self.records = records

    def _find(self, kind: str, name: str) -> Answer[Any]:
        found = self.records.get(kind, {}).get(name)
        if isinstance(found, Exception):
            raise found
        if found is None:
            raise NoSuchDomain(name, "the domain does not exist")
        return Answer(tuple(found))

    async def addresses(self, name: str) -> Answer[str]:
        return self._find("a", name)

    async def srv(self, name: str) -> Answer[SrvRecord]:
        return self._find("srv", name)

    async def naptr(self, name: str) -> Answer[NaptrRecord]:
        return self._find("naptr", name)


ADDRESSES = {OURSELVES: ["192.0.2.1"], "xmpp.example.org": ["192.0.2.5"], "proxy.example.org": ["192.0.2.7"]}
RECORDS = {
    f"_xmpp-server._tcp.{SIP_PEOPLE}": [SrvRecord(5, 0, 5269, OURSELVES)],
    f"_sips._tcp.{XMPP_PEOPLE}": [SrvRecord(5, 0, 5061, OURSELVES)],
    f"_sip._udp.{XMPP_PEOPLE}": [SrvRecord(5, 0, 5060, OURSELVES)],
    f"_xmpp-server._tcp.{XMPP_PEOPLE}": [SrvRecord(5, 0, 5269, "xmpp.example.org")],
    f"_sip._udp.{SIP_PEOPLE}": [SrvRecord(5, 0, 5060, "proxy.example.org")],
}


async def look(folder: Path, records: dict[str, Any], addresses: dict[str, Any] = ADDRESSES) -> list[Finding]:
    resolver: Any = Names(a=addresses, srv=records)
    return await names.names(make_config(folder), resolver)


async def test_names_that_lead_both_ways_are_in_order(tmp_path: Path) -> None:
    findings = await look(tmp_path, RECORDS)
    assert worst(findings) is Level.OK, findings
    texts = " ".join(finding.text for finding in findings)
    assert "_xmpp-server._tcp.sip.example.org leads to us" in texts
    assert "found: xmpp.example.org:5269" in texts
    assert "udp:192.0.2.7:5060" in texts


async def test_a_domain_that_nobody_finds_us_for_is_an_error_with_the_record_to_publish(
    tmp_path: Path,
) -> None:
    records = {name: value for name, value in RECORDS.items() if not name.endswith(f"tcp.{SIP_PEOPLE}")}
    finding = only(await look(tmp_path, records), f"xmpp: {SIP_PEOPLE}")
    assert finding.level is Level.ERROR
    assert finding.remedy == f"publish: _xmpp-server._tcp.{SIP_PEOPLE}. 3600 IN SRV 5 0 5269 {OURSELVES}."


async def test_a_gateway_of_which_all_peers_were_told_need_not_be_in_the_dns(tmp_path: Path) -> None:
    peers = [
        {"network": "xmpp", "domains": [XMPP_PEOPLE], "host": "192.0.2.5"},
        {"network": "sip", "domains": [SIP_PEOPLE, "localhost"], "proxy": "sip:192.0.2.7"},
    ]
    resolver: Any = Names(a=ADDRESSES | {"192.0.2.5": ["192.0.2.5"], "192.0.2.7": ["192.0.2.7"]})
    findings = await names.names(make_config(tmp_path, peers=peers), resolver)
    told = [finding for finding in findings if finding.level]
    assert {finding.about for finding in told} == {f"xmpp: {SIP_PEOPLE}", f"sip: {XMPP_PEOPLE}"}
    assert worst(findings) is Level.WARNING
    assert only(told, "sip:").remedy == (
        f"publish: _sips._tcp.{XMPP_PEOPLE}. 3600 IN SRV 5 0 5061 {OURSELVES}."
    )


async def test_a_domain_whose_own_address_is_ours_needs_no_records(tmp_path: Path) -> None:
    records = {name: value for name, value in RECORDS.items() if not name.endswith(f"tcp.{SIP_PEOPLE}")}
    found = await look(tmp_path, records, ADDRESSES | {SIP_PEOPLE: ["192.0.2.1"]})
    assert only(found, f"xmpp: {SIP_PEOPLE}").level is Level.OK


async def test_a_record_that_leads_elsewhere_is_an_error(tmp_path: Path) -> None:
    records = RECORDS | {f"_xmpp-server._tcp.{SIP_PEOPLE}": [SrvRecord(5, 0, 5269, "xmpp.example.org")]}
    finding = only(await look(tmp_path, records), f"xmpp: {SIP_PEOPLE}")
    assert finding.level is Level.ERROR
    assert "leads to xmpp.example.org:5269, not to us" in finding.text


async def test_a_record_may_name_us_by_another_name(tmp_path: Path) -> None:
    records = RECORDS | {f"_xmpp-server._tcp.{SIP_PEOPLE}": [SrvRecord(5, 0, 5269, "alias.example.org")]}
    addresses = ADDRESSES | {"alias.example.org": ["192.0.2.1"]}
    assert worst(await look(tmp_path, records, addresses)) is Level.OK


async def test_a_record_with_a_port_where_we_do_not_listen_is_an_error(tmp_path: Path) -> None:
    records = RECORDS | {f"_sip._udp.{XMPP_PEOPLE}": [SrvRecord(5, 0, 5080, OURSELVES)]}
    findings = [one for one in await look(tmp_path, records) if one.level]
    assert "names port 5080, where we do not listen" in only(findings).text


async def test_a_peer_that_cannot_be_found_is_an_error(tmp_path: Path) -> None:
    addresses = {name: value for name, value in ADDRESSES.items() if name != "proxy.example.org"}
    finding = only(await look(tmp_path, RECORDS, addresses), f"sip: {SIP_PEOPLE}")
    assert finding.level is Level.ERROR
    assert "`proxy` for SIP" in finding.remedy


@pytest.mark.parametrize("name", [f"_xmpp-server._tcp.{SIP_PEOPLE}", f"_xmpp-server._tcp.{XMPP_PEOPLE}"])
async def test_name_servers_that_do_not_answer_are_told_once(tmp_path: Path, name: str) -> None:
    records = RECORDS | {name: TemporaryFailure(name, "no name server answered in time")}
    finding = only(await look(tmp_path, records))
    assert (finding.level, finding.about) == (Level.ERROR, "name servers")
    assert finding.text == f"{name}: no name server answered in time"


async def test_naptr_records_say_where_the_world_looks_for_sip(tmp_path: Path) -> None:
    naptr = {XMPP_PEOPLE: [NaptrRecord(10, 50, "s", "SIP+D2U", "", f"_other._udp.{XMPP_PEOPLE}")]}
    resolver: Any = Names(a=ADDRESSES, srv=RECORDS, naptr=naptr)
    finding = only(await names.names(make_config(tmp_path), resolver), f"sip: {XMPP_PEOPLE}")
    assert finding.level is Level.ERROR
    assert finding.remedy == f"publish: _other._udp.{XMPP_PEOPLE}. 3600 IN SRV 5 0 5060 {OURSELVES}."
    records = RECORDS | {f"_other._udp.{XMPP_PEOPLE}": [SrvRecord(5, 0, 5060, OURSELVES)]}
    resolver = Names(a=ADDRESSES, srv=records, naptr=naptr)
    assert worst(await names.names(make_config(tmp_path), resolver)) is Level.OK


# -- all of it -----------------------------------------------------------------------------------------


def test_a_configuration_with_a_mistake_is_an_error_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "rialto.toml"
    path.write_text(LOOPBACK.format(folder=tmp_path).replace("grace_s", "grace"))
    result = run("check", "--json", "--config", path)
    assert result.code == 2
    (finding,) = result.data
    assert (finding["area"], finding["level"], finding["remedy"]) == (
        "config", "error", "did you mean `grace_s`?",
    )  # fmt: skip


def test_peers_are_asked_by_the_running_server(server: Server) -> None:
    findings = server.run("check", "--json").data
    assert [(one["about"], one["level"]) for one in findings if one["area"] == "peers"] == [
        ("loopback: test.example", "ok")
    ]
    assert "running" in [one["text"] for one in findings]


def test_without_a_server_peers_are_asked_from_here_and_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "rialto.toml"
    path.write_text(LOOPBACK.format(folder=tmp_path))
    findings = run("check", "--json", "--config", path).data
    assert [(one["about"], one["level"]) for one in findings if one["area"] == "peers"] == [
        ("loopback: test.example", "ok")
    ]
    assert not (tmp_path / "data").exists()


def test_a_peer_that_is_not_there_is_an_error_with_its_reason(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, but not listening: a connection is refused
        port = nobody.getsockname()[1]
        path = tmp_path / "rialto.toml"
        path.write_text(
            f'[server]\nname = "{OURSELVES}"\ndata_dir = "{tmp_path}/data"\n'
            '[networks.sip]\nlisten = ["tcp:127.0.0.1:0"]\n'
            f'[[peers]]\nnetwork = "sip"\ndomains = ["{SIP_PEOPLE}"]\n'
            f'proxy = "sip:127.0.0.1:{port};transport=tcp"\n'
        )
        result = run("check", "--json", "--config", path)
    assert result.code == 2
    (finding,) = [one for one in result.data if one["area"] == "peers"]
    assert finding["level"] == "error"
    assert f"127.0.0.1:{port}" in finding["text"]
    assert finding["remedy"]


def test_people_see_one_line_a_finding_and_a_count(server: Server) -> None:
    result = server.run("check", "--offline")
    assert result.code in (0, 1)
    assert " in order, " in result.out.splitlines()[-1]
    problems = server.run("check", "--offline", "--problems")
    assert not any(line.startswith("ok ") for line in problems.out.splitlines())
