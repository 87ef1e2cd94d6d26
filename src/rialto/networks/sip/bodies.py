"""What a body says: (media type, bytes) to our words, whether it came in a MESSAGE or in a session.

    text/plain, text/html, text/rtf      the words, and their form
    message/cpim                         an envelope around any of these (RFC 3862), with requests of RFC 5438
    message/imdn+xml                     what became of a message
    application/im-iscomposing+xml       somebody is writing
    multipart/mixed, alternative, …      several of these, within bounds
    application/vnd.gsma.rcs-ft-http+xml a file on a server
    S/MIME                               sealed, nobody here looks inside; of what is signed the words

One table says who reads what. What an envelope says of its sender is given, not believed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

import msgspec

from rialto.core.wording import link
from rialto.model import richtext
from rialto.model.errors import RemoteProtocolError
from rialto.model.message import File, Sealed
from rialto.networks.sip.openings import UNDERSTOOD, Envelope, envelope_of, time_of
from rialto.networks.sip.wire import MediaType, parse_media_type
from rialto.wire import cpim, imdn, iscomposing, mime, mms_format, rcs_file, rtf
from rialto.wire.imdn import Imdn
from rialto.wire.iscomposing import IsComposing

MAX_DEPTH = 5
MAX_ENTITIES = 24
MAX_IMDNS = 16

_UTF_8 = ("charset", "utf-8")
_UTF_8_UPPER = ("charset", "UTF-8")
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*\Z", re.ASCII)


class BodyError(ValueError):
    """A body that is not taken; the text may be shown to its sender."""


class Unsupported(BodyError):
    """It is nothing that is read here (415)."""


class Malformed(BodyError):
    """It is not what it says it is (400)."""


class Said(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a body says."""

    text: str = ""
    language: str = ""
    rich: str = ""
    """See `Message.rich`."""
    files: tuple[File, ...] = ()
    sealed: tuple[Sealed, ...] = ()
    imdns: tuple[Imdn, ...] = ()
    composing: IsComposing | None = None
    envelope: Envelope | None = None


class _Entity(msgspec.Struct, frozen=True):
    """One MIME entity, wherever it stands."""

    media: MediaType | None
    data: bytes
    language: str = ""
    look: str = ""
    depth: int = 0


class _Reader:
    """One body under way: how much has been looked at."""

    def __init__(self) -> None:
        self.entities = 0

    def read(self, entity: _Entity) -> Said:
        self.entities += 1
        if entity.depth > MAX_DEPTH or self.entities > MAX_ENTITIES:
            raise Unsupported("too much in one body")
        # QUIRK(small devices): RFC 3261 section 20.15 wants a type; without one it can only be a text.
        reader = _READERS.get(entity.media.essence) if entity.media is not None else _plain
        if reader is None:
            raise Unsupported("a media type that is not read here")
        return reader(self, entity)

    def part(self, part: mime.Part, outer: _Entity, default: str = "text/plain") -> Said:
        """An entity within another."""
        return self.read(_within(part, outer, default))


def read(media: MediaType | None, data: bytes, *, language: str | None = None) -> Said:
    """What a body says; `media` None where its sender did not say. Raises Unsupported or Malformed.

    `language` is the value of Content-Language.
    """
    if media is None or (media.subtype == "plain" and media.type == "text" and len(media.params) < 2):
        charset = media.params[0] if media is not None and media.params else _UTF_8
        if charset in (_UTF_8, _UTF_8_UPPER):  # nearly all
            try:
                text = data.decode()
            except UnicodeDecodeError:
                pass
            else:
                if "\r" not in text and text[:1] != "\ufeff":
                    return Said(text=text, language=language_of(language)) if language else Said(text=text)
    return _Reader().read(_Entity(media, data, language_of(language)))


def language_of(value: str | None) -> str:
    """The first language of a Content-Language; empty for none."""
    first = (value or "").split(",")[0].strip()
    return first if _LANGUAGE.match(first) else ""


# -- texts ---------------------------------------------------------------------------------------------------


def _decode(entity: _Entity) -> str:
    try:
        return mime.decode_text(entity.data, entity.media.param("charset") if entity.media else None)
    except mime.UnknownCharset as error:
        raise Unsupported(str(error)) from None


def _plain(_: _Reader | None, entity: _Entity) -> Said:
    text = _decode(entity)
    media = entity.media
    if media is not None and media.params:
        # QUIRK(Office Communicator, Lync): the look of the text is a parameter.
        msgr = media.param("msgr")
        look = mms_format.from_parameter(msgr) if msgr else None
        if look is None and entity.look:
            look = mms_format.parse(entity.look)
        if look is not None:
            return Said(text=text, language=entity.language, rich=_rich(mms_format.to_html(text, look)))
    elif entity.look:
        look = mms_format.parse(entity.look)
        return Said(text=text, language=entity.language, rich=_rich(mms_format.to_html(text, look)))
    return Said(text=text, language=entity.language)


def _html(_: _Reader | None, entity: _Entity) -> Said:
    try:
        blocks = richtext.parse(_decode(entity))
    except RemoteProtocolError as error:
        raise Malformed(str(error)) from None
    rich = richtext.write(blocks) if richtext.has_form(blocks) else ""
    return Said(text=richtext.words(blocks), language=entity.language, rich=rich)


def _rtf(_: _Reader | None, entity: _Entity) -> Said:
    try:
        return Said(
            text=rtf.to_text(entity.data), language=entity.language, rich=_rich(rtf.to_html(entity.data))
        )
    except rtf.RtfError as error:
        raise Malformed(f"Malformed text/rtf: {error}") from None


def _rich(html: str) -> str:
    try:
        return richtext.sanitise(html) if html else ""
    except RemoteProtocolError:
        return ""  # the words alone are what they are


# -- notices -------------------------------------------------------------------------------------------------


def _imdn(_: _Reader | None, entity: _Entity) -> Said:
    try:
        return Said(imdns=(imdn.parse(entity.data, _charset(entity)),))
    except imdn.ImdnError as error:
        raise Malformed(f"Malformed message/imdn+xml: {error}") from None


def _composing(_: _Reader | None, entity: _Entity) -> Said:
    try:
        return Said(composing=iscomposing.parse(entity.data, _charset(entity)))
    except iscomposing.ComposingError as error:
        raise Malformed(f"Malformed application/im-iscomposing+xml: {error}") from None


def _charset(entity: _Entity) -> str:
    return (entity.media.param("charset") if entity.media is not None else None) or ""


# -- files, sealed things ------------------------------------------------------------------------------------


def _file(_: _Reader | None, entity: _Entity) -> Said:
    try:
        found = rcs_file.parse(entity.data, _charset(entity))
    except rcs_file.RcsFileError as error:
        raise Malformed(f"Malformed {rcs_file.MEDIA_TYPE}: {error}") from None
    file = File(
        url=found.url,
        name=found.name,
        media_type=found.media_type,
        size_bytes=found.size_bytes,
        expires_at=time_of(found.until),
    )
    return Said(text=link(file), files=(file,))


def _smime(_: _Reader | None, entity: _Entity) -> Said:
    """RFC 8551 section 3.2: as it came, with its type."""
    assert entity.media is not None
    return Said(sealed=(Sealed("smime", str(entity.media), entity.data),))


def _signed(reader: _Reader, entity: _Entity) -> Said:
    """RFC 1847 section 2.1: the words. They are for everybody; the signature would hold of nothing that is
    written anew on another network, and stays behind."""
    return reader.part(_parts(entity)[0], entity)


# -- multiparts ----------------------------------------------------------------------------------------------


def _parts(entity: _Entity) -> list[mime.Part]:
    assert entity.media is not None
    try:
        return mime.read_multipart(entity.data, entity.media.param("boundary") or "")
    except mime.MimeError as error:
        raise Malformed(f"Malformed {entity.media.essence}: {error}") from None


def _mixed(reader: _Reader, entity: _Entity) -> Said:
    """RFC 2046 section 5.1.3: one after the other. A part that must be handled and is not read here refuses
    the whole, so that nothing is lost behind its sender's back (RFC 5621 section 8.2)."""
    found: list[Said] = []
    for part in _parts(entity):
        try:
            found.append(reader.part(part, entity))
        except Unsupported:
            if "handling=optional" not in (part.header("content-disposition") or "").replace(" ", "").lower():
                raise
    return _joined(found)


def _alternative(reader: _Reader, entity: _Entity) -> Said:
    """RFC 2046 section 5.1.4: the same several times, the best last; the plain words are kept beside it."""
    best: Said | None = None
    plain: Said | None = None
    for part in _parts(entity):
        inner = _within(part, entity)
        try:
            said = reader.read(inner)
        except BodyError:
            continue
        if inner.media is not None and inner.media.essence == "text/plain":
            plain = said
        best = said
    if best is None:
        raise Unsupported("none of the alternatives is read here")
    if plain is None or best is plain:
        return best
    return msgspec.structs.replace(
        best, text=plain.text or best.text, language=plain.language or best.language
    )


def _related(reader: _Reader, entity: _Entity) -> Said:
    """RFC 2387: the root; what it shows beside itself (pictures) is not looked at."""
    parts = _parts(entity)
    assert entity.media is not None
    start = entity.media.param("start")
    root = next((part for part in parts if start and part.header("content-id") == start), parts[0])
    return reader.part(root, entity)


def _joined(found: list[Said]) -> Said:
    if len(found) == 1:
        return found[0]
    if not found:
        raise Unsupported("no part of it is read here")
    imdns = tuple(one for said in found for one in said.imdns)[:MAX_IMDNS]
    texts = [said for said in found if said.text]
    rich = ""
    if any(said.rich for said in texts):
        rich = _rich("".join(said.rich or f"<p>{_as_html(said.text)}</p>" for said in texts))
    return Said(
        text="\n".join(said.text for said in texts),
        language=next((said.language for said in found if said.language), ""),
        rich=rich,
        files=tuple(file for said in found for file in said.files),
        sealed=tuple(one for said in found for one in said.sealed),
        imdns=imdns,
        composing=None if texts or imdns else next((s.composing for s in found if s.composing), None),
        envelope=next((said.envelope for said in found if said.envelope is not None), None),
    )


def _as_html(text: str) -> str:
    return escape(text, quote=False).replace("\n", "<br/>")


def _within(part: mime.Part, outer: _Entity, default: str = "text/plain") -> _Entity:
    header = part.header
    try:
        media = parse_media_type(header("content-type") or default)
        data = mime.decode_transfer(part.content, header("content-transfer-encoding"))
    except (ValueError, mime.MimeError) as error:
        raise Malformed(f"Malformed entity within: {error}") from None
    return _Entity(
        media,
        data,
        language_of(header("content-language")) or outer.language,
        header(mms_format.NAME.lower()) or "",
        outer.depth + 1,
    )


# -- envelopes -----------------------------------------------------------------------------------------------


def _cpim(reader: _Reader, entity: _Entity) -> Said:
    try:
        opened = cpim.parse(entity.data, UNDERSTOOD)
    except cpim.CpimError as error:
        raise Malformed(f"Malformed message/cpim: {error}") from None
    said = reader.part(mime.Part(opened.content_headers, opened.content), entity)
    return said if said.envelope is not None else msgspec.structs.replace(said, envelope=envelope_of(opened))


_READERS: dict[str, Callable[[_Reader, _Entity], Said]] = {
    "text/plain": _plain,
    "text/html": _html,
    "application/xhtml+xml": _html,
    "text/rtf": _rtf,
    "application/rtf": _rtf,
    cpim.MEDIA_TYPE: _cpim,
    imdn.MEDIA_TYPE: _imdn,
    iscomposing.MEDIA_TYPE: _composing,
    rcs_file.MEDIA_TYPE: _file,
    "application/pkcs7-mime": _smime,
    "application/x-pkcs7-mime": _smime,
    "multipart/signed": _signed,
    "multipart/mixed": _mixed,
    "multipart/alternative": _alternative,
    "multipart/related": _related,
}

ACCEPT = ", ".join(name for name in _READERS if not name.startswith("application/x-"))
"""For Accept headers."""
ACCEPT_TYPES = tuple(_READERS)
