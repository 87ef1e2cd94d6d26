"""libpurple, the library of Pidgin and others, as a SIP user: its SIMPLE account, driven through bitlbee.

bitlbee shows a contact list as an IRC channel: who is online is in it, who is not away has a voice there.
"""

import asyncio
import re
from pathlib import Path

from . import addresses
from .program import Program
from .xmpp_client import eventually

CONFIG = """\
[settings]
RunMode = ForkDaemon
DaemonInterface = 127.0.0.1
DaemonPort = {port}
ConfigDir = {folder}
AuthMode = Open
"""
CHANNEL = "&bitlbee"


class Purple:
    """`user`@sip.example, registered at the proxy over UDP (password `pw`)."""

    def __init__(self, folder: Path, user: str, port: int) -> None:
        self.user = user
        self.lines: list[str] = []
        self._port = port
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        folder = folder / f"bitlbee-{user}"
        folder.mkdir()
        config = folder / "bitlbee.conf"
        config.write_text(CONFIG.format(port=port, folder=folder))
        self.program = Program(f"bitlbee-{user}", ["bitlbee", "-F", "-n", "-c", config, "-d", folder], folder)

    async def log_in(self) -> None:
        self.program.start()
        self.program.wait_for_port("127.0.0.1", self._port)
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._reading = asyncio.create_task(self._read(reader))
        self._write(f"NICK {self.user}")
        self._write(f"USER {self.user} x x x")
        await self.reads(rf"JOIN :?{CHANNEL}")
        self.command(f"account add simple {self.user}@sip.example pw")
        for setting in (
            f"proxy {addresses.SIP}",
            "useproxy true",
            "udp true",
            "port 5060",
            "dopublish false",
        ):
            self.command(f"account simple set {setting}")
        self.command("account simple on")
        await self.reads("Logged in")

    def command(self, text: str) -> None:
        """As its user would type it."""
        self._write(f"PRIVMSG {CHANNEL} :{text}")

    def is_online(self, nick: str) -> bool:
        """Whether a contact is there and not away."""
        here = False
        for line in self.lines:
            if re.search(rf"MODE {CHANNEL} \+v+ .*\b{nick}\b", line):
                here = True
            elif re.search(rf"MODE {CHANNEL} -v+ .*\b{nick}\b|^:{nick}!\S+ (QUIT|PART)", line):
                here = False
        return here

    async def reads(self, pattern: str) -> None:
        """Wait for a line."""
        await eventually(
            lambda: any(re.search(pattern, line) for line in self.lines), f"{self.user} reads {pattern}"
        )

    async def stop(self) -> None:
        if self._writer is not None:
            self._writer.close()  # the process of this user ends with it
        if self._reading is not None:
            await self._reading
        self.program.stop()

    def _write(self, line: str) -> None:
        assert self._writer is not None
        self._writer.write(f"{line}\r\n".encode())

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            text = line.decode("utf-8", "replace").strip()
            if text.startswith("PING"):
                self._write(f"PONG{text[4:]}")
            self.lines.append(text)
