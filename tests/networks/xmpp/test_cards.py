"""A face as XMPP writes it, and what a stranger may write into one."""

from __future__ import annotations

import base64

import pytest

from rialto.model.face import Face, Picture
from rialto.networks.xmpp.cards import answer_card, hash_of, nick_of, read_answer, write_vcard
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import (
    AVATAR_DATA,
    AVATAR_METADATA,
    NICK,
    PING,
    PUBSUB,
    VCARD,
    VCARD4,
    VCARD_UPDATE,
)

ALICE = Face("Alice Liddell", "ally", "https://a.example/~alice")
PICTURE = Picture("image/png", b"\x89PNG\r\n\x1a\nx")
NOBODY = Face()


def ask(child: Element, kind: str = "get") -> Element:
    return Element("iq", {"from": "r@x.example/o", "to": "alice@s.example", "id": "q", "type": kind}, [child])


def items(node: str, *ids: str) -> Element:
    wanted: list[Element | str] = [Element(f"{PUBSUB}}}item", {"id": one}) for one in ids]
    return Element(f"{PUBSUB}}}pubsub", {}, [Element(f"{PUBSUB}}}items", {"node": node}, wanted)])


def said(child: Element, face: Face = ALICE, picture: Picture | None = PICTURE) -> str:
    answer = answer_card(ask(child), face, picture)
    assert answer is not None
    stanza = answer[0]
    assert (stanza.get("from"), stanza.get("to"), stanza.get("id")) == (
        "alice@s.example",
        "r@x.example/o",
        "q",
    )
    return stanza.encode().decode()


def test_a_vcard_has_the_name_the_nickname_the_page_and_the_picture() -> None:
    # XEP-0054, XEP-0153 section 3.2
    assert said(Element(f"{VCARD}}}vCard")) == (
        "<iq from='alice@s.example' to='r@x.example/o' id='q' type='result'><vCard xmlns='vcard-temp'>"
        "<FN>Alice Liddell</FN><NICKNAME>ally</NICKNAME><URL>https://a.example/~alice</URL>"
        "<PHOTO><TYPE>image/png</TYPE><BINVAL>iVBORw0KGgp4</BINVAL></PHOTO></vCard></iq>"
    )


def test_a_vcard4_has_them_in_its_own_form() -> None:
    # XEP-0292, RFC 6351
    answer = said(Element(f"{VCARD4}}}vcard"))
    assert "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>Alice Liddell</text></fn>" in answer
    assert "<nickname><text>ally</text></nickname><url><uri>https://a.example/~alice</uri></url>" in answer
    assert "<fn><text>Alice" in said(items("urn:xmpp:vcard4"))


def test_the_nickname_can_be_looked_at_where_a_user_would_have_published_it() -> None:
    # XEP-0172 section 4.5, XEP-0060 section 6.5
    assert f"<items node='{NICK}'><item id='current'><nick xmlns='{NICK}'>ally</nick></item></items>" in said(
        items(NICK)
    )
    assert ">Alice Liddell</nick>" in said(items(NICK), Face("Alice Liddell"))


def test_the_picture_can_be_looked_at_by_its_hash() -> None:
    # XEP-0084 sections 4.2 and 4.3
    sha1 = PICTURE.sha1
    info = f"<metadata xmlns='{AVATAR_METADATA}'><info bytes='9' id='{sha1}' type='image/png'/></metadata>"
    assert info in said(items(AVATAR_METADATA))
    data = base64.b64encode(PICTURE.data).decode()
    assert f"<item id='{sha1}'><data xmlns='{AVATAR_DATA}'>{data}</data></item>" in said(
        items(AVATAR_DATA, sha1)
    )
    assert "item-not-found" in said(items(AVATAR_DATA, "0" * 40))


@pytest.mark.parametrize(
    "child",
    [
        Element(f"{VCARD}}}vCard"),
        Element(f"{VCARD4}}}vcard"),
        items(NICK),
        items("urn:xmpp:vcard4"),
        items(AVATAR_METADATA),
        items(AVATAR_DATA),
        items("urn:xmpp:omemo:2:devices"),
    ],
)
def test_of_somebody_unknown_nothing_is_found(child: Element) -> None:
    answer = said(child, NOBODY, None)
    assert "type='error'" in answer
    assert "item-not-found" in answer


def test_other_questions_are_left_to_others() -> None:
    assert answer_card(ask(Element(f"{PING}}}ping")), ALICE, None) is None
    assert answer_card(ask(Element(f"{VCARD}}}vCard"), "set"), ALICE, None) is None
    assert answer_card(ask(Element(f"{PUBSUB}}}pubsub")), ALICE, None) is None


def test_what_was_written_is_read_back() -> None:
    card = write_vcard(ALICE, PICTURE)
    assert card is not None
    assert read_answer(Element("iq", {"type": "result"}, [card])) == ALICE
    nick = answer_card(ask(items(NICK)), ALICE, None)
    assert nick is not None
    assert read_answer(nick[0]) == Face(nick="ally")


def test_what_a_stranger_wrote_is_made_tidy() -> None:
    fields = [("FN", "alice@bank.example"), ("NICKNAME", "al\u202ely\n"), ("URL", "javascript:alert(1)")]
    content: list[Element | str] = [Element(f"{VCARD}}}{name}", {}, [text]) for name, text in fields]
    card = Element(f"{VCARD}}}vCard", {}, content)
    assert read_answer(Element("iq", {"type": "result"}, [card])) == Face(nick="ally")


@pytest.mark.parametrize(
    "stanza",
    [
        Element("iq", {"type": "error"}),
        Element("iq", {"type": "result"}),
        Element("iq", {"type": "result"}, [Element(f"{VCARD}}}vCard")]),
        Element("iq", {"type": "result"}, [Element(f"{PUBSUB}}}pubsub")]),
        Element("iq", {"type": "result"}, [Element(f"{PUBSUB}}}pubsub", {}, [Element(f"{PUBSUB}}}items")])]),
    ],
)
def test_an_answer_that_says_nothing_is_nobodys_face(stanza: Element) -> None:
    assert read_answer(stanza) == NOBODY


def test_a_nickname_beside_a_message_is_made_tidy() -> None:
    assert nick_of(Element("message", {}, [Element(f"{NICK}}}nick", {}, ["  Ish\tmael "])])) == "Ish mael"
    assert nick_of(Element("message", {}, [Element(f"{NICK}}}nick", {}, ["ceo@bank.example"])])) == ""
    assert nick_of(Element("message")) == ""


def test_presence_tells_a_picture_from_none_and_from_not_yet() -> None:
    # XEP-0153 section 3.1
    assert hash_of(PICTURE, expected=True).encode() == (
        f"<x xmlns='{VCARD_UPDATE}'><photo>{PICTURE.sha1}</photo></x>".encode()
    )
    assert hash_of(None, expected=False).encode() == f"<x xmlns='{VCARD_UPDATE}'><photo/></x>".encode()
    assert hash_of(None, expected=True).encode() == f"<x xmlns='{VCARD_UPDATE}'/>".encode()
