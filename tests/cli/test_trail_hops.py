"""What `rialto trail` says of the hops of one message."""

from __future__ import annotations

import pytest

from rialto.cli.trail import _hops, hops
from rialto.core.trail import Event, Stop, encode
from rialto.store.store import Row


def row(*events: Event, origin_peer: str = "xa.example") -> Row:
    return Row(
        id="1", type="message", sender="a@xa.example", recipient="b@sip.example", origin_peer=origin_peer,
        origin_id="", about="", network="sip", peer="sip.example", state="delivered", reason="", certain=1,
        attempts=1, size_bytes=1, received_at=0.0, expires_at=1.0, settled_at=None, stable_key=None,
        content=None, trail=encode(list(events)),
    )  # fmt: skip


CAME = Event(0.0, Stop.RECEIVED, "", {"proof": "external", "secured": True})
SEALED = Event(0.0, Stop.RECEIVED, "", {"proof": "dialback", "secured": False, "sealed": ["omemo"]})
WENT = Event(1.0, Stop.DELIVERED, "200 OK", {"proof": "address", "secured": False})
UNKNOWN = Event(1.0, Stop.DELIVERED, "200 OK")


@pytest.mark.parametrize(
    ("events", "line"),
    [
        ((CAME,), "xa.example: encrypted, proven by external"),
        (
            (CAME, WENT),
            "xa.example: encrypted, proven by external > sip.example: not encrypted, proven by address",
        ),
        ((CAME, UNKNOWN), "xa.example: encrypted, proven by external > sip.example: not known"),
        ((SEALED,), "xa.example: not encrypted, proven by dialback; end to end: omemo"),
        ((UNKNOWN,), ""),
    ],
)
def test_each_hop_is_told_as_it_was(events: tuple[Event, ...], line: str) -> None:
    assert _hops(row(*events)) == line


def test_what_begins_here_has_no_hop_before() -> None:
    assert hops(row(CAME, WENT, origin_peer="")) == [("sip.example", WENT.data)]
