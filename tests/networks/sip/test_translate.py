"""MESSAGE and our messages: RFC 7572, RFC 7247 and RFC 3862, without any network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks.sip.plays import message, outgoing
from rialto.model.address import Address
from rialto.model.errors import AddressError, Reason
from rialto.model.message import Disposition, Message, Report
from rialto.networks.sip import notices
from rialto.networks.sip.addresses import address_of, folded, uri_of
from rialto.networks.sip.drafts import branch_for, draft, request_for
from rialto.networks.sip.envelopes import Cpim, Form, Html
from rialto.networks.sip.threads import MARK, call_id_from, thread_from
from rialto.networks.sip.translate import sender_of, to_message
from rialto.networks.sip.wire import BadMessage, Request, parse_message, parse_uri, validate

JULIET = Address("juliet", "sip.example")
NOW = 1_800_000_000.0


def read(request: Request, sender: Address = JULIET) -> Message:
    said = to_message(request, sender, "id-1", NOW)
    assert said is not None
    return said


def write(said: Message | Report, spelling: str = "") -> Request:
    ready = draft(said, server_name="gw.example", spell=lambda _: spelling)
    request = request_for(ready, f"SIP/2.0/UDP gw.example;branch={branch_for(ready, 't', 0)}")
    again = parse_message(request.encode())
    validate(again)
    assert isinstance(again, Request)
    return again


# Addresses (CHECKLIST 2.4)


@pytest.mark.parametrize(
    ("uri", "local", "instance"),
    [
        ("sip:f%C3%BC@sip.example", "fü", ""),
        ("sip:o'malley@sip.example", "o'malley", ""),
        ("sip:foo@sip.example;gr=bar", "foo", "bar"),
        ("sip:m&m@sip.example", "m&m", ""),
        ("sip:a%40b@sip.example", "a@b", ""),
        ("sip:a%20b@sip.example", "a b", ""),
        ("sip:a;day=mon@sip.example", "a;day=mon", ""),
        ("sip:+15551234567@sip.example;user=phone", "+15551234567", ""),
        ("sip:a%23b@sip.example", "a#b", ""),
        ("sip:a%7Bb%7D@sip.example", "a{b}", ""),
        ("sip:baz@sip.example;gr=My%20Phone%3B1", "baz", "My Phone;1"),
        ("im:foo@sip.example", "foo", ""),
    ],
)
def test_an_address_is_what_its_owner_would_read(uri: str, local: str, instance: str) -> None:
    address = address_of(parse_uri(uri))
    assert address == Address(local, "sip.example", instance)
    assert address_of(parse_uri(str(uri_of(address)))) == address


def test_a_temporary_gruu_is_no_instance() -> None:  # ADR-15
    assert address_of(parse_uri("sip:foo@sip.example;gr")).instance == ""


@pytest.mark.parametrize("uri", ["tel:+1555", "sip:a%FFb@sip.example", "sip:a%00b@sip.example", "http://x/"])
def test_what_is_no_address_is_refused(uri: str) -> None:
    with pytest.raises(AddressError):
        address_of(parse_uri(uri))


@given(st.text(st.characters(min_codepoint=0x20, exclude_categories=("Cs", "Cc")), min_size=1, max_size=40),
       st.text(st.characters(min_codepoint=0x20, exclude_categories=("Cs", "Cc")), max_size=20))  # fmt: skip
def test_every_address_survives_the_way_out_and_back(local: str, instance: str) -> None:
    address = Address(local, "bücher.example", instance)
    assert address_of(parse_uri(str(uri_of(address)))) == address


def test_spelling_is_kept_for_those_who_tell_case_apart() -> None:
    assert str(uri_of(Address("juliet", "sip.example"), "Juliet")) == "sip:Juliet@sip.example"
    assert folded("JULIET") == folded("juliet")


# Threads (MSG-25)


@given(st.text(max_size=120))
def test_a_thread_and_its_call_id_are_one_to_one(thread: str) -> None:
    if any(0xD800 <= ord(c) < 0xE000 for c in thread):
        return
    call_id = call_id_from(thread)
    if call_id is not None:
        assert thread_from(call_id) == thread


@given(st.from_regex(r"[a-z0-9.\-]{1,30}(@[a-z0-9.\-]{1,20})?", fullmatch=True))
def test_a_call_id_comes_back_as_it_was(call_id: str) -> None:
    thread = thread_from(call_id)
    assert call_id_from(thread) == call_id


@pytest.mark.parametrize("thread", ["a b", "ü", "a;b", MARK + "x", "a@b@c", "\r\nVia: x"])
def test_what_is_no_call_id_is_escaped(thread: str) -> None:
    call_id = call_id_from(thread)
    assert call_id is not None
    assert call_id.startswith(MARK)
    assert call_id.isascii()
    assert thread_from(call_id) == thread


def test_a_thread_that_is_too_long_is_left_behind() -> None:
    assert call_id_from("x" * 300) is None
    assert write(outgoing(thread="x" * 300)).call_id.endswith("@gw.example")


# There and back

_SIGNS = st.characters(min_codepoint=0x20, exclude_categories=("Cc", "Cs", "Zl", "Zp"))
_WORDS = st.text(_SIGNS, min_size=1, max_size=40)
_LINE = _WORDS.map(lambda text: " ".join(text.split())).filter(lambda text: text and text[0] != "\ufeff")
_NICK = st.from_regex(r"[A-ZЖ][A-Za-zäöüЖ \"\\'.-]{0,20}[a-zж]", fullmatch=True)


@given(
    text=_LINE,
    subject=st.just("") | _LINE,
    language=st.sampled_from(["", "it", "zh-Hant-TW"]),
    thread=st.just("") | _WORDS,
    nick=st.just("") | _NICK.map(lambda nick: " ".join(nick.split())),
    wants=st.lists(st.sampled_from(list(Disposition)), unique=True).map(tuple),
    rich=st.sampled_from(["", "<p><em>a</em></p>"]),
    html=st.sampled_from(["never", "alternative"]),
    cpim=st.sampled_from(["auto", "always"]),
)  # fmt: skip
def test_what_is_written_is_read_but_for_what_nobody_wanted(
    text: str, subject: str, language: str, thread: str, nick: str, wants: tuple[Disposition, ...], rich: str,
    html: Html, cpim: Cpim,
) -> None:  # fmt: skip
    sent = outgoing(
        text, subject=subject, language=language, thread=thread, nick=nick, wants=wants, rich=rich
    )
    form = Form(cpim=cpim, html=html, secret=b"s" * 32)
    ready = draft(sent, server_name="gw.example", spell=lambda _: "", form=form)
    request = parse_message(request_for(ready, "SIP/2.0/UDP gw.example;branch=z9hG4bK1").encode())
    assert isinstance(request, Request)
    got = to_message(request, sent.sender, "id-1", NOW)
    assert got is not None
    assert (got.text, got.subject, got.language, got.nick, got.wants) == (
        text,
        subject,
        language,
        nick,
        wants,
    )
    assert got.sender == sent.sender
    assert got.rich == ("" if html == "never" else rich)
    if thread and call_id_from(thread) is not None:
        assert got.thread == thread


# Out


def test_line_ends_are_those_of_mime_on_the_wire_and_plain_in_the_middle() -> None:
    assert write(outgoing("a\nb")).body == b"a\r\nb"
    assert read(message("a\r\nb")).text == "a\nb"


def test_nothing_in_a_message_can_add_a_header() -> None:
    said = outgoing(subject="x\r\nVia: evil", language="en\r\nX: y", thread="t\r\nX: y")
    request = write(said)
    assert len(request.get_all("Via")) == 1
    assert request.get("X") is None
    assert request.get("Content-Language") is None


def test_expiry_counts_from_the_date() -> None:
    request = write(outgoing(sent_at=NOW - 100, expires_at=NOW + 20))
    assert request.get("Expires") == "120"
    assert (
        read(message(headers=tuple(h for h in request.headers if h[0] in ("Date", "Expires")))).expires_at
        == NOW + 20
    )


def test_cseq_grows_with_the_clock_and_fits_31_bits() -> None:
    early, late = write(outgoing()).cseq[0], write(outgoing(received_at=NOW + 5)).cseq[0]
    assert 0 < early < late < 2**31


def test_an_id_that_is_no_token_is_still_a_branch() -> None:
    assert write(outgoing(id="a b;c")).top_via.has_cookie


def test_a_surrogate_does_not_stop_a_message() -> None:
    assert write(outgoing("a\ud800b")).body == b"a?b"


# In


def test_juliets_instance_is_read_inside_and_outside_the_brackets() -> None:  # ADR-20, ADR-21
    for text in ("<sip:juliet@sip.example;gr=x>;tag=1", "<sip:juliet@sip.example>;gr=x;tag=1"):
        assert sender_of(message(sender=text)) == Address("juliet", "sip.example", "x")


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/plain", "grüßt".encode(), "grüßt"),
        ("text/plain;charset=UTF-8", "grüßt".encode(), "grüßt"),
        ('text/plain; charset="iso-8859-1"', "grüßt".encode("latin-1"), "grüßt"),
        ("text/plain", "grüßt".encode("latin-1"), "grüßt"),
        ("text/plain;charset=utf-16", "grüßt".encode("utf-16"), "grüßt"),
        ("", b"no type", "no type"),
    ],
)
def test_a_text_is_read_in_its_charset(content_type: str, body: bytes, text: str) -> None:  # MSG-29
    assert read(message(content_type=content_type, body=body)).text == text


def test_a_message_that_waited_says_since_when() -> None:
    assert read(message(headers=(("Date", "Fri, 15 Jan 2027 07:00:00 GMT"),))).sent_at == NOW - 3600
    assert read(message(headers=(("Date", "Fri, 15 Jan 2027 07:59:58 GMT"),))).sent_at is None
    assert read(message(headers=(("Date", "soon"),))).sent_at is None


def test_hops_are_read_up_to_a_limit() -> None:
    assert read(message(headers=(("Rialto-Hop", "a, b"), ("Rialto-Hop", "c")))).hops == ("a", "b", "c")
    assert len(read(message(headers=(("Rialto-Hop", ",".join(["x"] * 500)),))).hops) == 17
    assert read(message(headers=(("Rialto-Hop", "x" * 65 + ", ok"),))).hops == ("ok",)


@pytest.mark.parametrize(
    ("headers", "automatic"),
    [((), False), ((("Rialto-Automatic", "yes"),), True), ((("Auto-Submitted", "auto-replied"),), True),
     ((("Auto-Submitted", "no"),), False)],
)  # fmt: skip
def test_what_a_program_wrote_is_known_as_such(headers: tuple[tuple[str, str], ...], automatic: bool) -> None:
    assert read(message(headers=headers)).automatic is automatic


CPIM = (
    "From: Juliet <sip:juliet@sip.example;gr=phone>\r\n"
    "To: <sip:romeo@xmpp.example>\r\n"
    "DateTime: 2027-01-15T07:00:00Z\r\n"
    "NS: imdn <urn:ietf:params:imdn>\r\n"
    "imdn.Message-ID: abc123\r\n"
    "Subject: Night\r\n"
    "\r\n"
    "Content-Type: text/plain;charset=UTF-8\r\n"
    "\r\n"
    "grüßt"
)


def cpim_message(text: str = CPIM, **changes: object) -> Request:
    return message(content_type="message/cpim", body=text.encode(), **changes)  # type: ignore[arg-type]


def test_a_cpim_envelope_is_opened() -> None:  # MSG-30; Kamailio shows its headers to the user
    said = read(cpim_message())
    assert (said.text, said.subject, said.sent_at) == ("grüßt", "Night", NOW - 3600)
    assert said.sender == Address("juliet", "sip.example", "phone")


def test_a_cpim_from_that_disagrees_with_the_proven_sender_is_not_believed() -> None:
    assert read(cpim_message(), Address("nurse", "sip.example")).sender == Address("nurse", "sip.example")


def test_an_imdn_message_id_names_a_message_whatever_carries_it() -> None:
    one, two = read(cpim_message()), read(cpim_message(call_id="other", cseq=9, branch="z9hG4bKo"))
    assert one.stable_id == two.stable_id
    assert one.stable_id != read(cpim_message(CPIM.replace("abc123", "abc124"))).stable_id


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (CPIM.replace("text/plain;charset=UTF-8", "image/png"), 415),
        (CPIM.replace("Subject: Night", "Require: Disposition"), 400),
        ("no cpim at all", 400),
        ("From: <sip:a@b>\r\n" * 100 + "\r\n", 400),
    ],
)
def test_an_envelope_that_can_not_be_opened_is_refused(text: str, status: int) -> None:
    with pytest.raises(BadMessage) as caught:
        read(cpim_message(text))
    assert caught.value.status == status


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=200), st.text(max_size=30))
def test_a_text_survives_the_way_out_and_back(text: str, subject: str) -> None:
    if any(0xD800 <= ord(c) < 0xE000 for c in subject) or "\r" in text:
        return
    request = write(outgoing(text, subject=subject))
    assert read(message(body=request.body)).text == text


# Notices


def test_every_reason_has_its_words() -> None:
    assert set(notices.WHY) == set(Reason)


def test_a_notice_is_one_short_line() -> None:
    report = Report(
        id="r", sender=JULIET, recipient=JULIET, about="x", reason=Reason.MOVED, received_at=NOW,
        text="gone\nfishing " * 50, redirect="sip:new@x.example", excerpt="word " * 60, certain=False,
    )  # fmt: skip
    text = notices.sentence(report)
    assert "\n" not in text
    assert len(text) < 600
    assert "may not have been" in text
    assert "sip:new@x.example" in text
