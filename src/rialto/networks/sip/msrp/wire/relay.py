"""How relays come to act for us: AUTH, and the path that they give (RFC 4976 section 5.1).

    login.first() ──AUTH──► relay ──401──► login.heard() ──AUTH, with credentials──► relay ──200──► Granted
                                           login.heard() ◄──────────── the next relay, through this one

A path that was granted is for one session, and for the connection that it was asked for on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rialto.model.errors import AddressError
from rialto.networks.sip.msrp.wire.heads import BadHead, Head
from rialto.networks.sip.msrp.wire.uri import MsrpUri, parse_path, write_path
from rialto.networks.sip.wire.digest import Answerer, Secret

Fields = list[tuple[str, str]]

_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_MAX_ROUNDS: Final = 4
"""With one relay: without credentials, with them, with those for a fresh nonce, and with another Expires."""


@dataclass(frozen=True, slots=True)
class Granted:
    """The relays act for us. `use_path` is what stands in front of the peer's path in To-Path; `path` is what
    the peer is told. `expires_s`: for how long, None where they don't say."""

    use_path: tuple[MsrpUri, ...]
    path: tuple[MsrpUri, ...]
    expires_s: int | None


@dataclass(frozen=True, slots=True)
class Denied:
    """They do not. `status` is 0 where no answer came, or one that can't be used."""

    status: int
    text: str


class RelayLogin:
    """One login at one or several relays, the nearest first.

    `make_id` makes client nonces; `expires_s` is what is asked for, None for the relay's own wish.
    """

    def __init__(
        self,
        relays: Sequence[MsrpUri],
        local: MsrpUri,
        secret: Secret,
        make_id: Callable[[], str],
        *,
        expires_s: int | None = None,
    ) -> None:
        self._relays = list(relays)
        self._local = local
        self._secret = secret
        self._make_id = make_id
        self._expires_s = expires_s
        self._granted: tuple[MsrpUri, ...] = ()
        self._answerer = Answerer(secret)
        self._refused: str | None = None
        self._rounds = 0

    def first(self) -> Fields:
        """The fields of the first AUTH."""
        return self._ask(None)

    def heard(self, response: Head | None) -> Fields | Granted | Denied:
        """Take the answer to the last AUTH: what to ask next, or how it ended."""
        if response is None:
            return Denied(0, "no answer")
        try:
            if response.status == 200:
                return self._admitted(response)
            if response.status == 401:
                return self._challenged(response)
            if response.status == 423 and self._rounds < _MAX_ROUNDS:
                return self._bounded(response)
        except (BadHead, AddressError) as error:
            return Denied(0, str(error))
        return Denied(response.status, response.comment)

    def _target(self) -> MsrpUri:
        return self._relays[0]

    def _ask(self, credentials: str | None) -> Fields:
        self._rounds += 1
        self._refused = credentials
        fields = [
            ("To-Path", write_path((*self._granted, self._target()))),
            ("From-Path", str(self._local)),
        ]
        if self._expires_s is not None:
            fields.append(("Expires", str(self._expires_s)))
        if credentials is not None:
            fields.append(("Authorization", credentials))
        return fields

    def _challenged(self, response: Head) -> Fields | Denied:
        if self._rounds >= _MAX_ROUNDS:
            return Denied(401, "challenged again and again")
        credentials = self._answerer.answer(
            response.values("www-authenticate"),
            "AUTH",
            str(self._target()),  # RFC 4976 section 9.1: the rightmost of To-Path
            self._make_id(),
            refused=self._refused,
        )
        if credentials is None:
            return Denied(401, "our name or password is refused")
        return self._ask(credentials)

    def _bounded(self, response: Head) -> Fields | Denied:
        """RFC 4976 section 4.6: a relay says how short or long its paths may live."""
        wanted = response.one("min-expires") or response.one("max-expires") or ""
        if _SECONDS.fullmatch(wanted) is None or self._expires_s == int(wanted):
            return Denied(423, response.comment)
        self._expires_s = int(wanted)
        return self._ask(None)

    def _admitted(self, response: Head) -> Fields | Granted:
        path = response.one("use-path")
        if path is None:
            raise BadHead("400", "no Use-Path")
        self._granted = parse_path(path)
        self._relays.pop(0)
        if self._relays:
            self._answerer = Answerer(self._secret)
            self._rounds = 0
            return self._ask(None)
        expires = response.one("expires") or ""
        return Granted(
            self._granted,
            (*reversed(self._granted), self._local),
            int(expires) if _SECONDS.fullmatch(expires) else None,
        )
