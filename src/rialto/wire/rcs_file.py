"""A file that lies on a content server: application/vnd.gsma.rcs-ft-http+xml, as RCS writes it.

    <file>
      <file-info type="thumbnail">…</file-info>
      <file-info type="file">
        <file-size>29</file-size><file-name>x.txt</file-name><content-type>text/plain</content-type>
        <data url="https://…" until="2026-01-01T00:00:00Z"/>
      </file-info>
    </file>

Written with the namespace of later versions, read with any or none.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from rialto.wire.xml import Node, XmlError, escape, read_document

MEDIA_TYPE: Final = "application/vnd.gsma.rcs-ft-http+xml"
NAMESPACE: Final = "urn:gsma:params:xml:ns:rcs:rcs:fthttp"

MAX_BYTES: Final = 16_384
MAX_URL_CHARACTERS: Final = 2_000
MAX_NAME_CHARACTERS: Final = 255
MAX_SIZE_BYTES: Final = 2**53

_URL: Final = re.compile(r"https?://[!-~]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class RcsFileError(ValueError):
    """A body that names no file which could be fetched."""


class RcsFile(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One file; `until` is when the link ends, as its sender wrote it (RFC 3339)."""

    url: str
    name: str = ""
    media_type: str = ""
    size_bytes: int | None = None
    until: str = ""


def parse(data: bytes, charset: str = "") -> RcsFile:
    """Read a document; the thumbnail is left aside. Raises RcsFileError."""
    try:
        root = read_document(data, charset, max_bytes=MAX_BYTES)
    except XmlError as error:
        raise RcsFileError(str(error)) from None
    infos = [child for child in root.children if _local(child) == "file-info"]
    info = next((one for one in infos if one.attributes.get("type", "file") == "file"), None)
    if _local(root) != "file" or info is None:
        raise RcsFileError("no file in it")
    inside = {_local(child): child for child in info.children}
    where = inside.get("data")
    url = where.attributes.get("url", "").strip() if where is not None else ""
    if not _URL.fullmatch(url) or len(url) > MAX_URL_CHARACTERS:
        raise RcsFileError("no address at which the file could be fetched")
    size = _text(inside.get("file-size"))
    known = size.isascii() and size.isdigit() and len(size) < 17 and int(size) < MAX_SIZE_BYTES
    return RcsFile(
        url=url,
        name=_CONTROL.sub("", _text(inside.get("file-name")))[:MAX_NAME_CHARACTERS],
        media_type=_CONTROL.sub("", _text(inside.get("content-type")))[:100],
        size_bytes=int(size) if known else None,
        until=where.attributes.get("until", "").strip() if where is not None else "",
    )


def write(file: RcsFile) -> bytes:
    """A document."""
    until = f' until="{escape(file.until)}"' if file.until else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\r\n<file xmlns="{NAMESPACE}"><file-info type="file">'
        f"<file-size>{file.size_bytes or 0}</file-size><file-name>{escape(file.name)}</file-name>"
        f"<content-type>{escape(file.media_type or 'application/octet-stream')}</content-type>"
        f'<data url="{escape(file.url)}"{until}/></file-info></file>'
    ).encode()


def _local(node: Node) -> str:
    return node.name.rpartition("}")[2]


def _text(node: Node | None) -> str:
    return "" if node is None else node.text.strip()
