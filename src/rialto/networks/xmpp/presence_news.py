"""What a watcher on XMPP is told: the stanzas that lead from what was told to what is so.

A pure function of the hub's view. What was told stands in the view and is on disk, so that an instance which
was announced before a restart is taken back after it, from the very JID it was announced from (CHECKLIST
PRS-123). Only what has changed is sent (PRS-124).
"""

from __future__ import annotations

from collections.abc import Callable

from rialto.core.network import PairView
from rialto.model.address import Address
from rialto.model.presence import Document, Grant
from rialto.networks.xmpp.presence_stanzas import delay, from_state, full_jid
from rialto.networks.xmpp.wire import jid
from rialto.networks.xmpp.wire.element import Element

NewId = Callable[[], str]


def news(view: PairView, now: float, new_id: NewId) -> list[Element]:
    """What `tell` has to send. Raises AddressError for people whom XMPP cannot write."""
    presentity, watcher = view.pair.presentity, jid.write(view.pair.watcher)
    told = view.told_document
    if view.grant is Grant.PENDING:
        # RFC 8048 section 5.2.1: not a word before there is a decision. But whoever was refused and asks
        # again in the same instant has not seen the end of what was shown.
        return _departures(presentity, watcher, told, new_id) if told is not None else []
    if view.grant is Grant.GRANTED:
        stanzas = []
        if view.told_grant is not Grant.GRANTED:
            stanzas.append(_plain("subscribed", presentity, watcher, new_id()))
        if view.listening and view.document is not None:
            stanzas += _changes(presentity, watcher, told, view.document, now, new_id)
        elif told is not None and not view.listening:
            stanzas += _departures(presentity, watcher, told, new_id)
        return stanzas
    if view.document is not None:  # the answer to a single look
        return shown(presentity, watcher, view.document, now, new_id)
    # CHECKLIST PRS-53, PRS-55, PRS-97: what was shown is taken back with the authorization.
    stanzas = _departures(presentity, watcher, told, new_id) if told is not None else []
    if view.grant is Grant.REFUSED or view.told_grant is not Grant.NONE or view.reason is not None:
        text = view.text if view.grant is Grant.REFUSED or view.reason is not None else ""
        stanzas.append(_plain("unsubscribed", presentity, watcher, new_id(), text))
    return stanzas


def shown(
    presentity: Address, recipient: str, document: Document, now: float, new_id: NewId
) -> list[Element]:
    """The whole document: for a session that begins, or a probe (RFC 6121 section 4.3.2)."""
    stanzas = [
        from_state(
            state,
            presentity,
            recipient,
            stanza_id=new_id(),
            as_of=document.as_of,
            stale=document.stale,
            now=now,
        )
        for state in document.states
    ]
    if not stanzas:
        offline = _plain("unavailable", presentity, recipient, new_id())
        offline.content += delay(presentity, document.as_of, now)
        stanzas.append(offline)
    return stanzas


def unsubscribed(presentity: Address, watcher: Address, stanza_id: str, text: str = "") -> Element:
    """There is no authorization; bare JIDs (RFC 6121 section 3.2)."""
    return _plain("unsubscribed", presentity, jid.write(watcher.bare), stanza_id, text)


def request(kind: str, sender: Address, recipient: Address, stanza_id: str, text: str = "") -> Element:
    """A `subscribe`, `unsubscribe`, `probe` or `unavailable` between two people, both bare."""
    return _plain(kind, sender, jid.write(recipient.bare), stanza_id, text)


def _changes(
    presentity: Address, watcher: str, told: Document | None, document: Document, now: float, new_id: NewId
) -> list[Element]:
    if told is None:
        return shown(presentity, watcher, document, now, new_id)
    before = {state.instance: state for state in told.states}
    present = {state.instance for state in document.states}
    all_again = document.stale != told.stale
    changed = tuple([state for state in document.states if all_again or before.get(state.instance) != state])
    gone = [state for state in told.states if state.instance not in present]
    # Clients take `unavailable` from a bare JID for everything, so that one goes first; the others go last,
    # so that nobody is seen to go offline who only changes places.
    bare = Document(tuple([state for state in gone if not state.instance]))
    full = Document(tuple([state for state in gone if state.instance]))
    stanzas = _departures(presentity, watcher, bare, new_id)
    if changed:
        present_now = Document(changed, document.as_of, document.stale)
        stanzas += shown(presentity, watcher, present_now, now, new_id)
    return stanzas + _departures(presentity, watcher, full, new_id)


def _departures(presentity: Address, watcher: str, told: Document, new_id: NewId) -> list[Element]:
    """From the same full JIDs that were announced."""
    return [
        Element(
            "presence",
            {
                "from": full_jid(presentity, state.instance),
                "to": watcher,
                "id": new_id(),
                "type": "unavailable",
            },
        )
        for state in told.states
    ]


def _plain(kind: str, sender: Address, recipient: str, stanza_id: str, text: str = "") -> Element:
    attributes = {"from": jid.write(sender.bare), "to": recipient, "id": stanza_id, "type": kind}
    return Element("presence", attributes, [Element("status", {}, [text])] if text else [])
