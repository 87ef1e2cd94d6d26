"""Playing a transcript: say what the two sides say, and compare what the gateway says.

Call-IDs, tags, Contacts and tuple ids that the gateway chooses are unknown until it has said them. `book` has
what stands for them in the vector, and what they really are; everything said to the gateway afterwards, and
everything compared, goes through it.
"""

from __future__ import annotations

import asyncio
from typing import Any
from xml.etree import ElementTree as ET

from vectors.stand import Stand
from vectors.wires import Sip, Stanza, read_sip, read_stanza

Step = dict[str, Any]
BOUND = ("call-id", "from-tag", "to-tag")


class Play:
    """One play on one stand."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.book: dict[str, str] = {}
        self._asked: dict[str, Sip] = {}
        self._optional: dict[str, list[Step]] = {"stanza": [], "request": [], "response": []}

    async def run(self, transcript: dict[str, Any]) -> None:
        """Play it. Raises AssertionError with the step that went wrong."""
        for step in transcript["step"]:
            if step["by"] == "xmpp":
                self.stand.server.say(step["wire"])
            elif step["by"] == "restart":
                await self.stand.restart()
            elif step["by"] == "sip":
                self._sip_says(read_sip(step["wire"]))
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
        sip.headers = [(name, own.get(name.lower(), value)) for name, value in sip.headers]
        self.stand.agent.say(sip)

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
        kind = ("method",) if line == "request" else ("name", "type")
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
            if name in BOUND:
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
        if not isinstance(said, Sip):
            return
        wire = read_sip(step["wire"])
        for name in BOUND:
            if wire.field(name):
                self.book.setdefault(wire.field(name), said.field(name))
        if wire.field("contact"):
            self.book[wire.field("contact")] = said.field("contact")
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
        }


def _line(step: Step) -> str:
    if step["to"] == "xmpp":
        return "stanza"
    return "response" if read_sip(step["wire"]).is_response else "request"


def _read(step: Step) -> Sip | Stanza:
    return read_stanza(step["wire"]) if step["to"] == "xmpp" else read_sip(step["wire"])


def _shown(said: Any) -> str:
    if isinstance(said, Sip):
        return said.encode().decode()
    return ET.tostring(said.node, encoding="unicode")
