"""What is written into a body: our words as (media type, bytes), for a MESSAGE and for a session alike.

text                                  text/plain
text and form                         multipart/alternative, or text/html, as the peer wants it
a file, for a peer that knows RCS     application/vnd.gsma.rcs-ft-http+xml
sealed                                as it came
around it, where something is asked   message/cpim (RFC 3862), with requests of RFC 5438
what became of a message              message/cpim around message/imdn+xml
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from rialto.model import richtext
from rialto.model.message import Disposition, File, Message
from rialto.networks.sip.openings import WANTED
from rialto.networks.sip.originals import Original
from rialto.wire import cpim, imdn, mime, rcs_file
from rialto.wire.imdn import Imdn
from rialto.wire.pidf import write_time

TEXT = "text/plain;charset=UTF-8"
HTML = "text/html;charset=UTF-8"

Html = Literal["never", "alternative", "only"]
"""How form is written: not at all; beside the plain words (RFC 2046 section 5.1.4); instead of them."""

Cpim = Literal["auto", "always", "never"]
"""When a message goes in an envelope: where something is asked; always; never."""


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """How one peer wants its messages, as its settings say. `secret` is that of this instance."""

    cpim: Cpim = "auto"
    html: Html = "never"
    rcs_files: bool = False
    receipts: bool = True
    secret: bytes = b""


PLAIN = Form(cpim="never", receipts=False)

_ASKED = {disposition: token for token, disposition in WANTED.items()}
_TOLD = {
    Disposition.DELIVERED: (imdn.DELIVERY, "delivered"),
    Disposition.DISPLAYED: (imdn.DISPLAY, "displayed"),
    Disposition.PROCESSED: (imdn.PROCESSING, "processed"),
}
_NS = f"NS: imdn <{cpim.IMDN}>\r\n"
_MAC_BYTES = 8


class Written(msgspec.Struct, frozen=True):
    """A body: the value of Content-Type, the bytes, and further headers of the entity."""

    content_type: str
    data: bytes
    headers: tuple[tuple[str, str], ...] = ()
    has_form: bool = False
    """Whether it is more than plain text, and could be refused for that."""


def lines(text: str) -> bytes:
    """Plain text on the wire: lines end with CR LF (RFC 2046 section 4.1.1)."""
    if "\n" in text:
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    return text.encode("utf-8", "replace")


def content(message: Message, *, html: Html = "never", rcs_files: bool = False) -> Written:
    """What a message says, without any envelope."""
    if message.sealed:
        sealed = message.sealed[0]
        return Written(sealed.media_type, sealed.data, has_form=True)
    if message.files and rcs_files:
        return _with_files(message)
    if message.rich and html != "never":
        page = richtext.document(message.rich, message.language).encode("utf-8", "replace")
        if html == "only":
            return Written(HTML, page, has_form=True)
        return _multipart(
            "alternative",
            mime.Part((("content-type", TEXT),), lines(message.text)),
            mime.Part((("content-type", HTML),), page),
        )
    return Written(TEXT, lines(message.text))


def _with_files(message: Message) -> Written:
    """The files, and the words where they say more than where the files are."""
    parts = [
        mime.Part((("content-type", rcs_file.MEDIA_TYPE),), rcs_file.write(_rcs(file)))
        for file in message.files
    ]
    if any(file.url in message.text for file in message.files):
        text = ""
    else:
        text = message.text
    if len(parts) == 1 and not text:
        return Written(rcs_file.MEDIA_TYPE, parts[0].content, has_form=True)
    if text:
        parts.insert(0, mime.Part((("content-type", TEXT),), lines(text)))
    return _multipart("mixed", *parts)


def _rcs(file: File) -> rcs_file.RcsFile:
    return rcs_file.RcsFile(
        url=file.url,
        name=file.name or file.url.rpartition("/")[2],
        media_type=file.media_type,
        size_bytes=file.size_bytes,
        until="" if file.expires_at is None else write_time(file.expires_at),
    )


def _multipart(kind: str, *parts: mime.Part) -> Written:
    # What follows from the content alone is the same when it is written again.
    seed = hashlib.blake2b(digest_size=9)
    for part in parts:
        seed.update(part.content)
    boundary = f"=_{seed.hexdigest()}"
    data = mime.write_multipart(parts, boundary)
    return Written(f'multipart/{kind};boundary="{boundary}"', data, has_form=True)


# -- envelopes -----------------------------------------------------------------------------------------------


def wrap(
    inner: Written,
    *,
    sender: str,
    recipient: str,
    message_id: str,
    written_at: float,
    nick: str = "",
    subject: str = "",
    language: str = "",
    wants: tuple[Disposition, ...] = (),
    routes: tuple[str, ...] = (),
) -> bytes:
    """message/cpim around it (CPM-1, RCT-12). `sender` and `recipient` are URIs.

    What asks for anything asks for failures as well: the far side may have said 202 before it knew.
    """
    head = [
        f"From: {cpim.write_address(nick, sender)}\r\n"
        f"To: <{recipient}>\r\n"
        f"DateTime: {write_time(written_at)}\r\n"
    ]
    if subject:
        head.append(f"Subject: {cpim.escape(subject)}\r\n")
    head.append(f"{_NS}imdn.Message-ID: {message_id}\r\n")
    if wants:
        asked = ", ".join([_ASKED[one] for one in wants])
        head.append(f"imdn.Disposition-Notification: {asked}, negative-delivery\r\n")
    for route in routes:
        head.append(f"imdn.IMDN-Route: <{route}>\r\n")
    head.append(f"\r\nContent-Type: {inner.content_type}\r\n")
    if language:
        head.append(f"Content-Language: {language}\r\n")
    for name, value in inner.headers:
        head.append(f"{name}: {value}\r\n")
    head.append(f"Content-Length: {len(inner.data)}\r\n\r\n")
    return "".join(head).encode("utf-8", "replace") + inner.data


def notification(original: Original, *, kind: str, status: str, recipient_uri: str, at: float) -> Written:
    """What became of a message, for inside an envelope (RCT-13). `at` stands in where nobody said when."""
    document = imdn.write(
        Imdn(
            message_id=original.message_id,
            datetime=original.datetime or write_time(at),
            kind=kind,
            status=status,
            recipient_uri=recipient_uri,
            original_recipient_uri=original.original_to,
        )
    )
    return Written(imdn.MEDIA_TYPE, document, (("Content-Disposition", "notification"),))


def told(disposition: Disposition) -> tuple[str, str]:
    """Kind and status of a notification."""
    return _TOLD[disposition]


# -- names ---------------------------------------------------------------------------------------------------


def message_id_for(content_id: str, secret: bytes) -> str:
    """The Message-ID of something of ours: nobody can guess one that they have not seen (RFC 5438 section
    6.3)."""
    mac = hashlib.blake2b(content_id.encode(), key=secret[:32], digest_size=_MAC_BYTES, person=b"imdn")
    return f"{content_id}-{mac.hexdigest()}"


def content_id_of(message_id: str, secret: bytes) -> str | None:
    """The id that is in it; None for a Message-ID that is none of ours."""
    content_id = message_id.rpartition("-")[0]
    return content_id if content_id and message_id_for(content_id, secret) == message_id else None
