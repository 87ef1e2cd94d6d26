"""SIPp as the SIP user whose presence is watched, and as the one who watches (RFC 3856, RFC 3903).

A watcher stays in its dialog, answers every NOTIFY, and goes when it reads its cue in a document: the tests
need no clock to steer it. All that passed is read from the message trace.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from .kamailio import Transport
from .program import Program
from .sip_text import SipText
from .sipp import Sipp, Trace, auth_of, finished, is_bound, read_trace, scenario
from .xmpp_client import eventually

PIDF = "{urn:ietf:params:xml:ns:pidf}"
CLIENT = "{jabber:client}"
OK = """<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>"""


@dataclass(frozen=True, slots=True)
class Shown:
    """One tuple of a document."""

    id: str
    basic: str
    show: str
    notes: tuple[str, ...]
    priority: str


@dataclass(frozen=True, slots=True)
class Notified:
    """One NOTIFY as the watcher got it; `body` may be empty, then `tuples` is."""

    state: str
    """`pending`, `active`, `terminated;reason=rejected` ...: without the seconds left."""
    tuples: tuple[Shown, ...]
    body: str
    request: SipText

    @property
    def open(self) -> dict[str, Shown]:
        """The instances that are online, by their ids."""
        return {one.id: one for one in self.tuples if one.basic == "open"}


def pidf(user: str, *tuples: tuple[str, str, str, str]) -> str:
    """A document of `user`@sip.example; a tuple is (id, basic, RPID activity, note)."""
    parts = [
        f'<tuple id="{id_}"><status><basic>{basic}</basic></status><contact>sip:{user}@sip.example</contact>'
        + (f"<note>{note}</note>" if note else "")
        + "</tuple>"
        for id_, basic, _, note in tuples
    ]
    activities = [activity for _, _, activity, _ in tuples if activity]
    if activities:
        parts.append(
            '<dm:person id="p1"><rp:activities>'
            + "".join(f"<rp:{activity}/>" for activity in activities)
            + "</rp:activities></dm:person>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><presence xmlns="urn:ietf:params:xml:ns:pidf"'
        ' xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:rp="urn:ietf:params:xml:ns:pidf:rpid"'
        f' entity="sip:{user}@sip.example">{"".join(parts)}</presence>'
    )


def read_notify(request: SipText) -> Notified:
    state = re.sub(r"\s*;\s*expires=\d+", "", request["subscription-state"]).replace(" ", "")
    tuples = []
    if request.body:
        for one in ElementTree.fromstring(request.body).iter(f"{PIDF}tuple"):
            contact = one.find(f"{PIDF}contact")
            tuples.append(
                Shown(
                    id=one.get("id", ""),
                    basic=one.findtext(f"{PIDF}status/{PIDF}basic", ""),
                    show=one.findtext(f"{PIDF}status/{CLIENT}show", ""),
                    notes=tuple(note.text or "" for note in one.findall(f"{PIDF}note")),
                    priority=contact.get("priority", "") if contact is not None else "",
                )
            )
    return Notified(state, tuple(tuples), request.text, request)


class SippPresence:
    """Makes publishers and watchers."""

    def __init__(self, sipp: Sipp) -> None:
        self._sipp = sipp

    async def publish(self, user: str, document: str, port: int, etag: str = "", expires_s: int = 600) -> str:
        """PUBLISH a document (`pidf`), or an empty one to take it back; the entity tag for the next time."""
        etags = await self.publish_all([user], document, port, etag, expires_s)
        return etags[-1]

    async def publish_all(
        self, users: Sequence[str], document: str, port: int, etag: str = "", expires_s: int = 600
    ) -> list[str]:
        """The same for many; the document says `[field0]` for the user."""
        steps = _challenged(_publish(document, etag, expires_s))
        text = scenario("publish", *steps, '<recv response="100" optional="true"/>', '<recv response="200"/>')
        lines = [f"{user};{auth_of(user)}" for user in users]
        program, trace = self._sipp.program(f"publish-{users[0]}", text, "udp", port, lines)
        program.command += ["-l", "10", "-r", "100", "-rp", "1000"]
        await finished(program, 20)
        return [m["sip-etag"] for _, m in read_trace(trace) if m.status == 200]

    def watcher(
        self,
        users: Sequence[str],
        to: str,
        port: int,
        transport: Transport = "udp",
        *,
        a_second: int = 50,
        expires_s: int = 600,
        cue: str = "my cue",
        event: str = "presence",
        accept: str = "application/pidf+xml",
    ) -> "SippWatcher":
        """Each of `users` subscribes to `to` (user@domain), and ends it when a document says `cue`."""
        lines = [f"{user};{auth_of(user)};{to}" for user in users]
        steps = _watch(expires_s, cue)
        if event != "presence":
            steps = [step.replace("Event: presence\n", f"Event: {event}\n") for step in steps]
        steps = [step.replace("Accept: application/pidf+xml", f"Accept: {accept}") for step in steps]
        text = scenario("watch", *steps)
        program, trace = self._sipp.program(f"watch-{users[0]}", text, transport, port, lines)
        program.command += ["-l", str(len(users)), "-r", str(a_second), "-rp", "1000"]
        # A NOTIFY and the 200 may come at once: SIPp lets the second go while it is busy with the first.
        program.command += ["-default_behaviors", "all,-abortunexp"]
        program.start()
        return SippWatcher(program, trace)

    def refuser(self, user: str, port: int, status: str) -> "SippWatcher":
        """The client of `user`, who answers every SUBSCRIBE with `status` (`603 Decline`)."""
        text = scenario(
            "refuse",
            '<recv request="SUBSCRIBE"/>',
            f"<send><![CDATA[\nSIP/2.0 {status}\n[last_Via:]\n[last_From:]\n[last_To:];tag=[pid]"
            "\n[last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n\n]]></send>",
        )
        program, trace = self._sipp.program(f"refuse-{user}", text, "udp", port, [])
        program.start()
        program.wait_for(lambda: is_bound(port), f"has bound port {port}")
        return SippWatcher(program, trace)

    def notifier(self, user: str, port: int, *dialogs: tuple[str, str]) -> "SippWatcher":
        """The client of `user`: for each SUBSCRIBE in its turn one of (note, last word).

        It answers 200, shows itself with the note, and says its last word of the subscription, `active` or
        `terminated;reason=deactivated`.
        """
        # Semicolons part the fields: there are always three for the state.
        lines = [f"{note};{';'.join([*state.split(';'), 'n=1', 'n=2'][:3])}" for note, state in dialogs]
        program, trace = self._sipp.program(
            f"notify-{user}", scenario("notify", *_notifier(user)), "udp", port, lines
        )
        program.start()
        program.wait_for(lambda: is_bound(port), f"has bound port {port}")
        return SippWatcher(program, trace)


class SippWatcher:
    """One process and all that passed it."""

    def __init__(self, program: Program, trace: Path) -> None:
        self.program = program
        self._trace = Trace(trace)
        self._notified: dict[int, Notified] = {}

    def requests(self, method: str, direction: str = "received") -> list[SipText]:
        """In the order of arrival, a retransmission only once."""
        seen: dict[tuple[str, str], SipText] = {}
        for way, message in self._trace.read():
            if way == direction and message.method == method and not message.status:
                seen.setdefault((message["call-id"], message["cseq"]), message)
        return list(seen.values())

    def answers(self, method: str) -> list[int]:
        """The final responses to what it sent, but for challenges."""
        return [
            message.status
            for way, message in self._trace.read()
            if way == "received" and message.method == method and message.status >= 200
            if message.status not in (401, 407)
        ]

    def notifies(self, user: str | None = None) -> list[Notified]:
        """What it was told, the order being that of CSeq; of one user of several."""
        found = [one for one in self.requests("NOTIFY") if user is None or f":{user}@" in one["to"]]
        for one in found:
            if id(one) not in self._notified:
                self._notified[id(one)] = read_notify(one)
        return [self._notified[id(one)] for one in found]

    async def told(self, what: str, condition, timeout_s: float = 15.0) -> Notified:  # type: ignore[no-untyped-def]
        """Wait for a NOTIFY for which `condition(notified)` holds, and give it."""

        def found() -> Notified | None:
            return next((one for one in self.notifies() if condition(one)), None)

        def over() -> bool:
            return found() is not None or not self.program.is_running

        await eventually(over, f"{self.program.name} is told {what}", timeout_s)
        one = found()
        assert one is not None, f"{self.program.name} has ended before it was told {what}"
        return one

    async def ended(self, timeout_s: float = 15.0) -> None:
        """Wait until all its dialogs are over."""
        await finished_by_itself(self.program, timeout_s)

    def stop(self) -> None:
        self.program.kill()


async def finished_by_itself(program: Program, timeout_s: float) -> None:
    status = await asyncio.to_thread(program.wait, timeout_s)
    assert status == 0, f"{program.name} ended with {status}:\n{program.tail()}"


def _challenged(request: "_Request") -> list[str]:
    return [
        request.write(1, "", again=True),
        '<recv response="100" optional="true"/>',
        '<recv response="407" auth="true"/>',
        request.write(2, "[field1]\n", again=request.text.startswith("PUBLISH")),
    ]


@dataclass(frozen=True, slots=True)
class _Request:
    text: str

    def write(self, cseq: int, credentials: str, *, again: bool = False) -> str:
        """`again` repeats it until it is answered; before that SIPp sends nothing, no answer to a NOTIFY."""
        filled = self.text.replace("{cseq}", str(cseq)).replace("{credentials}", credentials)
        repeated = ' retrans="500"' if again else ""
        return f"<send{repeated}><![CDATA[\n{filled}]]></send>"


def _publish(document: str, etag: str, expires_s: int) -> _Request:
    known = f"SIP-If-Match: {etag}\n" if etag else ""
    return _Request(
        "PUBLISH sip:[field0]@sip.example SIP/2.0\n"
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport\nMax-Forwards: 70\n"
        "From: <sip:[field0]@sip.example>;tag=[pid]\nTo: <sip:[field0]@sip.example>\nCall-ID: [call_id]\n"
        f"CSeq: {{cseq}} PUBLISH\n{{credentials}}{known}Event: presence\nExpires: {expires_s}\n"
        + ("Content-Type: application/pidf+xml\n" if document else "")
        + f"Content-Length: [len]\n\n{document}"
    )


def _subscribe(expires_s: int, uri: str, to: str, routes: str = "") -> _Request:
    return _Request(
        f"SUBSCRIBE {uri} SIP/2.0\n"
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport\nMax-Forwards: 70\n"
        f"{routes}From: <sip:[field0]@sip.example>;tag=[pid]x[call_number]\nTo: {to}\nCall-ID: [call_id]\n"
        "CSeq: {cseq} SUBSCRIBE\n"
        "Contact: <sip:[field0]@[local_ip]:[local_port];transport=[transport]>\n"
        "{credentials}Event: presence\nAccept: application/pidf+xml\n"
        f"Expires: {expires_s}\nContent-Length: 0\n\n"
    )


def _watch(expires_s: int, cue: str) -> list[str]:
    first = _subscribe(expires_s, "sip:[field2]", "<sip:[field2]>")
    last = _subscribe(0, "[next_url]", "[$to]", "[routes]\n")
    look = (
        '<ereg regexp="terminated" search_in="hdr" header="Subscription-State:" assign_to="over"/>'
        f'<ereg regexp="{cue}" search_in="body" assign_to="cue"/>'
    )
    refused = "".join(
        f'<recv response="{status}" optional="true" next="9"/>' for status in (403, 404, 423, 480, 489, 603)
    )
    # Either of them makes the dialog (RFC 6665 section 4.4.1).
    with_from = '<ereg regexp=".*" search_in="hdr" header="From:" assign_to="to"/>'
    with_to = '<action><ereg regexp=".*" search_in="hdr" header="To:" assign_to="to"/></action></recv>'
    return [
        *_challenged(first),
        '<label id="1"/>',
        '<recv response="100" optional="true" next="1"/>',
        f'<recv response="200" optional="true" rrs="true" next="1">{with_to}',
        refused,
        f'<recv request="NOTIFY" rrs="true"><action>{with_from}{look}</action></recv>',
        OK,
        '<nop next="9" test="over"/>',
        '<nop next="2" test="cue"/>',
        '<nop next="1"/>',
        '<label id="2"/>',
        last.write(3, ""),
        '<label id="3"/>',
        '<recv response="100" optional="true" next="3"/>',
        '<recv response="407" optional="true" auth="true" next="4"/>',
        '<recv response="200" optional="true" next="3"/>',
        f'<recv request="NOTIFY"><action>{look}</action></recv>',
        OK,
        '<nop next="9" test="over"/>',
        '<nop next="3"/>',
        '<label id="4"/>',
        last.write(4, "[field1]\n"),
        '<nop next="3"/>',
        '<label id="9"/>',
        '<Reference variables="to,over,cue"/>',
    ]


def _notifier(user: str) -> list[str]:
    document = pidf(user, ("t1", "open", "", "[field0]"))
    return [
        '<recv request="SUBSCRIBE" rrs="true"><action>'
        '<ereg regexp=".*" search_in="hdr" header="From:" assign_to="from"/>'
        '<ereg regexp=".*" search_in="hdr" header="To:" assign_to="to"/></action></recv>',
        "<send><![CDATA[\nSIP/2.0 200 OK\n[last_Via:]\n[last_Record-Route:]\n[last_From:]\n"
        "[last_To:];tag=[pid]U[call_number]\n[last_Call-ID:]\n[last_CSeq:]\n"
        "Contact: <sip:[local_ip]:[local_port]>\nExpires: 600\nContent-Length: 0\n\n]]></send>",
        _notify(1, "active;expires=600", document),
        '<recv response="200"/>',
        _notify(2, "[field1];[field2];[field3]", document),
        '<recv response="200"/>',
        '<Reference variables="from,to"/>',
    ]


def _notify(cseq: int, state: str, document: str) -> str:
    return (
        '<send retrans="500"><![CDATA[\nNOTIFY [next_url] SIP/2.0\n'
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\nMax-Forwards: 70\n[routes]\n"
        "From:[$to];tag=[pid]U[call_number]\nTo:[$from]\nCall-ID: [call_id]\n"
        f"CSeq: {cseq} NOTIFY\nContact: <sip:[local_ip]:[local_port]>\nEvent: presence\n"
        f"Subscription-State: {state}\nContent-Type: application/pidf+xml\nContent-Length: [len]\n\n"
        f"{document}]]></send>"
    )
