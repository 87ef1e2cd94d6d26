"""The relays that act for us: one connection to the nearest, and a stock of paths that it has granted.

A description must name its path at once, so paths are asked for ahead (RFC 4976 section 5.1), one login for
each. They live as long as the connection does: when it is lost, so are all sessions on it, and everything
begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import structlog

from rialto.model.errors import AddressError, ConfigError
from rialto.net.certificates import Trust
from rialto.net.link import LinkError
from rialto.networks.sip.msrp.connections import PORT, MsrpConnections
from rialto.networks.sip.msrp.flow import MsrpFlow, new_id
from rialto.networks.sip.msrp.wire.heads import Head
from rialto.networks.sip.msrp.wire.relay import Denied, Granted, RelayLogin
from rialto.networks.sip.msrp.wire.uri import MsrpUri, parse_uri
from rialto.networks.sip.settings import Settings, secret
from rialto.networks.sip.wire.digest import Secret

_log = structlog.get_logger(__name__)

STOCK = 8
PATIENCE_S = 3.0
"""How long the start waits for the first path."""
RETRY_S = 2.0
MAX_RETRY_S = 60.0
AHEAD_S = 30.0
"""How long a path that is handed out must still live, at the least."""


class RelayDesk:
    """Our relays. `flow` is the connection to the nearest, None while there is none."""

    def __init__(self, settings: Settings, connections: MsrpConnections, trust: Trust) -> None:
        """Raises ConfigError."""
        try:
            self._relays = [parse_uri(text) for text in settings.msrp_relays]
        except AddressError as error:
            raise ConfigError(
                "networks.sip.msrp_relays", str(error), "write for example msrps://relay.example.org:2855;tcp"
            ) from None
        password = secret(
            "networks.sip.msrp_password",
            settings.msrp_password,
            settings.msrp_password_file,
            settings.msrp_password_env,
        )
        self._secret = Secret(settings.msrp_username, password)
        self._connections = connections
        self._trust = trust
        self._stock: deque[tuple[Granted, float | None]] = deque()
        self._login: RelayLogin | None = None
        self._retry_s = RETRY_S
        self._alarm: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._first = asyncio.Event()
        self.flow: MsrpFlow | None = None

    async def start(self) -> None:
        """Connect, and give the relays a moment to grant the first path; they may do so later."""
        self._begin()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._first.wait()

    def _begin(self) -> None:
        if not self._stopped:
            self._task = asyncio.get_running_loop().create_task(self._connect())

    def stop(self) -> None:
        """Ask for nothing more."""
        self._stopped = True
        if self._alarm is not None:
            self._alarm.cancel()
        if self._task is not None:
            self._task.cancel()

    def take(self) -> Granted | None:
        """A path for a new session; None while there is none."""
        now = asyncio.get_running_loop().time()
        found = None
        while self._stock and found is None:
            granted, until = self._stock.popleft()
            if until is None or now + AHEAD_S < until:
                found = granted
        self._ask()
        return found

    def lost(self, flow: MsrpFlow) -> None:
        """A connection was lost: if it was the relay's, begin anew."""
        if flow is self.flow:
            self.flow = None
            self._stock.clear()
            self._login = None
            self._later()

    def _later(self) -> None:
        if not self._stopped:
            self._alarm = asyncio.get_running_loop().call_later(self._retry_s, self._begin)
            self._retry_s = min(2 * self._retry_s, MAX_RETRY_S)

    async def _connect(self) -> None:
        relay = self._relays[0]
        try:
            flow = await self._connections.connect((relay.secure, relay.host, relay.port or PORT), relay.host)
        except LinkError as error:
            _log.warning("msrp relay not reached", relay=str(relay), why=str(error))
            self._later()
            return
        doubt = flow.proves(relay.host, self._trust) if relay.secure else ""
        if doubt:  # RFC 4976 section 9.2
            _log.warning("msrp relay not proven", relay=str(relay), why=doubt)
            flow.close("unproven")
            self._later()
            return
        self.flow = flow
        flow.link.set_idle_limit(None)
        self._ask()

    def _ask(self) -> None:
        """Fill the stock, by one login after the other: RFC 4976 section 9.1 does not let them overlap."""
        flow = self.flow
        if flow is None or self._login is not None or len(self._stock) >= STOCK or not flow.alive:
            return
        host, port = flow.link.local
        local = MsrpUri(secure=self._relays[0].secure, host=host, port=port, session_id=new_id())
        self._login = RelayLogin(self._relays, local, self._secret, new_id)
        self._say(flow, self._login.first())

    def _say(self, flow: MsrpFlow, fields: list[tuple[str, str]]) -> None:
        login = self._login

        def heard(response: Head | None) -> None:
            if flow is self.flow and login is self._login and login is not None:
                self._heard(flow, login.heard(response))

        flow.machine.request("AUTH", fields, heard)
        flow.wake()

    def _heard(self, flow: MsrpFlow, outcome: list[tuple[str, str]] | Granted | Denied) -> None:
        if isinstance(outcome, list):
            self._say(flow, outcome)
            return
        self._login = None
        if isinstance(outcome, Denied):
            relay, status = str(self._relays[0]), outcome.status
            _log.warning("msrp relay refused", relay=relay, status=status, why=outcome.text)
            flow.close("refused")
            return
        self._retry_s = RETRY_S
        until = None
        if outcome.expires_s is not None:
            until = asyncio.get_running_loop().time() + outcome.expires_s
        self._stock.append((outcome, until))
        self._first.set()
        self._ask()
