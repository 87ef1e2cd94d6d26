"""Digest authentication as RFC 8760 asks for it (RFC 7616's scheme in SIP), both sides, qop=auth.

The client side is an `Answerer`: one user's credentials and the last nonce that worked. The server side is a
`Challenger`: its nonces carry their own time and seal, so it remembers nothing until one is used, and then
only which counts (`nc`) were used with it, for a window of out-of-order requests.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from rialto.networks.sip.wire.headers import Credentials, parse_credentials, quote

# RFC 8760 section 2.1, and how hashlib calls them. The -sess variants are rarely met and add nothing here.
_HASHES: Final = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
DEFAULT_ALGORITHMS: Final = ("SHA-256", "MD5")

_COUNT_WINDOW: Final = 64
_MAX_NONCES: Final = 10_000


class Secret(msgspec.Struct, frozen=True):
    """A user name and its password; neither `repr` nor `str` shows the password."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Secret({self.username!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("username", self.username)]


def digest(algorithm: str, text: str) -> str:
    """The hexadecimal hash of a text; raises KeyError for an algorithm that we don't know."""
    return hashlib.new(_HASHES[algorithm], text.encode(), usedforsecurity=False).hexdigest()


def request_digest(
    algorithm: str,
    secret: Secret,
    realm: str,
    method: str,
    uri: str,
    nonce: str,
    count: str,
    cnonce: str,
    qop: str,
) -> str:
    """The `response` parameter (RFC 7616 section 3.4.1); `qop` "" computes it as RFC 2069 did."""
    a1 = digest(algorithm, f"{secret.username}:{realm}:{secret.password}")
    a2 = digest(algorithm, f"{method}:{uri}")
    between = f"{nonce}:{count}:{cnonce}:{qop}" if qop else nonce
    return digest(algorithm, f"{a1}:{between}:{a2}")


class _Challenge(msgspec.Struct, frozen=True):
    """A challenge that we can answer. `qop` is "auth", or "" where the server does not know qop."""

    realm: str
    nonce: str
    algorithm: str
    qop: str
    opaque: str | None
    stale: bool


class Answerer:
    """The client side: answers challenges with one user's credentials, counting nonce uses.

    `realm` is the only one that is answered; None answers any.
    """

    def __init__(
        self, secret: Secret, *, realm: str | None = None, algorithms: Sequence[str] = DEFAULT_ALGORITHMS
    ) -> None:
        self._secret = secret
        self._realm = realm
        self._algorithms = {name.upper(): name for name in algorithms if name in _HASHES}
        self._challenge: _Challenge | None = None
        self._count = 0

    def answer(
        self, challenges: Sequence[str], method: str, uri: str, cnonce: str, *, refused: str | None = None
    ) -> str | None:
        """The value of (Proxy-)Authorization for the best challenge among `challenges`.

        `challenges` are all values of WWW-Authenticate (or all of Proxy-Authenticate), one per line,
        topmost preferred (RFC 8760 section 2.4). `refused` is the value that the challenged request
        carried already. None when no challenge can be answered, or when `refused` was a fresh answer
        and the nonce is not called stale: the password is wrong, and asking again will not help.
        """
        challenge = next(filter(None, map(self._understood, challenges)), None)
        if challenge is None:
            return None
        if refused is not None and not challenge.stale and _was_fresh(refused):
            return None
        if self._challenge is None or self._challenge.nonce != challenge.nonce:
            self._count = 0
        self._challenge = challenge
        return self.again(method, uri, cnonce)

    def again(self, method: str, uri: str, cnonce: str) -> str | None:
        """Authorization for a further request under the last nonce; None if there is none yet."""
        challenge = self._challenge
        if challenge is None:
            return None
        self._count += 1
        count = f"{self._count:08x}"
        response = request_digest(
            challenge.algorithm, self._secret, challenge.realm, method, uri, challenge.nonce, count, cnonce,
            challenge.qop,
        )  # fmt: skip
        text = (
            f"Digest username={quote(self._secret.username)}, realm={quote(challenge.realm)}, "
            f"nonce={quote(challenge.nonce)}, uri={quote(uri)}, response={quote(response)}, "
            f"algorithm={challenge.algorithm}"
        )
        if challenge.qop:
            text += f", cnonce={quote(cnonce)}, qop={challenge.qop}, nc={count}"
        if challenge.opaque is not None:
            text += f", opaque={quote(challenge.opaque)}"
        return text

    def _understood(self, text: str) -> _Challenge | None:
        """A challenge that we can answer; anything else is ignored (RFC 8760 section 2.4)."""
        if text[:7].lower() != "digest ":
            return None  # Basic is forbidden (RFC 8760 section 2.6), Bearer (RFC 8898) needs a token
        try:
            credentials = parse_credentials(text)
        except ValueError:
            return None
        realm, nonce = credentials.param("realm"), credentials.param("nonce")
        algorithm = self._algorithms.get((credentials.param("algorithm") or "MD5").upper())
        offered = credentials.param("qop")
        if realm is None or nonce is None or algorithm is None or self._realm not in (None, realm):
            return None
        if offered is not None and "auth" not in [word.strip().lower() for word in offered.split(",")]:
            return None
        return _Challenge(
            realm=realm,
            nonce=nonce,
            algorithm=algorithm,
            # RFC 7616 section 3.4: no qop in the challenge says that the server computes as RFC 2069 did.
            qop="" if offered is None else "auth",
            opaque=credentials.param("opaque"),
            stale=(credentials.param("stale") or "").lower() == "true",
        )


class Verdict(enum.Enum):
    """What came of a request's credentials."""

    GOOD = "good"
    STALE = "stale"  # right password, but the nonce is old, used or not ours: challenge with stale=true
    MALFORMED = "malformed"  # answer 400
    WRONG = "wrong"  # challenge again, or 403
    ABSENT = "absent"  # challenge


class Challenger:
    """The server side: makes nonces, checks answers against them.

    `secret` seals the nonces: 32 random bytes. `now` is the time of any clock that does not run back.
    `algorithms` in order of preference, the strongest first.
    QUIRK(sipsak 0.9.8.1): reads the first challenge only and gives up on SHA-256; a peer like that needs
    `algorithms=["MD5"]`.
    """

    def __init__(
        self,
        realm: str,
        secret: bytes,
        *,
        algorithms: Sequence[str] = DEFAULT_ALGORITHMS,
        nonce_lifetime_s: float = 300.0,
    ) -> None:
        self._realm = realm
        self._secret = secret
        self._algorithms = {name.upper(): name for name in algorithms if name in _HASHES}
        self._lifetime_s = nonce_lifetime_s
        self._made = 0
        self._used: OrderedDict[str, tuple[int, int]] = OrderedDict()  # nonce: highest nc, those below it
        self._forgotten_s = float("-inf")  # nonces made until then may have been used without our knowing

    def challenges(self, now: float, *, stale: bool = False) -> list[str]:
        """Values for one WWW-Authenticate (or Proxy-Authenticate) line each, most preferred first.

        RFC 8760 section 2.3: a line for each algorithm; section 2.6: always with qop.
        """
        nonce = self._nonce(now)
        tail = ", stale=true" if stale else ""
        return [
            f'Digest realm={quote(self._realm)}, nonce="{nonce}", algorithm={name}, qop="auth"{tail}'
            for name in self._algorithms.values()
        ]

    def check(
        self, values: Sequence[str], method: str, now: float, password_of: Callable[[str], str | None]
    ) -> tuple[Verdict, str | None]:
        """Judge all (Proxy-)Authorization values of a request; with GOOD comes the user name.

        The URI that was digested is the one in the credentials, which a proxy between may have had
        reason to change in the request (RFC 8760 section 2.6 item 6).
        """
        verdicts = [Verdict.ABSENT]
        for value in values:
            if value[:7].lower() != "digest ":
                continue
            try:
                credentials = parse_credentials(value)
            except ValueError:
                verdicts.append(Verdict.MALFORMED)
                continue
            if credentials.param("realm") == self._realm:
                verdict = self._judge(credentials, method, now, password_of)
                if verdict is Verdict.GOOD:
                    return verdict, credentials.param("username")
                verdicts.append(verdict)
        return min(verdicts, key=list(Verdict).index), None

    def _judge(
        self, credentials: Credentials, method: str, now: float, password_of: Callable[[str], str | None]
    ) -> Verdict:
        username, nonce = credentials.param("username"), credentials.param("nonce")
        uri, answer = credentials.param("uri"), credentials.param("response")
        qop, count = credentials.param("qop") or "", credentials.param("nc") or ""
        cnonce = credentials.param("cnonce") or ""
        if username is None or nonce is None or uri is None or answer is None:
            return Verdict.MALFORMED
        if qop and (qop != "auth" or not cnonce or not _is_count(count)):
            return Verdict.MALFORMED
        algorithm = self._algorithms.get((credentials.param("algorithm") or "MD5").upper())
        if algorithm is None:
            return Verdict.ABSENT  # one that we did not offer
        password = password_of(username)
        # Computed for unknown users too, so that they take as long as known ones.
        secret = Secret(username, password or "")
        expected = request_digest(algorithm, secret, self._realm, method, uri, nonce, count, cnonce, qop)
        right = hmac.compare_digest(expected.encode(), answer.lower().encode())
        if not right or password is None:
            return Verdict.WRONG
        # Whoever does not count may use a nonce once.
        if not self._is_ours(nonce, now) or not self._use(nonce, int(count, 16) if qop else 1):
            return Verdict.STALE
        return Verdict.GOOD

    def _nonce(self, now: float) -> str:
        self._made += 1
        return self._sealed(f"{int(now * 1000):x}-{self._made:x}")

    def _sealed(self, text: str) -> str:
        seal = hmac.digest(self._secret, f"{self._realm}:{text}".encode(), "sha256")
        return f"{text}-{seal.hex()[:32]}"

    def _is_ours(self, nonce: str, now: float) -> bool:
        text = nonce.rpartition("-")[0]
        if not hmac.compare_digest(self._sealed(text).encode(), nonce.encode()):
            return False
        made_s = _made_s(nonce)
        if nonce not in self._used and made_s <= self._forgotten_s:
            return False
        return now - self._lifetime_s <= made_s

    def _use(self, nonce: str, count: int) -> bool:
        """Note that `nonce` was used for the `count`th time; False if it was before."""
        highest, seen = self._used.get(nonce, (0, 0))
        ahead = count - highest
        if ahead > 0:
            seen = (seen << ahead | 1) & (1 << _COUNT_WINDOW) - 1 if ahead < _COUNT_WINDOW else 1
            self._used[nonce] = (count, seen)
        elif -ahead >= _COUNT_WINDOW or seen >> -ahead & 1:
            return False
        else:
            self._used[nonce] = (highest, seen | 1 << -ahead)
        if len(self._used) > _MAX_NONCES:
            oldest, _ = self._used.popitem(last=False)
            self._forgotten_s = max(self._forgotten_s, _made_s(oldest))
        return True


def _was_fresh(answer: str) -> bool:
    """Whether one of our answers was the first under its nonce (or under one that is not counted)."""
    return parse_credentials(answer).param("nc") in (None, "00000001")


def _made_s(nonce: str) -> float:
    """When a nonce with a good seal was made."""
    return int(nonce.partition("-")[0], 16) / 1000


def _is_count(text: str) -> bool:
    return len(text) == 8 and all(c in "0123456789abcdefABCDEF" for c in text) and int(text, 16) > 0
