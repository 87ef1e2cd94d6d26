"""Server dialback's keys (XEP-0185) and elements (XEP-0220)."""

from __future__ import annotations

import hmac
from hashlib import sha256

from rialto.networks.xmpp.wire.element import Element, escape, escape_attribute
from rialto.networks.xmpp.wire.namespaces import DIALBACK


def dialback_key(secret: bytes, *, receiving: str, originating: str, stream_id: str) -> str:
    """XEP-0185 section 2. Domains as they stand in the elements; `stream_id` as the receiving server gave
    it."""
    key = sha256(secret).hexdigest().encode()
    return hmac.new(key, f"{receiving} {originating} {stream_id}".encode(), sha256).hexdigest()


def key_is_ours(secret: bytes, key: str, *, receiving: str, originating: str, stream_id: str) -> bool:
    """The authoritative server's question: did we make this key?"""
    expected = dialback_key(secret, receiving=receiving, originating=originating, stream_id=stream_id)
    return hmac.compare_digest(expected.encode(), key.strip().encode("utf-8", "replace"))


def dialback_element(
    name: str,
    local: str,
    remote: str,
    *,
    stream_id: str = "",
    kind: str = "",
    key: str = "",
    error: Element | None = None,
) -> bytes:
    """A `db:result` or `db:verify` from `local` to `remote`; the prefix must be `db` (XEP-0220 section 2)."""
    attributes = f" from='{escape_attribute(local)}' to='{escape_attribute(remote)}'"
    if stream_id:
        attributes += f" id='{escape_attribute(stream_id)}'"
    if kind:
        attributes += f" type='{kind}'"
    inside = escape(key).encode() if error is None else error.encode()
    # Declared here as well: to a peer that dialback is not offered to, the stream header does not say it.
    start = f"<db:{name} xmlns:db='{DIALBACK}'{attributes}".encode()
    return b"%s>%s</db:%s>" % (start, inside, name.encode()) if inside else start + b"/>"
