"""SIP requests and responses: headers in order, a body, and typed views that are read when asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from rialto.model.errors import AddressError, LocalProtocolError
from rialto.networks.sip.wire.address import NameAddr, parse_name_addr, parse_name_addrs
from rialto.networks.sip.wire.errors import BadMessage
from rialto.networks.sip.wire.headers import (
    CANONICAL,
    LISTS,
    MediaType,
    canonical,
    has_bare_nul,
    is_token,
    parse_media_type,
    split_commas,
)
from rialto.networks.sip.wire.reasons import reason_for
from rialto.networks.sip.wire.uri import Uri, parse_uri
from rialto.networks.sip.wire.via import Via, parse_top_via, parse_vias

View = TypeVar("View")


class SipMessage:
    """What requests and responses share.

    `headers` are (canonical name, unfolded value) in wire order; change them by `add`, `set`, `remove`
    and `replace_top_via` only, so that the typed views stay true. `body` is what Content-Length framed.
    Every typed view raises BadMessage (with this message in it) when the header is absent or malformed,
    unless it says otherwise.
    """

    __slots__ = ("_firsts", "_repeated", "_views", "body", "headers")

    headers: list[tuple[str, str]]
    body: bytes

    def __init__(self, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        self.headers = [(CANONICAL.get(name) or _canonical(name), value) for name, value in headers]
        self.body = body
        self._firsts: dict[str, str] | None = None
        self._repeated: list[str] | None = None
        self._views: dict[str, Any] = {}

    @property
    def firsts(self) -> Mapping[str, str]:
        """The first value of each header, by canonical name."""
        if self._firsts is None:
            self._firsts = dict(reversed(self.headers))
        return self._firsts

    def get(self, name: str) -> str | None:
        """The first value of that name, any spelling, compact forms included."""
        return self.firsts.get(CANONICAL.get(name) or _canonical(name))

    def get_all(self, name: str) -> list[str]:
        """All values of that name, one per header line."""
        name = CANONICAL.get(name) or _canonical(name)
        return [value for key, value in self.headers if key == name]

    def get_list(self, name: str) -> list[str]:
        """All values of that name, header lines cut at commas: only for headers whose grammar is a list.

        Raises BadMessage for empty elements, LocalProtocolError for a header that is no list.
        """
        name = CANONICAL.get(name) or _canonical(name)
        if name not in LISTS:
            raise LocalProtocolError(f"{name} is no list")
        return self._list(name, split_commas)

    def repeated(self) -> list[str]:
        """The names that stand on more than one line."""
        if self._repeated is None:
            surplus = len(self.headers) - len(self.firsts)
            names = [name for name, _ in self.headers] if surplus else []
            if not surplus:
                self._repeated = []
            elif names.count("Via") == surplus + 1:  # what is usual behind a proxy
                self._repeated = ["Via"]
            else:
                self._repeated = [name for name, count in Counter(names).items() if count > 1]
        return self._repeated

    def add(self, name: str, value: str) -> None:
        """Append a header line."""
        self.headers.append((CANONICAL.get(name) or _canonical(name), value))
        self._forget()

    def set(self, name: str, value: str) -> None:
        """Replace all lines of that name by one, in the place of the first (or at the end)."""
        name = CANONICAL.get(name) or _canonical(name)
        place = next((i for i, (key, _) in enumerate(self.headers) if key == name), len(self.headers))
        self.remove(name)
        self.headers.insert(place, (name, value))

    def remove(self, name: str) -> None:
        """Remove all lines of that name."""
        name = CANONICAL.get(name) or _canonical(name)
        self.headers = [header for header in self.headers if header[0] != name]
        self._forget()

    def _forget(self) -> None:
        self._firsts = self._repeated = None
        self._views.clear()

    def read(self, names: Iterable[str]) -> None:
        """Read the typed views of these headers, as far as they are there; raises BadMessage."""
        firsts, views = self.firsts, self._views
        for name in names:
            text = firsts.get(name)
            if text is not None and name not in views:
                try:
                    views[name] = _VIEWS[name](text)
                except (ValueError, AddressError) as error:
                    raise BadMessage(400, f"Malformed {name}: {error}", self) from None

    def _view(self, name: str) -> Any:
        """The first value of a header, read once."""
        view = self._views.get(name)
        if view is None:
            if name not in self.firsts:
                raise BadMessage(400, f"Missing {name}", self)
            self.read((name,))
            view = self._views[name]
        return view

    def _list(self, name: str, parse: Callable[[str], list[View]]) -> list[View]:
        """All values of a header, over all its lines."""
        try:
            return [element for line in self.get_all(name) for element in parse(line)]
        except (ValueError, AddressError) as error:
            raise BadMessage(400, f"Malformed {name}: {error}", self) from None

    @property
    def top_via(self) -> Via:
        """The first Via value, the only one that transactions look at."""
        via: Via = self._views.get("Via") or self._view("Via")
        return via

    @property
    def vias(self) -> list[Via]:
        """All Via values, top first; empty when there are none."""
        return self._list("Via", parse_vias)

    def replace_top_via(self, via: Via) -> None:
        """Write another first Via value (with `received` and `rport` noted), leaving those below."""
        for place, (name, value) in enumerate(self.headers):
            if name == "Via":
                text = str(via)
                if "," in value:
                    text = ", ".join([text, *split_commas(value)[1:]])
                self.headers[place] = (name, text)
                break
        else:
            raise LocalProtocolError("there is no Via to replace")
        if self._firsts is not None:
            self._firsts["Via"] = text
        self._views["Via"] = via

    @property
    def from_(self) -> NameAddr:
        """The From header."""
        sender: NameAddr = self._views.get("From") or self._view("From")
        return sender

    @property
    def to(self) -> NameAddr:
        """The To header."""
        to: NameAddr = self._views.get("To") or self._view("To")
        return to

    @property
    def contacts(self) -> list[NameAddr]:
        """All Contact values; empty when there are none, or for `Contact: *`."""
        if "Contact" not in self.firsts or self.firsts["Contact"] == "*":
            return []
        return self._list("Contact", parse_name_addrs)

    @property
    def call_id(self) -> str:
        """The Call-ID, compared byte by byte (RFC 3261 section 20.8)."""
        call_id: str = self._views.get("Call-ID") or self._view("Call-ID")
        return call_id

    @property
    def cseq(self) -> tuple[int, str]:
        """The number and the method of CSeq."""
        cseq: tuple[int, str] = self._views.get("CSeq") or self._view("CSeq")
        return cseq

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards, None if absent."""
        return self._view("Max-Forwards") if "Max-Forwards" in self.firsts else None

    @property
    def content_type(self) -> MediaType | None:
        """Content-Type, None if absent."""
        return self._view("Content-Type") if "Content-Type" in self.firsts else None

    @property
    def content_length(self) -> int | None:
        """Content-Length as the peer stated it, None if absent."""
        text = self.firsts.get("Content-Length")
        if text is None:
            return None
        if "Content-Length" in self.repeated():
            raise BadMessage(400, "More Than One Content-Length", self)  # RFC 4475 section 3.3.9
        if not (text.isascii() and text.isdigit() and len(text) <= 10):
            raise BadMessage(400, "Malformed Content-Length", self)  # RFC 4475 section 3.1.2.3
        return int(text)

    def answerable(self) -> Request | None:
        """This message, if it is a request that wants an answer and can be given one."""
        return None

    def _start_line(self) -> str:
        raise NotImplementedError

    def encode(self) -> bytes:
        """The message as it goes on the wire, Content-Length always written and always right.

        Raises LocalProtocolError for a CR, LF or NUL in anything that goes into a line.
        """
        lines = [self._start_line()]
        lines += [f"{name}: {value}" for name, value in self.headers if name != "Content-Length"]
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        head = "\r\n".join(lines)
        # Every line end is one of ours, or somebody smuggled one in.
        if head.count("\n") != len(lines) + 1 or head.count("\r") != len(lines) + 1:
            raise LocalProtocolError("a line end inside a header")
        if has_bare_nul(head):
            raise LocalProtocolError("a NUL inside a header")
        try:
            return head.encode() + self.body
        except UnicodeEncodeError:
            raise LocalProtocolError("a lone surrogate inside a header") from None


class Request(SipMessage):
    """A SIP request. `uri` is the Request-URI as written, `method` is case-sensitive."""

    __slots__ = ("method", "uri")

    def __init__(
        self, method: str, uri: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        self.method = method
        self.uri = uri
        super().__init__(headers, body)

    @property
    def request_uri(self) -> Uri:
        """The Request-URI, read; raises BadMessage."""
        try:
            return parse_uri(self.uri)
        except AddressError as error:
            raise BadMessage(400, f"Malformed Request-URI: {error}", self) from None

    def answerable(self) -> Request | None:
        """This message, unless it is an ACK (RFC 3261 section 17) or has no Via to answer by."""
        return None if self.method == "ACK" or "Via" not in self.firsts else self

    def _start_line(self) -> str:
        if " " in self.uri or not is_token(self.method):
            raise LocalProtocolError("a start line that would fall apart")
        return f"{self.method} {self.uri} SIP/2.0"

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.firsts.get('Call-ID')} {self.firsts.get('CSeq')}>"


class Response(SipMessage):
    """A SIP response. `status` is 100 to 699."""

    __slots__ = ("reason", "status")

    def __init__(
        self, status: int, reason: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        self.status = status
        self.reason = reason
        super().__init__(headers, body)

    def _start_line(self) -> str:
        if not 100 <= self.status <= 699:
            raise LocalProtocolError(f"{self.status} is no SIP status")
        return f"SIP/2.0 {self.status} {self.reason}"

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.firsts.get('Call-ID')} {self.firsts.get('CSeq')}>"


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
    firsts = request.firsts
    if "Via" not in firsts:
        raise LocalProtocolError("a response needs the Via of its request")
    copied = [header for header in request.headers if header[0] == "Via"]
    for name in ("From", "To", "Call-ID", "CSeq"):
        value = firsts.get(name)
        if value is not None:
            if name == "To" and to_tag is not None and status != 100 and _lacks_tag(request):
                value = f"{value};tag={to_tag}"
            copied.append((name, value))
    if status == 100 and "Timestamp" in firsts:  # RFC 3261 section 8.2.6.1
        copied.append(("Timestamp", firsts["Timestamp"]))
    response = Response(status, reason_for(status) if reason is None else reason, headers, body)
    response.headers[:0] = copied
    return response


def _lacks_tag(request: Request) -> bool:
    """Whether a tag can be appended to the To: it is there, it can be read, and it has none."""
    try:
        return request.to.tag is None
    except BadMessage:
        return False


def _canonical(name: str) -> str:
    try:
        return canonical(name)
    except ValueError as error:
        raise LocalProtocolError(str(error)) from None


def _parse_call_id(text: str) -> str:
    if not text or " " in text or "\t" in text:
        raise ValueError("one word expected")
    return text


def _parse_cseq(text: str) -> tuple[int, str]:
    number, _, method = text.partition(" ")
    method = method.strip(" \t")
    if not (number.isascii() and number.isdigit()) or not is_token(method):
        number, method = _split_loosely(text)
    value = int(number) if len(number) <= 32 else 2**32
    if value >= 2**32:  # RFC 3261 section 8.1.1.5, RFC 4475 section 3.1.2.4
        raise ValueError("number out of range")
    return value, method


def _split_loosely(text: str) -> tuple[str, str]:
    parts = text.split()
    if len(parts) != 2 or not (parts[0].isascii() and parts[0].isdigit()) or not is_token(parts[1]):
        raise ValueError("number and method expected")
    return parts[0], parts[1]


def _parse_max_forwards(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 8 or int(text) > 255:
        raise ValueError("0 to 255 expected")  # RFC 3261 section 20.22
    return int(text)


_VIEWS: Final[dict[str, Callable[[str], Any]]] = {
    "Via": parse_top_via,
    "From": parse_name_addr,
    "To": parse_name_addr,
    "Call-ID": _parse_call_id,
    "CSeq": _parse_cseq,
    "Max-Forwards": _parse_max_forwards,
    "Content-Type": parse_media_type,
}
