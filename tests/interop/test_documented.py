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


@pytest.fixture
async def cross(log_in, sipp):
    """Send one message each way, and see both arrive."""

    async def both_ways() -> None:
        alice = await log_in("alice@xa.example")
        await sipp.register("bob", 6080)
        listener = sipp.listen("bob", 6080)
        alice.say("bob@sip.example", "as documented ☾")
        assert await listener.hears(1, 30) == ["as documented ☾"]
        [sent] = await sipp.send("bob", "alice@xa.example", ["so it is"], 6090)
        assert sent.status == 200
        assert await alice.hears(1, 30, sender="bob@sip.example") == ["so it is"]

    return both_ways


async def test_messages_cross_as_on_the_first_page(prosody, kamailio, gateway, cross):
    prosody("xa.example", "dialback")
    kamailio("tcp")
    gateway(*documented("start.md", having="[[peers]]"))
    await cross()


async def test_messages_cross_through_a_component(prosody, kamailio, gateway, cross, tmp_path):
    secret = tmp_path / "component.secret"
    secret.write_text(addresses.COMPONENT_SECRET)
    [xmpp] = documented("operate/peers.md", having='link = "component"')
    _, sip = documented("start.md", having="[[peers]]")
    prosody("xa.example", "component")
    kamailio("tcp")
    gateway(xmpp.replace("/etc/rialto/component.secret", str(secret)), sip)
    await cross()


async def test_messages_cross_with_certificates_on_both_sides(prosody, kamailio, gateway, cross):
    [xmpp] = documented("operate/peers.md", having='authentication = ["external"]')
    [sip] = documented("operate/peers.md", having='trust = ["tls"]')
    prosody("xa.example", "external")
    proxy = kamailio("tls")
    gateway(xmpp, sip)
    await cross()
    ways = {request.split()[0] for request in proxy.requests("MESSAGE") if addresses.GATEWAY in request}
    assert ways == {"tls"}
