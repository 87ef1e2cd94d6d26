"""An XMPP user with a contact list: a slixmpp client that decides by hand and keeps all presence."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slixmpp.stanza import Presence as Stanza
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from .xmpp_client import XmppClient, eventually

ONLINE = "available"


@dataclass(frozen=True, slots=True)
class Seen:
    """One presence stanza as the user got it."""

    sender: str
    type: str
    """`available`, `unavailable`, `subscribe`, `subscribed` ... `error`."""
    show: str
    status: str
    priority: int
    stanza: Stanza

    @property
    def bare(self) -> str:
        return self.sender.partition("/")[0]

    @property
    def news(self) -> tuple[str, str, str, str, int]:
        """What a screen shows of it."""
        return self.sender, self.type, self.show, self.status, self.priority


class RosterClient(XmppClient):
    """As `XmppClient`; nothing is approved or asked for unless the test says so."""

    def __init__(self, jid: str, ca_file: Path) -> None:
        super().__init__(jid, ca_file)
        self.roster.auto_authorize = None
        self.roster.auto_subscribe = False
        self.seen: list[Seen] = []
        self._seen_of: dict[str, list[Seen]] = {}
        self.register_handler(
            Callback("all presence", MatchXPath(f"{{{self.default_ns}}}presence"), self._keep_presence)
        )

    def show(self, show: str = "", status: str = "", priority: int = 0, type: Any = "") -> None:  # noqa: A002
        """Tell everybody who may know how one is."""
        self.send_presence(pshow=show or None, pstatus=status or None, ppriority=priority, ptype=type or None)

    def ask(self, contact: str) -> None:
        """Ask to see somebody."""
        self.send_presence_subscription(pto=contact, ptype="subscribe")

    def say_to(self, contact: str, type: Any) -> None:  # noqa: A002
        """`subscribed`, `unsubscribed`, `unsubscribe`, `probe`."""
        self.send_presence_subscription(pto=contact, ptype=type)

    def seen_of(self, contact: str) -> list[Seen]:
        """All stanzas from a bare address."""
        return self._seen_of.get(contact, [])

    def screen(self, contact: str) -> dict[str, Seen]:
        """What the contact list shows now: the instances of a contact that are online."""
        online: dict[str, Seen] = {}
        for one in self.seen_of(contact):
            if one.type == ONLINE:
                online[one.sender] = one
            elif one.type == "unavailable" and one.sender == one.bare:
                online.clear()
            elif one.type == "unavailable":
                online.pop(one.sender, None)
        return online

    def subscription(self, contact: str) -> str:
        """As its server keeps it: `none`, `to`, `from`, `both`."""
        return str(self.client_roster[contact]["subscription"])

    async def sees(
        self, contact: str, what: str, condition: Callable[[Seen], bool], timeout_s: float = 15.0
    ) -> Seen:
        """Wait for a stanza from a bare address for which `condition` holds, and give it."""

        def found() -> Seen | None:
            return next((one for one in self.seen_of(contact) if condition(one)), None)

        await eventually(
            lambda: found() is not None, f"{self.boundjid.bare} sees {contact}: {what}", timeout_s
        )
        one = found()
        assert one is not None
        return one

    async def gets(self, contact: str, type: str, timeout_s: float = 15.0) -> Seen:  # noqa: A002
        """Wait for a stanza of that type."""
        return await self.sees(contact, type, lambda one: one.type == type, timeout_s)

    def _keep_presence(self, stanza: Stanza) -> None:
        kind = stanza.xml.get("type") or ONLINE
        one = Seen(
            sender=str(stanza["from"]),
            type=kind,
            show=stanza.xml.findtext(f"{{{self.default_ns}}}show", ""),
            status=stanza.xml.findtext(f"{{{self.default_ns}}}status", ""),
            priority=int(stanza.xml.findtext(f"{{{self.default_ns}}}priority", "0")),
            stanza=stanza,
        )
        self.seen.append(one)
        self._seen_of.setdefault(one.bare, []).append(one)
