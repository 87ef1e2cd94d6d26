"""What a message carries besides its words, taken together (XEP-0172, XEP-0280, XEP-0297)."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from networks.xmpp.stanzas import JULIET, ROMEO, heard, message, parsed, read, there_and_back
from rialto.model.errors import Refused
from rialto.model.message import Disposition, File, Relation, RelationKind, decode, encode
from rialto.networks.xmpp import extensions
from rialto.networks.xmpp.conversation import CONFIRMATIONS, STATES, read_confirmation, read_state
from rialto.networks.xmpp.translate import from_model, to_model
from rialto.networks.xmpp.wire.element import Element, legal
from rialto.networks.xmpp.wire.namespaces import (
    FALLBACK,
    FILE_METADATA,
    FILE_SHARING,
    HASHES,
    MEDIA_SHARING,
    OMEMO_OF_OLD,
    OOB,
    REACTIONS,
    RECEIPTS,
    REPLY,
    URL_DATA,
    XHTML,
)

FORWARDED = (
    "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='mercutio@verona.example/x'"
    " to='romeo@montague.example'><body>A plague o'\nboth your houses!</body></message></forwarded>"
)


def test_a_name_goes_with_the_message_and_is_made_fit_to_be_shown() -> None:
    nick = "<nick xmlns='http://jabber.org/protocol/nick'>{}</nick>"
    assert heard(f"<body>x</body>{nick.format('Romeo M.')}").nick == "Romeo M."
    assert heard(f"<body>x</body>{nick.format('juliet@bank.example')}").nick == ""
    assert there_and_back(message(nick="Juliet")).nick == "Juliet"
    assert b"nick" not in from_model(message()).encode()


def test_a_name_alone_is_no_message() -> None:
    assert read("<nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick>") is None


def test_what_a_user_forwards_is_a_quotation_below_their_own_words() -> None:
    quoted = "> mercutio@verona.example:\n> A plague o'\n> both your houses!"
    assert heard(f"<body>see what he says</body>{FORWARDED}").text == f"see what he says\n{quoted}"
    assert heard(FORWARDED).text == quoted
    assert heard(FORWARDED.replace("mercutio@", "@@")).text == "> A plague o'\n> both your houses!"


@pytest.mark.parametrize("wrapped", ["sent", "received"])
def test_what_another_device_of_the_user_said_or_got_is_nothing_new(wrapped: str) -> None:
    # XEP-0280: a carbon copy must never become a second message.
    copy = f"<{wrapped} xmlns='urn:xmpp:carbons:2'>{FORWARDED}</{wrapped}>"
    assert read(copy) is None
    assert read(f"{copy}<body>copy</body>") is None
    states: list[object] = []
    assert read(f"<active xmlns='http://jabber.org/protocol/chatstates'/>{copy}", aside=states) is None  # type: ignore[arg-type]
    assert states == []


def test_what_comes_out_of_an_archive_is_nothing_new() -> None:
    assert read(f"<result xmlns='urn:xmpp:mam:2' id='7'>{FORWARDED}</result>") is None


def test_everything_at_once_is_carried_at_once() -> None:
    got = heard(
        "<body>&gt; east\nwhat light</body><reply xmlns='urn:xmpp:reply:0' id='old'/>"
        "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='7'/></fallback>"
        "<x xmlns='jabber:x:oob'><url>https://files.example/sun.png</url></x>"
        "<nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick><request xmlns='urn:xmpp:receipts'/>"
        "<active xmlns='http://jabber.org/protocol/chatstates'/>"
    )
    assert (got.text, got.nick, got.chat_states, len(got.wants)) == ("what light", "Romeo", True, 1)
    assert got.relation is not None
    assert got.relation.quote == "east"
    assert got.files[0].name == "sun.png"
    again = there_and_back(message(**{name: getattr(got, name) for name in FIELDS}))
    assert {name: getattr(again, name) for name in FIELDS} == {name: getattr(got, name) for name in FIELDS}


FIELDS = ("text", "nick", "chat_states", "wants", "relation", "files")


# -- there and back ----------------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).map(legal)
told = words.filter(lambda text: text.strip() == text)
files = st.builds(
    File,
    url=st.from_regex(r"https://f\.example/[a-z0-9]{1,8}", fullmatch=True),
    name=st.from_regex(r"[a-z]{1,8}\.[a-z]{3}", fullmatch=True),
    size_bytes=st.none() | st.integers(0, 1 << 40),
)
relation = (
    st.none()
    | st.just(Relation(kind=RelationKind.REPLACE, target="old"))
    | st.builds(
        Relation,
        kind=st.just(RelationKind.REPLY),
        target=st.just("old"),
        quote=st.sampled_from(["", "east", "the\nsun"]),
    )
)
forms = st.sampled_from(
    ["", "<p>a <strong>rose</strong></p>", "<blockquote><p>east</p></blockquote><p>sun</p>"]
)


@given(
    text=told,
    rich=forms,
    files=st.lists(files, max_size=2, unique_by=lambda file: file.url).map(tuple),
    relation=relation,
    nick=st.sampled_from(["", "Juliet", "Ιουλιέτα 🌹"]),
    wants=st.sampled_from([(), (Disposition.DELIVERED,), (Disposition.DELIVERED, Disposition.DISPLAYED)]),
    chat_states=st.booleans(),
    subject=st.sampled_from(["", "East"]),
)
def test_whatever_a_message_carries_is_read_back(**fields: object) -> None:
    sent = message(**fields)
    again = there_and_back(sent, how="xhtml")
    assert replace(again, origin_id="", stable_id="") == sent


names = st.sampled_from(
    [
        *sorted(extensions.ELEMENTS | STATES.keys() | CONFIRMATIONS.keys()),
        "body", "thread", "jabber:client}message", "jabber:client}body", f"{XHTML}}}body", f"{XHTML}}}p",
        f"{FALLBACK}}}body", f"{REACTIONS}}}reaction", f"{OOB}}}url", f"{FILE_SHARING}}}sources",
        f"{FILE_METADATA}}}file", f"{FILE_METADATA}}}size", f"{HASHES}}}hash", f"{URL_DATA}}}url-data",
        f"{MEDIA_SHARING}}}media-sharing", f"{OMEMO_OF_OLD}}}payload", f"{RECEIPTS}}}request",
    ]
)  # fmt: skip
texts = st.sampled_from(
    ["", " ", "x", "old", "-1", "99999999999999999999", "https://f.example/x", "> a\nb", "?OTR"]
)
attributes = st.dictionaries(
    st.sampled_from(
        ["id", "for", "start", "end", "to", "uri", "target", "algo", "namespace", "from", "stamp"]
    ),
    texts,
    max_size=4,
)
nodes: st.SearchStrategy[Any] = st.recursive(
    texts,
    lambda inside: st.builds(Element, names, attributes, st.lists(inside, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=50)
@given(
    st.lists(st.builds(Element, names, attributes, st.lists(nodes, max_size=4)), max_size=6), st.booleans()
)
def test_nothing_that_a_stanza_may_hold_does_more_than_be_refused(inside: list[Any], styling: bool) -> None:
    aside: list[Element] = []
    element = Element("message", {"from": str(ROMEO), "to": str(JULIET), "id": "s1", "type": "chat"}, inside)
    got = to_model(element, ROMEO, JULIET, new_id="m1", received_at=0.0, styling=styling, aside=aside)
    for one in aside:
        if one.name in CONFIRMATIONS:
            read_confirmation(one, element, 0.0)
        else:
            read_state(one, element, ROMEO, JULIET)
    if got is not None:
        assert decode(encode(got)) == got
        with contextlib.suppress(Refused):
            written = from_model(replace(got, sender=JULIET, recipient=ROMEO)).encode()
            assert parsed(written.decode()).name == "message"


def test_a_file_in_answer_is_a_link_below_the_quotation_and_bounds_count_in_the_whole_body() -> None:
    of = Relation(kind=RelationKind.REPLY, target="old", quote="east")
    file = File(url="https://f.example/x", name="x")
    for text, body in ((file.url, f"> east\n{file.url}"), ("look", f"> east\nlook\n{file.url}")):
        sent = message(text=text, relation=of, files=(file,))
        written = from_model(sent)
        element = written.find("body")
        assert element is not None
        assert element.text == body
        for one in written.find_all(f"{FALLBACK}}}fallback"):
            region = one.elements[0]
            hidden = body[int(region.get("start")) : int(region.get("end"))]
            assert hidden == ("> east\n" if one.get("for") == REPLY else f"\n{file.url}")
        again = there_and_back(sent)
        assert (again.text, again.relation, again.files) == (text, of, (file,))


def test_a_file_alone_in_answer_is_its_link() -> None:
    got = heard(
        "<body>&gt; east\nhttps://f.example/x</body><reply xmlns='urn:xmpp:reply:0' id='old'/>"
        "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='7'/></fallback>"
        "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:sfs:0'><body start='7' end='26'/></fallback>"
        "<x xmlns='jabber:x:oob'><url>https://f.example/x</url></x>"
    )
    assert got.text == "https://f.example/x"
    assert got.relation == Relation(kind=RelationKind.REPLY, target="old", quote="east")
