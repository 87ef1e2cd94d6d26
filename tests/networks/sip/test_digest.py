"""Digest authentication (DEP-8): the standard's own vectors, both sides against each other, and misuse."""

from __future__ import annotations

import pytest

from rialto.networks.sip.wire.digest import Answerer, Challenger, Secret, Verdict, request_digest
from rialto.networks.sip.wire.headers import parse_credentials

ALICE = Secret("alice", "Circle of Life")
URI = "sip:bob@b.example"


def password_of(username: str) -> str | None:
    return ALICE.password if username == "alice" else None


def challenger(**settings: object) -> Challenger:
    return Challenger("sip.example", b"k" * 32, **settings)  # type: ignore[arg-type]


def value(text: str, name: str) -> str | None:
    return parse_credentials(text).param(name)


# RFC 7616 section 3.9.1
@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_digest_is_that_of_the_standard(algorithm: str, response: str) -> None:
    challenges = [
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=' + algorithm + ", "
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    ]
    client = Answerer(Secret("Mufasa", "Circle of Life"))
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    answer = client.answer(challenges, "GET", "/dir/index.html", cnonce)
    assert answer is not None
    assert value(answer, "response") == response
    assert value(answer, "nc") == "00000001"
    assert value(answer, "qop") == "auth"
    assert value(answer, "opaque") == "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"


def test_a_server_that_knows_no_qop_is_answered_as_rfc_2069_did() -> None:
    client = Answerer(ALICE)
    answer = client.answer(['Digest realm="r", nonce="n"'], "MESSAGE", URI, "c")
    assert answer is not None
    assert value(answer, "qop") is None
    assert value(answer, "nc") is None
    assert value(answer, "response") == request_digest("MD5", ALICE, "r", "MESSAGE", URI, "n", "", "", "")


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256"])
def test_both_sides_agree(algorithm: str) -> None:
    server = challenger(algorithms=[algorithm])
    client = Answerer(ALICE, algorithms=[algorithm])
    answer = client.answer(server.challenges(0.0), "MESSAGE", URI, "c")
    assert answer is not None
    assert server.check([answer], "MESSAGE", 1.0, password_of) == (Verdict.GOOD, "alice")
    again = client.again("MESSAGE", URI, "c")
    assert again is not None
    assert value(again, "nc") == "00000002"
    assert server.check([again], "MESSAGE", 1.0, password_of) == (Verdict.GOOD, "alice")


def test_the_topmost_challenge_that_is_understood_is_answered() -> None:
    # RFC 8760 section 2.4; Bearer is RFC 8898's, Basic is forbidden
    challenges = [
        'Bearer authz_server="https://as.example"',
        'Basic realm="sip.example"',
        'Digest realm="sip.example", nonce="1", algorithm=SHA-3, qop="auth"',
        'Digest realm="sip.example", nonce="2", algorithm=SHA-256, qop="auth-int"',
        'Digest realm="elsewhere.example", nonce="3", qop="auth"',
        'Digest realm="sip.example, nonce="broken',
        'Digest realm="sip.example", nonce="4", algorithm=sha-256, qop="auth"',
        'Digest realm="sip.example", nonce="5", algorithm=MD5, qop="auth"',
    ]
    client = Answerer(ALICE, realm="sip.example")
    answer = client.answer(challenges, "MESSAGE", URI, "c")
    assert answer is not None
    assert value(answer, "nonce") == "4"
    assert (
        Answerer(ALICE, realm="sip.example", algorithms=["MD5"]).answer(challenges[:-1], "M", URI, "c")
        is None
    )
    assert client.answer([], "MESSAGE", URI, "c") is None


def test_challenges_come_most_preferred_first_and_always_with_qop() -> None:
    # RFC 8760 sections 2.3 and 2.6
    lines = challenger().challenges(5.0)
    assert [value(line, "algorithm") for line in lines] == ["SHA-256", "MD5"]
    assert {value(line, "qop") for line in lines} == {"auth"}
    assert {value(line, "stale") for line in lines} == {None}
    assert value(challenger().challenges(5.0, stale=True)[0], "stale") == "true"
    server = challenger()
    assert server.challenges(5.0) != server.challenges(5.0)


def test_a_refused_answer_is_not_repeated() -> None:
    server, client = challenger(), Answerer(ALICE)
    first = client.answer(server.challenges(0.0), "MESSAGE", URI, "c")
    assert client.answer(server.challenges(1.0), "MESSAGE", URI, "c", refused=first) is None
    assert client.answer(server.challenges(1.0, stale=True), "MESSAGE", URI, "c", refused=first) is not None


def test_an_answer_under_an_old_nonce_is_tried_once_more() -> None:
    server, client = challenger(), Answerer(ALICE)
    client.answer(server.challenges(0.0), "MESSAGE", URI, "c")
    later = client.again("MESSAGE", URI, "c")
    assert client.answer(server.challenges(9.0), "MESSAGE", URI, "c", refused=later) is not None


def test_without_a_challenge_there_is_nothing_to_say() -> None:
    assert Answerer(ALICE).again("MESSAGE", URI, "c") is None


@pytest.mark.parametrize(
    "who", [Secret("alice", "wrong"), Secret("mallory", "Circle of Life"), Secret("mallory", "")]
)
def test_a_wrong_password_or_user_is_refused(who: Secret) -> None:
    server = challenger()
    answer = Answerer(who).answer(server.challenges(0.0), "MESSAGE", URI, "c")
    assert answer is not None
    assert server.check([answer], "MESSAGE", 1.0, password_of) == (Verdict.WRONG, None)


def test_an_answer_holds_for_its_method_only() -> None:
    server = challenger()
    answer = Answerer(ALICE).answer(server.challenges(0.0), "OPTIONS", URI, "c")
    assert answer is not None
    assert server.check([answer], "MESSAGE", 1.0, password_of)[0] is Verdict.WRONG


def test_a_nonce_count_is_used_once_in_any_order() -> None:
    server, client = challenger(), Answerer(ALICE)
    answers = [client.answer(server.challenges(0.0), "MESSAGE", URI, "c")]
    answers += [client.again("MESSAGE", URI, "c") for _ in range(9)]
    shuffled = [answer for answer in [*answers[5:], *answers[:5]] if answer is not None]
    assert len(shuffled) == 10
    for answer in shuffled:
        assert server.check([answer], "MESSAGE", 1.0, password_of)[0] is Verdict.GOOD
    for answer in shuffled:
        assert server.check([answer], "MESSAGE", 1.0, password_of)[0] is Verdict.STALE


def test_a_count_far_behind_or_far_ahead_costs_nothing() -> None:
    server = challenger()
    nonce = value(server.challenges(0.0)[0], "nonce")
    assert nonce is not None

    def answer(count: str) -> str:
        response = request_digest("MD5", ALICE, "sip.example", "MESSAGE", URI, nonce, count, "c", "auth")
        return (
            f'Digest username="alice", realm="sip.example", nonce="{nonce}", uri="{URI}", '
            f'qop=auth, nc={count}, cnonce="c", response="{response}"'
        )

    assert server.check([answer("ffffffff")], "MESSAGE", 1.0, password_of)[0] is Verdict.GOOD
    assert server.check([answer("fffffff0")], "MESSAGE", 1.0, password_of)[0] is Verdict.GOOD
    assert server.check([answer("00000001")], "MESSAGE", 1.0, password_of)[0] is Verdict.STALE
    assert server.check([answer("00000000")], "MESSAGE", 1.0, password_of)[0] is Verdict.MALFORMED
    assert server.check([answer("1")], "MESSAGE", 1.0, password_of)[0] is Verdict.MALFORMED


def test_an_old_or_foreign_nonce_is_stale() -> None:
    server = challenger(nonce_lifetime_s=60.0)
    client = Answerer(ALICE)
    answer = client.answer(server.challenges(100.0), "MESSAGE", URI, "c")
    assert answer is not None
    assert server.check([answer], "MESSAGE", 161.0, password_of)[0] is Verdict.STALE
    assert server.check([answer], "MESSAGE", 159.0, password_of)[0] is Verdict.GOOD
    foreign = Answerer(ALICE).answer(
        Challenger("sip.example", b"other").challenges(100.0), "MESSAGE", URI, "c"
    )
    assert foreign is not None
    assert server.check([foreign], "MESSAGE", 101.0, password_of)[0] is Verdict.STALE


def test_an_algorithm_that_was_not_offered_does_not_pass() -> None:
    weak = Answerer(ALICE, algorithms=["MD5"])
    server = challenger(algorithms=["SHA-256"])
    nonce = value(server.challenges(0.0)[0], "nonce")
    answer = weak.answer(
        [f'Digest realm="sip.example", nonce="{nonce}", algorithm=MD5, qop="auth"'], "M", URI, "c"
    )
    assert answer is not None
    assert server.check([answer], "M", 1.0, password_of)[0] is Verdict.ABSENT


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([], Verdict.ABSENT),
        (["Basic YWxpY2U6"], Verdict.ABSENT),
        (['Digest username="alice", realm="elsewhere.example"'], Verdict.ABSENT),
        (['Digest username="alice", realm="sip.example"'], Verdict.MALFORMED),
        (['Digest username="alice, realm=sip.example'], Verdict.MALFORMED),
        (['Digest realm="sip.example", realm="sip.example"'], Verdict.MALFORMED),
        (
            [
                'Digest username="a", realm="sip.example", nonce="n", uri="u", response="r", '
                "qop=auth-int, nc=00000001"
            ],
            Verdict.MALFORMED,
        ),
        (['Digest username="a", realm="sip.example", nonce="ü-1", uri="u", response="é"'], Verdict.WRONG),
    ],
)
def test_what_is_no_answer_is_told_apart(values: list[str], verdict: Verdict) -> None:
    assert challenger().check(values, "MESSAGE", 0.0, password_of) == (verdict, None)


def test_a_good_answer_counts_among_others() -> None:
    server = challenger()
    answer = Answerer(ALICE).answer(server.challenges(0.0), "MESSAGE", URI, "c")
    assert answer is not None
    others = ['Digest username="alice", realm="sip.example"', "Basic YWxpY2U6"]
    assert server.check([*others, answer], "MESSAGE", 1.0, password_of) == (Verdict.GOOD, "alice")


def test_no_secret_is_shown() -> None:
    answer = Answerer(ALICE).answer(['Digest realm="r", nonce="n"'], "MESSAGE", URI, "c")
    assert answer is not None
    for thing in (ALICE, ALICE.__rich_repr__(), parse_credentials(answer), Answerer(ALICE)):
        assert "Circle" not in repr(thing)
        assert "Circle" not in str(thing)
    assert value(answer, "response") not in repr(parse_credentials(answer))


def test_many_nonces_are_remembered_and_none_of_the_forgotten_may_be_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rialto.networks.sip.wire.digest._MAX_NONCES", 3)
    server = challenger()
    answers = []
    for second in range(5):
        answer = Answerer(ALICE).answer(server.challenges(float(second)), "MESSAGE", URI, "c")
        assert answer is not None
        answers.append(answer)
        assert server.check([answer], "MESSAGE", 5.0, password_of)[0] is Verdict.GOOD
    for answer in answers:
        assert server.check([answer], "MESSAGE", 5.0, password_of)[0] is Verdict.STALE
