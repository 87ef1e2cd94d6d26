"""What bodies say, whatever carries them; and what stands in those that we write."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks.sip.plays import outgoing
from rialto.model.address import Address
from rialto.model.message import Disposition, File, Sealed
from rialto.networks.sip import bodies, envelopes
from rialto.networks.sip.bodies import ACCEPT, MAX_DEPTH, MAX_ENTITIES, Malformed, Said, Unsupported, read
from rialto.networks.sip.envelopes import Html, Written
from rialto.networks.sip.openings import Envelope
from rialto.networks.sip.originals import Original, origin_id_of, original_of
from rialto.networks.sip.wire import parse_media_type
from rialto.wire import mms_format

FILE = """<file><file-info type="file"><file-size>2048</file-size><file-name>map.png</file-name>
<content-type>image/png</content-type><data url="https://content.example/1" until="2026-01-01T00:00:00Z"/>
</file-info></file>"""
IMDN = """<imdn xmlns="urn:ietf:params:xml:ns:imdn"><message-id>34jk324j</message-id>
<datetime>2008-04-04T12:16:49-05:00</datetime><delivery-notification><status><delivered/></status>
</delivery-notification></imdn>"""
WRITING = (
    '<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>active</state>'
    "<refresh>90</refresh></isComposing>"
)
# RFC 5438 section 7.1.1.3
ASKING = """From: Alice <im:alice@example.com>
To: Bob <im:bob@example.com>
NS: imdn <urn:ietf:params:imdn>
imdn.Message-ID: 34jk324j
DateTime: 2006-04-04T12:16:49-05:00
imdn.Disposition-Notification: positive-delivery, negative-delivery

Content-type: text/plain
Content-length: 12

Hello World"""


def said(content_type: str, body: str | bytes, **more: Any) -> Said:
    data = body.replace("\n", "\r\n").encode() if isinstance(body, str) else body
    return read(parse_media_type(content_type), data, **more)


# One entity


@pytest.mark.parametrize(
    ("content_type", "body", "text", "rich"),
    [
        ("text/plain", "grüß\nGott", "grüß\nGott", ""),
        ("text/plain; charset=ISO-8859-1", b"gr\xfc\xdf", "grüß", ""),
        ("text/plain; charset=utf-8", b"gr\xfc\xdf", "grüß", ""),
        ("text/plain; charset=utf-8; format=flowed", "a", "a", ""),
        ("text/html", "<b>bold</b> &amp; more", "bold & more", "<p><strong>bold</strong> &amp; more</p>"),
        ("text/html; charset=ISO-8859-1", b"gr\xfc\xdf", "grüß", ""),
        ("text/html", "<script>alert(1)</script>hi<img src='https://spy.example/'>", "hi", ""),
        ("text/rtf", "{\\rtf1 {\\b bold} plain}", "bold plain", "<p><strong>bold</strong> plain</p>"),
        ("application/rtf", "{\\rtf1 plain}", "plain", ""),
    ],
)
def test_words_and_their_form(
    content_type: str, body: str | bytes, text: str, rich: str
) -> None:  # MSG-9, MSG-10
    assert said(content_type, body) == Said(text=text, rich=rich)


def test_the_look_beside_a_text_is_its_form() -> None:
    look = mms_format.to_parameter(mms_format.Look(bold=True))
    found = said(f'text/plain; charset=UTF-8; msgr="{look}"', "really")
    assert found == Said(text="really", rich="<p><strong>really</strong></p>")
    enveloped = "From: <sip:a@b>\n\nContent-Type: text/plain\nX-MMS-IM-Format: FN=Arial; EF=I; CO=0\n\nreally"
    assert said("message/cpim", enveloped).rich == (
        '<p><span style="font-family:Arial"><em>really</em></span></p>'
    )


def test_the_first_language_of_several_goes_along() -> None:  # MSG-15
    assert said("text/plain", "Ahoj", language="cs, sk").language == "cs"
    assert said("text/plain", "Ahoj", language="<script>").language == ""


def test_a_file_on_a_server_is_a_file_and_a_link() -> None:
    found = said("application/vnd.gsma.rcs-ft-http+xml", FILE)
    [file] = found.files
    assert file == File(
        url="https://content.example/1",
        name="map.png",
        media_type="image/png",
        size_bytes=2048,
        expires_at=1_767_225_600.0,
    )
    assert "https://content.example/1" in found.text


def test_what_is_sealed_stays_so() -> None:
    found = said("application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", b"\x30\x80\r\n\xff")
    [sealed] = found.sealed
    assert (sealed.scheme, sealed.data) == ("smime", b"\x30\x80\r\n\xff")
    assert sealed.media_type == "application/pkcs7-mime;smime-type=enveloped-data;name=smime.p7m"
    assert not found.text


def test_of_what_is_signed_the_words_are_read() -> None:  # RFC 3862 section 5.2
    body = (
        "--next\nContent-Type: text/plain\n\nI am it\n--next\nContent-Type: application/pkcs7-signature\n\n"
        "(signature stuff)\n--next--\n"
    )
    kind = "multipart/signed; boundary=next; micalg=sha1; protocol=application/pkcs7-signature"
    assert said(kind, body) == Said(text="I am it")


@pytest.mark.parametrize(
    ("content_type", "body", "error"),
    [
        ("image/png", "x", Unsupported),
        ("text/plain; charset=klingon", "x", Unsupported),
        ("text/plain; charset=punycode", "x", Unsupported),
        ("text/rtf", "no rtf", Malformed),
        ("text/html", "<b>" * 400_000, Malformed),
        ("message/imdn+xml", "<a/>", Malformed),
        ("application/im-iscomposing+xml", "", Malformed),
        ("application/vnd.gsma.rcs-ft-http+xml", "<file/>", Malformed),
        ("message/cpim", "no envelope", Malformed),
        ("message/cpim", "From: <sip:a@b>\n\nContent-Type: text/pl ain\n\nx", Malformed),
        ("message/cpim", "From: <sip:a@b>\n\nContent-Type: image/png\n\nx", Unsupported),
        ("multipart/mixed", "x", Malformed),
        ("multipart/mixed; boundary=b", "--b\nContent-Type: image/png\n\nx\n--b--", Unsupported),
        ("multipart/alternative; boundary=b", "--b\nContent-Type: image/png\n\nx\n--b--", Unsupported),
    ],
)
def test_what_is_not_read_here_is_refused(
    content_type: str, body: str, error: type[bodies.BodyError]
) -> None:  # MSG-11
    with pytest.raises(error):
        said(content_type, body)


# Several entities


def multipart(*parts: str) -> str:
    return "".join(f"--b\n{part}\n" for part in parts) + "--b--\n"


PLAIN_PART = "Content-Type: text/plain\nContent-Language: en\n\nplain words"
HTML_PART = "Content-Type: text/html\n\n<i>rich</i> words"
PICTURE_PART = "Content-Type: image/png\n\nx"


@pytest.mark.parametrize("parts", [(PLAIN_PART, HTML_PART), (PLAIN_PART, HTML_PART, PICTURE_PART)])
def test_of_alternatives_the_best_is_taken_and_the_plain_words_kept(parts: tuple[str, ...]) -> None:
    assert said("multipart/alternative; boundary=b", multipart(*parts)) == Said(
        text="plain words", language="en", rich="<p><em>rich</em> words</p>"
    )


def test_parts_come_one_after_the_other() -> None:
    found = said("multipart/mixed; boundary=b", multipart(PLAIN_PART, HTML_PART, f"Content-Type: application/vnd.gsma.rcs-ft-http+xml\n\n{FILE}"))  # fmt: skip # noqa: E501
    assert found.text.startswith("plain words\nrich words\n")
    assert found.rich.startswith("<p>plain words</p><p><em>rich</em> words</p>")
    assert len(found.files) == 1


def test_a_part_that_nobody_has_to_read_is_passed_over() -> None:
    icon = PICTURE_PART.replace("\n\n", "\nContent-Disposition: icon; handling = optional\n\n", 1)
    assert said("multipart/mixed; boundary=b", multipart(PLAIN_PART, icon)).text == "plain words"


def test_the_root_of_what_belongs_together_is_read() -> None:
    body = multipart(PICTURE_PART, "Content-ID: <1>\n" + HTML_PART)
    assert said('multipart/related; boundary=b; start="<1>"', body).text == "rich words"


def test_transfer_encodings_are_undone() -> None:
    part = (
        "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n"
        + base64.b64encode(b"secret").decode()
    )
    assert said("multipart/mixed; boundary=b", multipart(part)).text == "secret"


def test_nobody_looks_deeper_than_is_reasonable() -> None:
    body = "x"
    for _ in range(MAX_DEPTH + 2):
        body = f"From: <sip:a@b>\n\nContent-Type: message/cpim\n\n{body}"
    with pytest.raises(Unsupported):
        said("message/cpim", body)
    inner = multipart(*["Content-Type: text/plain\n\nx"] * MAX_ENTITIES)
    with pytest.raises(Unsupported):
        said("multipart/mixed; boundary=b", inner)


@given(st.binary(max_size=200), st.sampled_from(ACCEPT.split(", ")))
def test_no_body_does_worse_than_being_refused(data: bytes, essence: str) -> None:
    for body in (data, b"--b\r\n" + data, b"From: <sip:a@b>\r\n\r\nContent-Type: text/html\r\n\r\n" + data):
        try:
            read(parse_media_type(f"{essence}; boundary=b"), body)
        except bodies.BodyError:
            pass


# Envelopes


def test_an_envelope_that_asks_is_opened() -> None:  # RCT-12, MSG-30, CPM-9
    found = said("message/cpim", ASKING)
    assert found.text == "Hello World"
    envelope = found.envelope
    assert envelope is not None
    assert envelope.sender == Address("alice", "example.com")
    assert envelope.nick == "Alice"
    assert envelope.message_id == "34jk324j"
    assert envelope.datetime == "2006-04-04T12:16:49-05:00"
    assert envelope.sent_at == 1_144_171_009.0
    assert envelope.wants == (Disposition.DELIVERED,)
    assert envelope.wants_failure


def test_prefixes_are_names_of_names() -> None:  # CPM-9
    other = ASKING.replace("NS: imdn", "NS: x").replace("imdn.", "x.")
    envelope = said("message/cpim", other).envelope
    assert envelope is not None
    assert envelope.message_id == "34jk324j"
    undeclared = said("message/cpim", ASKING.replace("NS: imdn <urn:ietf:params:imdn>\n", "")).envelope
    assert undeclared is not None
    assert undeclared.message_id == ""


@pytest.mark.parametrize(
    ("value", "wants"),
    [
        ("", ()),
        ("display", (Disposition.DISPLAYED,)),
        (
            "display,positive-delivery ;x=y, processing",
            (Disposition.DISPLAYED, Disposition.DELIVERED, Disposition.PROCESSED),
        ),
        ("telepathy, display, display", (Disposition.DISPLAYED,)),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_understood_and_the_unknown_ignored(
    value: str, wants: tuple[Disposition, ...]
) -> None:
    envelope = said("message/cpim", ASKING.replace("positive-delivery, negative-delivery", value)).envelope
    assert envelope is not None
    assert envelope.wants == wants
    assert not envelope.wants_failure


def test_a_sender_whom_nobody_can_know_is_nobody() -> None:
    anonymous = said("message/cpim", ASKING.replace("im:alice@example.com", "tel:+1555")).envelope
    assert anonymous is not None
    assert anonymous.sender is None


def test_notices_are_found_bare_and_in_envelopes() -> None:
    enveloped = "From: <sip:a@b>\n\nContent-Type: {}\nContent-Disposition: notification\n\n{}"
    for kind, body in (("message/imdn+xml", IMDN), ("application/im-iscomposing+xml", WRITING)):
        bare, wrapped = said(kind, body), said("message/cpim", enveloped.format(kind, body))
        assert bare.imdns == wrapped.imdns
        assert bare.composing == wrapped.composing
        assert bare.imdns or bare.composing
    several = multipart(*[f"Content-type: message/imdn+xml\n\n{IMDN}"] * 2)
    aggregated = "From: <sip:a@b>\n\nContent-Type: multipart/mixed; boundary=b\n\n" + several
    assert len(said("message/cpim", aggregated).imdns) == 2  # RFC 5438 section 8.3


# There and back

_LINES = st.text(
    st.characters(min_codepoint=0x20, exclude_categories=("Cc", "Cs", "Co")), min_size=1, max_size=60
)
_TEXT = st.lists(_LINES, min_size=1, max_size=4).map("\n".join).filter(lambda text: text[0] != "\ufeff")


@given(_TEXT)
def test_words_survive_the_way_there_and_back(text: str) -> None:
    written = envelopes.content(outgoing(text))
    assert read(parse_media_type(written.content_type), written.data) == Said(text=text)


@given(_TEXT, st.sampled_from(["alternative", "only"]))
def test_form_survives_the_way_there_and_back(text: str, html: Html) -> None:
    rich = "<p><strong>bold</strong> and <em>more</em></p>"
    message = outgoing("bold and more" if html == "only" else text, rich=rich)
    written = envelopes.content(message, html=html)
    assert written.has_form
    assert read(parse_media_type(written.content_type), written.data) == Said(text=message.text, rich=rich)


@given(_TEXT, _LINES.filter(lambda nick: nick.strip() == nick), st.lists(st.sampled_from(list(Disposition)), unique=True).map(tuple))  # fmt: skip # noqa: E501
def test_an_envelope_survives_the_way_there_and_back(
    text: str, subject: str, wants: tuple[Disposition, ...]
) -> None:
    data = envelopes.wrap(
        envelopes.content(outgoing(text)),
        sender="sip:romeo@xmpp.example",
        recipient="sip:juliet@sip.example",
        message_id="1-2",
        written_at=1_800_000_000.25,
        nick='Romeo "M" \\',
        subject=subject,
        language="it",
        wants=wants,
    )
    found = read(parse_media_type("message/cpim"), data)
    assert found.text == text
    assert found.language == "it"
    envelope = found.envelope
    assert envelope is not None
    assert envelope.sender == Address("romeo", "xmpp.example")
    assert envelope.nick == 'Romeo "M" \\'
    assert (envelope.subject, envelope.message_id, envelope.wants) == (subject, "1-2", wants)
    assert envelope.sent_at == 1_800_000_000.25
    assert envelope.wants_failure is bool(wants)


def test_an_envelope_is_written_as_the_standard_has_it() -> None:  # CPM-1, CPM-2, RCT-12
    data = envelopes.wrap(
        Written("text/plain;charset=UTF-8", b"Hello"),
        sender="sip:romeo@xmpp.example",
        recipient="sip:juliet@sip.example",
        message_id="1-2",
        written_at=1_800_000_000.0,
        nick="Romeo",
        subject="a\\b",
        wants=(Disposition.DELIVERED, Disposition.DISPLAYED),
    )
    assert data.decode().split("\r\n") == [
        'From: "Romeo" <sip:romeo@xmpp.example>',
        "To: <sip:juliet@sip.example>",
        "DateTime: 2027-01-15T08:00:00Z",
        "Subject: a\\\\b",
        "NS: imdn <urn:ietf:params:imdn>",
        "imdn.Message-ID: 1-2",
        "imdn.Disposition-Notification: positive-delivery, display, negative-delivery",
        "",
        "Content-Type: text/plain;charset=UTF-8",
        "Content-Length: 5",
        "",
        "Hello",
    ]


def test_files_are_written_for_those_who_know_them() -> None:
    file = File(url="https://files.example/a", name="a.txt", media_type="text/plain", size_bytes=3)
    one = envelopes.content(outgoing("a.txt: https://files.example/a", files=(file,)), rcs_files=True)
    assert one.content_type == "application/vnd.gsma.rcs-ft-http+xml"
    both = envelopes.content(outgoing("look", files=(file,)), rcs_files=True)
    found = read(parse_media_type(both.content_type), both.data)
    assert found.files == (file,)
    assert found.text.startswith("look\n")


def test_what_is_sealed_goes_as_it_came() -> None:
    sealed = Sealed("smime", "application/pkcs7-mime;smime-type=enveloped-data", b"\x30\x00")
    written = envelopes.content(outgoing("", sealed=(sealed,)))
    assert (written.content_type, written.data) == (sealed.media_type, sealed.data)


# Names


@pytest.mark.parametrize(
    "original",
    [
        Original("1"),
        Original("34jk324j", "2006-04-04T12:16:49-05:00", wants_failure=True),
        Original("1", "", True, "sip:list@example.com", ("sip:relay@example.com;lr", "sip:b@example.com")),
        Original("1", "2026-01-01T00:00:00Z", False, "", ("sip:relay@example.com",)),
    ],
)
def test_what_must_be_repeated_is_part_of_a_messages_name(original: Original) -> None:
    envelope = Envelope(
        message_id=original.message_id,
        datetime=original.datetime,
        wants=(Disposition.DELIVERED,),
        wants_failure=original.wants_failure,
        original_to=original.original_to,
        routes=original.routes,
    )
    assert original_of(origin_id_of(envelope)) == original


def test_what_asked_for_nothing_has_a_name_in_one_word() -> None:
    assert origin_id_of(Envelope(message_id="1")) == ""
    assert origin_id_of(Envelope(wants=(Disposition.DELIVERED,))) == ""
    assert original_of("z9hG4bK1234") is None
    assert original_of("") is None


def test_a_name_never_grows_beyond_bounds() -> None:
    routes = tuple(f"sip:{'x' * 200}@example.com" for _ in range(9))
    long = Envelope(message_id="1", wants=(Disposition.DELIVERED,), routes=routes)
    assert original_of(origin_id_of(long)) == Original("1")


def test_nobody_can_guess_a_message_id() -> None:  # RCT-12
    secret = b"s" * 32
    name = envelopes.message_id_for("0190abc.2", secret)
    assert envelopes.content_id_of(name, secret) == "0190abc.2"
    for forged in ("0190abc.2", "0190abc.2-", name[:-1] + ("0" if name[-1] != "0" else "1"), "-", ""):
        assert envelopes.content_id_of(forged, secret) is None
