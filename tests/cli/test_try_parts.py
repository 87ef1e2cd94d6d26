"""The pieces of `rialto try`: what is typed, what stands on the wire, and what is shown of it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from rialto.cli.demo.prompt import Order, Say, Speakers, Unclear, understand
from rialto.cli.demo.view import STYLES, coloured, headline, print_burst
from rialto.cli.demo.wire import MAX_KEPT, Chunk, Recorder, layout, parts, translation
from rialto.model.address import Address
from rialto.store.store import Row

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


def shown(width: int, *, everything: bool = False) -> str:
    negotiation = ("xmpp", "<stream:features/>")
    burst = recorded(negotiation, ("xmpp", STANZA), ("sip", REQUEST)).take()
    out = Console(width=width, file=io.StringIO(), record=True)
    print_burst(out, burst, [], {"xmpp": "capulet.example"}, "", everything=everything)
    return out.export_text()


def test_the_two_wires_stand_side_by_side() -> None:
    lines = shown(160).splitlines()
    head = next(line for line in lines if "XMPP  capulet.example" in line)
    assert "SIP" in head
    row = next(line for line in lines if "<message from=" in line)
    assert "MESSAGE sip:romeo@montague.example SIP/2.0" in row


def test_on_a_narrow_terminal_they_stand_one_under_the_other() -> None:
    text = shown(70)
    assert text.index("</message>") < text.index("MESSAGE sip:romeo")


def test_what_servers_say_among_themselves_is_shown_on_demand() -> None:
    assert "stream:features" not in shown(160)
    assert "stream:features" in shown(160, everything=True)


def test_each_meaning_has_one_colour_on_both_sides() -> None:
    for network, text in (("xmpp", STANZA), ("sip", REQUEST.replace("\r\n", "\n"))):
        drawn = coloured(Chunk(0.0, network, "there", True, text))
        styles = {str(span.style): drawn.plain[span.start : span.end] for span in drawn.spans}
        assert styles[STYLES["sender"]] in (
            "juliet@capulet.example/balcony",
            "sip:juliet@capulet.example;gr=balcony",
        )
        assert styles[STYLES["text"]] in ("Ciao &amp; addio", "Ciao & addio")


def test_what_people_say_cannot_write_on_our_screen() -> None:
    known = {
        "type": "message",
        "sender": "[red]a[/red]@b.example",
        "recipient": "c@d.example",
        "state": "failed",
        "reason": "declined",
        "received_at": 0.0,
        "settled_at": 0.002,
    }
    row = Row(**{name: known.get(name, "") for name in Row.__struct_fields__})
    assert headline(row) == (
        "[bold]\\[red]a\\[/red]@b.example[/bold] to [bold]c@d.example[/bold]: message "
        "[red]failed[/] (declined) in 2.0 ms"
    )


def test_nobody_can_move_the_cursor_from_afar() -> None:
    chunk = recorded(("sip", REQUEST.replace("Ciao", "\x1b[2JCiao\x07\x9b"))).take().chunks[0]
    assert chunk.text.endswith("\n\n\u241b[2JCiao\u2407\ufffd & addio")
