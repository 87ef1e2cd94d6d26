"""Dialogs: whom their requests name, which way they go, in which order they come (RFC 3261 section 12)."""

from __future__ import annotations

import msgspec
import pytest

from rialto.networks.sip.wire import BadMessage, Request
from rialto.networks.sip.wire.dialogs import Dialog

NOW = 1_800_000_000.0


def dialog(**changes: object) -> Dialog:
    fields: dict[str, object] = {
        "call_id": "c1",
        "local": "sip:juliet@example.com",
        "remote": "sip:romeo@example.net",
        "local_tag": "ffd2",
    }
    return Dialog(**(fields | changes))  # type: ignore[arg-type]


def heard(*headers: tuple[str, str], cseq: int = 1) -> Request:
    return Request("NOTIFY", "sip:gw", [("CSeq", f"{cseq} NOTIFY"), *headers])


def test_the_first_request_names_both_and_has_one_tag() -> None:
    request = dialog().request("SUBSCRIBE", NOW, (("Event", "presence"),))
    assert request.uri == "sip:romeo@example.net"
    assert request.get("From") == "<sip:juliet@example.com>;tag=ffd2"
    assert request.get("To") == "<sip:romeo@example.net>"
    assert request.get("Max-Forwards") == "70"
    assert request.get("Event") == "presence"


def test_later_ones_go_to_the_contact_and_have_both_tags() -> None:
    one = dialog(remote_tag="j89d")
    one.aim(heard(("Contact", "<sip:romeo@192.0.2.1:5070;transport=tcp>;expires=5")))
    request = one.request("SUBSCRIBE", NOW)
    assert request.uri == "sip:romeo@192.0.2.1:5070;transport=tcp"
    assert request.to.tag == "j89d"
    assert str(one.next_hop()) == request.uri


def test_a_loose_router_is_passed_with_the_target_as_request_uri() -> None:
    one = dialog(target="sip:romeo@192.0.2.1")
    one.route_by(heard(("Record-Route", "<sip:p1;lr>, <sip:p2;lr>"), ("Record-Route", "<sip:p3;lr>")))
    request = one.request("SUBSCRIBE", NOW)
    assert request.uri == "sip:romeo@192.0.2.1"
    assert request.get_all("Route") == ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]
    assert one.next_hop().host == "p1"


def test_a_strict_router_gets_its_own_uri_and_the_target_comes_last() -> None:
    one = dialog(target="sip:romeo@192.0.2.1", routes=("<sip:p1>", "<sip:p2;lr>"))
    request = one.request("SUBSCRIBE", NOW)
    assert request.uri == "sip:p1"
    assert request.get_all("Route") == ["<sip:p2;lr>", "<sip:romeo@192.0.2.1>"]


def test_a_contact_that_is_no_sip_uri_changes_nothing() -> None:
    one = dialog(target="sip:romeo@192.0.2.1")
    one.aim(heard(("Contact", "<mailto:romeo@example.net>")))
    one.aim(heard())
    assert one.target == "sip:romeo@192.0.2.1"


@pytest.mark.parametrize("routes", ["<sip:p1", ", ".join(["<sip:p;lr>"] * 17)])
def test_routes_that_nobody_could_follow_are_refused(routes: str) -> None:
    with pytest.raises(BadMessage):
        dialog().route_by(heard(("Record-Route", routes)))


def test_what_is_older_than_the_last_is_out_of_order() -> None:
    one = dialog()
    assert [one.in_order(heard(cseq=number)) for number in (5, 7, 7, 6, 8)] == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_numbers_grow_with_the_clock_and_without_it() -> None:
    one = dialog()
    numbers = [one.next_cseq(now) for now in (NOW, NOW, NOW + 10, NOW - 100)]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] < 2**31


def test_numbers_grow_over_a_restart_that_forgot_the_last_ones() -> None:
    one = dialog()
    one.next_cseq(NOW)
    written = msgspec.msgpack.encode(one)
    last = [one.next_cseq(NOW + second) for second in range(5)][-1]
    resumed = msgspec.msgpack.decode(written, type=Dialog)
    assert resumed.next_cseq(NOW + 6) > last
