"""Messages as MESSAGE requests inside the dialog of the call, and typing as INFO: how Microsoft's servers and
clients do it (Live Communications Server to Lync)."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

from rialto.core.network import Delivery
from rialto.model.message import Message, Report
from rialto.networks.sip import envelopes, notices
from rialto.networks.sip.sessions.carrier import Fate, Parcel
from rialto.networks.sip.wire import MediaType, parse_media_type
from rialto.networks.sip.wire.call import State
from rialto.networks.sip.wire.message_media import MessageMedia

if TYPE_CHECKING:
    from rialto.model.errors import DeliveryError
    from rialto.networks.sip.sessions.session import Session
    from rialto.networks.sip.wire import Request, Response
    from rialto.wire.iscomposing import IsComposing

TYPING_TYPE: Final = "application/xml"
TEXT_FORMAT: Final = "Ms-Text-Format"
"""A header of INVITE that holds the first message."""
TYPING_LASTS_S: Final = 20
"""How long a notice of typing is believed: the protocol names no time, clients repeat theirs more often."""

_STATUS: Final = re.compile(rb"<\s*status\s+status\s*=\s*[\"'](type|idle)[\"']", re.IGNORECASE)


class DialogCarrier:
    """See `Carrier`."""

    name = "MESSAGE in its dialog"

    def __init__(self, session: Session) -> None:
        self._session = session
        self.media: MessageMedia | None = None
        self._under_way: dict[str, Parcel] = {}
        self._number = 0

    @property
    def ready(self) -> bool:
        """See `Carrier`."""
        return self._session.call.state is State.UP

    @property
    def secured(self) -> bool:
        """See `Carrier`."""
        return self._session.signalling_secured

    @property
    def max_bytes(self) -> int | None:
        """What the other side would take at most: nobody says."""
        return None

    def without_form(self) -> None:
        """It takes plain words only, whatever it said."""
        self.media = None

    def write(self, delivery: Delivery) -> Parcel | None:
        """See `Carrier`."""
        content = delivery.content
        if isinstance(content, Message):
            html: envelopes.Html = "never"
            if content.rich and self.media is not None and self.media.accepts("text/html"):
                html = "only"
            written = envelopes.content(content, html=html)
        elif isinstance(content, Report):
            written = envelopes.Written(envelopes.TEXT, envelopes.lines(notices.sentence(content)))
        else:
            return None
        return Parcel(
            delivery,
            content.id,
            written.content_type,
            written.data,
            written.headers,
            has_form=written.has_form,
        )

    def send(self, parcel: Parcel) -> None:
        """See `Carrier`."""
        self._number += 1
        kind = f"message {self._number}"
        self._under_way[kind] = parcel
        headers = (("Content-Type", parcel.content_type), *parcel.headers)
        self._session.ask("MESSAGE", kind, headers, parcel.body)

    def answered(self, kind: str, response: Response) -> None:
        """What became of one."""
        parcel = self._under_way.pop(kind, None)
        if parcel is None:
            return
        status = response.status
        fate = Fate.TAKEN if status < 300 else Fate.UNSENT if status in (408, 481) else Fate.REFUSED
        self._session.fate(parcel, fate, status, response.reason)

    def unanswered(self, kind: str, error: DeliveryError | None) -> None:
        """Nobody knows."""
        parcel = self._under_way.pop(kind, None)
        if parcel is not None:
            self._session.fate(parcel, Fate.LOST, 0, "no answer")

    def compose(self, status: IsComposing) -> bool:
        """See `Carrier`."""
        if not self.ready:
            return False
        word = "type" if status.active else "idle"
        body = f'<KeyboardActivity><status status="{word}"/></KeyboardActivity>'
        self._session.ask("INFO", "info", (("Content-Type", TYPING_TYPE),), body.encode())
        return True

    def close(self) -> list[Parcel]:
        """See `Carrier`."""
        under_way = list(self._under_way.values())
        self._under_way.clear()
        return under_way


def typing_of(request: Request) -> bool | None:
    """Whether an INFO says that somebody is typing; None for one that says nothing of it."""
    if b"KeyboardActivity" not in request.body[:4096]:
        return None
    match = _STATUS.search(request.body[:4096])
    return match is not None and match[1].lower() == b"type"


def first_words(invite: Request) -> tuple[MediaType, bytes] | None:
    """The message that an INVITE brings along in its own header; None for most."""
    value = invite.get(TEXT_FORMAT)
    if value is None:
        return None
    try:
        media = parse_media_type(value)
        text = media.param("ms-body")
        return (
            None if text is None else (media, base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
        )
    except (ValueError, binascii.Error):
        return None
