"""Asking an authoritative server about a dialback key, on a stream made for it (XEP-0220 section 2.1.2)."""

from __future__ import annotations

import asyncio

import structlog

from rialto.networks.xmpp.inbound import IncomingStream
from rialto.networks.xmpp.live import Desk
from rialto.networks.xmpp.outbound import CannotConnect, OutgoingStream, dial
from rialto.networks.xmpp.wire.events import DialbackRequested

log = structlog.get_logger(__name__)

MAX_QUESTIONS = 100
"""So many keys are being asked about at a time; who shows more is told to come back."""

SHARE = 0.75
"""How much of `negotiation_s` a question may take: the peer is to hear its outcome."""

Asker = IncomingStream | OutgoingStream


class Verifications:
    """The questions under way."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, stream: Asker, event: DialbackRequested) -> None:
        """Find out whether the key that was shown on this stream is good, and tell the stream."""
        if len(self._tasks) >= MAX_QUESTIONS:
            stream.machine.dialback_result(event.local, event.remote, False, "resource-constraint")
            return
        task = asyncio.get_running_loop().create_task(self._verify(stream, event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()

    async def _verify(self, stream: Asker, event: DialbackRequested) -> None:
        valid, condition, why = await self._ask(event)
        if not valid:
            log.warning("xmpp.dialback", who=event.remote, to=event.local, why=f"dialback: {why}")
        if not stream.closed:
            stream.machine.dialback_result(event.local, event.remote, valid, condition)
            stream.link.wake()

    async def _ask(self, event: DialbackRequested) -> tuple[bool, str, str]:
        """(is the key good, else the stanza error condition for not knowing, in words)."""
        desk = self._desk
        peer = desk.peer_for(event.remote)
        if peer is None:
            return False, "remote-server-not-found", "no longer a peer"
        asked: OutgoingStream | None = None
        try:
            async with asyncio.timeout(SHARE * desk.settings.negotiation_s):
                asked = await dial(desk, peer.settings, event.local, event.remote, verify_only=True)
                asked.machine.verify_key(event.local, event.remote, event.stream_id, event.key)
                asked.link.wake()
                answer = await asked.answer
        except CannotConnect as failure:
            condition = "remote-server-not-found" if failure.no_domain else "remote-server-timeout"
            return False, condition, failure.text
        except TimeoutError:
            return False, "remote-server-timeout", "its authoritative server did not answer"
        finally:
            if asked is not None:
                asked.close()
        if answer.valid is None:
            return False, answer.condition, f"its authoritative server says {answer.condition}"
        return answer.valid, "", "valid" if answer.valid else "the key is not its authoritative server's"
