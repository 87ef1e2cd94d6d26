"""The timers of RFC 3261 (table 4), RFC 6026 and RFC 4320: how long each runs, on which transport."""

from __future__ import annotations

import msgspec


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """The three constants of RFC 3261 from which all durations follow, in seconds."""

    t1_s: float = 0.5
    """Estimate of the round trip."""
    t2_s: float = 4.0
    """The longest interval between two retransmissions of a non-INVITE request or an INVITE response."""
    t4_s: float = 5.0
    """How long a message may stay in the network."""


RFC_TIMING = Timing()


class Durations:
    """What each letter means for one kind of transport.

    `first` maps a letter to seconds, 0 meaning "fires at once". `next` maps a retransmission interval to the
    one after it.
    """

    __slots__ = ("doubled", "first", "t2_s")

    def __init__(self, timing: Timing, *, reliable: bool) -> None:
        t1, t2, t4 = timing.t1_s, timing.t2_s, timing.t4_s
        self.t2_s = t2
        self.first: dict[str, float] = {
            "B": 64 * t1,  # INVITE client: gives up (17.1.1.2)
            "D": 0.0 if reliable else max(32.0, 64 * t1),  # INVITE client: answers retransmissions with ACK
            "F": 64 * t1,  # non-INVITE client: gives up (17.1.2.2)
            "H": 64 * t1,  # INVITE server: waits for ACK (17.2.1)
            "I": 0.0 if reliable else t4,  # INVITE server: absorbs further ACKs
            "J": 0.0 if reliable else 64 * t1,  # non-INVITE server: absorbs retransmissions (17.2.2)
            "K": 0.0 if reliable else t4,  # non-INVITE client: absorbs responses
            "L": 64 * t1,  # INVITE server after 2xx (RFC 6026 section 8.5)
            "M": 64 * t1,  # INVITE client after 2xx (RFC 6026 section 8.4)
            "abandoned": 64 * t1,  # a server transaction that nobody answers: the client has given up as well
            # RFC 3261 section 17.2.1: 100 to an INVITE that takes longer than 200 ms
            "100 invite": 0.2,
            # RFC 4320 section 4.1: 100 to anything else only when the client's Timer E has been reset to T2
            "100 late": _until_t2(t1, t2),
        }
        if not reliable:
            self.first |= {"A": t1, "E": t1, "G": t1}
        # Timer A doubles without end; E and G stop at T2.
        self.doubled: dict[str, float] = {"A": float("inf"), "E": t2, "G": t2}

    def after(self, letter: str, seconds: float) -> float:
        """The interval that follows one of `seconds`."""
        return min(2 * seconds, self.doubled[letter])


def _until_t2(t1: float, t2: float) -> float:
    elapsed, interval = 0.0, t1
    while interval < t2:
        elapsed += interval
        interval *= 2
    return elapsed
