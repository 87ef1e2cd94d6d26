"""`rialto check` asks where links lead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cli.test_check import make_config, only
from rialto.cli.check.findings import Level
from rialto.cli.check.web import web


@pytest.fixture
def answering() -> Iterator[tuple[str, list[bytes]]]:
    """The URL of a web server, and what it will answer."""
    bodies = [b'{"status": "ok"}']

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(bodies[0])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}", bodies
        server.shutdown()
        serving.join()


def test_without_a_web_side_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert not list(web(make_config(tmp_path), running=True))


def test_links_without_encryption_are_warned_of(tmp_path: Path) -> None:
    config = make_config(tmp_path, web={"listen": "127.0.0.1:8080"})
    found = only(web(config, running=False))
    assert (found.level, "https" in found.remedy) == (Level.WARNING, True)


def test_an_address_that_leads_here_is_in_order(tmp_path: Path, answering: tuple[str, list[bytes]]) -> None:
    config = make_config(tmp_path, web={"listen": "127.0.0.1:8080", "url": answering[0]})
    assert [found.level for found in web(config, running=True)] == [Level.WARNING, Level.OK]


@pytest.mark.parametrize("body", [b"<h1>It works!</h1>", b'{"status": "down"}'])
def test_an_address_that_leads_elsewhere_is_found(
    tmp_path: Path, answering: tuple[str, list[bytes]], body: bytes
) -> None:
    answering[1][0] = body
    config = make_config(tmp_path, web={"listen": "127.0.0.1:8080", "url": answering[0]})
    assert [found.level for found in web(config, running=True)][-1] is Level.ERROR


def test_an_address_where_nobody_answers_is_found(tmp_path: Path) -> None:
    config = make_config(tmp_path, web={"listen": "127.0.0.1:8080", "url": "http://127.0.0.1:9"})
    found = list(web(config, running=True))[-1]
    assert found.level is Level.ERROR
    assert "refused" in found.text
