"""Kamailio as an MSRP relay (RFC 4976) at 127.0.0.5, port 2855; everybody's password is `pw`."""

import re
from pathlib import Path

from . import addresses
from .program import Program

PORT = 2855
REALM = "relay.example"

CONFIG = """\
#!KAMAILIO
debug=2
log_stderror=yes
fork=yes
children=1
tcp_children=2
auto_aliases=no
listen=tcp:{host}:{port}
tcp_accept_no_cl=yes
tcp_connection_lifetime=3605
# It holds nobody back: whoever reads more slowly than others write needs room here, or is cut off.
tcp_conn_wq_max=16777216
tcp_wq_max=67108864
mpath="{modules}/"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "xlog.so"
loadmodule "auth.so"
modparam("auth", "qop", "auth")
loadmodule "htable.so"
loadmodule "cfgutils.so"
loadmodule "msrp.so"
modparam("htable", "htable", "paths=>size=8;")

request_route {{ exit; }}

event_route[msrp:frame-in] {{
  msrp_reply_flags("1");
  if (msrp_is_reply()) {{ msrp_relay(); exit; }}
  xlog("L_INFO", "TRACE $msrp(srcaddr) $msrp(method) $msrp(nexthops) $msrp(sessid)\\n");
  if ($msrp(method)=="AUTH") {{
    if ($msrp(nexthops)>0) {{ msrp_relay(); exit; }}
    if (!pv_www_authenticate("{realm}", "pw", "0", "AUTH")) {{
      if (!auth_get_www_authenticate("{realm}", "0", "$var(asked)")) exit;
      msrp_reply("401", "Unauthorized", "$var(asked)");
      exit;
    }}
    $var(number) = $var(number) + 1;
    $var(path) = "s" + $pp + "x" + $var(number) + "x" + $RANDOM;
    $sht(paths=>$var(path)::address) = $msrp(srcaddr);
    $sht(paths=>$var(path)::socket) = $msrp(srcsock);
    $var(fields) = "Use-Path: msrp://{host}:{port}/" + $var(path) + ";tcp\\r\\nExpires: 600\\r\\n";
    msrp_reply("200", "OK", "$var(fields)");
    exit;
  }}
  if ($msrp(method)=="SEND" || $msrp(method)=="REPORT") {{
    if ($msrp(nexthops)>1) {{
      if ($msrp(method)!="REPORT") msrp_reply("200", "OK");
      msrp_relay();
      exit;
    }}
    $var(path) = $msrp(sessid);
    if ($sht(paths=>$var(path)::address)==$null) {{ msrp_reply("481", "Session-does-not-exist"); exit; }}
    if ($msrp(method)!="REPORT") msrp_reply("200", "OK");
    msrp_relay_flags("1");
    msrp_set_dst("$sht(paths=>$var(path)::address)", "$sht(paths=>$var(path)::socket)");
    msrp_relay();
    exit;
  }}
  msrp_reply("501", "Not-implemented");
}}
"""


class MsrpRelay:
    """The relay. It takes each chunk as a whole, and answers it before it hands it on."""

    def __init__(self, folder: Path) -> None:
        self.host = addresses.SIP
        self.port = PORT
        self.uri = f"msrp://{self.host}:{PORT};tcp"
        self.folder = folder / "relay"
        self.folder.mkdir()
        config = self.folder / "kamailio.cfg"
        modules = next(Path("/usr/lib").glob("*/kamailio/modules"))
        config.write_text(CONFIG.format(host=self.host, port=PORT, modules=modules, realm=REALM))
        pid = self.folder / "kamailio.pid"
        command = ["kamailio", "-DD", "-E", "-f", config, "-Y", self.folder, "-P", pid, "-m", "64", "-M", "8"]
        self.program = Program("kamailio", command, self.folder)

    def start(self) -> None:
        self.program.start()
        self.program.wait_for_port(self.host, PORT)

    def stop(self) -> None:
        self.program.stop()

    def requests(self, method: str) -> list[str]:
        """What passed through it: "SOURCE METHOD HOPS SESSION" for each request of `method`."""
        return re.findall(rf"TRACE (\S+ {method} .*)", self.program.read_log())
