"""People's addresses and SIP URIs (RFC 7247 sections 6.4 and 6.5)."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from rialto.model.address import Address, ascii_domain
from rialto.model.errors import AddressError
from rialto.networks.sip.wire import NameAddr, Uri, sip_uri

SCHEMES = ("sip", "sips", "im", "pres")


@lru_cache(maxsize=4096)
def address_of(uri: Uri, instance: str | None = None) -> Address:
    """Who a URI means; `instance` where the header gave one outside the URI. Raises AddressError.

    Port, transport and every parameter but `gr` are dropped (ADR-13), and so is a password.
    """
    if uri.scheme not in SCHEMES:
        raise AddressError(f"a {uri.scheme}: URI is nobody's address here")
    local = uri.user_text
    instance = uri.gr if instance is None else instance
    # RFC 7247 section 6.3: public GRUUs only; `gr` without a value marks a temporary one (RFC 5627 section 5)
    return Address.checked(local or "", uri.host, instance or "")


def address_of_header(name: NameAddr) -> Address:
    """Who From or To means, with the instance inside or outside the angle brackets (ADR-21)."""
    return address_of(name.uri, name.gr)


@lru_cache(maxsize=8192)
def uri_of(address: Address, spelling: str = "", scheme: str = "sip") -> Uri:
    """The URI of somebody; `spelling` is how the owner writes the local part. Raises AddressError."""
    params = (("gr", address.instance),) if address.instance else ()
    uri = sip_uri(spelling or address.local or None, ascii_domain(address.domain), scheme=scheme)
    return uri.with_param("gr", address.instance) if params else uri


def folded(local: str) -> str:
    """The local part as a case-folding network writes it (RFC 8265 section 3.3, near enough for a key)."""
    lower = local.lower()
    return lower if lower.isascii() else unicodedata.normalize("NFC", lower)


def spelling_key(address: Address) -> str:
    """Under which the spelling of a SIP user part is remembered: SIP tells `Alice` from `alice`, XMPP does
    not."""
    return f"{folded(address.local)}@{address.domain}"
