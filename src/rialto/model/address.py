"""A person, or one of a person's devices, on any network.

Inside Rialto an address is three texts without any protocol's escaping: the local part as its owner would
read it, the domain as lower-case U-labels, the instance (an XMPP resource, a SIP `gr`). Every network
escapes and folds at its own edge (RFC 7247 section 6.2): `o'malley` is `o\\27malley` only in XMPP.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import quote, unquote_to_bytes

import idna
import msgspec

from rialto.model.errors import AddressError

MAX_PART_BYTES = 1023  # RFC 7622 section 3.1; RFC 7247 leaves SIP user parts unbounded, we do not

_ASCII_DOMAIN = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?\Z",
    re.ASCII,
)
_SCHEME = re.compile(r"\A(?:im|pres|xmpp|sips?):")
_SAFE = "!$&'()*+,;=:[]{}|^`\\\"<> #?~"
"""What stays readable in the text form; `%`, `@` and `/` separate, so they are escaped."""


class Address(msgspec.Struct, frozen=True, cache_hash=True, gc=False, array_like=True):
    """`local@domain/instance`; an empty local part is the domain itself, an empty instance any device.

    The text form (`str`, `parse`) is for people, logs and the command line: `@`, `/` and `%` inside the
    local part stand percent-encoded, everything else as it is.
    """

    local: str
    domain: str
    instance: str = ""

    @property
    def bare(self) -> Address:
        """The same person, no matter where."""
        return Address(self.local, self.domain) if self.instance else self

    def __str__(self) -> str:
        local = self.local
        if not local.isalnum():
            # Spaces at its ends would be stripped, and what looks like a scheme taken for one.
            safe = _SAFE if local == local.strip() else _SAFE.replace(" ", "")
            local = quote(local, safe=safe.replace(":", "") if _SCHEME.match(local) else safe)
        head = f"{local}@{self.domain}" if local else self.domain
        return f"{head}/{self.instance}" if self.instance else head

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read the text form, with or without an `im:`, `xmpp:` or `sip:` in front.

        Raises AddressError.
        """
        head, slash, instance = _SCHEME.sub("", text.lstrip()).partition("/")
        if not slash:
            head = head.rstrip()
        local, at, domain = head.rpartition("@")
        if at and not local:
            raise AddressError(f"{text!r}: nothing before the @")
        try:
            local = unquote_to_bytes(local).decode("utf-8")
        except UnicodeDecodeError:
            raise AddressError(f"{text!r}: the part before the @ is not UTF-8") from None
        return cls.checked(local, domain, instance)

    @classmethod
    def checked(cls, local: str, domain: str, instance: str = "") -> Address:
        """An address whose parts came from outside; raises AddressError for what no network could carry."""
        for part in (local, instance):
            if part and not (part.isprintable() and len(part) <= 255):
                _check_part(part)
        return cls(local, canonical_domain(domain), instance)


def _check_part(part: str) -> None:
    if len(part.encode("utf-8", "surrogatepass")) > MAX_PART_BYTES:
        raise AddressError(f"a part of an address is longer than {MAX_PART_BYTES} bytes")
    for character in part:
        point = ord(character)
        if point < 0x20 or 0x7F <= point < 0xA0 or 0xD800 <= point < 0xE000:
            raise AddressError(f"a control character (U+{point:04X}) in an address")


@lru_cache(maxsize=65536)
def canonical_domain(text: str) -> str:
    """Lower-case U-labels without the final dot; IP literals as `ipaddress` writes them (IPv6 in brackets).

    Raises AddressError. RFC 7622 section 3.2, RFC 5891.
    """
    domain = text.lower()
    if _ASCII_DOMAIN.match(domain):
        domain = domain.removesuffix(".")
        if "xn--" not in domain:
            return domain
    try:
        if domain.startswith("[") or ":" in domain:
            return f"[{ip_address(domain.strip('[]'))}]"
        return idna.decode(idna.encode(domain.removesuffix("."), uts46=True))
    except (ValueError, UnicodeError) as error:
        raise AddressError(f"{text[:80]!r} is not a domain") from error


@lru_cache(maxsize=65536)
def ascii_domain(domain: str) -> str:
    """The A-label form of a canonical domain, as DNS, TLS and SIP write it."""
    if domain.isascii():
        return domain
    return idna.encode(domain).decode("ascii")
