"""Whether a message that could be read may be worked on: RFC 3261 section 8.2, as a table of rules."""

from __future__ import annotations

from collections.abc import Collection

from rialto.networks.sip.wire.message import Request, Response


def validate(message: Request | Response) -> None:
    """Check what every element must: raises BadMessage with the status that a request deserves.

    Via, From, To, Call-ID, CSeq present, From/To/Call-ID/CSeq/Max-Forwards/Content-* exactly once,
    each of them readable and in range, the method of CSeq that of the request, a Request-URI of a known
    scheme (416). Left to layers above: Max-Forwards 0 (483), unknown methods (405/501), Require (420:
    `unsupported_extensions`), Content-Type (415), a Via that is not ours in a response (drop), and a
    missing magic cookie (`Via.has_cookie`).
    """
    raise NotImplementedError


def unsupported_extensions(request: Request, supported: Collection[str], header: str = "Require") -> None:
    """Raise BadMessage 420 with `Unsupported` if the request requires an option tag not in `supported`.

    RFC 3261 section 8.2.2.3; ACK and CANCEL are never refused so. A proxy gives `header="Proxy-Require"`.
    """
    raise NotImplementedError
