"""What only the recipient can open passes as it is, or not at all (XEP-0384, 0373, 0027, 0364, 0380)."""

from __future__ import annotations

import pytest

from networks.xmpp.stanzas import heard, message, read, there_and_back
from rialto.model.errors import Reason, Refused
from rialto.model.message import Relation, RelationKind, Sealed
from rialto.networks.xmpp.settings import SEALED
from rialto.networks.xmpp.translate import from_model
from rialto.networks.xmpp.wire.fragment import read_fragment

OMEMO = (
    "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'><key rid='2'>AA==</key></header>"
    "<payload>c2VjcmV0</payload></encrypted>"
)
SORRY = "<body>I sent you an OMEMO encrypted message but your client doesn’t seem to support that.</body>"
EME = "<encryption xmlns='urn:xmpp:eme:0' namespace='{}'/>"


@pytest.mark.parametrize(
    ("payload", "scheme", "namespace"),
    [
        (OMEMO, "omemo", "eu.siacs.conversations.axolotl"),
        (
            "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/><payload>x</payload></encrypted>",
            "omemo",
            "urn:xmpp:omemo:2",
        ),
        ("<openpgp xmlns='urn:xmpp:openpgp:0'>BASE64</openpgp>", "openpgp", "urn:xmpp:openpgp:0"),
        ("<x xmlns='jabber:x:encrypted'>BASE64</x>", "openpgp", "jabber:x:encrypted"),
    ],
)
def test_a_sealed_payload_is_kept_as_it_is(payload: str, scheme: str, namespace: str) -> None:
    got = heard(f"{SORRY}{payload}{EME.format(namespace)}")
    [sealed] = got.sealed
    assert (sealed.scheme, sealed.media_type) == (scheme, namespace)
    assert read_fragment(sealed.data) is not None
    assert scheme in SEALED
    again = there_and_back(message(text=got.text, sealed=got.sealed))
    assert (again.text, again.sealed) == (got.text, got.sealed)


def test_a_payload_without_words_beside_it_is_a_message_too() -> None:
    assert heard(OMEMO).sealed[0].scheme == "omemo"


def test_keys_alone_are_nothing_that_anybody_said() -> None:
    keys = "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/></encrypted>"
    assert read(keys) is None
    assert read(f"{SORRY}{keys}") is None


def test_a_scheme_that_nobody_here_knows_is_found_by_its_mark() -> None:
    got = heard(f"{SORRY}<locked xmlns='urn:example:lock'>x</locked>{EME.format('urn:example:lock')}")
    [sealed] = got.sealed
    assert (sealed.scheme, sealed.media_type) == ("another scheme", "urn:example:lock")
    assert there_and_back(message(text=got.text, sealed=got.sealed)).sealed == got.sealed


def test_a_mark_without_a_payload_marks_nothing() -> None:
    assert heard(f"<body>hello</body>{EME.format('urn:example:lock')}").sealed == ()


def test_otr_is_known_by_its_text() -> None:
    for inside in ("<body>?OTR:AAMD...</body>", f"<body>?OTRv23?</body>{EME.format('urn:xmpp:otr:0')}"):
        got = heard(inside)
        assert [sealed.scheme for sealed in got.sealed] == ["otr"]
        again = there_and_back(message(text=got.text, sealed=got.sealed))
        assert (again.text, again.sealed) == (got.text, got.sealed)


def test_what_stands_beside_a_payload_is_not_taken_for_the_message() -> None:
    got = heard(f"{SORRY}{OMEMO}<x xmlns='jabber:x:oob'><url>https://files.example/x</url></x>")
    assert got.files == ()


def test_a_sealed_correction_corrects() -> None:
    got = heard(f"{SORRY}{OMEMO}<replace xmlns='urn:xmpp:message-correct:0' id='old'/>")
    assert got.relation == Relation(kind=RelationKind.REPLACE, target="old")
    again = there_and_back(message(text=got.text, sealed=got.sealed, relation=got.relation))
    assert (again.sealed, again.relation) == (got.sealed, got.relation)


@pytest.mark.parametrize(
    "sealed",
    [
        Sealed("smime", "application/pkcs7-mime", b"MII"),
        Sealed("omemo", "eu.siacs.conversations.axolotl", b"<not-well-formed"),
        Sealed("omemo", "eu.siacs.conversations.axolotl", b"<a xmlns='urn:other'/>"),
        Sealed("omemo", "eu.siacs.conversations.axolotl", b"<a/><b/>"),
    ],
)
def test_what_xmpp_cannot_carry_is_refused(sealed: Sealed) -> None:
    with pytest.raises(Refused) as refused:
        from_model(message(sealed=(sealed,)))
    assert refused.value.reason is Reason.NOT_SUPPORTED
