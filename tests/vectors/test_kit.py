"""The kit itself: complete, well-formed, and as its README says."""

import re
from collections import Counter
from typing import Any

import pytest

from vectors.kit import FOLDER, documents, name_of, tables, transcripts
from vectors.msrp import read_msrp
from vectors.wires import read_sip, read_stanza

NUMBERED = {"RFC 7572": range(1, 8), "RFC 7573": range(1, 27), "RFC 8048": range(1, 26)}
"""Every numbered example that these RFCs have."""

CONDITIONS = {
    "bad-request conflict feature-not-implemented forbidden gone internal-server-error item-not-found",
    "jid-malformed not-acceptable not-allowed not-authorized policy-violation recipient-unavailable redirect",
    "registration-required remote-server-not-found remote-server-timeout resource-constraint",
    "service-unavailable subscription-required undefined-condition unexpected-request",
}
"""RFC 7247 table 2."""

STATUSES = (
    *(
        300,
        301,
        302,
        305,
        380,
        400,
        401,
        402,
        403,
        404,
        405,
        406,
        407,
        408,
        410,
        413,
        414,
        415,
        416,
        420,
        421,
    ),
    *(423, 430, 439, 440, 480, 481, 482, 483, 484, 485, 486, 487, 488, 489, 491, 493),
    *(500, 501, 502, 503, 504, 505, 513, 600, 603, 604, 606),
)
"""RFC 7247 table 3."""

STEP_KEYS = {
    *("by", "to", "title", "wire", "printed", "defects", "example", "flow"),
    *("equal", "at_least", "at_most", "present", "absent", "either", "differ", "optional", "forbidden"),
    *("not_before", "within"),
}
README = (FOLDER / "README.md").read_text(encoding="utf-8")
STEPS = [
    pytest.param(step, id=f"{name}-{number}")
    for name, transcript in transcripts().items()
    for number, step in enumerate(transcript["step"], 1)
    if step["by"] != "restart"
]
ALL = [vector for document in documents().values() for vector in document.get("vector", [document])]


def test_no_two_vectors_have_the_same_id() -> None:
    assert [name for name, number in Counter(map(name_of, ALL)).items() if number > 1] == []


@pytest.mark.parametrize("rfc", NUMBERED)
def test_each_numbered_example_has_its_step_and_only_one(rfc: str) -> None:
    found = [
        step["example"]
        for transcript in transcripts().values()
        if transcript["rfc"] == rfc
        for step in transcript["step"]
        if "example" in step
    ]
    assert sorted(found) == list(NUMBERED[rfc])


def test_each_row_of_the_tables_of_errors_has_its_vector() -> None:
    conditions = {vector["condition"] for vector in tables("errors", "xmpp-to-sip")}
    assert conditions == {name for line in CONDITIONS for name in line.split()}
    statuses = [vector["status"] for vector in tables("errors", "sip-to-xmpp")]
    assert sorted(statuses) == sorted([*STATUSES, 399, 499, 599, 699])  # and an unknown one of each family


def test_each_printed_address_and_each_character_of_table_1_has_its_vector() -> None:
    addresses = tables("addresses", "sip-to-xmpp") + tables("addresses", "xmpp-to-sip")
    printed = {vector["id"] for vector in addresses if vector.get("printed")}
    assert printed == {f"rfc7247-6.{section}-{number}" for section in (4, 5) for number in (1, 2, 3)}
    characters = {vector["id"].removeprefix("rfc7247-table-1-") for vector in addresses}
    assert {f"{point:02x}" for point in range(0x21, 0x7F) if not chr(point).isalnum()} <= characters


@pytest.mark.parametrize("path", [path for path, one in documents().items() if one["kind"] == "transcript"])
def test_a_transcript_says_where_it_comes_from_and_what_it_needs(path: str) -> None:
    transcript = documents()[path]
    assert {"id", "title", "rfc", "section", "direction", "step"} <= transcript.keys()
    assert transcript["direction"] in ("sip-to-xmpp", "xmpp-to-sip")
    assert transcript.get("after", transcript["id"]) in transcripts()
    assert any(step["by"] == "gateway" for step in transcript["step"])
    assert {step["by"] for step in transcript["step"]} <= {"xmpp", "sip", "msrp", "gateway", "restart"}
    for step in transcript["step"]:
        if step["by"] == "restart":
            assert step.keys() == {"by", "title"}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_written_as_the_readme_says(step: dict[str, Any]) -> None:
    assert step.keys() <= STEP_KEYS
    assert all(f"`{key}`" in README for key in step)
    assert ("printed" in step) <= ("defects" in step)
    side = step["to"] if step["by"] == "gateway" else step["by"]
    assert ("to" in step) == (step["by"] == "gateway")
    if side == "xmpp":
        read_stanza(step["wire"])
    elif side == "msrp":
        msrp = read_msrp(step["wire"])
        if body := msrp.body:
            assert msrp.get("byte-range") == f"1-{len(body.encode())}/{len(body.encode())}"
    else:
        sip = read_sip(step["wire"])
        assert int(sip.get("content-length")) == len(sip.body.replace("\n", "\r\n").encode())
        assert sip.branch.startswith("z9hG4bK")
    if step["by"] == "gateway" and not step.get("forbidden"):
        assert step["equal"]
    if "within" in step:
        assert step["by"] == "gateway"
        assert not {"optional", "forbidden"} & step.keys()
        assert 0 <= step.get("not_before", 0) < step["within"]
    else:
        assert "not_before" not in step


@pytest.mark.parametrize("step", STEPS)
def test_what_is_to_be_equal_present_or_absent_is_so_in_the_wire(step: dict[str, Any]) -> None:
    read = {"xmpp": read_stanza, "msrp": read_msrp}.get(step.get("to", ""), read_sip)
    wire: Any = read(step["wire"])
    for name in (
        *step.get("present", ()),
        *step.get("equal", ()),
        *step.get("either", ()),
        *step.get("absent", ()),
        *step.get("at_least", ()),
        *step.get("at_most", ()),
    ):
        value = wire.field(name)
        if name in step.get("present", ()):
            assert value
        elif name in step.get("absent", ()):
            assert not value
        assert re.search(rf"`{re.escape(name)}`", README) or f"\n{name.title()}: " in step["wire"]


@pytest.mark.parametrize("vector", tables("addresses", "sip-to-xmpp"), ids=name_of)
def test_an_address_that_is_refused_has_no_other_side(vector: dict[str, Any]) -> None:
    assert ("xmpp" in vector) != vector.get("refused", False)
