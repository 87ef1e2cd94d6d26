"""Every question gets an answer, and no answer gets one (CHECKLIST DEP-2)."""

from __future__ import annotations

import pytest

from rialto.model.address import Address
from rialto.networks.xmpp.answers import Self, answer_iq, answer_presence
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import (
    CHAT_MARKERS,
    CHAT_STATES,
    CORRECTION,
    DISCO_INFO,
    DISCO_ITEMS,
    FILE_SHARING,
    PING,
    RECEIPTS,
    REPLY,
    VERSION,
)

DOMAIN = Address("", "sip.example")
PERSON = Address("juliet", "sip.example")
US = Self(version="1.0", contacts={"abuse": ["mailto:abuse@gw.example"]})


def ask(name: str, of: Address = DOMAIN, *, kind: str = "get", **attributes: str) -> Element:
    to = f"{of.local}@{of.domain}" if of.local else of.domain
    return Element(
        "iq", {"from": "romeo@xa.example/o", "to": to, "id": "i1", "type": kind}, [Element(name, attributes)]
    )


def condition(answer: Element | None) -> str:
    assert answer is not None
    error = answer.find("error")
    assert error is not None
    return error.elements[0].local_name


def test_a_ping_to_the_domain_is_answered() -> None:
    answer, what = answer_iq(ask(f"{PING}}}ping"), DOMAIN, US)
    assert answer == Element(
        "iq", {"from": "sip.example", "to": "romeo@xa.example/o", "type": "result", "id": "i1"}
    )
    assert what == "ping"


def test_a_ping_to_a_person_is_not_answered_with_yes() -> None:
    assert condition(answer_iq(ask(f"{PING}}}ping", PERSON), PERSON, US)[0]) == "service-unavailable"


def test_the_domain_says_that_it_is_a_gateway_and_who_is_responsible() -> None:
    answer, _ = answer_iq(ask(f"{DISCO_INFO}}}query"), DOMAIN, US)
    assert answer is not None
    said = answer.encode()
    assert b"<identity category='gateway' type='simple' name='Rialto'/>" in said
    for feature in (DISCO_INFO, DISCO_ITEMS, PING, VERSION):
        assert f"<feature var='{feature}'/>".encode() in said
    assert b"<field var='abuse-addresses' type='list-multi'><value>mailto:abuse@gw.example</value>" in said


def test_people_can_be_asked_what_they_can_do() -> None:
    answer, _ = answer_iq(ask(f"{DISCO_INFO}}}query", PERSON), PERSON, US)
    assert answer is not None
    assert b"gateway" in answer.encode()
    assert b"ping" not in answer.encode()
    for feature in (CHAT_STATES, RECEIPTS, CHAT_MARKERS, CORRECTION, REPLY, FILE_SHARING):
        assert f"<feature var='{feature}'/>".encode() in answer.encode()


def test_there_is_nothing_inside() -> None:
    answer, _ = answer_iq(ask(f"{DISCO_ITEMS}}}query"), DOMAIN, US)
    assert answer is not None
    assert answer.elements == [Element(f"{DISCO_ITEMS}}}query")]
    node = answer_iq(ask(f"{DISCO_INFO}}}query", node="commands"), DOMAIN, US)[0]
    assert condition(node) == "item-not-found"


def test_the_version_is_told_unless_it_is_hidden() -> None:
    answer, _ = answer_iq(ask(f"{VERSION}}}query"), DOMAIN, US)
    assert answer is not None
    assert b"<version>1.0</version>" in answer.encode()
    hidden = answer_iq(ask(f"{VERSION}}}query"), DOMAIN, Self())[0]
    assert condition(hidden) == "service-unavailable"


@pytest.mark.parametrize("kind", ["get", "set"])
def test_what_we_do_not_know_is_refused(kind: str) -> None:
    assert (
        condition(answer_iq(ask("jabber:iq:roster}query", kind=kind), DOMAIN, US)[0]) == "service-unavailable"
    )


@pytest.mark.parametrize(
    "stanza",
    [
        Element("iq", {"from": "a@b", "to": "c", "id": "1", "type": "get"}),
        Element("iq", {"from": "a@b", "to": "c", "id": "1", "type": "get"}, [Element("a"), Element("b")]),
        Element("iq", {"from": "a@b", "to": "c", "type": "get"}, [Element("a")]),
        Element("iq", {"from": "a@b", "to": "c", "id": "1", "type": "ask"}, [Element("a")]),
        Element("iq", {"from": "a@b", "to": "c", "id": "1"}, [Element("a")]),
    ],
)
def test_a_question_that_is_none_is_a_bad_request(stanza: Element) -> None:  # RFC 6120 section 8.2.3
    assert condition(answer_iq(stanza, DOMAIN, US)[0]) == "bad-request"


def test_no_answer_is_answered() -> None:
    for kind in ("result", "error"):
        assert answer_iq(ask(f"{PING}}}ping", kind=kind), DOMAIN, US)[0] is None


def test_a_wish_for_presence_is_refused_and_nothing_else_of_presence_answered() -> None:
    wish = {"from": "romeo@xa.example/o", "to": "juliet@sip.example", "type": "subscribe", "id": "p"}
    answer, _ = answer_presence(Element("presence", wish))
    assert answer is not None
    assert answer.attributes == {
        "from": "juliet@sip.example",
        "to": "romeo@xa.example",
        "type": "unsubscribed",
        "id": "p",
    }
    for kind in ("probe", "unsubscribe", "subscribed", "unsubscribed", "unavailable", "error"):  # DEP-5
        assert answer_presence(Element("presence", wish | {"type": kind}))[0] is None
    assert answer_presence(Element("presence", {"from": "a@b", "to": "c@d"}))[0] is None
