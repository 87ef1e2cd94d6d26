"""uvicorn in our own loop: it listens where we say, and leaves signals and logs alone.

Strangers are bounded: a request must have come within `REQUEST_S`, a reader that takes nothing for
`STALLED_S` is cut off, and where `max_connections` are open the one that has been idle longest makes room.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from functools import partial
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from rialto.model.errors import ConfigError
from rialto.net.hostport import split_host_port
from rialto.web.settings import WebSettings

REQUEST_S = 20.0
STALLED_S = 60.0
MAX_HEAD_BYTES = 16 * 1024
KEEP_ALIVE_S = 15
BACKLOG = 256

_log = structlog.get_logger(__name__)


class Web:
    """The web side of one instance: `start`, then `stop`."""

    def __init__(self, settings: WebSettings, application: Any, *, grace_s: float) -> None:
        self._settings = settings
        self._application = application
        self._grace_s = grace_s
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.address: tuple[str, int] = ("", 0)
        """Where it listens, once it does."""

    async def start(self) -> None:
        """Listen. Raises ConfigError for an address or a certificate that cannot be used."""
        host, port = split_host_port(self._settings.listen)
        listening = _bind(host, port)
        try:
            self._server = _Server(_config(self._settings, self._application, self._grace_s))
        except BaseException:
            listening.close()
            raise
        self.address = listening.getsockname()[:2]
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]))
        await self._server.listening.wait()
        _log.info("web.listening", address=f"{self.address[0]}:{self.address[1]}")

    def reload(self, settings: WebSettings) -> None:
        """Take over a renewed certificate, and limits. Raises ConfigError for one that does not load."""
        if self._server is not None and self._server.config.ssl is not None:
            _load(self._server.config.ssl, settings)
        self._settings = settings

    async def stop(self) -> None:
        """Let the answers that are under way end within the grace, then close."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await self._task
        self._server = self._task = None


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ConfigError(
            "web.listen", f"an address that is free ({error.strerror or error})", "choose another port"
        ) from error
    listening.setblocking(False)
    return listening


def _load(context: ssl.SSLContext, settings: WebSettings) -> None:
    try:
        context.load_cert_chain(settings.certificate, settings.key or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError("web.certificate", f"a certificate and its key ({error})") from error


def _config(settings: WebSettings, application: Any, grace_s: float) -> uvicorn.Config:
    config = uvicorn.Config(
        application,
        http=_Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(grace_s)),
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
    config.load()
    if settings.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _load(context, settings)
        config.ssl = context
    config.http_protocol_class = partial(_Connection, settings.max_connections, {})  # type: ignore[assignment]
    return config


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the application's."""
        yield


class _Connection(H11Protocol):
    """One connection. `idle` are those of its server that await a request, the longest first."""

    def __init__(self, most: int, idle: dict[_Connection, None], **rest: Any) -> None:
        super().__init__(**rest)
        self._most = most
        self._idle = idle
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_request()
        if len(self.connections) > self._most:
            # Whoever comes when all others are busy is told so by the limit on requests.
            next(iter(self._idle)).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._answering:
            self._relax()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() and not self._answering:
            self._await_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._limit(STALLED_S)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._limit(None)

    @property
    def _answering(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _await_request(self) -> None:
        self._idle[self] = None
        self._limit(REQUEST_S)

    def _relax(self) -> None:
        self._idle.pop(self, None)
        self._limit(None)

    def _limit(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self.transport.abort) if seconds else None
