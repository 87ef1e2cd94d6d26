"""What became of a message, as a document: message/imdn+xml (RFC 5438 section 11).

Reading is lenient: no namespace or another prefix, white space around values, an unknown status (RFC 5438
lets the schema grow) which is kept as its name. Writing follows the schema.
"""

from __future__ import annotations

from typing import Final

import msgspec

from rialto.wire.xml import XML_LANG, Node, XmlError, escape, read_document

MEDIA_TYPE: Final = "message/imdn+xml"
NAMESPACE: Final = "urn:ietf:params:xml:ns:imdn"

DELIVERY: Final = "delivery"
DISPLAY: Final = "display"
PROCESSING: Final = "processing"

MAX_BYTES: Final = 16_384
MAX_ID_CHARACTERS: Final = 255

_KINDS: Final = (DELIVERY, PROCESSING, DISPLAY)


class ImdnError(ValueError):
    """A body that is no disposition notification."""


class Imdn(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One notification.

    `message_id` and `datetime` (as its sender wrote it) are those of the message that it speaks of. `kind` is
    `delivery`, `display` or `processing`; `status` is `delivered`, `failed`, `displayed`, `processed`,
    `stored`, `forbidden`, `error`, or what a later standard knows.
    """

    message_id: str
    datetime: str
    kind: str
    status: str
    recipient_uri: str = ""
    original_recipient_uri: str = ""
    subject: str = ""
    subject_language: str = ""


def parse(data: bytes, charset: str = "") -> Imdn:
    """Read a document; raises ImdnError."""
    try:
        root = read_document(data, charset, max_bytes=MAX_BYTES)
    except XmlError as error:
        raise ImdnError(str(error)) from None
    if _local(root) != "imdn":
        raise ImdnError("no disposition notification")
    inside = {_local(child): child for child in root.children}
    message_id = _text(inside.get("message-id"))
    if not message_id or len(message_id) > MAX_ID_CHARACTERS:
        raise ImdnError("no message-id")  # RFC 5438 section 11.1.1
    kind = next((kind for kind in _KINDS if f"{kind}-notification" in inside), "")
    if not kind:
        raise ImdnError("no notification in it")  # section 11.1.6
    status = next(
        (child for child in inside[f"{kind}-notification"].children if _local(child) == "status"), None
    )
    said = next((_local(child) for child in status.children), "") if status is not None else ""
    if not said:
        raise ImdnError("no status in it")  # section 11.1.7
    subject = inside.get("subject")
    return Imdn(
        message_id=message_id,
        datetime=_text(inside.get("datetime")),
        kind=kind,
        status=said,
        recipient_uri=_text(inside.get("recipient-uri")),
        original_recipient_uri=_text(inside.get("original-recipient-uri")),
        subject=_text(subject),
        subject_language=subject.attributes.get(XML_LANG, "") if subject is not None else "",
    )


def write(imdn: Imdn) -> bytes:
    """A document, as the schema wants it. Raises ValueError for a kind or a status that it does not know."""
    if imdn.kind not in _KINDS or imdn.status not in _STATUSES[imdn.kind]:
        raise ValueError(f"no {imdn.kind} notification says {imdn.status}")
    parts = [
        f'<?xml version="1.0" encoding="UTF-8"?>\r\n<imdn xmlns="{NAMESPACE}">'
        f"<message-id>{escape(imdn.message_id)}</message-id><datetime>{escape(imdn.datetime)}</datetime>"
    ]
    if imdn.recipient_uri:
        parts.append(f"<recipient-uri>{escape(imdn.recipient_uri)}</recipient-uri>")
    if imdn.original_recipient_uri:
        parts.append(
            f"<original-recipient-uri>{escape(imdn.original_recipient_uri)}</original-recipient-uri>"
        )
    if imdn.subject:
        language = f' xml:lang="{escape(imdn.subject_language)}"' if imdn.subject_language else ""
        parts.append(f"<subject{language}>{escape(imdn.subject)}</subject>")
    name = f"{imdn.kind}-notification"
    parts.append(f"<{name}><status><{imdn.status}/></status></{name}></imdn>")
    return "".join(parts).encode()


_COMMON: Final = frozenset({"forbidden", "error"})
_STATUSES: Final = {
    DELIVERY: _COMMON | {"delivered", "failed"},
    DISPLAY: _COMMON | {"displayed"},
    PROCESSING: _COMMON | {"processed", "stored"},
}


def _local(node: Node) -> str:
    """The name, if it is of our namespace or (as some write it) of none."""
    namespace, _, name = node.name.rpartition("}")
    return name if namespace in (NAMESPACE, "") else ""


def _text(node: Node | None) -> str:
    return "" if node is None else node.text.strip()
