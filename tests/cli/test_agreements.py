"""Agreements from the command line, with a server and without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.running import LOOPBACK, Result, Server, run

TWO_DOMAINS = LOOPBACK.replace(
    'domains = ["test.example"]', 'domains = ["jabber.example", "sip.example"]'
).replace("[networks.loopback]", '[policy]\nagreements = "required"\n\n[networks.loopback]')


class Place:
    """A data folder without a server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str | Path) -> Result:
        return run(*arguments, "--data-dir", self.folder)

    def done(self, *arguments: str | Path) -> str:
        result = self.run(*arguments)
        assert result.code == 0, result.err
        return result.out


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, TWO_DOMAINS)
    yield server
    server.stop()


def prepare(place: Place) -> None:
    place.done("operator", "add", "contoso", "-d", "contoso.example", "--key")
    place.done("operator", "add", "yahoo", "-d", "yahoo.example", "--key", "--kind", "public_im")


def test_a_reference_offer_is_accepted_probed_and_used_in_a_few_commands(two: Server) -> None:
    def done(*arguments: str) -> str:
        result = two.run(*arguments)
        assert result.code == 0, result.err
        return result.out

    done("operator", "add", "jabber", "-d", "jabber.example", "--key")
    done("operator", "add", "carrier", "-d", "sip.example", "--key", "--kind", "carrier")
    items = ("--item", "message,regime=bill_and_keep", "--item", "presence,regime=bill_and_keep")
    done("agreement", "offer", "open", "carrier", *items)
    done("agreement", "accept", "open", "jabber", "js")
    assert "by both" in done("agreement", "sign", "js", "jabber")
    assert "pending" in done("order", "place", "jabber", "js")

    missed = two.run("order", "probe", "js", "--a", "echo@jabber.example", "--b", "refuse@sip.example")
    assert missed.code == 1
    assert "NO  message  refuse@sip.example: I would rather not" in missed.out
    assert two.run("order", "list", "--json").data[0]["state"] == "pending"

    seen = done("order", "probe", "js", "--a", "echo@jabber.example", "--b", "echo@sip.example")
    assert seen.count("yes ") == 6
    assert two.run("order", "list", "--json").data[0]["state"] == "completed"
    evidence = [step for step in two.run("agreement", "show", "js", "--changes").data if step.get("evidence")]
    assert "refuse@sip.example" in evidence[0]["evidence"]
    assert evidence[-1]["new"] == "active"


def test_a_probe_is_with_people_of_the_parties(two: Server) -> None:
    for name in ("jabber", "sip"):
        assert two.run("operator", "add", name, "-d", f"{name}.example", "--key").code == 0
    assert two.run("agreement", "draft", "js", "jabber", "sip", "--item", "message").code == 0
    for name in ("jabber", "sip"):
        assert two.run("agreement", "sign", "js", name).code == 0
    assert two.run("order", "place", "jabber", "js").code == 0
    result = two.run("order", "probe", "js", "--a", "echo@sip.example", "--b", "echo@jabber.example")
    assert result.code == 1
    assert "does not live in a domain of jabber" in result.err


def test_what_a_server_decides_follows_what_is_written(two: Server) -> None:
    before = two.ask("agreements")["epoch"]
    two.run("operator", "add", "jabber", "-d", "jabber.example")
    assert two.ask("agreements")["epoch"] == before + 1


def test_a_probe_needs_a_server(place: Place) -> None:
    prepare(place)
    result = place.run("order", "probe", "cy", "--a", "x@contoso.example", "--b", "x@yahoo.example")
    assert result.code == 1
    assert "is `rialto serve` running here?" in result.err


def test_an_item_is_written_with_its_terms(place: Place) -> None:
    prepare(place)
    place.done("agreement", "price", "list", "message", "1.50")
    terms = "message@yahoo:a_to_b,regime=per_user_month,price_list=list,overage_allowed=true"
    place.done("agreement", "draft", "cy", "contoso", "yahoo", "--item", terms)
    document = place.run("agreement", "show", "cy").data
    assert [party["name"] for party in document["parties"]] == ["contoso", "yahoo"]
    item = document["items"][0]
    assert (item["network"], item["direction"], item["overage_allowed"]) == ("yahoo", "a_to_b", True)
    assert list(place.run("agreement", "list", "--json").data[0]["items"]) == ["message@yahoo:a_to_b"]


@pytest.mark.parametrize("item", ["pigeon", "message,regime=cheap", "message,colour=red"])
def test_an_item_that_is_none_is_wrong_usage(place: Place, item: str) -> None:
    prepare(place)
    assert place.run("agreement", "draft", "cy", "contoso", "yahoo", "--item", item).code == 2


def test_somebody_signs_with_a_key_from_elsewhere(place: Place, tmp_path: Path) -> None:
    from rialto.clearing.agreements import document

    prepare(place)
    key = document.new_key()
    (tmp_path / "contoso.pem").write_bytes(document.write_key(key))
    place.done("agreement", "draft", "cy", "contoso", "yahoo", "--item", "message")
    refused = place.run("agreement", "sign", "cy", "contoso", "--key", tmp_path / "contoso.pem")
    assert "not one of contoso's" in refused.err
    place.done("operator", "change", "contoso", "--public-key", document.public(key))
    assert "missing" in place.done("agreement", "sign", "cy", "contoso", "--key", tmp_path / "contoso.pem")


def test_a_private_key_is_its_owners_alone(place: Place) -> None:
    prepare(place)
    keys = list((place.folder / "keys").iterdir())
    assert [key.stat().st_mode & 0o777 for key in keys] == [0o600, 0o600]
    assert (place.folder / "keys").stat().st_mode & 0o777 == 0o700


def test_users_are_imported_and_the_same_file_can_come_again(place: Place, tmp_path: Path) -> None:
    prepare(place)
    place.done("agreement", "draft", "cy", "contoso", "yahoo", "--item", "message", "--item", "presence")
    file = tmp_path / "users.csv"
    file.write_text("user,name\n" + "".join(f"u{n}@contoso.example,N\n" for n in range(1500)))
    assert place.done("entitlement", "import", "cy", file) == "granted: 3000\n"
    assert place.done("entitlement", "import", "cy", file) == "granted: 0\n"
    assert place.done("entitlement", "revoke", "cy/message", "u7@contoso.example") == "revoked: 1\n"
    assert place.done("entitlement", "import", "cy", file) == "granted: 1\n"
    assert len(place.run("entitlement", "list", "cy/message", "--json").data) == 1501


def test_a_deadline_is_shown(place: Place) -> None:
    prepare(place)
    place.done("agreement", "draft", "cy", "contoso", "yahoo", "--item", "message", "--regulatory", "dma")
    assert "due: " in place.done("order", "place", "contoso", "cy")
    assert 88 <= place.run("order", "list", "--json").data[0]["days_left"] <= 92
    assert "days)" in place.done("order", "list")


def test_what_is_not_allowed_is_said_and_not_done(place: Place) -> None:
    prepare(place)
    result = place.run("operator", "add", "other", "-d", "contoso.example")
    assert result.code == 1
    assert "another operator has this domain then" in result.err
    assert [row["name"] for row in place.run("operator", "list", "--json").data] == ["contoso", "yahoo"]


def test_a_step_that_is_not_possible_says_what_is(place: Place) -> None:
    prepare(place)
    place.done("agreement", "draft", "cy", "contoso", "yahoo", "--item", "message")
    assert "only submit, withdraw" in place.run("order", "suspend", "cy", "abuse").err
    assert place.done("order", "step", "cy", "withdraw") == "withdraw: cy\n"


def test_a_user_says_yes_and_then_no(place: Place) -> None:
    prepare(place)
    say = ("entitlement", "consent", "ann@contoso.example", "yahoo")
    assert place.done(*say, "yes") == "yes: ann@contoso.example with yahoo\n"
    assert place.done(*say, "no", "--service", "file") == "no: ann@contoso.example with yahoo\n"
    assert place.run("entitlement", "consent", "contoso.example", "yahoo", "yes").code == 1
