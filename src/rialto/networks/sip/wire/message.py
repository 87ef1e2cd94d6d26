"""SIP requests and responses: headers in order, a body, and typed views that are read when asked for."""

from __future__ import annotations

from collections.abc import Iterable

from rialto.networks.sip.wire.address import NameAddr
from rialto.networks.sip.wire.headers import MediaType
from rialto.networks.sip.wire.uri import Uri
from rialto.networks.sip.wire.via import Via


class SipMessage:
    """What requests and responses share.

    `headers` are (canonical name, unfolded value) in wire order; change them by `add`, `set`, `remove`
    and `replace_top_via` only, so that the typed views stay true. `body` is what Content-Length framed.
    Every typed view raises BadMessage (with this message in it) when the header is absent or malformed,
    unless it says otherwise.
    """

    __slots__ = ("body", "headers")

    headers: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> str | None:
        """The first value of that name, any spelling, compact forms included."""
        raise NotImplementedError

    def get_all(self, name: str) -> list[str]:
        """All values of that name, one per header line."""
        raise NotImplementedError

    def get_list(self, name: str) -> list[str]:
        """All values of that name, header lines cut at commas: only for headers whose grammar is a list.

        Raises BadMessage for empty elements, LocalProtocolError for a header that is no list.
        """
        raise NotImplementedError

    def add(self, name: str, value: str) -> None:
        """Append a header line."""
        raise NotImplementedError

    def set(self, name: str, value: str) -> None:
        """Replace all lines of that name by one, in the place of the first (or at the end)."""
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """Remove all lines of that name."""
        raise NotImplementedError

    @property
    def top_via(self) -> Via:
        """The first Via value, the only one that transactions look at."""
        raise NotImplementedError

    @property
    def vias(self) -> list[Via]:
        """All Via values, top first."""
        raise NotImplementedError

    def replace_top_via(self, via: Via) -> None:
        """Write another first Via value (with `received` and `rport` noted), leaving those below."""
        raise NotImplementedError

    @property
    def from_(self) -> NameAddr:
        """The From header."""
        raise NotImplementedError

    @property
    def to(self) -> NameAddr:
        """The To header."""
        raise NotImplementedError

    @property
    def contacts(self) -> list[NameAddr]:
        """All Contact values; empty when there are none, or for `Contact: *`."""
        raise NotImplementedError

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        raise NotImplementedError

    @property
    def cseq(self) -> tuple[int, str]:
        """The number and the method of CSeq."""
        raise NotImplementedError

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards, None if absent."""
        raise NotImplementedError

    @property
    def content_type(self) -> MediaType | None:
        """Content-Type, None if absent."""
        raise NotImplementedError

    @property
    def content_length(self) -> int | None:
        """Content-Length as the peer stated it, None if absent."""
        raise NotImplementedError

    def encode(self) -> bytes:
        """The message as it goes on the wire, Content-Length always written and always right.

        Raises LocalProtocolError for a CR, LF or NUL in anything that goes into a line.
        """
        raise NotImplementedError


class Request(SipMessage):
    """A SIP request. `uri` is the Request-URI as written, `method` is case-sensitive."""

    __slots__ = ("method", "uri")

    def __init__(
        self, method: str, uri: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        raise NotImplementedError

    @property
    def request_uri(self) -> Uri:
        """The Request-URI, read; raises BadMessage."""
        raise NotImplementedError


class Response(SipMessage):
    """A SIP response. `status` is 100 to 699."""

    __slots__ = ("reason", "status")

    def __init__(
        self, status: int, reason: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        raise NotImplementedError


def response_to(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """The response that RFC 3261 section 8.2.6 builds from a request.

    Copies all Via lines, From, To, Call-ID and CSeq as they stand, and Timestamp into a 100; appends
    `to_tag` to a To without a tag unless `status` is 100. `reason` defaults to the status's own phrase.
    What a malformed request lacks, the response lacks too (RFC 4475 section 3.3.1); raises
    LocalProtocolError only if there is no Via to send it by.
    """
    raise NotImplementedError
