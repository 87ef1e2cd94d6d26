"""The tables of stanza errors and reasons (CHECKLIST section 3)."""

from __future__ import annotations

import pytest

from rialto.model.errors import Busy, Reason, Refused
from rialto.networks.xmpp.conditions import FROM_XMPP, TO_XMPP, from_error, to_error
from rialto.networks.xmpp.wire.conditions import STANZA_ERROR_TYPES, error_element
from rialto.networks.xmpp.wire.element import Element


def test_every_reason_has_a_condition_and_every_condition_a_reason() -> None:
    assert set(TO_XMPP) == set(Reason)
    assert set(FROM_XMPP) == set(STANZA_ERROR_TYPES)
    assert {condition for condition, _ in TO_XMPP.values()} <= set(STANZA_ERROR_TYPES)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_survives_the_way_between_two_of_us(reason: Reason) -> None:
    said = Element("message", {"type": "error"}, [to_error(Refused(reason, "why"))])
    heard = from_error(said)
    assert (heard.reason, heard.text) == (reason, "why")


@pytest.mark.parametrize("condition", STANZA_ERROR_TYPES)
def test_every_condition_of_other_servers_is_understood(condition: str) -> None:
    heard = from_error(Element("message", {"type": "error"}, [error_element(condition, "why")]))
    assert heard.reason is FROM_XMPP[condition]
    assert heard.text == "why"
    assert heard.certain


def test_only_a_lack_of_resources_is_worth_another_try_of_ours() -> None:
    busy = from_error(Element("message", {}, [error_element("resource-constraint")]))
    away = from_error(Element("message", {}, [error_element("recipient-unavailable")]))
    assert isinstance(busy, Busy)
    assert isinstance(away, Refused)


def test_a_new_address_is_heard() -> None:  # ERR-6
    error = error_element("gone", address="xmpp:juliet@verona.example")
    assert from_error(Element("message", {}, [error])).redirect == "xmpp:juliet@verona.example"


def test_an_error_without_a_word_is_an_error_all_the_same() -> None:
    assert from_error(Element("message", {"type": "error"})).reason is Reason.OTHER
    assert from_error(Element("message", {"type": "error"}, [Element("error")])).reason is Reason.OTHER


def test_service_unavailable_does_not_condemn_the_whole_server() -> None:  # ERR-8
    assert FROM_XMPP["service-unavailable"] is Reason.FORBIDDEN
