"""Presence as a play in any order: people ask, decide, come, go, and the gateway is killed at any moment.

The rules that must hold whatever happens:

- nobody is shown anything of somebody who has not allowed it, nor anybody else's document;
- once everything is quiet, every watcher who listens sees what is so;
- a crash and restart changes nothing that anybody sees.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.presence_stage import Screen, Stage, Wire, later, no, pair
from rialto.core.network import PairView, Verb
from rialto.core.presence import PresenceSettings
from rialto.model.errors import Refused
from rialto.model.presence import Document, Grant, Pair, State

PAIRS = (
    pair("romeo@xmpp.example", "juliet@sip.example"),
    pair("juliet@sip.example", "romeo@xmpp.example"),
    pair("tybalt@sip.example", "romeo@xmpp.example"),
)
pairs = st.sampled_from(PAIRS)


class FarSide:
    """What one presentity's server knows of one watcher."""

    def __init__(self) -> None:
        self.asked = False
        self.allowed = False
        self.told_of_session = False


class Play(RuleBasedStateMachine):
    """The two worlds and the gateway between them."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage(PresenceSettings(asks_per_s=1e9))
        self.stage.random = random.Random(1).random
        self.far = {one: FarSide() for one in PAIRS}
        self.state: dict[Pair, tuple[str, ...]] = dict.fromkeys(PAIRS, ())
        """What the presentity shows to this watcher: instances that carry the pair's name."""
        self.screens = {one: Screen() for one in PAIRS}
        self.sessions: dict[Pair, bool] = dict.fromkeys(PAIRS, False)
        self.unheard: set[Pair] = set()
        """Whose session has begun, but not on disk."""
        self.down: set[str] = set()
        self.true_once: dict[Pair, list[tuple[str, ...]]] = {one: [] for one in PAIRS}
        """What the presentity has shown under the present authorization (and session, where it shows nothing
        without one)."""
        self.true_ever: dict[Pair, list[tuple[str, ...]]] = {one: [] for one in PAIRS}
        for domain in ("xmpp.example", "sip.example"):
            self.stage.wire(domain).on_watch = self.on_watch
            self.stage.wire(domain).on_tell = self.on_tell

    # -- the networks ----------------------------------------------------------------------------------

    def on_tell(self, view: PairView) -> None:
        one = view.pair
        if view.document is not None and view.grant is Grant.GRANTED:
            for state in view.document.states:
                assert state.instance.startswith(str(one)), "somebody else's document"
        assert view.document is None or view.grant is Grant.GRANTED, "shown without being allowed"
        if view.document is not None and not view.document.stale:
            shown = tuple(state.instance.partition("/")[2] for state in view.document.states)
            assert shown in self.true_once[one], "shown what was true in another life"
        self.screens[one].apply(view)

    def on_watch(self, view: PairView, verb: Verb) -> None:
        one, far = view.pair, self.far[view.pair]
        domain, presence = one.presentity.domain, self.stage.presence
        origin = self.stage.by(domain)
        if domain in self.down:
            if verb is not Verb.CLOSE:
                presence.refused(one, None, later(), for_good=False)
            return
        match verb:
            case Verb.ASK:
                far.asked, far.told_of_session = True, view.listening
                if far.allowed:
                    presence.granted(one, origin)
                    self.show(one)
                else:
                    presence.pending(one, origin)
            case Verb.GIVE_BACK:
                far.asked = far.allowed = far.told_of_session = False
                presence.done(one, origin)
            case Verb.CLOSE:
                far.told_of_session = False
            case Verb.OPEN | Verb.FETCH:
                far.told_of_session = verb is Verb.OPEN or far.told_of_session
                if far.allowed:
                    presence.show(one, self.document(one), origin)
                else:
                    presence.refused(one, origin, no(), for_good=True)

    def document(self, one: Pair) -> Document:
        self.true_once[one].append(self.state[one])
        self.true_ever[one].append(self.state[one])
        return Document(
            tuple(State(f"{one}/{name}") for name in self.state[one]), as_of=self.stage.time.clock()
        )

    def show(self, one: Pair) -> None:
        """The server of the presentity tells, where it would."""
        far, domain = self.far[one], one.presentity.domain
        if (
            far.allowed
            and domain not in self.down
            and (far.told_of_session or self.stage.wire(domain).pushes)
        ):
            self.stage.presence.show(one, self.document(one), self.stage.by(domain))

    # -- what people do --------------------------------------------------------------------------------

    @initialize(online=st.booleans())
    def have_a_past(self, online: bool) -> None:
        if online:
            for one in PAIRS:
                self.ask(one, listening=True)
            self.stage.settle(0.2)
            for one in PAIRS:
                self.allow(one)
                self.change(one, {"phone", "desk"})
            self.stage.settle(0.2)
            assert all(len(screen.shown) == 2 for screen in self.screens.values())

    @rule(one=pairs, listening=st.booleans())
    def ask(self, one: Pair, listening: bool) -> None:
        origin = self.stage.by(one.watcher.domain)
        self.stage.presence.ask(one, origin)
        if listening:
            self.begin(one)

    @rule(one=pairs)
    def give_back(self, one: Pair) -> None:
        self.stage.presence.give_back(one, self.stage.by(one.watcher.domain))
        self.true_once[one].clear()

    @rule(one=pairs)
    def begin(self, one: Pair) -> None:
        screen, view = self.screens[one], self.stage.presence.view(one)
        if view is not None and view.listening and not self.sessions[one] and view.told_document is not None:
            # A crash has swallowed that the watcher had left: its network answers from what is known.
            screen.shown = {state.instance: state for state in view.told_document.states}
        self.sessions[one] = self.stage.presence.open(one, self.stage.by(one.watcher.domain))
        self.unheard.add(one)
        self.stage.presence.when_kept(one, lambda: self.unheard.discard(one))

    @rule(one=pairs)
    def leave(self, one: Pair) -> None:
        self.stage.presence.close(one, self.stage.by(one.watcher.domain))
        self.sessions[one] = False
        if not self.stage.wire(one.presentity.domain).pushes:
            self.true_once[one].clear()
        self.screens[one].shown.clear()
        self.screens[one].stale = False

    @rule(one=pairs)
    def allow(self, one: Pair) -> None:
        if not self.far[one].asked or one.presentity.domain in self.down:
            return
        self.far[one].allowed = True
        self.stage.presence.granted(one, self.stage.by(one.presentity.domain))
        self.show(one)

    @rule(one=pairs)
    def refuse(self, one: Pair) -> None:
        if one.presentity.domain in self.down:
            return
        self.far[one].asked = self.far[one].allowed = False
        self.true_once[one].clear()
        self.stage.presence.refused(one, self.stage.by(one.presentity.domain), no(), for_good=True)

    @rule(one=pairs, instances=st.sets(st.sampled_from(("phone", "desk", "car"))))
    def change(self, one: Pair, instances: set[str]) -> None:
        if one.presentity.domain not in self.down:
            self.state[one] = tuple(sorted(instances))
            self.show(one)

    @rule(one=pairs)
    def intrude(self, one: Pair) -> None:
        """Somebody speaks for a domain that is not theirs."""
        wrong = self.stage.by(one.watcher.domain)
        for verb in (self.stage.presence.granted, self.stage.presence.done):
            with pytest.raises(Refused):
                verb(one, wrong)

    @rule(domain=st.sampled_from(("xmpp.example", "sip.example")))
    def outage(self, domain: str) -> None:
        self.down.add(domain)

    @precondition(lambda self: self.down)
    @rule()
    def repair(self) -> None:
        for domain in sorted(self.down):
            self.down.discard(domain)
            network = self.stage.wire(domain).name
            self.stage.presence.reachable(domain, network)
            self.stage.presence.missed(domain, network)

    @rule()
    def turn(self) -> None:
        self.stage.turn()

    @rule(seconds=st.sampled_from((0.2, 1.5, 130.0)))
    def wait(self, seconds: float) -> None:
        self.stage.settle(seconds)

    @rule()
    def crash(self) -> None:
        """At any point; what was on the wire has been seen, what was not on disk is gone."""
        for one in PAIRS:  # what people did last may be undone by it
            self.true_once[one].extend(self.true_ever[one])
        for one in self.unheard:  # nor was it acknowledged, and its server is as far as before
            self.sessions[one] = False
        self.unheard.clear()
        self.stage.restart()

    @rule()
    def quiet(self) -> None:
        """Everything works again, everybody says once more how things are, and time passes."""
        self.calm()
        for one in PAIRS:
            watch = self.stage.presence.find(one)
            screen, far = self.screens[one], self.far[one]
            grant = watch.grant if watch is not None else Grant.NONE
            assert screen.grant is grant or (grant is Grant.NONE and screen.grant is not Grant.GRANTED)
            assert far.allowed == (grant is Grant.GRANTED)
            if watch is not None and watch.listening and grant is Grant.GRANTED:
                assert set(screen.shown) == {f"{one}/{name}" for name in self.state[one]}
                assert not screen.stale
            else:
                assert not screen.shown

    @rule()
    def quiet_restart(self) -> None:
        """Killed when all is quiet: nobody sees anything, and nobody is asked to decide again."""
        self.calm()
        before = [screen.changes for screen in self.screens.values()]
        asked = sum(verb is Verb.ASK for wire in self.wires() for _, verb in wire.said)
        self.stage.restart()
        self.stage.settle(30.0)
        assert [screen.changes for screen in self.screens.values()] == before
        assert sum(verb is Verb.ASK for wire in self.wires() for _, verb in wire.said) == asked

    def calm(self) -> None:
        self.repair()
        self.stage.settle(5.0)
        self.stage.settle(4000.0)  # the longest back-off
        for one in PAIRS:
            watch = self.stage.presence.find(one)
            if self.far[one].asked and (watch is None or watch.grant not in (Grant.PENDING, Grant.GRANTED)):
                # a request that a crash has swallowed on our side only: its server does not know
                self.far[one].asked = self.far[one].allowed = False
            if self.far[one].allowed and watch is not None and watch.grant is Grant.PENDING:
                self.stage.presence.granted(one, self.stage.by(one.presentity.domain))
            if not self.far[one].allowed and watch is not None and watch.grant is Grant.GRANTED:
                self.stage.presence.refused(one, self.stage.by(one.presentity.domain), no(), for_good=True)
            if watch is not None and not watch.listening:
                self.sessions[one] = False
            elif watch is not None and not self.sessions[one]:
                self.leave(one)  # a crash has swallowed that the watcher left
            self.show(one)
        self.stage.settle(5.0)
        self.stage.settle(5.0)

    def wires(self) -> tuple[Wire, ...]:
        return (self.stage.xmpp, self.stage.sip)

    @invariant()
    def nothing_is_shown_unallowed(self) -> None:
        for wire in self.wires():
            if wire.faults:
                raise wire.faults[0]
        for screen in self.screens.values():
            assert not screen.shown or screen.grant is Grant.GRANTED


TestPlay = Play.TestCase
TestPlay.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
