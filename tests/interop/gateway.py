"""The gateway under test: its configuration, its process, and what it tells through its command line."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interop.peers import addresses
from interop.peers.certificates import Certificate
from interop.peers.kamailio import Transport
from interop.peers.program import Program

MUCH = 1_000_000
PORTS = (("udp", 5060), ("tcp", 5060), ("tls", 5061))

COMMON = """\
[server]
name = "gw.example"
data_dir = "{data}"
grace_s = 3.0

[dns]
servers = ["{dns}:53"]

[tls]
ca_file = "{ca}"
certificates = [{certificates}]

[log]
format = "json"

"""
XMPP = {"listen": [f"{addresses.GATEWAY}:5269"], "listen_tls": [f"{addresses.GATEWAY}:5270"]}
SIP = {"listen": [f"{proto}:{addresses.GATEWAY}:{port}" for proto, port in PORTS]}

PROXY_URI = {
    "udp": f"sip:{addresses.SIP}:5060",
    "tcp": f"sip:{addresses.SIP}:5060;transport=tcp",
    "tls": "sip:proxy.sip.example:5061;transport=tls",
}


def toml(value: object) -> str:
    """A value as TOML writes it; what tests need is what JSON writes too."""
    return json.dumps(value)


def table(heading: str = "[[peers]]", **settings: object) -> str:
    """One table of the configuration."""
    return f"\n{heading}\n" + "".join(f"{key} = {toml(value)}\n" for key, value in settings.items())


def xmpp_peer(domain: str, mode: str, **settings: object) -> str:
    """The XMPP server of `domain`, met by `dialback`, by `external`, or as its `component`."""
    common: dict[str, object] = {"network": "xmpp", "domains": [domain], "rate_per_s": MUCH}
    common["sender_rate_per_s"] = MUCH
    if mode == "component":
        common |= {"link": "component", "host": addresses.XMPP_ADDRESS_OF[domain], "port": 5347}
        common["secret"] = addresses.COMPONENT_SECRET
    else:
        common |= {"link": "s2s", "authentication": [mode]}
    return table(**(common | settings))


def sip_peer(transport: Transport = "udp", **settings: object) -> str:
    """sip.example behind its proxy, which is trusted by its address."""
    common: dict[str, object] = {
        "network": "sip",
        "domains": [addresses.SIP_DOMAIN],
        "proxy": PROXY_URI[transport],
        "trust": ["address"],
        "addresses": [addresses.SIP],
        "rate_per_s": MUCH,
        "sender_rate_per_s": MUCH,
    }
    return table(**(common | settings))


class Gateway:
    """One instance with its data folder; `start` comes back when it says that it is ready.

    `tables` are its `[[peers]]`, `xmpp` and `sip` further settings of these networks.
    """

    def __init__(
        self,
        folder: Path,
        ca_file: Path,
        certificates: Sequence[Certificate],
        *tables: str,
        xmpp: dict[str, object] | None = None,
        sip: dict[str, object] | None = None,
    ) -> None:
        self.folder = folder / "gateway"
        self.folder.mkdir()
        self.data = self.folder / "data"
        ours = ", ".join(
            f"{{ certificate = {toml(str(one.certificate))}, key = {toml(str(one.key))} }}"
            for one in certificates
        )
        common = COMMON.format(data=self.data, ca=ca_file, certificates=ours, dns=addresses.DNS)
        self.config = self.folder / "rialto.toml"
        networks = table("[networks.xmpp]", **(XMPP | (xmpp or {}))) + table(
            "[networks.sip]", **(SIP | (sip or {}))
        )
        self.config.write_text(common + networks + "".join(tables))
        self._command = Path(sys.executable).with_name("rialto")
        self.ready_count = 0
        self._notify = self.folder / "notify.sock"
        self.program = Program(
            "gateway",
            [self._command, "serve", "--config", self.config],
            self.folder,
            {"NOTIFY_SOCKET": str(self._notify)},
        )

    def start(self, timeout_s: float = 20.0) -> None:
        self._notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
            ear.bind(str(self._notify))
            ear.settimeout(0.05)
            self.program.start()
            self.program.wait_for(lambda: _hears(ear, b"READY=1"), "says that it is ready", timeout_s)

    def stop(self) -> int | None:
        """SIGTERM, and its exit status."""
        return self.program.stop(timeout_s=15.0)

    def kill(self) -> None:
        """kill -9."""
        self.program.kill()

    def status(self) -> dict[str, object]:
        """What it says of itself over its control socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.settimeout(10)
            control.connect(str(self.data / "control.sock"))
            control.sendall(b'{"command": "status"}\n')
            with control.makefile("rb") as lines:
                answer: dict[str, object] = json.loads(lines.readline())
                return answer

    def command(self, *words: str) -> tuple[int, str]:
        """Run a command of the gateway with its configuration: exit status and output."""
        done = subprocess.run(
            [self._command, *words, "--config", self.config],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def command_json(self, *words: str) -> Any:
        """The same with --json, read."""
        status, output = self.command(*words, "--json")
        assert status == 0, output
        return json.loads(output)

    def queue_length(self) -> int:
        """How many messages wait."""
        return int(str(self.status()["queue_messages"]))

    def resident_bytes(self) -> int:
        """How much memory it holds now."""
        pages = int(Path(f"/proc/{self.program.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def log_lines(self) -> list[dict[str, object]]:
        """Its log, read back."""
        lines = []
        for line in self.program.read_log().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                lines.append({"event": line})
        return lines

    def says(self, *words: str) -> bool:
        """Is there one log line that has all `words`?"""
        return any(all(word in line for word in words) for line in self.program.read_log().splitlines())


def _hears(ear: socket.socket, wanted: bytes) -> bool:
    try:
        return wanted in ear.recv(4096)
    except TimeoutError:
        return False
