"""Our side of a session description, and whether theirs is taken: by the peer's settings, and what we
have."""

from __future__ import annotations

from typing import Final

import msgspec

from rialto.networks.sip.sessions.seam import MsrpLinks, Place
from rialto.networks.sip.sessions.words import ACCEPT_TYPES, MICROSOFT_TYPES, WRAPPED_TYPES
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import Request, parse_media_type
from rialto.networks.sip.wire.message_media import Kind, MessageMedia, Setup
from rialto.networks.sip.wire.sdp import MEDIA_TYPE, Description, SdpError, parse_sdp
from rialto.wire import mime

MICROSOFT_PORT: Final = 5060


def description_in(request: Request) -> Description | None:
    """The description that a request carries; None where it carries none. Raises SdpError (415 for a body
    that is something else)."""
    media = request.content_type
    if not request.body:
        return None
    if media is None or media.essence == MEDIA_TYPE:
        return parse_sdp(request.body)
    if media.essence in ("multipart/mixed", "multipart/alternative", "multipart/related"):
        # Icons and the like may stand beside it (RFC 5547 section 9.1).
        try:
            parts = mime.read_multipart(request.body, media.param("boundary") or "")
            for part in parts:
                if parse_media_type(part.header("content-type") or "text/plain").essence == MEDIA_TYPE:
                    return parse_sdp(part.content)
        except (mime.MimeError, ValueError):
            raise SdpError("a malformed multipart body") from None
    raise SdpError("a body that is no session description", "415")


def objection(media: MessageMedia, trunk: Trunk, links: MsrpLinks | None, *, files: bool = False) -> str:
    """Why an offered line is not taken; "" where it is. `files`: whether we have a store for them."""
    if media.file is not None and media.file.selected and not files:
        return "no files are taken here"
    if media.kind is Kind.MICROSOFT:
        return ""
    if links is None:
        return "no MSRP is spoken here"
    if not media.secure and must_be_secure(trunk):
        return "only MSRP over TLS is spoken here"
    return ""


def must_be_secure(trunk: Trunk) -> bool:
    """Whether sessions with that peer go over TLS or not at all."""
    security = trunk.settings.session_security
    return security == "tls" or (security == "auto" and trunk.settings.transports == ("tls",))


def own_media(
    place: Place | None,
    trunk: Trunk,
    *,
    setup: Setup | None = None,
    answering: MessageMedia | None = None,
    user: str = "",
) -> MessageMedia:
    """Our side: of an offer, or of the answer to `answering`."""
    if place is None:
        legacy = answering is not None and answering.legacy
        formats = (user,) if answering is not None else ("null",)
        return MessageMedia(
            kind=Kind.MICROSOFT,
            port=MICROSOFT_PORT,
            accept_types=MICROSOFT_TYPES,
            legacy=legacy,
            formats=formats,
        )
    media = MessageMedia(
        kind=Kind.MSRP,
        host=place.host,
        port=place.port,
        secure=place.secure,
        path=place.path,
        setup=setup,
        accept_types=ACCEPT_TYPES,
        wrapped_types=WRAPPED_TYPES,
        max_size=trunk.settings.session_max_bytes,
        fingerprints=place.fingerprints,
    )
    if answering is None:
        return media
    return msgspec.structs.replace(
        media, direction=answering.direction.answered(), cema=answering.cema and len(answering.path) == 1
    )
