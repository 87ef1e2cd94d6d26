"""What a SIP user's message is called, together with what must be repeated when its fate is told.

A notification repeats the Message-ID and the DateTime of the message that it is about (RFC 5438 section
7.2), and goes the way that intermediaries have asked for. All of it is the name of that message on its
sender's side (`Message.origin_id`), so that it is found again whenever a receipt or a report comes home,
after a restart too:

    34jk324j 2006-04-04T12:16:49-05:00 n <sip:list@example.com> <sip:relay.example.com>

that is Message-ID, DateTime (`-`: none), `n` if a failure shall be told (`-` if not), Original-To (`-`:
none), IMDN-Record-Route. What asked for nothing is called as RFC 7572 says, in one word.
"""

from __future__ import annotations

import msgspec

from rialto.networks.sip.openings import Envelope

MAX_CHARACTERS = 1000
_NONE = "-"


class Original(msgspec.Struct, frozen=True, omit_defaults=True):
    """The message that somebody is told about."""

    message_id: str
    datetime: str = ""
    wants_failure: bool = False
    original_to: str = ""
    routes: tuple[str, ...] = ()


def origin_id_of(envelope: Envelope) -> str:
    """The name of a message that may ask for notifications; empty for one that does not."""
    if not envelope.message_id or not (envelope.wants or envelope.wants_failure):
        return ""
    words = [
        envelope.message_id,
        envelope.datetime or _NONE,
        "n" if envelope.wants_failure else _NONE,
        f"<{envelope.original_to}>" if envelope.original_to else _NONE,
    ]
    words += [f"<{route}>" for route in envelope.routes]
    name = " ".join(words)
    return name if len(name) <= MAX_CHARACTERS else " ".join(words[:3])


def original_of(origin_id: str) -> Original | None:
    """The inverse; None for a message that asked for no notification."""
    words = origin_id.split(" ")
    if len(words) < 3:
        return None
    message_id, stamp, failure, *uris = words
    original_to, *routes = [uri.strip("<>") for uri in uris] or [""]
    return Original(
        message_id,
        "" if stamp == _NONE else stamp,
        failure == "n",
        "" if original_to == _NONE else original_to,
        tuple(routes),
    )
