"""The systems that are measured: how each is started, and what the generator must know to speak with it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).parent
BUILD = BENCH.parent / "build" / "bench"
KAMAILIO_MODULES = "/usr/lib/x86_64-linux-gnu/kamailio/modules/"
STOP_WITHIN_S = 15.0
PEOPLE = 512


@dataclass(frozen=True)
class Ports:
    """Where everybody is in one run; all on loopback, all chosen by the kernel."""

    gateway: int
    sip: int
    component: int
    metrics: int


def free_ports() -> Ports:
    """Four ports that are free for UDP and for TCP."""
    held: list[socket.socket] = []
    ports: list[int] = []
    while len(ports) < 4:
        stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        held.append(stream)
        stream.bind(("127.0.0.1", 0))
        datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        held.append(datagram)
        try:
            datagram.bind(("127.0.0.1", stream.getsockname()[1]))
        except OSError:
            continue
        ports.append(stream.getsockname()[1])
    for one in held:
        one.close()
    return Ports(*ports)


@dataclass(frozen=True)
class Case:
    """One row of the table: what is sent, and how hard."""

    direction: str  # "sip-xmpp" or "xmpp-sip"
    transport: str  # of the SIP side: "udp" or "tcp"
    window: int = 0  # closed loop
    rate: float = 0.0  # open loop, messages a second

    @property
    def name(self) -> str:
        """As the table calls it."""
        load = f"window {self.window}" if self.window else f"{self.rate:g}/s"
        return f"{self.direction} {self.transport} {load}"


@dataclass
class Running:
    """A system that has been started."""

    process: subprocess.Popen[bytes]
    log: Path

    def pids(self) -> list[int]:
        """Its process and all that it has forked."""
        return [self.process.pid, *descendants(self.process.pid)]


@dataclass(frozen=True)
class System:
    """One contestant."""

    name: str
    about: str
    start: Callable[[Case, Ports, Path, int], Running]
    generator: Callable[[Case, Ports], list[str]]
    settle_s: float = 0.3
    """Between its login and the first message: time for its last children to be there."""


def _spawn(command: list[str], folder: Path, core: int, environment: dict[str, str] | None = None) -> Running:
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            pinned(command, core),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    return Running(process, log)


def pinned(command: list[str], core: int) -> list[str]:
    """The same command, on one core."""
    return ["taskset", "--cpu-list", str(core), *command]


def descendants(pid: int) -> list[int]:
    """All processes below this one."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


def stop(running: Running) -> None:
    """End it, and only it: politely, and after a while by force."""
    process = running.process
    children = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in children:
        deadline = time.monotonic() + 2.0
        while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        if Path(f"/proc/{child}").exists():
            os.kill(child, signal.SIGKILL)


@contextmanager
def folder_for(data_dir: Path, name: str) -> Iterator[Path]:
    """A fresh folder, gone afterwards."""
    data_dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=data_dir))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# -- the floor ---------------------------------------------------------------------------------------------


def _start_relay(case: Case, ports: Ports, folder: Path, core: int) -> Running:
    kind = "tcp" if case.direction == "xmpp-sip" else case.transport
    return _spawn([str(BUILD / "relay"), kind, str(ports.gateway), str(ports.sip)], folder, core)


def _relay_arguments(case: Case, ports: Ports) -> list[str]:
    # What comes in is relayed: SIP requests and their answers, or stanzas, which have no answers.
    if case.direction == "xmpp-sip":
        return ["--mode", "stanzas", "--component-port", str(ports.gateway), "--sip-port", str(ports.sip)]
    return [
        *("--mode", "sip-sip", "--transport", case.transport),
        *("--gateway-port", str(ports.gateway), "--sip-port", str(ports.sip)),
    ]


# -- Kamailio's xmpp module, as a component -----------------------------------------------------------------

KAMAILIO = """\
#!KAMAILIO
debug=0
log_stderror=yes
fork=yes
children=1
tcp_children=1
listen=udp:127.0.0.1:{ports.gateway}
listen=tcp:127.0.0.1:{ports.gateway}
alias="gw.test"
dns=no
rev_dns=no
mpath="{modules}"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "xmpp.so"
modparam("tm", "wt_timer", 5000)
modparam("xmpp", "backend", "component")
modparam("xmpp", "xmpp_host", "127.0.0.1")
modparam("xmpp", "xmpp_port", {ports.component})
modparam("xmpp", "xmpp_domain", "comp.test")
modparam("xmpp", "gateway_domain", "gw.test")
modparam("xmpp", "xmpp_password", "secret")
modparam("xmpp", "outbound_proxy", "sip:127.0.0.1:{ports.sip}{transport}")
request_route {{
  if (method != "MESSAGE") {{ sl_send_reply("405", "Method Not Allowed"); exit; }}
  {transaction}
  if (xmpp_send_message()) {reply}("202", "Accepted"); else {reply}("500", "Server Internal Error");
  exit;
}}
"""


def _start_kamailio(memory: str, stateful: bool) -> Callable[[Case, Ports, Path, int], Running]:
    def start(case: Case, ports: Ports, folder: Path, core: int) -> Running:
        config = folder / "kamailio.cfg"
        config.write_text(
            KAMAILIO.format(
                ports=ports,
                modules=KAMAILIO_MODULES,
                transport=";transport=tcp" if case.transport == "tcp" else "",
                transaction="if (!t_newtran()) exit;" if stateful else "",
                reply="t_reply" if stateful else "sl_send_reply",
            )
        )
        command = [
            "kamailio",
            "-f",
            str(config),
            "-m",
            "4000",
            "-M",
            "64",
            "-DD",
            "-E",
            "-w",
            str(folder),
            "-Y",
            str(folder),
        ]
        if memory:
            command += ["-x", memory, "-X", memory]
        return _spawn(command, folder, core, {"LD_PRELOAD": str(BUILD / "expat_shim.so")})

    return start


def _kamailio_arguments(case: Case, ports: Ports) -> list[str]:
    return [
        *_gateway_arguments(case, ports),
        *("--sip-to", "v%04d*xmpp.test@gw.test", "--xmpp-to", "u%04d*sip.test@comp.test"),
    ]


def _gateway_arguments(case: Case, ports: Ports) -> list[str]:
    return [
        *("--mode", case.direction, "--transport", case.transport, "--gateway-port", str(ports.gateway)),
        *("--sip-port", str(ports.sip), "--component-port", str(ports.component)),
    ]


# -- Rialto -------------------------------------------------------------------------------------------------

RIALTO = """\
[server]
name = "gw.test"
data_dir = "{folder}/data"
metrics = "127.0.0.1:{ports.metrics}"
grace_s = 3.0

[log]
level = "warning"

[networks.xmpp]
listen = []
stanzas_per_s = 1000000

[networks.sip]
listen = ["udp:127.0.0.1:{ports.gateway}", "tcp:127.0.0.1:{ports.gateway}"]

[[peers]]
network = "xmpp"
domains = ["xmpp.test"]
link = "component"
host = "127.0.0.1"
port = {ports.component}
secret = "secret"
rate_per_s = 1e6
sender_rate_per_s = 1e6

[[peers]]
network = "sip"
domains = ["sip.test"]
proxy = "sip:127.0.0.1:{ports.sip};transport={transport}"
trust = ["address"]
addresses = ["127.0.0.1"]
answer = "{answer}"
rate_per_s = 1e6
sender_rate_per_s = 1e6
"""


def _start_rialto(answer: str) -> Callable[[Case, Ports, Path, int], Running]:
    def start(case: Case, ports: Ports, folder: Path, core: int) -> Running:
        config = folder / "rialto.toml"
        config.write_text(RIALTO.format(folder=folder, ports=ports, transport=case.transport, answer=answer))
        command = [str(Path(sys.executable).with_name("rialto")), "serve", "--config", str(config)]
        return _spawn(command, folder, core)

    return start


SYSTEMS = {
    system.name: system
    for system in (
        System("relay", "bare relay of the bytes that come in, C", _start_relay, _relay_arguments, 0.1),
        System(
            "kamailio",
            "Kamailio with its xmpp module as Debian ships it; answers 202 without a transaction",
            _start_kamailio("", stateful=False),
            _kamailio_arguments,
            0.8,
        ),
        System(
            "kamailio-fm",
            'the same with the memory manager "fm"',
            _start_kamailio("fm", stateful=False),
            _kamailio_arguments,
            0.8,
        ),
        System(
            "kamailio-fm-stateful",
            'the same with "fm" and a transaction for each request',
            _start_kamailio("fm", stateful=True),
            _kamailio_arguments,
            0.8,
        ),
        System(
            "rialto",
            "Rialto: journal on (synchronous=FULL), trail and metrics on, answers 200 when it was delivered",
            _start_rialto("honest"),
            _gateway_arguments,
        ),
        System(
            "rialto-202",
            "the same, but answers 202 as soon as the message is on disk",
            _start_rialto("202"),
            _gateway_arguments,
        ),
    )
}
