"""The torture messages of RFC 4475 and RFC 5118, and the outcome that each section describes.

A row is true of the codec (`parse_message`, then `validate`). Where the section is about an element above it,
`above` says what our endpoint does with a message that the codec accepts, and `answers` lists the statuses
that the section lets it choose from; empty where the section only says that the message is well-formed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).parent / "torture"


@dataclass(frozen=True)
class Row:
    """One message.

    `outcome`: the codec accepts it, rejects it with `status` (and the request can be answered), or it is
    to be dropped without a word. `facts` are expressions over the parsed message `m` with their values.
    `stream` is what differs when the same bytes come over TCP: "waits" for more, "closes" after the
    answer since the end of the message is unknown, "goes on" with the next message, "falls apart" behind
    it since its Content-Length is smaller than the body that came (noise in a datagram).
    """

    name: str
    section: str
    outcome: Literal["accept", "reject", "drop"]
    status: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    stream: Literal["goes on", "waits", "closes", "falls apart"] = "goes on"
    above: str = ""
    answers: tuple[int, ...] = ()

    @property
    def rfc(self) -> str:
        return self.section.split()[0]

    @property
    def data(self) -> bytes:
        suffix = ".dat" if self.rfc == "4475" else ""
        return (FOLDER / f"rfc{self.rfc}" / f"{self.name}{suffix}").read_bytes()


_SDP_IGNORED = "an endpoint without sessions refuses INVITE by its method, having read it"

TABLE = [
    # RFC 4475 section 3.1.1: valid messages
    Row(
        "wsinv",
        "4475 3.1.1.1",
        "accept",
        facts={
            "m.method": "INVITE",
            "m.request_uri.param('unknownparam')": "",
            "m.to.tag": "1918181833n",
            "m.to.uri.user": "vivekg",
            "m.from_.display": 'J Rosenberg \\"',
            "m.from_.tag": "98asjd8",
            "m.max_forwards": 68,
            "m.cseq": (9, "INVITE"),
            "[via.branch for via in m.vias]": ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"],
            "[via.host for via in m.vias]": ["192.0.2.2", "spindle.example.com", "192.168.255.111"],
            "m.top_via.has_cookie": False,
            "m.get('Subject')": "",
            "m.get('NewFangledHeader')": "newfangled value continued newfangled value",
            "m.get('UnknownHeaderWithUnusualValue')": ";;,,;;,;",
            "m.contacts[0].display": 'Quoted string ""',
            "m.contacts[0].params": (("newparam", "newvalue"), ("secondparam", None), ("q", "0.33")),
            "len(m.body)": 150,
        },
        above=_SDP_IGNORED,
    ),
    Row(
        "intmeth",
        "4475 3.1.1.2",
        "accept",
        facts={
            "m.method": "!interesting-Method0123456789_*+`.%indeed'~",
            "m.cseq": (139122385, "!interesting-Method0123456789_*+`.%indeed'~"),
            "m.request_uri.user": "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
            "m.request_uri.password": "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)",
            "m.request_uri.host": "example.com",
            "m.top_via.branch": "z9hG4bK-.!%66*_+`'~",
            "m.to.display": "BEL:\x07 NUL:\x00 DEL:\x7f",
            "m.from_.display": "token1~` token2'+_ token3*%!.-",
            "m.from_.param(\"fromparam''~+*_!.-%\")": "работающий",
            "m.from_.tag": "_token~1'+`*%!-.",
            "m.call_id": "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
            'm.get("extensionHeader-!.%*+_`\'~")': "\ufeff大停電",
        },
        above="an unknown method",
        answers=(501, 405),
    ),
    Row(
        "esc01",
        "4475 3.1.1.3",
        "accept",
        facts={
            "m.request_uri.user_text": "sips:user@example.com",
            "m.request_uri.host": "example.net",
            "m.to.uri.user_text": "user",
            "m.from_.uri.user_text": "I have spaces",
            "m.contacts[0].uri.user_text": "caller",
            "m.contacts[0].uri.param('lr')": "",
            "unescape(m.contacts[0].uri.param('name'))": "value%41",
        },
        above=_SDP_IGNORED,
    ),
    Row(
        "escnull",
        "4475 3.1.1.4",
        "accept",
        facts={
            "m.to.uri.user_text": "null-\0-null",
            "[contact.uri.user_text for contact in m.contacts]": ["\0", "\0\0"],
        },
        above="no registrar here",
        answers=(405, 501),
    ),
    Row(
        "esc02",
        "4475 3.1.1.5",
        "accept",
        facts={
            "m.method": "RE%47IST%45R",
            "m.to.display": "%Z%45",
            "m.from_.display": "%Z%45",
            "len(m.contacts)": 2,
            "m.get('C%6Fntact')": "<sip:alias2@host2.example.com>",
        },
        above="an unknown method",
        answers=(501, 405),
    ),
    Row("lwsdisp", "4475 3.1.1.6", "accept", facts={"m.from_.display": "caller", "m.from_.tag": "323"}),
    Row(
        "longreq",
        "4475 3.1.1.7",
        "accept",
        facts={
            "m.to.display": "I have a user name of " + "extreme" * 10 + " proportion",
            "m.to.uri.port": 6000,
            "m.to.uri.param('very' + 'long' * 25 + 'parameternamewithnovalue')": "",
            "m.from_.tag": "12" + "982" * 50 + "424",
            "m.call_id": "longreq.one" + "really" * 20 + "longcallid",
            "len(m.vias)": 34,
            "m.vias[-1].branch": "very" + "long" * 50 + "branchvalue",
            "m.vias[-1].received": "192.0.2.5",
            "m.contacts[0].uri.user": "amazinglylongcallername" * 5,
            "len(m.body)": 150,
        },
        above=_SDP_IGNORED,
    ),
    Row(
        "dblreq",
        "4475 3.1.1.8",
        "accept",
        facts={"m.method": "REGISTER", "m.body": b"", "m.call_id": "dblreq.0ha0isndaksdj99sdfafnl3lk233412"},
        stream="falls apart",
        above="no registrar here; over UDP what follows is noise, over a stream it is the next message",
        answers=(405, 501),
    ),
    Row(
        "semiuri",
        "4475 3.1.1.9",
        "accept",
        facts={"m.request_uri.user_text": "user;par=u@example.net", "m.request_uri.host": "example.com"},
    ),
    Row(
        "transports",
        "4475 3.1.1.10",
        "accept",
        facts={"[via.transport for via in m.vias]": ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]},
    ),
    Row(
        "mpart01",
        "4475 3.1.1.11",
        "accept",
        facts={
            "m.content_type.essence": "multipart/mixed",
            "m.content_type.param('boundary')": "7a9cbec02ceef655",
            "len(m.body)": 553,
            "m.body.count(0)": 2,
            "m.top_via.param('rport')": "",
            "m.top_via.rport": None,
        },
        above="a body that an endpoint may or may not be able to show",
        answers=(200, 202, 415),
    ),
    Row(
        "unreason",
        "4475 3.1.1.12",
        "accept",
        facts={
            "m.status": 200,
            "m.reason": "= 2**3 * 5**2 но сто девяносто девять - простое",
            "len(m.body)": 154,
        },
        above="a response to nothing that we sent: dropped",
    ),
    Row(
        "noreason",
        "4475 3.1.1.13",
        "accept",
        facts={"m.status": 100, "m.reason": ""},
        above="a response to nothing that we sent: dropped",
    ),
    # RFC 4475 section 3.1.2: invalid messages
    Row("badinv01", "4475 3.1.2.1", "reject", 400),
    Row("clerr", "4475 3.1.2.2", "reject", 400, stream="waits"),
    Row("ncl", "4475 3.1.2.3", "reject", 400, stream="closes"),
    Row("scalar02", "4475 3.1.2.4", "reject", 400),
    Row("scalarlg", "4475 3.1.2.5", "drop"),
    Row("quotbal", "4475 3.1.2.6", "reject", 400),
    Row("ltgtruri", "4475 3.1.2.7", "reject", 400),
    Row("lwsruri", "4475 3.1.2.8", "reject", 400),
    # tolerated: there is no doubt about what was meant, and we never send it on as it came
    Row("lwsstart", "4475 3.1.2.9", "accept", facts={"m.uri": "sip:user@example.com"}, above=_SDP_IGNORED),
    Row("trws", "4475 3.1.2.10", "accept", facts={"m.uri": "sip:remote-target@example.com"}),
    Row("escruri", "4475 3.1.2.11", "reject", 400),
    Row(
        "baddate",
        "4475 3.1.2.12",
        "accept",
        facts={"m.get('Date')": "Fri, 01 Jan 2010 16:00:00 EST"},
        above=_SDP_IGNORED + "; a Date that cannot be read is as good as none",
    ),
    Row("regbadct", "4475 3.1.2.13", "reject", 400),
    Row(
        "badaspec",
        "4475 3.1.2.14",
        "accept",
        facts={"m.to.uri.user": "t.watson", "m.to.uri.host": "example.org"},
    ),
    Row("baddn", "4475 3.1.2.15", "reject", 400),
    Row("badvers", "4475 3.1.2.16", "reject", 505),
    Row("mismatch01", "4475 3.1.2.17", "reject", 400),
    Row("mismatch02", "4475 3.1.2.18", "reject", 501),
    Row("bigcode", "4475 3.1.2.19", "drop"),
    # RFC 4475 section 3.2: transaction layer
    Row(
        "badbranch",
        "4475 3.2.1",
        "accept",
        facts={"m.top_via.branch": "z9hG4bK", "m.top_via.has_cookie": False},
        above="transactions match it as RFC 2543 did, or refuse it statelessly",
        answers=(200, 400),
    ),
    # RFC 4475 section 3.3: application layer
    Row("insuf", "4475 3.3.1", "reject", 400),
    Row("unkscm", "4475 3.3.2", "reject", 416),
    Row("novelsc", "4475 3.3.3", "reject", 416),
    Row(
        "unksm2",
        "4475 3.3.4",
        "accept",
        facts={
            "(m.to.uri.scheme, m.to.uri.opaque)": ("isbn", "2983792873"),
            "(m.from_.uri.scheme, m.from_.tag)": ("http", "3234233"),
            "str(m.contacts[0])": "<name:John_Smith>",
        },
        above="no registrar here; one would say 400",
        answers=(400, 405, 501),
    ),
    Row(
        "bext01",
        "4475 3.3.5",
        "accept",
        facts={
            "m.get_list('Require')": ["nothingSupportsThis", "nothingSupportsThisEither"],
            "m.get_list('Proxy-Require')": ["noProxiesSupportThis", "norDoAnyProxiesSupportThis"],
        },
        above="420 with Unsupported (`unsupported_extensions`)",
        answers=(420,),
    ),
    Row(
        "invut",
        "4475 3.3.6",
        "accept",
        facts={"m.content_type.essence": "application/unknownformat", "len(m.body)": 40},
        above="415, or 405 since INVITE is refused whatever it carries",
        answers=(415, 405, 488),
    ),
    Row(
        "regaut01",
        "4475 3.3.7",
        "accept",
        facts={"m.get('Authorization')": "NoOneKnowsThisScheme opaque-data=here"},
        above="no registrar here",
        answers=(405, 501, 401),
    ),
    Row("multi01", "4475 3.3.8", "reject", 400),
    Row("mcl01", "4475 3.3.9", "reject", 400, stream="closes"),
    Row("bcast", "4475 3.3.10", "drop"),
    Row(
        "zeromf",
        "4475 3.3.11",
        "accept",
        facts={"m.max_forwards": 0},
        above="an endpoint answers OPTIONS as ever; whoever would relay says 483",
        answers=(200, 483),
    ),
    Row(
        "cparam01",
        "4475 3.3.12",
        "accept",
        facts={
            "m.contacts[0].params": (("unknownparam", None),),
            "m.contacts[0].uri.params": (),
            "m.contacts[0].uri.user": "+19725552222",
        },
        above="no registrar here",
        answers=(200, 405, 501),
    ),
    Row(
        "cparam02",
        "4475 3.3.13",
        "accept",
        facts={"m.contacts[0].params": (), "m.contacts[0].uri.params": (("unknownparam", None),)},
        above="no registrar here",
        answers=(200, 405, 501),
    ),
    Row(
        "regescrt",
        "4475 3.3.14",
        "accept",
        facts={"m.contacts[0].uri.headers": (("Route", "%3Csip:sip.example.com%3E"),)},
        above="no registrar here",
        answers=(200, 405, 501),
    ),
    Row(
        "sdp01",
        "4475 3.3.15",
        "accept",
        facts={"m.get_list('Accept')": ["text/nobodyKnowsThis"]},
        above="406, 400, or 405 since INVITE is refused whatever it accepts",
        answers=(406, 400, 405, 488),
    ),
    # RFC 4475 section 3.4: backward compatibility
    Row(
        "inv2543",
        "4475 3.4.1",
        "accept",
        facts={
            "m.top_via.branch": "",
            "m.from_.tag": None,
            "m.from_.uri.param('user')": "phone",
            "m.to.param('user')": "phone",
            "m.max_forwards": None,
            "m.content_length": None,
            "len(m.body)": 105,
        },
        stream="closes",
        above=_SDP_IGNORED,
    ),
    # RFC 5118 section 4: IPv6
    Row(
        "ipv6-good",
        "5118 4.1",
        "accept",
        facts={
            "m.request_uri.host": "2001:db8::10",
            "m.top_via.host": "2001:db8::9:1",
            "m.contacts[0].uri.host": "2001:db8::1",
            "str(m.contacts[0])": '"Caller" <sip:caller@[2001:db8::1]>',
        },
        above="no registrar here",
        answers=(405, 501),
    ),
    Row("ipv6-bad", "5118 4.2", "reject", 400),
    Row(
        "port-ambiguous",
        "5118 4.3",
        "accept",
        facts={"(m.request_uri.host, m.request_uri.port)": ("2001:db8::10:5070", None)},
        above="no registrar here",
        answers=(405, 501),
    ),
    Row(
        "port-unambiguous",
        "5118 4.4",
        "accept",
        facts={"(m.request_uri.host, m.request_uri.port)": ("2001:db8::10", 5070)},
        above="no registrar here",
        answers=(405, 501),
    ),
    Row(
        "via-received-param-with-delim",
        "5118 4.5",
        "accept",
        facts={"m.top_via.received": "2001:db8::9:255", "m.top_via.branch": "z9hG4bKas3-111"},
        above="a BYE for no dialog",
        answers=(481,),
    ),
    Row(
        "via-received-param-no-delim",
        "5118 4.5",
        "accept",
        facts={"m.top_via.received": "2001:db8::9:255", "m.top_via.branch": "z9hG4bKas3"},
    ),
    Row(
        "ipv6-in-sdp",
        "5118 4.6",
        "accept",
        facts={"m.to.uri.host": "2001:db8::10", "len(m.body)": 241},
        stream="falls apart",
        above=_SDP_IGNORED,
    ),
    Row(
        "mult-ip-in-header",
        "5118 4.7",
        "accept",
        facts={
            "[(via.host, via.port) for via in m.vias]": [
                ("2001:db8::9:1", 6050),
                ("192.0.2.1", None),
                ("2001:db8::9:255", None),
            ],
            "m.vias[2].received": "192.0.2.200",
        },
        above="a BYE for no dialog",
        answers=(481,),
    ),
    Row(
        "mult-ip-in-sdp",
        "5118 4.8",
        "accept",
        facts={"len(m.body)": 181},
        stream="falls apart",
        above=_SDP_IGNORED,
    ),
    Row(
        "ipv4-mapped-ipv6",
        "5118 4.9",
        "accept",
        facts={
            "(m.top_via.host, m.top_via.port)": ("::ffff:192.0.2.10", 19823),
            "m.contacts[0].uri.host": "::ffff:192.0.2.2",
        },
        stream="falls apart",
        above=_SDP_IGNORED,
    ),
    Row("ipv6-bug-abnf-3-colons", "5118 4.10", "accept", facts={"m.request_uri.host": "2001:db8::192.0.2.1"}),
    Row(
        "ipv6-correct-abnf-2-colons",
        "5118 4.10",
        "accept",
        facts={"m.request_uri.host": "2001:db8::192.0.2.1"},
    ),
]
