"""What networks say to the hub about presence.

Everything is about a pair, watcher and presentity, both bare. Its *authorization* (`Grant`) lasts until one
of them takes it back; a *session* is the time in which the watcher wants to hear (a SIP dialog, an XMPP
presence session). The words are those of RFC 8048 section 2.

    watcher's network             hub.presence             presentity's network
      ask give_back open   ───────►         ───watch(verb)──────►
      close fetch                                    granted pending refused
                       ◄──────tell───────   ◄───────  show silent done

Nothing here blocks, and nothing calls back before it has returned. `origin` is who was proven to speak: the
watcher's side for the verbs of the watcher's network, the presentity's for the others; None where the
network speaks of its own accord (a timer, an outage). Where origin and pair do not fit, `Refused(FORBIDDEN)`
is raised.
"""

from __future__ import annotations

from rialto.core.network import Origin, PairView, Side
from rialto.model.errors import DeliveryError
from rialto.model.presence import Document, Pair


class Presence:
    """`hub.presence`."""

    # -- from the watcher's network --------------------------------------------------------------------

    def ask(self, pair: Pair, origin: Origin | None, *, note: str = "") -> None:
        """The watcher wants the authorization (XMPP `subscribe`; SIP: the SUBSCRIBE that begins a dialog).

        Where it has it already it is told so again, and nobody else is asked. Call `open` as well if the
        watcher listens. Raises DeliveryError to refuse at once, and then nothing is kept: Refused (no route,
        a loop, no presence there, too many watched), Busy (too fast).
        """
        raise NotImplementedError

    def give_back(self, pair: Pair, origin: Origin | None) -> None:
        """The watcher wants it no longer (XMPP `unsubscribe`). `tell` follows with Grant.NONE."""
        raise NotImplementedError

    def open(self, pair: Pair, origin: Origin | None, until: float | None = None) -> bool:
        """A session begins or goes on (XMPP: a probe or initial presence; SIP: a dialog made or refreshed).

        False: there is no authorization that is granted or pending, and nothing was opened. A new session is
        told what is known in any case (`tell`, in a later turn); one that goes on only what changes: a
        network that owes an answer of its own (a NOTIFY for each refresh, an answer to each probe) takes it
        from `view`. `until`: seconds since 1970; at that time the session ends by itself and `tell` says so.
        """
        raise NotImplementedError

    def close(self, pair: Pair, origin: Origin | None) -> None:
        """The session ends; the authorization stays (XMPP: the user has gone; SIP: in-dialog Expires 0)."""
        raise NotImplementedError

    def fetch(self, pair: Pair, origin: Origin | None) -> PairView:
        """One look (XMPP: a probe without authorization; SIP: out-of-dialog Expires 0).

        Returned is what is known now. Where that is no document the far side is asked once, and what it
        answers comes by `tell`. Raises DeliveryError like `ask`.
        """
        raise NotImplementedError

    def untold(self, view: PairView, error: DeliveryError) -> None:
        """This, given to `tell`, has not arrived: what was told before it stands, and it comes again."""
        raise NotImplementedError

    # -- from the presentity's network -----------------------------------------------------------------

    def granted(self, pair: Pair, origin: Origin | None) -> None:
        """The presentity allows it (XMPP `subscribed`; SIP: `active`). Welcome any number of times."""
        raise NotImplementedError

    def pending(self, pair: Pair, origin: Origin | None) -> None:
        """The far side has the request, but has not decided (SIP `pending`; XMPP: `subscribe` is written)."""
        raise NotImplementedError

    def refused(self, pair: Pair, origin: Origin | None, error: DeliveryError, *, for_good: bool) -> None:
        """The far side says no.

        `for_good`: the authorization is at an end (XMPP `unsubscribed`; SIP 403, 489, 603, `rejected`,
        `noresource`). Otherwise it stays, and the hub comes again by itself with ASK or OPEN as long as they
        are wanted, after `error.retry_after_s` (0 for at once) or with back-off.
        """
        raise NotImplementedError

    def show(self, pair: Pair, document: Document, origin: Origin | None) -> bool:
        """The complete state for this watcher; False where nobody has asked for it."""
        raise NotImplementedError

    def silent(self, pair: Pair, origin: Origin | None, since: float) -> None:
        """The far side has not kept its promise since then: what was shown last is stale."""
        raise NotImplementedError

    def done(self, pair: Pair, origin: Origin | None) -> None:
        """The last `watch` was carried out, and what is known stands."""
        raise NotImplementedError

    def missed(self, destination: str, network: str) -> None:
        """News from that destination (as in `Network.destination`) may have been lost: everybody there who is
        watched now is asked about again, little by little (OPEN)."""
        raise NotImplementedError

    # -- from both -------------------------------------------------------------------------------------

    def keep(self, pair: Pair, side: Side, data: bytes | None) -> None:
        """Write down what the network of that side wants back with `resume`; None for nothing more.

        Costs little, and may be called with every change. Pairs that are unknown are passed over.
        """
        raise NotImplementedError

    def view(self, pair: Pair) -> PairView | None:
        """The pair as it is; None where there is none."""
        raise NotImplementedError
