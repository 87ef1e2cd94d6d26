"""Reading RTF, as far as people write messages in it; objects, pictures and programs in it are passed over.

RTF is groups in braces, control words (`\\b`, `\\fs20`) and text. A group that begins with a word for some
table or object, or with `\\*` and an unknown one, holds no text of the document. Text is ASCII; anything else
is `\\'hh`, bytes in the font's code page, or `\\uN`, a UTF-16 unit with something for old readers after it.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

import msgspec
from msgspec.structs import replace

from rialto.model.errors import RemoteProtocolError
from rialto.model.richtext.css import font, size_pt
from rialto.model.richtext.read import MAX_CHARACTERS, safe_link
from rialto.model.richtext.tree import PLAIN, Block, Rich, Run, Style, clean, has_form, merged, words
from rialto.model.richtext.write import write

MAX_BYTES: Final = 4 * MAX_CHARACTERS
MAX_DEPTH: Final = 64
MAX_ENTRIES: Final = 512
"""Of a table of fonts or colours."""
DEFAULT_SIZE_PT: Final = 12

_TOKEN: Final = re.compile(
    rb"([{}])|\\([a-zA-Z]{1,32})(-?[0-9]{1,9})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([^\\{}\r\n]+)|[\r\n]+|.",
    re.DOTALL,
)
_SKIPPED: Final = frozenset((
    b"stylesheet", b"info", b"pict", b"object", b"header", b"footer", b"headerl", b"headerr", b"footerl",
    b"footerr", b"footnote", b"listtable", b"listoverridetable", b"revtbl", b"rsidtbl", b"generator",
    b"nonshppict", b"themedata", b"datastore", b"xmlnstbl", b"filetbl", b"private", b"comment", b"shpinst",
))  # fmt: skip
_CHARACTERS: Final = {
    b"tab": "\t", b"line": "\n", b"emdash": "—", b"endash": "–", b"bullet": "•", b"lquote": "‘",
    b"rquote": "’", b"ldblquote": "“", b"rdblquote": "”", b"emspace": " ", b"enspace": " ", b"cell": "\t",
    b"row": "\n",
}  # fmt: skip
_TOGGLES: Final = {
    b"b": "bold", b"i": "italic", b"ul": "underline", b"uld": "underline", b"uldb": "underline",
    b"ulw": "underline", b"strike": "strike", b"striked": "strike",
}  # fmt: skip
_CODE_PAGES: Final = {
    0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gbk", 136: "big5",
    161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251",
    222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
"""By `\\fcharset`."""
_LINK: Final = re.compile(r'HYPERLINK\s+"([^"]*)"')


class _Group(msgspec.Struct):
    """What a brace saves, and its end brings back."""

    style: Style = PLAIN
    font: int = -1
    destination: bytes = b""
    """What its text is for: empty for the document; `skip` for nothing."""
    unicode_skip: int = 1
    link: str = ""


def sanitise_rtf(data: bytes) -> tuple[str, str]:
    """(the words, canonical XHTML or nothing) of an RTF document.

    Raises RemoteProtocolError for what is none, or more than `MAX_BYTES`.
    """
    blocks = parse_rtf(data)
    return words(blocks), write(blocks) if has_form(blocks) else ""


def parse_rtf(data: bytes) -> Rich:
    """Read an RTF document. Raises RemoteProtocolError for what is none, or more than `MAX_BYTES`."""
    if not data.startswith(b"{\\rtf"):
        raise RemoteProtocolError("not-acceptable", "this is no RTF")
    if len(data) > MAX_BYTES:
        raise RemoteProtocolError("not-acceptable", f"RTF of more than {MAX_BYTES} bytes")
    reader = _Reader()
    for token in _TOKEN.finditer(data):
        brace, word, number, byte, symbol, text = token.groups()
        if brace == b"{":
            reader.open()
        elif brace:
            if not reader.close():
                break
        elif word is not None:
            reader.word(word, number, data, token.end())
        elif byte is not None:
            reader.octets(bytes((int(byte, 16),)))
        elif symbol is not None:
            reader.symbol(symbol)
        elif text is not None:
            reader.octets(text)
    return reader.finish()


class _Reader:
    """Puts tokens together."""

    def __init__(self) -> None:
        self._group = _Group()
        self._stack: list[_Group] = []
        self._deeper = 0
        self._fresh = False
        """At the very beginning of a group, where its destination is named."""
        self._starred = False
        self._code_page = "cp1252"
        self._fonts: dict[int, tuple[str, str]] = {}
        self._usual_font = 0
        self._font_text = ""
        self._colours: list[str] = []
        self._rgb = [0, 0, 0]
        self._coloured = False
        self._field = ""
        self._pending = b""
        self._units: list[int] = []
        self._skip = 0
        self._blocks: list[Block] = []
        self._runs: list[Run] = []

    def open(self) -> None:
        self._settle()
        if len(self._stack) >= MAX_DEPTH:
            self._deeper += 1
            return
        self._stack.append(self._group)
        self._group = replace(self._group)
        self._fresh = True
        self._starred = False

    def close(self) -> bool:
        """The end of a group; False at that of the document."""
        self._settle()
        self._fresh = False
        if self._deeper:
            self._deeper -= 1
            return True
        if not self._stack:
            return False
        closed = self._group
        self._group = self._stack.pop()
        if closed.destination == b"fldinst" and self._group.destination != b"fldinst":
            link = _LINK.search(self._field)
            self._group.link = safe_link(link[1]) if link is not None else ""
            self._field = ""
        return bool(self._stack)

    def word(self, word: bytes, number: bytes | None, data: bytes, end: int) -> None:
        self._settle(keep_units=word in (b"u", b"uc"))
        value = int(number) if number is not None else None
        fresh, self._fresh = self._fresh, False
        group = self._group
        if self._deeper or group.destination == b"skip":
            return
        if fresh and (word in _SKIPPED or (self._starred and word != b"fldinst")):
            group.destination = b"skip"
        elif word in (b"fonttbl", b"colortbl", b"fldinst"):
            group.destination = word
        elif word == b"fldrslt":
            group.style = replace(group.style, link=group.link)
        elif group.destination:
            self._table(word, value)
        elif word == b"u":
            self._units.append((value or 0) & 0xFFFF)
            self._skip = group.unicode_skip
        elif word == b"uc":
            group.unicode_skip = max(0, min(value if value is not None else 1, 8))
        elif word == b"ansicpg":
            self._code_page = _known(f"cp{value}")
        elif word == b"deff":
            self._usual_font = value or 0
        elif word == b"par":
            self._end_block()
        elif word in _CHARACTERS:
            self._say(_CHARACTERS[word])
        else:
            self._dress(word, value)

    def symbol(self, symbol: bytes) -> None:
        self._settle()
        if symbol == b"*":
            self._starred = self._fresh
            return
        self._fresh = False
        if symbol in (b"\n", b"\r"):
            self._end_block()
        elif symbol in b"\\{}":
            self.octets(symbol)
        elif symbol == b"~":
            self._say(" ")
        elif symbol == b"_":
            self._say("-")

    def octets(self, data: bytes) -> None:
        """Text, in the code page of the font."""
        self._fresh = False
        if self._deeper:
            return
        if self._skip:
            gone = min(self._skip, len(data))
            self._skip -= gone
            data = data[gone:]
        if data:
            self._settle_units()
            self._pending += data

    def finish(self) -> Rich:
        """All of it."""
        self._settle()
        if self._runs:
            self._end_block()
        while self._blocks and not self._blocks[-1].runs:
            self._blocks.pop()
        return tuple(self._blocks)

    def _dress(self, word: bytes, value: int | None) -> None:
        """A control word about the looks of what follows."""
        group = self._group
        if word in _TOGGLES:
            group.style = replace(group.style, **{_TOGGLES[word]: value != 0})
        elif word == b"ulnone":
            group.style = replace(group.style, underline=False)
        elif word == b"plain":
            group.style = Style(link=group.style.link)
        elif word == b"f" and value is not None:
            group.font = value
        elif word == b"cf" and value is not None:
            named = self._colours[value] if 0 <= value < len(self._colours) else ""
            group.style = replace(group.style, colour="" if named == "#000000" else named)
        elif word == b"fs" and value is not None and value > 0:
            size = size_pt(value / 2)
            group.style = replace(group.style, size_pt=0 if 8 <= size <= DEFAULT_SIZE_PT else size)

    def _table(self, word: bytes, value: int | None) -> None:
        destination = self._group.destination
        if destination == b"colortbl" and word in (b"red", b"green", b"blue"):
            self._rgb[(b"red", b"green", b"blue").index(word)] = max(0, min(value or 0, 255))
            self._coloured = True
        elif destination == b"fonttbl":
            if word == b"f" and value is not None:
                self._group.font = value
                self._font_text = ""
                if len(self._fonts) < MAX_ENTRIES:
                    self._fonts.setdefault(value, (self._code_page, ""))
            elif word == b"fcharset" and self._group.font in self._fonts:
                page = _CODE_PAGES.get(value or 0, self._code_page) if value else self._code_page
                self._fonts[self._group.font] = (page, "")

    def _settle(self, *, keep_units: bool = False) -> None:
        """What has been collected is text now."""
        if not keep_units:
            self._settle_units()
            self._skip = 0
        data, self._pending = self._pending, b""
        if not data:
            return
        group = self._group
        if group.destination == b"colortbl":
            for _ in range(min(data.count(b";"), MAX_ENTRIES - len(self._colours))):
                red, green, blue = self._rgb
                self._colours.append(f"#{red:02x}{green:02x}{blue:02x}" if self._coloured else "")
                self._rgb, self._coloured = [0, 0, 0], False
            return
        page = self._fonts.get(group.font, (self._code_page, ""))[0]
        text = data.decode(page, "replace")
        if group.destination == b"fonttbl":
            self._font_text = (self._font_text + text)[:100]
            if group.font in self._fonts and ";" in text:
                self._fonts[group.font] = (page, font(self._font_text.partition(";")[0]))
        elif group.destination == b"fldinst":
            self._field = (self._field + text)[:4096]
        elif not group.destination:
            self._say(text)

    def _settle_units(self) -> None:
        if self._units:
            units, self._units = self._units, []
            data = b"".join(unit.to_bytes(2, "little") for unit in units)
            if not self._group.destination:
                self._say(data.decode("utf-16-le", "replace"))

    def _say(self, text: str) -> None:
        group = self._group
        if group.destination or self._deeper:
            return
        named = self._fonts.get(group.font, ("", ""))[1] if group.font != self._usual_font else ""
        text = clean(text).replace("\t", " ").replace("\xa0", " ")
        if text:
            self._runs.append(Run(text, replace(group.style, font=named) if named else group.style))

    def _end_block(self) -> None:
        runs, self._runs = self._runs, []
        self._blocks.append(Block(merged(runs)))


def _known(page: str) -> str:
    """A code page that Python knows."""
    try:
        return codecs.lookup(page).name
    except LookupError:
        return "cp1252"
