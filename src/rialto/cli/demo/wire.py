"""What passed on the wire: recorded as it comes, shown when it is quiet, and which part of it means what.

`PARTS` is the table of meanings: for each protocol, where a name of the canonical model stands in its text.
The same names on both sides are the translation.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

import msgspec

from rialto.cli import show

MAX_KEPT = 40
"""Chunks of one burst in which people say something; of more, only the number is kept."""
MAX_KEPT_BESIDES = 200
"""Chunks in which servers talk among themselves."""


class Chunk(msgspec.Struct, frozen=True):
    """Bytes that one side wrote in one go. `inward`: towards Rialto. `at`: seconds since 1970."""

    at: float
    network: str
    remote: str
    inward: bool
    text: str

    @property
    def interesting(self) -> bool:
        """Whether people say something in it (and not only their servers)."""
        return self.network != "xmpp" or _STANZA.search(self.text) is not None

    @property
    def is_message(self) -> bool:
        """Whether it carries a message itself."""
        return bool(_MESSAGE[self.network].search(self.text)) if self.network in _MESSAGE else False


class Burst(msgspec.Struct):
    """What passed without a pause."""

    chunks: list[Chunk] = []
    messages: int = 0
    lost: int = 0
    """Chunks that people should have seen, and that were too many to be kept."""


class Recorder:
    """Collects chunks; `tap` is what the networks call."""

    def __init__(self, on_chunk: Callable[[], None] = lambda: None) -> None:
        self._on_chunk = on_chunk
        self._burst = Burst()
        self._kept = {True: 0, False: 0}

    def tap(self, network: str, remote: str, direction: str, data: bytes) -> None:
        """See `rialto.core.network.Context`."""
        chunk = Chunk(
            time.time(),
            network,
            remote,
            direction == "in",
            show.plain(data.decode("utf-8", "replace").replace("\r\n", "\n")),
        )
        self._burst.messages += chunk.is_message
        interesting = chunk.interesting
        room = (MAX_KEPT if interesting else MAX_KEPT_BESIDES) - self._kept[interesting]
        if room > 0:
            self._kept[interesting] += 1
            self._burst.chunks.append(chunk)
        elif interesting:
            self._burst.lost += 1
        self._on_chunk()

    def take(self) -> Burst:
        """Everything since the last time."""
        burst, self._burst = self._burst, Burst()
        self._kept = {True: 0, False: 0}
        return burst


class Part(msgspec.Struct, frozen=True):
    """A stretch of text that says something of the canonical model."""

    name: str
    start: int
    end: int


_TAG: Final = re.compile(r"(<[^>]*>)")
_STANZA: Final = re.compile(r"<(?:message|iq|presence)[\s>]")
_MESSAGE: Final = {
    "xmpp": re.compile(r"<message[\s>]"),
    "sip": re.compile(r"\AMESSAGE ", re.MULTILINE),
}
_OPENING: Final = r"<message\b[^>]*?\s"

PARTS: Final[dict[str, tuple[tuple[str, re.Pattern[str]], ...]]] = {
    "xmpp": (
        ("sender", re.compile(_OPENING + r"from=(['\"])(?P<it>.*?)\1")),
        ("recipient", re.compile(_OPENING + r"to=(['\"])(?P<it>.*?)\1")),
        ("thread", re.compile(r"<thread\b[^>]*>(?P<it>[^<]*)</thread>")),
        ("subject", re.compile(r"<subject\b[^>]*>(?P<it>[^<]*)</subject>")),
        ("text", re.compile(r"<body\b[^>]*>(?P<it>[^<]*)</body>")),
        ("language", re.compile(_OPENING + r"xml:lang=(['\"])(?P<it>.*?)\1")),
        ("error", re.compile(r"<error\b[^>]*>\s*<(?P<it>[a-z-]+)")),
    ),
    "sip": (
        ("sender", re.compile(r"^From:[^<\n]*<(?P<it>[^>\n]*)>", re.MULTILINE)),
        ("recipient", re.compile(r"^MESSAGE (?P<it>\S+) SIP/2\.0", re.MULTILINE)),
        ("thread", re.compile(r"^Call-ID: *(?P<it>\S+)", re.MULTILINE)),
        ("subject", re.compile(r"^Subject: *(?P<it>[^\n]*)", re.MULTILINE)),
        ("text", re.compile(r"\n\n(?P<it>.+)\Z", re.DOTALL)),
        ("language", re.compile(r"^Content-Language: *(?P<it>[^\n]*)", re.MULTILINE)),
        ("error", re.compile(r"\ASIP/2\.0 (?P<it>[3-6]\d\d [^\n]*)")),
    ),
}


def layout(chunk: Chunk) -> str:
    """The text of a chunk in lines: XMPP has none of its own."""
    text = chunk.text
    if chunk.network != "xmpp":
        return text
    lines: list[str] = []
    depth, closed = 0, True
    for piece in filter(None, _TAG.split(text)):
        closing, opening = (
            piece.startswith("</"),
            piece.startswith("<") and not piece.startswith(("</", "<?")),
        )
        depth -= closing
        if not lines or opening or (closing and closed):
            lines.append("  " * max(0, depth))
        lines[-1] += piece
        depth += opening and not piece.endswith("/>") and not piece.startswith("<stream:stream")
        closed = closing or piece.endswith("/>")
    return "\n".join(lines)


def parts(network: str, text: str) -> list[Part]:
    """What the stretches of a text mean, in the order of `PARTS`."""
    found = []
    for name, pattern in PARTS.get(network, ()):
        match = pattern.search(text)
        if match is not None and match["it"]:
            found.append(Part(name, *match.span("it")))
    return found


def translation(burst: Burst) -> list[tuple[str, str, str]]:
    """(name, on XMPP, on SIP) for the first message of each side, where both sides have one."""
    sides: dict[str, dict[str, str]] = {}
    for chunk in burst.chunks:
        if chunk.is_message and chunk.network not in sides:
            text = layout(chunk)
            sides[chunk.network] = {
                part.name: text[part.start : part.end] for part in parts(chunk.network, text)
            }
    if set(sides) != {"xmpp", "sip"}:
        return []
    xmpp, sip = sides["xmpp"], sides["sip"]
    return [(name, xmpp[name], sip[name]) for name, _ in PARTS["xmpp"] if name in xmpp and name in sip]
