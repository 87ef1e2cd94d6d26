"""The stage for plays of sessions: links that are not there, and a hub that hears of everything."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from networks.sip.plays import Person, Stage
from rialto.networks.sip.sessions.seam import DISCARD, Outcome, Owner, Place, Result, Terms
from rialto.networks.sip.settings import PeerSettings, Settings
from rialto.networks.sip.wire import Request, Response, response_to
from rialto.networks.sip.wire.message_media import MessageMedia, read_media
from rialto.networks.sip.wire.sdp import parse_sdp

ADDRESSES = {"trust": ("address",), "addresses": ("127.0.0.1",)}
PEER_SDP = (
    b"v=0\r\no=juliet 5 5 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n"
    b"m=message 7000 TCP/MSRP *\r\na=accept-types:message/cpim text/plain text/html\r\n"
    b"a=accept-wrapped-types:*\r\na=path:msrp://198.51.100.7:7000/zz;tcp\r\n"
)
PLAIN_SDP = PEER_SDP.replace(b"message/cpim text/plain text/html", b"text/plain").replace(
    b"a=accept-wrapped-types:*\r\n", b""
)
AUDIO_SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\n"
MICROSOFT_SDP = (
    b"v=0\r\no=- 0 0 IN IP4 192.0.2.9\r\ns=session\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    b"m=message 5060 sip null\r\na=accept-types:text/plain text/html\r\n"
)


class Sent(msgspec.Struct):
    """A message that went over a link."""

    body: bytes
    content_type: str
    message_id: str
    token: object
    success_report: bool
    failure_report: str


class Incoming:
    """A message of theirs; `answer` is what it was answered with."""

    def __init__(
        self,
        body: bytes,
        content_type: str = "text/plain",
        *,
        message_id: str = "m1",
        success_report: bool = False,
        failure_report: str = "yes",
    ) -> None:
        self.body = body
        self.content_type = content_type
        self.message_id = message_id
        self.success_report = success_report
        self.failure_report = failure_report
        self.answer: int | None = None
        self.comment = ""

    def accept(self) -> None:
        assert self.answer is None
        self.answer = 200

    def refuse(self, status: int, comment: str = "") -> None:
        assert self.answer is None
        self.answer, self.comment = status, comment


class Link:
    """One leg, which takes everything unless it is told otherwise."""

    def __init__(self, terms: Terms, owner: Owner) -> None:
        self.terms = terms
        self.owner = owner
        self.secured = terms.place.secure
        self.sent: list[Sent] = []
        self.reports: list[tuple[str, int, int]] = []
        self.closed = False

    def send(
        self,
        body: bytes,
        content_type: str,
        *,
        message_id: str,
        token: object,
        success_report: bool = False,
        failure_report: str = "yes",
    ) -> None:
        assert not self.closed
        self.sent.append(Sent(body, content_type, message_id, token, success_report, failure_report))

    def report(self, message_id: str, status: int, total_bytes: int, comment: str = "") -> None:
        self.reports.append((message_id, status, total_bytes))

    def close(self) -> None:
        self.closed = True

    # what the test makes happen

    def opens(self) -> None:
        self.owner.opened()

    def says(self, incoming: Incoming) -> Incoming:
        self.owner.received(incoming)  # type: ignore[arg-type]
        return incoming

    def answers(self, result: Result = Result.ACCEPTED, status: int = 200, *, sent: bool = True) -> None:
        """The oldest message that was not answered yet."""
        for one in self.sent:
            if one.token is not None:
                token, one.token = one.token, None
                self.owner.outcome(token, Outcome(result, status, "", sent))
                return
        raise AssertionError("nothing to answer")

    def breaks(self) -> None:
        waiting = [one for one in self.sent if one.token is not None]
        for one in waiting:
            token, one.token = one.token, None
            self.owner.outcome(token, Outcome(Result.LOST, 0))
        self.closed = True
        self.owner.closed("connection reset")


class Links:
    """All of them."""

    def __init__(self) -> None:
        self.opened: list[Link] = []
        self.released: list[Place] = []
        self.reserved: list[Place] = []
        self.listens = True
        self.tls = True
        self._numbers = itertools.count(1)

    def reserve(self, *, secure: bool, family_of: str = "") -> Place | None:
        if secure and not self.tls:
            return None
        port = 2855 if self.listens else DISCARD
        scheme = "msrps" if secure else "msrp"
        path = f"{scheme}://192.0.2.1:{port}/s{next(self._numbers)};tcp"
        place = Place((path,), "192.0.2.1", port, secure)
        self.reserved.append(place)
        return place

    def release(self, place: Place) -> None:
        self.released.append(place)

    def open(self, terms: Terms, owner: Owner) -> Link:
        link = Link(terms, owner)
        self.opened.append(link)
        return link


class SessionStage(Stage):
    """A SIP network whose peer is a SIP user agent by hand, with links by hand."""

    def __init__(self, settings: Settings | None = None, **peer: Any) -> None:
        peer.setdefault("transports", ("udp",))
        super().__init__(settings=settings, peer=PeerSettings(**(ADDRESSES | peer)))
        self.links = Links()

    async def __aenter__(self) -> SessionStage:
        await super().__aenter__()
        self.network.sessions.links = self.links
        return self

    async def bob(self) -> Bob:
        """The peer's server, to whom everything goes."""
        person = await self.udp()
        return Bob(self, person)


class Bob:
    """Juliet's user agent, behind her server."""

    def __init__(self, stage: SessionStage, person: Person) -> None:
        self.stage = stage
        self.person = person

    async def hears(self) -> Any:
        return await self.person.hears()

    async def request(self, method: str) -> Request:
        """The next request, which must be of that method."""
        request = await self.person.hears()
        assert isinstance(request, Request), request
        assert request.method == method, request
        return request

    def answers(
        self,
        request: Request,
        status: int,
        body: bytes = b"",
        *headers: tuple[str, str],
        tag: str = "juliet",
    ) -> Response:
        said = [("Contact", f"<sip:juliet@127.0.0.1:{self.person.port}>"), *headers]
        if body:
            said.append(("Content-Type", "application/sdp"))
        response = response_to(request, status, to_tag=tag, headers=said, body=body)
        self.person.say(response)
        return response

    async def picks_up(self, body: bytes = PEER_SDP) -> tuple[Request, Request]:
        """An INVITE is answered with 200; the INVITE and the ACK."""
        invite = await self.request("INVITE")
        self.answers(invite, 200, body)
        return invite, await self.request("ACK")

    def call(
        self,
        body: bytes = PEER_SDP,
        *headers: tuple[str, str],
        to: str = "romeo@xmpp.example",
        call_id: str = "c1",
    ) -> Request:
        """Call Romeo."""
        content = (("Content-Type", "application/sdp"),) if body else ()
        request = self.asks("INVITE", 1, *content, *headers, body=body, to=to, call_id=call_id)
        self.person.say(request)
        return request

    def asks(
        self,
        method: str,
        number: int,
        *headers: tuple[str, str],
        body: bytes = b"",
        to: str = "romeo@xmpp.example",
        to_tag: str = "",
        call_id: str = "c1",
        uri: str = "",
    ) -> Request:
        """A request of hers."""
        return Request(
            method,
            uri or f"sip:{to}",
            [
                ("Via", f"SIP/2.0/UDP 127.0.0.1:1;rport;branch=z9hG4bK{call_id}{method}{number}"),
                ("Max-Forwards", "70"),
                ("From", "<sip:juliet@sip.example>;tag=hers"),
                ("To", f"<sip:{to}>" + (f";tag={to_tag}" if to_tag else "")),
                ("Call-ID", call_id),
                ("CSeq", f"{number} {method}"),
                ("Contact", f"<sip:juliet@127.0.0.1:{self.person.port}>"),
                *headers,
            ],
            body,
        )

    async def is_answered(self) -> Response:
        """The answer to her INVITE, acknowledged."""
        response: Response = await self.person.hears()
        assert isinstance(response, Response), response
        if response.status < 300:
            number = response.cseq[0]
            tag = response.to.tag or ""
            self.person.say(self.asks("ACK", number, to_tag=tag, call_id=response.call_id))
        return response


def media_in(message: Request | Response) -> MessageMedia:
    """What a session description in it says."""
    description = parse_sdp(message.body)
    media = read_media(description.media[0], description.host_of(description.media[0]))
    assert media is not None
    return media
