"""Watcher information: who watches somebody, as a document (RFC 3858).

Written strictly; read leniently: a watcher without a status or an address is passed over, and what is not
known with all that is in it.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from rialto.wire.xml import Node, XmlError, escape, read_document

MEDIA_TYPE: Final = "application/watcherinfo+xml"
WATCHERINFO: Final = "urn:ietf:params:xml:ns:watcherinfo"

MAX_WATCHERS: Final = 1_000
MAX_VERSION: Final = 2**31 - 1
MAX_TEXT: Final = 1_024

Status = Literal["pending", "active", "waiting", "terminated"]
STATUSES: Final[dict[str, Status]] = {
    "pending": "pending",
    "active": "active",
    "waiting": "waiting",
    "terminated": "terminated",
}
EVENTS: Final = frozenset(
    [
        "subscribe",
        "approved",
        "deactivated",
        "probation",
        "rejected",
        "timeout",
        "giveup",
        "noresource",
    ]
)
"""Section 4.3: what has brought a watcher into its state."""


class WatcherInfoError(ValueError):
    """A body that is no watcher information."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One watcher of the list; `subscribed_s` is for how long, None where the document does not say."""

    id: str
    uri: str
    status: Status
    event: str
    display_name: str = ""
    subscribed_s: int | None = None


class WatcherInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One document about one resource. `full` False: only those are in it who have changed."""

    resource: str
    version: int
    full: bool
    watchers: tuple[Listed, ...] = ()
    package: str = "presence"


def write(info: WatcherInfo) -> bytes:
    """A document as section 4 wants it."""
    state = "full" if info.full else "partial"
    parts = [
        f'<?xml version="1.0" encoding="UTF-8"?>\n<watcherinfo xmlns="{WATCHERINFO}" version="{info.version}"'
        f' state="{state}"><watcher-list resource="{escape(info.resource)}" package="{escape(info.package)}">'
    ]
    for one in info.watchers:
        name = f' display-name="{escape(one.display_name)}"' if one.display_name else ""
        lasts = "" if one.subscribed_s is None else f' duration-subscribed="{one.subscribed_s}"'
        parts.append(
            f'<watcher id="{escape(one.id)}" status="{one.status}" event="{one.event}"{name}{lasts}>'
            f"{escape(one.uri)}</watcher>"
        )
    parts.append("</watcher-list></watcherinfo>")
    return "".join(parts).encode()


def parse(data: bytes, charset: str = "", *, package: str = "presence") -> WatcherInfo:
    """Read a document, as far as it is about `package`. Raises WatcherInfoError."""
    try:
        root = read_document(data, charset)
    except XmlError as error:
        raise WatcherInfoError(str(error)) from None
    if root.name != f"{WATCHERINFO}}}watcherinfo":
        raise WatcherInfoError("no watcher information")
    version = _number(root.attributes.get("version", ""))
    state = root.attributes.get("state", "").strip()
    if version is None or state not in ("full", "partial"):
        raise WatcherInfoError("neither version nor state")
    found: dict[str, Listed] = {}
    resource = ""
    for listing in root.find_all(f"{WATCHERINFO}}}watcher-list"):
        if listing.attributes.get("package", "").strip() != package:
            continue
        resource = resource or listing.attributes.get("resource", "").strip()[:MAX_TEXT]
        for node in listing.find_all(f"{WATCHERINFO}}}watcher"):
            one = _listed(node)
            if one is not None:
                found[one.id] = one
    if len(found) > MAX_WATCHERS:
        raise WatcherInfoError(f"more than {MAX_WATCHERS} watchers")
    return WatcherInfo(
        resource=resource,
        version=version,
        full=state == "full",
        watchers=tuple(found.values()),
        package=package,
    )


def _listed(node: Node) -> Listed | None:
    uri = node.text.strip()
    status = STATUSES.get(node.attributes.get("status", "").strip())
    if status is None or not uri or len(uri) > MAX_TEXT:
        return None
    event = node.attributes.get("event", "").strip()
    return Listed(
        id=node.attributes.get("id", "").strip()[:MAX_TEXT] or uri,
        uri=uri,
        status=status,
        event=event if event in EVENTS else "subscribe",
        display_name=node.attributes.get("display-name", "").strip()[:MAX_TEXT],
        subscribed_s=_number(node.attributes.get("duration-subscribed", "")),
    )


def _number(text: str) -> int | None:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return min(int(text), MAX_VERSION)
