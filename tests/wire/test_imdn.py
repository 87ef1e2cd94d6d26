"""message/imdn+xml: RFC 5438, its examples and what is done with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.wire.imdn import MAX_BYTES, Imdn, ImdnError, parse, write

# RFC 5438 section 7.2.1.1; 7.2.1.2 and 8.1 differ in the notification alone.
EXAMPLE = """<?xml version="1.0" encoding="UTF-8"?>
<imdn xmlns="urn:ietf:params:xml:ns:imdn">
      <message-id>34jk324j</message-id>
      <datetime>2008-04-04T12:16:49-05:00</datetime>
     <recipient-uri>im:bob@example.com</recipient-uri>
      <original-recipient-uri
        >im:bob@example.com</original-recipient-uri>
      <{kind}-notification>
         <status>
            <{status}/>
         </status>
      </{kind}-notification>
    </imdn>
"""
STATUSES = [
    ("delivery", "delivered"),
    ("delivery", "failed"),
    ("delivery", "forbidden"),
    ("delivery", "error"),
    ("display", "displayed"),
    ("display", "forbidden"),
    ("display", "error"),
    ("processing", "processed"),
    ("processing", "stored"),
    ("processing", "error"),
]


@pytest.mark.parametrize(("kind", "status"), STATUSES)
def test_the_examples_of_the_standard_are_read(kind: str, status: str) -> None:  # RCT-13
    assert parse(EXAMPLE.format(kind=kind, status=status).encode()) == Imdn(
        message_id="34jk324j",
        datetime="2008-04-04T12:16:49-05:00",
        kind=kind,
        status=status,
        recipient_uri="im:bob@example.com",
        original_recipient_uri="im:bob@example.com",
    )


def test_what_is_written_is_in_the_order_of_the_schema() -> None:
    written = write(
        Imdn(
            message_id="1",
            datetime="2026-01-01T00:00:00Z",
            kind="delivery",
            status="failed",
            recipient_uri="sip:b@x",
            original_recipient_uri="sip:c@x",
            subject="hé <&>",
            subject_language="fr",
        )
    )
    assert written.decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\r\n<imdn xmlns="urn:ietf:params:xml:ns:imdn">'
        "<message-id>1</message-id><datetime>2026-01-01T00:00:00Z</datetime>"
        "<recipient-uri>sip:b@x</recipient-uri><original-recipient-uri>sip:c@x</original-recipient-uri>"
        '<subject xml:lang="fr">hé &lt;&amp;&gt;</subject>'
        "<delivery-notification><status><failed/></status></delivery-notification></imdn>"
    )


_TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xD7FF), max_size=30)


@given(_TEXT.filter(lambda text: text.strip() == text and text), _TEXT, _TEXT, st.sampled_from(STATUSES))
def test_every_notification_survives_the_way_there_and_back(
    name: str, uri: str, subject: str, said: tuple[str, str]
) -> None:
    imdn = Imdn(
        message_id=name,
        datetime="2026-01-01T00:00:00Z",
        kind=said[0],
        status=said[1],
        recipient_uri=uri.strip(),
        subject=subject.strip(),
    )
    assert parse(write(imdn)) == imdn


@pytest.mark.parametrize("said", [("delivery", "displayed"), ("opinion", "error"), ("display", "<x/>")])
def test_what_the_schema_does_not_know_is_not_written(said: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="notification"):
        write(Imdn(message_id="1", datetime="", kind=said[0], status=said[1]))


def test_a_missing_namespace_and_a_prefix_are_forgiven() -> None:
    bare = EXAMPLE.format(kind="display", status="displayed").replace(
        ' xmlns="urn:ietf:params:xml:ns:imdn"', ""
    )
    assert parse(bare.encode()).kind == "display"
    prefixed = (
        '<i:imdn xmlns:i="urn:ietf:params:xml:ns:imdn"><i:message-id>1</i:message-id>'
        "<i:delivery-notification><i:status><i:delivered/></i:status></i:delivery-notification></i:imdn>"
    )
    assert parse(prefixed.encode()) == Imdn(message_id="1", datetime="", kind="delivery", status="delivered")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<imdn/>",
        b"<other xmlns='urn:ietf:params:xml:ns:imdn'/>",
        b"<imdn><message-id>1</message-id></imdn>",
        b"<imdn><message-id>1</message-id><delivery-notification/></imdn>",
        b"<imdn><message-id>1</message-id><delivery-notification><status/></delivery-notification></imdn>",
        b"<imdn><message-id>"
        + b"x" * 300
        + b"</message-id><delivery-notification><status><delivered/></status>"
        b"</delivery-notification></imdn>",
        b"<!DOCTYPE imdn [<!ENTITY a 'b'>]><imdn/>",
        b" " * (MAX_BYTES + 1),
    ],
)
def test_what_is_no_notification_is_refused(data: bytes) -> None:
    with pytest.raises(ImdnError):
        parse(data)
