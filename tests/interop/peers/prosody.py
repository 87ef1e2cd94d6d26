"""Prosody: an XMPP server that federates by dialback or SASL EXTERNAL, or lets a component in."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from . import addresses
from .certificates import Certificate
from .program import Program

Mode = Literal["dialback", "external", "component"]

CONFIG = """\
run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
certificates = "{folder}/none"
interfaces = {{ "{host}" }}
c2s_ports = {{ 5222 }}
s2s_ports = {{ 5269 }}
s2s_direct_tls_ports = {{ 5270 }}
component_ports = {{ 5347 }}
component_interfaces = {{ "{host}" }}
http_ports = {{ }}
https_ports = {{ }}
modules_enabled = {{ "roster"; "saslauth"; "tls"; "disco"; "posix"; "ping"; "version"; "smacks"; "carbons";
  "offline"; "pep"; "vcard_legacy"; "s2s"; "s2s_bidi"; {on} }}
modules_disabled = {{ {off} }}
c2s_require_encryption = true
s2s_require_encryption = true
s2s_secure_auth = {secure}
authentication = "internal_plain"
storage = "internal"
ssl = {{ cafile = "{ca}"; certificate = "{certificate}"; key = "{key}" }}
s2s_ssl = {{ cafile = "{ca}"; certificate = "{certificate}"; key = "{key}" }}
log = {{ debug = "{folder}/debug.log"; info = "*console" }}
VirtualHost "{domain}"
{component}
"""


class Prosody:
    """One server of one domain at its address of the zone; accounts have the password `pw`."""

    def __init__(
        self,
        folder: Path,
        domain: str,
        mode: Mode,
        certificate: Certificate,
        ca_file: Path,
        accounts: Iterable[str] = ("alice", "bob"),
        component: str = addresses.SIP_DOMAIN,
    ) -> None:
        self.domain = domain
        self.host = addresses.XMPP_ADDRESS_OF[domain]
        self.folder = folder / f"prosody-{domain}"
        self.folder.mkdir()
        external = '"s2s_auth_certs"'
        dialback = '"dialback"'
        config = self.folder / "prosody.cfg.lua"
        config.write_text(
            CONFIG.format(
                folder=self.folder,
                host=self.host,
                domain=domain,
                ca=ca_file,
                certificate=certificate.certificate,
                key=certificate.key,
                on=external if mode == "external" else dialback,
                off=dialback if mode == "external" else external,
                secure="true" if mode == "external" else "false",
                component=f'Component "{component}"\n  component_secret = "{addresses.COMPONENT_SECRET}"'
                if mode == "component"
                else "",
            )
        )
        for account in accounts:
            file = self.folder / "data" / _escaped(domain) / "accounts" / f"{_escaped(account)}.dat"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text('return { ["password"] = "pw"; };\n')
        command = ["prosody", "--config", config, "-F"]
        self.program = Program(f"prosody-{domain}", command, self.folder)

    def start(self) -> None:
        self.program.start()
        for port in (5222, 5269):
            self.program.wait_for_port(self.host, port)

    def stop(self) -> None:
        self.program.stop()

    def read_debug_log(self) -> str:
        return (self.folder / "debug.log").read_text(errors="replace")

    def how_streams_were_authenticated(self) -> set[str]:
        """ "external", "dialback" or both, as this server's own log tells."""
        log = self.read_debug_log()
        told = {
            "external": r"SASL EXTERNAL with .* succeeded|Accepting SASL EXTERNAL",
            "dialback": r"<db:result[^>]*type='valid'|dialback succeeded|type='valid'",
        }
        return {way for way, pattern in told.items() if re.search(pattern, log)}

    def sent_beyond_recall(self) -> set[str]:
        """The ids of messages that it wrote to a stream without counting them, and that the stream died on.

        mod_smacks of 0.12 begins to count (XEP-0198) only after all that had been waiting for the stream is
        on the wire. When the stream is cut then, this server does not know what was lost, and tells nobody.
        An answer for anything counted also answers for all that went before it.
        """
        uncounted: dict[str, set[str]] = {}
        counting: set[str] = set()
        for line in self.read_debug_log().splitlines():
            found = _S2S_LINE.search(line)
            if found is None:
                continue
            stream, what = found[1], found[2]
            if what.startswith("<enable "):
                counting.add(stream)
            elif what.startswith("<a ") and not re.search(r" h='0'", what) and "Received" in line:
                uncounted.pop(stream, None)
            elif what.startswith("<message ") and "Sending" in line and stream not in counting:
                message_id = re.search(r" id='([^']+)'", what)
                assert message_id is not None
                uncounted.setdefault(stream, set()).add(message_id[1])
        return {message_id for ids in uncounted.values() for message_id in ids}


_S2S_LINE = re.compile(r"\b(s2s(?:in|out)\w+)\s+debug\s+(?:Sending|Received)\[s2s\w+\]: (.*)")


def _escaped(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", lambda found: f"%{ord(found[0]):02x}", name)
