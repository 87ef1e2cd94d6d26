"""ejabberd: the other XMPP server, started as an ordinary Erlang process without its control scripts."""

import re
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from . import addresses
from .certificates import Certificate
from .program import Program
from .prosody import Mode

CONFIG = """\
hosts: [ "{domain}" ]
loglevel: debug
log_rotate_count: 0
certfiles: [ "{certificate}" ]
ca_file: "{ca}"
s2s_use_starttls: {starttls}
s2s_cafile: "{ca}"
outgoing_s2s_families: [ ipv4 ]
outgoing_s2s_timeout: 5
auth_method: internal
auth_password_format: plain
acl: {{ local: {{ user_regexp: "" }} }}
access_rules: {{ local: {{ allow: local }}, c2s: {{ allow: all }} }}
api_permissions: {{ "all": {{ who: all, what: "*" }} }}
shaper: {{ normal: 10000000 }}
listen:
  - {{ port: 5222, ip: "{host}", module: ejabberd_c2s, starttls_required: true, shaper: normal }}
  - {{ port: 5269, ip: "{host}", module: ejabberd_s2s_in, max_stanza_size: 524288 }}
  - {{ port: 5347, ip: "{host}", module: ejabberd_service, access: all,
      hosts: {{ "{component}": {{ password: "{secret}" }} }} }}
  - {{ port: 5280, ip: "{host}", module: ejabberd_http, request_handlers: {{ "/api": mod_http_api }} }}
modules:
  mod_admin_extra: {{}}
  mod_carboncopy: {{}}
  mod_disco: {{}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_roster: {{}}
  mod_stream_mgmt: {{}}
  mod_vcard: {{}}
  mod_version: {{}}
  {dialback}
"""


class Ejabberd:
    """One server of one domain at its address of the zone; accounts have the password `pw`."""

    def __init__(
        self,
        folder: Path,
        domain: str,
        mode: Mode,
        certificate: Certificate,
        ca_file: Path,
        distrusted_ca_file: Path,
        accounts: Iterable[str] = ("alice", "bob"),
        component: str = addresses.SIP_DOMAIN,
    ) -> None:
        self.domain = domain
        self.host = addresses.XMPP_ADDRESS_OF[domain]
        self.accounts = tuple(accounts)
        self.folder = folder / f"ejabberd-{domain}"
        self.folder.mkdir()
        is_external = mode == "external"
        # Without mod_s2s_dialback only SASL EXTERNAL is left. With it, an authority that signed nothing
        # of what peers present keeps ejabberd from offering EXTERNAL.
        (self.folder / "ejabberd.yml").write_text(
            CONFIG.format(
                domain=domain,
                host=self.host,
                certificate=certificate.both,
                ca=ca_file if is_external else distrusted_ca_file,
                starttls="required" if is_external else "optional",
                dialback="" if is_external else "mod_s2s_dialback: {}",
                secret=addresses.COMPONENT_SECRET,
                component=component,
            )
        )
        # DNS and not the hosts file, else SRV records are never asked for.
        resolver = "{lookup,[dns,file]}.\n{nameserver,{127,0,0,1}}.\n{timeout,1000}.\n{retry,1}.\n"
        (self.folder / "inetrc").write_text(resolver)
        libraries = next(Path("/usr/lib").glob("*/ejabberd-*"), Path("/usr/lib/ejabberd-0")).parent
        env = {
            "HOME": str(self.folder),
            "ERL_LIBS": str(libraries),
            "ERL_INETRC": str(self.folder / "inetrc"),
            "EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.folder / "debug.log"),
            "ERL_CRASH_DUMP": str(self.folder / "erl_crash.dump"),
        }
        command = ["erl", "-noinput", "+S", "1", "-mnesia", "dir", f'"{self.folder}/data"', "-s", "ejabberd"]
        self.program = Program(f"ejabberd-{domain}", command, self.folder, env)

    def start(self) -> None:
        self.program.start()
        for port in (5222, 5269, 5280):
            self.program.wait_for_port(self.host, port, timeout_s=60)
        for account in self.accounts:
            body = f'{{"user": "{account}", "host": "{self.domain}", "password": "pw"}}'.encode()
            request = urllib.request.Request(f"http://{self.host}:5280/api/register", data=body)
            request.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(request, timeout=10):
                pass

    def stop(self) -> None:
        self.program.stop()

    def read_debug_log(self) -> str:
        return (self.folder / "debug.log").read_text(errors="replace")

    def how_streams_were_authenticated(self) -> set[str]:
        """ "external", "dialback" or both, as this server's own log tells."""
        log = self.read_debug_log()
        told = {
            "external": r"Accepted (in|out)bound s2s EXTERNAL",
            "dialback": r"Accepted (in|out)bound s2s dialback|<db:\w+[^>]* type='valid'",
        }
        return {way for way, pattern in told.items() if re.search(pattern, log)}
