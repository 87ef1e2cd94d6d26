"""MESSAGE requests and our messages (RFC 7572 tables 1 and 2, RFC 3428).

Out, nothing is left to chance: Call-ID, From tag, CSeq and branch follow from the message's id (and, for the
branch, from the target, because another target means another transaction: RFC 3263 section 4.3). A message
that was on the wire before a crash is the same request after it, which its receiver recognises as a
retransmission, or at least as the same message. A thread makes the Call-ID; the From tag is then what tells
its messages apart (RFC 3261 section 8.2.2.2), and CSeq follows the clock, so that it grows within a thread.

What stands in a body is read by `bodies` and written by `envelopes`.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

import msgspec

from rialto.model.address import Address
from rialto.model.errors import AddressError, Reason, Refused
from rialto.model.message import Content, Disposition, Message, Receipt, Report
from rialto.networks.sip import envelopes, notices
from rialto.networks.sip.abilities import CPIM, FORM
from rialto.networks.sip.addresses import address_of, address_of_header, uri_of
from rialto.networks.sip.bodies import ACCEPT, Malformed, Said, Unsupported
from rialto.networks.sip.bodies import read as read_body
from rialto.networks.sip.envelopes import PLAIN, TEXT, Form, Written
from rialto.networks.sip.faces import display, name_of
from rialto.networks.sip.originals import Original, origin_id_of, original_of
from rialto.networks.sip.threads import call_id_from, thread_from
from rialto.networks.sip.wire import MAGIC_COOKIE, BadMessage, Request, parse_uri
from rialto.wire import cpim, imdn, iscomposing
from rialto.wire.iscomposing import IsComposing
from rialto.wire.mime import MimeError, decode_transfer

HOP = "Rialto-Hop"
AUTOMATIC = "Rialto-Automatic"
"""Headers of ours: the gateways that a message has passed; that it was written by a program."""

MAX_HOPS = 16
MAX_FORWARDS = 70

_EPOCH = 1_577_836_800  # 2020-01-01: keeps CSeq below 2**31 (RFC 3261 section 8.1.1.5) until 2088
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_OLD_S = 10.0
"""A Date further back than this says that the message has been waiting; clocks differ by less."""
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}\Z", re.ASCII)
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*\Z", re.ASCII)


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
    tag = content.id if _TOKEN.match(content.id) else _digest(content.id)
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
        language = content.language if _LANGUAGE.match(content.language) else ""
        if content.subject:
            headers.append(("Subject", _line(content.subject)))
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
                nick=_line(content.nick),
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
    tag = message.id if _TOKEN.match(message.id) else _digest(message.id)
    where = f"{zlib.crc32(target.encode()):08x}"
    return f"{MAGIC_COOKIE}{tag}.{where}.{answered}" if answered else f"{MAGIC_COOKIE}{tag}.{where}"


def read(request: Request) -> Said:
    """What a MESSAGE says. Raises BadMessage with 400 or 415, and the headers that these must carry."""
    firsts = request.firsts
    if "Content-Encoding" in firsts and firsts["Content-Encoding"].strip().lower() not in ("", "identity"):
        raise BadMessage(
            415, "Unsupported Content Encoding", request, headers=(("Accept-Encoding", "identity"),)
        )
    if "Content-Disposition" in firsts:
        _check_disposition(request)
    body = request.body
    if "Content-Transfer-Encoding" in firsts:
        try:
            body = decode_transfer(body, firsts["Content-Transfer-Encoding"])
        except MimeError as error:
            raise BadMessage(400, f"Malformed Body: {error}", request) from None
    try:
        return read_body(request.content_type, body, language=firsts.get("Content-Language"))
    except Unsupported:
        raise unsupported(request) from None
    except Malformed as error:
        raise BadMessage(400, str(error), request) from None


def to_message(
    request: Request,
    sender: Address,
    message_id: str,
    now: float,
    said: Said | None = None,
    *,
    receipts: bool = True,
    chat_states: bool = False,
) -> Message | None:
    """Read a MESSAGE from a proven sender; None for one that says nothing.

    `said` is what `read` gave, `receipts` whether requests for them are heard, `chat_states` whether its
    sender can be told that somebody is writing. Raises BadMessage with 400, 404, 415 or 416, and the headers
    that these must carry.
    """
    get = request.firsts.get
    if said is None:
        said = read(request)
    if not (said.text or said.files or said.sealed):
        return None  # nothing was said: an empty message would be a riddle to its reader (MSG-28)
    recipient = recipient_of(request)
    call_id = request.call_id
    subject = _line(get("Subject") or "")
    nick = name_of(request, sender)
    origin_id = request.top_via.branch or call_id  # RFC 7572 table 2: the transaction identifier
    sent_at = None
    envelope = said.envelope
    wants: tuple[Disposition, ...] = ()
    message_name = ""
    if envelope is not None:
        around = envelope.sender
        if around is not None and around.bare == sender.bare:
            # What an envelope says of its sender is believed where it agrees (RFC 5438 section 9).
            nick = nick or envelope.nick
            if not sender.instance:
                sender = around
        subject = subject or _line(envelope.subject)
        sent_at = envelope.sent_at
        message_name = envelope.message_id
        if receipts and (name := origin_id_of(envelope)):
            origin_id = name
            wants = envelope.wants
    if sent_at is None and (value := get("Date")) is not None:
        sent_at = _read_date(value)
    expires_at = None
    if (value := get("Expires")) is not None and (seconds := _number(value)) is not None:
        expires_at = (now if sent_at is None else sent_at) + seconds
    if sent_at is not None and not sent_at < now - _OLD_S:
        sent_at = None
    if message_name:
        # Survives a resend with everything else new. Some have called every message the same, so what it says
        # counts as well.
        people = f"{sender.local}@{sender.domain}\0{recipient.local}@{recipient.domain}"
        stable_id = _digest(f"imdn\0{people}\0{message_name}\0{said.text}")
    else:
        number, _ = request.cseq
        stable_id = _digest(f"{call_id}\0{number}\0{request.from_.tag or ''}")
    return Message(
        id=message_id,
        sender=sender,
        recipient=recipient,
        text=said.text,
        received_at=now,
        language=said.language,
        subject=subject,
        thread=thread_from(call_id),
        origin_id=origin_id,
        stable_id=stable_id,
        sent_at=sent_at,
        expires_at=expires_at,
        hops=_hops(request) if HOP in request.firsts else (),
        automatic=is_automatic(request),
        nick=nick,
        wants=wants,
        rich=said.rich,
        files=said.files,
        sealed=said.sealed,
        chat_states=chat_states,
    )


def recipient_of(request: Request) -> Address:
    """Who a request is for. Raises BadMessage with 404."""
    try:
        recipient = address_of(request.request_uri)
    except AddressError as error:
        raise BadMessage(404, f"{error}", request) from None
    if not recipient.local:
        raise BadMessage(404, "Nobody Named In Request-URI", request)
    return recipient


def is_automatic(request: Request) -> bool:
    """Whether a program wrote it in answer to something (ours says so, and so do RFC 3834's users)."""
    firsts = request.firsts
    if AUTOMATIC in firsts:
        return True
    submitted = firsts.get("Auto-Submitted")
    return submitted is not None and submitted.strip().lower() != "no"


# Reading


def unsupported(request: Request) -> BadMessage:
    """Section 8.2.3 of RFC 3261."""
    return BadMessage(415, "Unsupported Media Type", request, headers=(("Accept", ACCEPT),))


def _check_disposition(request: Request) -> None:
    value = request.firsts["Content-Disposition"]
    kind, _, params = value.partition(";")
    # `notification` is what RFC 5438 section 7.2.1 marks its documents with.
    if kind.strip().lower() in ("render", "notification"):
        return
    if "handling=optional" not in params.replace(" ", "").lower():
        raise unsupported(request)  # RFC 3261 section 20.11


def _hops(request: Request) -> tuple[str, ...]:
    tokens = (token.strip() for line in request.get_all(HOP) for token in line.split(","))
    # One more than we would ever let pass is enough to know that it is too many.
    return tuple(token for token in tokens if _TOKEN.match(token))[: MAX_HOPS + 1]


def _number(value: str) -> int | None:
    value = value.strip()
    return min(int(value), 2**31) if value.isascii() and value.isdigit() and len(value) <= 10 else None


def _read_date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


# Writing


@lru_cache(maxsize=64)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)  # RFC 3261 section 20.17: GMT only


def _line(text: str) -> str:
    """One line of a header: no control characters. (Characters younger than this Python are none.)"""
    return text if text.isprintable() else " ".join(_CONTROL.sub(" ", text).split())


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def sender_of(request: Request) -> Address:
    """Whom From names, instance included; raises AddressError."""
    return address_of_header(request.from_)
