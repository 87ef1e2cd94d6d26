"""Traffic and meter stop at the same instant, whenever and however leave is given and taken."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.agreed import NOW_NS, SECOND, contoso_and_yahoo, stands
from rialto.core.policy import Book, PolicySettings
from rialto.model.agreement import STILL_FLOWS, State, Suspension, Traffic
from rialto.model.errors import Refused
from rialto.store.store import Store
from rialto.testing import House, ScriptedNetwork, deliver_at_once, peer

turns = st.lists(
    st.tuples(st.integers(1, 5), st.sampled_from(State), st.sampled_from(Suspension)), min_size=1, max_size=5
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns)
def test_what_passes_is_metered_and_what_does_not_is_not(
    tmp_path: Path, turns: list[tuple[int, State, Suspension]]
) -> None:
    template = tmp_path / "template"
    if not template.exists():  # to make a database takes longer than all that follows
        Store(template).close()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(template, folder, dirs_exist_ok=True)
        asyncio.run(play(Path(folder), turns))


async def play(folder: Path, turns: list[tuple[int, State, Suspension]]) -> None:
    """A message a second, from before the first change of state until after the last."""
    sheet = contoso_and_yahoo()
    sheet.all_standings.clear()
    item, begin = sheet.all_items[0], 0
    states: list[tuple[int, State, Suspension]] = []
    for number, (seconds, state, reason) in enumerate(turns):
        end = None if number == len(turns) - 1 else max(begin, NOW_NS) + seconds * SECOND
        stands(sheet, item, state, begin, end, reason=reason)
        states.append((begin, state, reason))
        begin = end or begin
    one = House(
        folder,
        [peer("contoso.example", "xmpp"), peer("yahoo.example", "sip")],
        [ScriptedNetwork(name, deliver_at_once) for name in ("xmpp", "sip")],
        policy=PolicySettings(agreements="required"),
    )
    sent, expected = [], []
    async with one:
        one.hub.gate.use(Book(sheet))
        for second in range(sum(seconds for seconds, _, _ in turns) + 1):
            text = f"second {second}"
            with contextlib.suppress(Refused):
                one.hand_in(text, "ann@contoso.example", "yan@yahoo.example", "contoso.example")
                sent.append(text)
            at = NOW_NS + second * SECOND
            _, state, reason = [turn for turn in states if turn[0] <= at][-1]
            flows = Traffic.MESSAGE in STILL_FLOWS[reason]
            if state in (State.ACTIVE, State.PENDING_TERMINATE) or (state is State.SUSPENDED and flows):
                expected.append(text)
            one.time.advance(1.0)
        await one.settle_down()
        assert sent == expected
        assert one.networks["sip"].texts() == expected
        with contextlib.closing(sqlite3.connect(one.store.path)) as connection:
            items = connection.execute("SELECT agreement_item_id, policy_decision_id <> '' FROM usage")
            assert items.fetchall() == [(item.id, 1)] * len(expected)
