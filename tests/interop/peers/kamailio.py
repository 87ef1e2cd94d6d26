"""Kamailio: registrar and proxy of sip.example, which sends the XMPP domains to the gateway.

Where it is asked to it is the presence agent of sip.example too (RFC 3856): it collects what its users
PUBLISH, and answers the SUBSCRIBE of their watchers.
"""

import re
import shutil
import socket
import sqlite3
import subprocess
from pathlib import Path
from typing import Literal

from . import addresses
from .certificates import Certificate
from .program import Program

Transport = Literal["udp", "tcp", "tls"]
Algorithm = Literal["MD5", "SHA-256"]

CONFIG = """\
#!KAMAILIO
debug=2
log_stderror=yes
fork=yes
children=2
tcp_children=2
enable_tls=yes
auto_aliases=no
alias="sip.example"
alias="proxy.sip.example"
alias="secure.example"
listen=udp:{host}:5060
listen=tcp:{host}:5060
listen=tls:{host}:5061
tcp_connection_lifetime=3605
# Without it the kernel takes 127.0.0.1 for the source of connections, an address that nobody trusts.
tcp_source_ipv4={host}
mpath="{modules}/"
loadmodule "db_text.so"
loadmodule "tls.so"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "sanity.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("tls", "config", "{folder}/tls.cfg")
# Contacts outlive a restart, as in real life: write-through, and nothing cached in front of the file.
modparam("usrloc", "db_mode", 1)
modparam("usrloc", "db_url", "text://{folder}/db")
modparam("db_text", "db_mode", 1)
modparam("auth", "algorithm", "{algorithm}")
modparam("registrar", "method_filtering", 0)
#!ifdef WITH_PRESENCE
loadmodule "ctl.so"
loadmodule "db_sqlite.so"
loadmodule "presence.so"
loadmodule "presence_xml.so"
modparam("ctl", "binrpc", "unix:{folder}/control")
modparam("presence", "db_url", "sqlite://{folder}/presence.db")
modparam("presence", "server_address", "sip:{host}:5060")
# Where nobody has to decide, subscriptions live in its memory and end with it: hard for those who watch.
modparam("presence", "subs_db_mode", {in_database})
modparam("presence", "publ_cache", 2)
modparam("presence", "notifier_processes", 0)
modparam("presence", "max_expires", {presence_expires_s})
modparam("presence_xml", "db_url", "sqlite://{folder}/presence.db")
modparam("presence_xml", "force_active", {force_active})
modparam("presence_xml", "integrated_xcap_server", 1)
#!endif
#!ifdef WITH_LISTS
loadmodule "pua.so"
loadmodule "rls.so"
modparam("pua", "db_url", "sqlite://{folder}/presence.db")
# What it is told it writes over what is there, which its SQLite cannot: it would jump to nowhere.
modparam("rls", "db_url", "text://{folder}/db")
modparam("rls", "xcap_db_url", "text://{folder}/db")
modparam("rls", "rlpres_db_url", "text://{folder}/db")
modparam("rls", "integrated_xcap_server", 1)
modparam("rls", "server_address", "sip:{host}:5060")
modparam("rls", "outbound_proxy", "{gateway}")
modparam("rls", "to_presence_code", 10)
modparam("rls", "waitn_time", 1)
#!endif

request_route {{
  xlog("L_INFO", "TRACE $pr $si:$sp $rm $ru from=$fu\\n");
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  if (!sanity_check("17895", "7")) {{ exit; }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
  if (!is_method("ACK")) {{ if (t_precheck_trans()) {{ t_check_trans(); exit; }} t_check_trans(); }}
  if (has_totag()) {{
#!ifdef WITH_PRESENCE
    if (is_method("SUBSCRIBE") && uri==myself) {{ route(PRESENCE); exit; }}
#!endif
#!ifdef WITH_LISTS
    if (is_method("NOTIFY") && uri==myself) {{ rls_handle_notify(); exit; }}
#!endif
    if (loose_route()) {{
      if (is_method("NOTIFY")) record_route();
      if (!t_relay()) sl_reply_error();
      exit;
    }}
    # Who sends all it has to its proxy may leave the route out.
    if (src_ip=={gateway_host} && !uri==myself) {{ if (!t_relay()) sl_reply_error(); exit; }}
  }}
  # Our own users prove who they are (or, where it says so, the gateway does).
  if ({challenged}) {{
    if (!pv_auth_check("sip.example", "pw", "0", "{name_check}")) {{
      auth_challenge("sip.example", "0");
      exit;
    }}
    if (!is_method("REGISTER")) consume_credentials();
  }}
  if (is_method("REGISTER")) {{ if (!save("location")) sl_reply_error(); exit; }}
  if (is_method("OPTIONS") && uri==myself && $rU==$null) {{ sl_send_reply("200", "OK"); exit; }}
  # Who watches its users over the gateway, the gateway knows.
  if (is_method("SUBSCRIBE") && $hdr(Event)=="presence.winfo" && {winfo_at_gateway}) {{
    record_route();
    $du = "{gateway}";
    if (!t_relay()) sl_reply_error();
    exit;
  }}
#!ifdef WITH_PRESENCE
  if (is_method("PUBLISH|SUBSCRIBE") && uri==myself) {{ route(PRESENCE); exit; }}
  # What the gateway publishes of its users is here for dave to see.
  if (is_method("PUBLISH") && src_ip=={gateway_host}) {{ route(PRESENCE); exit; }}
  if (is_method("SUBSCRIBE") && from_uri=~"^sip:dave@") {{ route(PRESENCE); exit; }}
#!endif
  if (is_method("INVITE|SUBSCRIBE")) record_route();
  if (uri!=myself && $rd=~"^(x[abt]|gw)\\.example$") {{
    $du = "{gateway}";
    if (!t_relay()) sl_reply_error();
    exit;
  }}
  if (uri!=myself) {{ sl_send_reply("403", "No open relay"); exit; }}
  if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
  if (!t_relay()) sl_reply_error();
}}

#!ifdef WITH_PRESENCE
route[PRESENCE] {{
  if (!t_newtran()) {{ sl_reply_error(); exit; }}
#!ifdef WITH_LISTS
  if (is_method("SUBSCRIBE")) {{
    $var(found) = rls_handle_subscribe();
    if ($var(found) != 10) {{ t_release(); exit; }}
  }}
#!endif
  if (is_method("PUBLISH")) handle_publish(); else handle_subscribe();
  t_release();
}}
#!endif
"""

RULES = """\
<?xml version="1.0" encoding="UTF-8"?>
<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules">
<rule id="{decision}">
<conditions><identity><one id="sip:{watcher}"/></identity></conditions>
<actions><pr:sub-handling>{decision}</pr:sub-handling></actions>
<transformations><pr:provide-services><pr:all-services/></pr:provide-services>
<pr:provide-persons><pr:all-persons/></pr:provide-persons>
<pr:provide-devices><pr:all-devices/></pr:provide-devices>
<pr:provide-all-attributes/></transformations>
</rule>
</ruleset>
"""
PRES_RULES = 2  # the number of that kind of document in its table
LISTS = """\
<?xml version="1.0" encoding="UTF-8"?>
<rls-services xmlns="urn:ietf:params:xml:ns:rls-services" xmlns:rl="urn:ietf:params:xml:ns:resource-lists">
<service uri="sip:{user}-list@sip.example"><list name="all">{entries}</list>
<packages><package>presence</package></packages></service>
</rls-services>
"""
RLS_SERVICES = 8

TLS_CONFIG = """\
[server:default]
method = TLSv1.2+
certificate = {certificate}
private_key = {key}
ca_list = {ca}
verify_certificate = yes
require_certificate = no
[client:default]
method = TLSv1.2+
certificate = {certificate}
private_key = {key}
ca_list = {ca}
verify_certificate = yes
require_certificate = yes
"""

TABLES = Path("/usr/share/kamailio/dbtext/kamailio")
SCHEMAS = Path("/usr/share/kamailio/db_sqlite")
CHALLENGED = {
    "users": 'is_method("REGISTER") || from_uri==myself',
    "gateway": "src_ip==" + addresses.GATEWAY,
    # QUIRK(libpurple): it proves itself when it registers, and never again.
    "registrations": 'is_method("REGISTER")',
}
GATEWAY_URI = {
    "udp": f"sip:{addresses.GATEWAY}:5060",
    "tcp": f"sip:{addresses.GATEWAY}:5060;transport=tcp",
    "tls": f"sip:{addresses.GATEWAY}:5061;transport=tls",
}


class Kamailio:
    """The proxy at 127.0.0.5; every user of sip.example, or else the gateway, has the password `pw`.

    `presence` makes it the presence agent of sip.example: "open" lets everybody watch, "asks" keeps a watcher
    waiting until `decide`. To it the gateway may PUBLISH its users, and dave is the one who sees them there
    and not at the gateway. Without it a SUBSCRIBE goes to the user's own client. `winfo`: who tells its users
    by whom they are watched. `lists`: it is a list server as well (RFC 4662), for people at the gateway.
    """

    def __init__(
        self,
        folder: Path,
        certificate: Certificate,
        ca_file: Path,
        to_gateway: Transport = "udp",
        challenged: Literal["users", "gateway", "registrations"] = "users",
        algorithm: Algorithm = "MD5",
        presence: Literal["", "open", "asks"] = "",
        presence_expires_s: int = 3600,
        winfo: Literal["agent", "gateway"] = "agent",
        lists: bool = False,
    ) -> None:
        self.host = addresses.SIP
        self.folder = folder / "kamailio"
        self.folder.mkdir()
        (self.folder / "tls.cfg").write_text(
            TLS_CONFIG.format(certificate=certificate.certificate, key=certificate.key, ca=ca_file)
        )
        database = self.folder / "db"
        database.mkdir()
        for table in ("version", "location", "location_attrs", "rls_presentity", "rls_watchers", "xcap"):
            shutil.copy(TABLES / table, database)
        config = self.folder / "kamailio.cfg"
        config.write_text(
            CONFIG.format(
                host=self.host,
                folder=self.folder,
                gateway=GATEWAY_URI[to_gateway],
                challenged=CHALLENGED[challenged],
                algorithm=algorithm,
                gateway_host=addresses.GATEWAY,
                presence_expires_s=presence_expires_s,
                force_active=int(presence == "open"),
                winfo_at_gateway=int(winfo == "gateway"),
                in_database=int(presence == "asks"),
                name_check="1" if challenged == "users" else "0",
                modules=next(Path("/usr/lib").glob("*/kamailio/modules")),
            )
        )
        command = [
            "kamailio",
            "-DD",
            "-E",
            "-f",
            config,
            "-Y",
            self.folder,
            "-P",
            self.folder / "kamailio.pid",
        ]
        if presence:
            command += ["-A", "WITH_PRESENCE"]
            with sqlite3.connect(self.folder / "presence.db") as made:
                for schema in ("standard", "presence"):
                    made.executescript((SCHEMAS / f"{schema}-create.sql").read_text())
        if lists:
            command += ["-A", "WITH_LISTS"]
        self.program = Program("kamailio", [*command, "-m", "64", "-M", "8"], self.folder)

    def start(self) -> None:
        self.program.start()
        self.program.wait_for(self._answers_options, "answers OPTIONS")
        self.program.wait_for_port(self.host, 5061)

    def stop(self) -> None:
        self.program.stop()

    def decide(self, user: str, watcher: str, decision: Literal["allow", "block"]) -> None:
        """`user`@sip.example decides about a watcher, once and for all (RFC 5025)."""
        rules = RULES.format(decision=decision, watcher=watcher)
        with sqlite3.connect(self.folder / "presence.db") as kept:
            kept.execute(
                "replace into xcap (username, domain, doc, doc_type, etag, source, doc_uri, port)"
                " values (?, 'sip.example', ?, ?, '1', 0, ?, 0)",
                (user, rules.encode(), PRES_RULES, f"rules-of-{user}"),
            )
        command = ["kamcmd", "-s", f"unix:{self.folder}/control", "presence.refreshWatchers"]
        command += [f"sip:{user}@sip.example", "presence", "0"]
        subprocess.run(command, check=True, timeout=10, capture_output=True)

    def write_list(self, user: str, *contacts: str) -> None:
        """Who is in the list `user`-list@sip.example (RFC 4826)."""
        entries = "".join(f'<rl:entry uri="sip:{contact}"/>' for contact in contacts)
        document = LISTS.format(user=user, entries=entries).replace("\n", "").replace(":", "\\:")
        with (self.folder / "db" / "xcap").open("a") as table:
            table.write(f"1:{user}:sip.example:{document}:{RLS_SERVICES}:1:0:lists-of-{user}:0\n")

    def requests(self, method: str) -> list[str]:
        """What passed through it: "PROTOCOL SOURCE METHOD URI from=URI" for each request of `method`."""
        return re.findall(rf"TRACE (\S+ \S+ {method} .*)", self.program.read_log())

    def _answers_options(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.bind((addresses.CLIENTS, 0))
            asker.settimeout(0.2)
            host, port = asker.getsockname()
            request = (
                "OPTIONS sip:sip.example SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bKup{port}\r\n"
                f"Max-Forwards: 70\r\nFrom: <sip:probe@{host}>;tag=1\r\nTo: <sip:sip.example>\r\n"
                f"Call-ID: up-{port}@{host}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            )
            asker.sendto(request.encode(), (self.host, 5060))
            try:
                return asker.recv(65536).startswith(b"SIP/2.0 200")
            except OSError:
                return False
