"""Fields of what is said about a conversation: envelopes, receipts, typing, on both wires."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

IMDN = "{urn:ietf:params:xml:ns:imdn}"
COMPOSING = "{urn:ietf:params:xml:ns:im-iscomposing}"
XHTML = "{http://www.w3.org/1999/xhtml}"
MARKERS = "{urn:xmpp:chat-markers:0}"

_HEADER = re.compile(r"(?m)^(?:([^.:\s]+)\.)?([^.:\s]+): (.*)$")


class Envelope:
    """A body that is message/cpim: its headers by name and namespace, and what is in it."""

    def __init__(self, body: str) -> None:
        head, _, rest = body.partition("\n\n")
        entity, _, self.content = rest.partition("\n\n")
        self._headers: dict[tuple[str, str], str] = {}
        prefixes = {"": ""}
        for prefix, name, value in _HEADER.findall(head):
            if name == "NS":
                prefixes[value.partition(" ")[0]] = value.partition("<")[2].rstrip(">")
            self._headers.setdefault((prefixes.get(prefix, prefix), name), value)
        self._entity = {name.lower(): value for _, name, value in _HEADER.findall(entity)}

    def get(self, name: str) -> str:
        return self._headers.get(("", name), "")

    def imdn(self, name: str) -> str:
        return self._headers.get(("urn:ietf:params:imdn", name), "")

    def entity(self, name: str) -> str:
        return self._entity.get(name, "").partition(";")[0].strip().lower()


def _notification(body: str) -> ET.Element | None:
    content = Envelope(body).content
    return ET.fromstring(content.encode()) if "<imdn" in content else None


def _about(body: str, name: str) -> str:
    root = _notification(body)
    return "" if root is None else root.findtext(f"{IMDN}{name}", "").strip()


def _fate(body: str) -> tuple[str, str]:
    """Kind and status of a notification."""
    for child in _notification(body) or ():
        if child.tag.endswith("-notification"):
            status = child.find(f"{IMDN}status")
            assert status is not None
            kind = child.tag.removeprefix(IMDN).removesuffix("-notification")
            return kind, status[0].tag.removeprefix(IMDN)
    return "", ""


def _composing(body: str, name: str) -> str:
    if "isComposing" not in body:
        return ""
    return ET.fromstring(body.encode()).findtext(f"{COMPOSING}{name}", "").strip()


BODY_FIELDS: dict[str, Callable[[str], str]] = {
    "cpim.body": lambda body: Envelope(body).content,
    "cpim.content-type": lambda body: Envelope(body).entity("content-type"),
    "cpim.disposition": lambda body: Envelope(body).entity("content-disposition"),
    "cpim.datetime": lambda body: Envelope(body).get("DateTime"),
    "cpim.message-id": lambda body: Envelope(body).imdn("Message-ID"),
    "cpim.asks": lambda body: Envelope(body).imdn("Disposition-Notification"),
    "imdn.about": lambda body: _about(body, "message-id"),
    "imdn.datetime": lambda body: _about(body, "datetime"),
    "imdn.kind": lambda body: _fate(body)[0],
    "imdn.status": lambda body: _fate(body)[1],
    "composing.state": lambda body: _composing(body, "state"),
    "composing.refresh": lambda body: _composing(body, "refresh"),
}
"""Of the body of a SIP request."""


def _html(node: ET.Element) -> ET.Element | None:
    return node.find(f"{{http://jabber.org/protocol/xhtml-im}}html/{XHTML}body")


def _words(node: ET.Element, name: str = "") -> str:
    """Those of the form, or of the first element of that name in it."""
    page = _html(node)
    found = page if page is None or not name else page.find(f".//{XHTML}{name}")
    return "" if found is None else "".join(found.itertext()) or found.tag


STANZA_FIELDS: dict[str, Callable[[ET.Element], str]] = {
    "html": _words,
    "html.em": lambda node: _words(node, "em"),
    "html.img": lambda node: _words(node, "img"),
    "html.script": lambda node: _words(node, "script"),
    "markable": lambda node: "" if node.find(f"{MARKERS}markable") is None else "markable",
    "marker": lambda node: next((found.get("id", "") for found in node.findall(f"{MARKERS}displayed")), ""),
}
"""Of a message stanza."""
