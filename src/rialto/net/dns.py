"""Names to records: a cached shell around dnspython that keeps "does not exist" and "don't know" apart."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, Generic, TypeVar

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from rialto.model.errors import RialtoError
from rialto.net.names import to_a_labels
from rialto.net.srv import Candidate, NaptrRecord, SrvRecord, xmpp_candidates

R = TypeVar("R")

_MAX_RECORDS = 100  # of one answer: nobody has that many servers in earnest
_MAX_TTL_S = 86400.0
_MAX_NEGATIVE_TTL_S = 900.0
_NEGATIVE_TTL_S = 60.0  # where the answer does not say


class DnsError(RialtoError):
    """A name could not be turned into records; `name` is what was asked for."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        super().__init__(f"{name}: {text}")


class NoSuchDomain(DnsError):
    """The name does not exist (NXDOMAIN), or cannot: a final answer."""


class TemporaryFailure(DnsError):
    """No answer, or none that can be used (timeout, SERVFAIL): ask again later."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[R]):
    """Records of one type; empty where the name exists without them.

    `secure` is the AD flag: the name server has checked the answer with DNSSEC. It is worth as much as the
    way to that server is safe."""

    records: tuple[R, ...]
    secure: bool = False


@dataclass(frozen=True, slots=True)
class TlsaRecord:
    """RFC 6698 section 2.1."""

    usage: int
    selector: int
    matching: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is remembered of one question: its answer, or that the name does not exist."""

    expires_at: float
    answer: Answer[Any] | None


_Key = tuple[str, str]


class Resolver:
    """Asks name servers, and remembers the answers (also the negative ones) for as long as they live.

    Whoever asks what is being asked already waits for the same answer. Failures are not remembered.
    Counters: `asked` (questions to the network), `cached` (answered from memory).
    """

    def __init__(
        self,
        servers: Sequence[tuple[str, int]] = (),
        *,
        timeout_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        max_cached: int = 10_000,
    ) -> None:
        """`servers` are (IP address, port), the system's if empty; `clock` gives seconds; `timeout_s` is
        for one question with all its repetitions."""
        self.asked = 0
        self.cached = 0
        self._clock = clock
        self._max_cached = max_cached
        self._cache: OrderedDict[_Key, _Entry] = OrderedDict()
        self._asking: dict[_Key, asyncio.Task[Answer[Any]]] = {}
        self._resolver = resolver = dns.asyncresolver.Resolver(configure=not servers)
        if servers:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in servers]
        resolver.lifetime = timeout_s
        resolver.timeout = timeout_s / 3  # one server's share: a lost datagram leaves time to repeat it
        resolver.use_edns(0, 0, 1232)
        resolver.flags = dns.flags.RD | dns.flags.AD  # RFC 6840 section 5.7: we understand the AD flag

    async def addresses(self, name: str) -> Answer[str]:
        """IPv6 and IPv4 addresses by turns, IPv6 first; an IP address (also in brackets) is its own answer.

        This and all others raise `NoSuchDomain` or `TemporaryFailure`.
        """
        bare = name.strip().removeprefix("[").removesuffix("]")
        try:
            return Answer((str(ipaddress.ip_address(bare)),))
        except ValueError:
            pass
        if bare.lower().removesuffix(".") == "localhost":  # RFC 6761 section 6.3
            return Answer(("::1", "127.0.0.1"))
        answers: list[Answer[str] | BaseException] = list(
            await asyncio.gather(self._ask(name, "AAAA"), self._ask(name, "A"), return_exceptions=True)
        )
        return _both(answers)

    async def srv(self, name: str) -> Answer[SrvRecord]:
        """SRV records of `_service._proto.domain`, unordered (see `rialto.net.srv.order_srv`)."""
        return await self._ask(name, "SRV")

    async def naptr(self, name: str) -> Answer[NaptrRecord]:
        """NAPTR records, unordered (see `rialto.net.srv.sip_services`)."""
        return await self._ask(name, "NAPTR")

    async def tlsa(self, name: str) -> Answer[TlsaRecord]:
        """TLSA records of `_port._tcp.host`; worth something only if `secure`."""
        return await self._ask(name, "TLSA")

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()

    async def _ask(self, name: str, kind: str) -> Answer[Any]:
        try:
            question = to_a_labels(name)
        except ValueError as error:
            raise NoSuchDomain(name, str(error)) from None
        key = (question, kind)
        entry = self._cache.get(key)
        if entry is not None:
            if self._clock() < entry.expires_at:
                self.cached += 1
                if entry.answer is None:
                    raise NoSuchDomain(name, "the domain does not exist")
                return entry.answer
            del self._cache[key]
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.get_running_loop().create_task(self._query(key))
            task.add_done_callback(lambda done: self._asked(key, done))
        return await asyncio.shield(task)  # one caller's impatience is not the others'

    def _asked(self, key: _Key, task: asyncio.Task[Answer[Any]]) -> None:
        self._asking.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, even where all who asked have gone away

    async def _query(self, key: _Key) -> Answer[Any]:
        name, kind = key
        self.asked += 1
        try:
            response = await self._resolver.resolve(name + ".", kind, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN as error:
            replies = error.kwargs.get("responses") or {}
            self._remember(key, None, _negative_ttl(replies.values()))
            raise NoSuchDomain(name, "the domain does not exist") from None
        except dns.resolver.NoNameservers as error:
            raise TemporaryFailure(name, f"no name server could answer: {error}") from error
        except dns.exception.Timeout as error:
            raise TemporaryFailure(name, "no name server answered in time") from error
        except (dns.exception.DNSException, OSError) as error:
            raise TemporaryFailure(name, f"{type(error).__name__}: {error}") from error
        message = response.response
        secure = bool(message.flags & dns.flags.AD)
        if response.rrset is None:
            nothing: Answer[Any] = Answer((), secure)
            self._remember(key, nothing, _negative_ttl([message]))
            return nothing
        records = tuple(_READERS[kind](record) for record in list(response.rrset)[:_MAX_RECORDS])
        answer = Answer(records, secure)
        self._remember(key, answer, min(float(response.chaining_result.minimum_ttl), _MAX_TTL_S))
        return answer

    def _remember(self, key: _Key, answer: Answer[Any] | None, ttl_s: float) -> None:
        if ttl_s <= 0:
            return
        self._cache[key] = _Entry(self._clock() + ttl_s, answer)
        self._cache.move_to_end(key)
        while len(self._cache) > self._max_cached:
            self._cache.popitem(last=False)


async def find_xmpp(resolver: Resolver, domain: str, random: Callable[[], float]) -> list[Candidate]:
    """Where a domain's XMPP server is, in the order in which to try; empty where it says that it has none.

    The hosts are still names, to be given to `Resolver.addresses`; for the domain itself, which is the
    fall-back, that may raise `NoSuchDomain`. Raises `TemporaryFailure`."""
    starttls, direct = await asyncio.gather(
        _or_none(resolver.srv(f"_xmpp-server._tcp.{domain}")),
        _or_none(resolver.srv(f"_xmpps-server._tcp.{domain}")),
    )
    return xmpp_candidates(domain, starttls.records, direct.records, random)


async def _or_none(question: Any) -> Answer[SrvRecord]:
    """Most domains do not even have the name `_tcp` below them: no such name, no such records."""
    try:
        answer: Answer[SrvRecord] = await question
    except NoSuchDomain:
        return Answer(())
    return answer


def _both(both: Sequence[Answer[str] | BaseException]) -> Answer[str]:
    """One answer from those for IPv6 and IPv4: what is there counts, and a failure only where nothing is."""
    answers = [answer for answer in both if isinstance(answer, Answer)]
    failures = [answer for answer in both if isinstance(answer, BaseException)]
    found = [answer for answer in answers if answer.records]
    if not found:
        # "Don't know" outweighs "does not exist": one of the two may be a broken server's mistake.
        for failure in sorted(failures, key=lambda failure: isinstance(failure, NoSuchDomain)):
            raise failure
    by_turns = chain.from_iterable(zip_longest(*(answer.records for answer in found)))
    return Answer(
        tuple(address for address in by_turns if address is not None),
        bool(found) and all(answer.secure for answer in found),
    )


def _negative_ttl(messages: Iterable[dns.message.Message]) -> float:
    """How long "no" lives: the lesser of the SOA's own TTL and its minimum (RFC 2308 section 5)."""
    for message in messages:
        for rrset in message.authority:
            if rrset.rdtype == dns.rdatatype.SOA:
                return min(float(rrset.ttl), float(rrset[0].minimum), _MAX_NEGATIVE_TTL_S)
    return _NEGATIVE_TTL_S


def _host(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower() if len(name.labels) > 1 else ""


_READERS: dict[str, Callable[[Any], Any]] = {
    "A": lambda record: record.address,
    "AAAA": lambda record: record.address,
    "SRV": lambda record: SrvRecord(record.priority, record.weight, record.port, _host(record.target)),
    "NAPTR": lambda record: NaptrRecord(
        record.order,
        record.preference,
        record.flags.decode("latin-1").lower(),
        record.service.decode("latin-1").upper(),
        record.regexp.decode("latin-1"),
        _host(record.replacement),
    ),
    "TLSA": lambda record: TlsaRecord(record.usage, record.selector, record.mtype, record.cert),
}
