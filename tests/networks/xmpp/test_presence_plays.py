"""Romeo and his server on one side, Juliet behind the gateway on the other; real streams between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec.structs import replace

from networks.xmpp.presence_house import SEEING, SEEN, Gateway, Server, presence, shown, state
from networks.xmpp.stage import PLAIN, ROME, VERONA, free_port, peer, until
from rialto.core.network import Origin, Peer, Verb
from rialto.model.errors import Reason, Refused
from rialto.model.presence import Document, Grant, Show
from rialto.networks.xmpp import presence as presence_module
from rialto.networks.xmpp import presence_look
from rialto.networks.xmpp.presence_incoming import receive_presence
from rialto.networks.xmpp.settings import PeerSettings
from rialto.networks.xmpp.wire.conditions import error_element
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.events import StanzaReceived

Raise = Callable[..., Awaitable[tuple[Server, Gateway]]]


@pytest.fixture
async def stand() -> AsyncIterator[Raise]:
    made: list[Server | Gateway] = []

    async def make(settings: PeerSettings = PLAIN) -> tuple[Server, Gateway]:
        ports = free_port(), free_port()
        server = Server((peer(VERONA, replace(PLAIN, host="127.0.0.1", port=ports[1])),), port=ports[0])
        gateway = Gateway((peer(ROME, replace(settings, host="127.0.0.1", port=ports[0])),), port=ports[1])
        made.extend((server, gateway))
        await gateway.start()
        await server.start()
        for line in gateway.network._lines.values():
            line._rest_until = 0.0  # it knocked before the server was there
        return server, gateway

    yield make
    for one in made:
        await one.stop()


async def granted(server: Server, gateway: Gateway) -> None:
    """Romeo may see Juliet."""
    server.says(presence("subscribe"))
    await until(lambda: (SEEING, Verb.ASK) in gateway.far.said)
    gateway.hub.presence.granted(SEEING, None)
    await until(lambda: "subscribed juliet romeo" in server.lines())


async def returned(server: Server, gateway: Gateway) -> None:
    """Juliet may see Romeo, who is offline so far as she knows, and listens."""
    gateway.hub.presence.ask(SEEN, None)
    gateway.hub.presence.open(SEEN, None)
    await until(lambda: "subscribe juliet romeo" in server.lines())
    server.says(presence("subscribed"))
    server.says(presence("unavailable"))
    await until(lambda: document(gateway) is not None)


def document(gateway: Gateway) -> Document | None:
    view = gateway.hub.presence.view(SEEN)
    return view.document if view is not None else None


def instances(gateway: Gateway) -> list[str] | None:
    known = document(gateway)
    return [one.instance for one in known.states] if known is not None else None


def listening(gateway: Gateway) -> bool:
    view = gateway.hub.presence.view(SEEING)
    return view is not None and view.listening


# -- Romeo watches ---------------------------------------------------------------------------------------


async def test_an_authorization_is_asked_for_given_and_used(stand: Raise) -> None:  # RFC 8048 section 5.2.1
    server, gateway = await stand()
    server.says(presence("subscribe", Element("status", {}, ["it is I"])))
    await until(lambda: gateway.far.said == [(SEEING, Verb.ASK)])
    view = gateway.hub.presence.view(SEEING)
    assert view is not None
    assert (view.note, view.listening) == ("it is I", True)
    gateway.hub.presence.pending(SEEING, None)
    await asyncio.sleep(0.05)
    assert server.heard == []  # PRS-13
    gateway.hub.presence.granted(SEEING, None)
    gateway.show(state("balcony", Show.AWAY))
    await until(lambda: len(server.heard) >= 2)
    assert server.lines() == ["subscribed juliet romeo", "away juliet/balcony romeo"]


async def test_it_is_not_asked_for_twice(stand: Raise) -> None:  # DEP-4, PRS-17
    server, gateway = await stand()
    await granted(server, gateway)
    gateway.show(state("balcony"))
    await until(lambda: len(server.heard) == 2)
    server.says(presence("subscribe"))
    await until(lambda: len(server.heard) == 4)
    assert sorted(server.lines()[2:]) == ["available juliet/balcony romeo", "subscribed juliet romeo"]
    assert [verb for _, verb in gateway.far.said].count(Verb.ASK) == 1


async def test_a_refusal_takes_back_what_was_shown_and_says_why(stand: Raise) -> None:  # PRS-34, PRS-97
    server, gateway = await stand()
    await granted(server, gateway)
    gateway.show(state("balcony"), state("crypt"))
    await until(lambda: len(server.heard) == 3)
    gateway.hub.presence.refused(SEEING, None, Refused(Reason.FORBIDDEN, "not you"), for_good=True)
    await until(lambda: len(server.heard) == 6)
    assert server.lines()[3:] == [
        "unavailable juliet/balcony romeo",
        "unavailable juliet/crypt romeo",
        "unsubscribed juliet romeo",
    ]
    status = server.heard[5].find("status")
    assert status is not None
    assert status.text == "not you"


async def test_a_request_that_cannot_be_is_refused_at_once(stand: Raise) -> None:
    server, gateway = await stand()
    server.says(presence("subscribe", to=VERONA))
    await until(lambda: server.heard)
    assert server.heard[0].attributes == {"from": VERONA, "to": f"romeo@{ROME}", "type": "unsubscribed"}
    assert gateway.far.said == []


async def test_what_is_given_back_is_taken_off_the_screen(stand: Raise) -> None:  # PRS-51, PRS-53, PRS-55
    server, gateway = await stand()
    await granted(server, gateway)
    gateway.show(state("balcony"))
    await until(lambda: len(server.heard) == 2)
    server.says(presence("unsubscribe"))
    await until(lambda: len(server.heard) == 4)
    assert server.lines()[2:] == ["unavailable juliet/balcony romeo", "unsubscribed juliet romeo"]
    assert gateway.far.said[-1] == (SEEING, Verb.GIVE_BACK)
    gateway.hub.presence.done(SEEING, None)
    server.says(presence("unsubscribe"))  # PRS-54
    await until(lambda: len(server.heard) == 5)
    assert server.lines()[4] == "unsubscribed juliet romeo"


async def test_only_what_changes_is_told_and_what_goes_goes_from_where_it_was(stand: Raise) -> None:
    server, gateway = await stand()  # PRS-123, PRS-124
    await granted(server, gateway)
    gateway.show(state("balcony"), state("crypt"))
    await until(lambda: len(server.heard) == 3)
    gateway.show(state("balcony"), state("crypt", Show.DND))
    await until(lambda: len(server.heard) == 4)
    gateway.show(state("crypt", Show.DND), state("orchard"))
    await until(lambda: len(server.heard) == 6)
    assert server.lines()[3:] == [
        "dnd juliet/crypt romeo",
        "available juliet/orchard romeo",
        "unavailable juliet/balcony romeo",
    ]


async def test_a_probe_is_answered_from_what_is_known(stand: Raise) -> None:  # PRS-141
    server, gateway = await stand()
    await granted(server, gateway)
    gateway.show(state("balcony"))
    await until(lambda: len(server.heard) == 2)
    server.says(presence("probe", resource="orchard"))
    await until(lambda: len(server.heard) == 3)
    assert server.lines()[2] == "available juliet/balcony romeo/orchard"
    assert [verb for _, verb in gateway.far.said] == [Verb.ASK]


async def test_a_probe_in_the_middle_of_a_change_leaves_no_ghost(stand: Raise) -> None:
    server, gateway = await stand()
    await granted(server, gateway)
    gateway.show(state("balcony"))
    await until(lambda: len(server.heard) == 2)
    gateway.show(state("balcony"), state("crypt"))  # not told yet
    event = StanzaReceived(presence("probe"), SEEING.watcher, SEEING.presentity, 0, "dialback")
    stream = next(iter(gateway.network._streams))
    receive_presence(gateway.network, gateway.network._watching, stream, event)
    gateway.show(state("balcony", Show.AWAY))
    await until(lambda: "away juliet/balcony romeo" in server.lines())
    assert not any("crypt" in line for line in server.lines())


async def test_a_probe_of_somebody_offline_is_answered_unavailable(stand: Raise) -> None:
    server, gateway = await stand()
    await granted(server, gateway)
    gateway.show()
    await until(lambda: len(server.heard) == 2)
    server.says(presence("probe"))
    await until(lambda: len(server.heard) == 3)
    assert server.lines()[1:] == ["unavailable juliet romeo"] * 2


async def test_a_probe_without_authorization_is_one_look(stand: Raise) -> None:  # PRS-140
    server, gateway = await stand()
    server.says(presence("probe"))
    await until(lambda: gateway.far.said == [(SEEING, Verb.FETCH)])
    gateway.show(state("balcony"))
    await until(lambda: server.heard)
    assert server.lines() == ["available juliet/balcony romeo"]
    server.says(presence("probe"))
    await until(lambda: len(gateway.far.said) == 2)
    gateway.hub.presence.refused(SEEING, None, Refused(Reason.FORBIDDEN, "no"), for_good=True)
    await until(lambda: len(server.heard) == 2)
    assert server.lines()[1] == "unsubscribed juliet romeo"


async def test_a_probe_of_somebody_who_said_no_is_answered_so(stand: Raise) -> None:
    server, gateway = await stand()
    server.says(presence("subscribe"))
    await until(lambda: gateway.far.said)
    gateway.hub.presence.refused(SEEING, None, Refused(Reason.DECLINED, "no"), for_good=True)
    await until(lambda: len(server.heard) == 1)
    server.says(presence("probe"))
    await until(lambda: len(server.heard) == 2)
    assert server.lines() == ["unsubscribed juliet romeo"] * 2


async def test_what_is_stale_says_so(stand: Raise) -> None:
    server, gateway = await stand()
    await granted(server, gateway)
    at = time.time()
    gateway.show(state("balcony"), at=at)
    await until(lambda: len(server.heard) == 2)
    gateway.hub.presence.silent(SEEING, None, at)
    await until(lambda: len(server.heard) == 3)
    status = server.heard[2].find("status")
    assert status is not None
    assert status.text == time.strftime("as of %H:%M UTC", time.gmtime(at))
    assert server.heard[2].find("urn:xmpp:delay}delay") is not None
    gateway.show(state("balcony"))
    await until(lambda: len(server.heard) == 4)
    assert server.heard[3].find("status") is None


# -- Juliet watches --------------------------------------------------------------------------------------


async def test_a_request_reaches_the_user_and_the_answer_the_watcher(stand: Raise) -> None:
    server, gateway = await stand()  # PRS-60, PRS-63
    gateway.hub.presence.ask(SEEN, None, note="it is I")
    gateway.hub.presence.open(SEEN, None)
    await until(lambda: server.lines() == ["subscribe juliet romeo"])
    status = server.heard[0].find("status")
    assert status is not None
    assert status.text == "it is I"
    server.says(presence("subscribed"))
    server.says(presence("", shown("away"), resource="orchard"))
    server.says(presence("", resource="wall"))
    await until(lambda: instances(gateway) == ["orchard", "wall"])
    await until(lambda: gateway.far.told and gateway.far.told[-1].document is not None)
    assert server.lines() == ["subscribe juliet romeo"]  # nobody had to be probed
    known = document(gateway)
    assert known is not None
    assert [one.show for one in known.states] == [Show.AWAY, Show.AVAILABLE]


async def test_a_server_that_says_nothing_after_its_approval_is_probed(stand: Raise) -> None:
    server, gateway = await stand()
    server.answers["probe"] = [presence("", resource="orchard")]
    gateway.hub.presence.ask(SEEN, None)
    gateway.hub.presence.open(SEEN, None)
    await until(lambda: server.heard)
    server.says(presence("subscribed"))
    await until(lambda: instances(gateway) == ["orchard"])
    assert server.lines() == ["subscribe juliet romeo", "probe juliet romeo"]


async def test_the_answers_to_a_probe_are_one_document(stand: Raise) -> None:
    server, gateway = await stand()
    await returned(server, gateway)
    gateway.hub.presence.close(SEEN, None)
    gateway.far.told.clear()
    server.answers["probe"] = [presence("", resource=name) for name in ("wall", "orchard", "street")]
    gateway.hub.presence.open(SEEN, None)
    await until(lambda: instances(gateway) == ["orchard", "street", "wall"])
    await until(lambda: gateway.far.told[-1].document == document(gateway))
    sizes = {len(view.document.states) for view in gateway.far.told if view.document is not None}
    assert sizes <= {0, 3}


async def test_a_server_that_answers_pings_but_no_probe_has_nobody_to_show(
    stand: Raise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_look, "SILENCE_S", 0.1)
    server, gateway = await stand()
    await returned(server, gateway)
    server.says(presence("", resource="orchard"))
    await until(lambda: instances(gateway) == ["orchard"])
    gateway.hub.presence.close(SEEN, None)
    gateway.hub.presence.open(SEEN, None)
    await until(lambda: "probe juliet romeo" in server.lines())
    await until(lambda: instances(gateway) == [])


async def test_a_server_that_is_silent_altogether_has_not_said_that_they_are_offline(
    stand: Raise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_look, "SILENCE_S", 0.1)
    monkeypatch.setattr(presence_module, "PONG_WITHIN_S", 0.2)
    server, gateway = await stand()
    await returned(server, gateway)
    server.says(presence("", resource="orchard"))
    await until(lambda: instances(gateway) == ["orchard"])
    monkeypatch.setattr(server.network, "on_stanza", lambda stream, event: stream.handled(event.number))
    gateway.hub.presence.close(SEEN, None)
    gateway.hub.presence.open(SEEN, None)
    await until(lambda: (watch := gateway.hub.presence.find(SEEN)) is not None and watch.failures)
    assert instances(gateway) == ["orchard"]


async def test_one_resource_leaves_and_the_other_remains(stand: Raise) -> None:
    server, gateway = await stand()
    await returned(server, gateway)
    server.says(presence("", resource="orchard"))
    server.says(presence("", shown("dnd"), resource="wall"))
    await until(lambda: instances(gateway) == ["orchard", "wall"])
    server.says(presence("unavailable", resource="orchard"))
    await until(lambda: instances(gateway) == ["wall"])
    server.says(presence("unavailable", resource="wall"))
    await until(lambda: instances(gateway) == [])


async def test_a_probe_answered_with_unsubscribed_ends_it(stand: Raise) -> None:  # PRS-145
    server, gateway = await stand()
    await returned(server, gateway)
    gateway.hub.presence.close(SEEN, None)
    server.answers["probe"] = [presence("unsubscribed")]
    gateway.hub.presence.open(SEEN, None)
    await until(lambda: gateway.far.told[-1].grant is Grant.REFUSED)


async def test_an_error_on_a_request_is_a_refusal(stand: Raise) -> None:
    server, gateway = await stand()
    error = error_element("item-not-found")
    server.answers["subscribe"] = [presence("error", error)]
    gateway.hub.presence.ask(SEEN, None)
    await until(lambda: gateway.far.told and gateway.far.told[-1].grant is Grant.REFUSED)
    assert gateway.far.told[-1].reason is Reason.NOT_FOUND
    await asyncio.sleep(0.05)
    assert server.lines() == ["subscribe juliet romeo"]  # DEP-5


async def test_an_error_that_may_pass_is_none(stand: Raise) -> None:
    server, gateway = await stand()
    await returned(server, gateway)
    server.says(presence("error", error_element("remote-server-timeout")))
    await asyncio.sleep(0.1)
    view = gateway.hub.presence.view(SEEN)
    assert view is not None
    assert view.grant is Grant.GRANTED


async def test_giving_back_is_an_unsubscribe(stand: Raise) -> None:
    server, gateway = await stand()
    await returned(server, gateway)
    gateway.hub.presence.give_back(SEEN, None)
    await until(lambda: server.lines()[-1] == "unsubscribe juliet romeo")
    await until(lambda: len(gateway.hub.presence) == 0)


async def test_a_watcher_that_leaves_is_seen_to_go(stand: Raise) -> None:  # RFC 8048 section 5.3.3
    server, gateway = await stand()
    await returned(server, gateway)
    gateway.hub.presence.close(SEEN, None)
    await until(lambda: server.lines()[-1] == "unavailable juliet romeo")


# -- sessions --------------------------------------------------------------------------------------------


async def test_the_last_resource_that_goes_ends_the_session_and_the_first_begins_one(stand: Raise) -> None:
    server, gateway = await stand()  # PRS-31, PRS-33
    await granted(server, gateway)
    await returned(server, gateway)
    await until(lambda: not listening(gateway))
    server.says(presence("", resource="orchard"))
    await until(lambda: listening(gateway))
    server.says(presence("", resource="wall"))
    await until(lambda: instances(gateway) == ["orchard", "wall"])
    server.says(presence("unavailable", resource="orchard"))
    await until(lambda: instances(gateway) == ["wall"])
    assert listening(gateway)
    server.says(presence("unavailable", resource="wall"))
    await until(lambda: not listening(gateway))
    await until(lambda: gateway.far.said[-1] == (SEEING, Verb.CLOSE))
    server.says(presence("probe"))
    await until(lambda: listening(gateway))
    await until(lambda: gateway.far.said[-1] == (SEEING, Verb.OPEN))


async def test_who_came_while_we_were_away_is_found_after_a_restart(stand: Raise) -> None:
    server, gateway = await stand()
    await granted(server, gateway)
    await returned(server, gateway)
    await until(lambda: not listening(gateway))
    server.answers["probe"] = [presence("", resource="orchard")]
    view = gateway.hub.presence.view(SEEN)
    assert view is not None
    gateway.network.resume(replace(view, listening=False), "presentity")
    gateway.network._watching.start()
    await until(lambda: listening(gateway))
    await until(lambda: gateway.far.said[-1] == (SEEING, Verb.OPEN))


async def test_a_user_who_is_not_there_any_more_is_told_nothing_more(stand: Raise) -> None:  # DEP-5
    server, gateway = await stand()
    await granted(server, gateway)
    gateway.show(state("balcony"))
    await until(lambda: len(server.heard) == 2)
    told = server.heard[-1].get("id")
    server.says(presence("error", error_element("item-not-found"), id=told))
    await until(lambda: not listening(gateway))


async def test_presence_that_nobody_asked_for_and_that_of_rooms_is_counted(stand: Raise) -> None:
    server, gateway = await stand()
    server.says(presence("", resource="orchard"))
    server.says(presence("", Element("http://jabber.org/protocol/muc}x"), resource="orchard"))
    server.says(presence("invented"))
    await until(lambda: len(gateway.hub.counted) >= 3)
    assert [what for _, _, what in gateway.hub.counted] == [
        "presence directed",
        "presence of a room",
        "presence",
    ]
    assert server.heard == []
    assert len(gateway.hub.presence) == 0


async def test_what_is_written_to_a_resource_on_the_screen_is_for_the_person(stand: Raise) -> None:
    server, gateway = await stand()
    await granted(server, gateway)
    gateway.show(state("tuple-1"))
    await until(lambda: len(server.heard) == 2)
    for resource in ("tuple-1", "a-gruu"):
        body = Element("body", {}, ["soft"])
        to = {"from": f"romeo@{ROME}/x", "to": f"juliet@{VERONA}/{resource}", "type": "chat"}
        server.says(Element("message", to, [body]))
    await until(lambda: len(gateway.hub.accepted) == 2)
    assert [one.recipient.instance for one, _ in gateway.hub.accepted] == ["", "a-gruu"]


async def test_nobody_speaks_for_the_users_of_another(stand: Raise) -> None:
    server, gateway = await stand()
    await returned(server, gateway)
    component = Peer("elsewhere", "xmpp", ("elsewhere.example",), PLAIN)

    class Stream:
        """Of a server where we are a component: it may write for anybody."""

        def origin(self, domain: str, proof: str) -> Origin:
            return Origin(component, domain, proof)

    forged = presence("", resource="orchard")
    event = StanzaReceived(forged, replace(SEEN.presentity, instance="orchard"), SEEN.watcher, 0, "component")
    receive_presence(gateway.network, gateway.network._watching, Stream(), event)  # type: ignore[arg-type]
    assert gateway.hub.counted[-1] == ("ignored", "xmpp", "presence of another's user")
    assert instances(gateway) == []


async def test_a_server_that_cannot_be_reached_is_known_to_fail_for_all_its_users(stand: Raise) -> None:
    server, gateway = await stand()
    await returned(server, gateway)
    server.says(presence("", resource="orchard"))
    await until(lambda: instances(gateway) == ["orchard"])
    for stream in list(server.network._streams):
        stream.close()  # in peace: that alone means nothing
    await until(lambda: not gateway.network._streams)
    await server.stop()
    await granted_in_vain(gateway)
    await until(lambda: (watch := gateway.hub.presence.find(SEEN)) is not None and watch.failures)


async def granted_in_vain(gateway: Gateway) -> None:
    """Somebody tries to tell Romeo something, and cannot."""
    gateway.hub.presence.ask(SEEING, None)
    await until(lambda: (SEEING, Verb.ASK) in gateway.far.said)
    gateway.hub.presence.granted(SEEING, None)


async def test_a_peer_without_presence_is_refused_politely(stand: Raise) -> None:
    server, gateway = await stand(replace(PLAIN, presence=False))
    server.says(presence("subscribe"))
    await until(lambda: server.lines() == ["unsubscribed juliet romeo"])
    assert len(gateway.hub.presence) == 0
    gateway.hub.presence.ask(SEEN, None)
    await until(lambda: gateway.far.told and gateway.far.told[-1].grant is Grant.REFUSED)
    assert gateway.far.told[-1].reason is Reason.NOT_SUPPORTED


async def test_presence_that_overtakes_the_decision_is_asked_for_again(stand: Raise) -> None:
    """QUIRK(ejabberd): each resource has its own way to us."""
    server, gateway = await stand()
    gateway.hub.presence.ask(SEEN, None)
    gateway.hub.presence.open(SEEN, None)
    await until(lambda: "subscribe juliet romeo" in server.lines())
    server.answers["probe"] = [presence("", resource="phone"), presence("", resource="orchard")]
    server.says(presence("", resource="phone"))
    server.says(presence("subscribed"))
    server.says(presence("", resource="orchard"))
    await until(lambda: instances(gateway) == ["orchard", "phone"])
    assert server.lines().count("probe juliet romeo") == 1


# -- outages ---------------------------------------------------------------------------------------------


async def test_while_a_stream_is_down_only_the_newest_is_kept(stand: Raise) -> None:
    server, gateway = await stand()
    await granted(server, gateway)
    gateway.show(state("balcony"))
    await until(lambda: len(server.heard) == 2)
    for stream in list(gateway.network._streams):
        stream.link.abort()
    await until(lambda: not gateway.network._streams)
    for show in (Show.AWAY, Show.XA, Show.DND):
        gateway.show(state("balcony", show))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await until(lambda: len(server.heard) >= 3)
    await asyncio.sleep(0.1)
    assert server.lines()[2:] in (
        ["dnd juliet/balcony romeo"],
        ["away juliet/balcony romeo", "dnd juliet/balcony romeo"],
    )


async def test_news_that_could_not_be_told_come_when_the_server_is_back(stand: Raise) -> None:
    server, gateway = await stand()
    await granted(server, gateway)
    gateway.show(state("balcony"))
    await until(lambda: len(server.heard) == 2)
    port = gateway.hub.peers[0].settings.port
    server.network._stopping = True
    for listener in server.network._listeners:
        listener.close()
    for stream in list(server.network._streams):
        stream.link.abort()
    await until(lambda: not gateway.network._streams)
    gateway.show(state("balcony", Show.DND))
    view = gateway.hub.presence.view
    await until(
        lambda: (
            (known := view(SEEING))
            and known.told_document
            and known.told_document.states[0].show is Show.AVAILABLE
        )
    )
    other = Server(server.hub.peers, port=port)
    await other.start()
    other.says(presence("", resource="orchard"))
    await until(lambda: other.lines() == ["dnd juliet/balcony romeo"])
    await other.stop()


async def test_after_a_lost_stream_those_who_are_watched_are_asked_about_again(stand: Raise) -> None:
    server, gateway = await stand()
    await returned(server, gateway)
    server.answers["probe"] = [presence("", resource="orchard")]
    for stream in list(server.network._streams):
        stream.link.abort()
    await until(lambda: instances(gateway) == ["orchard"])
    assert server.lines()[-1] == "probe juliet romeo"
