"""Romeo and Juliet learn one another's names: he lives on XMPP, she behind the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec.structs import replace

from networks.xmpp.presence_house import JULIET, ROMEO, SEEING, SEEN, Gateway, Server, presence, state
from networks.xmpp.stage import PLAIN, ROME, VERONA, free_port, peer, until
from rialto.core.network import Verb
from rialto.model.address import Address
from rialto.model.face import Face, picture_of
from rialto.networks.xmpp.answers import Self, answer_iq, capabilities_of_people
from rialto.networks.xmpp.capabilities import NODE, verification
from rialto.networks.xmpp.cards import nickname
from rialto.networks.xmpp.faces import MAX_OPEN
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.namespaces import CAPS, DATA_FORMS, DISCO_INFO, NICK, VCARD, VCARD_UPDATE

Raise = Callable[[], Awaitable[tuple[Server, Gateway]]]
NAMED = Face("Juliet Capulet", "Jule", "https://verona.example/", "https://verona.example/j.png")
PICTURE = picture_of(b"\x89PNG\r\n\x1a\nx")


@pytest.fixture
async def stand() -> AsyncIterator[Raise]:
    made: list[Server | Gateway] = []

    async def make() -> tuple[Server, Gateway]:
        ports = free_port(), free_port()
        server = Server((peer(VERONA, replace(PLAIN, host="127.0.0.1", port=ports[1])),), port=ports[0])
        gateway = Gateway((peer(ROME, replace(PLAIN, host="127.0.0.1", port=ports[0])),), port=ports[1])
        made.extend((server, gateway))
        await gateway.start()
        await server.start()
        for line in gateway.network._lines.values():
            line._rest_until = 0.0  # it knocked before the server was there
        return server, gateway

    yield make
    for one in made:
        await one.stop()


async def shown_to_romeo(server: Server, gateway: Gateway) -> Element:
    """Juliet's presence, as his server gets it."""
    server.says(presence("subscribe"))
    await until(lambda: (SEEING, Verb.ASK) in gateway.far.said)
    gateway.hub.presence.granted(SEEING, None)
    gateway.show(state("balcony"))
    await until(lambda: "available juliet/balcony romeo" in server.lines())
    return server.heard[-1]


async def test_a_users_name_is_asked_of_the_own_server(stand: Raise) -> None:
    server, gateway = await stand()
    server.hub.faces.learn(SEEN, Face("Romeo Montague", "Romi"), "said")
    gateway.network.look_up(SEEN, gateway.hub.peers[0])
    await until(lambda: gateway.hub.faces.name(SEEN) == "Romeo Montague")
    assert gateway.hub.faces.seen(SEEN).nick == "Romi"


async def test_a_peer_that_is_not_to_be_asked_is_not(stand: Raise) -> None:
    _, gateway = await stand()
    one = gateway.hub.peers[0]
    gateway.network.look_up(SEEN, replace(one, settings=replace(one.settings, ask_names=False)))
    assert not gateway.network.faces._open


async def test_where_the_vcard_has_no_name_the_nickname_is_asked_for(stand: Raise) -> None:
    server, gateway = await stand()
    asked: list[str] = []
    whole = server.network.faces.answer

    def answer(event: object) -> object:
        found = whole(event)  # type: ignore[arg-type]
        if found is not None:
            asked.append(found[1])
            if asked == ["vcard"]:  # an account that has only published a nickname
                server.hub.faces.learn(SEEN, Face(nick="Romi"), "said")
        return found

    server.network.faces.answer = answer  # type: ignore[assignment,method-assign]
    gateway.network.look_up(SEEN, gateway.hub.peers[0])
    await until(lambda: gateway.hub.faces.name(SEEN) == "Romi")
    assert asked == ["vcard", "pubsub"]


async def test_an_answer_counts_from_the_one_who_was_asked_alone(stand: Raise) -> None:
    server, gateway = await stand()
    faces = gateway.network.faces
    server.network.faces.answer = lambda event: None  # type: ignore[method-assign]
    gateway.network.look_up(SEEN, gateway.hub.peers[0])
    (iq_id,) = faces._open
    vcard = Element(f"{VCARD}}}vCard", {}, [Element(f"{VCARD}}}FN", {}, ["Tybalt"])])
    forged = {"from": f"tybalt@{ROME}", "to": str(JULIET), "id": iq_id, "type": "result"}
    server.network.say(ROME, VERONA, Element("iq", forged, [vcard]))
    true = forged | {"from": str(ROMEO)}
    vcard = Element(f"{VCARD}}}vCard", {}, [Element(f"{VCARD}}}FN", {}, ["Romeo"])])
    server.network.say(ROME, VERONA, Element("iq", true, [vcard]))
    await until(lambda: gateway.hub.faces.name(SEEN) == "Romeo")


async def test_questions_without_answers_do_not_pile_up(stand: Raise) -> None:
    server, gateway = await stand()
    server.network.faces.answer = lambda event: None  # type: ignore[method-assign]
    for _ in range(MAX_OPEN + 50):
        gateway.network.look_up(SEEN, gateway.hub.peers[0])
    assert len(gateway.network.faces._open) <= MAX_OPEN


async def test_a_client_is_shown_the_contacts_card(stand: Raise) -> None:
    server, gateway = await stand()
    gateway.hub.faces.learn(SEEING, NAMED, "document")
    server.network.look_up(SEEING, server.hub.peers[0])
    await until(lambda: server.hub.faces.name(SEEING) == "Juliet Capulet")
    assert server.hub.faces.seen(SEEING).homepage == "https://verona.example/"
    assert ("answered", "xmpp", "vcard") in gateway.hub.counted


async def test_what_she_shows_him_nobody_else_sees(stand: Raise) -> None:
    server, gateway = await stand()
    gateway.hub.faces.learn(SEEING, NAMED, "document")
    paris = replace(SEEING, watcher=Address("paris", ROME))
    server.network.look_up(paris, server.hub.peers[0])
    await until(lambda: gateway.hub.counted.count(("answered", "xmpp", "pubsub")) == 1)
    assert server.hub.faces.name(paris) == ""


async def test_a_request_for_presence_introduces_who_asks(stand: Raise) -> None:
    # XEP-0172 section 4.1
    server, gateway = await stand()
    gateway.hub.faces.learn(SEEING, NAMED, "said")
    gateway.hub.presence.ask(SEEN, None)
    await until(lambda: "subscribe juliet romeo" in server.lines())
    nick = server.heard[0].find(f"{NICK}}}nick")
    assert nick is not None
    assert nick.text == "Juliet Capulet"


async def test_who_asks_for_presence_may_say_a_name(stand: Raise) -> None:
    server, gateway = await stand()
    server.says(presence("subscribe", nickname("Romi\u202e")))
    await until(lambda: (SEEING, Verb.ASK) in gateway.far.said)
    assert gateway.hub.faces.name(SEEN) == "Romi"


async def test_presence_shows_the_hash_of_the_picture_and_no_nickname(stand: Raise) -> None:
    # XEP-0153 section 3.1; XEP-0172 section 4.1 forbids the nickname
    server, gateway = await stand()
    assert PICTURE is not None
    gateway.hub.faces.learn(SEEING, NAMED, "document")
    gateway.hub.faces.keep_picture(NAMED.picture_url, PICTURE)
    seen = await shown_to_romeo(server, gateway)
    update = seen.find(f"{VCARD_UPDATE}}}x")
    assert update is not None
    assert update.elements[0].text == PICTURE.sha1
    assert seen.find(f"{NICK}}}nick") is None


async def test_a_picture_that_comes_later_is_shown_when_it_comes(stand: Raise) -> None:
    server, gateway = await stand()
    assert PICTURE is not None
    gateway.hub.faces.learn(SEEING, NAMED, "document")
    update = (await shown_to_romeo(server, gateway)).find(f"{VCARD_UPDATE}}}x")
    assert update is not None
    assert not update.elements, "not yet"
    gateway.hub.faces.keep_picture(NAMED.picture_url, PICTURE)
    gateway.network.pictured(SEEING, gateway.hub.peers[0])
    await until(lambda: server.lines().count("available juliet/balcony romeo") == 2)
    update = server.heard[-1].find(f"{VCARD_UPDATE}}}x")
    assert update is not None
    assert update.elements[0].text == PICTURE.sha1


async def test_nobody_is_shown_a_picture_who_sees_nothing(
    stand: Raise, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, gateway = await stand()
    await shown_to_romeo(server, gateway)
    ways: list[object] = []
    monkeypatch.setattr(gateway.network, "attend", lambda *way: ways.append(way))
    gateway.network.pictured(SEEN, gateway.hub.peers[0])  # she does not watch him
    gateway.hub.presence.close(SEEING, None)
    gateway.network.pictured(SEEING, gateway.hub.peers[0])
    assert not ways


async def test_presence_of_somebody_without_a_face_says_nothing_of_pictures(stand: Raise) -> None:
    server, gateway = await stand()
    assert (await shown_to_romeo(server, gateway)).find(f"{VCARD_UPDATE}}}x") is None


async def test_what_presence_says_she_can_do_is_what_she_answers(stand: Raise) -> None:
    # XEP-0115 sections 5.1 and 6.2
    server, gateway = await stand()
    caps = (await shown_to_romeo(server, gateway)).find(f"{CAPS}}}c")
    assert caps is not None
    assert (caps.get("hash"), caps.get("node")) == ("sha-1", NODE)
    query = Element(f"{DISCO_INFO}}}query", {"node": f"{NODE}#{caps.get('ver')}"})
    question = {"from": str(ROMEO), "to": f"{JULIET}/balcony", "id": "d", "type": "get"}
    answer, _ = answer_iq(Element("iq", question, [query]), JULIET, gateway.network._about)
    assert answer is not None
    assert answer.get("type") == "result"
    assert answer.elements[0].get("node") == query.get("node")
    assert verification(answer.elements[0]) == caps.get("ver")


@pytest.mark.parametrize("of", [Address("", VERONA), JULIET])
def test_what_nobody_said_is_not_answered_for(of: Address) -> None:
    query = Element(f"{DISCO_INFO}}}query", {"node": f"{NODE}#other"})
    question = {"from": str(ROMEO), "to": str(of), "id": "d", "type": "get"}
    answer, _ = answer_iq(Element("iq", question, [query]), of, Self())
    assert answer is not None
    assert b"item-not-found" in answer.encode()


def test_the_hash_is_that_of_the_standards_own_examples() -> None:
    # XEP-0115 sections 5.2 and 5.3
    def features(*names: str) -> list[Element | str]:
        return [Element(f"{DISCO_INFO}}}feature", {"var": name}) for name in names]

    spoken = features(
        "http://jabber.org/protocol/disco#items",
        "http://jabber.org/protocol/caps",
        "http://jabber.org/protocol/disco#info",
        "http://jabber.org/protocol/muc",
    )
    about = {"category": "client", "type": "pc", "name": "Exodus 0.9.1"}
    simple = Element(f"{DISCO_INFO}}}query", {}, [Element(f"{DISCO_INFO}}}identity", about), *spoken])
    assert verification(simple) == "QgayPKawpkPSDYmwT/WM94uAlu0="

    def field(name: str, *values: str) -> Element:
        return Element(
            f"{DATA_FORMS}}}field", {"var": name}, [Element(f"{DATA_FORMS}}}value", {}, [v]) for v in values]
        )

    lang = "http://www.w3.org/XML/1998/namespace}lang"
    english = {"category": "client", "type": "pc", "name": "Psi 0.11", lang: "en"}
    greek = {"category": "client", "type": "pc", "name": "Ψ 0.11", lang: "el"}
    form = Element(
        f"{DATA_FORMS}}}x",
        {"type": "result"},
        [
            field("FORM_TYPE", "urn:xmpp:dataforms:softwareinfo"),
            field("ip_version", "ipv4", "ipv6"),
            field("os", "Mac"),
            field("os_version", "10.5.1"),
            field("software", "Psi"),
            field("software_version", "0.11"),
        ],
    )
    identities = [Element(f"{DISCO_INFO}}}identity", one) for one in (english, greek)]
    assert verification(Element(f"{DISCO_INFO}}}query", {}, [*identities, *spoken, form])) == (
        "q07IKJEyjvHSyhy//CH0CxmKi8w="
    )


def test_settings_that_change_what_is_answered_change_the_hash() -> None:
    assert capabilities_of_people(Self()) != capabilities_of_people(Self(gateway_type="sip"))
