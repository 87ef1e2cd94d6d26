"""The conditions of RFC 6120: what can be wrong with a stream, and with a stanza."""

from __future__ import annotations

from typing import Final

from rialto.networks.xmpp.wire.element import Element, legal
from rialto.networks.xmpp.wire.namespaces import STANZA_ERRORS, STREAM_ERRORS, XML

STREAM_CONDITIONS: Final = frozenset(
    {
        "bad-format",
        "bad-namespace-prefix",
        "conflict",
        "connection-timeout",
        "host-gone",
        "host-unknown",
        "improper-addressing",
        "internal-server-error",
        "invalid-from",
        "invalid-namespace",
        "invalid-xml",
        "not-authorized",
        "not-well-formed",
        "policy-violation",
        "remote-connection-failed",
        "reset",
        "resource-constraint",
        "restricted-xml",
        "see-other-host",
        "system-shutdown",
        "undefined-condition",
        "unsupported-encoding",
        "unsupported-feature",
        "unsupported-stanza-type",
        "unsupported-version",
    }
)  # RFC 6120 section 4.9.3

STANZA_ERROR_TYPES: Final = {  # RFC 6120 section 8.3.3: the type that should go with each condition
    "bad-request": "modify",
    "conflict": "cancel",
    "feature-not-implemented": "cancel",
    "forbidden": "auth",
    "gone": "cancel",
    "internal-server-error": "cancel",
    "item-not-found": "cancel",
    "jid-malformed": "modify",
    "not-acceptable": "modify",
    "not-allowed": "cancel",
    "not-authorized": "auth",
    "policy-violation": "modify",
    "recipient-unavailable": "wait",
    "redirect": "modify",
    "registration-required": "auth",
    "remote-server-not-found": "cancel",
    "remote-server-timeout": "wait",
    "resource-constraint": "wait",
    "service-unavailable": "cancel",
    "subscription-required": "auth",
    "undefined-condition": "modify",
    "unexpected-request": "modify",
}


def error_element(condition: str, text: str = "", *, kind: str = "", address: str = "") -> Element:
    """An `<error/>`; `kind` replaces the usual type, `address` is the new one in `gone` and `redirect`."""
    content: list[Element | str] = [
        Element(f"{STANZA_ERRORS}}}{condition}", {}, [address] if address else [])
    ]
    if text:
        content.append(Element(f"{STANZA_ERRORS}}}text", {f"{XML}}}lang": "en"}, [legal(text)]))
    return Element("error", {"type": kind or STANZA_ERROR_TYPES.get(condition, "cancel")}, content)


def condition_of(error: Element | None, namespace: str = STANZA_ERRORS) -> tuple[str, str, str]:
    """The condition of an `<error/>` or `<stream:error/>`, its text, and the address inside the condition."""
    condition, text, address = "undefined-condition", "", ""
    if error is not None:
        for child in error.elements:
            if child.namespace != namespace:
                continue
            if child.local_name == "text":
                text = child.text[:1024]
            else:
                condition, address = child.local_name, child.text.strip()[:3071]
    return condition, text, address


def stream_condition_of(error: Element) -> tuple[str, str]:
    """The condition and text of a `<stream:error/>`."""
    return condition_of(error, STREAM_ERRORS)[:2]
