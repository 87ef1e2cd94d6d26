"""A dialog (RFC 3261 section 12): what two user agents remember of one another, and no more.

It is what a subscription lives in, and what has to outlive a restart: plain data, so that it can be written
down as it is. CSeq follows the clock, so that it goes on growing even if the last few steps before a crash
were not written.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec

from rialto.model.errors import AddressError
from rialto.networks.sip.wire.address import parse_name_addrs
from rialto.networks.sip.wire.errors import BadMessage
from rialto.networks.sip.wire.message import Request, Response, SipMessage
from rialto.networks.sip.wire.uri import Uri, parse_uri

MAX_ROUTES: Final = 16
_EPOCH: Final = 1_577_836_800  # 2020-01-01: keeps CSeq below 2**31 (section 8.1.1.5) until 2088


@lru_cache(maxsize=4096)
def shared(routes: tuple[str, ...]) -> tuple[str, ...]:
    """The same route set as one object: most dialogs with a peer go through the same proxies."""
    return routes


class Dialog(msgspec.Struct, omit_defaults=True, array_like=True):
    """One side of a dialog.

    `local` and `remote` are URIs as they stand between the angle brackets of From and To; `target` is the
    remote target, a URI as written in the peer's Contact; `routes` are name-addrs, in the order in which
    they are visited. `remote_tag` is empty until the peer has made the dialog.
    """

    call_id: str
    local: str
    remote: str
    local_tag: str
    remote_tag: str = ""
    target: str = ""
    routes: tuple[str, ...] = ()
    local_cseq: int = 0
    remote_cseq: int = -1

    def next_cseq(self, now: float) -> int:
        """The number for the next request."""
        self.local_cseq = max(self.local_cseq + 1, int(now) - _EPOCH, 1)
        return self.local_cseq

    def request(
        self, method: str, now: float, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> Request:
        """A request within it (section 12.2.1.1), without Via, which says how it goes."""
        to = f"<{self.remote}>" + (f";tag={self.remote_tag}" if self.remote_tag else "")
        uri, routes = self._way()
        return Request(
            method,
            uri,
            [
                ("Max-Forwards", "70"),
                *(("Route", route) for route in routes),
                ("From", f"<{self.local}>;tag={self.local_tag}"),
                ("To", to),
                ("Call-ID", self.call_id),
                ("CSeq", f"{self.next_cseq(now)} {method}"),
                *headers,
            ],
            body,
        )

    def acknowledgement(self, number: int) -> Request:
        """The ACK of a 2xx to our INVITE of that CSeq, without Via (section 13.2.2.4)."""
        uri, routes = self._way()
        return Request(
            "ACK",
            uri,
            [
                ("Max-Forwards", "70"),
                *(("Route", route) for route in routes),
                ("From", f"<{self.local}>;tag={self.local_tag}"),
                ("To", f"<{self.remote}>" + (f";tag={self.remote_tag}" if self.remote_tag else "")),
                ("Call-ID", self.call_id),
                ("CSeq", f"{number} ACK"),
            ],
        )

    def answered_by(self, response: Response) -> None:
        """Take a 2xx to our INVITE: tag, target, and its Record-Route in reverse as the route set (section
        12.1.2). Raises BadMessage."""
        self.remote_tag = response.to.tag or ""
        self.aim(response)
        self.route_by(response)
        self.routes = shared(self.routes[::-1])

    def next_hop(self) -> Uri:
        """Where its requests go first (section 8.1.2). Raises AddressError."""
        if self.routes:
            return parse_name_addrs(self.routes[0])[0].uri
        return parse_uri(self.target or self.remote)

    def in_order(self, request: Request) -> bool:
        """Note the CSeq of a request of the peer; False for one that is older than the last (12.2.2)."""
        number = request.cseq[0]
        if number <= self.remote_cseq:
            return False
        self.remote_cseq = number
        return True

    def aim(self, message: SipMessage) -> None:
        """Take the Contact of a request or response as the remote target. Raises BadMessage."""
        contacts = message.contacts
        if contacts:
            uri = contacts[0].uri
            if uri.scheme in ("sip", "sips"):
                self.target = str(uri.without("method") if uri.param("method") else uri)

    def route_by(self, message: SipMessage) -> None:
        """Take the Record-Route of the request that makes the dialog as its route set (section 12.1.1)."""
        try:
            routes = [
                str(name) for line in message.get_all("Record-Route") for name in parse_name_addrs(line)
            ]
        except AddressError as error:
            raise BadMessage(400, f"Malformed Record-Route: {error}") from None
        if len(routes) > MAX_ROUTES:
            raise BadMessage(400, "Too Many Routes")
        self.routes = shared(tuple(routes))

    def _way(self) -> tuple[str, tuple[str, ...]]:
        """Request-URI and Route (section 12.2.1.1)."""
        target = self.target or self.remote
        if not self.routes:
            return target, ()
        first = parse_name_addrs(self.routes[0])[0].uri
        if first.param("lr") is not None:
            return target, self.routes
        return str(first.without("method")), (*self.routes[1:], f"<{target}>")  # a strict router
