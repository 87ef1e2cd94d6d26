"""What goes over a carrier: our words as a parcel, theirs as a message, a receipt, or a notice of typing."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from rialto.model.address import Address
from rialto.model.message import Content, Disposition, Kind, Message, Receipt, Report
from rialto.networks.sip import bodies, envelopes, notices
from rialto.networks.sip.originals import origin_id_of, original_of
from rialto.networks.sip.wire import parse_media_type
from rialto.networks.sip.wire.message_media import MessageMedia
from rialto.wire import cpim, imdn, iscomposing

_IDENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+%=-]{3,31}", re.ASCII)
"""RFC 4975 section 9."""
_CONTAINERS: Final = ("multipart/mixed", "multipart/alternative")

ACCEPT_TYPES: Final = (
    cpim.MEDIA_TYPE,  # SES-18: first, because it is what we would rather have
    "text/plain",
    "text/html",
    *_CONTAINERS,
    iscomposing.MEDIA_TYPE,
)
WRAPPED_TYPES: Final = (imdn.MEDIA_TYPE, "*")
MICROSOFT_TYPES: Final = (
    "text/plain",
    "text/html",
    "text/rtf",
    "multipart/alternative",
    iscomposing.MEDIA_TYPE,
)


def ident(content_id: str) -> str:
    """Our id of a content as an MSRP Message-ID: the same whenever it is sent (SES-6)."""
    if _IDENT.fullmatch(content_id):
        return content_id
    return hashlib.blake2b(content_id.encode(), digest_size=12).hexdigest()


def written(
    content: Content, media: MessageMedia, *, secret: bytes, local: str, remote: str
) -> tuple[str, bytes, bool] | None:
    """(media type, bytes, whether it is more than plain words) of a content for that side; None for what it
    does not take (RFC 4975 section 8.6). `local` and `remote` are URIs."""
    enveloped = media.accepts(cpim.MEDIA_TYPE)
    if isinstance(content, Receipt):
        return _receipt(content, enveloped, media, secret=secret, local=local, remote=remote)
    if isinstance(content, Report):
        inner = envelopes.Written(envelopes.TEXT, envelopes.lines(notices.sentence(content)))
    else:
        inner = _inner(content, media, enveloped)
    essence = inner.content_type.partition(";")[0]
    if enveloped and media.accepts_wrapped(essence):
        message = content if isinstance(content, Message) else None
        data = envelopes.wrap(
            inner,
            sender=local,
            recipient=remote,
            message_id=envelopes.message_id_for(content.id, secret),
            written_at=content.received_at if content.sent_at is None else content.sent_at,
            nick=message.nick if message is not None else "",
            subject=message.subject if message is not None else "",
            language=message.language if message is not None else "",
            wants=message.wants if message is not None else (),
        )
        return cpim.MEDIA_TYPE, data, inner.has_form
    return (inner.content_type, inner.data, inner.has_form) if media.accepts(essence) else None


def _inner(message: Message, media: MessageMedia, enveloped: bool) -> envelopes.Written:
    takes = media.accepts_wrapped if enveloped else media.accepts
    if message.rich and takes("text/html"):
        html: envelopes.Html = "alternative" if takes("multipart/alternative") else "only"
        return envelopes.content(message, html=html)
    return envelopes.content(message)


def _receipt(
    receipt: Receipt, enveloped: bool, media: MessageMedia, *, secret: bytes, local: str, remote: str
) -> tuple[str, bytes, bool] | None:
    original = original_of(receipt.origin_id)
    if original is None or not enveloped or not media.accepts_wrapped(imdn.MEDIA_TYPE):
        return None
    kind, status = envelopes.told(receipt.disposition)
    inner = envelopes.notification(original, kind=kind, status=status, recipient_uri=local, at=receipt.at)
    data = envelopes.wrap(
        inner,
        sender=local,
        recipient=remote,
        message_id=envelopes.message_id_for(receipt.id, secret),
        written_at=receipt.at,
        routes=original.routes,
    )
    return cpim.MEDIA_TYPE, data, False


def composing_body(
    status: iscomposing.IsComposing, media: MessageMedia, *, local: str, remote: str, at: float
) -> tuple[str, bytes] | None:
    """The notice that somebody is writing, or no more; None where it is not taken."""
    body = iscomposing.write(status)
    if media.accepts(iscomposing.MEDIA_TYPE):
        return iscomposing.MEDIA_TYPE, body
    if media.accepts(cpim.MEDIA_TYPE) and media.accepts_wrapped(iscomposing.MEDIA_TYPE):
        inner = envelopes.Written(iscomposing.MEDIA_TYPE, body)
        name = f"typing-{hashlib.blake2b(f'{local}{at}'.encode(), digest_size=8).hexdigest()}"
        return cpim.MEDIA_TYPE, envelopes.wrap(
            inner, sender=local, recipient=remote, message_id=name, written_at=at
        )
    return None


def read(content_type: str, data: bytes) -> bodies.Said:
    """What somebody said; raises `bodies.BodyError`."""
    try:
        media = parse_media_type(content_type)
    except ValueError as error:
        raise bodies.Malformed(f"Malformed Content-Type: {error}") from None
    return bodies.read(media, data)


def message_from(
    said: bodies.Said,
    *,
    hub_id: str,
    sender: Address,
    recipient: Address,
    thread: str,
    message_id: str,
    wants_report: bool,
    now: float,
) -> Message:
    """The message that was said in a session; `message_id` is its name on the carrier."""
    envelope = said.envelope
    name, sent_at, subject, nick = "", None, "", ""
    wants: tuple[Disposition, ...] = ()
    if envelope is not None:
        # What an envelope says of its sender is believed where it agrees, for the device that it adds.
        if envelope.sender is not None and envelope.sender.bare == sender.bare and not sender.instance:
            sender = envelope.sender
        name, subject, nick = envelope.message_id, envelope.subject, envelope.nick
        wants, sent_at = envelope.wants, envelope.sent_at
        origin_id = origin_id_of(envelope)
    else:
        origin_id = ""
    if wants_report and Disposition.DELIVERED not in wants:
        wants = (*wants, Disposition.DELIVERED)
    if sent_at is not None and sent_at >= now - 10.0:
        sent_at = None
    key = f"imdn\0{name}" if name else f"msrp\0{sender.bare}\0{message_id}"
    return Message(
        id=hub_id,
        sender=sender,
        recipient=recipient,
        text=said.text,
        received_at=now,
        language=said.language,
        subject=subject,
        thread=thread,
        kind=Kind.CHAT,
        origin_id=origin_id or f"{REPORT} {message_id}",
        stable_id=hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(),
        sent_at=sent_at,
        nick=nick,
        wants=wants,
        rich=said.rich,
        files=said.files,
        sealed=said.sealed,
        chat_states=True,
    )


REPORT: Final = "msrp"
"""What stands before a Message-ID in `Message.origin_id`, for a message that is reported on by MSRP."""


def reported_id(origin_id: str) -> str | None:
    """The MSRP Message-ID of a message of theirs that is reported on by MSRP; None for any other."""
    mark, space, message_id = origin_id.partition(" ")
    return message_id if mark == REPORT and space and " " not in message_id else None
