"""Whole conversations through the hub: receipts, typing, and what speaks of an earlier message."""

from __future__ import annotations

from pathlib import Path

import pytest

from rialto.core.composing import SENDER_RATE_PER_S
from rialto.core.limits import BURST_S
from rialto.core.network import Features, Outcome, hop
from rialto.core.settings import QueueSettings
from rialto.core.trail import decode
from rialto.model.address import Address
from rialto.model.errors import Reason, Refused, Unreachable
from rialto.model.message import (
    ChatState,
    Composing,
    Content,
    Disposition,
    Message,
    Receipt,
    Relation,
    RelationKind,
    Report,
    Sealed,
)
from rialto.testing import House, Recorder, ScriptedNetwork, deliver_at_once, fail_with, peer

JULIET, ROMEO = "juliet@xa.example", "romeo@sip.example"
DELIVERED, DISPLAYED = Disposition.DELIVERED, Disposition.DISPLAYED
BOTH = (DELIVERED, DISPLAYED)
WHOLE = Features(rich=True, relations=tuple(RelationKind), receipts=tuple(Disposition), composing=True)


def house(
    folder: Path, *, sip: ScriptedNetwork | None = None, features: Features = WHOLE, **more: bool
) -> House:
    return House(
        folder,
        (
            peer("xa.example", "xmpp", features=WHOLE),
            peer("sip.example", "sip", features=features),
            peer("other.example", "sip", features=WHOLE),
        ),
        [ScriptedNetwork("xmpp", deliver_at_once), sip or ScriptedNetwork("sip", deliver_at_once)],
        settings=QueueSettings(**more),
    )


def confirm(
    here: House,
    about: str,
    disposition: Disposition = DELIVERED,
    *,
    sender: str = ROMEO,
    by: str = "sip.example",
    inbound: Recorder | None = None,
) -> None:
    here.hub.receipt(
        here.origin(by),
        sender=Address.parse(sender),
        recipient=Address.parse(JULIET),
        about=about,
        disposition=disposition,
        inbound=inbound,
    )


async def receipts(here: House) -> list[Receipt]:
    await here.hub._receipts.finish()
    await here.settle_down()
    return [content for content in here.networks["xmpp"].log if isinstance(content, Receipt)]


def ask(here: House, text: str = "hello", **more: object) -> Message:
    more = {"wants": BOTH, "origin_id": "o1", **more}
    return here.hand_in(text, JULIET, ROMEO, "xa.example", **more)[0]


# -- receipts ------------------------------------------------------------------------------------------


async def test_a_receipt_comes_home_under_the_name_that_its_writer_gave(tmp_path: Path) -> None:
    # RCT-6, RCT-7
    async with house(tmp_path) as here:
        message = ask(here, thread="t", sent_at=5.0)
        await here.settle_down()
        heard = Recorder()
        confirm(here, message.id, inbound=heard)
        assert heard.steps == []  # not before it is on disk
        (receipt,) = await receipts(here)
        assert (receipt.origin_id, receipt.about, receipt.thread, receipt.sent_at) == (
            "o1",
            message.id,
            "t",
            5.0,
        )
        assert (str(receipt.sender), str(receipt.recipient)) == (ROMEO, JULIET)
        assert heard.told == [("stored", None, None), ("settled", Outcome.DELIVERED, None)]
        assert here.hub.metrics.value("receipts", "xa.example", "delivered") == 1
        assert [row.type for row in here.store.find(message.id)] == ["message", "receipt"]


async def test_of_several_devices_the_first_counts_and_each_kind_comes_once(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        message = ask(here)
        await here.settle_down()
        again = Recorder()
        for device in ("/phone", "/desk"):
            confirm(here, message.id, sender=ROMEO + device)
        confirm(here, message.id, DISPLAYED)
        await here.settle_down()
        confirm(here, message.id, DISPLAYED, inbound=again)
        assert again.steps == ["stored", "settled"]
        assert [one.disposition for one in await receipts(here)] == [DELIVERED, DISPLAYED]


async def test_a_receipt_counts_once_also_over_a_restart(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        message = ask(here, sent_at=7.0)
        await here.settle_down()
        confirm(here, message.id)
        assert len(await receipts(here)) == 1
    async with house(tmp_path) as here:
        confirm(here, message.id)
        confirm(here, message.id, DISPLAYED)
        confirm(here, message.id, DISPLAYED)
        (displayed,) = await receipts(here)
        assert (displayed.disposition, displayed.origin_id, displayed.sent_at) == (DISPLAYED, "o1", 7.0)


@pytest.mark.parametrize(
    ("wants", "disposition", "sender"),
    [((), DELIVERED, ROMEO), ((DELIVERED,), DISPLAYED, ROMEO), (BOTH, DELIVERED, "tybalt@sip.example")],
)
@pytest.mark.parametrize("restart", [False, True])
async def test_what_nobody_asked_for_or_somebody_else_says_is_let_be(
    tmp_path: Path, wants: tuple[Disposition, ...], disposition: Disposition, sender: str, restart: bool
) -> None:
    async with house(tmp_path) as here:
        message = ask(here, wants=wants)
        await here.settle_down()
        if not restart:
            heard = Recorder()
            confirm(here, message.id, disposition, sender=sender, inbound=heard)
            assert await receipts(here) == []
            assert heard.steps == ["stored", "settled"]
    if restart:
        async with house(tmp_path) as here:
            confirm(here, message.id, disposition, sender=sender)
            assert await receipts(here) == []
            assert here.hub.metrics.value("ignored", "sip", "receipt") == 1


@pytest.mark.parametrize("about", ["", "nonsense", "0" * 23, "0" * 23 + ".2"])
async def test_a_receipt_for_nothing_is_counted(tmp_path: Path, about: str) -> None:
    async with house(tmp_path) as here:
        confirm(here, about)
        assert await receipts(here) == []
        assert here.hub.metrics.value("ignored", "sip", "receipt") == 1


async def test_nobody_gives_receipts_in_the_name_of_another_domain(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        message = ask(here)
        await here.settle_down()
        with pytest.raises(Refused):
            confirm(here, message.id, by="other.example")
        assert await receipts(here) == []


async def test_a_receipt_for_what_waits_to_be_tried_again_settles_it(tmp_path: Path) -> None:
    in_doubt = Unreachable(Reason.TIMEOUT, "no answer", certain=False)
    async with house(tmp_path, sip=ScriptedNetwork("sip", fail_with(in_doubt))) as here:
        message = ask(here)
        await here.settle_down()
        confirm(here, message.id)
        assert len(await receipts(here)) == 1
        found = here.store.row(message.id)
        assert found is not None
        assert found.state == "delivered"
        assert here.hub.under_way() == []


@pytest.mark.parametrize("restart", [False, True])
async def test_a_message_in_parts_has_arrived_when_the_last_part_has(tmp_path: Path, restart: bool) -> None:
    # RCT-8
    narrow = Features(max_bytes=150, long_messages="split", receipts=BOTH)
    async with house(tmp_path, features=narrow) as here:
        message = ask(here, "word " * 25)
        await here.settle_down()
        parts = [content for content in here.networks["sip"].log if isinstance(content, Message)]
        assert len(parts) == 4
        assert [part.wants for part in parts] == [(), (), (), BOTH]
        if not restart:
            confirm(here, parts[0].id)
            assert await receipts(here) == []
            confirm(here, parts[3].id)
            assert [one.about for one in await receipts(here)] == [message.id]
    if restart:
        async with house(tmp_path, features=narrow) as here:
            confirm(here, parts[1].id)
            assert await receipts(here) == []
            confirm(here, parts[3].id)
            assert [one.about for one in await receipts(here)] == [message.id]


async def test_a_failure_after_a_receipt_is_told_all_the_same_but_with_doubt(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        message = ask(here)
        await here.settle_down()
        confirm(here, message.id)
        await receipts(here)
        here.hub.returned(message.id, Refused(Reason.GONE, "no longer here"), here.origin("sip.example"))
        await here.hub._returns.finish()
        await here.settle_down()
        (report,) = [one for one in here.networks["xmpp"].log if isinstance(one, Report)]
        assert (report.origin_id, report.certain, report.wants) == ("o1", False, BOTH)


async def test_no_receipt_is_made_of_an_acknowledgement(tmp_path: Path) -> None:
    # RCT-9, RCT-14
    async with house(tmp_path) as here:
        message = ask(here)
        await here.settle_down()
        found = here.store.row(message.id)
        assert found is not None
        assert found.state == "delivered"
        assert await receipts(here) == []


async def test_receipts_are_never_billed(tmp_path: Path) -> None:
    import sqlite3

    async with house(tmp_path) as here:
        message = ask(here)
        await here.settle_down()
        confirm(here, message.id)
        await receipts(here)
    used = sqlite3.connect(tmp_path / "rialto.db").execute("SELECT message_id FROM usage").fetchall()
    assert used == [(message.id,)]


# -- typing --------------------------------------------------------------------------------------------


def compose(
    here: House, state: ChatState, sender: str = JULIET, recipient: str = ROMEO, by: str = "xa.example"
) -> None:
    composing = Composing(sender=Address.parse(sender), recipient=Address.parse(recipient), state=state)
    here.hub.compose(composing, here.origin(by))


def states(here: House, network: str = "sip") -> list[ChatState]:
    return [composing.state for composing in here.networks[network].composed]


async def test_only_changes_of_who_is_writing_go_on(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        for state in ("active", "composing", "composing", "paused", "paused", "composing", "active", "gone"):
            compose(here, ChatState(state))
        assert states(here) == ["active", "composing", "paused", "composing", "active", "gone"]
        assert here.store.latest(most=9) == []


async def test_a_message_ends_the_writing(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        compose(here, ChatState.COMPOSING)
        here.hand_in("hello", JULIET, ROMEO, "xa.example")
        await here.settle_down()
        compose(here, ChatState.PAUSED)
        compose(here, ChatState.ACTIVE)
        assert states(here) == ["composing"]
        compose(here, ChatState.COMPOSING)
        assert states(here) == ["composing", "composing"]


async def test_a_notice_never_overtakes_the_words_before_it(tmp_path: Path) -> None:
    sip = ScriptedNetwork("sip")
    async with house(tmp_path, sip=sip) as here:
        here.hand_in("hello", JULIET, ROMEO, "xa.example")
        await here.settle_down()
        compose(here, ChatState.COMPOSING)
        compose(here, ChatState.PAUSED)
        assert states(here) == []
        sip.next().delivered()
        assert states(here) == ["paused"]


async def test_what_is_late_is_not_said_any_more(tmp_path: Path) -> None:
    sip = ScriptedNetwork("sip")
    async with house(tmp_path, sip=sip) as here:
        here.hand_in("hello", JULIET, ROMEO, "xa.example")
        await here.settle_down()
        compose(here, ChatState.COMPOSING)
        here.time.advance(60)
        sip.next().delivered()
        assert states(here) == []


@pytest.mark.parametrize(
    ("sender", "recipient"),
    [
        ("juliet@elsewhere.example", ROMEO),  # not the peer's to say
        (JULIET, "romeo@nowhere.example"),
        (JULIET, "nurse@xa.example"),  # back whence it came
        ("xa.example", ROMEO),
    ],
)
async def test_what_cannot_be_said_is_counted_and_let_go(tmp_path: Path, sender: str, recipient: str) -> None:
    async with house(tmp_path) as here:
        compose(here, ChatState.COMPOSING, sender, recipient)
        assert states(here) == states(here, "xmpp") == []
        assert here.hub.metrics.value("ignored", "xmpp", "typing") == 1


async def test_who_does_not_take_part_hears_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, features=Features()) as here:
        compose(here, ChatState.COMPOSING)
        assert states(here) == []
        here.networks["sip"].carries[Address.parse(ROMEO)] = WHOLE
        compose(here, ChatState.COMPOSING)
        assert states(here) == ["composing"]


async def test_nobody_writes_faster_than_a_person_can(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        for _ in range(100):
            compose(here, ChatState.COMPOSING)
            compose(here, ChatState.PAUSED)
        assert len(states(here)) <= SENDER_RATE_PER_S * BURST_S


# -- what speaks of an earlier message -----------------------------------------------------------------


def relation(kind: str, target: str, **more: object) -> Relation:
    return Relation(kind=RelationKind(kind), target=target, **more)  # type: ignore[arg-type]


async def last(here: House, network: str = "sip") -> Message:
    await here.settle_down()
    await here.hub._relations.finish()
    await here.settle_down()
    content: Content = here.networks[network].log[-1]
    assert isinstance(content, Message)
    return content


@pytest.mark.parametrize("found_by", ["stable name", "its id, after a restart"])
async def test_a_correction_names_what_it_corrects_as_its_reader_knows_it(
    tmp_path: Path, found_by: str
) -> None:
    names = {"origin_id": "o1"} if "restart" in found_by else {"stable_id": "o1"}
    async with house(tmp_path) as here:
        first, _ = here.hand_in("helo", JULIET, ROMEO, "xa.example", **names)
        await here.settle_down()
        if "restart" not in found_by:
            here.hand_in("hello", JULIET, ROMEO, "xa.example", relation=relation("replace", "o1"))
            corrected = await last(here)
    if "restart" in found_by:
        async with house(tmp_path) as here:
            here.hand_in("hello", JULIET, ROMEO, "xa.example", relation=relation("replace", "o1"))
            corrected = await last(here)
    assert corrected.text == "hello"
    assert corrected.relation is not None
    assert (corrected.relation.target, corrected.relation.about) == (first.id, first.id)


async def test_an_answer_names_the_message_as_its_writer_called_it(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        first, _ = here.hand_in("wherefore?", JULIET, ROMEO, "xa.example", origin_id="o1")
        await here.settle_down()
        here.hand_in(
            "", ROMEO, JULIET, "sip.example", relation=relation("react", first.id, reactions=("👍",))
        )
        reaction = await last(here, "xmpp")
        assert reaction.relation is not None
        assert (reaction.relation.target, reaction.relation.about) == ("o1", first.id)


@pytest.mark.parametrize("kind", ["replace", "retract"])
async def test_nobody_changes_what_another_wrote(tmp_path: Path, kind: str) -> None:
    async with house(tmp_path) as here:
        first, _ = here.hand_in("I love you", JULIET, ROMEO, "xa.example", origin_id="o1")
        await here.settle_down()
        here.hand_in("I hate you", ROMEO, JULIET, "sip.example", relation=relation(kind, first.id))
        assert (await last(here, "xmpp")).relation is None


async def test_what_is_not_known_is_said_in_words_and_nobody_is_believed_to_know_our_ids(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as here:
        forged = relation("replace", "unknown", about="0" * 23)
        message, _ = here.hand_in("hello", JULIET, ROMEO, "xa.example", relation=forged)
        assert (await last(here)).text == "Corrected: hello"
        found = here.store.row(message.id)
        assert found is not None
        assert "correction said in words" in found.trail


async def test_a_conversation_keeps_its_order_while_something_is_looked_up(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        here.hand_in("one", JULIET, ROMEO, "xa.example", relation=relation("replace", "long ago"))
        here.hand_in("two", JULIET, ROMEO, "xa.example")
        await last(here)
        assert here.networks["sip"].texts() == ["Corrected: one", "two"]


async def test_what_was_not_looked_up_before_a_restart_is_after_it(tmp_path: Path) -> None:
    sip = ScriptedNetwork("sip", fail_with(Unreachable(Reason.UNREACHABLE, "down")))
    async with house(tmp_path, sip=sip) as here:
        first, _ = here.hand_in("helo", JULIET, ROMEO, "xa.example", origin_id="o1", stable_id="s1")
        here.hand_in("hello", JULIET, ROMEO, "xa.example", relation=relation("replace", "o1"))
        await here.settle_down()
    async with house(tmp_path) as here:
        corrected = await last(here)
        assert corrected.relation is not None
        assert corrected.relation.target == first.id


# -- what a recipient can carry, and what the hops were -----------------------------------------------


async def test_a_recipient_who_turns_out_to_carry_less_gets_less(tmp_path: Path) -> None:
    sip = ScriptedNetwork("sip")
    async with house(tmp_path, sip=sip) as here:
        message = ask(here, rich="<p><em>hello</em></p>")
        await here.settle_down()
        delivery = sip.next()
        sip.carries[Address.parse(ROMEO)] = Features()
        delivery.again()
        delivery.delivered()  # speaks of what is over
        second = sip.next()
        second.delivered("200 OK", hop("tls", True))
        await here.settle_down()
        assert isinstance(second.content, Message)
        assert (second.content.rich, second.content.wants) == ("", ())
        found = here.store.row(message.id)
        assert found is not None
        events = decode(found.trail)
        assert [event.stop for event in events] == ["received", "routed", "adapted", "delivered"]
        assert events[-1].data == {"proof": "tls", "secured": True}


async def test_a_recipient_who_takes_nothing_at_all_is_not_asked_for_ever(tmp_path: Path) -> None:
    sip = ScriptedNetwork("sip", lambda delivery: delivery.again())
    async with house(tmp_path, sip=sip) as here:
        heard = Recorder(waiting=True)
        here.hand_in("hello", JULIET, ROMEO, "xa.example", inbound=heard)
        await here.settle_down()
        assert heard.error is not None
        assert heard.error.reason is Reason.NOT_ACCEPTABLE
        assert len(sip.log) == 4


async def test_whoever_writes_sealed_to_one_who_cannot_open_it_hears_so_in_plain_words(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as here:
        heard = Recorder(waiting=True)
        sealed = (Sealed("omemo", "eu.siacs.conversations.axolotl", b"<encrypted/>"),)
        message, _ = here.hand_in("", JULIET, ROMEO, "xa.example", inbound=heard, sealed=sealed)
        await here.settle_down()
        assert heard.error is not None
        assert "encrypted with OMEMO" in heard.error.text
        assert ROMEO in heard.error.text
        assert here.networks["sip"].log == []
        found = here.store.row(message.id)
        assert found is not None
        assert decode(found.trail)[0].data["sealed"] == ["omemo"]
