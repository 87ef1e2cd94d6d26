"""From XMPP to SIP and back to XMPP: what has not come back is what the fidelity says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from networks.xmpp.stanzas import heard, message, there_and_back
from rialto.core.adapt import adapt
from rialto.core.network import Features
from rialto.model.message import Disposition, File, Message, Relation, RelationKind
from rialto.networks.sip import envelopes
from rialto.networks.sip import settings as sip
from rialto.networks.sip.bodies import read
from rialto.networks.sip.wire.headers import parse_media_type
from rialto.networks.xmpp import settings as xmpp

XMPP = replace(xmpp.features(xmpp.PeerSettings()), max_bytes=None)
ROSE = File(url="https://f.example/rose.png", name="rose.png", media_type="image/png", size_bytes=3000)

lines = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=40)
told = lines.filter(
    lambda text: text.strip() == text and text[0] not in "\ufeff?" and "f.example" not in text
)
messages = st.builds(
    message,
    text=st.lists(told, min_size=1, max_size=3).map("\n".join),
    rich=st.sampled_from(
        ["", "<p>a <strong>rose</strong></p>", "<ul><li>by any</li><li>other name</li></ul>"]
    ),
    files=st.sampled_from([(), (ROSE,)]),
    relation=st.none()
    | st.builds(
        Relation,
        kind=st.sampled_from(list(RelationKind)),
        target=st.just("old"),
        about=st.just("0old"),
        reactions=st.just(("🌹",)),
        quote=st.sampled_from(["", "what's in a name?"]),
    ),
    wants=st.sampled_from([(), (Disposition.DELIVERED,), (Disposition.DELIVERED, Disposition.DISPLAYED)]),
)
peers = st.builds(
    sip.PeerSettings,
    html=st.sampled_from(["never", "alternative"]),
    receipts=st.booleans(),
    cpim=st.sampled_from(["auto", "never"]),
    trust=st.just(("address",)),
    addresses=st.just(("192.0.2.1",)),
)


def told_on(content: Message, features: Features, peer: sip.PeerSettings) -> tuple[Message, str]:
    """The message as a SIP user's client has it, and all that is said to be lost."""
    (adapted,), lost = adapt(content, features, lambda _: 0)
    written = envelopes.content(adapted, html=peer.html)
    said = read(parse_media_type(written.content_type), written.data)
    got = replace(
        content, text=said.text, rich=said.rich, files=said.files, relation=None, wants=adapted.wants
    )
    return got, "; ".join(lost)


@given(messages, peers)
def test_what_has_not_come_back_is_what_the_fidelity_says(sent: Message, peer: sip.PeerSettings) -> None:
    if sent.relation is not None and sent.relation.kind in (RelationKind.RETRACT, RelationKind.REACT):
        sent = replace(sent, text="", rich="", files=(), wants=())  # they have no words
    features = replace(sip.features(peer), max_bytes=None)
    got, lost = told_on(sent, features, peer)
    home, _ = adapt(got, XMPP, lambda _: 0)
    back = there_and_back(home[0], how="xhtml")

    assert sent.rich in back.rich or "form left out" in lost
    assert bool(back.rich) <= bool(sent.rich)
    if back.wants != sent.wants:
        gone = set(sent.wants) - set(back.wants)
        assert all(one.value in lost.partition("receipts not asked for")[2] for one in gone)
    if sent.files:
        assert "sent as a link" in lost
        assert ROSE.url in back.text
    if sent.relation is None:
        assert sent.text in back.text
        assert back.text == sent.text or sent.files
        return
    said = {
        RelationKind.REPLACE: "correction said in words",
        RelationKind.RETRACT: "retraction said in words",
        RelationKind.REACT: "reaction said in words",
        RelationKind.REPLY: "reply",
    }
    assert said[sent.relation.kind] in lost
    assert sent.text in back.text
    if sent.relation.kind is RelationKind.REACT:
        assert "🌹" in back.text
    if sent.relation.quote and sent.relation.kind is not RelationKind.REPLACE:
        assert sent.relation.quote in back.text


def test_marks_of_xmpp_reach_a_sip_user_as_html_and_come_back_as_marks() -> None:
    peer = sip.PeerSettings(html="alternative", trust=("address",), addresses=("192.0.2.1",))
    sent = heard("<body>a *rose* by _any_ name</body>", styling=True)
    got, lost = told_on(sent, sip.features(peer), peer)
    assert (got.text, got.rich) == (sent.text, "<p>a <strong>rose</strong> by <em>any</em> name</p>")
    assert lost == ""
    back = there_and_back(got, styling=True)
    assert (back.text, back.rich) == (sent.text, sent.rich)
