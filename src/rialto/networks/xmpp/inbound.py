"""A connection that another server made to us."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any, ClassVar

from rialto.net.link import Link, LinkError
from rialto.networks.xmpp.live import Desk, LiveStream
from rialto.networks.xmpp.wire import events
from rialto.networks.xmpp.wire.receiving import Receiving


class IncomingStream(LiveStream):
    """The receiving end. On a bidirectional stream it is a way out as well."""

    direction: ClassVar[str] = "in"
    machine: Receiving

    def __init__(self, desk: Desk, link: Link[Any], *, offer_tls: bool) -> None:
        settings = desk.settings
        machine = Receiving(
            is_ours=desk.is_ours,
            policy_for=desk.policy_for,
            secret=desk.context.secret,
            make_id=lambda: secrets.token_hex(16),
            now=asyncio.get_running_loop().time(),
            limits=settings.limits(),
            timing=settings.timing(),
            secure=link.tls is not None,
            offer_tls=offer_tls,
            resumption_s=settings.resumption_s,
            find_ledger=desk.find_ledger,
        )
        if link.tls is not None:
            machine.tls_established(asyncio.get_running_loop().time(), self._judge_of_direct(link, desk))
        super().__init__(desk, link, machine)

    def _judge_of_direct(self, link: Link[Any], desk: Desk) -> Any:
        self.link, self.desk = link, desk
        assert link.tls is not None
        return self._judge_of(link.tls)

    def _name(self) -> str:
        return self.machine.remote

    def _on_start_tls(self, event: events.StartTls) -> None:
        tls = self.desk.context.certificates.server(domain=event.domain, alpn=["xmpp-server"])
        self.link.start_tls(tls, trailing=event.trailing, on_tls=self._on_tls)

    def _on_authenticated(self, event: events.Authenticated) -> None:
        super()._on_authenticated(event)
        peer = self.peer_of(event.remote)
        if peer is not None:  # it is back: what waits for it may try
            self.desk.hub.reachable(event.remote, self.desk.name)

    def _on_lost(self, error: LinkError | None) -> None:
        ledger = self.machine.ledger
        if ledger is not None and ledger.id and not self.closed:
            self.desk.keep_ledger(ledger)
        if not self.closed:
            self.why = self.why or str(error or "closed")
            self.give_back()
        super()._on_lost(error)
