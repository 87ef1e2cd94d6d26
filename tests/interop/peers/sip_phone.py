"""A SIP phone for messages in sessions: INVITE with MSRP, or with MESSAGE inside the dialog, written as text.

It registers nowhere (SIPp does that for it), proves itself to the proxy by digest, and knows nothing of the
gateway's code.
"""

import asyncio
import hashlib
import re
import socket
import uuid
from collections.abc import Sequence

from . import addresses
from .msrp_socket import MsrpSocket
from .sip_text import SipText, read_sip

PROXY = (addresses.SIP, 5060)
ACCEPTS = "a=accept-types:message/cpim text/plain\r\na=accept-wrapped-types:*\r\n"
MICROSOFT = (
    "v=0\r\no=- 0 0 IN IP4 {host}\r\ns=session\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=message {port} sip null\r\na=accept-types:text/plain text/html\r\n"
)


class SipPhone:
    """`user`@sip.example at `port`. `heard` has every request and answer in the order of arrival."""

    def __init__(self, user: str, port: int) -> None:
        self.user = user
        self.uri = f"sip:{user}@{addresses.SIP_DOMAIN}"
        self.heard: list[SipText] = []
        self.host, self.port = addresses.CLIENTS, port
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.host, port))
        self._socket.setblocking(False)
        self._news = asyncio.Condition()
        self._taken: set[int] = set()
        self._media: list[MsrpSocket] = []
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    def close(self) -> None:
        """Say nothing more."""
        self._listening.cancel()
        self._socket.close()
        for media in self._media:
            media.close()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        seen: set[tuple[str, str]] = set()
        while True:
            text = read_sip(await loop.sock_recv(self._socket, 65536))
            if text.status == 0 and text.method != "ACK":
                key = (text["via"], text["cseq"])
                if key in seen:
                    continue  # a retransmission
                seen.add(key)
            async with self._news:
                self.heard.append(text)
                self._news.notify_all()

    async def hears(self, what: str, timeout_s: float = 10.0) -> SipText:
        """The next request of that method, or the next answer (`200 INVITE`), not taken before."""

        def found() -> SipText | None:
            for text in self.heard:
                name = text.method if not text.status else f"{text.status} {text.method}"
                if name == what and id(text) not in self._taken:
                    self._taken.add(id(text))
                    return text
            return None

        async with asyncio.timeout(timeout_s), self._news:
            while (text := found()) is None:
                await self._news.wait()
            return text

    def methods(self) -> list[str]:
        """Of the requests so far."""
        return [text.method for text in self.heard if not text.status]

    def say(self, text: str, body: str = "") -> None:
        """Send one message to the proxy."""
        data = text.replace("\n", "\r\n") + f"Content-Length: {len(body.encode())}\r\n\r\n{body}"
        self._socket.sendto(data.encode(), PROXY)

    # -- being called ------------------------------------------------------------------------------------

    def answer(self, request: SipText, status: str, body: str = "", kind: str = "application/sdp") -> None:
        """Answer a request."""
        lines = [f"SIP/2.0 {status}\n"]
        for name in ("via", "record-route"):
            lines += [f"{name.title()}: {value}\n" for value in request.headers.get(name, [])]
        to = request["to"] if "tag=" in request["to"] else f"{request['to']};tag=phone{self.port}"
        lines.append(f"From: {request['from']}\nTo: {to}\n")
        lines.append(f"Call-ID: {request['call-id']}\nCSeq: {request['cseq']}\n")
        lines.append(f"Contact: <sip:{self.user}@{self.host}:{self.port}>\n")
        if body:
            lines.append(f"Content-Type: {kind}\n")
        self.say("".join(lines), body)

    async def picks_up(self, extra: str = "") -> tuple["Talk", MsrpSocket]:
        """Take the next call, for MSRP: the caller connects."""
        invite = await self.hears("INVITE")
        media = MsrpSocket(wait=True)
        self._media.append(media)
        self.answer(invite, "200 OK", self.sdp(media.uri) + extra)
        await self.hears("ACK")
        await asyncio.to_thread(media.accept)
        return Talk.called(self, invite), media

    async def picks_up_microsoft(self) -> "Talk":
        """Take the next call, for MESSAGE within it."""
        invite = await self.hears("INVITE")
        self.answer(invite, "200 OK", MICROSOFT.format(host=self.host, port=self.port))
        await self.hears("ACK")
        return Talk.called(self, invite)

    def sdp(self, uri: str) -> str:
        """A description of an end at that URI."""
        host, port = re.search(r"//([^:]+):(\d+)", uri).groups()  # type: ignore[union-attr]
        return (
            f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
            f"m=message {port} TCP/MSRP *\r\n{ACCEPTS}a=path:{uri}\r\n"
        )

    # -- calling -----------------------------------------------------------------------------------------

    async def call(self, to: str) -> tuple["Talk", MsrpSocket, list[str]]:
        """Call, with an offer of MSRP, and connect; the path to the other end comes with it."""
        uri = f"msrp://{self.host}:7394/{uuid.uuid4().hex};tcp"
        answer, talk = await self.invite(to, self.sdp(uri))
        assert answer.status == 200, answer.start
        path = re.search(r"a=path:(.+?)\r\n", answer.text)[1].split()  # type: ignore[index]
        host, port = re.search(r"//([^:]+):(\d+)", path[0]).groups()  # type: ignore[union-attr]
        media = await asyncio.to_thread(MsrpSocket, "", (host, int(port)))
        self._media.append(media)
        media.uri = uri
        media.greet(path)
        return talk, media, path

    async def invite(self, to: str, body: str, extra: str = "") -> tuple[SipText, "Talk"]:
        """INVITE somebody; the final answer, acknowledged."""
        talk = Talk(
            self, f"sip:{to}", f"<{self.uri}>;tag=p{uuid.uuid4().hex[:8]}", f"<sip:{to}>", uuid.uuid4().hex
        )
        answer = await talk.ask("INVITE", body, extra=extra)
        if answer.status < 300:
            talk.remote = answer["to"]
            talk.target = re.search(r"<([^>]+)>", answer["contact"])[1]  # type: ignore[index]
            talk.routes = tuple(answer.headers.get("record-route", []))[::-1]
        talk.acknowledge(answer)
        return answer, talk


class Talk:
    """One dialog of a phone, as far as it needs one."""

    def __init__(
        self, phone: SipPhone, target: str, local: str, remote: str, call_id: str, routes: Sequence[str] = ()
    ) -> None:
        self.phone = phone
        self.target = target
        self.local = local
        self.remote = remote
        self.call_id = call_id
        self.routes = tuple(routes)
        self.number = 0
        self._branch = ""

    @classmethod
    def called(cls, phone: SipPhone, invite: SipText) -> "Talk":
        """The callee's side."""
        target = re.search(r"<([^>]+)>", invite["contact"])[1]  # type: ignore[index]
        routes = invite.headers.get("record-route", [])
        local = f"{invite['to']};tag=phone{phone.port}"
        return cls(phone, target, local, invite["from"], invite["call-id"], routes)

    def _text(self, method: str, number: int, extra: str = "") -> str:
        self._branch = f"z9hG4bK{uuid.uuid4().hex}"
        routes = "".join(f"Route: {route}\n" for route in self.routes)
        return (
            f"{method} {self.target} SIP/2.0\n"
            f"Via: SIP/2.0/UDP {self.phone.host}:{self.phone.port};branch={self._branch};rport\n"
            f"Max-Forwards: 70\n{routes}From: {self.local}\nTo: {self.remote}\n"
            f"Call-ID: {self.call_id}\nCSeq: {number} {method}\n"
            f"Contact: <sip:{self.phone.user}@{self.phone.host}:{self.phone.port}>\n{extra}"
        )

    async def ask(
        self, method: str, body: str = "", kind: str = "application/sdp", extra: str = ""
    ) -> SipText:
        """Send a request, with a proof when one is asked for; the final answer."""
        if body:
            extra += f"Content-Type: {kind}\n"
        self.number += 1
        self.phone.say(self._text(method, self.number, extra), body)
        answer = await self._final(method)
        if answer.status == 407:
            if method == "INVITE":
                self.acknowledge(answer)
            self.number += 1
            self.phone.say(self._text(method, self.number, extra + self._proof(method, answer)), body)
            answer = await self._final(method)
        return answer

    async def _final(self, method: str) -> SipText:
        async with asyncio.timeout(15), self.phone._news:
            while True:
                for text in self.phone.heard:
                    if (
                        text.status >= 200
                        and text["cseq"] == f"{self.number} {method}"
                        and (text["call-id"] == self.call_id)
                    ):
                        return text
                await self.phone._news.wait()

    def _proof(self, method: str, answer: SipText) -> str:
        offered = dict(re.findall(r'(\w+)="([^"]*)"', answer["proxy-authenticate"]))
        a1 = hashlib.md5(f"{self.phone.user}:{offered['realm']}:pw".encode()).hexdigest()
        a2 = hashlib.md5(f"{method}:{self.target}".encode()).hexdigest()
        response = hashlib.md5(f"{a1}:{offered['nonce']}:{a2}".encode()).hexdigest()
        return (
            f'Proxy-Authorization: Digest username="{self.phone.user}", realm="{offered["realm"]}", '
            f'nonce="{offered["nonce"]}", uri="{self.target}", response="{response}", algorithm=MD5\n'
        )

    def acknowledge(self, answer: SipText) -> None:
        """ACK, by the branch of the request for a refusal, else by one of its own."""
        branch = self._branch
        remote, self.remote = self.remote, answer["to"]
        text = self._text("ACK", self.number)
        if answer.status >= 300:
            text = text.replace(self._branch, branch)
            self.remote = remote
        self.phone.say(text)

    async def hang_up(self) -> SipText:
        """BYE; its answer."""
        return await self.ask("BYE")
