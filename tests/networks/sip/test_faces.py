"""Names of people on SIP: in headers, in documents, and only for the address that was proven."""

from __future__ import annotations

import pytest

from networks.sip.presence_stage import JULIET, ROMEO, WATCHES_JULIET, WATCHES_ROMEO
from rialto.core.faces import Faces
from rialto.model.errors import Reason
from rialto.model.face import Face
from rialto.model.message import Message, Report
from rialto.networks.sip.drafts import draft
from rialto.networks.sip.faces import face_in, icon_of, introduce, name_of, shown_by, with_face
from rialto.networks.sip.translate import to_message
from rialto.networks.sip.wire import Request
from rialto.networks.sip.wire.dialogs import Dialog
from rialto.wire.pidf import Card, Presence, Tuple, parse, write

NOW = 1_700_000_000.0


def request(
    from_: str = '"Juliet" <sip:juliet@sip.example>', *more: tuple[str, str], to: str = ""
) -> Request:
    headers = [
        ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
        ("From", f"{from_};tag=1"),
        ("To", to or "<sip:romeo@xmpp.example>"),
        ("Call-ID", "c"),
        ("CSeq", "1 MESSAGE"),
        ("Content-Type", "text/plain"),
        *more,
    ]
    return Request("MESSAGE", "sip:romeo@xmpp.example", headers, b"hi")


def faces() -> Faces:
    return Faces(lambda: NOW)


@pytest.mark.parametrize(
    ("from_", "name"),
    [
        ('"Juliet Capulet" <sip:juliet@sip.example>', "Juliet Capulet"),
        ("Juliet <sip:juliet@sip.example>", "Juliet"),
        ('"Jülchen \\"J\\"" <sip:juliet@sip.example>', 'Jülchen "J"'),
        ("<sip:juliet@sip.example>", ""),
        ("sip:juliet@sip.example", ""),
        ('"boss@bank.example" <sip:juliet@sip.example>', ""),
        ('"Jul\u202eiet" <sip:juliet@sip.example>', "Juliet"),
        ('"Tybalt" <sip:tybalt@sip.example>', ""),
        ('"Juliet" <sip:juliet@elsewhere.example>', ""),
    ],
)
def test_a_display_name_counts_for_the_proven_sender(from_: str, name: str) -> None:
    assert name_of(request(from_), JULIET) == name


def test_where_another_identity_was_asserted_its_name_counts() -> None:
    asserted = ("P-Asserted-Identity", '"Juliet" <sip:juliet@sip.example>, <tel:+4930>')
    assert name_of(request('"Anybody" <sip:trunk@pbx.example>', asserted), JULIET) == "Juliet"
    garbled = ("P-Asserted-Identity", '"Juliet <sip:juliet@sip.example>')
    assert name_of(request('"Anybody" <sip:trunk@pbx.example>', garbled), JULIET) == ""


@pytest.mark.parametrize("privacy", ["id", "user", "header;user", "ID ; critical"])
def test_who_wants_to_be_called_nothing_is(privacy: str) -> None:
    assert name_of(request('"Juliet" <sip:juliet@sip.example>', ("Privacy", privacy)), JULIET) == ""


def test_privacy_none_hides_nothing() -> None:
    assert name_of(request('"Juliet" <sip:juliet@sip.example>', ("Privacy", "none")), JULIET) == "Juliet"


def test_a_message_takes_the_name_along() -> None:
    message = to_message(request(), JULIET, "1", NOW)
    assert message is not None
    assert message.nick == "Juliet"


@pytest.mark.parametrize(
    ("nick", "from_"),
    [
        ("Romeo", '"Romeo" <sip:romeo@xmpp.example>;tag=m1'),
        ('R. "Romi" \\ M.', '"R. \\"Romi\\" \\\\ M." <sip:romeo@xmpp.example>;tag=m1'),
        ("Ромео", '"Ромео" <sip:romeo@xmpp.example>;tag=m1'),
        ("", "<sip:romeo@xmpp.example>;tag=m1"),
    ],
)
def test_a_message_shows_its_senders_name(nick: str, from_: str) -> None:
    message = Message(id="m1", sender=ROMEO, recipient=JULIET, text="hi", received_at=NOW, nick=nick)
    ready = draft(message, server_name="gw.example", spell=lambda address: "")
    assert ready.sender == from_


def test_a_notice_of_failure_has_no_name() -> None:
    report = Report(
        id="r1", sender=ROMEO, recipient=JULIET, about="m", reason=Reason.NOT_FOUND, received_at=NOW
    )
    assert draft(report, server_name="gw.example", spell=lambda address: "").sender.startswith("<sip:")


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("<https://a.example/j.png>;purpose=icon", "https://a.example/j.png"),
        (
            "<http://a.example/photo.jpg> ;purpose=icon, <http://a.example/> ;purpose=info",
            "http://a.example/photo.jpg",
        ),
        (
            "<http://a.example/> ;purpose=info, <https://a.example/x.gif> ; purpose = ICON",
            "https://a.example/x.gif",
        ),
        ("<https://a.example/j.png>", ""),
        ("<file:///etc/passwd>;purpose=icon", ""),
        ("<cid:icon@a.example>;purpose=icon", ""),
        ("<https://a.example/j.png;purpose=icon", ""),
        ('"', ""),
    ],
)
def test_an_icon_is_where_call_info_says(value: str, url: str) -> None:
    # RFC 3261 section 20.9
    assert icon_of(request("<sip:juliet@sip.example>", ("Call-Info", value))) == url


def test_what_a_request_for_presence_says_is_for_the_one_it_is_about() -> None:
    named = '"Juliet" <sip:juliet@sip.example>'
    assert shown_by(request(named, to="<sip:romeo@xmpp.example>;tag=2"), JULIET) == (
        WATCHES_JULIET,
        Face("Juliet"),
    )
    assert shown_by(request(named, to="<tel:+4930>"), JULIET) is None
    assert shown_by(request("<sip:juliet@sip.example>"), JULIET) is None


def test_in_a_dialog_our_side_is_introduced_by_name() -> None:
    known = faces()
    known.learn(WATCHES_ROMEO, Face("Romeo Montague"), "card")
    dialog = Dialog("c", "sip:romeo@xmpp.example", "sip:juliet@sip.example", "ours", "theirs")
    notify = dialog.request("NOTIFY", NOW)
    introduce(known, notify, dialog)
    assert notify.get_all("From") == ['"Romeo Montague" <sip:romeo@xmpp.example>;tag=ours']
    other = Dialog("c", "sip:romeo@xmpp.example", "sip:tybalt@sip.example", "ours", "theirs")
    notify = other.request("NOTIFY", NOW)
    introduce(known, notify, other)
    assert notify.get_all("From") == ["<sip:romeo@xmpp.example>;tag=ours"]


def test_a_document_says_what_the_person_is_called() -> None:
    # RFC 4482 section 4, its end tags mended
    document = parse(
        b"""<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:someone@example.com"
             xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:c="urn:ietf:params:xml:ns:pidf:cipid">
          <tuple id="bs35r9"><status><basic>open</basic></status>
            <c:display-name>Alice's telephone</c:display-name></tuple>
          <dm:person id="p1">
            <c:card>http://example.com/~alice/card.vcd</c:card>
            <c:display-name xml:lang="de">Liesl</c:display-name>
            <c:display-name>Alice Lewis</c:display-name>
            <c:homepage>http://example.com/~alice</c:homepage>
            <c:icon>http://example.com/~alice/me.png</c:icon>
          </dm:person>
        </presence>"""
    )
    assert face_in(document) == Face(
        name="Alice Lewis",
        homepage="http://example.com/~alice",
        picture_url="http://example.com/~alice/me.png",
    )


def test_a_document_of_devices_alone_says_it_too() -> None:
    document = parse(
        b"""<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="pres:a@example.com"
             xmlns:c="urn:ietf:params:xml:ns:pidf:cipid"><tuple id="t"><status><basic>open</basic></status>
             <c:display-name>Alice</c:display-name></tuple></presence>"""
    )
    assert face_in(document) == Face(name="Alice")


def test_what_a_document_should_not_say_is_not_taken_from_it() -> None:
    card = Card(display_name="ceo@bank.example", homepage="javascript:alert(1)", icon="file:///etc/passwd")
    assert face_in(Presence(entity="pres:a@example.com", card=card)) == Face()
    assert face_in(Presence(entity="pres:a@example.com")) == Face()


def test_a_document_of_ours_names_the_person_and_is_read_back() -> None:
    plain = Presence(entity="pres:romeo@xmpp.example", tuples=(Tuple(id="ID-a", basic=True),))
    named = with_face(plain, Face("R & J", "Romi", "https://m.example/"))
    data = write(named)
    assert b'<dm:person id="person"><c:display-name>R &amp; J</c:display-name>' in data
    assert b"<c:homepage>https://m.example/</c:homepage></dm:person>" in data
    assert face_in(parse(data)) == Face("R & J", homepage="https://m.example/")
    assert parse(data).tuples == plain.tuples
    assert write(with_face(plain, Face())) == write(plain)
