"""An external component (XEP-0114) logs in, and speaks only as itself."""

from __future__ import annotations

from rialto.networks.xmpp.wire.component import Component
from rialto.networks.xmpp.wire.element import Element
from rialto.networks.xmpp.wire.events import Authenticated, StanzaReceived, StreamClosed

from .play import CUTS, drain, ids, of

HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams'"
    b" xmlns='jabber:component:accept' id='3BF96D32' from='sip.xa.example'>"
)


def test_a_component_logs_in_and_hears_people_of_any_domain() -> None:
    for cut in CUTS:
        machine = Component("sip.xa.example", secret="s3cret", make_id=ids("c"), now=0.0)
        assert b"to='sip.xa.example'" in machine.data_to_send()
        for piece in cut(HEADER):
            machine.receive_data(piece, 0.0)
        # sha1("3BF96D32" + "s3cret"), XEP-0114 section 3
        assert machine.data_to_send() == b"<handshake>a984b871214a298f0f743fcd25f99b10838ba12b</handshake>"
        message = (
            b"<message from='romeo@xa.example/orchard' to='juliet@sip.xa.example'><body>hi</body></message>"
        )
        for piece in cut(b"<handshake/>" + message):
            machine.receive_data(piece, 0.0)
        events = drain(machine)
        assert of(events, Authenticated)[0].proof == "component"
        (received,) = of(events, StanzaReceived)
        assert received.stanza.find("body").text == "hi"
        assert machine.may_send("sip.xa.example", "xa.example")
        assert not machine.may_send("other.example", "xa.example")


def test_a_wrong_secret_is_told() -> None:
    machine = Component("sip.xa.example", secret="wrong", make_id=ids("c"), now=0.0)
    machine.receive_data(
        HEADER
        + b"<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        0.0,
    )
    assert of(drain(machine), StreamClosed)[0].condition == "not-authorized"


def test_what_is_for_somebody_else_is_refused() -> None:
    machine = Component("sip.xa.example", secret="s3cret", make_id=ids("c"), now=0.0)
    machine.receive_data(HEADER + b"<handshake/><message from='a@b.example' to='c@d.example'/>", 0.0)
    assert of(drain(machine), StreamClosed)[0].condition == "improper-addressing"


def test_stanzas_are_written_in_the_namespace_of_components() -> None:
    machine = Component("sip.xa.example", secret="s3cret", make_id=ids("c"), now=0.0)
    machine.receive_data(HEADER + b"<handshake/>", 0.0)
    machine.data_to_send()
    machine.send(Element("message", {"to": "a@b"}, [Element("body", {}, ["x"])]))
    assert machine.data_to_send() == b"<message to='a@b'><body>x</body></message>"
