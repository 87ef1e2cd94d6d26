"""One running server for all tests that only talk to it; and logging that ends with its test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from cli.running import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with `echo@`, `busy@`, `refuse@` and `slow@test.example`."""
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def logging_for_one_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands set logging up for their process, for ever; here the process goes on without them."""
    configure = structlog.configure
    monkeypatch.setattr(
        structlog, "configure", lambda **how: configure(**(how | {"cache_logger_on_first_use": False}))
    )
    yield
    structlog.reset_defaults()
