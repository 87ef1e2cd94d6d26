"""Partial presence documents, and the changes to XML that they are made of (RFC 5261, RFC 5262)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rialto.wire.pidf import Note, Person, PidfError, Presence, Tuple
from rialto.wire.pidf_diff import OutOfStep, Reader, Writer
from rialto.wire.xml import Node, Scope, XmlError, read_document
from rialto.wire.xmlpatch import MAX_CHANGES, apply, changes_of

FULL = b"""<?xml version="1.0"?>
<p:pidf-full xmlns="urn:ietf:params:xml:ns:pidf" xmlns:p="urn:ietf:params:xml:ns:pidf-diff"
  xmlns:r="urn:ietf:params:xml:ns:pidf:rpid" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"
  entity="pres:juliet@capulet.example" version="567">
 <tuple id="balcony"><status><basic>open</basic></status>
   <contact priority="0.8">sip:juliet@capulet.example</contact></tuple>
 <tuple id="cell"><status><basic>closed</basic></status></tuple>
 <note xml:lang="en">whole</note>
 <dm:person id="p1"><r:activities><r:on-the-phone/><r:busy/></r:activities></dm:person>
</p:pidf-full>"""

DIFF = """<p:pidf-diff xmlns="urn:ietf:params:xml:ns:pidf" xmlns:p="urn:ietf:params:xml:ns:pidf-diff"
  xmlns:rp="urn:ietf:params:xml:ns:pidf:rpid" xmlns:d="urn:ietf:params:xml:ns:pidf:data-model"
  entity="pres:juliet@capulet.example" version="{version}">{changes}</p:pidf-diff>"""


def after(*changes: str, version: int = 568) -> Presence:
    reader = Reader()
    assert reader.read(FULL) is not None
    found = reader.read(DIFF.format(version=version, changes="".join(changes)).encode())
    assert found is not None
    return found


def test_a_whole_one_is_read() -> None:
    presence = Reader().read(FULL)
    assert presence is not None
    assert [one.id for one in presence.tuples] == ["balcony", "cell"]
    assert presence.person is not None
    assert presence.person.activities == ("on-the-phone", "busy")


def test_changes_as_the_rfc_writes_them() -> None:
    """The kinds of section 6 of RFC 5262: beside, text, element, attribute."""
    presence = after(
        '<p:add sel="presence/note" pos="before">'
        '<tuple id="garden"><status><basic>open</basic></status></tuple></p:add>',
        "<p:replace sel=\"*/tuple[@id='cell']/status/basic/text()\">open</p:replace>",
        '<p:remove sel="*/d:person/rp:activities/rp:busy" ws="after"/>',
        "<p:replace sel=\"*/tuple[@id='balcony']/contact/@priority\">0.7</p:replace>",
    )
    assert [(one.id, one.basic, one.priority) for one in presence.tuples] == [
        ("balcony", True, 700),
        ("cell", True, None),
        ("garden", True, None),
    ]
    assert presence.person is not None
    assert presence.person.activities == ("on-the-phone",)


@pytest.mark.parametrize(
    "change",
    [
        '<p:remove sel="*/tuple[2]"/>',
        "<p:remove sel='*/tuple[@id=\"cell\"]'/>",
        "<p:remove sel=\"id('cell')\"/>",
        "<p:remove sel=\"/p:pidf-full/tuple[@id='cell']\"/>",
        "<p:remove sel=\"/presence/tuple[status='']/status[basic='closed']\"/><p:remove sel=\"*/tuple[2]\"/>",
        "<p:remove sel=\"*/*[@id='cell'][1]\"/>",
    ],
)
def test_a_place_can_be_named_in_many_ways(change: str) -> None:
    assert [one.id for one in after(change).tuples] == ["balcony"]


def test_what_is_added_has_its_place() -> None:
    new = "<tuple id='n'><status><basic>open</basic></status></tuple>"
    first = after(f'<p:add sel="*" pos="prepend">{new}</p:add>')
    last = after(f'<p:add sel="presence">{new}</p:add>')
    between = after(f'<p:add sel="*/tuple[@id=\'balcony\']" pos="after">{new}</p:add>')
    assert [one.id for one in first.tuples] == ["n", "balcony", "cell"]
    assert [one.id for one in last.tuples] == ["balcony", "cell", "n"]
    assert [one.id for one in between.tuples] == ["balcony", "n", "cell"]


def test_attributes_and_texts_come_and_go() -> None:
    presence = after(
        '<p:add sel="*/tuple[@id=\'balcony\']/contact" type="@lang">en</p:add>',
        "<p:remove sel=\"*/tuple[@id='balcony']/contact/@priority\"/>",
        '<p:remove sel="*/note/text()"/>',
        '<p:add sel="*/note">part</p:add>',
        '<p:add sel="*" type="namespace::x">urn:x</p:add>',
    )
    assert presence.tuples[0].priority is None
    assert presence.notes == (Note("part", "en"),)


@pytest.mark.parametrize(
    "change",
    [
        '<p:remove sel=""/>',
        "<p:remove/>",
        '<p:remove sel="*"/>',
        '<p:remove sel="*/tuple"/>',
        "<p:remove sel=\"*/tuple[@id='nobody']\"/>",
        '<p:remove sel="*/x:tuple[1]"/>',
        '<p:remove sel="//tuple[1]"/>',
        '<p:remove sel="*/tuple[0]"/>',
        '<p:remove sel="*/tuple[last()]"/>',
        '<p:remove sel="*/tuple[1]/@no"/>',
        '<p:remove sel="' + "*/" * 20 + '*"/>',
        '<p:remove sel="' + "x" * 600 + '"/>',
        '<p:replace sel="*/note">text</p:replace>',
        "<p:replace sel='*'><presence xmlns='urn:other'/></p:replace>",
        '<p:add sel="*/note" pos="sideways"><note/></p:add>',
        '<p:add sel="*" pos="before"><note/></p:add>',
        '<p:add sel="*/note/text()">x</p:add>',
        '<p:add sel="*" type="@entity">x</p:add>',
        '<p:add sel="*" type="comment()">x</p:add>',
        '<p:remove sel="*/tuple[1]/status/text()"/>',
        "".join("<p:add sel='*'><note/></p:add>" for _ in range(MAX_CHANGES + 1)),
        "".join(f"<p:add sel='*'>{'<note/>' * 284}</p:add>" for _ in range(7)),
    ],
)
def test_what_cannot_be_changed_so_is_asked_for_as_a_whole(change: str) -> None:
    with pytest.raises(OutOfStep):
        after(change)


def test_what_was_lost_is_noticed_and_what_is_old_passed_over() -> None:
    """RFC 5263 section 4.5."""
    reader = Reader()
    with pytest.raises(OutOfStep):
        reader.read(DIFF.format(version=1, changes="").encode())
    assert reader.read(FULL) is not None
    assert reader.read(FULL) is None
    assert reader.read(DIFF.format(version=500, changes="").encode()) is None
    with pytest.raises(OutOfStep):
        reader.read(DIFF.format(version=569, changes="").encode())
    with pytest.raises(OutOfStep):
        reader.read(DIFF.format(version=568, changes="").encode())
    assert reader.read(FULL.replace(b'"567"', b'"600"')) is not None
    reader.forget()
    with pytest.raises(OutOfStep):
        reader.read(DIFF.format(version=601, changes="").encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<presence xmlns='urn:ietf:params:xml:ns:pidf' version='1'/>",
        FULL.replace(b'version="567"', b""),
        FULL.replace(b'version="567"', b'version="-1"'),
        FULL.replace(b'<?xml version="1.0"?>', b"<!DOCTYPE x>"),
    ],
)
def test_what_is_no_partial_document_is_refused(data: bytes) -> None:
    with pytest.raises(PidfError):
        Reader().read(data)


def test_the_root_may_be_replaced() -> None:
    scopes: dict[Node, Scope] = {}
    patch = read_document(b"<d xmlns='u'><replace sel='*'><b/></replace><odd/></d>", scopes=scopes)
    base = read_document(b"<a xmlns='u'><c/></a>")
    assert apply(base, changes_of(patch, scopes, "u")).name == "u}b"
    assert base.children, "and what was there stays as it was"
    with pytest.raises(XmlError):
        apply(
            base,
            changes_of(patch, scopes, "u") * 2
            + changes_of(patch, scopes, "u")[:0]
            + [changes_of(patch, scopes, "u")[0]._replace(kind="remove")],
        )


_notes = st.lists(
    st.builds(Note, st.sampled_from(["here", "a <b> & 'c'"]), st.sampled_from(["", "en", "de"])),
    max_size=2,
    unique_by=lambda note: note.language,
).map(tuple)
_presences = st.builds(
    Presence,
    entity=st.just("pres:juliet@x"),
    tuples=st.lists(
        st.builds(
            Tuple,
            id=st.sampled_from(["ID-a", "ID-b_27", "ID-c", "ID-d"]),
            basic=st.booleans(),
            show=st.sampled_from(["", "away", "dnd"]),
            contact=st.just("sip:juliet@x"),
            priority=st.sampled_from([None, 500]),
            notes=_notes,
            activities=st.sampled_from([(), ("busy",)]),
            timestamp=st.sampled_from([None, 1_800_000_000.0, 1_800_000_001.0]),
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda one: one.id,
    ).map(tuple),
    notes=st.sampled_from([(), (Note("all"),)]),
    person=st.none() | st.builds(Person, activities=st.sampled_from([("away",), ("busy", "meal")])),
)


@given(st.lists(_presences, min_size=1, max_size=5))
def test_what_is_written_in_changes_is_read_as_a_whole(presences: list[Presence]) -> None:
    writer, reader = Writer(), Reader()
    for number, presence in enumerate(presences, 1):
        found = reader.read(writer.write(presence))
        assert writer.version == number
        assert found is not None
        assert timeless(found) == timeless(presence)


def timeless(presence: Presence) -> Presence:
    return replace(presence, tuples=tuple(replace(one, timestamp=None) for one in presence.tuples))


def test_changes_are_shorter() -> None:
    tuples = tuple(Tuple(id=f"ID-{n}", basic=True, contact="sip:juliet@x") for n in range(9))
    writer = Writer()
    whole = writer.write(Presence(entity="pres:juliet@x", tuples=tuples))
    changed = writer.write(
        Presence(entity="pres:juliet@x", tuples=(replace(tuples[0], show="away"), *tuples[1:]))
    )
    assert b"pidf-diff " in changed
    assert len(changed) < len(whole) / 2
    writer.lost()
    assert b"pidf-full" in writer.write(Presence(entity="pres:juliet@x", tuples=tuples))
    with pytest.raises(ValueError, match="tuple"):
        writer.write(Presence(entity="pres:juliet@x"))
