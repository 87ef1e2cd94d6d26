"""What can be typed while `rialto try` runs, as a pure function of the line.

Good night!                     whoever spoke last goes on
romeo: Good night!              romeo, to juliet
juliet > echo: Are you there?   juliet, to somebody else: a name, or a whole address
/wire   /peers   /help   /quit
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from rialto.model.address import Address
from rialto.model.errors import AddressError

HELP = """\
  romeo: Good night!             romeo says it to juliet
  juliet > echo: Are you there?  juliet says it to echo@test.example (busy, refuse, slow: try them)
  Good night!                    whoever spoke last goes on
  /wire  show everything on the wire, or only what people say    /peers  the links
  /help  this                                                    /quit   or Ctrl-D"""

_SAID = re.compile(r"(?P<who>\w+)\s*(?:>\s*(?P<to>[^:\s]+(?:@[^:\s]+)?))?\s*:\s*(?P<text>.+)")


class Say(msgspec.Struct, frozen=True):
    """Somebody says something to somebody."""

    sender: str
    recipient: Address
    text: str


class Order(msgspec.Struct, frozen=True):
    """A word behind a slash."""

    name: str


class Unclear(msgspec.Struct, frozen=True):
    """What was typed makes no sense; `why` is for the one who typed it."""

    why: str


class Speakers(msgspec.Struct, frozen=True):
    """Who can speak, whom they speak to unless told otherwise, and who can be named without a domain."""

    partners: Mapping[str, Address]
    names: Mapping[str, Address]


def understand(line: str, speakers: Speakers, last: Say | None = None) -> Say | Order | Unclear | None:
    """What a line means; None for an empty one."""
    line = line.strip()
    if not line:
        return None
    if line.startswith("/"):
        return Order(line[1:].strip().lower())
    match = _SAID.fullmatch(line)
    if match is None or match["who"].lower() not in speakers.partners:
        if last is not None and (match is None or not match["to"]):
            return Say(last.sender, last.recipient, line)
        return Unclear(f"who says that? Write one of {', '.join(speakers.partners)}, then a colon")
    who = match["who"].lower()
    recipient = speakers.partners[who]
    if match["to"]:
        name = match["to"].lower()
        try:
            recipient = speakers.names.get(name) or _address(match["to"])
        except AddressError as error:
            return Unclear(str(error))
    return Say(who, recipient, match["text"])


def _address(text: str) -> Address:
    if "@" not in text:
        raise AddressError(f"nobody here is called {text}: write a whole address")
    return Address.parse(text)
