"""The configuration file: what may stand in it, and what is wrong with what does.

It is TOML. `[server]`, `[dns]`, `[tls]`, `[queue]`, `[presence]`, `[policy]`, `[web]`, `[files]` and `[log]`
are described here, or where their settings are used; each
`[networks.NAME]` by the `Settings` of that network, and each `[[peers]]` by the `PeerSettings` of its network
besides the keys of `PeerTable`. Every field says what it is for (`rialto config describe` prints that), and
every mistake is reported with the file, the key, what was expected, and the remedy.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta
from msgspec.structs import fields

from rialto.core.files import FileSettings
from rialto.core.local import NAME as LOCAL
from rialto.core.network import Peer
from rialto.core.policy.settings import PolicySettings
from rialto.core.presence import PresenceSettings
from rialto.core.settings import QueueSettings
from rialto.model.address import canonical_domain
from rialto.model.errors import AddressError, ConfigError
from rialto.net.hostport import join_host_port, split_host_port
from rialto.web.settings import WebSettings

_WEB_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*[^\s?#/])?")

DEFAULT_PATH = Path("/etc/rialto/rialto.toml")


class ServerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The instance itself."""

    name: Annotated[str, Meta(min_length=1, description="The host name of this gateway, for peers to see.")]
    data_dir: Annotated[str, Meta(description="The folder of the database; made if it is missing.")] = (
        "/var/lib/rialto"
    )
    grace_s: Annotated[
        float, Meta(ge=0, description="How long a stopping server waits for answers that are due.")
    ] = 10.0
    metrics: Annotated[
        str, Meta(description="Address and port for Prometheus to read metrics from; empty for none.")
    ] = ""


class DnsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is asked for names."""

    servers: Annotated[
        list[str], Meta(description="Name servers as address:port; empty for those of the system.")
    ] = []
    timeout_s: Annotated[float, Meta(gt=0, description="For one question with all its repetitions.")] = 5.0


class CertificateTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One certificate of ours."""

    certificate: Annotated[
        str, Meta(description="PEM file: the certificate, then those that lead to its CA.")
    ]
    key: Annotated[str, Meta(description="PEM file of its private key, without a passphrase.")]


class TlsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Certificates: ours, and whom we trust."""

    ca_file: Annotated[
        str, Meta(description="PEM file of the CAs that are trusted; empty for those of the system.")
    ] = ""
    certificates: Annotated[
        list[CertificateTable],
        Meta(description="Ours; which is shown is chosen by the domain that is asked for."),
    ] = []


class LogTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is logged, and how."""

    level: Annotated[
        str, Meta(pattern="^(debug|info|warning|error)$", description="debug, info, warning, error.")
    ] = "info"
    format: Annotated[
        str,
        Meta(
            pattern="^(auto|text|json)$", description="text for people, json for machines, auto by terminal."
        ),
    ] = "auto"


class PeerTable(msgspec.Struct, frozen=True):
    """The keys that every `[[peers]]` entry has, whatever its network."""

    network: Annotated[str, Meta(description="The network it belongs to: the NAME of a [networks.NAME].")]
    domains: Annotated[
        list[str],
        Meta(
            min_length=1, description="Whom it speaks for: domains, `*.example.org`, or `*` for all others."
        ),
    ]
    name: Annotated[
        str, Meta(description="How it is called in trails and lists; default: its first domain.")
    ] = ""
    rate_per_s: Annotated[float, Meta(gt=0, description="Messages a second it may send, on average.")] = (
        1000.0
    )
    sender_rate_per_s: Annotated[
        float, Meta(gt=0, description="Messages a second that one of its users may send, on average.")
    ] = 20.0


class Config(msgspec.Struct, frozen=True):
    """A whole configuration, checked."""

    path: str
    server: ServerTable
    dns: DnsTable
    tls: TlsTable
    queue: QueueSettings
    presence: PresenceSettings
    policy: PolicySettings
    web: WebSettings
    files: FileSettings
    log: LogTable
    networks: dict[str, NetworkConfig]
    peers: tuple[Peer, ...]


class NetworkConfig(msgspec.Struct, frozen=True):
    """One network: the module of its protocol, and its settings."""

    name: str
    protocol: str
    module: Any
    settings: Any
    peers: tuple[Peer, ...]


TABLES: dict[str, type[msgspec.Struct]] = {
    "server": ServerTable,
    "dns": DnsTable,
    "tls": TlsTable,
    "queue": QueueSettings,
    "presence": PresenceSettings,
    "policy": PolicySettings,
    "web": WebSettings,
    "files": FileSettings,
    "log": LogTable,
}


def load(path: Path) -> Config:
    """Read and check a file. Raises ConfigError."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            str(path), f"a readable file ({error.strerror})", "`rialto quickstart DOMAIN` writes one"
        ) from error
    try:
        data = tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(str(path), f"TOML ({error})", "see https://toml.io") from error
    return parse(data, str(path))


def parse(data: Mapping[str, Any], path: str = "configuration") -> Config:
    """Check a configuration that is already in memory; `path` is what errors call it. Raises ConfigError."""
    known = [*TABLES, "networks", "peers"]
    for key in data:
        if key not in known:
            raise ConfigError(f"{path}: {key}", f"one of {', '.join(known)}", _meant(key, known))
    tables = {name: _convert(data.get(name, {}), table, f"{path}: {name}") for name, table in TABLES.items()}
    server = tables["server"]
    raw_networks = _table(data.get("networks", {}), f"{path}: networks")
    raw_peers = data.get("peers", [])
    if not isinstance(raw_peers, list):
        raise ConfigError(f"{path}: peers", "a list of tables", "write [[peers]], with two brackets")
    protocols: dict[str, tuple[str, ModuleType, Any]] = {}
    for name, raw in raw_networks.items():
        where = f"{path}: networks.{name}"
        if name == LOCAL:
            raise ConfigError(where, f"another name than {name!r}, which is the gateway itself")
        settings = dict(_table(raw, where))
        protocol = str(settings.pop("protocol", name))
        module = protocol_module(protocol, where)
        protocols[name] = (protocol, module, _convert(settings, module.Settings, where))
    peers = _peers(raw_peers, protocols, path)
    return Config(
        path=path,
        server=msgspec.structs.replace(server, name=_domain(server.name, f"{path}: server.name")),
        dns=tables["dns"],
        tls=tables["tls"],
        queue=tables["queue"],
        presence=tables["presence"],
        policy=tables["policy"],
        web=_web(tables["web"], f"{path}: web"),
        files=tables["files"],
        log=tables["log"],
        networks={
            name: NetworkConfig(
                name, protocol, module, settings, tuple(peer for peer in peers if peer.network == name)
            )
            for name, (protocol, module, settings) in protocols.items()
        },
        peers=peers,
    )


def _web(web: WebSettings, where: str) -> WebSettings:
    """The settings with the address that links begin with."""
    if not web.listen:
        return web
    try:
        host, port = split_host_port(web.listen)
    except ValueError as error:
        raise ConfigError(f"{where}.listen", "an address and a port", str(error)) from None
    if web.url and not _WEB_URL.fullmatch(web.url):
        raise ConfigError(f"{where}.url", "http:// or https:// with a host, and no slash at the end")
    if bool(web.certificate) != bool(web.key):
        raise ConfigError(f"{where}.key", "a certificate and its key, or neither")
    scheme = "https" if web.certificate else "http"
    return msgspec.structs.replace(web, url=web.url or f"{scheme}://{join_host_port(host, port)}")


def _peers(
    raw_peers: list[Any], protocols: Mapping[str, tuple[str, ModuleType, Any]], path: str
) -> tuple[Peer, ...]:
    peers: list[Peer] = []
    for number, raw in enumerate(raw_peers, 1):
        where = f"{path}: peers[{number}]"
        raw = dict(_table(raw, where))
        common = _convert(
            {field.name: raw.pop(field.name) for field in fields(PeerTable) if field.name in raw},
            PeerTable,
            where,
        )
        if common.network not in protocols:
            raise ConfigError(
                f"{where}.network",
                f"the name of a network that is configured ({', '.join(protocols) or 'there is none'})",
                f"add [networks.{common.network}]",
            )
        _, module, _ = protocols[common.network]
        settings = _convert(raw, module.PeerSettings, where, also=PeerTable)
        domains = tuple(_pattern(domain, f"{where}.domains") for domain in common.domains)
        name = common.name or domains[0]
        if name == LOCAL or any(peer.name == name for peer in peers):
            raise ConfigError(
                f"{where}.name", f"a name that no other peer has, not {name!r}", "give it a `name`"
            )
        for domain in domains:
            if any(peer.network == common.network and domain in peer.domains for peer in peers):
                raise ConfigError(f"{where}.domains", f"{domain} only once in {common.network}")
        try:
            features = module.features(settings)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error.where}", error.expected, error.remedy) from None
        peers.append(
            Peer(
                name=name,
                network=common.network,
                domains=domains,
                settings=settings,
                features=features,
                rate_per_s=common.rate_per_s,
                sender_rate_per_s=common.sender_rate_per_s,
            )
        )
    return tuple(peers)


def protocols() -> dict[str, str]:
    """The protocols that are installed: name -> module."""
    return {point.name: point.value for point in entry_points(group="rialto.networks")}


def protocol_module(protocol: str, where: str = "protocol") -> ModuleType:
    """The module of an installed protocol. Raises ConfigError for one that is not."""
    points = {point.name: point for point in entry_points(group="rialto.networks")}
    if protocol not in points:
        raise ConfigError(
            where,
            f"the name of a protocol ({', '.join(sorted(points))})",
            _meant(protocol, list(points)) or 'add `protocol = "..."` to this table',
        )
    module = points[protocol].load()
    assert isinstance(module, ModuleType)
    return module


def _table(raw: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise ConfigError(where, f"a table, not {type(raw).__name__}", f"write [{where.partition(': ')[2]}]")
    return raw


def _convert(raw: Any, kind: type[Any], where: str, also: type[Any] | None = None) -> Any:
    raw = _table(raw, where)
    known = [field.name for field in fields(kind)]
    for key in raw:
        if key not in known:
            may = known + ([field.name for field in fields(also)] if also is not None else [])
            raise ConfigError(f"{where}.{key}", f"one of {', '.join(sorted(may))}", _meant(key, may))
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$")
        key = place.rstrip("`")
        if text.startswith("Object missing required field"):
            key, text = "." + text.split("`")[1], "a value; it has no default"
        raise ConfigError(f"{where}{key}", text, _about(kind, key.strip(".").partition("[")[0])) from None


def _about(kind: type[Any], key: str) -> str:
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if name == key:
            return description(hint)
    return ""


def description(hint: Any) -> str:
    """What an annotation says about its field."""
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Meta) and extra.description:
            return extra.description
    return ""


def _domain(text: str, where: str) -> str:
    try:
        return canonical_domain(text)
    except AddressError as error:
        raise ConfigError(where, "a domain", str(error)) from None


def _pattern(text: str, where: str) -> str:
    if text == "*":
        return text
    if text.startswith("*."):
        return "*." + _domain(text[2:], where)
    return _domain(text, where)


def _meant(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean `{close[0]}`?" if close else ""
