"""How the command line talks to a running server: a socket in the data folder, one JSON object a line.

A request is `{"command": NAME, ...arguments}`; the answer is one line, `{"ok": true, ...}` or
`{"ok": false, "error": TEXT}`. Whoever may open the socket may do everything: its mode is 0600.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from rialto.core.network import Outcome
from rialto.model.address import Address
from rialto.model.errors import ConfigError, DeliveryError, RialtoError
from rialto.model.message import Kind, Message
from rialto.model.presence import Pair

if TYPE_CHECKING:
    from rialto.app import App
    from rialto.core.files import Files

MAX_LINE_BYTES = 1024 * 1024

_log = structlog.get_logger(__name__)

Answer = dict[str, Any]


class ControlError(RialtoError):
    """The server is not there, or said no."""


class Control:
    """The server's side."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._server: asyncio.Server | None = None
        self._path: Path | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self._commands: dict[str, Callable[[Answer], Awaitable[Answer]]] = {
            "status": self._status,
            "peers": self._peers,
            "probe": self._probe,
            "send": self._send,
            "retry": self._retry,
            "drop": self._drop,
            "why": self._why,
            "files": self._files,
            "remove_file": self._remove_file,
            "reload": self._reload,
            "agreements": self._agreements,
            "try_agreement": self._try_agreement,
        }

    async def start(self, path: Path) -> None:
        """Listen; a socket that an earlier run left is replaced."""
        path.unlink(missing_ok=True)
        mask = os.umask(0o177)  # nobody else gets in between its making and a chmod
        try:
            self._server = await asyncio.start_unix_server(self._talk, path, limit=MAX_LINE_BYTES)
        except OSError as error:  # such as a path of more than 107 bytes
            raise ConfigError(
                str(path), f"a path for a socket ({error.strerror or error})", "choose a shorter data_dir"
            ) from error
        finally:
            os.umask(mask)
        self._path = path

    async def stop(self) -> None:
        """Hang up."""
        if self._server is None:
            return
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._talks.add(task)
            task.add_done_callback(self._talks.discard)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError) as error:
            _log.info("control connection ended", error=str(error))
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, line: bytes) -> Answer:
        try:
            request = json.loads(line)
            command = self._commands[request.pop("command")]
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            return {"ok": False, "error": f"not a command; there are: {', '.join(self._commands)}"}
        try:
            return {"ok": True, **await command(request)}
        except RialtoError as error:
            return {"ok": False, "error": str(error)}
        except (KeyError, TypeError, ValueError) as error:
            return {"ok": False, "error": f"arguments: {error!r}"}
        except Exception as error:
            _log.exception("a command failed", command=command.__name__)
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}

    # -- commands --------------------------------------------------------------------------------------

    async def _status(self, request: Answer) -> Answer:
        hub = self._app.hub
        return {
            "server": hub.server_name,
            "started_at": self._app.started_at,
            "queue_messages": hub.queue.count,
            "queue_bytes": hub.queue.size_bytes,
            "congested": hub.congested,
            "units": self._app.store.writer.units,
            "commits": self._app.store.writer.commits,
        }

    async def _peers(self, request: Answer) -> Answer:
        links = [link for network in self._app.networks.values() for link in network.links()]
        return {
            "peers": [
                {"name": peer.name, "network": peer.network, "domains": list(peer.domains)}
                for peer in self._app.peers
            ],
            "links": [msgspec.to_builtins(link) for link in links],
            "outages": [
                {"network": network, "destination": name, "since": since, "retry_at": retry_at, "error": text}
                for network, name, since, retry_at, text in self._app.hub.queue.outages()
            ],
        }

    async def _probe(self, request: Answer) -> Answer:
        name = str(request["peer"])
        peer = next((peer for peer in self._app.peers if peer.name == name), None)
        if peer is None:
            raise ControlError(f"there is no peer {name!r}")
        reached, text = await self._app.networks[peer.network].probe(peer)
        return {"reached": reached, "text": text}

    async def _send(self, request: Answer) -> Answer:
        # The command line asks through this module too, and need not wait for the hub to be imported.
        from rialto.core.local import OPERATOR

        hub = self._app.hub
        sender = Address.parse(str(request.get("from") or f"{OPERATOR}@{hub.server_name}"))
        message = Message(
            id=hub.new_id(),
            sender=sender,
            recipient=Address.parse(str(request["to"])),
            text=str(request["text"]),
            subject=str(request.get("subject", "")),
            received_at=time.time(),
            kind=Kind(request.get("kind", "chat")),
        )
        sending = _Sending()
        hub.accept(message, self._app.local.origin, sending)
        await sending.taken.wait()
        wait_s = float(request.get("wait_s", 30.0))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(sending.settled_future), wait_s)
        if not sending.settled_future.done():
            sending.waiting = False
            return {"id": message.id, "outcome": "queued"}
        outcome, error = sending.settled_future.result()
        await self._app.store.writer.flush()  # whoever reads the trail next shall find it there
        answer: Answer = {"id": message.id, "outcome": outcome.value}
        if error is not None:
            answer |= {"reason": error.reason.value, "text": error.text, "certain": error.certain}
        return answer

    async def _retry(self, request: Answer) -> Answer:
        which = [str(request["id"])] if "id" in request else self._app.hub.under_way()
        return {"retried": sum(self._app.hub.retry(message_id) for message_id in which)}

    async def _drop(self, request: Answer) -> Answer:
        why = str(request.get("why", "dropped by the operator"))
        return {"dropped": await self._app.hub.drop(str(request["id"]), why)}

    async def _files(self, request: Answer) -> Answer:
        files = self._store_of_files()
        found = [stored for stored in files.all() if request.get("peer") in (None, stored.peer)]
        most = int(request.get("most", 100))
        listed = [
            {"file": msgspec.to_builtins(stored), "url": files.link(stored).url} for stored in found[-most:]
        ]
        return {"files": listed, "more": len(found) - len(listed)}

    async def _remove_file(self, request: Answer) -> Answer:
        return {"removed": self._store_of_files().remove(str(request["token"]))}

    def _store_of_files(self) -> Files:
        if self._app.files is None:
            raise ControlError("no files are kept: there is no `listen` in [web]")
        return self._app.files

    async def _why(self, request: Answer) -> Answer:
        from rialto.core.presence import why  # slow to import, and this file is every command's

        pair = Pair(
            Address.parse(str(request["watcher"])).bare, Address.parse(str(request["presentity"])).bare
        )
        row = await asyncio.to_thread(self._app.store.watch, *why.key(pair))
        return why.account(pair, self._app.hub.presence.find(pair), row)

    async def _reload(self, request: Answer) -> Answer:
        await self._app.reload()
        return {"peers": len(self._app.peers)}

    async def _agreements(self, request: Answer) -> Answer:
        await self._app.look_at_agreements()
        return {"epoch": self._app.hub.gate.epoch}

    async def _try_agreement(self, request: Answer) -> Answer:
        from rialto.core.probe import probe  # this file is every command's

        wait_s = float(request.get("wait_s", 10.0))
        people = {side: Address.parse(str(request[side])) for side in ("a", "b")}
        await asyncio.to_thread(self._check_people, str(request["which"]), people)
        both = await asyncio.gather(
            *(probe(self._app.hub, self._app.local, person, wait_s) for person in people.values())
        )
        legs = [
            {**msgspec.to_builtins(seen), "side": side, "address": str(people[side])}
            for side, some in zip(people, both, strict=True)
            for seen in some
        ]
        actor, which = str(request["actor"]), str(request["which"])
        active = await asyncio.to_thread(self._probed, actor, which, people, legs)
        await self._app.look_at_agreements()
        return {"active": active, "legs": legs}

    def _check_people(self, which: str, people: dict[str, Address]) -> None:
        from rialto.clearing.agreements.registry import opened

        with opened(self._app.data_dir) as registry:
            registry.check_people(which, people)

    def _probed(self, actor: str, which: str, people: dict[str, Address], legs: list[dict[str, Any]]) -> bool:
        from rialto.clearing.agreements.registry import Leg, opened

        with opened(self._app.data_dir) as registry:
            return registry.probed(actor, which, msgspec.convert(legs, list[Leg]))


class _Sending:
    """The operator, waiting for the outcome of `rialto send`."""

    def __init__(self) -> None:
        self.waiting = True
        self.taken = asyncio.Event()
        """It is on disk, or never will be."""
        self.settled_future: asyncio.Future[tuple[Outcome, DeliveryError | None]] = (
            asyncio.get_running_loop().create_future()
        )

    def stored(self) -> None:
        """See `Inbound`."""
        self.taken.set()

    def refused(self, error: DeliveryError) -> None:
        """See `Inbound`."""
        self.taken.set()
        if not self.settled_future.done():
            self.settled_future.set_result((Outcome.FAILED, error))

    def settled(self, outcome: Outcome, error: DeliveryError | None) -> bool:
        """See `Inbound`."""
        self.taken.set()
        if not self.settled_future.done():
            self.settled_future.set_result((outcome, error))
        return self.waiting


def ask(path: Path, command: str, *, timeout_s: float = 60.0, **arguments: Any) -> Answer:
    """The command line's side: one request, one answer. Raises ControlError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(timeout_s)
        try:
            channel.connect(str(path))
            channel.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
            with channel.makefile("rb") as lines:
                line = lines.readline(MAX_LINE_BYTES)
        except OSError as error:
            raise ControlError(
                f"no server answers at {path} ({error.strerror or error}); is `rialto serve` running here?"
            ) from error
    if not line:
        raise ControlError("the server hung up")
    answer: Answer = json.loads(line)
    if not answer.pop("ok"):
        raise ControlError(str(answer["error"]))
    return answer
