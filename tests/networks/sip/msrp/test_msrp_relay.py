"""Logging in at relays: AUTH as RFC 4976 section 5.1 shows it, and what may go wrong."""

from __future__ import annotations

import itertools

import pytest

from networks.sip.msrp.rfc_examples import RFC_4976, wire
from networks.sip.msrp.talk import End, request
from rialto.networks.sip.msrp.wire.events import Broken, Responded
from rialto.networks.sip.msrp.wire.framing import Framer
from rialto.networks.sip.msrp.wire.heads import Head
from rialto.networks.sip.msrp.wire.relay import Denied, Granted, RelayLogin
from rialto.networks.sip.msrp.wire.uri import parse_uri, write_path
from rialto.networks.sip.wire.digest import Secret, request_digest

LOCAL = "msrps://alice.example.com:9892/98cjs;tcp"
INTRA, EXTRA = "msrps://alice@intra.example.com;tcp", "msrps://extra.example.com;tcp"
SECRET = Secret("Alice", "wonderland")


def login(*relays: str, expires_s: int | None = None) -> RelayLogin:
    numbers = itertools.count()
    return RelayLogin(
        [parse_uri(relay) for relay in relays or (INTRA,)],
        parse_uri(LOCAL),
        SECRET,
        lambda: f"cnonce{next(numbers)}",
        expires_s=expires_s,
    )


def example(name: str) -> Head:
    framer = Framer()
    framer.receive_data(wire(RFC_4976[name]))
    head = framer.next_event()
    assert isinstance(head, Head)
    return head


def response(status: int, **fields: str) -> Head:
    return Head(
        "t",
        status=status,
        comment="words",
        fields={name.replace("_", "-"): text for name, text in fields.items()},
    )


def test_two_relays_are_asked_one_through_the_other_as_the_rfc_shows() -> None:
    attempt = login(INTRA, EXTRA)
    assert attempt.first() == [("To-Path", INTRA), ("From-Path", LOCAL)]
    second = attempt.heard(example("auth_challenged"))
    assert isinstance(second, list)
    expected = request_digest(
        "MD5",
        SECRET,
        "intra.example.com",
        "AUTH",
        INTRA,
        "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "00000001",
        "cnonce0",
        "auth",
    )
    assert f'response="{expected}"' in dict(second)["Authorization"]
    third = attempt.heard(example("auth_granted"))
    granted = "msrps://intra.example.com:9000/jui787s2f;tcp"
    assert third == [("To-Path", f"{granted} {EXTRA}"), ("From-Path", LOCAL)]
    fourth = attempt.heard(example("outer_challenged_back"))
    assert isinstance(fourth, list)
    assert f'uri="{EXTRA}"' in dict(fourth)["Authorization"]  # RFC 4976 section 9.1: the rightmost of To-Path
    end = attempt.heard(example("outer_granted"))
    assert isinstance(end, Granted)
    outer = "msrps://extra.example.com:9000/mywdEe1233;tcp"
    assert write_path(end.use_path) == f"{granted} {outer}"
    assert write_path(end.path) == f"{outer} {granted} {LOCAL}"
    assert end.expires_s == 1800


def test_a_relay_that_asks_for_nothing_is_good_too() -> None:
    attempt = login(expires_s=900)
    assert ("Expires", "900") in attempt.first()
    end = attempt.heard(response(200, use_path="msrp://r.example.com:2855/s.1;tcp"))
    assert isinstance(end, Granted)
    assert end.expires_s is None


def test_a_wrong_password_is_not_tried_twice() -> None:
    attempt = login()
    attempt.first()
    assert isinstance(attempt.heard(example("auth_challenged")), list)
    assert attempt.heard(example("auth_challenged")) == Denied(401, "our name or password is refused")


def test_a_stale_nonce_is_answered_anew_but_not_for_ever() -> None:
    attempt = login()
    attempt.first()
    outcome: object = None
    for number in range(9):
        challenge = f'Digest realm="r", qop="auth", nonce="n{number}", stale=true'
        outcome = attempt.heard(response(401, www_authenticate=challenge))
        if isinstance(outcome, Denied):
            break
    assert outcome == Denied(401, "challenged again and again")


@pytest.mark.parametrize("field", ["min_expires", "max_expires"])
def test_a_relay_may_bound_how_long_a_path_lives(field: str) -> None:
    attempt = login(expires_s=10)
    attempt.first()
    again = attempt.heard(response(423, **{field: "300"}))
    assert isinstance(again, list)
    assert ("Expires", "300") in again
    assert attempt.heard(response(423, **{field: "300"})) == Denied(423, "words")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (None, 0),
        (response(403), 403),
        (response(200), 0),
        (response(200, use_path="nonsense"), 0),
        (response(401), 401),
        (response(401, www_authenticate='Basic realm="x"'), 401),
        (response(423), 423),
    ],
)
def test_what_is_no_grant_is_a_denial(answer: Head | None, status: int) -> None:
    attempt = login()
    attempt.first()
    outcome = attempt.heard(answer)
    assert isinstance(outcome, Denied)
    assert outcome.status == status


def test_a_login_goes_over_a_connection() -> None:
    end = End("a")
    attempt = login()
    end.connection.request("AUTH", attempt.first(), "token")
    assert end.say() == wire(RFC_4976["auth"]).replace(b"49fh", b"a0000001")
    end.hear(wire(RFC_4976["auth_challenged"]).replace(b"49fh", b"a0000001"))
    answered = end.events.pop()
    assert isinstance(answered, Responded)
    assert answered.token == "token"
    assert isinstance(attempt.heard(answered.response), list)
    end.connection.request("AUTH", attempt.first(), "again")
    end.say()
    end.wait(31)
    assert end.events == [Responded("again", None), Broken("no-answer")]
    assert request(["MSRP a b"]) != b""


def test_the_password_is_not_shown() -> None:
    assert "wonderland" not in repr(vars(login()))
