"""Playing a transcript: say what the two sides say, and compare what the gateway says.

Call-IDs, tags, Contacts and tuple ids that the gateway chooses are unknown until it has said them. `book` has
what stands for them in the vector, and what they really are; everything said to the gateway afterwards, and
everything compared, goes through it.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any
from xml.etree import ElementTree as ET

from vectors.msrp import Msrp, read_msrp
from vectors.stand import Stand
from vectors.wires import Sip, Stanza, read_sip, read_stanza

Step = dict[str, Any]
_IDS = re.compile(r"\bid='([^']*)'")
BOUND = ("call-id", "from-tag", "to-tag")
BOUND_IN_MSRP = ("to-path", "from-path", "message-id")


class Play:
    """One play on one stand."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.book: dict[str, str] = {}
        self._asked: dict[str, Sip] = {}
        self._sent: dict[str, Msrp] = {}
        self._optional: dict[str, list[Step]] = {line: [] for line in self._queues()}

    async def run(self, transcript: dict[str, Any]) -> None:
        """Play it. Raises AssertionError with the step that went wrong."""
        for step in transcript["step"]:
            if step["by"] == "xmpp":
                self.stand.server.say(_IDS.sub(self._real_id, step["wire"]))
            elif step["by"] == "restart":
                await self.stand.restart()
            elif step["by"] == "sip":
                self._sip_says(read_sip(step["wire"]))
            elif step["by"] == "msrp":
                await self._msrp_says(read_msrp(step["wire"]))
            elif step.get("forbidden"):
                await self._never(step)
            elif step.get("optional"):
                self._optional[_line(step)].append(step)
            else:
                await self._gateway_says(step)

    async def end(self) -> None:
        """Nothing must be left that nobody has expected."""
        await self.stand.settle()
        for line, queue in self._queues().items():
            while not queue.empty():
                said = queue.get_nowait()
                assert self._may_say(line, said), f"nobody expected {_shown(said)}"

    # -- the two sides ---------------------------------------------------------------------------------

    def _sip_says(self, sip: Sip) -> None:
        if sip.is_response:
            asked = self._asked[sip.branch]
            tag = sip.field("to-tag")
            own = {name: asked.get(name) for name in ("via", "from", "call-id", "cseq")}
            to = asked.get("to")
            own["to"] = to if "tag=" in to else f"{to};tag={tag}"
            self.book.setdefault(tag, tag)
        else:
            own = {"via": f"SIP/2.0/UDP 127.0.0.1:{self.stand.agent.port};branch={sip.branch}"}
            for name in BOUND:
                if value := sip.field(name):
                    self.book.setdefault(value, value)
            own["call-id"] = self.book[sip.get("call-id")]
            own["from"] = sip.get("from").replace(sip.field("from-tag"), self.book[sip.field("from-tag")])
            if sip.field("to-tag"):
                own["to"] = sip.get("to").replace(sip.field("to-tag"), self.book[sip.field("to-tag")])
            method, uri, version = sip.start.split(" ")
            sip.start = f"{method} {self.book.get(uri, uri)} {version}"
            if (about := sip.field("imdn.about")) in self.book:
                sip.body = sip.body.replace(f">{about}<", f">{self.book[about]}<")
        sip.headers = [(name, own.get(name.lower(), value)) for name, value in sip.headers]
        if path := sip.field("sdp.path"):
            self._own_media(sip, path)
        self.stand.agent.say(sip)

    def _own_media(self, sip: Sip, path: str) -> None:
        """Where Romeo's client really listens."""
        port = self.stand.msrp.port
        self.book[path] = re.sub(r"//[^/]*/", f"//127.0.0.1:{port}/", path)
        sip.body = sip.body.replace(path, self.book[path])
        sip.body = re.sub(r"(?m)^c=.*$", "c=IN IP4 127.0.0.1", sip.body)
        sip.body = re.sub(r"(?m)^m=message \d+", f"m=message {port}", sip.body)

    def _real_id(self, match: re.Match[str]) -> str:
        """A receipt, or an error, is about the id that the gateway has chosen."""
        return f"id='{self.book.get(match[1], match[1])}'"

    async def _msrp_says(self, msrp: Msrp) -> None:
        to_path, from_path = (self.book[msrp.get(name)] for name in ("to-path", "from-path"))
        own = {"to-path": to_path, "from-path": from_path}
        if msrp.status:
            msrp.tid = self._sent[msrp.tid].tid
        elif message_id := msrp.get("message-id"):
            own["message-id"] = self.book.setdefault(message_id, message_id)
        msrp.headers = [(name, own.get(name.lower(), value)) for name, value in msrp.headers]
        await self.stand.msrp.connect(to_path)
        self.stand.paths = (to_path, from_path)
        self.stand.msrp.say(msrp)

    # -- the gateway -----------------------------------------------------------------------------------

    async def _gateway_says(self, step: Step) -> None:
        line = _line(step)
        if "within" in step:
            await self._in_time(step, self._queues()[line])
        while True:
            try:
                said = await asyncio.wait_for(self._queues()[line].get(), 5)
            except TimeoutError:
                raise AssertionError(f"the gateway never said: {step['title']}") from None
            wrong = self._differences(step, said)
            if not wrong:
                break
            assert self._may_say(line, said), f"{step['title']}: {wrong} in {_shown(said)}"
        self._learn(step, said)

    async def _in_time(self, step: Step, queue: asyncio.Queue[Any]) -> None:
        passed_s = await self.stand.pass_time(step["within"], lambda: not queue.empty())
        assert not queue.empty(), f"the gateway has not said within {passed_s:g} s: {step['title']}"
        early = passed_s < step.get("not_before", 0)
        assert not early, f"the gateway said after {passed_s:g} s already: {step['title']}"

    async def _never(self, step: Step) -> None:
        await self.stand.settle()
        line, wire = _line(step), _read(step)
        queue = self._queues()[line]
        kept = [queue.get_nowait() for _ in range(queue.qsize())]
        kind = ("name", "type") if line == "stanza" else ("method",)
        for said in kept:
            assert any(said.field(name) != wire.field(name) for name in kind), f"it said: {_shown(said)}"
            queue.put_nowait(said)

    def _may_say(self, line: str, said: Any) -> bool:
        for step in self._optional[line]:
            if not self._differences(step, said):
                self._optional[line].remove(step)
                self._learn(step, said)
                return True
        return False

    def _differences(self, step: Step, said: Any) -> dict[str, Any]:
        """Field: what it should be, what it is."""
        wire = _read(step)
        wrong: dict[str, Any] = {}
        for name in step.get("equal", ()):
            should, is_ = wire.field(name), said.field(name)
            if name in BOUND or (name in BOUND_IN_MSRP and step["to"] == "msrp"):
                should = self.book.get(should, should)
            if name.startswith("document"):
                if not self._same_document(should, is_):
                    wrong[name] = (should, is_)
            elif should != is_:
                wrong[name] = (should, is_)
        for name, values in step.get("either", {}).items():
            if said.field(name) not in values:
                wrong[name] = (values, said.field(name))
        for name, bound in (("at_least", max), ("at_most", min)):
            for field in step.get(name, ()):
                should, is_ = int(wire.field(field)), int(said.field(field) or -1)
                if is_ < 0 or bound(should, is_) != is_:
                    wrong[field] = (name, should, is_)
        wrong |= {name: "absent" for name in step.get("present", ()) if not said.field(name)}
        wrong |= {name: said.field(name) for name in step.get("absent", ()) if said.field(name)}
        return wrong

    def _same_document(self, should: Any, is_: Any) -> bool:
        left = list(is_)
        for one in should:
            name = self.book.get(one[0])
            match = next((x for x in left if x[1:] == one[1:] and name in (None, x[0])), None)
            if match is None:
                return False
            left.remove(match)
        return not left

    def _learn(self, step: Step, said: Any) -> None:
        """What the gateway has chosen."""
        if isinstance(said, Msrp):
            wire_of_msrp = read_msrp(step["wire"])
            self._sent[wire_of_msrp.tid] = said
            self.book.setdefault(wire_of_msrp.get("message-id"), said.get("message-id"))
            self.stand.paths = (said.get("from-path"), said.get("to-path"))
        if isinstance(said, Stanza) and (name := read_stanza(step["wire"]).field("id")):
            self.book.setdefault(name, said.field("id"))
        if not isinstance(said, Sip):
            return
        wire = read_sip(step["wire"])
        for name in (*BOUND, "cpim.message-id"):
            if wire.field(name):
                self.book.setdefault(wire.field(name), said.field(name))
        if wire.field("contact"):
            self.book[wire.field("contact")] = said.field("contact")
        if wire.field("sdp.path"):
            self.book[wire.field("sdp.path")] = said.field("sdp.path")
        if not said.is_response:
            self._asked[wire.branch] = said
        if wire.field("content-type") == "application/pidf+xml":
            for one in wire.field("document")[1:]:
                chosen = next((x[0] for x in said.field("document")[1:] if x[1:] == one[1:]), None)
                if chosen is not None:
                    self.book.setdefault(one[0], chosen)

    def _queues(self) -> dict[str, asyncio.Queue[Any]]:
        stand = self.stand
        return {
            "stanza": stand.server.stanzas,
            "request": stand.agent.requests,
            "response": stand.agent.responses,
            "msrp": stand.msrp.requests,
            "msrp-response": stand.msrp.responses,
        }


def _line(step: Step) -> str:
    if step["to"] == "xmpp":
        return "stanza"
    if step["to"] == "msrp":
        return "msrp" if read_msrp(step["wire"]).method else "msrp-response"
    return "response" if read_sip(step["wire"]).is_response else "request"


def _read(step: Step) -> Sip | Stanza | Msrp:
    if step["to"] == "msrp":
        return read_msrp(step["wire"])
    return read_stanza(step["wire"]) if step["to"] == "xmpp" else read_sip(step["wire"])


def _shown(said: Any) -> str:
    if isinstance(said, Sip | Msrp):
        return said.encode().decode()
    return ET.tostring(said.node, encoding="unicode")
