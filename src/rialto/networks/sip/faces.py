"""A person's face as SIP writes it: display names, icons, and what a presence document says (RFC 4482).

| of a face | in a header | in a document (RFC 4482 section 3) |
|---|---|---|
| `name` | display name of From (RFC 3261 section 20.20) | `display-name` |
| `homepage` | | `homepage` |
| `picture_url` | Call-Info with `purpose=icon` (RFC 3261 section 20.9) | `icon` |

A name counts for the address that was proven, and for no other: the display name of a From that is not whose
request it was is ignored, and that of P-Asserted-Identity taken where that is the proof. We write no icon:
there is no address on the web at which one of ours could be fetched.
"""

from __future__ import annotations

from functools import lru_cache

from msgspec.structs import replace

from rialto.core.faces import Faces
from rialto.model.address import Address
from rialto.model.errors import AddressError
from rialto.model.face import Face, tidy_name, tidy_url
from rialto.model.presence import Pair
from rialto.networks.sip.addresses import address_of, address_of_header
from rialto.networks.sip.wire import BadMessage, Request, parse_name_addrs, parse_uri
from rialto.networks.sip.wire.dialogs import Dialog
from rialto.networks.sip.wire.headers import param, parse_params, quote, split_commas
from rialto.wire.pidf import Card, Presence

_HIDING = frozenset({"id", "user", "header"})
"""Who asks for this privacy wants to be called nothing (RFC 3323 section 4.2, RFC 3325 section 9.3)."""


def name_of(request: Request, sender: Address) -> str:
    """What its proven sender is called in a request; empty where that is not said, or is not to be."""
    firsts = request.firsts
    if "Privacy" in firsts and not _HIDING.isdisjoint(
        token.strip().lower() for token in firsts["Privacy"].split(";")
    ):
        return ""
    from_ = request.from_
    if "P-Asserted-Identity" not in firsts:
        if not from_.display:
            return ""
        uri = from_.uri
        if uri.host == sender.domain and uri.user == sender.local:  # as nearly always
            return tidy_name(from_.display)
    names = [from_]
    try:
        for line in request.get_all("P-Asserted-Identity"):
            names += parse_name_addrs(line)
        person = sender.bare
        for name in names:
            if name.display and address_of(name.uri).bare == person and (tidy := tidy_name(name.display)):
                return tidy
    except AddressError:
        pass
    return ""


def icon_of(request: Request) -> str:
    """Where Call-Info says that the sender's picture is; empty where it does not."""
    for line in request.get_all("Call-Info"):
        try:
            for one in split_commas(line):
                uri, bracket, tail = one.strip().removeprefix("<").partition(">")
                if bracket and (param(parse_params(tail.strip()), "purpose") or "").lower() == "icon":
                    return tidy_url(uri)
        except ValueError:
            continue
    return ""


def shown_by(request: Request, sender: Address) -> tuple[Pair, Face] | None:
    """To whom a request shows its proven sender, and what of it; None where it shows nothing."""
    face = Face(name=name_of(request, sender), picture_url=icon_of(request))
    if face == Face():
        return None
    try:
        return Pair(address_of_header(request.to).bare, sender.bare), face
    except (AddressError, BadMessage):
        return None


def face_in(document: Presence) -> Face:
    """What a presence document says of the person besides presence."""
    card = document.card
    if card is None:
        return Face()
    return Face(
        name=tidy_name(card.display_name), homepage=tidy_url(card.homepage), picture_url=tidy_url(card.icon)
    )


def with_face(document: Presence, face: Face) -> Presence:
    """A document of ours with the person's name and page."""
    if not face.called and not face.homepage:
        return document
    return replace(document, card=Card(display_name=face.called, homepage=face.homepage))


def introduce(faces: Faces, request: Request, dialog: Dialog) -> None:
    """Put the name of our side of a dialog into From, as far as the other side may see it."""
    try:
        name = faces.name(Pair(_person(dialog.remote), _person(dialog.local)))
    except AddressError:
        return
    if name:
        request.set("From", f"{display(name)}<{dialog.local}>;tag={dialog.local_tag}")


@lru_cache(maxsize=4096)
def display(name: str) -> str:
    """A display name, ready to stand before the angle bracket; empty for none."""
    return f"{quote(name)} " if name else ""


@lru_cache(maxsize=4096)
def _person(uri: str) -> Address:
    return address_of(parse_uri(uri)).bare
