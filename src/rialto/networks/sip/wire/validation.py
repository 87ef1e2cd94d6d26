"""Whether a message that could be read may be worked on: what RFC 3261 asks of every message.

What is checked here is what RFC 4475 calls syntax and what transactions rely on. Left to the layers above,
which have the facts here: Max-Forwards 0 (483), unknown methods (405, 501), Content-Type (415), Accept (406),
whether a Via in a response is ours, and a branch without the magic cookie.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from rialto.networks.sip.wire.errors import BadMessage
from rialto.networks.sip.wire.headers import LISTS, tokens, words
from rialto.networks.sip.wire.message import Request, Response
from rialto.networks.sip.wire.uri import MAILBOX_SCHEMES

# RFC 3261 section 8.1.1. Max-Forwards is missing in what RFC 2543 elements send (RFC 4475 section 3.4.1).
REQUIRED: Final = ("Via", "From", "To", "Call-ID", "CSeq")

_READ: Final = ("Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Type")

# Headers that stand for one thing: two of them are two meanings, and the element before us may have chosen
# the other one (a second From has passed for somebody else: GHSA-8j9p-hpfg-5cg3).
SINGLE: Final = words("""
    Call-ID Content-Disposition Content-Length Content-Transfer-Encoding Content-Type CSeq Date Event Expires
    From Max-Breadth Max-Forwards MIME-Version Min-Expires Refer-To Referred-By Replaces Session-Expires
    SIP-ETag SIP-If-Match Subject Subscription-State Timestamp To
""")
assert not SINGLE & LISTS

KNOWN_SCHEMES: Final = MAILBOX_SCHEMES | {"tel"}

# Methods that have a standard: a CSeq that disagrees with one of these is a fault, with another a 501
# (RFC 4475 section 3.1.2.18).
KNOWN_METHODS: Final = words("""
    ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER SUBSCRIBE UPDATE
""")


def validate(message: Request | Response) -> None:
    """Check what every element must: raises BadMessage with the status that a request deserves.

    Via, From, To, Call-ID, CSeq present and readable; headers that stand for one thing once at most;
    numbers in range; of a request the CSeq method its own, the Request-URI of a known scheme (416) and
    without headers; of a response a single Via (it is for us, who are no proxy).
    """
    firsts = message.firsts
    for name in REQUIRED:
        if name not in firsts:
            raise BadMessage(400, f"Missing {name}", message)
    single = len(firsts) == len(message.headers)
    if not single:
        for name in message.repeated():
            if name in SINGLE:
                raise BadMessage(400, f"More Than One {name}", message)
    if isinstance(message, Request):
        _validate_request(message)
    message.read(_READ)
    if "Contact" in firsts:
        _ = message.contacts  # reading it is checking it
    lone_via = single and "," not in firsts["Via"]  # it has been read above
    if isinstance(message, Response) and not lone_via and len(message.vias) != 1:
        # RFC 3261 section 8.1.3.3, RFC 4475 section 3.3.10
        raise BadMessage(400, "Response For Somebody Else", message)


def _validate_request(request: Request) -> None:
    if request.cseq[1] != request.method:
        if request.method not in KNOWN_METHODS:
            raise BadMessage(501, "Not Implemented", request)
        raise BadMessage(400, "CSeq Method Mismatch", request)
    uri = request.request_uri
    if uri.scheme not in KNOWN_SCHEMES:
        raise BadMessage(416, "Unsupported URI Scheme", request)  # RFC 3261 section 8.2.2.1
    if uri.headers:
        # RFC 3261 section 19.1.1, RFC 4475 section 3.1.2.11
        raise BadMessage(400, "Headers In Request-URI", request)


def unsupported_extensions(request: Request, supported: Collection[str], header: str = "Require") -> None:
    """Raise BadMessage 420 with `Unsupported` if the request requires an option tag not in `supported`.

    RFC 3261 section 8.2.2.3; ACK and CANCEL are never refused so. A proxy gives `header="Proxy-Require"`.
    """
    if header not in request.firsts or request.method in ("ACK", "CANCEL"):
        return
    known = {tag.lower() for tag in supported}
    try:
        wanted = [tag for line in request.get_all(header) for tag in tokens(line)]
    except ValueError as error:
        raise BadMessage(400, f"Malformed {header}: {error}", request) from None
    missing = [tag for tag in wanted if tag.lower() not in known]
    if missing:
        raise BadMessage(420, "Bad Extension", request, headers=(("Unsupported", ", ".join(missing)),))
