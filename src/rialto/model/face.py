"""What a person is called and looks like, and how such words are made fit to be shown.

Names come from strangers and are shown beside addresses that were proven. `tidy_name` is the one way in: it
leaves nothing that could move or hide what stands next to it, and no name that could be taken for an address.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache
from typing import Final

import msgspec

MAX_NAME_CHARACTERS: Final = 64
MAX_NAME_BYTES: Final = 128
"""In UTF-8: a name travels with every message, and a MESSAGE has 1,300 bytes in all (RFC 3428 section 8)."""
MAX_URL_CHARACTERS: Final = 1_000
MAX_MARKS: Final = 4
"""So many signs may stand above and below one letter."""

_MAX_READ: Final = 1_000
_JOINERS: Final = "\u200c\u200d"
"""What Persian, the scripts of India and emoji need between two characters, and nowhere else."""
_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, signs and marks to whose name nothing visible belongs."""
_STRAY: Final = re.compile(f"(?:^| )[{_JOINERS}]+|[{_JOINERS}]+(?= |$)|(?<=[{_JOINERS}])[{_JOINERS}]+")
_ADDRESS: Final = re.compile(
    r"\S@\S|@ *[\w-]+(?:\.[\w-]+)+|(?<![\w])(?:sips?|xmpps?|im|pres|tel|mailto|https?):"
)
_URL: Final = re.compile(r"https?://[!#-;=?-Z_a-z~%]+", re.ASCII)
_SIGNATURES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


class Face(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What one person shows of itself to another. Everything is tidy, and may be empty."""

    name: str = ""
    """The display name (RFC 3261 section 20.20, `FN` of a vCard)."""
    nick: str = ""
    """What the person would rather be called (XEP-0172)."""
    homepage: str = ""
    picture_url: str = ""
    """Where the picture is; who may look there is the operator's to say."""

    @property
    def called(self) -> str:
        """One name to show."""
        return self.name or self.nick

    def over(self, other: Face) -> Face:
        """This one, with what only the other says."""
        return Face(
            self.name or other.name,
            self.nick or other.nick,
            self.homepage or other.homepage,
            self.picture_url or other.picture_url,
        )


class Picture(msgspec.Struct, frozen=True, gc=False):
    """A picture that is known to be one."""

    media_type: str
    data: bytes

    @property
    def sha1(self) -> str:
        """By which XMPP names it (XEP-0153, XEP-0084)."""
        return hashlib.sha1(self.data, usedforsecurity=False).hexdigest()


@lru_cache(maxsize=8192)
def tidy_name(text: str) -> str:
    """A name as it may be shown on one line beside an address; empty where nothing of it may.

    No control characters, no marks of direction (a name could turn the address behind it around), nothing
    invisible, bounded in length and height, spaces in order. What looks like an address is no name: shown
    in front of the real one, `"alice@bank.example"` would be believed instead.
    """
    kept: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFC", text[:_MAX_READ]):
        category = unicodedata.category(character)
        if category in ("Cc", "Zl", "Zp", "Zs"):
            kept.append(" ")
        elif character in _BLANK or (category[0] == "C" and character not in _JOINERS):
            continue
        elif category[0] == "M":
            marks += 1
            if marks <= MAX_MARKS:
                kept.append(character)
            continue
        else:
            kept.append(character)
        if character not in _JOINERS:
            marks = 0
    name = _STRAY.sub(_space, " ".join(unicodedata.normalize("NFC", "".join(kept)).split())).strip()
    name = _cut(name)
    if _ADDRESS.search(unicodedata.normalize("NFKC", name).casefold()):
        return ""
    return name if any(unicodedata.category(character)[0] in "LNPS" for character in name) else ""


def tidy_url(text: str) -> str:
    """The address of a page or picture on the web; empty for anything else (`javascript:`, `file:`)."""
    text = text.strip()
    return text if len(text) <= MAX_URL_CHARACTERS and _URL.fullmatch(text) else ""


def picture_of(data: bytes) -> Picture | None:
    """What these bytes are, by the bytes themselves (XEP-0153 section 4.2: never by what is said of them)."""
    for signature, media_type in _SIGNATURES.items():
        if data.startswith(signature):
            return Picture(media_type, data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Picture("image/webp", data)
    return None


def _space(match: re.Match[str]) -> str:
    return " " if match[0].startswith(" ") else ""


def _cut(name: str) -> str:
    """Within bounds, and not in the middle of a character."""
    if len(name) <= MAX_NAME_CHARACTERS and len(name.encode()) <= MAX_NAME_BYTES:
        return name
    name = name[:MAX_NAME_CHARACTERS].encode()[:MAX_NAME_BYTES].decode("utf-8", "ignore")
    return name.rstrip(f" {_JOINERS}")
