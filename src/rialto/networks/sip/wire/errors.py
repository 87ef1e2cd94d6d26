"""A SIP message that cannot be used: which status says so, and what could be read of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rialto.model.errors import RemoteProtocolError

if TYPE_CHECKING:
    from rialto.networks.sip.wire.message import Request, Response


class BadMessage(RemoteProtocolError):
    """The peer sent something that is no SIP message, or breaks a rule that its answer depends on.

    `status` is the SIP status code that a request deserves, `text` the reason phrase to send with it.
    `message` is what could be read, None where not even a start line was found: a `Request` among them
    is answered with `response_to(error.message, error.status, error.text, headers=error.headers)`
    if `request` is not None, a `Response` or nothing at all is dropped and counted (RFC 3261 section 18.1.2).
    `headers` are headers that the answer must carry (`Unsupported` for 420, `Accept` for 415).
    """

    def __init__(
        self,
        status: int,
        text: str,
        message: Request | Response | None = None,
        *,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.status = status
        self.message = message
        self.headers = headers
        super().__init__(str(status), text)

    @property
    def request(self) -> Request | None:
        """The request that should be answered; None when there is nobody to answer.

        That is so for responses, for ACK (RFC 3261 section 17: never answered), and without a Via.
        Its Via need not be readable: where `top_via` raises, the answer goes, statelessly, to where
        the request came from.
        """
        from rialto.networks.sip.wire.message import Request  # noqa: PLC0415 (the two know each other)

        message = self.message
        if not isinstance(message, Request) or message.method == "ACK":
            return None
        return message if message.get("Via") is not None else None
