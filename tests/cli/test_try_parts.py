"""The pieces of `rialto try`: what is typed, what stands on the wire, and what is shown of it."""

from __future__ import annotations

import pytest

from rialto.cli.demo.prompt import Order, Say, Speakers, Unclear, understand
from rialto.cli.demo.wire import MAX_KEPT, Chunk, Recorder, layout, parts, translation
from rialto.model.address import Address

JULIET, ROMEO, ECHO = (
    Address("juliet", "capulet.example"),
    Address("romeo", "montague.example"),
    Address("echo", "test.example"),
)
SPEAKERS = Speakers(partners={"juliet": ROMEO, "romeo": JULIET}, names={"romeo": ROMEO, "echo": ECHO})
LAST = Say("romeo", JULIET, "before")


@pytest.mark.parametrize(
    ("line", "last", "meaning"),
    [
        ("", LAST, None),
        ("   ", None, None),
        ("romeo: Good night!", None, Say("romeo", JULIET, "Good night!")),
        ("Romeo : Good: night!", None, Say("romeo", JULIET, "Good: night!")),
        ("juliet > echo: Are you there?", None, Say("juliet", ECHO, "Are you there?")),
        (
            "juliet > Nurse@Verona.example: Come",
            None,
            Say("juliet", Address("Nurse", "verona.example"), "Come"),
        ),
        ("Good night!", LAST, Say("romeo", JULIET, "Good night!")),
        ("note: this has a colon", LAST, Say("romeo", JULIET, "note: this has a colon")),
        ("Good night!", None, Unclear("who says that? Write one of juliet, romeo, then a colon")),
        ("juliet > nobody: hi", None, Unclear("nobody here is called nobody: write a whole address")),
        ("/quit", None, Order("quit")),
        ("/ Help ", LAST, Order("help")),
    ],
)
def test_what_is_typed_is_understood(line: str, last: Say | None, meaning: object) -> None:
    assert understand(line, SPEAKERS, last) == meaning


STANZA = (
    "<message from='juliet@capulet.example/balcony' to='romeo@montague.example' type='chat' id='a1'"
    " xml:lang='it'><subject>Love</subject><body>Ciao &amp; addio</body><thread>t1</thread></message>"
    "<r xmlns='urn:xmpp:sm:3'/>"
)
REQUEST = (
    "MESSAGE sip:romeo@montague.example SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n"
    "From: <sip:juliet@capulet.example;gr=balcony>;tag=1\r\nTo: <sip:romeo@montague.example>\r\n"
    "Call-ID: t1\r\nSubject: Love\r\nContent-Language: it\r\nContent-Length: 12\r\n\r\nCiao & addio"
)


def recorded(*texts: tuple[str, str]) -> Recorder:
    recorder = Recorder()
    for network, text in texts:
        recorder.tap(network, "there", "in" if network == "xmpp" else "out", text.encode())
    return recorder


def test_each_part_of_the_wire_has_its_meaning() -> None:
    for network, text in (("xmpp", STANZA), ("sip", REQUEST.replace("\r\n", "\n"))):
        found = {part.name: text[part.start : part.end] for part in parts(network, text)}
        assert set(found) == {"sender", "recipient", "thread", "subject", "text", "language"}, network
        assert (found["subject"], found["thread"], found["language"]) == ("Love", "t1", "it")


def test_the_translation_is_what_both_sides_have() -> None:
    rows = translation(recorded(("xmpp", STANZA), ("sip", REQUEST)).take())
    assert rows[0] == ("sender", "juliet@capulet.example/balcony", "sip:juliet@capulet.example;gr=balcony")
    assert ("text", "Ciao &amp; addio", "Ciao & addio") in rows
    assert len(rows) == 6


def test_one_side_alone_is_no_translation() -> None:
    assert translation(recorded(("xmpp", STANZA)).take()) == []


def test_an_error_is_a_part_too() -> None:
    chunk = "SIP/2.0 603 Decline\nVia: x\n\n"
    (part,) = [part for part in parts("sip", chunk) if part.name == "error"]
    assert chunk[part.start : part.end] == "603 Decline"
    stanza = (
        "<message from='a@b' to='c@d' type='error'><error type='cancel'><gone xmlns='x'/></error></message>"
    )
    (part,) = [part for part in parts("xmpp", stanza) if part.name == "error"]
    assert stanza[part.start : part.end] == "gone"


def test_a_stanza_is_laid_out_in_lines_without_losing_a_character() -> None:
    lines = layout(Chunk(0.0, "xmpp", "there", True, STANZA)).splitlines()
    assert lines[1:] == [
        "  <subject>Love</subject>",
        "  <body>Ciao &amp; addio</body>",
        "  <thread>t1</thread>",
        "</message>",
        "<r xmlns='urn:xmpp:sm:3'/>",
    ]
    assert "".join(line.strip() for line in lines) == STANZA


def test_a_flood_is_counted_and_not_kept() -> None:
    recorder = recorded(*[("sip", REQUEST)] * (MAX_KEPT + 7))
    burst = recorder.take()
    assert (len(burst.chunks), burst.lost, burst.messages) == (MAX_KEPT, 7, MAX_KEPT + 7)
    assert recorder.take().chunks == []


def test_servers_among_themselves_do_not_crowd_people_out() -> None:
    negotiation = ("xmpp", "<stream:features/>")
    burst = recorded(*[negotiation] * 500, ("xmpp", STANZA)).take()
    assert burst.lost == 0
    assert [chunk.is_message for chunk in burst.chunks].count(True) == 1
