"""The figures and examples that stand in the prose are those of the code."""

import re
import tomllib

import msgspec
import pytest

from docs.pages import ROOT, blocks, text_of
from rialto import app
from rialto.cli.check.certificates import SOON_DAYS
from rialto.config import PeerTable
from rialto.core import delivery, hub
from rialto.core.presence import PresenceSettings, course, history, records
from rialto.core.settings import QueueSettings
from rialto.networks.sip import audience
from rialto.networks.sip import settings as sip
from rialto.networks.sip.addresses import address_of, uri_of
from rialto.networks.sip.wire import parse_uri
from rialto.networks.xmpp import settings as xmpp
from rialto.networks.xmpp.wire import jid

SIP_PEER, XMPP_PEER, QUEUE = sip.PeerSettings(), xmpp.PeerSettings(), QueueSettings()

FIGURES = [
    (
        "operate/queue.md",
        "1 s, doubling up to 60 s",
        (delivery.BACK_OFF_FIRST_S, delivery.BACK_OFF_MOST_S),
        (1, 60),
    ),
    ("operate/queue.md", "`queue.max_age_s` (a day)", QUEUE.max_age_s, 86400),
    ("operate/systemd.md", "alive every five seconds", app.HOUSEKEEPING_EVERY_S, 5),
    ("operate/certificates-and-dns.md", "30 days before", SOON_DAYS, 30),
    ("operate/peers.md", "| `honest`, 5 s |", (SIP_PEER.answer, SIP_PEER.answer_wait_s), ("honest", 5)),
    ("operate/peers.md", "| 1300, `split` |", (SIP_PEER.max_bytes, SIP_PEER.long_messages), (1300, "split")),
    ("operate/peers.md", "`allow_sips` | `false`", SIP_PEER.allow_sips, False),
    ("operate/peers.md", "`trust_asserted_identity` | `false`", SIP_PEER.trust_asserted_identity, False),
    ("operate/peers.md", "`failure_notice` | `true`", SIP_PEER.failure_notice, True),
    (
        "operate/peers.md",
        "`bidirectional`, `stream_management` | `true`",
        (XMPP_PEER.bidirectional, XMPP_PEER.stream_management),
        (True, True),
    ),
    ("operate/peers.md", "TLS is required\nunless", XMPP_PEER.tls, "required"),
    ("understand/guarantees.md", "remembered for an hour", hub.DUPLICATE_WINDOW_S, 3600),
    ("understand/guarantees.md", "| `honest` (default) |", SIP_PEER.answer, "honest"),
    ("understand/fidelity.md", '`long_messages = "split"` (the default)', XMPP_PEER.long_messages, "split"),
    (
        "operate/peers.md",
        "| 60 s, 3600 s, 5 s |",
        (SIP_PEER.min_expires_s, SIP_PEER.max_expires_s, SIP_PEER.notify_every_s),
        (60, 3600, 5),
    ),
    ("operate/peers.md", "| `presence` | `true` |", (SIP_PEER.presence, XMPP_PEER.presence), (True, True)),
    (
        "understand/presence.md",
        "after 5 s, then twice as late each time, up to 15 minutes",
        (course.RETRY_FIRST_S, course.RETRY_MOST_S),
        (5, 900),
    ),
    (
        "understand/presence.md",
        "at most 64 instances, and one watcher at most 16 dialogs",
        (records.MAX_STATES, audience.MAX_DIALOGS),
        (64, 16),
    ),
    ("understand/presence.md", "the last twenty things that happened", history.MAX_ENTRIES, 20),
]


@pytest.mark.parametrize(("page", "words", "found", "said"), FIGURES, ids=lambda value: str(value)[:40])
def test_what_is_said_is_so(page: str, words: str, found: object, said: object) -> None:
    assert words in text_of(page)
    assert found == said


def test_each_user_may_send_less_than_the_peer() -> None:
    fields = dict(zip(PeerTable.__struct_fields__[-2:], PeerTable.__struct_defaults__[-2:], strict=True))
    assert fields["sender_rate_per_s"] < fields["rate_per_s"]


def test_the_settings_of_presence_are_shown_with_their_defaults() -> None:
    [shown] = [table for one in blocks("toml") if (table := tomllib.loads(one.text).get("presence"))]
    assert shown == msgspec.structs.asdict(PresenceSettings())


def test_the_settings_of_a_peer_about_presence_are_shown_with_their_defaults() -> None:
    [page] = [
        one for one in blocks("toml") if one.page.name == "presence.md" and "peers" in tomllib.loads(one.text)
    ]
    [peer] = tomllib.loads(page.text)["peers"]
    names = ("presence", "min_expires_s", "max_expires_s", "notify_every_s")
    assert [peer[name] for name in names] == [getattr(SIP_PEER, name) for name in names]


ADDRESSES = re.findall(
    r"^\| (?!a person).* \| `([^`]+)` \| .* \| `(sip:[^`]+)` \|$",
    text_of("understand/addresses.md"),
    re.MULTILINE,
)


@pytest.mark.parametrize(("xmpp_address", "sip_address"), ADDRESSES)
def test_the_addresses_side_by_side_are_the_same_person(xmpp_address: str, sip_address: str) -> None:
    person = jid.parse(xmpp_address)
    assert address_of(parse_uri(sip_address)) == person
    assert str(uri_of(person)) == sip_address
    assert jid.write(person) == xmpp_address


def test_there_are_addresses_of_every_kind() -> None:
    assert len(ADDRESSES) >= 5


SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").glob("**/*.py"))


@pytest.mark.parametrize("page", ["operate/troubleshooting.md", "operate/watching.md"])
def test_what_is_quoted_from_answers_and_logs_is_what_the_program_says(page: str) -> None:
    text = text_of(page)
    events = re.findall(r"`(xmpp\.[a-z-]+)`", text)
    phrases = re.findall(r"`[2-6]\d\d ([A-Z][A-Za-z ]+)`", text)
    assert [said for said in events + phrases if f'"{said}"' not in SOURCE] == []
