"""The hub asks for leave: of messages, files, typing notices and whoever begins a session."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from core.agreed import NOW_NS, SECOND, contoso_and_yahoo, rule, stands
from rialto.core.network import Features, Origin
from rialto.core.policy import Book, PolicySettings, Sheet
from rialto.core.trail import Stop, decode
from rialto.model.address import Address
from rialto.model.agreement import Effect, Scope, State, Traffic
from rialto.model.errors import Reason, Refused
from rialto.model.face import Face
from rialto.model.message import ChatState, Composing, File
from rialto.model.presence import Pair
from rialto.testing import House, Recorder, ScriptedNetwork, deliver_at_once, message, peer

REQUIRED = PolicySettings(agreements="required")
ANN, YAN = "ann@contoso.example", "yan@yahoo.example"


def house(folder: Path, policy: PolicySettings | None = REQUIRED) -> House:
    return House(
        folder,
        [
            peer("contoso.example", "xmpp"),
            peer("yahoo.example", "sip", features=Features(composing=True)),
            peer("gw.example", "local"),
        ],
        [ScriptedNetwork(name, deliver_at_once) for name in ("xmpp", "sip", "local")],
        policy=policy,
    )


def refused(one: House, sender: str = ANN, recipient: str = YAN) -> Refused:
    with pytest.raises(Refused) as caught:
        one.hand_in("hello", sender, recipient, sender.partition("@")[2])
    return caught.value


async def test_off_by_default_whoever_is_configured_may_talk(tmp_path: Path) -> None:
    async with house(tmp_path, None) as one:
        one.hand_in("hello", ANN, YAN, "contoso.example")
        await one.settle_down()
        assert one.networks["sip"].texts() == ["hello"]


async def test_where_agreements_are_required_nothing_passes_without_one(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        error = refused(one)
        assert error.reason is Reason.NO_AGREEMENT
        assert one.hub.metrics.value("refused", "contoso.example", "no-agreement") == 1
        assert one.hub.metrics.value("policy_refused", "federation", "message") == 1
        one.hub.gate.use(Book(contoso_and_yahoo()))
        one.hand_in("hello", ANN, YAN, "contoso.example")
        await one.settle_down()
        assert one.networks["sip"].texts() == ["hello"]


async def test_the_trail_names_the_agreement_and_the_decision(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        one.hub.gate.use(Book(contoso_and_yahoo()))
        sent, _ = one.hand_in("hello", ANN, YAN, "contoso.example")
        await one.settle_down()
        row = one.store.row(sent.id)
        assert row is not None
        (allowed,) = [event for event in decode(row.trail) if event.stop is Stop.ALLOWED]
        assert one.hub.gate.leave is not None
        decision = one.hub.gate.leave.decide(sent.sender, sent.recipient, Traffic.MESSAGE, NOW_NS)
        assert allowed.data == {
            "decision": decision.id,
            "leave": "agreement",
            "agreement": "contoso-yahoo/1",
            "item": "contoso-yahoo message",
            "version": 1,
        }


def used(one: House) -> list[tuple[str, int, str]]:
    """What the rows of use say of leave."""
    with contextlib.closing(sqlite3.connect(one.store.path)) as connection:
        return connection.execute(
            "SELECT agreement_item_id, agreement_version, policy_decision_id FROM usage ORDER BY message_id"
        ).fetchall()


async def test_what_is_metered_names_the_agreement_and_the_decision(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        one.hub.gate.use(Book(contoso_and_yahoo()))
        sent, _ = one.hand_in("hello", ANN, YAN, "contoso.example")
        await one.settle_down()
        assert one.hub.gate.leave is not None
        decision = one.hub.gate.leave.decide(sent.sender, sent.recipient, Traffic.MESSAGE, NOW_NS)
        assert used(one) == [("contoso-yahoo message", 1, decision.id)]


async def test_a_restart_does_not_forget_by_what_leave_a_message_passes(tmp_path: Path) -> None:
    first = house(tmp_path)
    first.networks["sip"].answer = None
    async with first:
        first.hub.gate.use(Book(contoso_and_yahoo()))
        first.hand_in("hello", ANN, YAN, "contoso.example")
        await first.settle_down()
    async with house(tmp_path) as second:
        await second.settle_down()
        assert second.networks["sip"].texts() == ["hello"]
        ((item, version, decision),) = used(second)
        assert (item, version) == ("contoso-yahoo message", 1)
        assert decision


async def test_where_no_leave_is_asked_what_is_metered_names_none(tmp_path: Path) -> None:
    async with house(tmp_path, None) as one:
        one.hand_in("hello", ANN, YAN, "contoso.example")
        await one.settle_down()
        assert used(one) == [("", 0, "")]


async def test_a_revocation_stops_what_comes_after_its_instant(tmp_path: Path) -> None:
    sheet = contoso_and_yahoo()
    sheet.all_standings.clear()
    stands(sheet, sheet.all_items[0], State.ACTIVE, 0, NOW_NS + SECOND)
    stands(sheet, sheet.all_items[0], State.TERMINATED, NOW_NS + SECOND)
    async with house(tmp_path) as one:
        one.hub.gate.use(Book(sheet))
        one.time.advance(0.999)
        one.hand_in("in time", ANN, YAN, "contoso.example")
        one.time.advance(0.001)
        refused(one)
        await one.settle_down()
        assert one.networks["sip"].texts() == ["in time"]
        assert len(used(one)) == 1, "traffic and meter stop at the same instant"


async def test_a_message_that_was_taken_on_is_known_again_whatever_was_revoked(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        one.hub.gate.use(Book(contoso_and_yahoo()))
        one.hand_in("hello", ANN, YAN, "contoso.example", stable_id="1")
        await one.settle_down()
        one.hub.gate.use(Book(Sheet()))
        _, again = one.hand_in("hello", ANN, YAN, "contoso.example", stable_id="1")
        assert again.steps == ["stored", "settled"]


async def test_nobody_asks_for_leave_to_speak_with_the_gateway_and_it_for_none(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        one.hand_in("echo", ANN, "echo@gw.example", "contoso.example")
        local = Origin(one.peers["gw.example"], "gw.example", "local")
        probe = message(one.hub.new_id(), "operator@gw.example", YAN, "probe")
        one.hub.accept(probe, local, Recorder())
        await one.settle_down()
        assert one.networks["sip"].texts() == ["probe"]
        assert one.networks["local"].texts() == ["echo"]


async def test_each_service_is_asked_for_by_itself(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        one.hub.gate.use(Book(contoso_and_yahoo(Traffic.MESSAGE)))
        origin = one.origin("contoso.example")
        ann, yan = Address.parse(ANN), Address.parse(YAN)
        assert one.hub.would_refuse(ann, yan, origin) is None
        error = one.hub.would_refuse(ann, yan, origin, Traffic.SESSION)
        assert error is not None
        assert error.text == "contoso has no agreement on sessions with yahoo"


async def test_a_message_with_a_file_in_it_asks_for_a_file(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        one.hub.gate.use(Book(contoso_and_yahoo(Traffic.MESSAGE)))
        file = File(url="https://files.contoso.example/1")
        with pytest.raises(Refused, match="no agreement on files with yahoo"):
            one.hand_in("look", ANN, YAN, "contoso.example", files=(file,))


async def test_nobody_is_told_that_somebody_writes_who_may_not(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        writing = Composing(
            sender=Address.parse(ANN), recipient=Address.parse(YAN), state=ChatState.COMPOSING
        )
        one.hub.compose(writing, one.origin("contoso.example"))
        assert one.networks["sip"].composed == []
        one.hub.gate.use(Book(contoso_and_yahoo()))
        one.hub.compose(writing, one.origin("contoso.example"))
        assert one.networks["sip"].composed == [writing]


async def test_nobody_shows_a_face_where_no_presence_was_agreed(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        pair = Pair(Address.parse(YAN), Address.parse(ANN))
        one.hub.gate.use(Book(contoso_and_yahoo(Traffic.MESSAGE, Traffic.PRESENCE)))
        one.hub.faces.learn(pair, Face(nick="Ann"), "card")
        assert one.hub.faces.name(pair) == "Ann"
        one.hub.gate.use(Book(contoso_and_yahoo(Traffic.MESSAGE)))
        assert one.hub.faces.name(pair) == ""
        one.hand_in("hello", ANN, YAN, "contoso.example", nick="Annie")
        await one.settle_down()
        assert [content.nick for content in one.networks["sip"].log] == ["Annie"]


async def test_in_shadow_everything_passes_and_the_trail_says_what_would_not(tmp_path: Path) -> None:
    async with house(tmp_path, PolicySettings(agreements="shadow")) as one:
        sent, _ = one.hand_in("hello", ANN, YAN, "contoso.example")
        await one.settle_down()
        row = one.store.row(sent.id)
        assert row is not None
        assert '"would":"deny"' in row.trail
        assert one.hub.metrics.value("policy_would", "federation", "deny") == 1


async def test_what_is_set_may_change_while_it_runs(tmp_path: Path) -> None:
    async with house(tmp_path, None) as one:
        one.hub.gate.configure(REQUIRED)
        refused(one)
        one.hub.gate.configure(PolicySettings())
        one.hand_in("hello", ANN, YAN, "contoso.example")


async def test_a_message_that_breaks_a_rule_uses_up_no_leave(tmp_path: Path) -> None:
    sheet = contoso_and_yahoo()
    rule(sheet, Scope.HUB, Effect.RATE_LIMIT, "*", "*", max_rate_per_s=0.1)
    async with house(tmp_path) as one:
        one.hub.gate.use(Book(sheet))
        with pytest.raises(Refused):
            one.hand_in("not mine", "x@elsewhere.example", YAN, "contoso.example")
        one.hand_in("hello", ANN, YAN, "contoso.example")
