"""The two messages that everything here is measured with: as a phone and as a server write them."""

from __future__ import annotations

TEXT = (
    "Shall we meet at three o'clock on the bridge? Bring the list of prices &amp; the two letters, "
    "and tell the others that the boat leaves on time. Until then!"
)


def sip_request(number: int = 1) -> bytes:
    """A MESSAGE of about 650 bytes; everything that tells messages apart depends on the number."""
    body = TEXT.replace("&amp;", "&")
    person = number % 512
    return (
        f"MESSAGE sip:v{person:04}@xmpp.test SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-{number:010};rport\r\n"
        "Max-Forwards: 70\r\n"
        f'From: "User {person}" <sip:u{person:04}@sip.test>;tag=t{number:x}\r\n'
        f"To: <sip:v{person:04}@xmpp.test>\r\n"
        f"Call-ID: {number:010}-bench@127.0.0.1\r\n"
        "CSeq: 1 MESSAGE\r\n"
        "User-Agent: Softphone/4.2.1 (Linux x86_64)\r\n"
        "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, NOTIFY, SUBSCRIBE, INFO\r\n"
        "Supported: replaces, outbound\r\n"
        "Content-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' "
    b"xmlns:stream='http://etherx.jabber.org/streams' from='sip.test' id='s1'>"
)


def stanza(number: int = 1) -> bytes:
    """A message of about 430 bytes."""
    person = number % 512
    return (
        f"<message from='v{person:04}@xmpp.test/res-{person}' to='u{person:04}@sip.test' type='chat' "
        f"id='{number:010}'><body>{TEXT}</body><active xmlns='http://jabber.org/protocol/chatstates'/>"
        "<request xmlns='urn:xmpp:receipts'/>"
        f"<origin-id xmlns='urn:xmpp:sid:0' id='{number:010}'/></message>"
    ).encode()
