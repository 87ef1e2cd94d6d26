"""Who is not believed: each lie is refused with the right error, and the log says why."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from interop.gateway import sip_peer, xmpp_peer
from interop.peers import addresses
from interop.peers.xmpp_client import eventually
from interop.peers.xmpp_stream import XmppStream

HELLO = "<message from='{}' to='bob@sip.example' id='m1' type='chat'><body>believe me</body></message>"


async def test_a_spoofed_from_ends_the_stream(authority, kamailio, gateway, sipp):
    kamailio()
    one = gateway(xmpp_peer("xa.example", "external"), sip_peer())
    await sipp.register("bob", 6080)
    listener = sipp.listen("bob", 6080)
    stream = XmppStream("xa.example")
    await stream.connect()
    await stream.prove_by_certificate(authority.ca_file, authority.issue("xa.example", file_name="spoofer"))
    await stream.send(HELLO.format("alice@xa.example"))
    await listener.hears(1)
    await stream.send(HELLO.format("alice@xb.example"))
    assert "invalid-from" in await stream.until_closed()
    assert len(listener.texts()) == 1
    assert one.says("invalid-from", "xb.example")


@pytest.mark.parametrize("bad", ["expired", "wrong name", "self-signed", "unknown authority"])
async def test_a_bad_certificate_proves_nothing(
    bad, authority, other_authority, prosody, kamailio, gateway, sipp, log_in
):
    certificate, reason = {
        "expired": (authority.issue("xa.example", is_expired=True, file_name="expired"), "expired"),
        "wrong name": (authority.issue("wrong.example"), "not for xa.example but for wrong.example"),
        "self-signed": (authority.self_signed("xa.example"), "self-signed"),
        "unknown authority": (other_authority.issue("xa.example"), "issued by CN=Other CA"),
    }[bad]
    prosody("xa.example", "external", certificate)
    kamailio()
    one = gateway(xmpp_peer("xa.example", "external"), sip_peer(answer_wait_s=1.0))
    await sipp.register("bob", 6080)
    listener = sipp.listen("bob", 6080)
    [sent] = await sipp.send("bob", "alice@xa.example", ["for alice alone"], 6090)
    assert sent.status != 200
    await eventually(lambda: one.says("xa.example", reason), f"the log says {reason!r}")
    stream = XmppStream("xa.example")
    await stream.connect()
    features = await stream.start_tls(authority.ca_file, certificate)
    assert "EXTERNAL" not in features
    assert "<dialback" not in features
    stream.close()
    assert listener.texts() == []


@pytest.fixture
async def silent_server(dns) -> AsyncIterator[None]:
    """A server of xa.example that takes connections and says nothing."""
    writers: list[asyncio.StreamWriter] = []

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(say_nothing, addresses.XA, 5269)
    yield
    server.close()
    for writer in writers:
        writer.transport.abort()


async def test_who_does_not_answer_for_a_dialback_key_is_not_let_in(authority, silent_server, gateway):
    one = gateway(xmpp_peer("xa.example", "dialback"), sip_peer(), xmpp={"negotiation_s": 2.0})
    stream = XmppStream("xa.example")
    await stream.connect()
    await stream.start_tls(authority.ca_file)
    await stream.send("<db:result from='xa.example' to='sip.example'>0123456789abcdef</db:result>")
    answer = (await stream.until_closed(20)).replace('"', "'")
    assert "type='error'" in answer
    assert "remote-server-timeout" in answer
    assert one.says("xa.example", "xmpp.dialback")


async def test_a_wrong_dialback_key_is_refused(authority, prosody, kamailio, gateway, sipp):
    prosody("xa.example", "dialback")
    kamailio()
    one = gateway(xmpp_peer("xa.example", "dialback"), sip_peer())
    await sipp.register("bob", 6080)
    listener = sipp.listen("bob", 6080)
    stream = XmppStream("xa.example")
    await stream.connect()
    await stream.start_tls(authority.ca_file)
    await stream.send("<db:result from='xa.example' to='sip.example'>0123456789abcdef</db:result>")
    answer = await stream.until(rb"type=.invalid.", 20)
    assert "<success" not in answer
    assert listener.texts() == []
    await eventually(lambda: one.says("xa.example", "dialback"), "the log says so")
    stream.close()


@pytest.mark.parametrize("sender", ["bob@sip.example", "alice@xa.example", "bob@elsewhere.example"])
async def test_a_foreign_from_of_a_stranger_is_refused(sender, prosody, gateway, log_in, stranger):
    prosody("xa.example", "dialback")
    one = gateway(xmpp_peer("xa.example", "dialback"), sip_peer())
    alice = await log_in("alice@xa.example")
    answer = await stranger.ask(stranger.message(sender, "alice@xa.example", "believe me"))
    assert answer.status == 403
    assert one.says(addresses.STRANGER)
    await asyncio.sleep(0.2)
    assert alice.texts() == []


@pytest.mark.parametrize("sender", ["alice@xa.example", "bob@elsewhere.example"])
async def test_a_trusted_proxy_speaks_for_its_own_domain_only(
    sender, prosody, kamailio, gateway, sipp, log_in
):
    prosody("xa.example", "dialback")
    kamailio()
    gateway(xmpp_peer("xa.example", "dialback"), sip_peer())
    alice = await log_in("alice@xa.example")
    forged = sipp.sender("bob", "alice@xa.example", ["believe me"], 6090, sender=sender, is_challenged=False)
    forged.start()
    [sent] = await forged.finish()
    assert sent.status == 403
    assert alice.texts() == []


async def test_two_from_headers_are_refused(prosody, kamailio, gateway, log_in, stranger):
    prosody("xa.example", "dialback")
    gateway(xmpp_peer("xa.example", "dialback"), sip_peer(addresses=[addresses.STRANGER]))
    alice = await log_in("alice@xa.example")
    request = stranger.message(
        "bob@sip.example", "alice@xa.example", "twice", extra="From: <sip:carol@sip.example>;tag=2"
    )
    answer = await stranger.ask(request)
    assert answer.status == 400
    assert alice.texts() == []


@pytest.mark.parametrize("bad", ["expired", "wrong name", "self-signed"])
async def test_a_sip_proxy_with_a_bad_certificate_is_neither_believed_nor_used(
    bad, authority, prosody, kamailio, gateway, sipp, log_in
):
    certificate, reason = {
        "expired": (authority.issue("sip.example", is_expired=True, file_name="expired"), "expired"),
        "wrong name": (authority.issue("wrong.example"), "wrong.example"),
        "self-signed": (authority.self_signed("sip.example"), "self-signed"),
    }[bad]
    prosody("xa.example", "external")
    kamailio("tls", certificate)
    one = gateway(xmpp_peer("xa.example", "external"), sip_peer("tls", trust=["tls"]))
    alice = await log_in("alice@xa.example")
    await sipp.register("bob", 6080)
    listener = sipp.listen("bob", 6080)
    [sent] = await sipp.send("bob", "alice@xa.example", ["believe me"], 6090)
    assert sent.status == 403
    alice.say("bob@sip.example", "for bob alone")
    await eventually(lambda: one.says("sip.example", reason), f"the log says {reason!r}")
    assert alice.texts() == []
    assert listener.texts() == []
