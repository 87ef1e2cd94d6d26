"""One MSRP session, as both ends agreed on it, and the book of those that are open."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from rialto.model.errors import LocalProtocolError
from rialto.networks.sip.msrp.wire.uri import MsrpUri, UriKey, write_path

if TYPE_CHECKING:
    from rialto.networks.sip.msrp.wire.connection import Connection

MAX_SEEN: Final = 256


class Seen:
    """The Message-IDs that were received last. A conversation that goes on over another connection takes them
    along, for what is sent there again is no news (RFC 4975 section 5.4)."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, message_id: str) -> None:
        """Remember one."""
        self._ids[message_id] = None
        if len(self._ids) > MAX_SEEN:
            self._ids.popitem(last=False)

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._ids


class Session:
    """Both ends of one session.

    `local` is our own URI; `path` leads to the other end: our relays, then the peer's path. `accept_types`
    are the media types that we have announced, with `*` or `text/*`; `max_bytes` what one message to us may
    have. `chunk_bytes` is what one chunk of ours may have, for relays that keep chunks whole; None for no
    limit. `connection` is where it lives, None until there is one. `seen` may come from an earlier session.
    `owner` is whose it is.
    """

    __slots__ = (
        "_to",
        "accept_types",
        "chunk_bytes",
        "connection",
        "local",
        "local_text",
        "max_bytes",
        "owner",
        "path",
        "seen",
    )

    def __init__(
        self,
        local: MsrpUri,
        path: Sequence[MsrpUri] = (),
        *,
        accept_types: Sequence[str] = ("*",),
        max_bytes: int | None = None,
        chunk_bytes: int | None = None,
        seen: Seen | None = None,
        owner: Any = None,
    ) -> None:
        self.local = local
        self.local_text = str(local)
        self.path: tuple[MsrpUri, ...] = tuple(path)
        self.accept_types = tuple(word.lower() for word in accept_types)
        self.max_bytes = max_bytes
        self.chunk_bytes = chunk_bytes
        self.seen = seen if seen is not None else Seen()
        self.owner = owner
        self.connection: Connection | None = None
        self._to = ""

    def __repr__(self) -> str:  # the session id of a URI is what proves who speaks (RFC 4975 section 14.1)
        return f"<Session at {self.local.host}:{self.local.port}>"

    @property
    def to_path(self) -> str:
        """What To-Path says. Raises LocalProtocolError where the other end is not known yet."""
        if not self._to:
            if not self.path:
                raise LocalProtocolError("the other end of this session is not known yet")
            self._to = write_path(self.path)
        return self._to

    def accepts(self, media_type: str) -> bool:
        """Whether we have announced to take such content; `media_type` in lower case, without parameters."""
        return any(
            word in ("*", media_type) or (word.endswith("/*") and media_type.startswith(word[:-1]))
            for word in self.accept_types
        )


class SessionBook:
    """Sessions by our own URI of each (RFC 4975 section 5.4)."""

    def __init__(self) -> None:
        self._sessions: dict[UriKey, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, session: Session) -> None:
        """Expect it. Raises LocalProtocolError where its URI is taken."""
        if self._sessions.setdefault(session.local.key, session) is not session:
            raise LocalProtocolError("two sessions with one URI")

    def remove(self, session: Session) -> None:
        """Expect it no more."""
        self._sessions.pop(session.local.key, None)

    def find(self, uri: MsrpUri) -> Session | None:
        """The session that a To-Path means."""
        return self._sessions.get(uri.key)
