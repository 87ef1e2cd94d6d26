"""SIP messages: what is tolerated, what is refused and how, what is written."""

from __future__ import annotations

import pytest

from rialto.model.errors import LocalProtocolError, RemoteProtocolError
from rialto.networks.sip.wire import (
    BadMessage,
    Limits,
    Request,
    Response,
    parse_media_type,
    parse_message,
    parse_via,
    response_to,
    validate,
)
from rialto.networks.sip.wire.headers import canonical, quality, split_commas, tokens
from rialto.networks.sip.wire.reasons import reason_for

HEADERS = {
    "Via": "SIP/2.0/UDP a.example;branch=z9hG4bK1",
    "Max-Forwards": "70",
    "From": "<sip:alice@a.example>;tag=1",
    "To": "<sip:bob@b.example>",
    "Call-ID": "1@a.example",
    "CSeq": "1 MESSAGE",
    "Content-Type": "text/plain",
}


def data(
    start: str = "MESSAGE sip:bob@b.example SIP/2.0",
    body: bytes = b"hi",
    extra: str = "",
    **changed: str | None,
) -> bytes:
    """A message; `changed` replaces headers (`call_id=...`), None leaves them out."""
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value is not None]
    return f"{start}\r\n{''.join(lines)}{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body


def request(**changed: str | None) -> Request:
    message = parse_message(data(**changed))  # type: ignore[arg-type]
    validate(message)
    assert isinstance(message, Request)
    return message


def refusal(raw: bytes, limits: Limits | None = None) -> BadMessage:
    with pytest.raises(BadMessage) as caught:
        validate(parse_message(raw, limits) if limits else parse_message(raw))
    return caught.value


# Reading


def test_a_request_is_read() -> None:
    message = request()
    assert (message.method, message.uri, message.body) == ("MESSAGE", "sip:bob@b.example", b"hi")
    assert message.request_uri.user == "bob"
    assert message.top_via.branch == "z9hG4bK1"
    assert message.from_.tag == "1"
    assert message.to.tag is None
    assert message.call_id == "1@a.example"
    assert message.cseq == (1, "MESSAGE")
    assert message.max_forwards == 70
    assert message.content_length == 2
    assert message.content_type is not None
    assert message.content_type.essence == "text/plain"
    assert message.contacts == []


def test_a_response_is_read() -> None:
    message = parse_message(data("SIP/2.0 202 Accepted for you"))
    validate(message)
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (202, "Accepted for you")


def test_header_names_come_in_any_spelling() -> None:
    # DEP-11
    raw = data(
        From=None, To=None, **{"Call-ID": None}, Via=None,
        extra="v: SIP/2.0/UDP a.example;branch=z9hG4bK2\r\nF : <sip:a@a.example>;tag=1\r\n"
        "TO\t:<sip:b@b.example>\r\ncALL-iD: x\r\ns:short\r\nK: gruu\r\n"
        "o: presence\r\nr: <sip:c@c.example>\r\n",
    )  # fmt: skip
    message = parse_message(raw)
    validate(message)
    assert message.top_via.branch == "z9hG4bK2"
    assert [name for name, _ in message.headers][3:] == [
        "Via", "From", "To", "Call-ID", "Subject", "Supported", "Event", "Refer-To", "Content-Length"
    ]  # fmt: skip
    assert message.get("s") == message.get("SUBJECT") == message.get("Subject") == "short"


def test_a_header_that_we_do_not_know_keeps_its_spelling() -> None:
    message = parse_message(data(extra="x-FOO: 1\r\n"))
    assert ("x-FOO", "1") in message.headers
    assert canonical("x-FOO") == "x-FOO"


def test_folded_lines_are_unfolded() -> None:
    message = parse_message(data(extra="Subject: one\r\n two\r\n\t  three : x  \r\n \r\nX: y\r\n"))
    assert message.get("Subject") == "one two three : x"
    assert message.get("X") == "y"


def test_lines_may_end_in_lf_alone() -> None:
    message = parse_message(data(extra="Subject: a\r\n b\r\n").replace(b"\r\n", b"\n"))
    validate(message)
    assert message.get("Subject") == "a b"
    assert message.body == b"hi"


@pytest.mark.parametrize(
    "extra",
    [
        "Subject: a\nb\r\n",
        "Subject: a\rb\r\n",
        "Subject: a\n\r\n",
        "Subject: a\r\r\n",
        "Subject: a\nFrom: <sip:x@y.example>\r\n",
    ],
)
def test_line_ends_are_not_mixed(extra: str) -> None:
    error = refusal(data(extra=extra))
    assert error.status == 400
    assert error.request is not None


def test_latin1_is_read_where_it_is_no_utf8() -> None:
    raw = data(extra="Subject: gr@e\r\nOrganization: Grüße\r\n").replace(b"gr@e", "grüße".encode("latin-1"))
    message = parse_message(raw)
    assert message.get("Subject") == "grüße"
    assert message.get("Organization") == "Grüße"
    assert "grüße".encode() in message.encode()


def test_line_ends_before_a_message_are_skipped() -> None:
    assert parse_message(b"\r\n\r\n" + data()).body == b"hi"


def test_bytes_behind_the_body_are_noise() -> None:
    assert parse_message(data() + b"noise").body == b"hi"


def test_without_content_length_a_datagram_is_all_body() -> None:
    raw = data(body=b"all of it").replace(b"Content-Length: 9\r\n", b"")
    message = parse_message(raw)
    assert message.content_length is None
    assert message.body == b"all of it"


def test_a_list_is_gathered_from_all_its_lines() -> None:
    message = parse_message(
        data(extra='Supported: a, b\r\nk: c\r\nAllow:\r\nContact: "x, y" <sip:a@b.example>\r\n')
    )
    assert message.get_list("Supported") == ["a", "b", "c"]
    assert message.get_all("Supported") == ["a, b", "c"]
    assert message.get_list("Allow") == []
    assert message.get_list("Require") == []
    assert message.contacts[0].display == "x, y"
    with pytest.raises(LocalProtocolError):
        message.get_list("Subject")
    broken = parse_message(data(extra="Supported: a,,b\r\n"))
    with pytest.raises(BadMessage):
        broken.get_list("Supported")


def test_a_star_is_no_contact() -> None:
    assert parse_message(data(extra="Contact: *\r\n")).contacts == []


def test_views_follow_what_is_changed() -> None:
    message = request()
    assert message.to.tag is None
    message.set("To", "<sip:bob@b.example>;tag=2")
    assert message.to.tag == "2"
    message.add("Subject", "x")
    assert message.get("Subject") == "x"
    message.remove("s")
    assert message.get("Subject") is None
    message.set("Priority", "urgent")
    assert message.headers[-1] == ("Priority", "urgent")
    message.add("Via", "SIP/2.0/UDP c.example;branch=z9hG4bKc")
    assert [via.host for via in message.vias] == ["a.example", "c.example"]


def test_the_top_via_is_replaced_alone() -> None:
    message = request(Via="SIP/2.0/UDP a.example;branch=z9hG4bK1, SIP/2.0/UDP c.example;branch=z9hG4bKc")
    message.add("Via", "SIP/2.0/UDP d.example;branch=z9hG4bKd")
    message.replace_top_via(message.top_via.answered_from("192.0.2.9", 5060))
    assert message.top_via.received == "192.0.2.9"
    assert [via.host for via in parse_message(message.encode()).vias] == [
        "a.example",
        "c.example",
        "d.example",
    ]
    assert parse_message(message.encode()).top_via.received == "192.0.2.9"
    with pytest.raises(LocalProtocolError):
        Request("MESSAGE", "sip:b@b.example").replace_top_via(parse_via("SIP/2.0/UDP a.example"))


# Refusing


@pytest.mark.parametrize(
    ("start", "status", "answerable"),
    [
        ("MESSAGE sip:bob@b.example SIP/3.0", 505, True),
        ("MESSAGE sip:bob@b.example sip/2.0", 0, True),
        ("MESSAGE sip:bob@b.example", 400, False),
        ("MESSAGE", 400, False),
        ("", 400, False),
        ("MESSAGE sip:bob@b.example HTTP/1.1", 400, False),
        ("GET / HTTP/1.1", 400, False),
        ("MES(SAGE sip:bob@b.example SIP/2.0", 400, False),
        ("MESSAGE sip:bob @b.example SIP/2.0", 400, True),
        ("MESSAGE sip:bob@ SIP/2.0", 400, True),
        ("MESSAGE mailto:bob@b.example SIP/2.0", 416, True),
        ("MESSAGE sip:bob@b.example?Subject=x SIP/2.0", 400, True),
        ("ACK sip:bob@ SIP/2.0", 400, False),
        ("SIP/2.0 99 Too Low", 400, False),
        ("SIP/2.0 700 Too High", 400, False),
        ("SIP/2.0 2x0 OK", 400, False),
        ("SIP/2.0", 400, False),
        ("SIP/3.0 200 OK", 505, False),
    ],
)
def test_a_start_line_is_checked(start: str, status: int, answerable: bool) -> None:
    raw = data(start, CSeq="1 ACK" if start.startswith("ACK") else "1 MESSAGE")
    if not status:
        validate(parse_message(raw))
        return
    error = refusal(raw)
    assert (error.status, error.request is not None) == (status, answerable)


@pytest.mark.parametrize("scheme", ["sip", "sips", "im", "pres", "SIP"])
def test_the_schemes_of_messages_and_presence_are_known(scheme: str) -> None:
    # ARC-18: im: and pres: must not break us
    assert parse_message(data(f"MESSAGE {scheme}:bob@b.example SIP/2.0"))
    validate(parse_message(data(f"MESSAGE {scheme}:bob@b.example SIP/2.0")))
    validate(parse_message(data("MESSAGE tel:+15551234 SIP/2.0")))


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_a_mandatory_header_must_be_there(name: str) -> None:
    error = refusal(data(**{name: None}))  # type: ignore[arg-type]
    assert (error.status, error.text) == (400, f"Missing {name}")
    assert (error.request is None) == (name == "Via")


@pytest.mark.parametrize("name", ["From", "f", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Type"])
def test_a_header_that_means_one_thing_stands_once(name: str) -> None:
    # GHSA-8j9p-hpfg-5cg3: a second From is never a choice
    value = HEADERS[canonical(name)]
    for second in (value, value.replace("alice", "mallory")):
        error = refusal(data(extra=f"{name}: {second}\r\n"))
        assert error.status == 400
        assert error.text == f"More Than One {canonical(name)}"


def test_two_addresses_do_not_fit_into_one_from() -> None:
    assert refusal(data(From="<sip:alice@a.example>;tag=1, <sip:mallory@a.example>;tag=2")).status == 400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Via", "SIP/2.0/UDP"),
        ("Via", "SIP/2.0/UDP a.example,"),
        ("From", "alice"),
        ("To", '"bob <sip:bob@b.example>'),
        ("Call-ID", ""),
        ("Call-ID", "a b"),
        ("CSeq", "MESSAGE"),
        ("CSeq", "1"),
        ("CSeq", "-1 MESSAGE"),
        ("CSeq", "4294967296 MESSAGE"),
        ("CSeq", f"{'9' * 5000} MESSAGE"),
        ("CSeq", "\u0661 MESSAGE"),
        ("CSeq", "1 MESSAGE MESSAGE"),
        ("CSeq", "1 OPTIONS"),
        ("CSeq", "1 message"),
        ("Max-Forwards", "256"),
        ("Max-Forwards", "-1"),
        ("Max-Forwards", "many"),
        ("Content-Type", "text"),
        ("Content-Type", "text/plain;charset=a;charset=b"),
        ("Contact", "<sip:alice@a.example>,"),
    ],
)
def test_a_malformed_header_is_refused(name: str, value: str) -> None:
    error = refusal(data(**{name: value}))  # type: ignore[arg-type]
    assert error.status == 400
    assert name.split("-")[0] in error.text
    assert error.request is not None


def test_numbers_at_their_edges_are_accepted() -> None:
    assert request(CSeq="4294967295 MESSAGE").cseq == (2**32 - 1, "MESSAGE")
    assert request(CSeq="0000000000000000000001 \t MESSAGE").cseq == (1, "MESSAGE")
    assert request(**{"Max-Forwards": "255"}).max_forwards == 255
    assert request(**{"Max-Forwards": None}).max_forwards is None


def test_a_method_of_which_nobody_has_heard_is_not_implemented() -> None:
    assert refusal(data("FROBNICATE sip:bob@b.example SIP/2.0")).status == 501


def test_a_response_for_somebody_behind_us_is_dropped() -> None:
    error = refusal(data("SIP/2.0 200 OK", extra="Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKx\r\n"))
    assert error.request is None


@pytest.mark.parametrize(
    "line", ["no colon", ": value", "na me: value", "na(me: value", "näme: value", "X: a\0b"]
)
def test_a_line_that_is_no_header_is_refused(line: str) -> None:
    error = refusal(data(extra=f"{line}\r\n"))
    assert (error.status, error.text) == (400, "Malformed Header Line")
    assert error.request is not None
    assert error.request.call_id == "1@a.example"


@pytest.mark.parametrize("extra", ["Subject: a\0b\r\n", "Subject: a\r\n \0b\r\n", "\0\r\n", " \0: x\r\n"])
def test_a_bare_nul_comes_no_further(extra: str) -> None:
    error = refusal(data(extra=extra))
    assert error.status == 400
    assert error.request is not None
    assert b"\0" not in error.request.encode()
    paired = parse_message(data(To='"a\\\0b" <sip:bob@b.example>'))
    assert paired.to.display == "a\0b"
    assert b"\\\0" in paired.encode()


def test_a_first_header_has_nothing_to_continue() -> None:
    error = refusal(data().replace(b"SIP/2.0\r\nVia", b"SIP/2.0\r\n Via", 1))
    assert error.status == 400


def test_a_message_that_ends_in_its_headers_is_refused() -> None:
    error = refusal(data().partition(b"\r\n\r\n")[0])
    assert error.status == 400
    assert error.request is not None
    assert refusal(b"").request is None


@pytest.mark.parametrize(
    ("raw", "limits", "status"),
    [
        (data(extra="X: y\r\n" * 300), Limits(), 513),
        (data(extra="X: " + "y" * 9000 + "\r\n"), Limits(), 513),
        (data(extra=("X: " + "y" * 900 + "\r\n") * 100), Limits(), 513),
        (data(body=b"x" * 101), Limits(max_body_bytes=100), 413),
        (data(body=b"x" * 101).replace(b"Content-Length: 101\r\n", b""), Limits(max_body_bytes=100), 413),
    ],
)
def test_what_is_too_much_is_refused_and_can_be_answered(raw: bytes, limits: Limits, status: int) -> None:
    error = refusal(raw, limits)
    assert error.status == status
    assert error.request is not None
    assert error.request.call_id == "1@a.example"


def test_an_error_says_nothing_of_what_the_peer_wrote() -> None:
    error = refusal(data(To='"hunter2 <sip:bob@b.example>'))
    assert "hunter2" not in str(error)
    assert isinstance(error, RemoteProtocolError)
    assert error.condition == "400"


# Writing


def test_a_message_is_written_with_its_true_length() -> None:
    message = Request("MESSAGE", "sip:b@b.example", [("l", "99"), ("Subject", "é")], "ü".encode())
    assert message.encode() == (
        "MESSAGE sip:b@b.example SIP/2.0\r\nSubject: é\r\nContent-Length: 2\r\n\r\nü"
    ).encode()  # fmt: skip
    assert Response(200, "OK").encode() == b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "message",
    [
        Request("MESSAGE", "sip:b@b.example", [("Subject", "a\r\nFrom: x")]),
        Request("MESSAGE", "sip:b@b.example", [("Subject", "a\nb")]),
        Request("MESSAGE", "sip:b@b.example", [("Subject", "a\rb")]),
        Request("MESSAGE", "sip:b@b.example", [("Subject", "a\x00b")]),
        Request("MESSAGE", "sip:b@b.example", [("Subject", "a\ud800")]),
        Request("MESSAGE", "sip:b@b.example SIP/2.0\r\nX: y", []),
        Request("MESSAGE", "sip:b b@b.example", []),
        Request("MES SAGE", "sip:b@b.example", []),
        Response(200, "OK\r\nX: y"),
        Response(99, "OK"),
        Response(700, "OK"),
    ],
)
def test_nothing_can_be_smuggled_into_what_we_write(message: Request | Response) -> None:
    with pytest.raises(LocalProtocolError):
        message.encode()


def test_a_header_name_of_ours_is_a_token() -> None:
    with pytest.raises(LocalProtocolError):
        Request("MESSAGE", "sip:b@b.example", [("X: y\r\nFrom", "z")])
    with pytest.raises(LocalProtocolError):
        request().add("", "x")


def test_a_response_copies_what_identifies_its_request() -> None:
    # RFC 3261 section 8.2.6.2
    asked = request(Via="SIP/2.0/UDP a.example;branch=z9hG4bK1", Timestamp="54")
    asked.add("Via", "SIP/2.0/UDP c.example;branch=z9hG4bK2")
    answer = response_to(asked, 202, to_tag="2", headers=[("Server", "x")], body=b"y")
    assert (answer.status, answer.reason, answer.body) == (202, "Accepted", b"y")
    assert answer.headers == [
        ("Via", "SIP/2.0/UDP a.example;branch=z9hG4bK1"),
        ("Via", "SIP/2.0/UDP c.example;branch=z9hG4bK2"),
        ("From", "<sip:alice@a.example>;tag=1"),
        ("To", "<sip:bob@b.example>;tag=2"),
        ("Call-ID", "1@a.example"),
        ("CSeq", "1 MESSAGE"),
        ("Server", "x"),
    ]


def test_a_100_gets_no_tag_and_the_timestamp() -> None:
    answer = response_to(request(Timestamp="54"), 100, to_tag="2")
    assert answer.get("To") == "<sip:bob@b.example>"
    assert answer.get("Timestamp") == "54"


def test_a_tag_that_is_there_stays() -> None:
    assert response_to(request(To="<sip:bob@b.example>;tag=9"), 200, to_tag="2").to.tag == "9"


def test_a_response_needs_a_via() -> None:
    with pytest.raises(LocalProtocolError):
        response_to(Request("MESSAGE", "sip:b@b.example"), 400)


def test_every_status_has_a_phrase() -> None:
    assert response_to(request(), 483).reason == "Too Many Hops"
    assert response_to(request(), 483, "Enough").reason == "Enough"
    assert reason_for(499) == "Bad Request"
    assert reason_for(699) == "Busy Everywhere"


# The grammar of values


def test_a_list_is_cut_at_commas_outside_quotes_and_brackets() -> None:
    assert split_commas('a, "b, \\", c" , <d,e>;x="f,g"') == ["a", '"b, \\", c"', '<d,e>;x="f,g"']
    for text in (",", "a,", ",a", '"a,', "<a,b", 'a,"b'):
        with pytest.raises(ValueError, match=r"list|unterminated"):
            split_commas(text)


def test_tokens_are_tokens() -> None:
    assert tokens("gruu, path") == ["gruu", "path"]
    with pytest.raises(ValueError, match="tokens"):
        tokens("gr uu")


def test_a_media_type_is_read_and_written() -> None:
    media = parse_media_type('Multipart/Mixed ; Boundary="a/b" ; charset=utf-8')
    assert media.essence == "multipart/mixed"
    assert media.param("boundary") == "a/b"
    assert media.param("x") is None
    assert str(media) == 'multipart/mixed;boundary="a/b";charset=utf-8'
    for text in ("", "text", "text/", "/plain", "text/plain;", "text/plain;charset=a b", "te xt/plain"):
        with pytest.raises(ValueError, match="malformed"):
            parse_media_type(text)


@pytest.mark.parametrize(
    ("text", "thousandths"), [("1", 1000), ("0", 0), ("0.5", 500), ("1.000", 1000), ("0.", 0), ("0.033", 33)]
)
def test_a_quality_is_a_number_of_thousandths(text: str, thousandths: int) -> None:
    assert quality(text) == thousandths


@pytest.mark.parametrize("text", ["", "2", "1.1", "0.1234", ".5", "-1", "1e3", "\u0660"])
def test_what_is_no_quality_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="q value"):
        quality(text)


def test_messages_show_what_they_are_and_not_what_they_say() -> None:
    assert repr(request()) == "<Request MESSAGE 1@a.example 1 MESSAGE>"
    assert repr(response_to(request(), 200)) == "<Response 200 1@a.example 1 MESSAGE>"
