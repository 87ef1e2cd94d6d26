"""The configuration: what stands in it is taken, and what is wrong is named, with the remedy."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from rialto.config import load, parse
from rialto.model.errors import ConfigError

GOOD = """
[server]
name = "GW.example"

[networks.loopback]
slow_s = 0.5

[networks.other]
protocol = "loopback"

[[peers]]
network = "loopback"
domains = ["Loop.example", "*.loop.example"]
sender_rate_per_s = 3

[[peers]]
network = "other"
name = "rest"
domains = ["*"]
in_flight_per_recipient = 2
"""


def good() -> dict[str, Any]:
    return tomllib.loads(GOOD)


def test_a_configuration_is_read_with_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "rialto.toml"
    path.write_text(GOOD)
    config = load(path)
    assert config.server.name == "gw.example"
    assert config.queue.max_age_s == 86400
    one, other = config.peers
    assert (one.name, one.domains, one.sender_rate_per_s) == (
        "loop.example", ("loop.example", "*.loop.example"), 3.0,
    )  # fmt: skip
    assert (other.name, other.network, other.features.in_flight_per_recipient) == ("rest", "other", 2)
    assert config.networks["other"].protocol == "loopback"
    assert config.networks["other"].peers == (other,)


def changed(place: str, value: Any) -> dict[str, Any]:
    """The good configuration with one key set (or, with None, taken out)."""
    data: Any = good()
    *way, last = [int(step) if step.isdigit() else step for step in place.split(".")]
    whole = data
    for step in way:
        data = data[step] if isinstance(step, int) else data.setdefault(step, {})
    if value is None:
        del data[last]
    else:
        data[last] = value
    return whole  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("place", "value", "where", "says"),
    [
        ("serve", {}, "f: serve", "did you mean `server`?"),
        ("server.nam", "x", "f: server.nam", "did you mean `name`?"),
        ("server.name", None, "f: server.name", "it has no default"),
        ("server.name", "a..b", "f: server.name", "a domain"),
        ("server.grace_s", -1, "f: server.grace_s", ">= 0"),
        ("queue.max_age_s", "long", "f: queue.max_age_s", "How long a message is tried"),
        ("log.level", "loud", "f: log.level", "debug, info"),
        ("dns", 5, "f: dns", "write [dns]"),
        ("networks.loopback.slow", 1, "f: networks.loopback.slow", "did you mean `slow_s`?"),
        ("networks.loopback.slow_s", "x", "f: networks.loopback.slow_s", "How long `slow@` takes"),
        ("networks.loopbak", {}, "f: networks.loopbak", "did you mean `loopback`?"),
        ("networks.zzz", {}, "f: networks.zzz", "protocol = "),
        ("networks.local", {"protocol": "loopback"}, "f: networks.local", "the gateway itself"),
        ("peers", {}, "f: peers", "two brackets"),
        ("peers.0.network", "xmpp", "f: peers[1].network", "add [networks.xmpp]"),
        ("peers.0.network", None, "f: peers[1].network", "it has no default"),
        ("peers.0.domains", [], "f: peers[1].domains", "length >= 1"),
        ("peers.0.domains", ["a b"], "f: peers[1].domains", "a domain"),
        ("peers.0.rate_per_s", 0, "f: peers[1].rate_per_s", "> 0"),
        ("peers.1.in_flight_recipient", 2, "f: peers[2].in_flight_recipient", "`in_flight_per_recipient`?"),
        ("peers.1.rate_per_ss", 2, "f: peers[2].rate_per_ss", "did you mean `rate_per_s`?"),
        ("peers.1.name", "loop.example", "f: peers[2].name", "give it a `name`"),
        ("peers.1.name", "local", "f: peers[2].name", "give it a `name`"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_its_remedy(
    place: str, value: Any, where: str, says: str
) -> None:
    with pytest.raises(ConfigError) as mistake:
        parse(changed(place, value), "f")
    assert mistake.value.where == where
    assert says in str(mistake.value)


def test_a_domain_belongs_to_one_peer_of_a_network() -> None:
    data = changed("peers.1.network", "loopback")
    data["peers"][1]["domains"] = ["loop.example"]
    with pytest.raises(ConfigError, match="only once in loopback"):
        parse(data, "f")


@pytest.mark.parametrize(("content", "says"), [(None, "quickstart"), (b"a = ", "TOML"), (b"\xff", "TOML")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "rialto.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as mistake:
        load(path)
    assert mistake.value.where == str(path)
    assert says in str(mistake.value)


@pytest.mark.parametrize("url", ["im.example.org", "https://im.example.org/", "ftp://x", "https://a b"])
def test_the_address_on_the_web_is_checked(url: str) -> None:
    with pytest.raises(ConfigError, match=r"web\.url"):
        parse({"server": {"name": "gw.example"}, "web": {"listen": "127.0.0.1:80", "url": url}})


def test_links_begin_with_what_is_listened_at_where_nothing_else_is_said() -> None:
    made = parse({"server": {"name": "gw.example"}, "web": {"listen": "[::1]:8080"}})
    assert made.web.url == "http://[::1]:8080"


@pytest.mark.parametrize(
    ("web", "key"),
    [({"listen": "nowhere"}, "listen"), ({"listen": "127.0.0.1:80", "certificate": "a.pem"}, "key")],
)
def test_a_web_side_that_cannot_be_is_refused(web: dict[str, str], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"web\.{key}"):
        parse({"server": {"name": "gw.example"}, "web": web})
