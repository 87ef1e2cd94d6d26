"""What can be set for XMPP: once for the network, and once for each peer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from rialto.core.network import Features
from rialto.model.errors import ConfigError
from rialto.model.message import Disposition, RelationKind
from rialto.networks.xmpp.wire.parser import Limits
from rialto.networks.xmpp.wire.s2s import Policy
from rialto.networks.xmpp.wire.stream import Timing

Method = Literal["external", "dialback"]
Formatting = Literal["both", "xhtml", "styling", "plain"]

RECEIPTS = (Disposition.DELIVERED, Disposition.DISPLAYED)
"""What XMPP has words for."""
SEALED = ("omemo", "openpgp", "otr", "another scheme")
"""The schemes of `rialto.networks.xmpp.sealed`."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[networks.xmpp]`."""

    listen: Annotated[
        tuple[str, ...],
        Meta(description="Where other servers reach us: `address:port`, IPv6 in brackets (STARTTLS)."),
    ] = ("0.0.0.0:5269",)
    listen_tls: Annotated[
        tuple[str, ...], Meta(description="The same, where TLS begins with the first byte (XEP-0368).")
    ] = ()
    max_stanza_bytes: Annotated[
        int, Meta(ge=10_000, le=16_777_216, description="The largest stanza that is read from a peer.")
    ] = 262_144
    stanzas_per_s: Annotated[
        int, Meta(ge=1, description="Above so many stanzas a second on one stream we read more slowly.")
    ] = 10_000
    negotiation_s: Annotated[
        float, Meta(gt=0, description="How long a peer may take to prove who it is.")
    ] = 30.0
    connect_timeout_s: Annotated[
        float, Meta(gt=0, description="How long a connection may take to be made.")
    ] = 10.0
    keepalive_s: Annotated[
        float, Meta(gt=0, description="Seconds of our own silence after which we say a little something.")
    ] = 60.0
    idle_s: Annotated[
        float, Meta(gt=0, description="Seconds without any stanza after which a stream is closed in peace.")
    ] = 3600.0
    confirm_s: Annotated[
        float,
        Meta(
            gt=0,
            description="How long a peer may take to confirm what was sent "
            "(XEP-0198, or the answer to a ping).",
        ),
    ] = 15.0
    resumption_s: Annotated[
        float, Meta(ge=0, description="For how long a lost stream can be resumed (XEP-0198); 0 for never.")
    ] = 300.0
    max_connections: Annotated[int, Meta(ge=1, description="How many connections each listener holds.")] = (
        10_000
    )
    max_connections_per_address: Annotated[
        int, Meta(ge=1, description="How many of them may come from one IPv4 address or IPv6 /64.")
    ] = 200
    max_half_open: Annotated[
        int, Meta(ge=1, description="How many peers that have not proven themselves are entertained at once.")
    ] = 1_000
    gateway_type: Annotated[
        str, Meta(description="What kind of gateway we say to be (XEP-0030 registry: category `gateway`).")
    ] = "simple"
    show_version: Annotated[bool, Meta(description="Whether strangers may know our version (XEP-0092).")] = (
        True
    )
    contacts: Annotated[
        dict[str, list[str]],
        Meta(
            description="Addresses for peers to find us (XEP-0157): `admin`, "
            "`abuse`, `support`, ... = list of URIs."
        ),
    ] = {}

    def limits(self) -> Limits:
        """What one stanza may cost."""
        return Limits(max_bytes=self.max_stanza_bytes)

    def timing(self) -> Timing:
        """How long things on a stream may take."""
        return Timing(
            negotiation_s=self.negotiation_s,
            keepalive_s=self.keepalive_s,
            idle_s=self.idle_s,
            answer_s=self.confirm_s,
        )


class PeerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[peers]]` with `network = "xmpp"`."""

    link: Annotated[
        Literal["s2s", "component"],
        Meta(
            description="`s2s`: as one server to another; `component`: we log "
            "in at the peer's server (XEP-0114)."
        ),
    ] = "s2s"
    authentication: Annotated[
        tuple[Method, ...],
        Meta(
            min_length=1,
            description="How either side may prove itself, best first: "
            "`external` (a certificate for the domain), "
            "`dialback` (the DNS and a call back).",
        ),
    ] = ("external",)
    tls: Annotated[
        Literal["required", "optional", "off"], Meta(description="Whether the stream must be encrypted.")
    ] = "required"
    host: Annotated[
        str,
        Meta(
            description="Where to connect, instead of asking the DNS; for a component, the server's address."
        ),
    ] = ""
    port: Annotated[int, Meta(ge=0, le=65535, description="The port there; 0: 5269, or 5347.")] = 0
    direct_tls: Annotated[
        bool, Meta(description="Whether TLS begins with the first byte at `host` (XEP-0368).")
    ] = False
    components: Annotated[
        tuple[str, ...],
        Meta(
            description="The names under which we log in as component; default: every domain that lives here."
        ),
    ] = ()
    secret: Annotated[str, Meta(description="The component's secret; better in a file.")] = ""
    secret_file: Annotated[str, Meta(description="A file that holds the component's secret.")] = ""
    secret_env: Annotated[str, Meta(description="An environment variable that holds it.")] = ""
    tls_pins: Annotated[
        tuple[str, ...],
        Meta(
            description="SHA-256 (hex) of certificates or public keys of the peer that are good without a CA."
        ),
    ] = ()
    bidirectional: Annotated[
        bool, Meta(description="Let stanzas go both ways on one stream where the peer can (XEP-0288).")
    ] = True
    stream_management: Annotated[
        bool, Meta(description="Count and acknowledge stanzas where the peer can (XEP-0198).")
    ] = True
    max_message_bytes: Annotated[
        int, Meta(ge=0, description="The largest stanza that the peer takes; 0 for no limit of ours.")
    ] = 60_000
    long_messages: Annotated[
        Literal["split", "refuse"],
        Meta(description="What happens to a message above it: numbered parts, or an error to its sender."),
    ] = "split"
    in_flight: Annotated[
        int, Meta(ge=1, description="How many messages to the peer may be unconfirmed at a time.")
    ] = 1024
    presence: Annotated[
        bool,
        Meta(description="Whether presence is carried; if not, every wish to see somebody is refused."),
    ] = True
    ask_names: Annotated[
        bool,
        Meta(
            description="Whether the peer's server is asked what its users are called (vCard, nickname), "
            "when one of them writes or is watched and no name is known."
        ),
    ] = True

    composing: Annotated[
        bool, Meta(description="Whether typing notices (XEP-0085) are carried, to and from its users.")
    ] = True
    receipts: Annotated[
        bool,
        Meta(description="Whether receipts (XEP-0184) and read marks (XEP-0333) are asked of its users."),
    ] = True
    formatting: Annotated[
        Formatting,
        Meta(
            description="How the form of a text is written and read: `xhtml` (XEP-0071), `styling` (marks in "
            "the text, XEP-0393), `both`, or `plain`."
        ),
    ] = "both"
    relations: Annotated[
        tuple[RelationKind, ...],
        Meta(
            description="What its users' clients know besides new messages: `replace` (XEP-0308), `retract` "
            "(XEP-0424), `react` (XEP-0444), `reply` (XEP-0461); the rest is said in words."
        ),
    ] = tuple(RelationKind)
    files: Annotated[
        Literal["share", "link"],
        Meta(description="Files: `share` (XEP-0066 and XEP-0447), or a `link` in the text."),
    ] = "share"
    sealed: Annotated[
        bool,
        Meta(
            description="Whether what is encrypted for its users passes (OMEMO, OpenPGP, OTR); it can come "
            "only from another XMPP network."
        ),
    ] = True

    def __repr__(self) -> str:
        return f"PeerSettings(link={self.link!r}, host={self.host!r})"  # never a secret

    def policy(self) -> Policy:
        """What this peer may use to prove itself."""
        return Policy(
            tls=self.tls,
            external="external" in self.authentication,
            dialback="dialback" in self.authentication,
            bidirectional=self.bidirectional,
            stream_management=self.stream_management,
        )

    def component_secret(self) -> str:
        """The secret, from wherever it is kept. Raises ConfigError."""
        if self.secret_file:
            try:
                return Path(self.secret_file).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(
                    "secret_file", f"a readable file, not {self.secret_file!r}", str(error.strerror or error)
                ) from None
        if self.secret_env:
            if self.secret_env not in os.environ:
                raise ConfigError("secret_env", f"the environment variable {self.secret_env} to be set")
            return os.environ[self.secret_env]
        return self.secret


def features(peer: PeerSettings) -> Features:
    """What the peer can carry. Raises ConfigError for settings that do not go together."""
    if peer.link == "component":
        if not peer.host:
            raise ConfigError("host", "the address of the server", "a component must know where to log in")
        if not peer.component_secret():
            raise ConfigError(
                "secret_file", "the component's secret", "the server has it in its configuration"
            )
    elif peer.tls == "off" and "external" in peer.authentication:
        raise ConfigError("authentication", "`dialback` alone", "a certificate can only be shown over TLS")
    return Features(
        max_bytes=peer.max_message_bytes or None,
        long_messages=peer.long_messages,
        in_flight_per_recipient=peer.in_flight,
        encrypted=peer.link == "s2s" and peer.tls == "required",
        in_flight=peer.in_flight,
        rich=peer.formatting != "plain",
        relations=peer.relations,
        receipts=RECEIPTS if peer.receipts else (),
        files="oob" if peer.files == "share" else "",
        sealed=SEALED if peer.sealed else (),
        composing=peer.composing,
    )
