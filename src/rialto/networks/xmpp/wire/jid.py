"""XMPP addresses: RFC 7622 outside, the canonical `Address` inside, XEP-0106 between the two.

Reading prepares and folds each part as PRECIS demands and then undoes the XEP-0106 escapes of the local part;
writing puts them back. Both are remembered, for the same few people write again and again.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from precis_i18n import get_profile

from rialto.model.address import Address, canonical_domain
from rialto.model.errors import AddressError

MAX_PART_BYTES: Final = 1023  # RFC 7622 section 3.1

_ESCAPES: Final = {  # XEP-0106 section 3
    " ": "\\20",
    '"': "\\22",
    "&": "\\26",
    "'": "\\27",
    "/": "\\2f",
    ":": "\\3a",
    "<": "\\3c",
    ">": "\\3e",
    "@": "\\40",
    "\\": "\\5c",
}
_UNESCAPES: Final = {escape: character for character, escape in _ESCAPES.items()}
# `\5c` stands for a backslash only where it was needed; elsewhere it is text, or two JIDs would be one
# address.
_ESCAPE_SEQUENCE: Final = re.compile(r"\\(?:20|22|26|27|2f|3a|3c|3e|40|5c(?=20|22|26|27|2f|3a|3c|3e|40|5c))")
# A backslash is escaped only where what follows would make it look like an escape (XEP-0106 section 4).
_TO_ESCAPE: Final = re.compile(r"""[ "&'/:<>@]|\\(?=20|22|26|27|2f|3a|3c|3e|40|5c)""")
_FORBIDDEN: Final = frozenset("\"&'/:<>@ ")  # RFC 7622 section 3.3.1
_PLAIN_LOCAL: Final = re.compile(r"[a-z0-9!#$%()*+,\-.;=?\[\]^_`{|}~]+\Z")
_PLAIN_RESOURCE: Final = re.compile(r"[!-~]+( [!-~]+)*\Z")

_username = get_profile("UsernameCaseMapped")
_opaque = get_profile("OpaqueString")


def _too_long(part: str) -> bool:
    return len(part) > 255 and len(part.encode("utf-8", "surrogatepass")) > MAX_PART_BYTES


def _local(text: str) -> str:
    """A localpart as it is compared: RFC 7622 section 3.3. Raises AddressError."""
    if not _PLAIN_LOCAL.match(text):
        try:
            text = _username.enforce(text)
        except UnicodeError as error:
            raise AddressError(f"{text[:80]!r} is not a localpart") from error
        if not _FORBIDDEN.isdisjoint(text):
            raise AddressError(f"{text[:80]!r} is not a localpart")
    if not text or _too_long(text):
        raise AddressError("a localpart has 1 to 1023 bytes")
    return text


def _resource(text: str) -> str:
    """A resourcepart: RFC 7622 section 3.4. Raises AddressError."""
    if not _PLAIN_RESOURCE.match(text):
        try:
            text = _opaque.enforce(text)
        except UnicodeError as error:
            raise AddressError("not a resourcepart") from error
    if not text or _too_long(text):
        raise AddressError("a resourcepart has 1 to 1023 bytes")
    return text


def unescape(local: str) -> str:
    """Undo XEP-0106 in a localpart; what is no escape of its table stays."""
    if "\\" not in local:
        return local
    if local.startswith("\\20") or local.endswith("\\20"):
        return local  # XEP-0106 section 4.2: never first or last, so this is somebody's literal text
    return _ESCAPE_SEQUENCE.sub(lambda match: _UNESCAPES[match[0]], local)


def escape(local: str) -> str:
    """A canonical local part as a localpart. Raises AddressError where XMPP cannot write it."""
    if _PLAIN_LOCAL.match(local):
        return local
    if local.startswith(" ") or local.endswith(" "):
        raise AddressError("a localpart cannot begin or end with a space")  # XEP-0106 section 4.2
    if (local.startswith("\\20") or local.endswith("\\20")) and _FORBIDDEN.isdisjoint(local):
        return _local(local)  # reads back as it is: see `unescape`
    return _local(_TO_ESCAPE.sub(lambda match: _ESCAPES[match[0]], local))


@lru_cache(maxsize=65536)
def parse(text: str) -> Address:
    """Read a JID. Raises AddressError."""
    bare, slash, resource = text.partition("/")
    local, at, domain = bare.rpartition("@")
    if at:
        if "@" in local:
            raise AddressError(f"{text[:80]!r}: more than one @")
        local = unescape(_local(local))
    if not domain:
        raise AddressError(f"{text[:80]!r}: no domain")
    return Address(local, canonical_domain(domain), _resource(resource) if slash else "")


@lru_cache(maxsize=65536)
def write(address: Address) -> str:
    """Write a JID. Raises AddressError where XMPP has no way to write it."""
    domain = address.domain
    head = f"{escape(address.local)}@{domain}" if address.local else domain
    return f"{head}/{_resource(address.instance)}" if address.instance else head


def domain_of(text: str) -> str:
    """The canonical form of a domain as it stands in a stream header or a dialback element; raises
    AddressError."""
    if not text or "@" in text or "/" in text:
        raise AddressError(f"{text[:80]!r} is not a domain")
    return canonical_domain(text)
