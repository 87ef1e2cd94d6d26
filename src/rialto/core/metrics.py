"""What is counted: every metric's name, labels and help in one table.

Children are bound once and kept, so that counting costs a dictionary look-up and an addition.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "accepted": ("Messages taken on: on disk and acknowledged.", ("peer",)),
    "refused": ("Messages refused before anything was kept.", ("peer", "reason")),
    "duplicates": ("Messages recognised as already taken on.", ("peer",)),
    "settled": ("Messages whose delivery ended.", ("peer", "outcome")),
    "retries": ("Attempts that failed and will be repeated.", ("peer", "reason")),
    "returned": ("Messages that came back after they had been sent.", ("peer", "reason")),
    "reports": ("Reports of failed deliveries sent home.", ("peer",)),
    "ignored": (
        "Input with nothing in it to carry (typing notices, receipts, unknown bounces).",
        ("network", "what"),
    ),
    "bad_input": ("Input that broke a protocol's rules.", ("network", "condition")),
    "unproven": ("Links or requests refused because nobody could be proven behind them.", ("network", "why")),
    "answered": ("Requests that a network answered itself (disco, ping, OPTIONS).", ("network", "what")),
    "presence_asks": ("Presence authorizations that watchers asked for.", ("peer",)),
    "presence_refused": ("Of those, refused by a rule of ours before anything was kept.", ("peer", "reason")),
    "presence_decided": ("Decisions of those who are watched.", ("peer", "decision")),
    "presence_shown": ("Presence documents that came in.", ("peer",)),
    "presence_told": ("News of presence that watchers were told.", ("peer",)),
    "presence_said": ("What the far side of a watch was asked for.", ("peer", "verb")),
    "presence_failed": ("Failures that will be repeated, towards either side.", ("peer", "reason")),
    "presence_audits": ("Comparisons of what is known with what is so.", ("peer", "outcome")),
    "store_errors": ("Units that could not be written.", ()),
}
"""Counter name -> help and labels; exported as `rialto_<name>_total`."""

GAUGES: dict[str, str] = {
    "queue_messages": "Messages waiting or under way.",
    "queue_bytes": "Their content's size.",
    "commit_backlog": "Units waiting for the next commit.",
    "presence_pairs": "Pairs of watcher and watched.",
    "presence_failing": "Of those, whose far side does not answer.",
    "presence_waiting": "Questions about people that wait for their turn.",
}


class Metrics:
    """The counters and gauges of one instance."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters = {
            name: Counter(f"rialto_{name}", text, labels, registry=self.registry)
            for name, (text, labels) in COUNTERS.items()
        }
        self._children: dict[tuple[str, ...], Counter] = {}
        self.gauges = {
            name: Gauge(f"rialto_{name}", text, registry=self.registry) for name, text in GAUGES.items()
        }

    def count(self, name: str, *labels: str) -> None:
        """Add one. Raises KeyError for a counter that is not in the table."""
        child = self._children.get((name, *labels))
        if child is None:
            counter = self._counters[name]
            child = self._children[(name, *labels)] = counter.labels(*labels) if labels else counter
        child.inc()

    def value(self, name: str, *labels: str) -> float:
        """What a counter stands at."""
        text = COUNTERS[name][1]
        return (
            self.registry.get_sample_value(f"rialto_{name}_total", dict(zip(text, labels, strict=True)))
            or 0.0
        )
