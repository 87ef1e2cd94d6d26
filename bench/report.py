"""The table of medians, and what machine it came from.

As a program it prints the tables of `docs/performance.md`: `bench/report.py bench/figures.json`.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

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
        "kamailio": _first_line(["kamailio", "-v"]).removeprefix("version: kamailio ").split(" ")[0],
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
    """The medians of one system in one case, and between which values its CPU was."""
    good = [run for run in runs if "error" not in run]
    cpu = [run["cpu_us"] for run in good]
    return {
        "runs": len(good),
        "failed_runs": len(runs) - len(good),
        "per_second": median(good, "per_second"),
        "cpu_us": median(good, "cpu_us"),
        "cpu_us_range": [min(cpu), max(cpu)] if cpu else [],
        "user_us": median(good, "user_us"),
        "system_us": median(good, "system_us"),
        "switches": median(good, "switches"),
        "generator_us": median(good, "generator_us"),
        "memory_mb": (median(good, "memory_kb") or 0) / 1024,
        "delivery_p50_us": median(good, "delivery_us", "p50"),
        "delivery_p99_us": median(good, "delivery_us", "p99"),
        "answer_p50_us": median(good, "answer_us", "p50"),
        "answer_p99_us": median(good, "answer_us", "p99"),
        **{
            key: total(good, key)
            for key in ("sent", "lost", "duplicates", "refused", "retransmitted", "repeats")
        },
    }


def _latency(us: float | None) -> str:
    if us is None:
        return ""
    return f"{us:.0f} µs" if us < 1000 else f"{us / 1000:.1f} ms"


def figures(
    results: Mapping[Case, Mapping[str, Sequence[Run]]], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What is written as JSON, and all that tables are made of."""
    return {
        "machine": machine(),
        "settings": dict(settings),
        "cases": [
            {"case": case.name, "systems": {name: summary(runs) for name, runs in systems.items()}}
            for case, systems in results.items()
        ],
    }


def _title(found: Mapping[str, Any]) -> str:
    about, settings = found["machine"], found["settings"]
    where = f"{about['cpu']}, {about['cores']} cores, Python {about['python']}"
    return f"medians of {settings['repetitions']}; {where}"


def table(found: Mapping[str, Any], base: str) -> Table:
    """One row for each case and system; `ratio` is its CPU per message to that of `base`."""
    title = _title(found)
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
    for case in found["cases"]:
        systems = case["systems"]
        reference = systems.get(base, {}).get("cpu_us")
        for position, (name, row) in enumerate(systems.items()):
            head = case["case"] if position == 0 else ""
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


PUBLISHED = ("relay", "kamailio", "kamailio-fm", "rialto")


def _ratio(row: Mapping[str, Any], to: Mapping[str, Any]) -> str:
    if not row.get("cpu_us") or not to.get("cpu_us"):
        return "-"
    ratio = row["cpu_us"] / to["cpu_us"]
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def markdown(found: Mapping[str, Any]) -> str:
    """The tables of `docs/performance.md`."""
    lines = [
        f"*{_title(found)}; Kamailio {found['machine']['kamailio']}.*",
        "",
        "| case | relay | Kamailio as shipped | Kamailio, `fm` | Rialto | Rialto to Kamailio | to `fm` |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in found["cases"]:
        rows = [case["systems"].get(name, {}) for name in PUBLISHED]
        cells = [f"{row['cpu_us']:.1f} µs" if row.get("cpu_us") else "-" for row in rows]
        cells += [_ratio(rows[3], rows[1]), _ratio(rows[3], rows[2])]
        lines.append(f"| {case['case']} | {' | '.join(cells)} |")
    lines += [
        "",
        "| case | system | messages/s | delivery p50, p99 | answer p50, p99 | memory | lost | twice |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in found["cases"]:
        for name in PUBLISHED[1:]:
            row = case["systems"].get(name, {})
            if not row.get("runs"):
                continue
            latencies = [
                f"{_latency(row[f'{what}_p50_us'])}, {_latency(row[f'{what}_p99_us'])}".strip(", ") or "-"
                for what in ("delivery", "answer")
            ]
            cells = [f"{row['per_second']:,.0f}", *latencies, f"{row['memory_mb']:.0f} MB"]
            lines.append(
                f"| {case['case']} | {name} | {' | '.join(cells)} | {row['lost']} | {row['duplicates']} |"
            )
    return "\n".join(lines) + "\n"


def presence_table(found: Mapping[str, float]) -> str:
    """What presence costs, as `bench/dialogs.py` measures it."""
    rows = (
        ("authorizations, half of them each way, each with its dialog", f"{found['pairs']:,}"),
        ("memory for each, hub and dialog, just taken up", f"{found['taken_up_bytes']:,} bytes"),
        ("the same when everybody has been asked about", f"{found['asked_bytes']:,} bytes"),
        ("the same after the hour", f"{found['hour_bytes']:,} bytes"),
        ("restart: all read and taken up", f"{found['restart_s']} s"),
        ("of that CPU, all threads", f"{found['restart_cpu_s']} s"),
        ("refreshes in the hour", f"{found['refreshed']:,}"),
        ("CPU for each, all threads, both sides of the wire", f"{found['refresh_us']} µs"),
        ("of one core", f"{found['core_percent']} %"),
    )
    return "\n".join(["| | |", "|---|---:|", *(f"| {what} | {figure} |" for what, figure in rows)]) + "\n"


if __name__ == "__main__":
    figures_found = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(markdown(figures_found))
    print(presence_table(figures_found["presence"]), end="")
