"""dnsmasq with the zone of the tests: the domains under example. with SRV and NAPTR records."""

from pathlib import Path

import dns.exception
import dns.message
import dns.query

from . import addresses
from .program import Program

# Not under test.: resolvers answer NXDOMAIN for that one by themselves (RFC 6761 section 6.2).
ZONE = f"""\
no-resolv
no-hosts
port=53
listen-address={addresses.DNS}
bind-interfaces
local=/example/
log-queries

host-record=xa.example,xmpp.xa.example,{addresses.XA}
host-record=xb.example,xmpp.xb.example,{addresses.XB}
host-record=sip.example,proxy.sip.example,{addresses.SIP}
host-record=dead.sip.example,{addresses.NOBODY}
host-record=gw.example,{addresses.GATEWAY}

# XMPP: the domains with a server of their own, and the one that the gateway serves
srv-host=_xmpp-server._tcp.xa.example,xmpp.xa.example,5269,0,5
srv-host=_xmpp-server._tcp.xb.example,xmpp.xb.example,5269,0,5
srv-host=_xmpp-server._tcp.sip.example,gw.example,5269,0,5

# XMPP where TLS begins with the first byte (XEP-0368), and nothing else is offered
host-record=xt.example,{addresses.XA}
srv-host=_xmpps-server._tcp.xt.example,xt.example,5270,0,5
srv-host=_xmpps-server._tcp.secure.example,gw.example,5270,0,5

# SIP: the domain with a proxy of its own, and the ones that the gateway serves
naptr-record=sip.example,10,10,S,SIP+D2T,,_sip._tcp.sip.example
naptr-record=sip.example,20,10,S,SIP+D2U,,_sip._udp.sip.example
naptr-record=sip.example,30,10,S,SIPS+D2T,,_sips._tcp.sip.example
srv-host=_sip._udp.sip.example,proxy.sip.example,5060,0,5
srv-host=_sip._tcp.sip.example,dead.sip.example,5060,0,5
srv-host=_sip._tcp.sip.example,proxy.sip.example,5060,10,5
srv-host=_sips._tcp.sip.example,proxy.sip.example,5061,0,5
srv-host=_sip._udp.xa.example,gw.example,5060,0,5
srv-host=_sip._tcp.xa.example,gw.example,5060,0,5
srv-host=_sips._tcp.xa.example,gw.example,5061,0,5
srv-host=_sip._udp.xb.example,gw.example,5060,0,5
srv-host=_sip._tcp.xb.example,gw.example,5060,0,5
srv-host=_sips._tcp.xb.example,gw.example,5061,0,5
"""


def dnsmasq(folder: Path) -> Program:
    """A name server at 127.0.0.1:53, answering when this returns."""
    zone = folder / "dnsmasq.conf"
    zone.write_text(ZONE)
    # --no-daemon: nor does it change its user, which an ordinary user's namespace forbids.
    program = Program("dnsmasq", ["dnsmasq", "--no-daemon", f"--conf-file={zone}"], folder)
    program.start()
    program.wait_for(_answers, "answers")
    return program


def _answers() -> bool:
    query = dns.message.make_query("xa.example", "A")
    try:
        return bool(dns.query.udp(query, addresses.DNS, timeout=0.2).answer)
    except (dns.exception.Timeout, OSError):
        return False
