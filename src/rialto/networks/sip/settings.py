"""What can be set for SIP: once for the network, and once for each peer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from rialto.core.network import Features
from rialto.model.errors import AddressError, ConfigError
from rialto.model.message import Disposition, RelationKind
from rialto.net.hostport import split_host_port
from rialto.networks.sip.abilities import COMPOSING, CPIM, FORM
from rialto.networks.sip.wire import Uri, parse_uri

DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}

Transport = Literal["udp", "tcp", "tls"]
ProfileName = Literal["standard", "microsoft"]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """SIP: where we listen, how long we wait, how much we take on."""

    listen: Annotated[
        tuple[str, ...],
        Meta(
            description="Where to listen: `transport:address:port`, transport one of udp, tcp, tls; IPv6 in "
            "brackets."
        ),
    ] = ("udp:0.0.0.0:5060", "tcp:0.0.0.0:5060")
    advertise: Annotated[
        str,
        Meta(
            description="Host name or address that peers reach us by, written into Via. Default: the "
            "address listened on, or the server's name where that is a wildcard."
        ),
    ] = ""
    keepalive_s: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds of silence after which a connection of ours is pinged (RFC 5626); 0: never.",
        ),
    ] = 95.0
    idle_s: Annotated[
        float, Meta(gt=0, description="Seconds after which a connection that says nothing at all is closed.")
    ] = 3600.0
    connect_timeout_s: Annotated[
        float, Meta(gt=0, description="How long a connection may take to be made.")
    ] = 8.0
    max_connections: Annotated[int, Meta(ge=1, description="How many connections each listener holds.")] = (
        10_000
    )
    max_message_bytes: Annotated[
        int, Meta(ge=1300, le=16_777_216, description="The largest body that is read from a peer.")
    ] = 65_536
    max_transactions: Annotated[
        int, Meta(ge=100, description="Open requests of peers above which new ones are put off with 503.")
    ] = 100_000
    t1_s: Annotated[
        float,
        Meta(
            gt=0,
            le=10,
            description="T1 of RFC 3261: the round trip to expect; all other timers follow from it.",
        ),
    ] = 0.5
    msrp: Annotated[
        tuple[str, ...],
        Meta(
            description="Where to listen for MSRP (RFC 4975), the connections of sessions: "
            "`transport:address:port`, transport `tcp` or `tls`. None: we connect, and nobody to us."
        ),
    ] = ()
    msrp_relays: Annotated[
        tuple[str, ...],
        Meta(
            description="MSRP relays that act for us (RFC 4976), the nearest first, as URIs: all sessions go "
            "over them."
        ),
    ] = ()
    msrp_username: Annotated[str, Meta(description="Who we are at the relays.")] = ""
    msrp_password: Annotated[
        str, Meta(description="Our password there; better in a file or the environment.")
    ] = ""
    msrp_password_file: Annotated[str, Meta(description="A file that holds that password.")] = ""
    msrp_password_env: Annotated[
        str, Meta(description="An environment variable that holds that password.")
    ] = ""
    max_sessions: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="How many sessions (INVITE) there may be at a time, with all peers.",
        ),
    ] = 10_000
    realm: Annotated[
        str, Meta(description="The realm of our digest challenges. Default: the server's name.")
    ] = ""


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A name and password with which a peer proves itself to us (`trust = ["digest"]`)."""

    username: Annotated[str, Meta(min_length=1, description="The digest user name.")]
    password: Annotated[str, Meta(description="The password; better in a file or the environment.")] = ""
    password_file: Annotated[str, Meta(description="A file that holds the password.")] = ""
    password_env: Annotated[str, Meta(description="An environment variable that holds the password.")] = ""

    def __repr__(self) -> str:
        return f"Account(username={self.username!r})"


class PeerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A SIP server of another operator: how it proves itself, how it is reached, how it is answered."""

    proxy: Annotated[
        str,
        Meta(
            description="A SIP URI that everything for this peer is sent to; default: RFC 3263 on the "
            "recipient's domain."
        ),
    ] = ""
    transports: Annotated[
        tuple[Transport, ...],
        Meta(min_length=1, description="What may be used to reach the peer, best first."),
    ] = ("tls", "tcp", "udp")
    trust: Annotated[
        tuple[Literal["address", "tls", "digest"], ...],
        Meta(
            description="How a request is proven to come from this peer: `address` (it comes from one of "
            "`addresses`), `tls` (a certificate for the sender's domain, RFC 5922), `digest` (one of "
            "`accounts`). One is enough."
        ),
    ] = ("tls",)
    addresses: Annotated[
        tuple[str, ...], Meta(description="IP addresses or networks (CIDR) of the peer's servers.")
    ] = ()
    accounts: Annotated[
        tuple[Account, ...], Meta(description="Names and passwords accepted from the peer.")
    ] = ()
    answer: Annotated[
        Literal["honest", "200", "202"],
        Meta(
            description="How a MESSAGE is answered: `honest`: 200 when the far side has taken it within "
            "`answer_wait_s`, else 202; `200` or `202`: always that, as soon as it is on disk."
        ),
    ] = "honest"
    answer_wait_s: Annotated[
        float, Meta(ge=0, le=25, description="How long an honest answer waits for the far side.")
    ] = 5.0
    long_messages: Annotated[
        Literal["split", "refuse"],
        Meta(
            description="What happens to a message above `max_bytes`: numbered parts, or an error to its "
            "sender."
        ),
    ] = "split"
    max_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="The most that one whole MESSAGE request may take (RFC 3428 section 8); 0 for no "
            "limit, if every hop is known to control congestion.",
        ),
    ] = 1300
    allow_sips: Annotated[
        bool,
        Meta(
            description="Accept requests to and for `sips:` addresses. RFC 7247 section 8 forbids it "
            "unless both operators have agreed on the security of every hop."
        ),
    ] = False
    trust_asserted_identity: Annotated[
        bool, Meta(description="Believe P-Asserted-Identity of this peer (RFC 3325).")
    ] = False
    failure_notice: Annotated[
        bool,
        Meta(
            description="Tell the peer's users by a MESSAGE of a failure that is known only after their "
            "answer."
        ),
    ] = True
    cpim: Annotated[
        Literal["auto", "always", "never"],
        Meta(
            description="When a message goes in an envelope of its own (message/cpim, RFC 3862). `auto`: "
            "when its writer asks for a receipt, and only to those who have not refused one (415); `always`: "
            "every message, as RCS wants it; `never`: none, so that receipts can't be asked for."
        ),
    ] = "auto"
    receipts: Annotated[
        bool,
        Meta(
            description="Carry receipts and read marks to and from the peer, as IMDN (RFC 5438): asked for, "
            "given, and failures told so to whoever asks for that."
        ),
    ] = True
    in_words: Annotated[
        tuple[RelationKind, ...],
        Meta(
            description="Which of these its users are told in words: `replace` (corrections), `retract`, "
            "`react`, `reply` (as a quotation). Of the others, a correction or reply goes as a message like "
            "any other, and the sender of a reaction or retraction hears that it was not carried."
        ),
    ] = tuple(RelationKind)
    composing: Annotated[
        Literal["reply", "always", "never"],
        Meta(
            description="Tell the peer's users that somebody is writing to them (RFC 3994). `reply`: those "
            "who have written themselves; `always`: all; `never`: nobody, and nothing of the kind is taken "
            "from them. Who refuses such a notice (415) gets no other."
        ),
    ] = "reply"
    html: Annotated[
        Literal["never", "alternative", "only"],
        Meta(
            description="How text with form is written to the peer: `never`: as plain text; `alternative`: "
            "both (multipart/alternative); `only`: as text/html. Who refuses it (415) gets plain text. HTML "
            "and RTF from the peer are always read."
        ),
    ] = "never"
    files: Annotated[
        Literal["link", "rcs"],
        Meta(
            description="How files are offered to the peer: `link`: an address in the text; `rcs`: the file "
            "transfer document of RCS."
        ),
    ] = "link"
    presence: Annotated[
        bool,
        Meta(
            description="Carry presence to and from the peer (RFC 8048); without it a SUBSCRIBE is refused "
            "(489)."
        ),
    ] = True
    profile: Annotated[
        ProfileName,
        Meta(
            description="How the peer says how somebody is: `standard` (PIDF with RPID and the show of "
            "XMPP), or `microsoft` (numbers, `text/xml+msrtc.pidf`; PIDF is understood as well)."
        ),
    ] = "standard"
    partial_presence: Annotated[
        bool,
        Meta(
            description="Ask the peer for partial presence documents (RFC 5263): the whole first, then what "
            "changes. Watchers who prefer them get them in any case."
        ),
    ] = False
    publish: Annotated[
        bool,
        Meta(
            description="PUBLISH people's presence at the peer's presence server (RFC 3903): everybody's "
            "who has let one of the peer's users watch. Who sees it there is what that server decides."
        ),
    ] = False
    icon_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Hosts (`host` or `host:port`) from which pictures of the peer's users are "
            "fetched, over https; none: no picture is."
        ),
    ] = ()
    min_expires_s: Annotated[
        int,
        Meta(
            ge=1,
            le=3600,
            description="The shortest subscription that the peer's watchers may have; a shorter one is told "
            "423.",
        ),
    ] = 60
    max_expires_s: Annotated[
        int,
        Meta(
            ge=60,
            le=604_800,
            description="The longest subscription that the peer's watchers are given, and what we ask the "
            "peer for.",
        ),
    ] = 3600
    notify_every_s: Annotated[
        float,
        Meta(
            ge=0,
            le=600,
            description="How often a watcher is told at most (RFC 3856 section 6.10); what changes in "
            "between is told as one.",
        ),
    ] = 5.0
    sessions: Annotated[
        Literal["auto", "always", "never"],
        Meta(
            description="Conversations as sessions (RFC 7573). `auto`: those that the peer opens, and one "
            "of ours for what is too long for a MESSAGE; `always`: every conversation opens one, and falls "
            "back to MESSAGE where it is declined; `never`: none, an INVITE is refused (488)."
        ),
    ] = "auto"
    session_kind: Annotated[
        Literal["msrp", "microsoft"],
        Meta(
            description="What the sessions that we open carry: `msrp` (RFC 4975), or `microsoft`: MESSAGE "
            "within the dialog, as Microsoft's servers have it. The peer may open either."
        ),
    ] = "msrp"
    session_security: Annotated[
        Literal["auto", "tls", "tcp"],
        Meta(
            description="MSRP over TLS: `tls`: always, anything else is refused; `auto`: the same where the "
            "peer is reached over nothing but TLS, else where it asks for it; `tcp`: where it asks for it."
        ),
    ] = "auto"
    session_max_bytes: Annotated[
        int,
        Meta(
            ge=1300,
            le=16_777_216,
            description="The longest message over a session, either way (`max-size`). What it goes on to "
            "should take as much: an XMPP server's limit for one stanza.",
        ),
    ] = 100_000
    session_idle_s: Annotated[
        float, Meta(ge=10, le=86_400, description="After how long a silence a session is ended.")
    ] = 600.0
    session_ring_s: Annotated[
        float,
        Meta(
            ge=1,
            le=180,
            description="How long the other side of a session may ring before it is called off, and what "
            "waits for it goes as MESSAGE.",
        ),
    ] = 20.0
    session_expires_s: Annotated[
        int,
        Meta(
            ge=90,
            le=86_400,
            description="How often a session gives a sign of life in SIP (RFC 4028), at most.",
        ),
    ] = 1800
    username: Annotated[str, Meta(description="Who we are when the peer challenges us.")] = ""
    password: Annotated[str, Meta(description="Our password; better in a file or the environment.")] = ""
    password_file: Annotated[str, Meta(description="A file that holds our password.")] = ""
    password_env: Annotated[str, Meta(description="An environment variable that holds our password.")] = ""
    tls_name: Annotated[
        str,
        Meta(
            description="The name that the peer's certificate must prove; default: the domain or the proxy's "
            "host."
        ),
    ] = ""
    tls_pins: Annotated[
        tuple[str, ...],
        Meta(
            description="SHA-256 (hex) of certificates or public keys of the peer that are good without a CA."
        ),
    ] = ()
    verify_tls: Annotated[
        bool, Meta(description="Send nothing over TLS to a server whose certificate does not prove its name.")
    ] = True
    in_flight: Annotated[
        int, Meta(ge=1, description="How many messages to the peer may be unanswered at a time.")
    ] = 256

    def __post_init__(self) -> None:
        if self.min_expires_s > self.max_expires_s:
            raise ValueError("min_expires_s is above max_expires_s: no subscription could have both")

    def __repr__(self) -> str:
        return f"PeerSettings(proxy={self.proxy!r}, trust={self.trust!r}, answer={self.answer!r})"


class Listen(msgspec.Struct, frozen=True):
    """One entry of `listen`, taken apart."""

    transport: str
    host: str
    port: int


def parse_listen(text: str) -> Listen:
    """Read `transport:address:port`; raises ConfigError."""
    transport, _, rest = text.partition(":")
    try:
        if transport not in DEFAULT_PORTS:
            raise ValueError("expected udp:, tcp: or tls: in front")
        host, port = split_host_port(rest, DEFAULT_PORTS[transport])
    except ValueError as error:
        raise ConfigError(
            "networks.sip.listen",
            f"{text!r}: {error}",
            "write for example udp:192.0.2.1:5060 or tls:[2001:db8::1]:5061",
        ) from None
    return Listen(transport, host, port)


def parse_proxy(text: str) -> Uri:
    """Read `proxy`; raises ConfigError."""
    try:
        uri = parse_uri(text)
        if uri.scheme not in ("sip", "sips") or not uri.host:
            raise AddressError("no host")
    except AddressError:
        raise ConfigError(
            "peers.proxy",
            f"{text!r} is no SIP URI",
            "write for example sip:proxy.example.org:5060;transport=tcp",
        ) from None
    return uri


def parse_networks(texts: Sequence[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read `addresses`; raises ConfigError."""
    networks = []
    for text in texts:
        try:
            networks.append(ip_network(text.strip("[]"), strict=False))
        except ValueError:
            raise ConfigError(
                "peers.addresses",
                f"{text!r} is no IP address or network",
                "write for example 192.0.2.1 or 2001:db8::/64",
            ) from None
    return tuple(networks)


def secret(where: str, value: str, file: str, env: str) -> str:
    """The one of three places that holds a secret; raises ConfigError."""
    if file:
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                f"{where}_file", f"a readable file, not {file!r}", str(error.strerror or error)
            ) from None
    if env:
        if env not in os.environ:
            raise ConfigError(f"{where}_env", f"the environment variable {env} to be set")
        return os.environ[env]
    return value


def features(peer: PeerSettings) -> Features:
    """What the peer can carry."""
    return Features(
        max_bytes=peer.max_bytes or None,
        long_messages=peer.long_messages,
        in_words=peer.in_words,
        in_flight_per_recipient=1,  # RFC 3428 section 8
        in_flight=peer.in_flight,
        encrypted=peer.transports == ("tls",) and peer.session_security != "tcp",
        rich=peer.html != "never",
        receipts=tuple(Disposition) if peer.receipts and peer.cpim != "never" else (),
        files="rcs" if peer.files == "rcs" else "",
        sealed=("smime",),
        composing=peer.composing != "never",
    )


def without(features: Features, lacking: str) -> Features:
    """The same for somebody who has refused some of it: words of `abilities`."""
    if CPIM in lacking:
        features = replace(features, receipts=())
    if FORM in lacking:
        features = replace(features, rich=False, files="", sealed=())
    if COMPOSING in lacking:
        features = replace(features, composing=False)
    return features
