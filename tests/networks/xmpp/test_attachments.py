"""Files: links out of band, stateless file sharing, and its forerunner (XEP-0066, XEP-0447, XEP-0385)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks.xmpp.stanzas import heard, message, read, there_and_back
from rialto.core.wording import link
from rialto.model.message import File
from rialto.networks.xmpp.attachments import MAX_FILES
from rialto.networks.xmpp.translate import from_model
from rialto.networks.xmpp.wire.element import Element

URL = "https://files.example/a1b2/summit%20photo.jpg"
DIGEST = bytes(range(32))
SHARING = f"""<file-sharing xmlns='urn:xmpp:sfs:0' disposition='inline'>
<file xmlns='urn:xmpp:file:metadata:0'>
<media-type>image/JPEG</media-type><name>../../etc/summit.jpg</name><size>3032449</size>
<hash xmlns='urn:xmpp:hashes:2' algo='sha-1'>AAAA</hash>
<hash xmlns='urn:xmpp:hashes:2' algo='sha-256'>{base64.b64encode(DIGEST).decode()}</hash>
<desc>Photo from the summit.</desc></file><sources>
<url-data xmlns='http://jabber.org/protocol/url-data' target='ftp://files.example/x'/>
<url-data xmlns='http://jabber.org/protocol/url-data' target='{URL}'/></sources></file-sharing>"""
SUMMIT = File(
    url=URL,
    name="summit.jpg",
    media_type="image/jpeg",
    size_bytes=3032449,
    description="Photo from the summit.",
    sha256=DIGEST.hex(),
)


def oob(url: str = URL) -> str:
    return f"<x xmlns='jabber:x:oob'><url>{url}</url></x>"


def test_a_link_out_of_band_is_a_file() -> None:
    got = heard(f"<body>{URL}</body>{oob()}")
    assert (got.text, got.files) == (URL, (File(url=URL, name="summit photo.jpg"),))


def test_a_shared_file_says_all_that_is_known_of_it() -> None:
    assert heard(f"<body>look</body>{SHARING}").files == (SUMMIT,)


def test_a_file_that_is_shared_in_two_ways_is_one() -> None:
    assert heard(f"<body>{URL}</body>{SHARING}{oob()}").files == (SUMMIT,)
    assert heard(f"<body>{URL}</body>{oob()}{SHARING}").files == (SUMMIT,)


def test_a_file_of_the_forerunner_is_a_file() -> None:
    got = heard(
        "<body>look</body><reference xmlns='urn:xmpp:reference:0' type='data' begin='0' end='4'>"
        "<media-sharing xmlns='urn:xmpp:sims:1'><file xmlns='urn:xmpp:jingle:apps:file-transfer:5'>"
        "<media-type>image/jpeg</media-type><name>summit.jpg</name><size>12</size></file>"
        f"<sources><reference xmlns='urn:xmpp:reference:0' type='data' uri='{URL}'/></sources>"
        "</media-sharing></reference>"
    )
    assert got.files == (File(url=URL, name="summit.jpg", media_type="image/jpeg", size_bytes=12),)


def test_a_mention_is_no_file() -> None:
    got = heard("<body>hi Anna</body><reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:a@b'/>")
    assert got.files == ()


def test_a_file_without_words_speaks_by_its_link() -> None:
    assert heard(oob()).text == URL


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "aesgcm://files.example/x#00",
        "https://",
        "https://[",
        "https://files.example/a b",
        "https://files.example/" + "x" * 2048,
        "",
    ],
)
def test_what_is_no_link_of_the_web_is_no_file(url: str) -> None:
    assert heard(f"<body>x</body>{oob(url)}").files == ()
    assert read(oob(url)) is None


def test_files_are_counted_no_further_than_a_limit() -> None:
    many = "".join(oob(f"https://files.example/{number}") for number in range(100))
    assert len(heard(f"<body>x</body>{many}").files) == MAX_FILES


def test_what_is_said_of_a_file_is_not_believed_beyond_reason() -> None:
    about = SHARING.replace("3032449", "9" * 40).replace("image/JPEG", "image").replace("summit.jpg", "..")
    [file] = heard(f"<body>x</body>{about.replace('AAAA', '????')}").files
    assert (file.size_bytes, file.media_type, file.name) == (None, "", "summit photo.jpg")
    [file] = heard(f"<body>x</body>{SHARING.replace('algo=', 'was=')}").files
    assert file.sha256 == ""
    for digest in ("AAAA", "%%%"):
        wrong = SHARING.replace(base64.b64encode(DIGEST).decode(), digest)
        assert heard(f"<body>x</body>{wrong}").files[0].sha256 == ""


def children(written: Element) -> list[str]:
    return [child.local_name for child in written.elements]


def test_a_link_that_is_all_there_is_is_shown_as_a_picture_by_everybody() -> None:
    written = from_model(message(text=URL, files=(SUMMIT,)))
    body, url = written.find("body"), written.find("jabber:x:oob}x")
    assert body is not None
    assert url is not None
    assert body.text == URL == url.elements[0].text
    assert children(written) == ["body", "origin-id", "fallback", "file-sharing", "x"]


def test_words_that_only_describe_the_file_give_way_to_its_link() -> None:
    for text in (link(SUMMIT), URL):
        body = from_model(message(text=text, files=(SUMMIT,))).find("body")
        assert body is not None
        assert body.text == URL
    body = from_model(message(text=f"look: {link(SUMMIT)}", files=(SUMMIT,))).find("body")
    assert body is not None
    assert body.text == f"look: {link(SUMMIT)}"


def test_a_link_that_is_not_in_the_text_stands_below_it_for_older_clients() -> None:
    written = from_model(message(text="look", files=(SUMMIT,)))
    body, mark = written.find("body"), written.find("urn:xmpp:fallback:0}fallback")
    assert body is not None
    assert mark is not None
    assert body.text == f"look\n{URL}"
    assert mark.elements[0].attributes == {"start": "4", "end": str(len(body.text))}


names = st.from_regex(r"[a-z][a-z0-9 _-]{0,20}[a-z0-9]\.[a-z]{3}", fullmatch=True)


@given(
    st.lists(
        st.builds(
            File,
            url=st.from_regex(r"https://files\.example/[A-Za-z0-9/_.%&;=~-]{0,40}", fullmatch=True),
            name=names,
            media_type=st.sampled_from(["", "image/png", "application/vnd.oasis.opendocument.text"]),
            size_bytes=st.none() | st.integers(0, 1 << 40),
            description=st.sampled_from(["", "a photo", "ünïcödé <&>"]),
            sha256=st.sampled_from(["", DIGEST.hex()]),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda file: file.url,
    )
)
def test_files_are_read_back_as_they_were_written(files: list[File]) -> None:
    assert there_and_back(message(text="look", files=tuple(files))).files == tuple(files)


def test_the_text_above_links_is_read_back_alone() -> None:
    again = there_and_back(message(text="look", files=(SUMMIT,)))
    assert (again.text, again.files) == ("look", (SUMMIT,))
