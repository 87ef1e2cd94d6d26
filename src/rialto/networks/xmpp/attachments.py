"""Files that go with a message: links out of band (XEP-0066), stateless file sharing (XEP-0447) and its
forerunner (XEP-0385).

A client uploads a file to its own server (XEP-0363) and sends the link. Three ways of saying so are in use,
often all in one stanza; of one link they make one `File`. Only `http` and `https` count: everything else, and
an encrypted file (XEP-0448, `aesgcm:`) above all, stays the text that it is. Nothing is fetched here.

On the way out, clients that know only XEP-0066 show a picture where the text is the link and nothing else; so
a text that merely names the files gives way to the link.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

from msgspec.structs import replace

from rialto.core.wording import link
from rialto.model.message import File, Message
from rialto.networks.xmpp.relations import fallback, without_fallback
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import (
    FILE_METADATA,
    FILE_SHARING,
    HASHES,
    MEDIA_SHARING,
    OOB,
    REFERENCE,
    URL_DATA,
)

MAX_FILES: Final = 20
MAX_URL_CHARACTERS: Final = 2048
MAX_NAME_CHARACTERS: Final = 255
MAX_DESCRIPTION_CHARACTERS: Final = 1000
MAX_SIZE_BYTES: Final = 1 << 50

_OOB: Final = f"{OOB}}}x"
_SHARING: Final = f"{FILE_SHARING}}}file-sharing"
_REFERENCE: Final = f"{REFERENCE}}}reference"
ELEMENTS: Final = frozenset({_OOB, _SHARING, _REFERENCE})
"""What in a stanza is about files."""

_LINK: Final = re.compile(r"https?://[^\s<>\"\x00-\x20\x7f]+", re.IGNORECASE)
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")
_NOT_IN_A_NAME: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def read_files(message: Message, elements: Sequence[Element]) -> Message:
    """`message` with the files that the elements share."""
    found: dict[str, File] = {}
    for element in elements:
        for file in _FILES_IN[element.name](element) if element.name in _FILES_IN else ():
            if file.url in found:
                found[file.url] = _both(found[file.url], file)
            elif len(found) < MAX_FILES:
                found[file.url] = file
    if not found:
        return message
    # Links that stand in for the elements are no words, unless there are no others.
    text = without_fallback(message.text, elements, FILE_SHARING) or message.text or "\n".join(found)
    files = [file if file.name else replace(file, name=_name_in(file.url)) for file in found.values()]
    return replace(message, files=tuple(files), text=text)


def _both(one: File, other: File) -> File:
    """What is said of one file twice."""
    return File(
        url=one.url,
        name=other.name or one.name,
        media_type=other.media_type or one.media_type,
        size_bytes=other.size_bytes if other.size_bytes is not None else one.size_bytes,
        description=other.description or one.description,
        sha256=other.sha256 or one.sha256,
    )


def _out_of_band(element: Element) -> Iterator[File]:
    url = _text(element, f"{OOB}}}url")
    if _is_link(url):
        yield File(url=url, description=_description(_text(element, f"{OOB}}}desc")))


def _sharing(element: Element) -> Iterator[File]:
    """XEP-0447 section 3; of several sources one is enough."""
    sources = element.find(f"{FILE_SHARING}}}sources")
    described = element.find(f"{FILE_METADATA}}}file")
    if sources is None or described is None:
        return
    for source in sources.find_all(f"{URL_DATA}}}url-data"):
        if _is_link(url := source.get("target")):
            yield _described(url, described)
            return


def _reference(element: Element) -> Iterator[File]:
    """XEP-0385 section 2; its description is that of Jingle, in that namespace, with the same names."""
    media = element.find(f"{MEDIA_SHARING}}}media-sharing")
    sources = media.find(f"{MEDIA_SHARING}}}sources") if media is not None else None
    described = next((one for one in media.elements if one.local_name == "file"), None) if media else None
    if sources is None or described is None:
        return
    for source in sources.find_all(_REFERENCE):
        if _is_link(url := source.get("uri")):
            yield _described(url, described)
            return


_FILES_IN: Final = {_OOB: _out_of_band, _SHARING: _sharing, _REFERENCE: _reference}


def _described(url: str, file: Element) -> File:
    space = file.namespace
    size = _text(file, f"{space}}}size")
    media_type = _text(file, f"{space}}}media-type").lower()
    return File(
        url=url,
        name=_clean_name(_text(file, f"{space}}}name")),
        media_type=media_type if _MEDIA_TYPE.fullmatch(media_type) else "",
        size_bytes=int(size)
        if size.isascii() and size.isdigit() and len(size) < 17 and int(size) <= MAX_SIZE_BYTES
        else None,
        description=_description(_text(file, f"{space}}}desc")),
        sha256=_sha256(file),
    )


def _sha256(file: Element) -> str:
    """XEP-0300: in Base64."""
    for one in file.find_all(f"{HASHES}}}hash"):
        if one.get("algo").lower() == "sha-256":
            try:
                digest = base64.b64decode("".join(one.text.split()), validate=True)
            except (binascii.Error, ValueError):
                return ""
            return digest.hex() if len(digest) == 32 else ""
    return ""


def _text(element: Element, name: str) -> str:
    child = element.find(name)
    return child.text.strip() if child is not None else ""


def _is_link(url: str) -> bool:
    if len(url) > MAX_URL_CHARACTERS or not _LINK.fullmatch(url):
        return False
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _name_in(url: str) -> str:
    return _clean_name(unquote(urlsplit(url).path.rpartition("/")[2]))


def _clean_name(name: str) -> str:
    """XEP-0446 section 5: never a path."""
    name = re.split(r"[/\\]", name)[-1]
    name = _NOT_IN_A_NAME.sub("", name).strip().lstrip(".")
    return name[:MAX_NAME_CHARACTERS]


def _description(text: str) -> str:
    return _NOT_IN_A_NAME.sub(" ", text)[:MAX_DESCRIPTION_CHARACTERS].strip()


def write_files(files: Sequence[File], text: str) -> tuple[str, list[Element | str]]:
    """(the text to write, the elements behind it) for a message with files."""
    links = [file.url for file in files]
    described = "\n".join(map(link, files))
    if text.endswith(described) and text[: -len(described)][-1:] in ("", "\n"):
        text = text[: -len(described)] + "\n".join(links)  # a gateway's words; the elements say it better
    missing = [url for url in links if url not in text]
    elements: list[Element | str] = []
    if missing:
        start = len(text)
        text = "\n".join([text, *missing] if text else missing)
        elements.append(fallback(FILE_SHARING, start, len(text)))
    elif text == "\n".join(links):
        elements.append(fallback(FILE_SHARING, 0, len(text)))
    for file in files:
        elements += [_share(file), Element(_OOB, {}, [Element(f"{OOB}}}url", {}, [file.url])])]
    return text, elements


def _share(file: File) -> Element:
    def said(name: str, value: str) -> Element:
        return Element(f"{FILE_METADATA}}}{name}", {}, [value])

    about: list[Element | str] = [
        said(name, value)
        for name, value in (
            ("media-type", file.media_type),
            ("name", file.name),
            ("size", "" if file.size_bytes is None else str(file.size_bytes)),
            ("desc", file.description),
        )
        if value
    ]
    if file.sha256:
        digest = base64.b64encode(bytes.fromhex(file.sha256)).decode()
        about.append(Element(f"{HASHES}}}hash", {"algo": "sha-256"}, [digest]))
    source = Element(f"{URL_DATA}}}url-data", {"target": file.url})
    return Element(
        _SHARING,
        {},
        [Element(f"{FILE_METADATA}}}file", {}, about), Element(f"{FILE_SHARING}}}sources", {}, [source])],
    )
