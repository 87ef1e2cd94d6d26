"""Our messages as MESSAGE requests (RFC 7572 table 1, RFC 3428).

Nothing is left to chance: Call-ID, From tag, CSeq and branch follow from the message's id (and, for the
branch, from the target, because another target means another transaction: RFC 3263 section 4.3). A message
that was on the wire before a crash is the same request after it, which its receiver recognises as a
retransmission, or at least as the same message. A thread makes the Call-ID; the From tag is then what tells
its messages apart (RFC 3261 section 8.2.2.2), and CSeq follows the clock, so that it grows within a thread.

What stands in a body is written by `envelopes`. The other way is `translate`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache

import msgspec

from rialto.model.address import Address
from rialto.model.errors import AddressError, Reason, Refused
from rialto.model.message import Content, Message, Receipt, Report
from rialto.networks.sip import envelopes, notices
from rialto.networks.sip.abilities import CPIM, FORM
from rialto.networks.sip.addresses import uri_of
from rialto.networks.sip.envelopes import PLAIN, TEXT, Form, Written
from rialto.networks.sip.faces import display
from rialto.networks.sip.originals import Original, original_of
from rialto.networks.sip.threads import call_id_from
from rialto.networks.sip.translate import AUTOMATIC, HOP, LANGUAGE, TOKEN, digest, one_line
from rialto.networks.sip.wire import MAGIC_COOKIE, Request, parse_uri
from rialto.wire import cpim, imdn, iscomposing
from rialto.wire.iscomposing import IsComposing

_EPOCH = 1_577_836_800  # 2020-01-01: keeps CSeq below 2**31 (RFC 3261 section 8.1.1.5) until 2088


class Draft(msgspec.Struct, frozen=True):
    """A MESSAGE before it is known where it goes: all but Via and credentials. `id` is the content's."""

    id: str
    uri: str
    sender: str
    recipient: str
    call_id: str
    cseq: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    could_refuse: str = ""
    """What of it a user agent might not take, although it would take plain text: words of `abilities`."""


def draft(
    content: Content, *, server_name: str, spell: Callable[[Address], str], form: Form = PLAIN
) -> Draft:
    """Write a message, a report or a receipt as a MESSAGE; `spell` tells how somebody writes the own user
    part, `form` what its peer wants.

    Raises Refused for an address that SIP cannot carry, and for a receipt that nobody could understand.
    """
    recipient, sender = content.recipient, content.sender
    try:
        uri = str(uri_of(recipient, spell(recipient)))
        from_uri = str(uri_of(sender))
    except AddressError as error:
        raise Refused(
            Reason.NOT_FOUND, "no SIP address can be written for this recipient", detail=str(error)
        ) from None
    tag = content.id if TOKEN.match(content.id) else digest(content.id)
    call_id = (call_id_from(content.thread) if content.thread else None) or f"{tag}@{server_name}"
    headers: list[tuple[str, str]] = []
    name = could_refuse = ""
    to_uri = uri
    written_at = content.received_at
    body: bytes
    if isinstance(content, Message):
        name = display(content.nick)
        if content.sent_at is not None:
            written_at = content.sent_at
        language = content.language if LANGUAGE.match(content.language) else ""
        if content.subject:
            headers.append(("Subject", one_line(content.subject)))
        if content.hops:
            headers.append((HOP, ", ".join(content.hops)))
        if content.automatic:
            headers.append((AUTOMATIC, "yes"))
        if content.rich or content.files or content.sealed:
            inner = envelopes.content(content, html=form.html, rcs_files=form.rcs_files)
            body, content_type = inner.data, inner.content_type
            could_refuse = FORM if inner.has_form else ""
        else:
            body, content_type = envelopes.lines(content.text), TEXT
        if form.cpim == "always" or (content.wants and form.cpim == "auto"):
            body = envelopes.wrap(
                Written(content_type, body),
                sender=from_uri,
                recipient=uri,
                message_id=envelopes.message_id_for(content.id, form.secret),
                written_at=written_at,
                nick=one_line(content.nick),
                subject=content.subject,
                language=language,
                wants=content.wants,
            )
            content_type = cpim.MEDIA_TYPE
            could_refuse = f"{CPIM} {could_refuse}" if form.cpim == "auto" else could_refuse
    else:
        original = original_of(content.origin_id) if form.receipts else None
        language = ""
        if original is not None and (told := _told(content, original)) is not None:
            headers.append((AUTOMATIC, "receipt"))
            uri = _route_of(original, recipient) or uri
            body = envelopes.wrap(
                envelopes.notification(
                    original, kind=told[0], status=told[1], recipient_uri=from_uri, at=_original_at(content)
                ),
                sender=from_uri,
                recipient=to_uri,
                message_id=envelopes.message_id_for(content.id, form.secret),
                written_at=content.at if isinstance(content, Receipt) else written_at,
                routes=original.routes,
            )
            content_type = cpim.MEDIA_TYPE
        elif isinstance(content, Report):
            headers.append((AUTOMATIC, "failure-notice"))
            language = "en"
            body, content_type = envelopes.lines(notices.sentence(content)), TEXT
        else:
            raise Refused(Reason.NOT_SUPPORTED, "the message asked for no receipt")
    # RFC 3428 section 7: with Date, Expires has a beginning, and a message that waited shows when it
    # was written.
    headers.append(("Date", _date(int(written_at))))
    if content.expires_at is not None:
        headers.append(("Expires", str(max(0, int(content.expires_at - written_at)))))
    if language:
        headers.append(("Content-Language", language))  # MSG-15
    headers.append(("Content-Type", content_type))
    return Draft(
        content.id,
        uri,
        f"{name}<{from_uri}>;tag={tag}",  # MSG-16: no Contact; ADR-21: `gr` inside the brackets
        f"<{to_uri}>",
        call_id,
        max(1, int(content.received_at) - _EPOCH),
        tuple(headers),
        body,
        could_refuse,
    )


def asks_for_failures(report: Report) -> bool:
    """Whether the writer of the message has asked to hear of failures by a notification (RCT-14)."""
    original = original_of(report.origin_id)
    return original is not None and original.wants_failure


def _told(content: Receipt | Report, original: Original) -> tuple[str, str] | None:
    """Kind and status of the notification; None where none was asked for."""
    if isinstance(content, Receipt):
        return envelopes.told(content.disposition)
    if not original.wants_failure:
        return None
    # RFC 5438 section 8.1: who cannot know its fate says `error`; `forbidden` would speak of the notification
    # itself (section 11.1.7).
    return imdn.DELIVERY, "failed" if content.certain else "error"


def _original_at(content: Receipt | Report) -> float:
    sent_at = content.sent_at if isinstance(content, Receipt) else None
    return content.received_at if sent_at is None else sent_at


def _route_of(original: Original, recipient: Address) -> str:
    """The topmost of those that want the notification to pass by them (RFC 5438 section 7.2.1), if it is of
    the same domain: it was the sender who named it, and could have named anybody (section 14)."""
    if not original.routes:
        return ""
    try:
        host = parse_uri(original.routes[0]).host.lower()
    except AddressError:
        return ""
    own = host == recipient.domain or host.endswith(f".{recipient.domain}")
    return original.routes[0] if own else ""


def notice(
    status: IsComposing,
    sender: Address,
    recipient: Address,
    *,
    thread: str,
    tag: str,
    now: float,
    server_name: str,
    spell: Callable[[Address], str],
    form: Form,
) -> Request:
    """That somebody is writing, as a MESSAGE without Via. `tag` is random; `now` is the time of day.

    Raises Refused for an address that SIP cannot carry.
    """
    try:
        uri, from_uri = str(uri_of(recipient, spell(recipient))), str(uri_of(sender))
    except AddressError as error:
        raise Refused(Reason.NOT_FOUND, "no SIP address can be written", detail=str(error)) from None
    content_type, body = iscomposing.MEDIA_TYPE, iscomposing.write(status)
    if form.cpim == "always":
        body = envelopes.wrap(
            Written(content_type, body), sender=from_uri, recipient=uri, message_id=tag, written_at=now
        )
        content_type = cpim.MEDIA_TYPE
    call_id = (call_id_from(thread) if thread else None) or f"{tag}@{server_name}"
    headers = [
        ("Max-Forwards", "70"),
        ("From", f"<{from_uri}>;tag={tag}"),
        ("To", f"<{uri}>"),
        ("Call-ID", call_id),
        ("CSeq", f"{max(1, int(now) - _EPOCH)} MESSAGE"),
        ("Date", _date(int(now))),
        ("Expires", str(status.lasts_s)),  # nobody shall keep it for somebody who is away
        ("Content-Type", content_type),
    ]
    return Request("MESSAGE", uri, headers, body)


def request_for(
    message: Draft, via: str, *, again: int = 0, authorization: tuple[str, str] | None = None
) -> Request:
    """The request to put on the wire. `again` counts the challenges answered: each makes a new CSeq."""
    headers = [
        ("Via", via),
        ("Max-Forwards", "70"),  # RFC 3261 section 8.1.1.6
        ("From", message.sender),
        ("To", message.recipient),
        ("Call-ID", message.call_id),
        ("CSeq", f"{message.cseq + again} MESSAGE"),
    ]
    if authorization is not None:
        headers.append(authorization)
    headers += message.headers
    return Request("MESSAGE", message.uri, headers, message.body)


def branch_for(message: Draft, target: str, answered: int) -> str:
    """The branch of this message to this target, the same whenever it is sent; `answered` counts the final
    responses that it has had from there, each of which has used up a branch."""
    tag = message.id if TOKEN.match(message.id) else digest(message.id)
    where = f"{zlib.crc32(target.encode()):08x}"
    return f"{MAGIC_COOKIE}{tag}.{where}.{answered}" if answered else f"{MAGIC_COOKIE}{tag}.{where}"


@lru_cache(maxsize=64)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)  # RFC 3261 section 20.17: GMT only
