"""A file in a session description (RFC 5547): which one, how large, what it is, and what becomes of it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from rialto.networks.sip.wire.sdp import Attributes, Media, SdpError

_SELECTOR: Final = re.compile(
    r'\s*(name|type|size|hash):("[^"]*"|(?:[^\s"]|"[^"]*")*)', re.ASCII | re.IGNORECASE
)
_DATE: Final = re.compile(r'(creation|modification|read):"([^"]{1,64})"', re.ASCII | re.IGNORECASE)
_RANGE: Final = re.compile(r"([0-9]{1,18})-([0-9]{1,18}|\*)", re.ASCII)
_HASH: Final = re.compile(r"([A-Za-z0-9-]{1,32}):([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){7,127})", re.ASCII)
_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}", re.ASCII)
_TOKEN: Final = re.compile(r"[A-Za-z0-9.!%*_+`'~@-]{1,255}", re.ASCII)
_NAME_SAFE: Final = " !#$&'()*+,-.;=@[]^_`{}~"
"""What stands in a name as it is; what could mean a directory is escaped (section 6)."""
MAX_NAME: Final = 255


class FileOffer(msgspec.Struct, frozen=True, kw_only=True):
    """One file. `hashes` are (algorithm, digest in upper-case hex without colons); `name` is plain text
    that has been nobody's path; `sending` is whether the description's author sends it; `begin` to `end`
    are octets from 1, `end` None for all the rest. `selected` is False for the bare attribute that only
    says that file transfer is understood (section 8.5)."""

    name: str = ""
    media_type: str = ""
    size_bytes: int | None = None
    hashes: tuple[tuple[str, str], ...] = ()
    transfer_id: str = ""
    disposition: str = ""
    created: str = ""
    description: str = ""
    begin: int = 1
    end: int | None = None
    sending: bool = True

    @property
    def selected(self) -> bool:
        """Whether it names a file at all."""
        return bool(self.name or self.media_type or self.size_bytes is not None or self.hashes)

    def attributes(self) -> Attributes:
        """As attributes of its media line, direction left out."""
        selectors = []
        if self.name:
            selectors.append(f'name:"{quote(self.name, safe=_NAME_SAFE)}"')
        if self.media_type:
            selectors.append(f"type:{self.media_type}")
        if self.size_bytes is not None:
            selectors.append(f"size:{self.size_bytes}")
        for algorithm, digest in self.hashes:
            octets = ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
            selectors.append(f"hash:{algorithm}:{octets}")
        written: list[tuple[str, str | None]] = [("file-selector", " ".join(selectors) or None)]
        if self.transfer_id:
            written.append(("file-transfer-id", self.transfer_id))
        if self.disposition:
            written.append(("file-disposition", self.disposition))
        if self.created:
            written.append(("file-date", f'creation:"{self.created}"'))
        if self.begin != 1 or self.end is not None:
            written.append(("file-range", f"{self.begin}-{'*' if self.end is None else self.end}"))
        return tuple(written)


def read_file(media: Media, *, sending: bool) -> FileOffer | None:
    """The file of a media line, None where there is none. Raises SdpError."""
    selector = media.attribute("file-selector")
    if selector is None:
        return None
    found = _selectors(selector)
    begin, end = _range(media.attribute("file-range"))
    dates = dict(_DATE.findall(media.attribute("file-date") or ""))
    transfer_id = media.attribute("file-transfer-id") or ""
    disposition = media.attribute("file-disposition") or ""
    return FileOffer(
        name=_name(found.get("name", "")),
        media_type=_type(found.get("type", "")),
        size_bytes=_size(found.get("size")),
        hashes=_hash(found.get("hash", "")),
        transfer_id=transfer_id if _TOKEN.fullmatch(transfer_id) else "",
        disposition=disposition.lower() if _TOKEN.fullmatch(disposition) else "",
        created=dates.get("creation", ""),
        description=media.title[:1000],
        begin=begin,
        end=end,
        sending=sending,
    )


def _selectors(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    end = 0
    while end < len(text) and text[end:].strip():
        match = _SELECTOR.match(text, end)
        if match is None:
            raise SdpError("a malformed file selector")
        found.setdefault(match[1].lower(), match[2])
        end = match.end()
    return found


def _name(text: str) -> str:
    """A name only: whatever came before the last separator is not the receiver's business (section 6)."""
    if not text:
        return ""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        raise SdpError("a malformed file name")
    plain = unquote(text[1:-1], errors="replace")
    plain = re.split(r"[/\\]", plain)[-1]
    plain = "".join(char for char in plain if char.isprintable()).strip(" .")
    return plain[:MAX_NAME]


def _type(text: str) -> str:
    essence = text.partition(";")[0].lower()
    if text and not _TYPE.fullmatch(essence):
        raise SdpError("a malformed file type")
    return essence


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise SdpError("a malformed file size")
    return int(text)


def _hash(text: str) -> tuple[tuple[str, str], ...]:
    if not text:
        return ()
    match = _HASH.fullmatch(text)
    if match is None:
        raise SdpError("a malformed file hash")
    return ((match[1].lower(), match[2].replace(":", "").upper()),)


def _range(text: str | None) -> tuple[int, int | None]:
    if text is None:
        return 1, None
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise SdpError("a malformed file range")
    begin, end = int(match[1]), None if match[2] == "*" else int(match[2])
    if begin < 1 or (end is not None and end < begin):
        raise SdpError("a malformed file range")
    return begin, end
