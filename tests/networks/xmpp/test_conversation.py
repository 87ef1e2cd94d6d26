"""Typing notices, receipts and read marks, in and out (CHECKLIST sections 7 and 8)."""

from __future__ import annotations

import pytest

from networks.xmpp.stanzas import JULIET, ROMEO, heard, message, read, stanza
from rialto.model.address import Address
from rialto.model.errors import Refused
from rialto.model.message import ChatState, Composing, Disposition, Receipt
from rialto.networks.xmpp.company import Company
from rialto.networks.xmpp.conversation import (
    Confirmed,
    from_composing,
    from_receipt,
    read_confirmation,
    read_state,
)
from rialto.networks.xmpp.translate import from_model, to_model
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import CHAT_MARKERS, CHAT_STATES, RECEIPTS

DELIVERED, DISPLAYED = Disposition.DELIVERED, Disposition.DISPLAYED


@pytest.mark.parametrize("state", list(ChatState))
def test_each_state_alone_is_a_typing_notice_and_no_message(state: ChatState) -> None:  # TYP-1, TYP-2
    aside: list[Element] = []
    inside = f"<{state} xmlns='{CHAT_STATES}'/><thread>t1</thread>"
    assert read(inside, aside=aside) is None
    [element] = aside
    composing = read_state(element, stanza(inside), ROMEO, JULIET)
    assert composing == Composing(sender=ROMEO, recipient=JULIET, state=state, thread="t1")


def test_a_text_with_active_says_that_its_writer_takes_part() -> None:  # TYP-11
    aside: list[Element] = []
    got = read(f"<body>x</body><active xmlns='{CHAT_STATES}'/>", aside=aside)
    assert got is not None
    assert got.chat_states
    assert aside == []
    assert not heard("<body>x</body>").chat_states


def test_a_text_with_another_state_says_both() -> None:
    aside: list[Element] = []
    got = read(f"<body>bye</body><gone xmlns='{CHAT_STATES}'/>", aside=aside)
    assert got is not None
    assert got.text == "bye"
    assert got.chat_states
    assert [element.local_name for element in aside] == ["gone"]


def test_a_room_hears_no_typing_notice() -> None:  # TYP-12
    aside: list[Element] = []
    assert read(f"<gone xmlns='{CHAT_STATES}'/>", aside=aside, attributes="") is None
    aside.clear()
    element = stanza(f"<gone xmlns='{CHAT_STATES}'/>")
    element.attributes["type"] = "groupchat"
    assert to_model(element, ROMEO, JULIET, new_id="m", received_at=0, aside=aside) is None
    assert aside == []


def test_a_typing_notice_goes_to_one_device_without_any_words() -> None:
    element = from_composing(
        Composing(sender=JULIET, recipient=ROMEO.bare, state=ChatState.COMPOSING, thread="t1"), ROMEO
    )
    assert element.get("to") == "romeo@montague.example/orchard"
    assert element.get("type") == "chat"
    assert [child.local_name for child in element.elements] == ["composing", "thread", "no-store"]
    assert element.find("body") is None


def test_what_is_asked_for_is_asked_for_on_the_other_side() -> None:  # RCT-1, RCT-11
    request, markable = f"<request xmlns='{RECEIPTS}'/>", f"<markable xmlns='{CHAT_MARKERS}'/>"
    assert heard(f"<body>x</body>{request}").wants == (DELIVERED,)
    assert heard(f"<body>x</body>{markable}").wants == (DISPLAYED,)
    assert heard(f"<body>x</body>{markable}{request}").wants == (DELIVERED, DISPLAYED)
    written = from_model(message(wants=(DELIVERED, DISPLAYED), chat_states=True))
    assert written.find(f"{RECEIPTS}}}request") is not None
    assert written.find(f"{CHAT_MARKERS}}}markable") is not None
    assert written.find(f"{CHAT_STATES}}}active") is not None
    plain = from_model(message())
    assert [child.local_name for child in plain.elements] == ["body", "origin-id"]


def test_without_an_id_nothing_can_be_confirmed_and_nothing_is_asked() -> None:  # RCT-7
    element = stanza(f"<body>x</body><request xmlns='{RECEIPTS}'/>")
    del element.attributes["id"]
    got = to_model(element, ROMEO, JULIET, new_id="m", received_at=0)
    assert got is not None
    assert got.wants == ()


def test_a_receipt_names_the_message_that_is_confirmed_not_its_own_stanza() -> None:  # RCT-6
    # SylkServer took the id of the stanza that brings the receipt.
    aside: list[Element] = []
    inside = f"<received xmlns='{RECEIPTS}' id='0abc'/><displayed xmlns='{CHAT_MARKERS}' id='0abd'/>"
    assert read(inside, aside=aside) is None
    assert [read_confirmation(one, stanza(inside), 1000.0) for one in aside] == [
        Confirmed("0abc", DELIVERED, 1000.0),
        Confirmed("0abd", DISPLAYED, 1000.0),
    ]


def test_a_receipt_that_waited_says_when_it_was_written_and_never_a_time_to_come() -> None:
    for stamp, at in (("1970-01-01T00:10:00Z", 600.0), ("2970-01-01T00:10:00Z", 1000.0), ("soon", 1000.0)):
        inside = f"<received xmlns='{RECEIPTS}' id='a'/><delay xmlns='urn:xmpp:delay' stamp='{stamp}'/>"
        aside: list[Element] = []
        read(inside, aside=aside)
        assert read_confirmation(aside[0], stanza(inside), 1000.0) == Confirmed("a", DELIVERED, at)


def test_a_receipt_of_nothing_is_none() -> None:
    for attributes in ("", "id=''", f"id='{'x' * 257}'"):
        aside: list[Element] = []
        inside = f"<received xmlns='{RECEIPTS}' {attributes}/>"
        read(inside, aside=aside)
        assert read_confirmation(aside[0], stanza(inside), 0.0) is None


def test_a_receipt_beside_words_is_both() -> None:
    aside: list[Element] = []
    got = read(f"<body>thanks</body><received xmlns='{RECEIPTS}' id='a'/>", aside=aside)
    assert got is not None
    assert got.text == "thanks"
    assert len(aside) == 1


def test_receipts_of_one_stanza_are_counted_no_further_than_a_limit() -> None:
    aside: list[Element] = []
    read(f"<received xmlns='{RECEIPTS}' id='a'/>" * 1000, aside=aside)
    assert len(aside) == 16


def receipt(disposition: Disposition = DELIVERED, **more: object) -> Receipt:
    fields: dict[str, object] = {
        "id": "r1",
        "sender": JULIET,
        "recipient": ROMEO,
        "about": "m1",
        "disposition": disposition,
        "at": 1000.0,
        "received_at": 1000.0,
        "origin_id": "s1",
        "thread": "t1",
    }
    return Receipt(**(fields | more))  # type: ignore[arg-type]


def test_a_receipt_is_one_element_with_the_writers_own_id_and_asks_for_nothing() -> None:  # RCT-3, RCT-7
    written = from_receipt(receipt(), now=1001.0)
    assert [(one.name, one.attributes) for one in written.elements] == [
        (f"{RECEIPTS}}}received", {"id": "s1"})
    ]
    assert (written.get("from"), written.get("to")) == (
        "juliet@sip.capulet.example",
        "romeo@montague.example/orchard",
    )
    shown = from_receipt(receipt(DISPLAYED), now=1001.0)
    assert [one.name for one in shown.elements] == [f"{CHAT_MARKERS}}}displayed"]


def test_a_receipt_that_waited_with_us_is_stamped() -> None:
    written = from_receipt(receipt(), now=1020.0)
    delay = written.find("urn:xmpp:delay}delay")
    assert delay is not None
    assert delay.get("stamp") == "1970-01-01T00:16:40.000Z"


def test_what_xmpp_has_no_word_for_is_refused() -> None:
    for one in (
        receipt(Disposition.PROCESSED),
        receipt(origin_id=""),
        receipt(sender=Address(" x", "a.example")),
    ):
        with pytest.raises(Refused):
            from_receipt(one, now=1000.0)


# -- who takes part ----------------------------------------------------------------------------------------


def test_only_who_has_shown_a_state_is_shown_one() -> None:  # TYP-11
    company = Company()
    assert company.device_of(ROMEO.bare, JULIET) is None
    company.heard(ROMEO, JULIET, takes_part=True)
    assert company.device_of(ROMEO.bare, JULIET) == ROMEO
    assert company.device_of(ROMEO.bare, Address("nurse", "sip.capulet.example")) is None


def test_a_text_without_a_state_means_stop() -> None:  # TYP-11
    company = Company()
    company.heard(ROMEO, JULIET, takes_part=True)
    company.heard(ROMEO, JULIET, takes_part=False)
    assert company.device_of(ROMEO, JULIET) is None


def test_a_text_from_another_device_leaves_the_one_that_takes_part() -> None:
    company = Company()
    company.heard(ROMEO, JULIET, takes_part=True)
    company.heard(Address("romeo", "montague.example", "old-phone"), JULIET, takes_part=False)
    assert company.device_of(ROMEO.bare, JULIET) == ROMEO
    tablet = Address("romeo", "montague.example", "tablet")
    company.heard(tablet, JULIET, takes_part=True)
    assert company.device_of(ROMEO.bare, JULIET) == tablet
    company.left(ROMEO, JULIET)
    assert company.device_of(ROMEO.bare, JULIET) == tablet
    company.left(tablet, JULIET)
    assert company.device_of(ROMEO.bare, JULIET) is None


def test_a_name_is_told_once_and_again_when_it_changes() -> None:  # XEP-0172
    company = Company(max_pairs=2)
    assert company.introduces(JULIET, ROMEO, "Juliet")
    assert not company.introduces(JULIET, ROMEO, "Juliet")
    assert company.introduces(JULIET, ROMEO, "Juliet Capulet")
    assert company.introduces(JULIET, Address("paris", "montague.example"), "Juliet Capulet")
    assert company.introduces(JULIET, Address("nurse", "montague.example"), "Juliet Capulet")
    assert company.introduces(JULIET, ROMEO, "Juliet Capulet")


def test_no_more_pairs_are_remembered_than_a_limit_the_latest_ones() -> None:
    company = Company(max_pairs=2)
    users = [Address(name, "montague.example", "x") for name in "abc"]
    for user in (*users[:2], Address("a", "montague.example", "y"), users[2]):
        company.heard(user, JULIET, takes_part=True)
    assert len(company) == 2
    assert company.device_of(users[1].bare, JULIET) is None
    assert company.device_of(users[0].bare, JULIET) is not None
