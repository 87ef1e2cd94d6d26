"""SIPp: the SIP user who writes and reads by the thousand. What passed is read from its own message trace.

A user is registered at the proxy by digest, then one SIPp waits at the contact (`SippListener`) or sends a
list of texts (`SippSender`), each a transaction of its own, one after the other (RFC 3428 section 8).
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from . import addresses
from .kamailio import Transport
from .program import Program
from .sip_text import SipText, read_sip

TRACED = re.compile(
    rb"-{20,} \d[^\n]*\n(?:UDP|TCP|TLS) message (received|sent)(?: \((\d+) bytes\)| \[(\d+)\] bytes) ?:\n\n"
)
# Every final answer that a test may want to see; SIPp must be told beforehand. The last one is the rule.
FINAL = (
    *(
        202,
        400,
        401,
        403,
        404,
        405,
        406,
        408,
        410,
        413,
        415,
        416,
        420,
        423,
        480,
        481,
        482,
        483,
        484,
        485,
        486,
    ),
    *(488, 489, 493, 500, 501, 502, 503, 504, 505, 513, 600, 603, 604, 606),
    200,
)
CODES = {"udp": "u1", "tcp": "t1"}


@dataclass(frozen=True, slots=True)
class Sent:
    """One text, the Call-ID it went with, and the final answer (0: none came)."""

    text: str
    call_id: str
    status: int
    answer: SipText | None


def read_trace(path: Path) -> list[tuple[str, SipText]]:
    """("sent" or "received", message) in the order of the trace."""
    if not path.exists():
        return []
    raw = path.read_bytes()
    found = []
    for at in TRACED.finditer(raw):
        size = int(at[2] or at[3])
        found.append((at[1].decode(), read_sip(raw[at.end() : at.end() + size])))
    return found


class Trace:
    """A trace that grows: every message is read once, and stays the same object."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._messages: list[tuple[str, SipText]] = []
        self._done = 0

    def read(self) -> list[tuple[str, SipText]]:
        """("sent" or "received", message), all so far; one that is half written is left for the next time."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._done)
                raw = file.read()
            end = 0
            for at in TRACED.finditer(raw):
                after = at.end() + int(at[2] or at[3])
                if after > len(raw):
                    break
                self._messages.append((at[1].decode(), read_sip(raw[at.end() : after])))
                end = after
            self._done += end
        return self._messages


class Sipp:
    """Makes SIPp processes that share a folder; every one gets its own files and port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "sipp"
        self.folder.mkdir()
        self.programs: list[Program] = []
        self._count = 0

    async def register(
        self, user: str, port: int, transport: Transport = "udp", *, is_challenged: bool = True
    ) -> None:
        """REGISTER `user` with digest, contact at `port` of the clients' address."""
        program, _ = self.program(
            f"register-{user}",
            _register(is_challenged=is_challenged),
            transport,
            port,
            [f"{user};{auth_of(user)}"],
        )
        await finished(program, 20)

    def listen(
        self,
        user: str,
        port: int,
        transport: Transport = "udp",
        status: str = "200 OK",
        host: str = addresses.CLIENTS,
        takes: str = "",
    ) -> "SippListener":
        """Answer every MESSAGE at `host` and `port` with `status`; with 415 if `takes` is no part of its
        Content-Type."""
        scenario = _listener(status) if not takes else _picky_listener(status, takes)
        program, trace = self.program(f"listen-{user}", scenario, transport, port, [], f"{host}:5060", host)
        program.start()
        program.wait_for(lambda: is_bound(port), f"has bound port {port}")
        return SippListener(program, trace)

    def sender(
        self,
        user: str,
        to: str,
        texts: Sequence[str],
        port: int,
        transport: Transport = "udp",
        *,
        via: str = f"{addresses.SIP}:5060",
        source: str = addresses.CLIENTS,
        sender: str | None = None,
        name: str = "",
        is_challenged: bool = True,
        at_once: int = 1,
        content_type: str = "text/plain;charset=UTF-8",
        body: str = "[field1]",
    ) -> "SippSender":
        """Send `texts` to the address `to` (user@domain), `at_once` transactions at a time.

        `body` is what is around each text, which stands in it as `[field1]`; `name` the display name of From.
        """
        lines = [f"{user};{text};{auth_of(user)}" for text in texts]
        scenario = _sender(
            sender or f"{user}@sip.example", to, content_type, body, name=name, is_challenged=is_challenged
        )
        program, trace = self.program(f"send-{user}", scenario, transport, port, lines, via, source)
        program.command += ["-l", str(at_once), "-r", "2000", "-rp", "1000"]
        return SippSender(program, trace, texts)

    async def send(
        self, user: str, to: str, texts: Sequence[str], port: int, transport: Transport = "udp"
    ) -> list[Sent]:
        """Send `texts` through the proxy with digest, one after the other, and give what became of each."""
        sender = self.sender(user, to, texts, port, transport)
        sender.start()
        return await sender.finish()

    def stop(self) -> None:
        for program in self.programs:
            program.kill()

    def program(
        self,
        name: str,
        scenario: str,
        transport: Transport,
        port: int,
        lines: Sequence[str],
        via: str = f"{addresses.SIP}:5060",
        source: str = addresses.CLIENTS,
    ) -> tuple[Program, Path]:
        self._count += 1
        name = f"{name}-{self._count}"
        file = self.folder / f"{name}.xml"
        file.write_text(scenario)
        trace = self.folder / f"{name}.messages"
        command = [
            "sipp",
            via,
            "-sf",
            file,
            "-t",
            CODES[transport],
            "-i",
            source,
            "-p",
            str(port),
            "-nostdin",
        ]
        command += ["-trace_msg", "-message_file", trace, "-trace_err", "-error_file", f"{name}.errors"]
        command += ["-deadcall_wait", "0", "-max_socket", "1000"]
        if lines:
            injected = self.folder / f"{name}.csv"
            injected.write_text("SEQUENTIAL\n" + "".join(f"{line}\n" for line in lines))
            command += ["-inf", injected, "-m", str(len(lines))]
        program = Program(name, command, self.folder)
        self.programs.append(program)
        return program, trace


class SippListener:
    """A user who waits for messages and answers them all."""

    def __init__(self, program: Program, trace: Path) -> None:
        self.program = program
        self._trace = trace

    def received(self) -> list[SipText]:
        """The MESSAGE requests so far, a retransmission only once, in the order of arrival.

        What its sender has sent anew, in a new transaction, counts again.
        """
        seen: dict[tuple[str, str, str], SipText] = {}
        for direction, message in read_trace(self._trace):
            if direction == "received" and message.method == "MESSAGE" and not message.status:
                seen.setdefault((message["call-id"], message["cseq"], message.headers["via"][-1]), message)
        return list(seen.values())

    def texts(self) -> list[str]:
        return [message.text for message in self.received()]

    async def hears(self, count: int, timeout_s: float = 10.0) -> list[str]:
        """Wait until `count` messages have come and give their texts."""
        waited_s = 0.0
        while len(self.texts()) < count:
            assert waited_s < timeout_s, f"{len(self.texts())} of {count} messages after {timeout_s} s"
            assert self.program.is_running, self.program.tail()
            await asyncio.sleep(0.1)
            waited_s += 0.1
        return self.texts()

    def stop(self) -> None:
        self.program.kill()


class SippSender:
    """A user who sends a list of texts."""

    def __init__(self, program: Program, trace: Path, texts: Sequence[str]) -> None:
        self.program = program
        self._trace = trace
        self._texts = texts

    def start(self) -> None:
        self.program.start()

    async def finish(self, timeout_s: float = 120.0) -> list[Sent]:
        """Wait for the end and give what became of each text; the trace counts, not SIPp's own verdict."""
        await asyncio.to_thread(self.program.wait, timeout_s)
        return self.results()

    def results(self) -> list[Sent]:
        """What became of each text so far, in the order of sending."""
        calls: dict[str, str] = {}
        answers: dict[str, SipText] = {}
        for direction, message in read_trace(self._trace):
            if direction == "sent" and not message.status:
                calls.setdefault(message["call-id"], message.text)
            elif message.status >= 200 and message.status != 407:
                answers.setdefault(message["call-id"], message)
        return [
            Sent(text, call, answers[call].status if call in answers else 0, answers.get(call))
            for call, text in calls.items()
        ]


async def finished(program: Program, timeout_s: float) -> None:
    program.start()
    status = await asyncio.to_thread(program.wait, timeout_s)
    assert status == 0, f"{program.name} ended with {status}:\n{program.tail()}"


def is_bound(port: int) -> bool:
    """Is a UDP or TCP socket bound at `port`? The kernel is asked, so that SIPp sees nothing of it."""
    wanted = f":{port:04X} "
    return any(wanted in Path(f"/proc/net/{table}").read_text() for table in ("udp", "tcp", "udp6", "tcp6"))


def auth_of(user: str) -> str:
    return f"[authentication username={user} password=pw]"


def scenario(name: str, *steps: str) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="{name}">\n'
        + "\n".join(steps)
        + "\n</scenario>\n"
    )


def _send(text: str) -> str:
    return f'<send retrans="500"><![CDATA[\n{text}]]></send>'


def _register(*, is_challenged: bool) -> str:
    def request(sequence: int, credentials: str) -> str:
        return _send(
            "REGISTER sip:sip.example SIP/2.0\n"
            "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport\n"
            "Max-Forwards: 70\n"
            "From: <sip:[field0]@sip.example>;tag=[call_number]\n"
            "To: <sip:[field0]@sip.example>\n"
            "Call-ID: [call_id]\n"
            f"CSeq: {sequence} REGISTER\n"
            "Contact: <sip:[field0]@[local_ip]:[local_port];transport=[transport]>\n"
            f"{credentials}Expires: 600\nContent-Length: 0\n\n"
        )

    steps = [request(1, "")]
    if is_challenged:
        steps += ['<recv response="401" auth="true"/>', request(2, "[field1]\n")]
    return scenario("register", *steps, '<recv response="200"/>')


def _sender(
    sender: str, to: str, content_type: str, body: str, *, name: str = "", is_challenged: bool
) -> str:
    shown = f'"{name}" ' if name else ""

    def request(sequence: int, credentials: str) -> str:
        return _send(
            f"MESSAGE sip:{to} SIP/2.0\n"
            "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport\n"
            "Max-Forwards: 70\n"
            f"From: {shown}<sip:{sender}>;tag=[pid]-[call_number]\n"
            f"To: <sip:{to}>\n"
            "Call-ID: [call_id]\n"
            f"CSeq: {sequence} MESSAGE\n"
            f"{credentials}Content-Type: {content_type}\nContent-Length: [len]\n\n{body}"
        )

    provisional = '<recv response="100" optional="true"/>'
    finals = (
        "\n".join(f'<recv response="{code}" optional="true" next="done"/>' for code in FINAL[:-1])
        + f'\n<recv response="{FINAL[-1]}"/>'
    )
    steps = [request(1, "")]
    if is_challenged:
        steps += [provisional, '<recv response="407" auth="true"/>', request(2, "[field2]\n")]
    return scenario("send", *steps, provisional, finals, f"<label id={quoteattr('done')}/>")


def _answer(status: str, extra: str = "") -> str:
    return (
        f"<send><![CDATA[\nSIP/2.0 {status}\n[last_Via:]\n[last_From:]\n[last_To:];tag=[pid]U[call_number]\n"
        f"[last_Call-ID:]\n[last_CSeq:]\n{extra}Content-Length: 0\n\n]]></send>"
    )


def _listener(status: str) -> str:
    """Like a telephone for calls and messages: a session for messages alone is not acceptable."""
    return scenario(
        "listen",
        '<recv request="INVITE" optional="true" next="invited"/>',
        '<recv request="MESSAGE"/>',
        _answer(status).replace("<send>", '<send next="done">'),
        '<label id="invited"/>',
        _answer("488 Not Acceptable Here").replace("<send>", '<send retrans="500">'),
        '<recv request="ACK"/>',
        '<label id="done"/>',
    )


def _picky_listener(status: str, takes: str) -> str:
    found = f'<ereg regexp="{takes}" search_in="hdr" header="Content-Type:" assign_to="taken"/>'
    return scenario(
        "listen",
        f'<recv request="MESSAGE"><action>{found}</action></recv>',
        '<nop next="taken" test="taken"/>',
        _answer("415 Unsupported Media Type", f"Accept: {takes}\n").replace("<send>", '<send next="done">'),
        '<label id="taken"/>',
        _answer(status),
        '<label id="done"/>',
    )
