"""What an `m=message` line means: where the other end of a conversation is, and what it takes.

Three kinds are met. MSRP (RFC 4975 section 8, with RFC 6135 `setup`, RFC 6714 `msrp-cema`, RFC 8122
`fingerprint`, RFC 5547 files) goes over connections of its own. Microsoft's goes as MESSAGE requests inside
the dialog that the INVITE makes (`m=message 5060 sip null`; `m=x-ms-message` before 2007), and its port and
formats say nothing. Everything else is not for us.
"""

from __future__ import annotations

import enum
import re
from typing import Final

import msgspec

from rialto.networks.sip.wire.file_offer import FileOffer, read_file
from rialto.networks.sip.wire.sdp import Media, SdpError

MAX_TYPES: Final = 64
MAX_PATH: Final = 16

_URI: Final = re.compile(
    r"(msrps?)://(?:[^@/\s]*@)?(\[[0-9A-Fa-f:.]+\]|[^:/;?@\s\[\]]+):([0-9]{1,5})(/[^;\s]*)?((?:;[^;\s]+)*)",
    re.IGNORECASE,
)
_TYPE: Final = re.compile(r"\*|[A-Za-z0-9!#$&^_.+-]{1,127}/(?:\*|[A-Za-z0-9!#$&^_.+-]{1,127})", re.ASCII)
_FINGERPRINT: Final = re.compile(r"([A-Za-z0-9-]{3,32})\s+([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){7,127})")


class Kind(enum.StrEnum):
    """How the messages of a session travel."""

    MSRP = "msrp"
    MICROSOFT = "microsoft"


class Setup(enum.StrEnum):
    """Who connects (RFC 4145 section 4, RFC 6135)."""

    ACTIVE = "active"
    PASSIVE = "passive"
    ACTPASS = "actpass"
    HOLDCONN = "holdconn"


class Direction(enum.StrEnum):
    """Who sends (RFC 8866 section 6.7), as the description's author sees it."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """Whether its author does."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """Whether its author does."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    def answered(self) -> Direction:
        """The most that an answer may say (RFC 3264 section 6.1)."""
        return _TURNED.get(self, self)


_TURNED: Final = {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}


class MessageMedia(msgspec.Struct, frozen=True, kw_only=True):
    """One side of one conversation.

    `path` are MSRP URIs as written, the next hop first; `host` is where `c=` points; `setup` is None where it
    was not said. `accept_types` and `wrapped_types` are lower-case, without parameters, `*` for any;
    `fingerprints` are (hash in lower case, hex with colons in upper case).
    """

    kind: Kind
    host: str = ""
    port: int = 0
    secure: bool = False
    path: tuple[str, ...] = ()
    setup: Setup | None = None
    accept_types: tuple[str, ...] = ()
    wrapped_types: tuple[str, ...] = ()
    max_size: int | None = None
    fingerprints: tuple[tuple[str, str], ...] = ()
    direction: Direction = Direction.SENDRECV
    cema: bool = False
    file: FileOffer | None = None
    legacy: bool = False
    """Of Microsoft's kind: `m=x-ms-message`."""
    formats: tuple[str, ...] = ()
    """Of Microsoft's kind: what ends the media line, `null` or `sip:user@domain`."""

    def accepts(self, media_type: str) -> bool:
        """Whether it takes this as a message of its own (RFC 4975 section 8.6)."""
        return _listed(media_type, self.accept_types)

    def accepts_wrapped(self, media_type: str) -> bool:
        """Whether it takes this inside of a container that it takes."""
        return _listed(media_type, self.accept_types) or _listed(media_type, self.wrapped_types)

    @property
    def moved(self) -> bool:
        """Whether somebody in the middle has put another address into `c=` and `m=` than the path names
        (RFC 6714 section 4.4). What names mean would take DNS to say: only their ports are compared."""
        if self.kind is not Kind.MSRP or not self.path or not self.host:
            return False
        _, host, port = parse_msrp_uri(self.path[0])
        return port != self.port or (_is_address(host) and _is_address(self.host) and host != self.host)


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _listed(media_type: str, types: tuple[str, ...]) -> bool:
    return "*" in types or media_type in types or f"{media_type.partition('/')[0]}/*" in types


def parse_msrp_uri(text: str) -> tuple[bool, str, int]:
    """(secure, host in lower case without brackets, port) of an MSRP URI; raises SdpError."""
    match = _URI.fullmatch(text)
    if match is None or not 0 < int(match[3]) < 65_536:
        raise SdpError("a malformed MSRP URI")
    if ";tcp" not in match[5].lower():  # RFC 4975 section 9: the transport is not optional
        raise SdpError("an MSRP URI of another transport")
    return match[1].lower() == "msrps", match[2].strip("[]").lower(), int(match[3])


def kind_of(media: Media) -> Kind | None:
    """What kind of conversation a media line offers; None for everything else, audio for example."""
    protocol = media.protocol.upper()
    if media.media == "message" and protocol in ("TCP/MSRP", "TCP/TLS/MSRP"):
        return Kind.MSRP
    if media.media in ("message", "x-ms-message") and protocol == "SIP":
        return Kind.MICROSOFT
    return None


def read_media(media: Media, host: str) -> MessageMedia | None:
    """Read a media line, of which `c=` says `host`; None for one that is none of ours. Raises SdpError."""
    kind = kind_of(media)
    if kind is None:
        return None
    accepted, wrapped = (_types(media.attribute(name)) for name in ("accept-types", "accept-wrapped-types"))
    direction = _direction(media)
    if kind is Kind.MICROSOFT:
        return MessageMedia(
            kind=kind,
            host=host,
            port=media.port,
            accept_types=accepted or ("text/plain",),
            wrapped_types=wrapped,
            direction=direction,
            legacy=media.media != "message",
            formats=media.formats,
        )
    secure = media.protocol.upper() == "TCP/TLS/MSRP"
    path = tuple((media.attribute("path") or "").split())
    if not path or len(path) > MAX_PATH:
        raise SdpError("an MSRP offer without a path")  # RFC 4975 section 8
    for uri in path:
        parse_msrp_uri(uri)
    if parse_msrp_uri(path[-1])[0] != secure:
        raise SdpError("an MSRP path of another security than its media line")
    return MessageMedia(
        kind=kind,
        host=host,
        port=media.port,
        secure=secure,
        path=path,
        setup=_setup(media.attribute("setup")),
        accept_types=accepted,
        wrapped_types=wrapped,
        max_size=_max_size(media.attribute("max-size")),
        fingerprints=tuple(_fingerprints(media)),
        direction=direction,
        cema=media.attribute("msrp-cema") is not None,
        file=read_file(media, sending=direction.sends),
    )


def write_media(media: MessageMedia) -> Media:
    """The media line of our own side."""
    attributes: list[tuple[str, str | None]] = [("accept-types", " ".join(media.accept_types) or "*")]
    if media.kind is Kind.MICROSOFT:
        return Media(
            media="x-ms-message" if media.legacy else "message",
            port=media.port,
            protocol="sip",
            formats=media.formats or ("null",),
            attributes=tuple(attributes),
        )
    if media.wrapped_types:
        attributes.append(("accept-wrapped-types", " ".join(media.wrapped_types)))
    attributes.append(("path", " ".join(media.path)))
    if media.max_size is not None:
        attributes.append(("max-size", str(media.max_size)))
    if media.setup is not None:
        attributes.append(("setup", media.setup.value))
    if media.cema:
        attributes.append(("msrp-cema", None))
    attributes += [("fingerprint", f"{name} {value}") for name, value in media.fingerprints]
    if media.direction is not Direction.SENDRECV or media.file is not None:
        attributes.append((media.direction.value, None))
    if media.file is not None:
        attributes += media.file.attributes()
    return Media(
        media="message",
        port=media.port,
        protocol="TCP/TLS/MSRP" if media.secure else "TCP/MSRP",
        formats=("*",),
        attributes=tuple(attributes),
        title=media.file.description if media.file is not None else "",
    )


def _types(text: str | None) -> tuple[str, ...]:
    entries = (text or "").split()
    if len(entries) > MAX_TYPES:
        raise SdpError("too many accepted types")
    types = [entry.partition(";")[0].lower() for entry in entries]
    return tuple(one for one in types if _TYPE.fullmatch(one))


def _direction(media: Media) -> Direction:
    for direction in Direction:
        if media.attribute(direction.value) is not None:
            return direction
    return Direction.SENDRECV


def _setup(text: str | None) -> Setup | None:
    try:
        return None if text is None else Setup(text.lower())
    except ValueError:
        raise SdpError("an unknown setup") from None


def _max_size(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit()):
        return None  # it is only a hint (RFC 4975 section 8.6)
    return min(int(text[:19]), 2**62)


def _fingerprints(media: Media) -> list[tuple[str, str]]:
    found = []
    for text in media.all("fingerprint"):
        match = _FINGERPRINT.fullmatch(text)
        if match is None:
            raise SdpError("a malformed fingerprint")  # RFC 8122 section 5
        found.append((match[1].lower(), match[2].upper()))
    return found
