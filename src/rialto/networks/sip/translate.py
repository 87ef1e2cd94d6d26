"""MESSAGE requests as our messages (RFC 7572 table 2, RFC 3428). The other way is `drafts`.

What stands in a body is read by `bodies`; who sent it is proven before it comes here (`identity`). A message
is named by what stays the same when it is sent again: its envelope's Message-ID, or else Call-ID, CSeq and
tag.
"""

from __future__ import annotations

import hashlib
import re
from email.utils import parsedate_to_datetime

from msgspec.structs import replace

from rialto.model.address import Address
from rialto.model.errors import AddressError
from rialto.model.message import Disposition, Message
from rialto.networks.sip.addresses import address_of, address_of_header
from rialto.networks.sip.bodies import ACCEPT, Malformed, Said, Unsupported
from rialto.networks.sip.bodies import read as read_body
from rialto.networks.sip.faces import name_of
from rialto.networks.sip.originals import origin_id_of
from rialto.networks.sip.threads import thread_from
from rialto.networks.sip.wire import BadMessage, Request
from rialto.wire.mime import MimeError, decode_transfer

HOP = "Rialto-Hop"
AUTOMATIC = "Rialto-Automatic"
"""Headers of ours: the gateways that a message has passed; that it was written by a program."""

MAX_HOPS = 16
MAX_FORWARDS = 70

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_OLD_S = 10.0
"""A Date further back than this says that the message has been waiting; clocks differ by less."""
TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}\Z", re.ASCII)
LANGUAGE = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*\Z", re.ASCII)


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
    subject = one_line(get("Subject") or "")
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
        subject = subject or one_line(envelope.subject)
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
        stable_id = digest(f"imdn\0{people}\0{message_name}\0{said.text}")
    else:
        number, _ = request.cseq
        stable_id = digest(f"{call_id}\0{number}\0{request.from_.tag or ''}")
    # A call with more than fifteen names costs five times as much (it goes by way of a dictionary), so what
    # is rare is added where it is there.
    message = Message(
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
        nick=nick,
        chat_states=chat_states,
    )
    if wants or said.rich or said.files or said.sealed:
        message = replace(message, wants=wants, rich=said.rich, files=said.files, sealed=said.sealed)
    return replace(message, automatic=True) if is_automatic(request) else message


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
    return tuple(token for token in tokens if TOKEN.match(token))[: MAX_HOPS + 1]


def _number(value: str) -> int | None:
    value = value.strip()
    return min(int(value), 2**31) if value.isascii() and value.isdigit() and len(value) <= 10 else None


def _read_date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def one_line(text: str) -> str:
    """One line of a header: no control characters. (Characters younger than this Python are none.)"""
    return text if text.isprintable() else " ".join(_CONTROL.sub(" ", text).split())


def digest(text: str) -> str:
    """A short name for something long."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def sender_of(request: Request) -> Address:
    """Whom From names, instance included; raises AddressError."""
    return address_of_header(request.from_)
