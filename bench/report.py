"""The table of medians, and what machine it came from."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from bench.systems import Case

Run = Mapping[str, Any]


def machine() -> dict[str, Any]:
    """What matters about this machine for reading the figures, and nothing that names it."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next(
            (line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown"
        )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "kamailio": _first_line(["kamailio", "-v"]).removeprefix("version: "),
    }


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return "not installed"
    return done.stdout.partition("\n")[0]


def median(runs: Sequence[Run], *path: str) -> float | None:
    """The median of one figure over the runs that have it."""
    values = []
    for run in runs:
        value: Any = run
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            values.append(float(value))
    return statistics.median(values) if values else None


def total(runs: Iterable[Run], key: str) -> int:
    """The sum of one count over all runs."""
    return sum(int(run.get(key, 0)) for run in runs)


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """The medians of one system in one case."""
    good = [run for run in runs if "error" not in run]
    return {
        "runs": len(good),
        "failed_runs": len(runs) - len(good),
        "per_second": median(good, "per_second"),
        "cpu_us": median(good, "cpu_us"),
        "user_us": median(good, "user_us"),
        "system_us": median(good, "system_us"),
        "switches": median(good, "switches"),
        "generator_us": median(good, "generator_us"),
        "memory_mb": (median(good, "memory_kb") or 0) / 1024,
        "delivery_p50_us": median(good, "delivery_us", "p50"),
        "delivery_p99_us": median(good, "delivery_us", "p99"),
        "answer_p50_us": median(good, "answer_us", "p50"),
        "answer_p99_us": median(good, "answer_us", "p99"),
        **{key: total(good, key) for key in ("sent", "lost", "duplicates", "refused", "retransmitted")},
    }


def _latency(us: float | None) -> str:
    if us is None:
        return ""
    return f"{us:.0f} µs" if us < 1000 else f"{us / 1000:.1f} ms"


def table(results: Mapping[Case, Mapping[str, Sequence[Run]]], base: str, title: str) -> Table:
    """One row for each case and system; `ratio` is its CPU per message to that of `base`."""
    out = Table(title=title, title_justify="left")
    out.add_column("case", no_wrap=True)
    out.add_column("system", no_wrap=True)
    for heading in (
        "CPU/msg",
        "ratio",
        "msg/s",
        "deliver p50",
        "p99",
        "answer p50",
        "p99",
        "memory",
        "lost",
        "twice",
    ):
        out.add_column(heading, justify="right", no_wrap=True)
    for case, systems in results.items():
        figures = {name: summary(runs) for name, runs in systems.items()}
        reference = figures.get(base, {}).get("cpu_us")
        for position, (name, row) in enumerate(figures.items()):
            head = case.name if position == 0 else ""
            if not row["runs"]:
                out.add_row(head, name, "[red]no run succeeded[/red]")
                continue
            ratio = f"{row['cpu_us'] / reference:.2f}x" if reference else ""
            out.add_row(
                head,
                f"{name} [red]({row['failed_runs']} failed)[/red]" if row["failed_runs"] else name,
                f"{row['cpu_us']:.1f} µs",
                ratio,
                f"{row['per_second']:,.0f}",
                _latency(row["delivery_p50_us"]),
                _latency(row["delivery_p99_us"]),
                _latency(row["answer_p50_us"]),
                _latency(row["answer_p99_us"]),
                f"{row['memory_mb']:.0f} MB",
                str(row["lost"]),
                str(row["duplicates"]),
            )
        out.add_section()
    return out
