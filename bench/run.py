#!/usr/bin/env python3
"""Measure Rialto beside Kamailio's xmpp module and a bare relay: one table of medians, one JSON file.

The systems take turns (A B C A B C ...), each run with fresh processes on one core while the generator has
another. Everything is on loopback. Only what was started here is ended.
"""

from __future__ import annotations

import json
import re
import resource
import selectors
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.report import figures, table
from bench.systems import BENCH, BUILD, PEOPLE, SYSTEMS, Case, System, folder_for, free_ports, pinned, stop

READY_WITHIN_S = 25.0
AFTER_S = 25.0
"""What a run may take beyond the time that is measured: warming up, and waiting for the last messages."""

CASES = [
    *(Case(direction, "udp", window) for direction in ("sip-xmpp", "xmpp-sip") for window in (1, 16, 128)),
    *(Case(direction, "tcp", 128) for direction in ("sip-xmpp", "xmpp-sip")),
    *(Case(direction, "udp", rate=1000.0) for direction in ("sip-xmpp", "xmpp-sip")),
]
TMPFS = {"tmpfs", "ramfs"}


def one_run(
    system: System,
    case: Case,
    *,
    seconds: float,
    messages: int,
    people: int,
    cores: tuple[int, int],
    data_dir: Path,
    log_to: Path | None = None,
) -> dict[str, Any]:
    """Start a system and the generator, and give the generator's figures, or an `error`."""
    ports = free_ports()
    warm_up = min(messages // 10, max(case.window * 20, 100)) if case.window else int(case.rate)
    arguments = [
        str(BUILD / "load"),
        *system.generator(case, ports),
        "--people",
        str(people),
        "--messages",
        str(messages),
        "--seconds",
        str(seconds),
        "--warm-up",
        str(warm_up),
    ]
    arguments += ["--window", str(case.window)] if case.window else ["--rate", str(case.rate)]
    with folder_for(data_dir, system.name) as folder:
        generator = subprocess.Popen(
            pinned(arguments, cores[1]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running = None
        try:
            time.sleep(0.05)  # it listens before anybody connects
            running = system.start(case, ports, folder, cores[0])
            if not _ready(generator):
                return {"error": f"not ready: {_tail(running.log)}"}
            time.sleep(system.settle_s)
            out, err = generator.communicate(
                " ".join(map(str, running.pids())) + "\n", timeout=seconds + AFTER_S
            )
            if running.process.poll() is not None:
                return {"error": f"the system has ended: {_tail(running.log)}"}
            if generator.returncode:
                return {"error": f"generator: {err.strip()[-300:]} {out.strip()[-300:]}"}
            figures: dict[str, Any] = json.loads(out)
            if err:
                figures["remarks"] = err.strip()[-500:]
            return figures
        except (subprocess.TimeoutExpired, ValueError, OSError) as error:
            return {"error": f"{type(error).__name__}: {error}"}
        finally:
            if generator.poll() is None:
                generator.kill()
            generator.communicate()
            if running is not None:
                stop(running)
                if log_to is not None:
                    log_to.write_bytes(running.log.read_bytes())


def _ready(generator: subprocess.Popen[str]) -> bool:
    assert generator.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(generator.stdout, selectors.EVENT_READ)
        return bool(selector.select(READY_WITHIN_S)) and generator.stdout.readline() == "ready\n"


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-600:].strip()


def _file_system(path: Path) -> str:
    path = path.resolve()
    best, kind = "", ""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, name, *_ = line.split()
        if (path == Path(mount) or Path(mount) in path.parents) and len(mount) >= len(best):
            best, kind = mount, name
    return kind


@click.command(
    help=__doc__,
    epilog="Example: bench/run.py --quick --only 'window 128' --system rialto --system kamailio-fm",
)
@click.option("--repetitions", default=5, show_default=True, help="Runs of each system in each case.")
@click.option("--quick", is_flag=True, help="One short run of each: to see that it works, not to publish.")
@click.option(
    "--system",
    "names",
    multiple=True,
    type=click.Choice(sorted(SYSTEMS)),
    help="Which to measure; default: relay, kamailio, kamailio-fm, rialto.",
)
@click.option(
    "--only", default="", help="Only cases whose name this pattern is found in, such as `udp window 1$`."
)
@click.option("--messages", default=80_000, show_default=True, help="Messages of one run, at most.")
@click.option("--seconds", default=6.0, show_default=True, help="Time of one run, at most.")
@click.option("--people", default=PEOPLE, show_default=True, help="Distinct senders, and as many recipients.")
@click.option("--base", default="kamailio", show_default=True, help="The system that ratios are to.")
@click.option(
    "--cores", default=(0, 1), type=(int, int), show_default=True, help="Of the system, of the generator."
)
@click.option(
    "--data-dir",
    default=BUILD / "data",
    type=click.Path(path_type=Path),
    help="Where journals are written; a real disk. Default: build/bench/data",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures there.")
@click.option(
    "--keep-logs", type=click.Path(path_type=Path), help="Keep what the systems say, in this folder."
)
def main(
    repetitions: int,
    quick: bool,
    names: tuple[str, ...],
    only: str,
    messages: int,
    seconds: float,
    people: int,
    base: str,
    cores: tuple[int, int],
    data_dir: Path,
    json_file: Path | None,
    keep_logs: Path | None,
) -> None:
    # No core dumps: a Kamailio that falls would leave its gigabytes of shared memory behind.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    console = Console(width=150 if not sys.stdout.isatty() else None)
    subprocess.run(["make", "-s", "-C", str(BENCH)], check=True)
    data_dir.mkdir(parents=True, exist_ok=True)
    if _file_system(data_dir) in TMPFS:
        raise click.UsageError("--data-dir is in memory; a journal needs a disk")
    if quick:
        repetitions, seconds = 1, min(seconds, 2.0)
    systems = [SYSTEMS[name] for name in names or ("relay", "kamailio", "kamailio-fm", "rialto")]
    cases = [case for case in CASES if re.search(only, case.name)]
    if not cases:
        raise click.UsageError(f"--only: none of {', '.join(case.name for case in CASES)}")
    if keep_logs is not None:
        keep_logs.mkdir(parents=True, exist_ok=True)
    results: dict[Case, dict[str, list[dict[str, Any]]]] = {
        case: {system.name: [] for system in systems} for case in cases
    }
    with Progress(console=console, disable=not sys.stdout.isatty()) as progress:
        bar = progress.add_task("measuring", total=len(cases) * repetitions * len(systems))
        for case in cases:
            for repetition in range(repetitions):
                for system in systems:
                    progress.update(
                        bar, description=f"{case.name}: {system.name} {repetition + 1}/{repetitions}"
                    )
                    log_to = (
                        keep_logs / f"{system.name} {case.name}.log".replace("/", "_") if keep_logs else None
                    )
                    run = one_run(
                        system,
                        case,
                        seconds=seconds,
                        messages=messages,
                        people=people,
                        cores=cores,
                        data_dir=data_dir,
                        log_to=log_to,
                    )
                    results[case][system.name].append(run)
                    if "error" in run:
                        console.print(
                            f"{case.name}: {system.name}: {run['error']}", style="red", markup=False
                        )
                    progress.advance(bar)
    settings = {"repetitions": repetitions, "seconds": seconds, "messages": messages, "people": people}
    found = figures(results, settings)
    console.print(table(found, base))
    for system in systems:
        console.print(f"{system.name}: {system.about}", highlight=False)
    if json_file is not None:
        kept = json.loads(json_file.read_text(encoding="utf-8")) if json_file.exists() else {}
        json_file.write_text(json.dumps({**kept, **found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
