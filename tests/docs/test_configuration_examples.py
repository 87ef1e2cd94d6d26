"""Every configuration in the documentation is one that a server starts with."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from docs.pages import Block, blocks
from rialto.app import App
from rialto.clearing.agreements import declared
from rialto.clearing.agreements.registry import opened
from rialto.cli.certificates import self_signed
from rialto.config import parse
from rialto.model.errors import ConfigError

AGREEMENTS = [one for one in blocks("toml") if "[[operators]]" in one.text]
EXAMPLES = [one for one in blocks("toml") if one not in AGREEMENTS]


@pytest.fixture(scope="module")
def etc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has everything the examples expect in /etc/rialto."""
    folder = tmp_path_factory.mktemp("etc")
    (folder / "tls").mkdir()
    self_signed(["gw.example"], folder / "tls/chain.pem", folder / "tls/key.pem")
    for secret in set(re.findall(r"/etc/rialto/([\w-]+\.secret)", "".join(one.text for one in EXAMPLES))):
        (folder / secret).write_text("not a real one\n")
    return folder


def completed(example: Block, etc: Path) -> dict[str, Any]:
    """The example, with the tables added that it takes for granted."""
    data = tomllib.loads(example.text.replace("/etc/rialto", str(etc)))
    data.setdefault("server", {"name": "gw.example"})
    networks = data.setdefault("networks", {})
    for peer in data.get("peers", []):
        networks.setdefault(peer["network"], {})
    return data


def test_there_are_examples_of_every_kind() -> None:
    peers = [peer for one in EXAMPLES for peer in tomllib.loads(one.text).get("peers", [])]
    assert {peer["network"] for peer in peers} >= {"xmpp", "sip", "loopback"}
    assert {peer.get("link", "s2s") for peer in peers if peer["network"] == "xmpp"} == {"s2s", "component"}
    assert {way for peer in peers for way in peer.get("trust", [])} == {"address", "tls", "digest"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.name)
async def test_an_instance_can_be_made_of_the_example(example: Block, etc: Path, tmp_path: Path) -> None:
    data = completed(example, etc)
    data["server"]["data_dir"] = str(tmp_path)
    app = App(parse(data))
    try:
        assert set(app.networks) == set(data["networks"])
        assert len(app.peers) == len(data.get("peers", []))
    finally:
        app.store.close()


@pytest.mark.parametrize("example", AGREEMENTS, ids=lambda one: one.name)
def test_what_an_example_of_agreements_says_can_be_done_and_then_is(example: Block, tmp_path: Path) -> None:
    said = declared.read(example.text)
    with opened(tmp_path) as registry:
        for step in declared.plan(said, registry):
            assert sum(step.do("reader")) == step.size
        assert registry.orders()
        assert declared.plan(said, registry) == []


def test_a_wrong_key_would_be_found(etc: Path) -> None:
    data = completed(EXAMPLES[0], etc)
    data["server"]["colour"] = "green"
    with pytest.raises(ConfigError, match=r"server\.colour"):
        parse(data)
