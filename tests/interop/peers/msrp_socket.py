"""An MSRP endpoint of another make: a socket, one request after the other, no machine.

It reads by its own rules (a line that ends a request must repeat its id), puts chunks where their Byte-Range
says, answers each at once, and knows nothing of the gateway's code."""

import contextlib
import hashlib
import re
import socket
import threading
import uuid
from collections.abc import Sequence

_START = re.compile(rb"MSRP ([A-Za-z0-9.\-+%=]+) (?:([A-Z]+)|(\d{3})[^\r\n]*)\r\n")


class MsrpSocket:
    """One connection with one session. `uri` is its own; `path` is what a description of it would say.

    `received` has the whole messages by Message-ID, `aborted` those that were broken off, `statuses` the
    answers to its own requests, `reports` what was reported to it.
    """

    def __init__(
        self, relay: str = "", connect_to: tuple[str, int] | None = None, *, wait: bool = False
    ) -> None:
        """At a relay (RFC 4976), or connected to somebody, or (`wait`) to be connected to by `accept`."""
        self.received: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.aborted: list[str] = []
        self.statuses: dict[str, int] = {}
        self.reports: list[tuple[str, str, str]] = []
        self.chunks = 0
        self.report_success = True
        self._parts: dict[str, dict[int, bytes]] = {}
        self._changed = threading.Condition()
        self._buffer = b""
        self._searched = 0
        self._relay: tuple[str, ...] = ()
        self._socket: socket.socket | None = None
        self._server: socket.socket | None = None
        self._reader: threading.Thread | None = None
        name = uuid.uuid4().hex
        if wait:
            self._server = socket.create_server(("127.0.0.6", 0))
            host, port = self._server.getsockname()
            self.uri = f"msrp://{host}:{port}/{name};tcp"
            self.path: tuple[str, ...] = (self.uri,)
            return
        if relay:
            host, _, rest = relay.removeprefix("msrp://").partition(":")
            connect_to = (host, int(rest.split(";")[0]))
        assert connect_to is not None
        self._socket = socket.create_connection(connect_to, timeout=10, source_address=("127.0.0.6", 0))
        self.uri = "msrp://{}:{}/{};tcp".format(*self._socket.getsockname(), name)
        self.path = (self.uri,)
        if relay:
            self._relay = (self._log_in(relay),)
            self.path = (*self._relay, self.uri)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def accept(self) -> None:
        """Wait until somebody has connected."""
        assert self._server is not None
        self._server.settimeout(10)
        self._socket, _ = self._server.accept()
        self._socket.settimeout(10)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _log_in(self, relay: str) -> str:
        credentials = ""
        for _ in range(3):
            head = self._ask("AUTH", relay, credentials)
            if " 200" in head.split("\r\n")[0]:
                return head.split("Use-Path: ")[1].split("\r\n")[0]
            offered = dict(re.findall(r'(\w+)="([^"]*)"', head.split("WWW-Authenticate: ")[1]))
            realm, nonce = offered["realm"], offered["nonce"]
            a1 = hashlib.md5(f"raw:{realm}:pw".encode()).hexdigest()
            a2 = hashlib.md5(f"AUTH:{relay}".encode()).hexdigest()
            if "qop" in offered:
                tail = f"{nonce}:00000001:cn:auth:{a2}"
                more = ', qop=auth, nc=00000001, cnonce="cn"'
            else:
                tail, more = f"{nonce}:{a2}", ""
            response = hashlib.md5(f"{a1}:{tail}".encode()).hexdigest()
            credentials = (
                f'Authorization: Digest username="raw", realm="{realm}", nonce="{nonce}", uri="{relay}", '
                f'response="{response}"{more}\r\n'
            )
        raise AssertionError(f"the relay refuses: {head}")

    def _ask(self, method: str, to: str, fields: str) -> str:
        assert self._socket is not None
        name = uuid.uuid4().hex[:16]
        self._say(
            f"MSRP {name} {method}\r\nTo-Path: {to}\r\nFrom-Path: {self.uri}\r\n{fields}-------{name}$\r\n"
        )
        answer = b""
        while f"-------{name}$".encode() not in answer:
            answer += self._socket.recv(4096)
        return answer.decode()

    def _say(self, data: str | bytes) -> None:
        assert self._socket is not None
        self._socket.sendall(data.encode() if isinstance(data, str) else data)

    def send(
        self,
        to: Sequence[str],
        body: bytes,
        *,
        message_id: str = "",
        chunk_bytes: int = 2048,
        kind: str = "text/plain",
        success: bool = False,
        stop_after: int | None = None,
    ) -> str:
        """Send a message in chunks, without waiting; `stop_after` that many chunks it is broken off."""
        message_id = message_id or uuid.uuid4().hex
        total = len(body)
        for number, at in enumerate(range(0, max(total, 1), chunk_bytes)):
            piece = body[at : at + chunk_bytes]
            flag = "$" if at + len(piece) >= total else "+"
            if stop_after is not None and number == stop_after:
                flag = "#"
            name = uuid.uuid4().hex[:16]
            report = "Success-Report: yes\r\n" if success else ""
            head = (
                f"MSRP {name} SEND\r\nTo-Path: {' '.join((*self._relay, *to))}\r\nFrom-Path: {self.uri}\r\n"
                f"Message-ID: {message_id}\r\n{report}Byte-Range: {at + 1}-{at + len(piece)}/{total}\r\n"
                f"Content-Type: {kind}\r\n\r\n"
            )
            self._say(head.encode() + piece + f"\r\n-------{name}{flag}\r\n".encode())
            self.last = name
            if flag == "#":
                break
        return message_id

    def greet(self, to: Sequence[str]) -> None:
        """Say who has connected."""
        name = uuid.uuid4().hex[:16]
        self._say(
            f"MSRP {name} SEND\r\nTo-Path: {' '.join((*self._relay, *to))}\r\nFrom-Path: {self.uri}\r\n"
            f"Message-ID: {name}\r\n-------{name}$\r\n"
        )

    def wait_for(self, what: str, timeout_s: float = 20.0) -> None:
        """Until a whole message, a broken off one, a report or an answer of that name has come."""

        def there() -> bool:
            return (
                what in self.received
                or what in self.aborted
                or what in self.statuses
                or any(what == name for name, _, _ in self.reports)
            )

        with self._changed:
            assert self._changed.wait_for(there, timeout_s), f"{what} did not come"

    def close(self) -> None:
        """Cut the connection."""
        for one in (self._socket, self._server):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        if self._reader is not None:
            self._reader.join(5)

    # -- reading -----------------------------------------------------------------------------------------

    def _read(self) -> None:
        assert self._socket is not None
        while True:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                data = b""
            if not data:
                return
            self._buffer += data
            while self._take():
                pass

    def _take(self) -> bool:
        start = _START.match(self._buffer)
        if start is None:
            return False
        name = start[1]
        line = re.compile(rb"\r\n-------" + re.escape(name) + rb"([$+#])\r\n")
        end = line.search(self._buffer, max(start.end() - 2, self._searched - 100))
        self._searched = 0 if end else len(self._buffer)
        if end is None:
            return False
        whole, self._buffer = self._buffer[start.end() : end.start()], self._buffer[end.end() :]
        head, _, body = whole.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        with self._changed:
            if start[3]:
                self.statuses[name.decode()] = int(start[3])
            elif start[2] == b"REPORT":
                self.reports.append((fields["Message-ID"], fields["Status"], fields.get("Byte-Range", "")))
            else:
                self._on_send(name.decode(), fields, body, end[1].decode(), b"\r\n\r\n" in whole)
            self._changed.notify_all()
        return True

    def _on_send(self, name: str, fields: dict[str, str], body: bytes, flag: str, has_body: bool) -> None:
        message_id = fields["Message-ID"]
        if fields.get("Failure-Report", "yes") == "yes":
            back = fields["From-Path"].split()[0]
            self._say(f"MSRP {name} 200 OK\r\nTo-Path: {back}\r\nFrom-Path: {self.uri}\r\n-------{name}$\r\n")
        if not has_body:
            return
        self.chunks += 1
        parts = self._parts.setdefault(message_id, {})
        parts[int(fields.get("Byte-Range", "1-").split("-")[0])] = body
        if flag == "#":
            self.aborted.append(message_id)
        elif flag == "$":
            self.received[message_id] = b"".join(parts[at] for at in sorted(parts))
            self.types[message_id] = fields["Content-Type"]
            length = len(self.received[message_id])
            if fields.get("Success-Report") == "yes" and self.report_success:
                self._say(
                    f"MSRP r{name} REPORT\r\nTo-Path: {fields['From-Path']}\r\nFrom-Path: {self.uri}\r\n"
                    f"Message-ID: {message_id}\r\nByte-Range: 1-{length}/{length}\r\nStatus: 000 200 OK\r\n"
                    f"-------r{name}$\r\n"
                )
