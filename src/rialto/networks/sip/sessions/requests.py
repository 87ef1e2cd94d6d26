"""What a call has to say, put on the wire: requests, ACKs, answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from rialto.model.errors import LocalProtocolError
from rialto.networks.sip.course import Course
from rialto.networks.sip.presence import allowed
from rialto.networks.sip.sessions.lines import Invitation, Leg
from rialto.networks.sip.shot import Shot
from rialto.networks.sip.trunk import Trunk
from rialto.networks.sip.wire import Request, Uri, response_to
from rialto.networks.sip.wire.call import Acknowledge, Answer, Cancel, Output, Send
from rialto.networks.sip.wire.dialogs import Dialog

if TYPE_CHECKING:
    from rialto.networks.sip.sessions.desk import SipSessions
    from rialto.networks.sip.sessions.session import Session
    from rialto.networks.sip.wire.transaction import ServerTransaction

_log = structlog.get_logger(__name__)


class Requests:
    """See the module."""

    def __init__(self, desk: SipSessions) -> None:
        self._desk = desk

    def do(self, session: Session, output: Output) -> None:
        """What a call wants done."""
        trunk = self._desk.trunk_of(session.conversation.peer)
        if isinstance(output, Answer):
            self._respond(output)
        elif isinstance(output, Cancel):
            transaction = session.invitation.transaction if session.invitation is not None else None
            if transaction is not None:
                self._desk.layer.cancel(transaction, self._desk.now())
        elif trunk is None:
            if isinstance(output, Send):
                session.call.request_failed(output.kind, "the peer is no longer configured", self._desk.now())
        elif isinstance(output, Send):
            self._send(session, output, trunk)
        else:
            self._acknowledge(session, output, trunk)

    def _send(self, session: Session, output: Send, trunk: Trunk) -> None:
        dialog, dispatch, domain = output.dialog, self._desk.dispatch, session.conversation.remote.domain
        uri = _hop_of(dialog, trunk)
        route = dispatch.route(trunk, domain, uri)
        leg = Leg(self._desk, session, output.kind)
        kind: type[Course] = Invitation if output.request.method == "INVITE" else Course
        course = kind(dispatch, leg, trunk, output.request, route, lambda: dialog.next_cseq(self._desk.now()))
        if isinstance(course, Invitation) and output.kind == "invite":
            session.invitation = course
        dispatch.begin(course, domain, uri)

    def _acknowledge(self, session: Session, output: Acknowledge, trunk: Trunk) -> None:
        dialog, dispatch, domain = output.dialog, self._desk.dispatch, session.conversation.remote.domain
        uri = _hop_of(dialog, trunk)
        request = output.request
        credentials = session.invitation.credentials if session.invitation is not None else None
        if credentials is not None:  # RFC 3261 section 22.1: the same as those of the INVITE
            request = Request("ACK", request.uri, [*request.headers, credentials], request.body)
        dispatch.begin(Shot(dispatch, trunk, request, dispatch.route(trunk, domain, uri)), domain, uri)

    def _respond(self, output: Answer) -> None:
        transaction: ServerTransaction = output.transaction
        if transaction.terminated:
            return
        request = transaction.request
        headers = list(output.headers)
        if output.status < 300:  # RFC 3261 section 12.1.1
            headers = [("Record-Route", line) for line in request.get_all("Record-Route")] + headers
        response = response_to(
            request,
            output.status,
            to_tag=self._desk.reception.tag(request),
            headers=headers,
            body=output.body,
        )
        try:
            self._desk.layer.respond(transaction, response, self._desk.now())
        except LocalProtocolError:
            _log.exception("an answer that can not be given", network=self._desk.name, status=output.status)
        if output.status >= 200 and not output.again:
            self._desk.hub.count("answered", self._desk.name, transaction.method)


def _hop_of(dialog: Dialog, trunk: Trunk) -> Uri | None:
    """Where a dialog wants its requests to go (RFC 3261 section 12.2.1.1), unless all for this peer goes to
    its proxy, or there is no dialog yet."""
    return allowed(dialog, trunk) if dialog.remote_tag and trunk.proxy is None else None
