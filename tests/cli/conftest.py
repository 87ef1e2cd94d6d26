"""One running server for all tests that only talk to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.running import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with `echo@`, `busy@`, `refuse@` and `slow@test.example`."""
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    running.stop()
