"""The peers that the documentation shows first, between a real Prosody and a real Kamailio."""

from pathlib import Path

import pytest

from interop.peers import addresses

DOCS = Path(__file__).parents[2] / "docs"


def documented(page: str, *, having: str) -> list[str]:
    """The `[[peers]]` tables of the first example of a page that has these words."""
    examples = [block.partition("```")[0] for block in (DOCS / page).read_text().split("```toml\n")[1:]]
    example = next(one for one in examples if having in one)
    return [f"\n[[peers]]\n{table}" for table in example.split("[[peers]]\n")[1:]]


@pytest.mark.parametrize("mode", ["dialback", "component"])
async def test_messages_cross_both_ways(mode, prosody, kamailio, gateway, log_in, sipp, tmp_path):
    xmpp, sip = documented("start.md", having="[[peers]]")
    if mode == "component":
        secret = tmp_path / "component.secret"
        secret.write_text(addresses.COMPONENT_SECRET)
        [xmpp] = documented("operate/peers.md", having='link = "component"')
        xmpp = xmpp.replace("/etc/rialto/component.secret", str(secret))
    prosody("xa.example", mode)
    kamailio("tcp")
    gateway(xmpp, sip)
    alice = await log_in("alice@xa.example")
    await sipp.register("bob", 6080)
    listener = sipp.listen("bob", 6080)
    alice.say("bob@sip.example", "as documented ☾")
    assert await listener.hears(1, 30) == ["as documented ☾"]
    [sent] = await sipp.send("bob", "alice@xa.example", ["so it is"], 6090)
    assert sent.status == 200
    assert await alice.hears(1, 30, sender="bob@sip.example") == ["so it is"]
