"""Rules from the command line: written, tried, explained, switched on and rolled back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.running import LOOPBACK, Result, Server, run

ANN, BEN = "ann@contoso.example", "ben@contoso.example"
YAN = "yan@yahoo.example"


class Place:
    """A data folder without a server, with two operators who speak with everybody."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("contoso", "yahoo"):
            self.done("operator", "add", name, "-d", f"{name}.example", "--federation", "open")

    def run(self, *arguments: str) -> Result:
        return run(*arguments, "--data-dir", self.folder)

    def done(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.code == 0, result.err
        return result.out


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def block(place: Place, *more: str) -> None:
    place.done("policy", "rule", "embargo", "--scope", "hub", "--effect", "deny", "--subject", ANN,
               "--peer", "yahoo", "--text", "there is an embargo", *more)  # fmt: skip


def test_every_step_of_a_decision_is_explained(place: Place) -> None:
    out = place.done("policy", "explain", ANN, YAN)
    assert "federation" in out
    assert "allowed: both sides federate with those that they have no agreement with" in out
    block(place)
    refused = place.run("policy", "explain", ANN, YAN)
    assert refused.code == 1
    assert "there is an embargo" in refused.err
    place.done("policy", "explain", BEN, YAN)


def test_a_program_reads_the_same(place: Place) -> None:
    told = json.loads(place.done("policy", "explain", ANN, YAN, "session", "--json"))
    assert (told["service"], told["decision"]["step"], told["agreements"]) == (
        "session",
        "federation",
        "required",
    )
    assert told["steps"][0]["name"] == "hub-rule"


def test_the_future_is_explained_as_it_is_scheduled(place: Place) -> None:
    block(place, "--from", "2096-01-01T00:00:00Z")
    place.done("policy", "explain", ANN, YAN, "--at", "2095-12-31T23:59:59Z")
    assert place.run("policy", "explain", ANN, YAN, "--at", "2096-01-01T00:00:00Z").code == 1


def test_a_rule_counts_first_is_switched_on_rolled_back_and_ended(place: Place) -> None:
    block(place, "--shadow")
    assert "deny, only counted" in place.done("policy", "rules")
    place.done("policy", "explain", ANN, YAN)
    assert "embargo/2 begins at" in place.done("policy", "on", "embargo")
    assert place.run("policy", "explain", ANN, YAN).code == 1
    assert "and only counts" in place.done("policy", "off", "embargo")
    place.done("policy", "explain", ANN, YAN)
    place.done("policy", "end", "embargo")
    assert place.run("policy", "on", "no-such-rule").code == 1


def test_a_wall_stands_between_groups(place: Place) -> None:
    place.done("policy", "join", "@traders", ANN)
    place.done("policy", "join", "@analysts", "*@yahoo.example")
    place.done("policy", "rule", "wall", "--scope", "group", "--effect", "deny",
               "--subject", "@traders", "--peer", "@analysts")  # fmt: skip
    assert place.run("policy", "explain", YAN, ANN).code == 1
    place.done("policy", "explain", YAN, BEN)
    place.done("policy", "leave", "@traders", ANN)
    place.done("policy", "explain", YAN, ANN)


def test_a_rate_belongs_to_its_effect(place: Place) -> None:
    arguments = ("policy", "rule", "slow", "--scope", "hub", "--effect")
    assert place.run(*arguments, "rate_limit").code == 2
    assert place.run(*arguments, "deny", "--rate", "1").code == 2
    place.done(*arguments, "rate_limit", "--rate", "1")
    assert json.loads(place.done("policy", "rules", "--json"))[0]["max_rate_per_s"] == 1.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    one = Server(
        tmp_path,
        LOOPBACK.replace("[networks.loopback]", '[policy]\nagreements = "shadow"\n\n[networks.loopback]'),
    )
    yield one
    one.stop()


def test_a_rule_is_tried_on_what_was_recorded(server: Server) -> None:
    for _ in range(2):
        assert server.run("send", "echo@test.example", "hello").code == 0
    assert server.run("operator", "add", "tester", "-d", "test.example", "--federation", "open").code == 0
    rule = ("policy", "rule", "silence", "--scope", "hub", "--effect", "deny", "--peer", "tester", "--shadow")
    assert server.run(*rule).code == 0
    tried = server.run("policy", "try", "silence")
    assert "silence would refuse 2 and allow 0 more" in tried.out, tried.err
    assert "echo@test.example" in tried.out


def test_a_reload_switches_leave_on_and_takes_up_what_is_written(tmp_path: Path) -> None:
    one = Server(tmp_path, LOOPBACK)
    try:
        assert one.run("operator", "add", "tester", "-d", "test.example").code == 0
        assert one.ask("agreements") == {"epoch": 0}, "off: nobody looks"
        text = one.config.read_text().replace("[networks", '[policy]\nagreements = "required"\n\n[networks')
        one.config.write_text(text)
        one.ask("reload")
        assert one.ask("agreements") == {"epoch": 1}
        assert one.run("operator", "add", "other", "-d", "other.example").code == 0
        assert one.ask("agreements") == {"epoch": 2}
    finally:
        one.stop()
