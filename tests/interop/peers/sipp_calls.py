"""SIPp as somebody who calls: INVITE with an offer of MSRP, ACK, BYE, several at a time."""

from .sipp import Sipp, auth_of, finished, read_trace, scenario

OFFER = (
    "v=0\no=- 1 1 IN IP4 [local_ip]\ns=-\nc=IN IP4 [local_ip]\nt=0 0\n"
    "m=message 7394 TCP/MSRP *\na=accept-types:message/cpim text/plain\n"
    "a=path:msrp://[local_ip]:7394/[call_number]x;tcp\n"
)


def _request(method: str, number: int, credentials: str = "", body: str = "", *, within: bool = False) -> str:
    target = "[next_url]" if within else "sip:alice@xa.example"
    routes = "[routes]\n" if within else ""
    tag = "[peer_tag_param]" if within else ""
    kind = "Content-Type: application/sdp\n" if body else ""
    length = "[len]" if body else "0"
    again = "" if method == "ACK" else ' retrans="500"'
    text = (
        f"{method} {target} SIP/2.0\n"
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport\n"
        f"Max-Forwards: 70\n{routes}"
        "From: <sip:[field0]@sip.example>;tag=c[call_number]\n"
        f"To: <sip:alice@xa.example>{tag}\n"
        f"Call-ID: [call_id]\nCSeq: {number} {method}\n"
        "Contact: <sip:[field0]@[local_ip]:[local_port]>\n"
        f"{credentials}{kind}Content-Length: {length}\n\n{body}"
    )
    return f"<send{again}><![CDATA[\n{text}]]></send>"


def _refusal_ack(number: int) -> str:
    return _request("ACK", number).replace("<sip:alice@xa.example>", "<sip:alice@xa.example>[peer_tag_param]")


CALL = (
    _request("INVITE", 1, body=OFFER),
    '<recv response="100" optional="true"/>',
    '<recv response="407" auth="true"/>',
    _refusal_ack(1),
    _request("INVITE", 2, "[field1]\n", OFFER),
    '<recv response="100" optional="true"/>',
    '<recv response="180" optional="true"/>',
    '<recv response="200" rrs="true"/>',
    _request("ACK", 2, within=True),
    '<pause milliseconds="50"/>',
    _request("BYE", 3, within=True),
    '<recv response="200"/>',
)


async def calls(sipp: Sipp, user: str, port: int, count: int, at_once: int = 5) -> int:
    """Call alice@xa.example `count` times and hang up; how many answers to BYE came."""
    lines = [f"{user};{auth_of(user)}"] * count
    program, trace = sipp.program(f"call-{user}", scenario("call", *CALL), "udp", port, lines)
    program.command += ["-l", str(at_once), "-r", "100"]
    await finished(program, 60)
    return sum(
        direction == "received" and message.status == 200 and message.method == "BYE"
        for direction, message in read_trace(trace)
    )
