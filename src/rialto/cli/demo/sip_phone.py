"""A SIP phone for one domain: it sends MESSAGE, answers what comes, and can do nothing else."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

import msgspec

from rialto.model.address import Address
from rialto.model.errors import AddressError
from rialto.net.endpoint import Endpoint, open_endpoint
from rialto.net.hostport import join_host_port
from rialto.networks.sip.addresses import address_of, address_of_header, uri_of
from rialto.networks.sip.wire import (
    MAGIC_COOKIE,
    BadMessage,
    Request,
    Response,
    parse_message,
    response_to,
    validate,
)
from rialto.networks.sip.wire.transaction import (
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    TimedOut,
    TransportFailed,
)
from rialto.networks.sip.wire.transactions import TransactionLayer


class Received(msgspec.Struct, frozen=True):
    """A MESSAGE that has come, and was answered with 200."""

    sender: Address
    recipient: Address
    text: str
    id: str


class Answered(msgspec.Struct, frozen=True):
    """The final answer to a MESSAGE of ours; status 0 where there was none. `id` is what `say` returned."""

    id: str
    status: int
    reason: str


class _Way:
    """To one remote address over UDP: a `Flow` for the transactions."""

    reliable = False
    alive = True

    def __init__(self, remote: tuple[str, int]) -> None:
        self.remote = remote


class SipPhone:
    """All the phones of `domain` in one socket. Everything goes to `proxy` (address, port)."""

    def __init__(
        self,
        domain: str,
        proxy: tuple[str, int],
        on_event: Callable[[Received | Answered], None],
    ) -> None:
        self.domain = domain
        self._proxy = _Way(proxy)
        self._on_event = on_event
        self._layer = TransactionLayer()
        self._endpoint: Endpoint
        self._loop: asyncio.AbstractEventLoop
        self._alarm: asyncio.TimerHandle | None = None
        self._number = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._endpoint.port
        return port

    async def start(self, port: int) -> None:
        """Bind the socket. Raises OSError."""
        self._loop = asyncio.get_running_loop()
        self._endpoint = await open_endpoint("127.0.0.1", port, self._on_datagram)

    def stop(self) -> None:
        """Close it."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._endpoint.close()

    def say(self, sender: Address, recipient: Address, text: str, subject: str = "") -> str:
        """Send a MESSAGE; returns the branch, its name on the wire. Raises AddressError."""
        self._number += 1
        branch = MAGIC_COOKIE + secrets.token_hex(6)
        here = join_host_port(self._endpoint.host, self._endpoint.port)
        uri = str(uri_of(recipient))
        headers = [
            ("Via", f"SIP/2.0/UDP {here};rport;branch={branch}"),
            ("Max-Forwards", "70"),
            ("From", f"<{uri_of(sender)}>;tag={secrets.token_hex(4)}"),
            ("To", f"<{uri}>"),
            ("Call-ID", f"{secrets.token_hex(6)}@{self.domain}"),
            ("CSeq", f"{self._number} MESSAGE"),
            *([("Subject", subject)] if subject else []),
            ("Content-Type", "text/plain;charset=UTF-8"),
        ]
        request = Request("MESSAGE", uri, headers, text.encode())
        self._layer.request(request, self._proxy, self._loop.time())
        self._turn()
        return branch

    def _on_datagram(self, data: bytes, remote: tuple[str, int]) -> None:
        try:
            message = parse_message(data)
            validate(message)
        except BadMessage:
            return  # a phone for demonstrations does not argue
        now = self._loop.time()
        if isinstance(message, Response):
            self._layer.receive_response(message, now)
        else:
            message.replace_top_via(message.top_via.answered_from(*remote))
            self._layer.receive_request(message, _Way(remote), now)
        self._turn()

    def _turn(self) -> None:
        """Hand out what happened, write what is to be written, set the one alarm."""
        while (event := self._layer.next_event()) is not None:
            if isinstance(event, RequestReceived):
                self._answer(event.transaction)
            elif isinstance(event, ResponseReceived) and event.response.status >= 200:
                response = event.response
                self._on_event(Answered(response.top_via.branch, response.status, response.reason))
            elif isinstance(event, TimedOut | TransportFailed) and not isinstance(
                event.transaction, ServerTransaction
            ):
                self._on_event(Answered(event.transaction.request.top_via.branch, 0, "no answer"))
        for way, data in self._layer.data_to_send():
            self._endpoint.send(data, way.remote)
        due = self._layer.next_timer()
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(due, self._ring) if due is not None else None

    def _ring(self) -> None:
        self._alarm = None
        self._layer.handle_timer(self._loop.time())
        self._turn()

    def _answer(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        now = self._loop.time()
        if request.method == "OPTIONS":
            response = response_to(request, 200, to_tag=secrets.token_hex(4))
            self._layer.respond(transaction, response, now)
            return
        if request.method != "MESSAGE":
            allow = [("Allow", "MESSAGE, OPTIONS")]
            response = response_to(request, 405, to_tag=secrets.token_hex(4), headers=allow)
            self._layer.respond(transaction, response, now)
            return
        try:
            received = Received(
                address_of_header(request.from_),
                address_of(request.request_uri),
                request.body.decode("utf-8", "replace"),
                request.top_via.branch,
            )
        except (AddressError, BadMessage):
            self._layer.respond(transaction, response_to(request, 400), now)
            return
        response = response_to(request, 200, to_tag=secrets.token_hex(4))
        self._layer.respond(transaction, response, now)
        self._on_event(received)
