"""Session descriptions: what others write is read, what we write is what the grammar says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rialto.model.errors import LocalProtocolError
from rialto.networks.sip.wire.file_offer import FileOffer, read_file
from rialto.networks.sip.wire.message_media import (
    Direction,
    Kind,
    MessageMedia,
    Setup,
    read_media,
    write_media,
)
from rialto.networks.sip.wire.sdp import Description, Media, Origin, SdpError, parse_sdp

# RFC 4975 section 8.7, figure 9.
FIGURE_9 = b"""v=0
o=usera 2890844526 2890844527 IN IP4 alice.example.com
s= -
c=IN IP4 alice.example.com
t=0 0
m=message 7394 TCP/MSRP *
a=accept-types:message/cpim text/plain text/html
a=path:msrp://alice.example.com:7394/2s93i93idj;tcp
"""

# RFC 5547 section 6, figure 2, in one line where the figure is folded.
FIGURE_2 = b"""v=0
o=alice 2890844526 2890844526 IN IP4 host.atlanta.example.com
s=
c=IN IP4 host.atlanta.example.com
t=0 0
m=message 7654 TCP/MSRP *
i=This is my latest picture
a=sendonly
a=accept-types:message/cpim
a=accept-wrapped-types:*
a=path:msrp://atlanta.example.com:7654/jshA7we;tcp
a=file-selector:name:"My cool picture.jpg" type:image/jpeg size:32349 hash:sha-1:HASH
a=file-transfer-id:vBnG916bdberum2fFEABR1FR3ExZMUrd
a=file-disposition:attachment
a=file-date:creation:"Mon, 15 May 2006 15:01:31 +0300"
a=file-icon:cid:id2@alicepc.example.com
a=file-range:1-32349
""".replace(b"HASH", b"72:24:5F:E8:65:3D:DA:F3:71:36:2F:86:D4:71:91:3E:E4:A2:CE:2E")

MICROSOFT = b"""v=0
o=- 0 0 IN IP4 192.0.2.9
s=session
c=IN IP4 192.0.2.9
t=0 0
m=message 5060 sip null
a=accept-types:text/plain text/html image/gif multipart/alternative application/im-iscomposing+xml
"""


def media_of(text: bytes) -> MessageMedia:
    description = parse_sdp(text)
    media = read_media(description.media[0], description.host_of(description.media[0]))
    assert media is not None
    return media


def test_the_offer_of_rfc_4975_is_read() -> None:
    media = media_of(FIGURE_9)
    assert media.kind is Kind.MSRP
    assert media.accept_types == ("message/cpim", "text/plain", "text/html")
    assert media.path == ("msrp://alice.example.com:7394/2s93i93idj;tcp",)
    assert (media.host, media.port, media.secure, media.setup) == ("alice.example.com", 7394, False, None)
    assert media.direction is Direction.SENDRECV


@pytest.mark.parametrize("text", [FIGURE_9, FIGURE_2, MICROSOFT])
def test_it_is_all_the_same_whether_lines_end_in_lf_or_crlf_or_there_are_blank_ones(text: bytes) -> None:
    assert parse_sdp(text.replace(b"\n", b"\r\n")) == parse_sdp(text) == parse_sdp(b"\r\n" + text + b"\r\n\n")


@pytest.mark.parametrize("text", [FIGURE_9, FIGURE_2, MICROSOFT])
def test_what_was_read_and_written_is_read_as_the_same(text: bytes) -> None:
    description = parse_sdp(text)
    written = description.encode()
    assert parse_sdp(written) == description
    assert written.startswith(b"v=0\r\no=")
    assert written.endswith(b"\r\n")
    assert b"\n" not in written.replace(b"\r\n", b"")


def test_a_file_offer_of_rfc_5547_is_read_and_written() -> None:
    media = media_of(FIGURE_2)
    file = media.file
    assert file is not None
    assert file.name == "My cool picture.jpg"
    assert (file.media_type, file.size_bytes, file.begin, file.end) == ("image/jpeg", 32349, 1, 32349)
    assert file.hashes == (("sha-1", "72245FE8653DDAF371362F86D471913EE4A2CE2E"),)
    assert file.transfer_id == "vBnG916bdberum2fFEABR1FR3ExZMUrd"
    assert (file.disposition, file.sending) == ("attachment", True)
    assert file.description == "This is my latest picture"
    assert media.accepts_wrapped("image/jpeg")
    assert not media.accepts("image/jpeg")
    again = write_media(media)
    assert read_media(again, media.host) == media


def test_a_pull_by_hash_alone_is_read() -> None:
    # RFC 5547 section 9.2, figure 15
    text = FIGURE_2.replace(b"a=sendonly", b"a=recvonly").replace(
        b'name:"My cool picture.jpg" type:image/jpeg size:32349 ', b""
    )
    file = media_of(text).file
    assert file is not None
    assert file.selected
    assert not file.sending
    assert (file.name, file.size_bytes) == ("", None)


def test_the_bare_attribute_only_says_that_files_are_understood() -> None:
    # RFC 5547 section 8.5
    media = Media(
        media="message", port=1, protocol="TCP/MSRP", formats=("*",), attributes=(("file-selector", None),)
    )
    file = read_file(media, sending=True)
    assert file is not None
    assert not file.selected
    assert file.attributes() == (("file-selector", None),)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('"../../etc/passwd"', "passwd"),
        ('"..%2F..%2fetc%2Fpasswd"', "passwd"),
        ('"C:\\\\boot.ini"', "boot.ini"),
        ('"a%00b%0D%0A.txt"', "ab.txt"),
        ('"100%25 %22sure%22.txt"', '100% "sure".txt'),
        ('".."', ""),
        ('"stra\u00dfe.txt"', "stra\u00dfe.txt"),
    ],
)
def test_a_file_name_is_never_a_path(written: str, meant: str) -> None:
    media = Media(
        media="message",
        port=1,
        protocol="TCP/MSRP",
        formats=("*",),
        attributes=(("file-selector", f"name:{written} size:1"),),
    )
    file = read_file(media, sending=True)
    assert file is not None
    assert file.name == meant


@settings(max_examples=40)
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C"]), max_size=60))
def test_any_name_comes_back_unless_it_was_a_path(name: str) -> None:
    offer = FileOffer(name=name, size_bytes=1)
    media = Media(media="message", port=1, protocol="TCP/MSRP", formats=("*",), attributes=offer.attributes())
    description = Description(origin=Origin(), media=(media,))
    file = read_file(parse_sdp(description.encode()).media[0], sending=True)
    assert file is not None
    printable = "".join(char for char in name if char.isprintable())
    assert file.name == printable.replace("\\", "/").split("/")[-1].strip(" .")


@pytest.mark.parametrize(
    "selector",
    ['name:"open', "size:many", "hash:sha-1:zz", "type:nonsense", "colour:red", 'size:1 name:"a" x'],
)
def test_a_malformed_selector_is_refused(selector: str) -> None:
    media = Media(
        media="message",
        port=1,
        protocol="TCP/MSRP",
        formats=("*",),
        attributes=(("file-selector", selector),),
    )
    with pytest.raises(SdpError):
        read_file(media, sending=True)


@pytest.mark.parametrize("value", ["0-1", "5-4", "1", "a-b", "1-*x"])
def test_a_malformed_range_is_refused(value: str) -> None:
    attributes = (("file-selector", "size:1"), ("file-range", value))
    with pytest.raises(SdpError):
        read_file(
            Media(media="message", port=1, protocol="TCP/MSRP", formats=("*",), attributes=attributes),
            sending=True,
        )


def test_the_microsoft_kind_is_told_apart() -> None:
    media = media_of(MICROSOFT)
    assert media.kind is Kind.MICROSOFT
    assert not media.legacy
    assert "text/html" in media.accept_types
    older = media_of(MICROSOFT.replace(b"m=message", b"m=x-ms-message"))
    assert older.legacy
    assert write_media(older).media == "x-ms-message"
    assert read_media(write_media(media), media.host) == media


def test_audio_is_none_of_ours() -> None:
    description = parse_sdp(b"v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nt=0 0\nm=audio 49170 RTP/AVP 0 8\n")
    assert read_media(description.media[0], "") is None


def test_tls_brings_fingerprints_and_msrps() -> None:
    digest = ":".join(["AB"] * 32)
    media = media_of(
        FIGURE_9.replace(b"TCP/MSRP", b"TCP/TLS/MSRP").replace(b"msrp://", b"msrps://")
        + f"a=fingerprint:SHA-256 {digest.lower()}\na=setup:actpass\na=msrp-cema\na=max-size:5000\n".encode()
    )
    assert media.secure
    assert media.fingerprints == (("sha-256", digest),)
    assert (media.setup, media.cema, media.max_size) == (Setup.ACTPASS, True, 5000)
    assert read_media(write_media(media), media.host) == media


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"hello",
        FIGURE_9.replace(b"v=0", b"v=1"),
        FIGURE_9.replace(b"o=usera", b"x=usera"),
        FIGURE_9.replace(b" IN IP4 alice.example.com\ns", b"\ns"),
        FIGURE_9.replace(b"7394 TCP", b"73940 TCP"),
        FIGURE_9.replace(b"7394 TCP", b"many TCP"),
        FIGURE_9.replace(b" TCP/MSRP *", b""),
        FIGURE_9.replace(b"c=IN IP4", b"c=IN"),
        FIGURE_9 + b"a=\xff\xfe:x\n",
        FIGURE_9 + b"m=message 1 TCP/MSRP *\n" * 40,
        FIGURE_9 + b"a=x\n" * 2000,
        FIGURE_9 + b"a=" + b"x" * 9000,
        FIGURE_9 + b"a=x:\0\n",
        b"v=0\n" + b" " * 70_000,
        FIGURE_9 + b"no type\n",
    ],
)
def test_what_is_no_description_is_refused_with_a_status(bad: bytes) -> None:
    with pytest.raises(SdpError) as caught:
        parse_sdp(bad)
    assert caught.value.condition in ("400", "413")


@pytest.mark.parametrize(
    "bad",
    [
        FIGURE_9.replace(b"a=path", b"a=pat"),
        FIGURE_9.replace(b":7394/", b"/"),  # RFC 4975 section 8.2: an explicit port
        FIGURE_9.replace(b";tcp", b""),
        FIGURE_9.replace(b";tcp", b";udp"),
        FIGURE_9.replace(b"msrp://", b"http://"),
        FIGURE_9.replace(b"msrp://", b"msrps://"),
        FIGURE_9.replace(b"a=path:", b"a=path:" + b"msrp://a.example:1/x;tcp " * 20),
        FIGURE_9 + b"a=setup:sometimes\n",
        FIGURE_9 + b"a=fingerprint:SHA-256 nothing\n",
        FIGURE_9.replace(b"a=accept-types:", b"a=accept-types:" + b"a/b " * 100),
    ],
)
def test_a_malformed_message_line_is_refused(bad: bytes) -> None:
    with pytest.raises(SdpError):
        media_of(bad)


@given(st.binary(max_size=300))
def test_no_bytes_do_any_harm(data: bytes) -> None:
    for text in (data, FIGURE_2 + data, b"v=0\no=- 1 1 IN IP4 h\ns=-\n" + data):
        try:
            description = parse_sdp(text)
            for media in description.media:
                read_media(media, description.host_of(media))
        except SdpError:
            pass


def test_nobody_smuggles_a_line_into_what_we_write() -> None:
    media = Media(
        media="message", port=1, protocol="TCP/MSRP", formats=("*",), attributes=(("path", "a\r\na=x"),)
    )
    with pytest.raises(LocalProtocolError):
        Description(origin=Origin(), media=(media,)).encode()


def test_types_match_with_wildcards_and_without_parameters() -> None:
    media = media_of(FIGURE_9.replace(b"text/html", b"image/* text/x;charset=utf-8"))
    assert media.accepts("image/png")
    assert media.accepts("text/x")
    assert not media.accepts("text/html")
    assert media_of(FIGURE_9.replace(b"message/cpim text/plain text/html", b"*")).accepts("a/b")
