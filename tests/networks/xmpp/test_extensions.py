"""What a message carries besides its words, taken together (XEP-0172, XEP-0280, XEP-0297)."""

from __future__ import annotations

import pytest

from networks.xmpp.stanzas import heard, message, read, there_and_back
from rialto.networks.xmpp.translate import from_model

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
