"""The probe of an agreement, with a person at a real server on either side."""

import asyncio
import re

from interop.gateway import sip_peer, table, xmpp_peer
from interop.peers.sipp_presence import pidf
from interop.peers.xmpp_roster import RosterClient
from interop.test_conversations_sip import CPIM, TELLING

OPERATOR = "operator@gw.example"

AGREED = """
operators = [
  { name = "verona", domains = ["xa.example"], make_key = true },
  { name = "carrier", domains = ["sip.example"], make_key = true },
]

[[agreements]]
name = "vc"
a = "verona"
b = "carrier"
items = [{ service = "message", regime = "bill_and_keep" }, { service = "presence" }]
sign = ["verona", "carrier"]
order = true
"""


class Contact(RosterClient):
    """One who confirms every message, and lets everybody watch."""

    def __init__(self, jid, ca_file):
        super().__init__(jid, ca_file)
        self.roster.auto_authorize = True
        self.roster.auto_subscribe = False
        self.plugin["xep_0184"].auto_ack = True


async def test_a_probe_that_everybody_answers_makes_the_agreement_active(
    prosody, kamailio, gateway, authority, sipp, sipp_presence, tmp_path
):
    prosody("xa.example", "dialback")
    kamailio(presence="open")
    one = gateway(xmpp_peer("xa.example", "dialback"), sip_peer(), table("[policy]", agreements="required"))
    alice = Contact("alice@xa.example/desk", authority.ca_file)
    await alice.log_in()
    alice.show()
    await sipp.register("bob", 6080)
    bob = sipp.listen("bob", 6080)
    await sipp_presence.publish("bob", pidf("bob", ("desk", "open", "", "here")), 6081)

    def done(*words):
        status, output = one.command(*words)
        assert status == 0, output
        return output

    file = tmp_path / "agreements.toml"
    file.write_text(AGREED)
    done("apply", str(file), "--yes")
    people = ("--a", "alice@xa.example", "--b", "bob@sip.example")
    probing = asyncio.create_task(
        asyncio.to_thread(one.command, "order", "probe", "vc", "--wait", "30", *people)
    )
    await bob.hears(1)
    about = re.search(r"^imdn\.Message-ID: (.*)$", bob.received()[0].text, re.MULTILINE)[1].strip()
    body = TELLING.format(own="own", about=about, kind="delivery", status="delivered")
    body = body.replace("alice@xa.example", OPERATOR)
    sender = sipp.sender("bob", OPERATOR, [""], 6090, content_type=CPIM, body=body)
    sender.start()
    [sent] = await sender.finish()
    assert sent.status == 200
    status, output = await probing
    assert status == 0, output
    assert output.count("yes ") == 6
    assert '"completed"' in done("order", "list", "--json")

    alice.send_message(mto="bob@sip.example", mbody="at last", mtype="chat")
    assert (await bob.hears(2))[1] == "at last"
    await alice.log_out()
