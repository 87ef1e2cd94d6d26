"""`rialto why`, with a server and without."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from cli.running import Server, run
from rialto.core.presence.records import written
from rialto.core.presence.watch import Watch
from rialto.model.address import Address
from rialto.model.errors import Reason
from rialto.model.presence import Grant, Pair
from rialto.store.store import Store
from rialto.store.units import STATEMENTS

ROMEO, JULIET = "romeo@xmpp.example", "juliet@sip.example"


def test_a_running_server_says_that_nobody_has_asked(server: Server) -> None:
    result = server.run("why", ROMEO, JULIET)
    assert result.code == 1
    assert f"{ROMEO} has never asked to see {JULIET}" in result.err


def test_without_a_server_the_database_answers(tmp_path: Path) -> None:
    Store(tmp_path).close()
    watch = Watch(Pair(Address.parse(ROMEO), Address.parse(JULIET)), "xmpp.example", "sip.example", 0.0)
    watch.grant, watch.reason, watch.text = Grant.REFUSED, Reason.DECLINED, "a Montague"
    watch.entries = [(0.0, "ask", ""), (1.0, "refused", "a Montague")]
    with closing(sqlite3.connect(tmp_path / "rialto.db")) as database, database:
        for statement, parameters in written(watch):
            database.execute(STATEMENTS[statement], parameters)
    result = run("why", "--data-dir", str(tmp_path), f"{ROMEO}/orchard", JULIET)
    assert result.code == 0
    assert f"{JULIET} said no" in result.out
    assert "a Montague (declined)" in result.out
    assert "refused" in result.out
