"""baresip: a SIP user agent for people, driven through its control port."""

import json
import re
import socket
from pathlib import Path

from . import addresses
from .kamailio import Transport
from .program import Program

CONFIG = """\
sip_listen {host}:{port}
audio_player aubridge,x
audio_source aubridge,x
audio_alert aubridge,x
module_path {modules}
module g711.so
module aubridge.so
module_app account.so
module_app contact.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
"""


class Baresip:
    """`user`@sip.example, registered through the proxy (password `pw`); its one contact is `partner`."""

    def __init__(
        self, folder: Path, user: str, partner: str, port: int, transport: Transport = "udp"
    ) -> None:
        self.user = user
        self.folder = folder / f"baresip-{user}"
        self.folder.mkdir()
        self._control = port + 1
        (self.folder / "config").write_text(
            CONFIG.format(
                host=addresses.CLIENTS,
                port=port,
                control=self._control,
                modules=next(Path("/usr/lib").glob("**/baresip/modules")),
            )
        )
        (self.folder / "accounts").write_text(
            f"<sip:{user}@sip.example;transport={transport}>;auth_pass=pw"
            f';outbound="sip:{addresses.SIP};transport={transport}";regint=300\n'
        )
        (self.folder / "contacts").write_text(f"<sip:{partner}>\n")
        self.program = Program(f"baresip-{user}", ["baresip", "-f", self.folder, "-v", "-s"], self.folder)

    def start(self) -> None:
        self.program.start()
        self.program.wait_for(self._is_registered, "is registered")

    def stop(self) -> None:
        self.program.stop()

    def say(self, text: str) -> None:
        """Send a MESSAGE to the contact."""
        command = {"command": "message", "params": text, "token": "say"}
        data = json.dumps(command, ensure_ascii=False).encode()
        with socket.create_connection(("127.0.0.1", self._control), timeout=5) as control:
            control.sendall(b"%d:%s," % (len(data), data))
            control.recv(65536)

    def heard(self) -> list[str]:
        """Texts of the MESSAGE requests that came, from its trace of the wire."""
        return [body for _, body in self._messages()]

    def names(self) -> list[str]:
        """The display names of their senders; "" for none."""
        return [
            found[1] if (found := re.search(r'(?mi)^From: *"([^"]*)"', head)) else ""
            for head, _ in self._messages()
        ]

    def _messages(self) -> list[tuple[str, str]]:
        trace = self.program.read_log()
        received = re.findall(
            r"\nMESSAGE sip:[^\n]* SIP/2\.0\r?\n((?:[^\n]+\r?\n)+)\r?\n([^\x1b]*)\x1b\[;m", trace
        )
        seen: dict[tuple[str, str], tuple[str, str]] = {}
        for head, body in received:
            if f"sip:{self.user}@sip.example" in re.findall(r"(?mi)^To:.*$", head)[0]:
                call = re.findall(r"(?mi)^Call-ID: *(.*?)\r?$", head)[0]
                seen.setdefault((call, body), (head, body.rstrip("\r\n")))
        return list(seen.values())

    def _is_registered(self) -> bool:
        return bool(
            re.search(r"SIP/2\.0 200 OK\r?\n(?:[^\n]+\n)*CSeq: \d+ REGISTER", self.program.read_log())
        )
