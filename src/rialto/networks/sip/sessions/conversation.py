"""What two people have: the sessions between them, and what waits for one."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from rialto.model.address import Address

if TYPE_CHECKING:
    from rialto.core.network import Delivery
    from rialto.networks.sip.sessions.session import Session

Key = tuple[Address, Address]


class Conversation:
    """Of one of ours (`local`, who lives on another network) and one of theirs (`remote`). `peer` is the
    name of the peer; the devices are those that spoke last (SES-7)."""

    __slots__ = ("held", "local", "local_device", "peer", "remote", "remote_device", "sessions")

    def __init__(self, local: Address, remote: Address, peer: str) -> None:
        self.local = local.bare
        self.remote = remote.bare
        self.local_device = local
        self.remote_device = remote
        self.peer = peer
        self.sessions: list[Session] = []
        """Oldest first."""
        self.held: deque[Delivery] = deque()

    @property
    def key(self) -> Key:
        """By whom it is found: one conversation for two people, whatever their devices (SES-26)."""
        return self.local, self.remote

    def ready(self) -> Session | None:
        """The session to send over: the oldest that can be used (SES-27)."""
        for session in self.sessions:
            if session.ready:
                return session
        return None

    def opening(self) -> bool:
        """Whether one is being opened."""
        return any(
            not (session.over or session.leaving or session.ready or session.for_file)
            for session in self.sessions
        )
