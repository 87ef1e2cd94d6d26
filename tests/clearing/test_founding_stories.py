"""The two stories for which agreements are there, played through."""

from __future__ import annotations

from pathlib import Path

from clearing.desk import Desk, desk, item, legs
from rialto.core.policy import Book, Leave, PolicySettings
from rialto.model.address import Address
from rialto.model.agreement import Kind, OptIn, OrderState, Payer, Regime, State, Tier, Traffic, holds

CENT = 10_000_000


def passes(ours: Desk, sender: str, recipient: str, at: int, service: Traffic = Traffic.MESSAGE) -> bool:
    leave = Leave(PolicySettings(agreements="required"), Book(ours.written.snapshot()), lambda *_: None)
    return leave.decide(Address.parse(sender), Address.parse(recipient), service, at).allowed


def test_contoso_asks_for_aol_msn_and_yahoo(tmp_path: Path) -> None:
    with desk(tmp_path) as ours:
        ours.found("contoso", "contoso.example")
        for network in ("aol", "msn", "yahoo"):
            ours.found(network, f"{network}.example", kind=Kind.PUBLIC_IM)
            for service in (Traffic.MESSAGE, Traffic.PRESENCE):
                ours.price("hub", network, service, [Tier(unit_nano=150 * CENT)])
            licensed = [
                item(service, network=network, regime=Regime.PER_USER_MONTH, payer=Payer.LICENCE_HOLDER,
                     price_list=network)
                for service in (Traffic.MESSAGE, Traffic.PRESENCE)
            ]  # fmt: skip
            ours.draft("hub", f"contoso-{network}", "contoso", network, licensed)
            ours.sign_here("hub", f"contoso-{network}", "contoso")

        # Three networks, three states: one has answered, one has not, one says no.
        ours.order("contoso", "contoso", ["contoso-aol", "contoso-msn", "contoso-yahoo"])
        ours.sign_here("aol", "contoso-aol", "aol")
        ours.reject("yahoo", "contoso-yahoo", "which certificate?")
        ours.probed("probe", "contoso-aol", legs())
        _, state, states = ours.orders()[0]
        assert state is OrderState.PARTIAL
        assert list(states.values())[::2] == [State.ACTIVE, State.IN_PROGRESS, State.REJECTED]

        for network in ("msn", "yahoo"):
            ours.sign_here(network, f"contoso-{network}", network)
        ours.order("contoso", "contoso", ["contoso-yahoo"])
        for network in ("msn", "yahoo"):
            ours.probed("probe", f"contoso-{network}", legs())
        assert [one[1] for one in ours.orders()] == [OrderState.COMPLETED, OrderState.COMPLETED]

        # A licence for each user and network: Ann has all, Bob has Yahoo, Eve has none.
        for network in ("aol", "msn", "yahoo"):
            ours.grant("contoso", f"contoso-{network}", ["ann@contoso.example"])
        ours.grant("contoso", "contoso-yahoo", ["bob@contoso.example"])
        now = ours.at("2026-06-02")
        allowed = {
            (user, network)
            for user in ("ann", "bob", "eve")
            for network in ("aol", "msn", "yahoo")
            if passes(ours, f"{user}@contoso.example", f"cy@{network}.example", now)
        }
        assert allowed == {("ann", "aol"), ("ann", "msn"), ("ann", "yahoo"), ("bob", "yahoo")}

        # AOL and MSN become free from a date; Yahoo's price is halved from another.
        free, halved = ours.at("2026-06-02") + 10**15, ours.at("2026-06-03") + 10**15
        for network in ("aol", "msn"):
            items = [item(service, network=network) for service in (Traffic.MESSAGE, Traffic.PRESENCE)]
            ours.draft("hub", f"contoso-{network}", "contoso", network, items, at=free)
            for who in ("contoso", network):
                ours.sign_here(who, f"contoso-{network}", who)
        ours.price("hub", "yahoo", Traffic.MESSAGE, [Tier(unit_nano=75 * CENT)], at=halved)
        for network in ("aol", "msn"):
            way = "eve@contoso.example", f"cy@{network}.example"
            assert not passes(ours, *way, free - 1)
            assert passes(ours, *way, free)
            assert passes(ours, *way, free, Traffic.PRESENCE)
        assert not passes(ours, "eve@contoso.example", "cy@yahoo.example", free)
        prices = [
            next(
                one
                for one in ours.written.prices("yahoo")
                if one.service is Traffic.MESSAGE and holds(one, at)
            )
            for at in (halved - 1, halved)
        ]
        assert [one.tiers[0].unit_nano for one in prices] == [150 * CENT, 75 * CENT]

        # Who is licensed no longer is stopped at that instant.
        gone = halved + 1
        ours.revoke("contoso", "contoso-yahoo", ["bob@contoso.example"], gone)
        assert passes(ours, "bob@contoso.example", "cy@yahoo.example", gone - 1)
        assert not passes(ours, "bob@contoso.example", "cy@yahoo.example", gone)


def test_a_jabber_domain_and_a_sip_domain_accept_a_reference_offer(tmp_path: Path) -> None:
    with desk(tmp_path) as ours:
        ours.found("jabber", "jabber.example")
        ours.found("carrier", "sip.example", kind=Kind.CARRIER)
        terms = [item(service, regime=Regime.BILL_AND_KEEP) for service in Traffic]
        ours.publish("carrier", "bill-and-keep", "carrier", terms)

        ours.accept("jabber", "bill-and-keep", "jabber", "js")
        ours.sign_here("jabber", "js", "jabber")
        ours.order("jabber", "jabber", ["js"])
        assert not passes(ours, "ann@jabber.example", "bob@sip.example", ours.clock_ns + 10**9)
        ours.probed("probe", "js", legs())

        assert ours.orders()[0][1] is OrderState.COMPLETED
        for service in Traffic:
            assert passes(ours, "ann@jabber.example", "bob@sip.example", ours.clock_ns + 10**9, service)
            assert passes(ours, "bob@sip.example", "ann@jabber.example", ours.clock_ns + 10**9, service)
        hashes = {one.document_hash for one in ours.written.versions()}
        assert len(hashes) == 1
        assert {by.operator_id for by in ours.agreement("js").signatures} == {
            ours.operator("jabber").id,
            ours.operator("carrier").id,
        }


def test_where_users_are_asked_both_have_to_say_yes(tmp_path: Path) -> None:
    with desk(tmp_path) as ours:
        ours.found("contoso", "contoso.example")
        ours.found("yahoo", "yahoo.example")
        ours.draft("hub", "cy", "contoso", "yahoo", [item(opt_in=OptIn.OPT_IN)])
        for name in ("contoso", "yahoo"):
            ours.sign_here("hub", "cy", name)
        ours.order("hub", "contoso", ["cy"])
        ours.probed("probe", "cy", legs())
        said = []
        for user, far, given in (
            ("ann@contoso.example", "yahoo", True),
            ("yan@yahoo.example", "contoso", True),
            ("ann@contoso.example", "yahoo", False),
        ):
            ours.clock_ns += 10**9
            ours.consent("hub", user, far, [Traffic.MESSAGE], given=given)
            ours.clock_ns += 10**9
            said.append(passes(ours, "ann@contoso.example", "yan@yahoo.example", ours.clock_ns))
        assert said == [False, True, False]
