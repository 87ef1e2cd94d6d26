"""What is counted: every metric's name, labels and help in one table.

Counters are plain numbers by name and labels, counted on the event loop's thread and read by the exporter's:
counting costs a dictionary look-up and an addition, without a lock.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import CounterMetricFamily

COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "accepted": ("Messages taken on: on disk and acknowledged.", ("peer",)),
    "refused": ("Messages refused before anything was kept.", ("peer", "reason")),
    "policy_refused": ("What was not given leave, by the step that decided.", ("step", "service")),
    "policy_would": ("What a rule that only counts would have done.", ("rule", "effect")),
    "duplicates": ("Messages recognised as already taken on.", ("peer",)),
    "settled": ("Messages whose delivery ended.", ("peer", "outcome")),
    "retries": ("Attempts that failed and will be repeated.", ("peer", "reason")),
    "returned": ("Messages that came back after they had been sent.", ("peer", "reason")),
    "reports": ("Reports of failed deliveries sent home.", ("peer",)),
    "receipts": ("Receipts taken on, on their way to the writer's peer.", ("peer", "disposition")),
    "composing": ("Typing notices passed on.", ("peer",)),
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
    "sessions": ("What became of sessions with SIP users.", ("network", "event")),
    "msrp": ("What happened on MSRP connections.", ("network", "event")),
    "published": ("Answers of presence servers to what was published there.", ("peer", "answer")),
    "files": ("Files that people of a peer sent to be fetched here.", ("peer", "outcome")),
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
    """The counters and gauges of one instance; a collector of its registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counts: dict[tuple[str, ...], int] = {(name,): 0 for name in COUNTERS if not COUNTERS[name][1]}
        """By counter and labels; those without labels stand at 0 from the beginning."""
        self.registry.register(self)
        self.gauges = {
            name: Gauge(f"rialto_{name}", text, registry=self.registry) for name, text in GAUGES.items()
        }

    def count(self, *key: str) -> None:
        """Add one; `key` is the counter's name and its labels.

        Raises KeyError for a counter that is not in the table, ValueError for a wrong number of labels.
        """
        if key in self._counts:
            self._counts[key] += 1
            return
        if len(key) - 1 != len(COUNTERS[key[0]][1]):
            raise ValueError(f"labels of {key[0]}: {', '.join(COUNTERS[key[0]][1])}")
        self._counts[key] = 1

    def value(self, *key: str) -> float:
        """What a counter stands at."""
        return float(self._counts.get(key, 0))

    def collect(self) -> Iterator[CounterMetricFamily]:
        """For the registry: all counters as they stand."""
        families = {
            name: CounterMetricFamily(f"rialto_{name}", text, labels=labels)
            for name, (text, labels) in COUNTERS.items()
        }
        for (name, *labels), value in tuple(self._counts.items()):
            families[name].add_metric(labels, value)
        yield from families.values()
