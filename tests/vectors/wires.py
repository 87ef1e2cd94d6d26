"""What a wire means, read without Rialto's own codecs: the fields that vectors compare."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

from vectors.conversations import BODY_FIELDS, STANZA_FIELDS

XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
PIDF = "{urn:ietf:params:xml:ns:pidf}"
SHOW = "{jabber:client}show"
NICK = "{http://jabber.org/protocol/nick}nick"
VCARD = "{vcard-temp}"
_BESIDE = {
    "state": ("{http://jabber.org/protocol/chatstates}", ""),
    "receipt": ("{urn:xmpp:receipts}received", "id"),
    "asks": ("{urn:xmpp:receipts}request", ""),
}
STANZA_ERRORS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"

_NAME_ADDR = re.compile(r"[^<]*<([^>]*)>(.*)|([^;<>]*)(.*)", re.DOTALL)
_XML_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")


class Sip:
    """A SIP message as text."""

    def __init__(self, text: str) -> None:
        head, _, body = text.replace("\r\n", "\n").partition("\n\n")
        self.start, *lines = head.split("\n")
        self.headers = [(name.strip(), value.strip()) for name, _, value in (x.partition(":") for x in lines)]
        self.body = body

    @property
    def is_response(self) -> bool:
        return self.start.startswith("SIP/2.0 ")

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def branch(self) -> str:
        return self.get("via").partition("branch=")[2].partition(";")[0]

    def encode(self) -> bytes:
        """As it goes on the wire; the length is counted anew."""
        body = self.body.replace("\n", "\r\n").encode()
        headers = [(name, value) for name, value in self.headers if name.lower() != "content-length"]
        lines = [self.start, *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body)}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def field(self, name: str) -> Any:
        """A field of the vectors' vocabulary; empty where it is absent."""
        if name in SIP_FIELDS:
            return SIP_FIELDS[name](self)
        if name in BODY_FIELDS:
            return BODY_FIELDS[name](self.body)
        return self.get(name)


def name_addr(value: str) -> tuple[str, str]:
    """The URI and the header parameters of From, To, Contact."""
    match = _NAME_ADDR.fullmatch(value)
    assert match is not None, value
    return (match[1], match[2]) if match[1] is not None else (match[3].strip(), match[4])


def display_name(value: str) -> str:
    """The display name of From, To, Contact, unquoted."""
    name = value.partition("<")[0].strip() if "<" in value else ""
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if name.startswith('"') else name


def _parameter(text: str, name: str) -> str:
    found = re.search(rf";\s*{name}=([^;]*)", text)
    return found[1].strip() if found else ""


def _uri(uri: str) -> str:
    """Without parameters and port: who is meant."""
    return re.sub(r":\d+$", "", uri.partition(";")[0])


def _sdp(sip: Sip, pattern: str) -> str:
    if sip.get("content-type") != "application/sdp":
        return ""
    found = re.search(f"^{pattern}$" if pattern.endswith(")") else pattern, sip.body, re.MULTILINE)
    found = found or re.search(f"^{pattern}", sip.body, re.MULTILINE)
    return found[1].strip() if found else ""


def _of(header: str) -> dict[str, Callable[[Sip], str]]:
    return {
        header: lambda sip: _uri(name_addr(sip.get(header))[0]),
        f"{header}.gr": lambda sip: _parameter(name_addr(sip.get(header))[0], "gr"),
        f"{header}-tag": lambda sip: _parameter(name_addr(sip.get(header))[1], "tag"),
    }


SIP_FIELDS: dict[str, Callable[[Sip], Any]] = {
    "method": lambda sip: "" if sip.is_response else sip.start.split(" ")[0],
    "status": lambda sip: sip.start.split(" ")[1] if sip.is_response else "",
    "request-uri": lambda sip: _uri(sip.start.split(" ")[1]),
    "request-uri.gr": lambda sip: _parameter(sip.start.split(" ")[1], "gr"),
    **_of("from"),
    "from.name": lambda sip: display_name(sip.get("from")),
    **_of("to"),
    "contact": lambda sip: name_addr(sip.get("contact"))[0],
    "cseq-method": lambda sip: sip.get("cseq").split(" ")[-1],
    "content-type": lambda sip: sip.get("content-type").partition(";")[0].strip().lower(),
    "event": lambda sip: sip.get("event").partition(";")[0].strip(),
    "state": lambda sip: sip.get("subscription-state").partition(";")[0].strip(),
    "state.reason": lambda sip: _parameter(sip.get("subscription-state"), "reason"),
    "state.expires": lambda sip: _parameter(sip.get("subscription-state"), "expires"),
    "body": lambda sip: sip.body,
    "sdp.media": lambda sip: _sdp(sip, r"m=(\S+)"),
    "sdp.protocol": lambda sip: _sdp(sip, r"m=\S+ \S+ (\S+)"),
    "sdp.path": lambda sip: _sdp(sip, r"a=path:(.*)"),
    "sdp.accept-types": lambda sip: _sdp(sip, r"a=accept-types:(.*)"),
    "document": lambda sip: document(sip.body),
    "document.open": lambda sip: [one for one in document(sip.body) if one[1] == "open"],
}


def document(body: str) -> list[tuple[Any, ...]]:
    """A presence document: for each tuple (id, basic, show, notes, priority), after one for the entity."""
    if not body:
        return []
    root = ET.fromstring(body.encode())
    assert root.tag == f"{PIDF}presence"
    tuples = []
    for node in root.findall(f"{PIDF}tuple"):
        assert _XML_ID.fullmatch(node.attrib["id"])
        show = node.find(f".//{SHOW}")
        contact = node.find(f"{PIDF}contact")
        notes = tuple((note.get(XML_LANG, ""), note.text) for note in node.findall(f"{PIDF}note"))
        priority = "" if contact is None else contact.get("priority", "")
        tuples.append(
            (
                node.attrib["id"],
                node.findtext(f"{PIDF}status/{PIDF}basic"),
                "" if show is None else show.text,
                notes,
                float(priority) if priority else None,
            )
        )
    return [("", root.attrib["entity"].partition(":")[2]), *tuples]


class Stanza:
    """A stanza; its own namespace is the stream's, whichever that is."""

    def __init__(self, node: ET.Element) -> None:
        self.node = node
        self.namespace = node.tag.rpartition("}")[0] + "}" if "}" in node.tag else ""

    @classmethod
    def parse(cls, text: str) -> Stanza:
        return cls(ET.fromstring(text))

    def _child(self, name: str) -> ET.Element | None:
        return self.node.find(f"{self.namespace}{name}")

    def field(self, name: str) -> str:
        """A field of the vectors' vocabulary; empty where it is absent."""
        if name in STANZA_FIELDS:
            return STANZA_FIELDS[name](self.node)
        match name.partition("."):
            case ("name", _, _):
                return self.node.tag.rpartition("}")[2]
            case ("type", _, _):
                kind = self.node.get("type", "")
                return "" if kind == "normal" else kind
            case ("from" | "to" as end, _, "bare"):
                return self.node.get(end, "").partition("/")[0]
            case ("from" | "to" | "id", _, _):
                return self.node.get(name, "")
            case ("lang", _, _):
                return self.node.get(XML_LANG, "")
            case ("nick", _, _):
                return self.node.findtext(NICK, "")
            case ("vcard", _, "name"):
                return self.node.findtext(f"{VCARD}vCard/{VCARD}FN", "")
            case ("state" | "receipt" | "asks", _, _):
                space, key = _BESIDE[name]
                found = next((one for one in self.node if one.tag.startswith(space)), None)
                if found is None:
                    return ""
                return found.get(key, "") if key else found.tag.rpartition("}")[2]
            case ("error", _, "type"):
                error = self._child("error")
                return "" if error is None else error.get("type", "")
            case ("error", _, "condition"):
                error = self._child("error")
                names = [one.tag for one in error or () if one.tag.startswith(STANZA_ERRORS)]
                return next(
                    (one.removeprefix(STANZA_ERRORS) for one in names if not one.endswith("text")), ""
                )
            case (child, _, "lang"):
                found = self._child(child)
                return "" if found is None else found.get(XML_LANG, "")
            case (child, _, _):
                found = self._child(child)
                return "" if found is None else found.text or ""
        raise AssertionError(name)


def text_of(wire: str) -> str:
    """A wire of a vector: the line break at its end is not part of it."""
    return wire.removesuffix("\n")


def read_sip(wire: str) -> Sip:
    """A SIP wire of a vector; one without a body may leave out the empty line."""
    return Sip(text_of(wire))


def read_stanza(wire: str) -> Stanza:
    """An XMPP wire of a vector."""
    return Stanza.parse(text_of(wire))
