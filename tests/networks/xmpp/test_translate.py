"""Stanzas become messages and messages stanzas, and nothing is made up on the way (CHECKLIST section 5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.model.address import Address
from rialto.model.errors import Reason, Refused
from rialto.model.message import Kind, Message, Report, Text
from rialto.networks.xmpp.translate import error_reply, from_model, from_report, to_model
from rialto.networks.xmpp.wire import jid
from rialto.networks.xmpp.wire.element import Element, legal
from rialto.networks.xmpp.wire.namespaces import SERVER, STREAMS
from rialto.networks.xmpp.wire.parser import StreamParser

HEADER = f"<stream:stream xmlns='{SERVER}' xmlns:stream='{STREAMS}'>".encode()
JULIET = Address("juliet", "sip.capulet.example")


def stanza(inside: str, attributes: str = "") -> Element:
    parser = StreamParser()
    parser.feed(
        HEADER
        + f"<message from='romeo@montague.example/orchard' to='juliet@sip.capulet.example' id='s1'"
        f" {attributes}>{inside}</message>".encode()
    )
    element = parser.items[1]
    assert isinstance(element, Element)
    return element


def read(inside: str, attributes: str = "") -> Message | None:
    element = stanza(inside, attributes)
    return to_model(
        element,
        jid.parse(element.get("from")),
        jid.parse(element.get("to")),
        new_id="m1",
        received_at=1000.0,
    )


def message(**more: object) -> Message:
    fields: dict[str, object] = {
        "id": "m1",
        "sender": Address("romeo", "montague.example", "orchard"),
        "recipient": JULIET,
        "text": "But, soft!",
        "received_at": 1000.0,
    }
    return Message(**(fields | more))  # type: ignore[arg-type]


def test_every_field_of_a_stanza_has_its_place() -> None:  # MSG-2
    assert read(
        "<subject>East</subject><body>But, soft!</body><thread>t1</thread>"
        "<origin-id xmlns='urn:xmpp:sid:0' id='o1'/>"
        "<delay xmlns='urn:xmpp:delay' stamp='1970-01-01T00:10:00Z'/>",
        "type='chat' xml:lang='en'",
    ) == message(
        subject="East",
        thread="t1",
        language="en",
        kind=Kind.CHAT,
        origin_id="s1",
        stable_id="o1",
        sent_at=600.0,
    )


def test_a_type_that_nobody_knows_is_normal() -> None:  # RFC 6121 section 5.2.2
    for attributes in ("", "type='normal'", "type='telegram'"):
        assert (read("<body>x</body>", attributes) or message()).kind is Kind.NORMAL


def test_of_several_bodies_the_one_in_the_stanzas_language_speaks() -> None:  # MSG-29
    got = read(
        "<body xml:lang='de'>Doch still!</body><body>But, soft!</body><body xml:lang='!!'>?</body>",
        "xml:lang='en'",
    )
    assert got is not None
    assert (got.text, got.language) == ("But, soft!", "en")
    assert got.translations == (Text("Doch still!", "de"),)


def test_where_no_body_is_in_the_stanzas_language_the_first_one_speaks() -> None:
    got = read("<body xml:lang='de'>Doch still!</body><body xml:lang='fr'>Silence!</body>")
    assert got is not None
    assert (got.text, got.language, got.translations) == ("Doch still!", "de", (Text("Silence!", "fr"),))


@pytest.mark.parametrize(
    "inside",
    [
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        "<received xmlns='urn:xmpp:receipts' id='x'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='x'/>",
        "<body/>",
        "",
        "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent><body>copy</body>",
        "<received xmlns='urn:xmpp:carbons:2'/><body>copy</body>",
        "<result xmlns='urn:xmpp:mam:2' id='7'><forwarded xmlns='urn:xmpp:forward:0'/></result>",
        "<forwarded xmlns='urn:xmpp:forward:0'/>",
    ],
)
def test_what_has_no_words_of_its_own_is_nothing_to_carry(inside: str) -> None:  # MSG-28
    assert read(inside, "type='chat'") is None


def test_a_subject_alone_is_said_as_text() -> None:
    got = read("<subject>Feast tonight</subject>")
    assert got is not None
    assert (got.subject, got.text) == ("", "Feast tonight")


def test_rooms_are_refused_and_their_subjects_ignored() -> None:
    with pytest.raises(Refused) as refused:
        read("<body>all</body>", "type='groupchat'")
    assert refused.value.reason is Reason.NOT_SUPPORTED
    assert read("<subject>topic</subject>", "type='groupchat'") is None


def test_a_message_to_a_domain_is_for_nobody() -> None:
    with pytest.raises(Refused) as refused:
        to_model(
            stanza("<body>x</body>"),
            Address("romeo", "montague.example"),
            Address("", "sip.capulet.example"),
            new_id="m",
            received_at=0,
        )
    assert refused.value.reason is Reason.NOT_FOUND


def test_a_plain_id_is_not_taken_for_a_name_that_lasts() -> None:
    got = read("<body>ok</body>")
    assert got is not None
    assert (got.origin_id, got.stable_id) == ("s1", "")


def test_a_stamp_that_says_nothing_is_left_out() -> None:
    for stamp in ("yesterday", "2002-09-10T23:08:25", ""):
        got = read(f"<body>x</body><delay xmlns='urn:xmpp:delay' stamp='{stamp}'/>")
        assert got is not None
        assert got.sent_at is None


def test_hops_are_carried_and_counted_no_further_than_a_limit() -> None:
    hops = "".join(f"<hop>{number}</hop>" for number in range(100))
    got = read(f"<body>x</body><hops xmlns='urn:rialto:hops:0'>{hops}</hops>")
    assert got is not None
    assert got.hops[:2] == ("0", "1")
    assert len(got.hops) == 32
    assert from_model(got).encode().count(b"<hop>") == 32


def test_a_page_mode_message_has_no_type() -> None:  # MSG-7
    assert from_model(message()).encode() == (
        b"<message from='romeo@montague.example/orchard' to='juliet@sip.capulet.example' id='m1'>"
        b"<body>But, soft!</body><origin-id xmlns='urn:xmpp:sid:0' id='m1'/></message>"
    )


def test_what_has_waited_with_us_says_since_when() -> None:  # XEP-0203
    assert b"delay" not in from_model(message(), now=1005.0).encode()
    assert (
        b"<delay xmlns='urn:xmpp:delay' from='montague.example' stamp='1970-01-01T00:16:40.000Z'/>"
        in from_model(message(), now=5000.0).encode()
    )


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(
    text=TEXTS.filter(lambda text: bool(text)),
    subject=TEXTS,
    thread=TEXTS,
    kind=st.sampled_from(Kind),
    language=st.sampled_from(["", "en", "de-AT"]),
    hops=st.lists(st.text("abc123", min_size=1, max_size=8), max_size=3),
    automatic=st.booleans(),
)
def test_a_message_survives_the_way_through_xmpp(
    text: str, subject: str, thread: str, kind: Kind, language: str, hops: list[str], automatic: bool
) -> None:
    sent = message(
        text=legal(text),
        subject=legal(subject),
        thread=legal(thread),
        kind=kind,
        language=language,
        translations=(Text("anders", "de"),),
        origin_id="m1",
        stable_id="m1",
        sent_at=600.0,
        hops=tuple(hops),
        automatic=automatic,
    )
    parser = StreamParser()
    parser.feed(HEADER + from_model(sent).encode())
    element = parser.items[1]
    assert isinstance(element, Element)
    got = to_model(element, sent.sender, sent.recipient, new_id="m1", received_at=1000.0)
    assert got == sent


def test_a_name_that_xmpp_cannot_write_is_refused() -> None:
    with pytest.raises(Refused, match="bad-request"):
        from_model(message(recipient=Address(" ", "sip.capulet.example")))


def report(**more: object) -> Report:
    fields: dict[str, object] = {
        "id": "r1",
        "sender": JULIET,
        "recipient": Address("romeo", "montague.example", "orchard"),
        "about": "m1",
        "reason": Reason.NOT_FOUND,
        "received_at": 0.0,
        "text": "no such user",
        "origin_id": "s1",
    }
    return Report(**(fields | more))  # type: ignore[arg-type]


def test_a_report_is_an_error_with_the_id_of_the_message() -> None:  # MSG-23
    assert from_report(report()).encode() == (
        b"<message from='juliet@sip.capulet.example' to='romeo@montague.example/orchard'"
        b" type='error' id='s1'><error type='cancel'>"
        b"<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        b"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>no such user</text>"
        b"<reason xmlns='urn:rialto:errors:0'>not-found</reason></error></message>"
    )


def test_an_uncertain_report_says_so() -> None:
    said = from_report(report(reason=Reason.TIMEOUT, certain=False)).encode()
    assert b"It may not have been delivered: no such user" in said
    assert b"certain='false'" in said


def test_a_new_address_is_told_in_gone() -> None:  # ERR-7
    moved = from_report(report(reason=Reason.GONE, redirect="xmpp:juliet@verona.example")).encode()
    assert b"<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:juliet@verona.example</gone>" in moved
    assert (
        b"<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        in from_report(report(reason=Reason.GONE)).encode()
    )


def test_a_refusal_turns_the_stanza_around_but_never_an_error() -> None:  # ERR-10
    error = Refused(Reason.DECLINED, "no")
    reply = error_reply(stanza("<body>x</body>"), error)
    assert reply is not None
    assert (reply.get("from"), reply.get("to"), reply.get("id"), reply.get("type")) == (
        "juliet@sip.capulet.example",
        "romeo@montague.example/orchard",
        "s1",
        "error",
    )
    assert error_reply(stanza("<error/>", "type='error'"), error) is None
    assert error_reply(Element("iq", {"from": "a@b", "to": "c@d", "type": "result"}), error) is None
