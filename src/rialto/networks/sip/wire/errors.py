"""A SIP message that cannot be used: which status says so, and what could be read of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rialto.model.errors import RemoteProtocolError

if TYPE_CHECKING:
    from rialto.networks.sip.wire.message import Request, SipMessage


class BadMessage(RemoteProtocolError):
    """The peer sent something that is no SIP message, or breaks a rule that its answer depends on.

    `status` is the SIP status code that a request deserves, `text` the reason phrase to send with it.
    `message` is what could be read, None where not even a start line was found. Where `request` is not
    None, send `response_to(error.request, error.status, error.text, headers=error.headers)`; all else is
    dropped and counted (RFC 3261 section 18.1.2).
    `headers` are headers that the answer must carry (`Unsupported` for 420, `Accept` for 415).
    """

    def __init__(
        self,
        status: int,
        text: str,
        message: SipMessage | None = None,
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
        return None if self.message is None else self.message.answerable()
