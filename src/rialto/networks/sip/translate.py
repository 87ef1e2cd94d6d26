"""MESSAGE requests and our messages (RFC 7572 tables 1 and 2, RFC 3428).

Out, nothing is left to chance: Call-ID, From tag, CSeq and branch follow from the message's id (and, for the
branch, from the target, because another target means another transaction: RFC 3263 section 4.3). A message
that was on the wire before a crash is the same request after it, which its receiver recognises as a
retransmission, or at least as the same message. A thread makes the Call-ID; the From tag is then what tells
its messages apart (RFC 3261 section 8.2.2.2), and CSeq follows the clock, so that it grows within a thread.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable
from datetime import datetime
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

import msgspec

from rialto.model.address import Address
from rialto.model.errors import AddressError, Reason, Refused
from rialto.model.message import Content, Message, Report
from rialto.networks.sip import notices
from rialto.networks.sip.addresses import address_of, address_of_header, uri_of
from rialto.networks.sip.faces import display, name_of
from rialto.networks.sip.threads import call_id_from, thread_from
from rialto.networks.sip.wire import MAGIC_COOKIE, BadMessage, Request, parse_uri
from rialto.networks.sip.wire.headers import parse_media_type
from rialto.wire import cpim

HOP = "Rialto-Hop"
AUTOMATIC = "Rialto-Automatic"
"""Headers of ours: the gateways that a message has passed; that it was written by a program."""

ACCEPT = "text/plain, message/cpim"
MAX_HOPS = 16
MAX_FORWARDS = 70

_EPOCH = 1_577_836_800  # 2020-01-01: keeps CSeq below 2**31 (RFC 3261 section 8.1.1.5) until 2088
_OLD_S = 10.0
"""A Date further back than this says that the message has been waiting; clocks differ by less."""
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}\Z", re.ASCII)
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*\Z", re.ASCII)
_UNDERSTOOD = (
    "From",
    "To",
    "cc",
    "DateTime",
    "Subject",
    "NS",
    "Require",
    "Message-ID",
    "Disposition-Notification",
)


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


def draft(content: Content, *, server_name: str, spell: Callable[[Address], str]) -> Draft:
    """Write a message or a report as a MESSAGE; `spell` tells how somebody writes the own user part.

    Raises Refused for an address that SIP cannot carry.
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
    text: str
    name = ""
    if isinstance(content, Report):
        text = notices.sentence(content)
        written_at = content.received_at
        headers.append((AUTOMATIC, "failure-notice"))
        language = "en"
    else:
        text = content.text
        name = display(content.nick)
        written_at = content.received_at if content.sent_at is None else content.sent_at
        language = content.language
        if content.subject:
            headers.append(("Subject", _line(content.subject)))
        if content.hops:
            headers.append((HOP, ", ".join(content.hops)))
        if content.automatic:
            headers.append((AUTOMATIC, "yes"))
    # RFC 3428 section 7: with Date, Expires has a beginning, and a message that waited shows when it
    # was written.
    headers.append(("Date", _date(int(written_at))))
    if content.expires_at is not None:
        headers.append(("Expires", str(max(0, int(content.expires_at - written_at)))))
    if _LANGUAGE.match(language):
        headers.append(("Content-Language", language))  # MSG-15
    headers.append(("Content-Type", "text/plain;charset=UTF-8"))
    body = (
        text.replace("\r\n", "\n").replace("\n", "\r\n") if "\n" in text else text
    )  # RFC 2046 section 4.1.1
    return Draft(
        content.id,
        uri,
        f"{name}<{from_uri}>;tag={tag}",  # MSG-16: no Contact; ADR-21: `gr` inside the brackets
        f"<{uri}>",
        call_id,
        max(1, int(content.received_at) - _EPOCH),
        tuple(headers),
        body.encode("utf-8", "replace"),
    )


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


class Body(msgspec.Struct, frozen=True):
    """What a MESSAGE says, and what its CPIM envelope (if it has one) adds."""

    text: str
    language: str = ""
    subject: str = ""
    sender: Address | None = None
    message_id: str = ""
    sent_at: float | None = None


def to_message(request: Request, sender: Address, message_id: str, now: float) -> Message | None:
    """Read a MESSAGE from a proven sender; None for one that says nothing.

    Raises BadMessage with 400, 404, 415 or 416, and the headers that these must carry.
    """
    get = request.firsts.get
    body = _read(request)
    if not body.text:
        return None  # nothing was said: an empty message would be a riddle to its reader (MSG-28)
    try:
        recipient = address_of(request.request_uri)
    except AddressError as error:
        raise BadMessage(404, f"{error}", request) from None
    if not recipient.local:
        raise BadMessage(404, "Nobody Named In Request-URI", request)
    if body.sender is not None and not sender.instance and body.sender.bare == sender:
        sender = (
            body.sender
        )  # a CPIM From is believed where it agrees (RFC 5438 section 9), for the instance it adds
    sent_at = body.sent_at
    if sent_at is None and (value := get("Date")) is not None:
        sent_at = _read_date(value)
    expires_at = None
    if (value := get("Expires")) is not None and (seconds := _number(value)) is not None:
        expires_at = (now if sent_at is None else sent_at) + seconds
    if sent_at is not None and not sent_at < now - _OLD_S:
        sent_at = None
    number, _ = request.cseq
    call_id = request.call_id
    if body.message_id:
        stable_id = _digest(f"imdn\0{body.message_id}")  # survives a resend with everything else new
    else:
        stable_id = _digest(f"{call_id}\0{number}\0{request.from_.tag or ''}")
    return Message(
        id=message_id,
        sender=sender,
        recipient=recipient,
        text=body.text,
        received_at=now,
        language=body.language,
        subject=_line(get("Subject") or "") or body.subject,
        thread=thread_from(call_id),
        origin_id=request.top_via.branch or call_id,  # RFC 7572 table 2: the transaction identifier
        stable_id=stable_id,
        sent_at=sent_at,
        expires_at=expires_at,
        hops=_hops(request) if HOP in request.firsts else (),
        automatic=is_automatic(request),
        nick=name_of(request, sender),
    )


def is_automatic(request: Request) -> bool:
    """Whether a program wrote it in answer to something (ours says so, and so do RFC 3834's users)."""
    firsts = request.firsts
    if AUTOMATIC in firsts:
        return True
    submitted = firsts.get("Auto-Submitted")
    return submitted is not None and submitted.strip().lower() != "no"


# Reading


def _read(request: Request) -> Body:
    encoding = request.firsts.get("Content-Encoding")
    if encoding is not None and encoding.strip().lower() not in ("", "identity"):
        raise BadMessage(
            415, "Unsupported Content Encoding", request, headers=(("Accept-Encoding", "identity"),)
        )
    _check_disposition(request)
    media = request.content_type
    if media is None:
        # QUIRK(small devices): RFC 3261 section 20.15 wants a type; without one it can only be a text.
        return Body(_decode(request.body, None, request), _language(request.firsts.get("Content-Language")))
    if media.essence == "text/plain":
        return Body(
            _decode(request.body, media.param("charset"), request),
            _language(request.firsts.get("Content-Language")),
        )
    if media.essence == "message/cpim":
        return _unwrap(request)
    raise _unsupported(request)


def _unwrap(request: Request) -> Body:
    try:
        envelope = cpim.parse(request.body, _UNDERSTOOD)
        inner = parse_media_type(envelope.content_header("Content-Type") or "text/plain")
    except cpim.CpimError as error:
        raise BadMessage(400, f"Malformed message/cpim: {error}", request) from None
    except ValueError:
        raise BadMessage(400, "Malformed Content-Type In message/cpim", request) from None
    if inner.essence != "text/plain" or envelope.content_header("Content-Transfer-Encoding") is not None:
        raise _unsupported(request)
    subject = envelope.get("Subject")
    imdn = envelope.get("Message-ID", cpim.IMDN)
    stamp = envelope.get("DateTime")
    return Body(
        _decode(envelope.content, inner.param("charset"), request),
        _language(envelope.content_header("Content-Language") or request.firsts.get("Content-Language")),
        _line(subject.value) if subject else "",
        _cpim_sender(envelope),
        imdn.value[:255] if imdn else "",
        _read_time(stamp.value) if stamp else None,
    )


def _cpim_sender(envelope: cpim.Cpim) -> Address | None:
    header = envelope.get("From")
    if header is None:
        return None
    try:
        return address_of(parse_uri(cpim.parse_address(header.value)[1]))
    except (cpim.CpimError, AddressError):
        return None


def _unsupported(request: Request) -> BadMessage:
    return BadMessage(415, "Unsupported Media Type", request, headers=(("Accept", ACCEPT),))


def _check_disposition(request: Request) -> None:
    value = request.firsts.get("Content-Disposition")
    if value is None:
        return
    kind, _, params = value.partition(";")
    if kind.strip().lower() != "render" and "handling=optional" not in params.replace(" ", "").lower():
        raise _unsupported(request)  # RFC 3261 section 20.11


def _decode(data: bytes, charset: str | None, request: Request) -> str:
    name = (charset or "utf-8").strip("\"' ").lower()
    try:
        text = data.decode("utf-8" if name in ("utf8", "us-ascii", "ascii") else name)
    except LookupError:
        raise _unsupported(request) from None
    except (UnicodeDecodeError, ValueError):
        # QUIRK(old phones): what is no UTF-8 is the Latin-1 of whoever did not think of it; nothing
        # is lost by it.
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n") if "\r" in text else text


def _hops(request: Request) -> tuple[str, ...]:
    tokens = (token.strip() for line in request.get_all(HOP) for token in line.split(","))
    # One more than we would ever let pass is enough to know that it is too many.
    return tuple(token for token in tokens if _TOKEN.match(token))[: MAX_HOPS + 1]


def _language(value: str | None) -> str:
    first = (value or "").split(",")[0].strip()
    return first if _LANGUAGE.match(first) else ""


def _number(value: str) -> int | None:
    value = value.strip()
    return min(int(value), 2**31) if value.isascii() and value.isdigit() and len(value) <= 10 else None


def _read_date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def _read_time(value: str) -> float | None:
    try:
        moment = datetime.fromisoformat(value.strip())  # RFC 3339
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None


# Writing


@lru_cache(maxsize=64)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)  # RFC 3261 section 20.17: GMT only


def _line(text: str) -> str:
    """One line of a header: no control characters."""
    return (
        text if text.isprintable() else " ".join("".join(c if c.isprintable() else " " for c in text).split())
    )


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def sender_of(request: Request) -> Address:
    """Whom From names, instance included; raises AddressError."""
    return address_of_header(request.from_)
