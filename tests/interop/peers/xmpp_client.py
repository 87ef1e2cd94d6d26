"""An XMPP user: a slixmpp client that keeps all it received."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import slixmpp
from slixmpp.stanza import Message as Stanza

from . import addresses
from .program import POLL_S


async def eventually(condition: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
    """Wait without blocking the loop; AssertionError naming `what` when it has not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain: {what}"
        await asyncio.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class Received:
    """One message stanza as the user got it."""

    sender: str
    text: str
    type: str
    id: str
    condition: str  # of the error, "" when it is none
    stanza: Stanza


class XmppClient(slixmpp.ClientXMPP):  # type: ignore[misc]
    """Logs in at the server of its domain with the password `pw`."""

    def __init__(self, jid: str, ca_file: Path) -> None:
        super().__init__(jid, "pw")
        self.ca_certs = str(ca_file)
        self.inbox: list[Received] = []
        self.failure = ""
        self._ready = asyncio.Event()
        for plugin in ("xep_0030", "xep_0085", "xep_0092", "xep_0184", "xep_0199"):
            self.register_plugin(plugin)
        self.plugin["xep_0184"].auto_ack = False
        self.add_event_handler("session_start", self._begin)
        self.add_event_handler("message", self._keep)
        self.add_event_handler("message_error", self._keep)
        self.add_event_handler("failed_all_auth", self._fail)

    async def log_in(self) -> None:
        self.connect(addresses.XMPP_ADDRESS_OF[self.boundjid.domain], 5222)
        await asyncio.wait_for(self._ready.wait(), 15)
        assert not self.failure, self.failure

    async def log_out(self) -> None:
        await self.disconnect()

    def say(self, to: str, text: str, *, type: str = "chat", id: str | None = None) -> str:  # noqa: A002
        """Send a message now; its id."""
        message = self.make_message(mto=to, mbody=text, mtype=type)
        if id is not None:
            message["id"] = id
        message.send()
        return str(message["id"])

    def texts(self, sender: str | None = None) -> list[str]:
        """The texts received so far (from `sender`, a bare address), errors left out."""
        return [
            one.text
            for one in self.inbox
            if one.type != "error" and one.text and sender in (None, one.sender.partition("/")[0])
        ]

    def errors(self) -> list[Received]:
        return [one for one in self.inbox if one.type == "error"]

    async def hears(self, count: int, timeout_s: float = 10.0, sender: str | None = None) -> list[str]:
        """Wait until `count` texts have come and give them."""
        await eventually(
            lambda: len(self.texts(sender)) >= count,
            f"{self.boundjid.bare} has {count} messages",
            timeout_s,
        )
        return self.texts(sender)

    async def _begin(self, _: object) -> None:
        self.send_presence()
        await self.get_roster()
        self._ready.set()

    def _fail(self, _: object) -> None:
        self.failure = f"{self.boundjid.bare} could not log in"
        self._ready.set()

    def _keep(self, stanza: Stanza) -> None:
        is_error = stanza["type"] == "error"
        self.inbox.append(
            Received(
                sender=str(stanza["from"]),
                text=stanza["body"],
                type=stanza["type"],
                id=stanza["id"],
                condition=stanza["error"]["condition"] if is_error else "",
                stanza=stanza,
            )
        )
