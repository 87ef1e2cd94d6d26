"""From the bytes of one message to a Request or Response: fast for what is well-formed, safe for what is not."""

from __future__ import annotations

import msgspec

from rialto.networks.sip.wire.message import Request, Response


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What is too much: anything above is refused before it is worked on."""

    max_head_bytes: int = 32_768
    max_line_bytes: int = 8_192
    max_headers: int = 256
    max_body_bytes: int = 1_048_576


DEFAULT_LIMITS = Limits()


def parse_message(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Request | Response:
    """Read one datagram (or one framed message): leading line ends skipped, trailing bytes ignored.

    Only syntax of the start line, of header lines and of Content-Length is looked at; `validate` looks
    at the rest. Raises BadMessage.
    """
    raise NotImplementedError
