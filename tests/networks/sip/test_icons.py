"""Pictures are fetched where the operator allows it, a few at a time, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from rialto.core.faces import Faces
from rialto.model.face import Face
from rialto.net.fetch import FetchError
from rialto.networks.sip.icons import AGAIN_S, AT_ONCE, MAX_WAITING, Icons
from rialto.testing import FakeTime

HOSTS = ("images.example", "icons.example:8443")
URL = "https://images.example/juliet.png"


class Web:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: bytes | None = b"\x89PNG\r\n\x1a\nx"
        self.open = asyncio.Event()
        self.open.set()

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        await self.open.wait()
        if self.answer is None:
            raise FetchError("status 404")
        return self.answer


class Stage:
    def __init__(self) -> None:
        self.time = FakeTime()
        self.web = Web()
        self.faces = Faces(self.time.clock)
        self.icons = Icons(self.time.clock, self.web.fetch)
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    def admit(self, url: str) -> str:
        return self.icons.admit(Face(picture_url=url), HOSTS, self.faces, self.spawn).picture_url

    async def done(self) -> None:
        await asyncio.gather(*self.tasks)


async def test_a_picture_at_a_host_that_is_allowed_is_fetched_once() -> None:
    stage = Stage()
    assert stage.admit(URL) == stage.admit(URL) == URL
    await stage.done()
    picture = stage.faces.picture(Face(picture_url=URL))
    assert picture is not None
    assert picture.media_type == "image/png"
    assert stage.web.asked == [URL]
    stage.time.advance(AGAIN_S + 1)
    stage.admit(URL)
    await stage.done()
    assert stage.web.asked == [URL, URL]


@pytest.mark.parametrize(
    "url",
    [
        "http://images.example/juliet.png",
        "https://elsewhere.example/juliet.png",
        "https://images.example:8443/juliet.png",
        "https://images.example@10.0.0.1/juliet.png",
        "https://10.0.0.1/images.example",
        "https://images.example.evil.example/juliet.png",
    ],
)
async def test_elsewhere_nobody_looks(url: str) -> None:
    stage = Stage()
    assert stage.admit(url) == ""
    assert not stage.tasks


async def test_a_port_of_its_own_must_be_named() -> None:
    stage = Stage()
    assert stage.admit("https://Icons.example:8443/a") == "https://Icons.example:8443/a"
    await stage.done()


async def test_without_a_picture_there_is_nothing_to_do() -> None:
    stage = Stage()
    assert stage.admit("") == ""
    assert not stage.tasks


@pytest.mark.parametrize("answer", [None, b"<svg/>", b""])
async def test_what_is_no_picture_is_not_kept_and_not_asked_for_soon(answer: bytes | None) -> None:
    stage = Stage()
    stage.web.answer = answer
    stage.admit(URL)
    await stage.done()
    assert stage.faces.picture(Face(picture_url=URL)) is None
    stage.admit(URL)
    assert len(stage.tasks) == 1


async def test_a_crowd_of_pictures_waits_in_a_short_line() -> None:
    stage = Stage()
    stage.web.open.clear()
    for number in range(MAX_WAITING + 50):
        stage.admit(f"https://images.example/{number}")
    assert len(stage.tasks) == MAX_WAITING
    await asyncio.sleep(0)  # each has begun
    assert len(stage.web.asked) == AT_ONCE
    stage.web.open.set()
    await stage.done()
    assert len(stage.web.asked) == MAX_WAITING
