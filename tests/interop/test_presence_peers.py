"""The peers of the presence tests stand without the gateway."""

from interop.peers.sipp_presence import pidf


async def test_a_presence_agent_tells_a_watcher_what_was_published(kamailio, sipp_presence):
    kamailio(presence="open")
    watcher = sipp_presence.watcher(["carol"], "bob@sip.example", 6090, cue="good-bye")
    await watcher.told("that she may watch", lambda one: one.state == "active")
    etag = await sipp_presence.publish("bob", pidf("bob", ("t1", "open", "", "here")), 6080)
    told = await watcher.told("that he is there", lambda one: bool(one.open))
    assert told.open["t1"].notes == ("here",)
    await sipp_presence.publish("bob", pidf("bob", ("t1", "open", "busy", "good-bye")), 6081, etag)
    await watcher.ended()
    assert watcher.notifies()[-1].state == "terminated;reason=timeout"


async def test_a_presence_agent_waits_for_a_decision(kamailio, sipp_presence):
    agent = kamailio(presence="asks")
    await sipp_presence.publish("bob", pidf("bob", ("t1", "open", "", "here")), 6080)
    watcher = sipp_presence.watcher(["carol"], "bob@sip.example", 6090)
    await watcher.told("to wait", lambda one: one.state == "pending")
    agent.decide("bob", "carol@sip.example", "allow")
    await watcher.told("that he is there", lambda one: one.state == "active" and bool(one.open))
    agent.decide("bob", "carol@sip.example", "block")
    await watcher.told("no more", lambda one: one.state.startswith("terminated"))
    await watcher.ended()
