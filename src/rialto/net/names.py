"""Domain names as certificates and DNS write them: A-labels, lower case, no final dot."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable

import idna


@functools.lru_cache(maxsize=4096)
def to_a_labels(domain: str) -> str:
    """`Müller.example.` -> `xn--mller-kva.example`; IP addresses are left alone. Raises `ValueError`."""
    name = domain.strip().removesuffix(".").lower()
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii").lower()
        except idna.IDNAError as error:
            raise ValueError(f"{domain!r} is no domain name: {error}") from error
    if not name or len(name) > 253 or any(not 0 < len(label) <= 63 for label in name.split(".")):
        raise ValueError(f"{domain!r} is no domain name")
    return name


def wildcard_match(patterns: Iterable[str], domain: str) -> bool:
    """True if one of the patterns is `*.` and the domain without its first label.

    The star stands for exactly one whole label, the left-most (RFC 6125 section 6.4.3), and never directly
    above a top-level domain."""
    _, dot, rest = domain.partition(".")
    return bool(dot) and "." in rest and f"*.{rest}" in patterns
