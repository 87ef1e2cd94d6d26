"""Presence documents: what is written, and everything that is read."""

from __future__ import annotations

import unicodedata
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto.wire.pidf import (
    MAX_TUPLES,
    Note,
    Person,
    PidfError,
    Presence,
    Tuple,
    instance_of,
    parse,
    read_time,
    tuple_id,
    write,
    write_time,
)

PIDF = "urn:ietf:params:xml:ns:pidf"


def document(inside: str, root: str = "") -> bytes:
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><presence xmlns='{PIDF}' "
        f"xmlns:dm='{PIDF}:data-model' xmlns:r='{PIDF}:rpid' entity='pres:romeo@example.net'{root}>"
        f"{inside}</presence>"
    ).encode("utf-8", "surrogatepass")


def only(inside: str) -> Tuple:
    (one,) = parse(document(inside)).tuples
    return one


def test_example_4_of_rfc_8048_is_read() -> None:
    body = b"""<?xml version='1.0' encoding='UTF-8'?>
<presence xmlns='urn:ietf:params:xml:ns:pidf'
          entity='pres:romeo@example.net'>
  <tuple id='ID-dr4hcr0st3lup4c'>
    <status>
      <basic>open</basic>
      <show xmlns='jabber:client'>away</show>
    </status>
  </tuple>
</presence>"""
    assert parse(body) == Presence(
        entity="pres:romeo@example.net",
        tuples=(Tuple(id="ID-dr4hcr0st3lup4c", basic=True, show="away"),),
    )


def test_example_20_of_rfc_8048_is_read() -> None:
    one = only("<tuple id='ID-dr4hcr0st3lup4c'>\n<status> <basic>closed</basic> </status></tuple>")
    assert (instance_of(one.id), one.basic) == ("dr4hcr0st3lup4c", False)


def test_everything_that_people_put_into_a_tuple_is_read() -> None:
    one = only(
        "<tuple id='t1'><status><basic>OPEN</basic></status>"
        "<r:activities><r:on-the-phone/><r:other>x</r:other><r:unknown/></r:activities>"
        "<r:user-input last-input='2026-01-02T03:04:05Z'>idle</r:user-input>"
        "<contact priority='0.8'> sip:romeo@192.0.2.1 </contact>"
        "<note xml:lang='en'>busy now</note><note>occupato</note><note xml:lang='en'>twice</note>"
        "<timestamp>2026-01-02t03:04:05.250z</timestamp></tuple>"
    )
    assert one == Tuple(
        id="t1",
        basic=True,
        contact="sip:romeo@192.0.2.1",
        priority=800,
        notes=(Note("busy now", "en"), Note("occupato")),
        activities=("on-the-phone",),
        idle_since=1767323045.0,
        timestamp=1767323045.25,
    )


def test_the_person_of_the_data_model_is_read() -> None:
    presence = parse(
        document(
            "<tuple id='a'><status><basic>open</basic></status></tuple><note>of all</note>"
            "<dm:person id='p1'><r:activities><r:away/></r:activities><dm:note>lunch</dm:note></dm:person>"
            "<dm:person id='p2'><r:activities><r:meal/></r:activities></dm:person>"
        )
    )
    assert presence.person == Person(notes=(Note("lunch"),), activities=("away", "meal"))
    assert presence.notes == (Note("of all"),)


def test_the_provisional_status_of_rfc_3922_is_read() -> None:
    one = only(
        "<tuple id='a'><status><i:im xmlns:i='urn:ietf:params:xml:ns:pidf:im'>busy</i:im></status></tuple>"
    )
    assert (one.basic, one.show) == (None, "busy")


def test_what_is_not_known_is_passed_over_with_all_that_is_in_it() -> None:
    """CHECKLIST PDF-9."""
    one = only(
        "<tuple id='a'><x xmlns='urn:x'><status xmlns='urn:ietf:params:xml:ns:pidf'><basic>closed</basic>"
        "</status></x><status><basic>open</basic><y xmlns='urn:y'/></status></tuple>"
    )
    assert one == Tuple(id="a", basic=True)


@pytest.mark.parametrize("priority", ["2", "-0.1", "0.1234", "high", "1.001", ""])
def test_a_priority_out_of_range_is_ignored(priority: str) -> None:
    """CHECKLIST PDF-6."""
    assert (
        only(f"<tuple id='a'><status/><contact priority='{priority}'>sip:a@b</contact></tuple>").priority
        is None
    )


@pytest.mark.parametrize(
    "inside",
    ["<tuple><status><basic>maybe</basic></status></tuple>", "<tuple/>", "<tuple id=''><contact/></tuple>"],
)
def test_a_tuple_that_says_nothing_is_still_a_tuple(inside: str) -> None:
    assert only(inside) == Tuple()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"presence",
        b"<presence/>",
        b"<presence xmlns='urn:ietf:params:xml:ns:pidf:'/>",
        b"<!DOCTYPE presence []><presence xmlns='urn:ietf:params:xml:ns:pidf'/>",
        document("<tuple/>" * (MAX_TUPLES + 1)),
    ],
)
def test_what_is_no_presence_document_is_refused(body: bytes) -> None:
    with pytest.raises(PidfError):
        parse(body)


@given(st.binary(max_size=200) | st.text(max_size=100).map(document))
def test_whatever_comes_is_a_document_or_none(body: bytes) -> None:
    try:
        presence = parse(body)
    except PidfError:
        return
    assert len(presence.tuples) <= MAX_TUPLES


@given(
    st.lists(
        st.sampled_from(
            [
                "<tuple id='a'>",
                "</tuple>",
                "<status>",
                "</status>",
                "<basic>open</basic>",
                "<note>n</note>",
                "x",
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_whatever_is_in_a_tuple_it_is_read_or_refused(inside: str) -> None:
    try:
        parse(document(inside))
    except PidfError:
        return


def test_the_language_of_the_carrier_holds_where_nothing_else_is_said() -> None:
    presence = parse(
        document("<note>ciao</note><note xml:lang=''>?</note><note xml:lang='de'>ja</note>"), "", "it"
    )
    assert presence.notes == (Note("ciao", "it"), Note("?"), Note("ja", "de"))


def test_what_is_written_is_strict() -> None:
    """CHECKLIST PDF-1 to PDF-8."""
    presence = Presence(
        entity="pres:juliet@example.com",
        tuples=(
            Tuple(
                id="ID-a",
                basic=True,
                show="xa",
                contact="sip:juliet@example.com",
                priority=1000,
                notes=(Note("a < b", "en"),),
                activities=("meeting",),
                idle_since=0.0,
                timestamp=1.0,
            ),
            Tuple(basic=False),
        ),
        person=Person(activities=("away",)),
    )
    body = write(presence)
    assert body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    root = ElementTree.fromstring(body)
    first = root[0]
    assert [child.tag.rpartition("}")[2] for child in root] == ["tuple", "tuple", "person"]
    assert [child.tag.rpartition("}")[2] for child in first] == [
        "status", "activities", "user-input", "contact", "note", "timestamp",
    ]  # fmt: skip
    assert [child.tag for child in first[0]] == [f"{{{PIDF}}}basic", "{jabber:client}show"]
    assert first[3].attrib == {"priority": "1"}
    assert parse(body).tuples[0] == presence.tuples[0]
    assert parse(body).tuples[1].id  # section 4.1.2: there is always one
    with pytest.raises(ValueError, match="a tuple"):
        write(Presence(entity="pres:juliet@example.com"))


def test_a_plain_document_names_no_namespace_that_it_does_not_use() -> None:
    body = write(Presence(entity="pres:a@b", tuples=(Tuple(id="x", basic=True),)))
    assert b"rpid" not in body
    assert b"data-model" not in body


@given(st.text(max_size=64))
def test_every_instance_has_an_id_of_its_own_and_comes_back(instance: str) -> None:
    """CHECKLIST PRS-103, PRS-122."""
    instance = "".join("?" if unicodedata.category(c)[0] == "C" else c for c in instance)
    identifier = tuple_id(instance)
    assert identifier.isascii()
    assert identifier.replace("-", "").replace(".", "").replace("_", "").isalnum()
    assert instance_of(identifier) == instance


@pytest.mark.parametrize(
    ("identifier", "instance"),
    [
        ("ID-dr4hcr0st3lup4c", "dr4hcr0st3lup4c"),
        ("bs35r9", "bs35r9"),
        ("ID-Home_20PC", "Home PC"),
        ("ID-a_0ab", "a_0ab"),  # a line feed is nobody's instance
        ("ID-a_ff", "a_ff"),  # no UTF-8
        ("ID-a_zz", "a_zz"),
        ("a_20b", "a_20b"),
        ("ID-", ""),
        ("", ""),
    ],
)
def test_ids_of_others_are_taken_as_they_are(identifier: str, instance: str) -> None:
    assert instance_of(identifier) == instance


@given(st.integers(0, 4_000_000_000))
def test_a_time_is_read_as_it_was_written(seconds: int) -> None:
    assert read_time(write_time(seconds)) == seconds
    assert write_time(seconds).endswith("Z")


@pytest.mark.parametrize("text", ["", "now", "2026-01-02", "2026-01-02T03:04:05", "99999-01-01T00:00:00Z"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert read_time(text) is None
