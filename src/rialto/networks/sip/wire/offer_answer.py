"""Offer and answer for conversations (RFC 3264; RFC 4975 section 8, RFC 6135, RFC 6714): pure decisions.

Whoever receives an offer takes the first media line that it can take, and refuses all others by port 0; an
offer in which there is none is answered 488. Whoever connects is said by `setup`, and where nobody speaks
of it, it is the offerer (RFC 4975 section 5.4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from rialto.networks.sip.wire.message_media import Kind, MessageMedia, Setup, read_media, write_media
from rialto.networks.sip.wire.sdp import Description, Origin, SdpError

MUST_TAKE: Final = ("message/cpim", "text/plain")
"""What every MSRP endpoint takes (RFC 4975 section 7.3.1); one of these must be in an offer for us."""


class Unacceptable(SdpError):
    """An offer that is well-formed and not for us: 488, and why as a Warning (RFC 3261 section 20.43)."""

    def __init__(self, warn_code: int, text: str) -> None:
        super().__init__(text, "488")
        self.warn_code = warn_code


class Chosen(msgspec.Struct, frozen=True):
    """The line of an offer that is taken."""

    index: int
    media: MessageMedia


def offer(origin: Origin, media: MessageMedia) -> Description:
    """The description that offers one conversation."""
    return Description(origin=origin, host=media.host, media=(write_media(media),))


def choose(description: Description, takes: Callable[[MessageMedia], str]) -> Chosen:
    """The first line that can be taken; `takes` says "" for yes, or in words what is wrong with it.

    Raises Unacceptable, and SdpError for a description in which a line of ours is malformed.
    """
    why, code = "only messages are exchanged here", 304  # media type not available
    for index, media in enumerate(description.media):
        if media.port == 0:
            continue
        read = read_media(media, description.host_of(media))
        if read is None:
            continue
        said = takes(read) or _wrong(read)
        if not said:
            return Chosen(index, read)
        why, code = said, 305  # incompatible media format
    raise Unacceptable(code, why)


def _wrong(media: MessageMedia) -> str:
    if media.file is None and not any(map(media.accepts, MUST_TAKE)):
        return "no text can be sent to this session"  # RFC 4975 section 8.6
    if media.kind is Kind.MSRP and media.moved and not media.cema:
        return "the address in the session description is not that of the path"  # RFC 6714 section 4.3
    return ""


def setup_for(offered: Setup | None, *, can_listen: bool, can_connect: bool = True) -> Setup | None:
    """What the answer says of who connects; None where nothing is said. Raises Unacceptable (RFC 6135 section
    4.2.2: `passive` for `actpass`, for us who are behind no NAT)."""
    if offered is None:
        if not can_listen:
            raise Unacceptable(305, "the other side must be able to be connected to")
        return None
    if offered is Setup.HOLDCONN:
        return Setup.HOLDCONN
    if can_listen and offered in (Setup.ACTIVE, Setup.ACTPASS):
        return Setup.PASSIVE
    if can_connect and offered in (Setup.PASSIVE, Setup.ACTPASS):
        return Setup.ACTIVE
    raise Unacceptable(305, "neither side can connect to the other")


def we_connect(ours: Setup | None, theirs: Setup | None, *, we_offered: bool) -> bool:
    """Whether it is for us to connect, once both have spoken."""
    if we_offered:
        # RFC 6135 section 5: a peer that says nothing is always passive.
        return theirs is not Setup.ACTIVE
    return ours is Setup.ACTIVE


def answer(offered: Description, chosen: Chosen, media: MessageMedia, origin: Origin) -> Description:
    """The answer to an offer: as many lines, in the same order (RFC 3264 section 6)."""
    lines = [line.refused() for line in offered.media]
    lines[chosen.index] = write_media(media)
    return Description(origin=origin, host=media.host, media=tuple(lines))


def read_answer(offered: MessageMedia, description: Description) -> MessageMedia:
    """What the answer to our offer says. Raises SdpError, and Unacceptable for a refusal of the stream."""
    if not description.media:
        raise SdpError("an answer without a media line")
    line = description.media[0]
    if line.port == 0:
        raise Unacceptable(304, "the other side takes no such session")
    media = read_media(line, description.host_of(line))
    if media is None or media.kind is not offered.kind:
        raise SdpError("an answer to another kind of session")
    if media.kind is Kind.MSRP and media.secure != offered.secure:
        raise SdpError("an answer of another security than the offer")
    if media.kind is Kind.MSRP and not media.accept_types:
        raise SdpError("an answer without accepted types")
    return media


def same_session(one: Description, other: Description) -> bool:
    """Whether a new offer changes nothing: the same `o=` line (RFC 4975 section 8.4, RFC 3264 section 8)."""
    return one.origin == other.origin
