"""An XMPP user whose client shows typing, receipts, read marks, corrections, reactions, replies and files."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from slixmpp.stanza import Message as Stanza

from .xmpp_client import XmppClient, eventually

PLUGINS = ("xep_0066", "xep_0071", "xep_0280", "xep_0308", "xep_0333", "xep_0424", "xep_0444", "xep_0461")
DISPLAYED = "{urn:xmpp:chat-markers:0}displayed"


class ChatClient(XmppClient):
    """As `XmppClient`; all stanzas are kept, and nothing is confirmed unless the test says so."""

    def __init__(self, jid: str, ca_file: Path) -> None:
        super().__init__(jid, ca_file)
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        self.plugin["xep_0184"].auto_request = False
        # Some of the plugins handle a stanza before `message` is told of it: here nothing is missed.
        self.stanzas: list[Stanza] = []
        self.sent_ids: list[str] = []
        self.add_filter("in", self._note)

    def send_chat(
        self, to: str, text: str = "", *, wants: bool = False, state: str = "active", **more: Any
    ) -> str:
        """Send a text as clients do; its id. `more` are further attributes of the stanza in slixmpp's way."""
        message = self.make_message(mto=to, mbody=text or None, mtype="chat")
        message["id"] = self.new_id()
        origin = ET.SubElement(message.xml, "{urn:xmpp:sid:0}origin-id")
        origin.set("id", message["id"])
        if state:
            message["chat_state"] = state
        if wants:
            message["request_receipt"] = True
            message.enable("markable")
        for name, value in more.items():
            if isinstance(value, dict):
                for key, one in value.items():
                    message[name][key] = one
            else:
                message[name] = value
        message.send()
        self.sent_ids.append(str(message["id"]))
        return self.sent_ids[-1]

    def send_xml(self, to: str, inside: str) -> str:
        """Send a chat message with that in it; its id."""
        message = self.make_message(mto=to, mtype="chat")
        message["id"] = self.new_id()
        for child in ET.fromstring(f"<x xmlns='jabber:client'>{inside}</x>"):
            message.xml.append(child)
        message.send()
        self.sent_ids.append(str(message["id"]))
        return self.sent_ids[-1]

    def show(self, to: str, state: str) -> None:
        """Send a chat state alone."""
        message = self.make_message(mto=to, mtype="chat")
        message["chat_state"] = state
        message.send()

    def mark(self, stanza: Stanza) -> None:
        """Tell the writer of a stanza that it was looked at."""
        self.plugin["xep_0333"].send_marker(stanza["from"], stanza["id"], "displayed", mtype="chat")

    def states(self, sender: str) -> list[str]:
        """The chat states that came without words, in order."""
        return [one["chat_state"] for one in self.of(sender) if one["chat_state"] and not one["body"]]

    def receipts(self, sender: str) -> list[str]:
        """The ids for which receipts came."""
        return [one["receipt"] for one in self.of(sender) if one["receipt"]]

    def marks(self, sender: str) -> list[str]:
        """The ids that were marked as read."""
        return [one["displayed"]["id"] for one in self.of(sender) if one.xml.find(DISPLAYED) is not None]

    def of(self, sender: str) -> list[Stanza]:
        """All message stanzas from a bare address."""
        return [one for one in self.stanzas if one["from"].bare == sender and one["type"] != "error"]

    async def gets(self, sender: str, text: str, timeout_s: float = 10.0) -> Stanza:
        """Wait for a message with this text, and give it."""

        def found() -> Stanza | None:
            return next((one for one in self.of(sender) if one["body"] == text), None)

        await eventually(lambda: found() is not None, f"{self.boundjid.bare} reads {text!r}", timeout_s)
        stanza = found()
        assert stanza is not None
        return stanza

    async def sees(self, what: str, condition: Any, timeout_s: float = 10.0) -> None:
        """Wait for something to come true."""
        await eventually(condition, f"{self.boundjid.bare} sees {what}", timeout_s)

    def _note(self, stanza: Any) -> Any:
        if isinstance(stanza, Stanza):
            self.stanzas.append(stanza)
        return stanza
