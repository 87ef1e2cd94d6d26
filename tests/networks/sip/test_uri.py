"""URIs, names with addresses, and Via: read, compared, written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.model.errors import AddressError
from rialto.networks.sip.wire import (
    Uri,
    escape_user,
    parse_name_addr,
    parse_name_addrs,
    parse_uri,
    parse_via,
    parse_vias,
    sip_uri,
    unescape,
)


@pytest.mark.parametrize(
    ("text", "scheme", "user", "host", "port"),
    [
        ("sip:alice@sip.example", "sip", "alice", "sip.example", None),
        ("SIP:Alice@SIP.Example:5070", "sip", "Alice", "sip.example", 5070),
        ("sips:alice@sip.example", "sips", "alice", "sip.example", None),
        ("im:alice@sip.example", "im", "alice", "sip.example", None),
        ("pres:alice@sip.example", "pres", "alice", "sip.example", None),
        ("sip:sip.example", "sip", None, "sip.example", None),
        ("sip:192.0.2.1:5060", "sip", None, "192.0.2.1", 5060),
        ("sip:alice@[2001:DB8::1]:5070", "sip", "alice", "2001:db8::1", 5070),
        ("sip:a;day=mon@h.example", "sip", "a;day=mon", "h.example", None),
        ("sip:#31#+15551234567@h.example", "sip", "#31#+15551234567", "h.example", None),
    ],
)
def test_a_uri_is_taken_apart(text: str, scheme: str, user: str | None, host: str, port: int | None) -> None:
    uri = parse_uri(text)
    assert (uri.scheme, uri.user, uri.host, uri.port) == (scheme, user, host, port)


def test_a_uri_keeps_the_order_of_its_parameters_and_headers() -> None:
    text = "sip:alice:secret@sip.example;transport=tcp;LR;x=%41?Subject=a%20b&to=sip:bob%40x.example"
    uri = parse_uri(text)
    assert uri.params == (("transport", "tcp"), ("lr", None), ("x", "%41"))
    assert uri.headers == (("Subject", "a%20b"), ("to", "sip:bob%40x.example"))
    assert uri.param("lr") == ""
    assert uri.param("maddr") is None
    assert str(uri) == text.replace("LR", "lr")


def test_a_telephone_number_is_no_mailbox() -> None:
    uri = parse_uri("tel:+1-555-123;phone-context=example.com")
    assert (uri.scheme, uri.opaque, uri.host) == ("tel", "+1-555-123", "")
    assert uri.param("phone-context") == "example.com"
    assert str(uri) == "tel:+1-555-123;phone-context=example.com"


def test_a_scheme_that_we_do_not_know_stays_in_one_piece() -> None:
    uri = parse_uri("http://www.example.com/a;b?c")
    assert (uri.scheme, uri.opaque) == ("http", "//www.example.com/a;b?c")
    assert str(uri) == "http://www.example.com/a;b?c"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice@sip.example",
        "sip:",
        "sip:@sip.example",
        "sip:alice@",
        "sip:alice@bob@sip.example",
        "sip:alice@sip.example:0",
        "sip:alice@sip.example:65536",
        "sip:alice@sip.example:",
        "sip:alice@sip.example:50a",
        "sip:2001:db8::10",
        "sip:alice@[2001:db8::10",
        "sip:alice@[::g]",
        "sip:alice@[fe80::1%251]",
        "sip:al ice@sip.example",
        "sip:alice@sip.example;",
        "sip:alice@sip.example;;lr",
        "sip:alice@sip.example;lr;LR",
        "sip:alice@sip.example;x=%4",
        "sip:alice@sip.example?",
        "sip:alice@sip.example?Subject",
        "sip:al%zzice@sip.example",
        "sip:alice@-sip.example",
        "sip:alice@sip.example\x00",
        "sip:alice@sip.example>",
        "<sip:alice@sip.example>",
        "sip:alice@exämple.org",
        "tel:call-me",
        "no scheme:x",
    ],
)
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_uri(text)


def test_a_user_part_is_unescaped_once() -> None:
    assert parse_uri("sip:tsch%C3%BCss@x.example").user_text == "tschüss"
    assert parse_uri("sip:a%2541@x.example").user_text == "a%41"
    assert parse_uri("sip:x.example").user_text is None


def test_escapes_that_are_no_utf8_are_refused_when_they_are_read() -> None:
    uri = parse_uri("sip:%ff@x.example")
    with pytest.raises(AddressError):
        _ = uri.user_text


# ADR-6: RFC 7247 section 6.2 with its own examples
@pytest.mark.parametrize(
    ("plain", "escaped"),
    [
        ("m&m", "m&m"),
        ("tschüss", "tsch%C3%BCss"),
        ("o'malley", "o'malley"),
        ("a/b;c=d,e+f$g?h", "a/b;c=d,e+f$g?h"),
        ('"#%:<>@[\\]^`{|} ', "%22%23%25%3A%3C%3E%40%5B%5C%5D%5E%60%7B%7C%7D%20"),
    ],
)
def test_a_user_part_escapes_what_it_must_and_nothing_else(plain: str, escaped: str) -> None:
    assert escape_user(plain) == escaped
    assert unescape(escaped) == plain


@given(st.text(min_size=1))
def test_any_user_name_survives_a_uri(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        with pytest.raises(AddressError):
            escape_user(name)
        return
    uri = sip_uri(name, "x.example", params=[("gr", name)])
    again = parse_uri(str(uri))
    assert again.user_text == name
    assert again.gr == name


def test_a_uri_is_built_from_plain_text() -> None:
    # ADR-18, ADR-21
    uri = sip_uri("baz", "XMPP.example", params=[("gr", "My Phone;1")])
    assert str(uri) == "sip:baz@xmpp.example;gr=My%20Phone%3B1"
    assert str(uri.without("gr")) == "sip:baz@xmpp.example"
    assert str(uri.with_param("lr")) == "sip:baz@xmpp.example;gr=My%20Phone%3B1;lr"
    assert str(sip_uri(None, "2001:db8::1", scheme="sips", port=5061)) == "sips:[2001:db8::1]:5061"
    with pytest.raises(AddressError):
        sip_uri("baz", "no host")


def test_a_password_is_never_shown() -> None:
    uri = parse_uri("sip:alice:hunter2@x.example")
    assert "hunter2" not in repr(uri)
    assert "hunter2" not in repr(parse_name_addr("<sip:alice:hunter2@x.example>"))
    assert "hunter2" not in str(uri.__rich_repr__())
    assert str(uri) == "sip:alice:hunter2@x.example"


# The examples of RFC 3261 section 19.1.4.
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:[2001:db8::1]", "sip:[2001:DB8:0:0::1]"),
    ],
)
def test_equivalent_uris_are_found_so(one: str, other: str) -> None:
    assert parse_uri(one).equivalent(parse_uri(other))
    assert parse_uri(other).equivalent(parse_uri(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
        ("sip:bob@biloxi.com", "sip:biloxi.com"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;maddr=192.0.2.1"),
        ("tel:+1", "tel:+2"),
    ],
)
def test_different_uris_are_found_so(one: str, other: str) -> None:
    assert not parse_uri(one).equivalent(parse_uri(other))
    assert not parse_uri(other).equivalent(parse_uri(one))


@pytest.mark.parametrize(
    ("text", "display", "uri", "tag"),
    [
        ("<sip:a@x.example>;tag=1", "", "sip:a@x.example", "1"),
        ("sip:a@x.example;tag=1", "", "sip:a@x.example", "1"),
        ('"A \\"B\\" <C>, D" <sip:a@x.example;lr> ; tag = 1', 'A "B" <C>, D', "sip:a@x.example;lr", "1"),
        ("Alice B. Example <sip:a@x.example>;tag=1", "Alice B. Example", "sip:a@x.example", "1"),
        ("Jürgen (Büro) <sip:a@x.example>;tag=1", "Jürgen (Büro)", "sip:a@x.example", "1"),
        ("alice@x.example <sip:a@x.example>;tag=1", "alice@x.example", "sip:a@x.example", "1"),
        ('<sip:a@x.example>;+sip.instance="<urn:uuid:1>";tag=1', "", "sip:a@x.example", "1"),
        ("<sip:a@x.example>", "", "sip:a@x.example", None),
        ("<sip:a@x.example>;tag", "", "sip:a@x.example", None),
        ("<tel:+15551234>;tag=1", "", "tel:+15551234", "1"),
    ],
)
def test_a_name_with_an_address_is_taken_apart(text: str, display: str, uri: str, tag: str | None) -> None:
    who = parse_name_addr(text)
    assert (who.display, str(who.uri), who.tag) == (display, uri, tag)
    assert parse_name_addr(str(who)) == who


@pytest.mark.parametrize(
    "text",
    [
        "",
        '"A <sip:a@x.example>',
        '"A" sip:a@x.example',
        '"A"',
        "<sip:a@x.example",
        "A, B <sip:a@x.example>",
        "A; B <sip:a@x.example>",
        "<sip:a@x.example>;tag=1;tag=2",
        "<sip:a@x.example>;;tag=1",
        "<sip:a@x.example> tag=1",
        '<sip:a@x.example>;x="1',
        "<sip:a@x.example>, <sip:b@x.example>",
        "sip:a@x.example?Route=x",
        "sip:a,b@x.example",
        "<sip:a@x.example>;a b=c",
    ],
)
def test_what_is_no_name_with_an_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_name_addr(text)


def test_an_instance_is_found_inside_and_outside_the_brackets() -> None:
    # ADR-21: RFC 5627 section 4 writes it inside, the examples of RFC 7572 outside.
    assert parse_name_addr("<sip:a@x.example;gr=My%20Phone>").gr == "My Phone"
    assert parse_name_addr("<sip:a@x.example>;gr=yn0cl4bnw0yr3vym").gr == "yn0cl4bnw0yr3vym"
    assert parse_name_addr("sip:a@x.example;gr=b").gr == "b"
    assert parse_name_addr("<sip:a@x.example;gr>").gr == ""
    assert parse_name_addr("<sip:a@x.example>").gr is None


def test_a_tag_is_set_and_replaced() -> None:
    who = parse_name_addr("<sip:a@x.example>;x=1")
    assert str(who.with_tag("t")) == "<sip:a@x.example>;x=1;tag=t"
    assert str(who.with_tag("t").with_tag("u")) == "<sip:a@x.example>;x=1;tag=u"


def test_a_list_of_addresses_is_cut_at_its_own_commas_only() -> None:
    who = parse_name_addrs('"A, B" <sip:a,b@x.example>;q=0.5, <sip:c@x.example>, sip:d@x.example')
    assert [str(each.uri) for each in who] == ["sip:a,b@x.example", "sip:c@x.example", "sip:d@x.example"]
    for text in ("<sip:a@x.example>,", ",<sip:a@x.example>", "<sip:a@x.example>,,<sip:b@x.example>", '"a'):
        with pytest.raises(AddressError):
            parse_name_addrs(text)


def test_a_display_name_with_any_character_survives() -> None:
    display = 'a"b\\c\x00d\x7fe é 😀 <>,;'
    who = parse_name_addr("<sip:a@x.example>")
    again = parse_name_addr(str(type(who)(who.uri, display)))
    assert again.display == display


def test_a_via_is_taken_apart() -> None:
    via = parse_via("SIP/2.0/tls Proxy.Example:5061;branch=z9hG4bKabc;rport;received=[2001:db8::1]")
    assert (via.transport, via.host, via.port) == ("TLS", "proxy.example", 5061)
    assert (via.branch, via.has_cookie, via.received, via.rport) == ("z9hG4bKabc", True, "2001:db8::1", None)
    assert via.sent_by == "proxy.example:5061"
    assert str(via).startswith("SIP/2.0/tls Proxy.Example:5061;")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/3.0/UDP x.example",
        "SIP/2.0/UDP x.example;",
        "SIP/2.0/UDP x.example;branch=1;branch=2",
        "SIP/2.0/UDP x.example:99999",
        "SIP/2.0/UDP [::1",
        "SIP/2.0/UDP 2001:db8::1",
        "SIP/2.0/UDP x.example y.example",
    ],
)
def test_what_is_no_via_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_via(text)


@pytest.mark.parametrize(
    ("text", "address", "noted"),
    [
        # RFC 3261 section 18.2.1: only where it differs
        ("SIP/2.0/UDP 192.0.2.1;branch=b", "192.0.2.1", "SIP/2.0/UDP 192.0.2.1;branch=b"),
        ("SIP/2.0/UDP a.example;branch=b", "192.0.2.1", "SIP/2.0/UDP a.example;branch=b;received=192.0.2.1"),
        # RFC 3581 section 4: always with rport
        (
            "SIP/2.0/UDP 192.0.2.1;rport;branch=b",
            "192.0.2.1",
            "SIP/2.0/UDP 192.0.2.1;branch=b;received=192.0.2.1;rport=4711",
        ),
        # nobody is believed
        (
            "SIP/2.0/UDP a.example;received=10.0.0.1;branch=b",
            "192.0.2.1",
            "SIP/2.0/UDP a.example;branch=b;received=192.0.2.1",
        ),
        ("SIP/2.0/UDP 192.0.2.1;received=10.0.0.1", "192.0.2.1", "SIP/2.0/UDP 192.0.2.1"),
        ("SIP/2.0/TCP [2001:DB8::1];branch=b", "2001:db8::1", "SIP/2.0/TCP [2001:DB8::1];branch=b"),
    ],
)
def test_a_via_notes_where_it_came_from(text: str, address: str, noted: str) -> None:
    assert str(parse_via(text).answered_from(address, 4711)) == noted


def test_several_vias_stand_on_one_line() -> None:
    vias = parse_vias("SIP/2.0/UDP a.example;branch=1, SIP / 2.0 / TCP b.example:5060 ; branch=2")
    assert [(via.host, via.branch) for via in vias] == [("a.example", "1"), ("b.example", "2")]


def test_a_uri_is_a_key() -> None:
    assert {parse_uri("sip:a@x.example"): 1}[Uri(scheme="sip", user="a", host="x.example")] == 1
