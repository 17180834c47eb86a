"""Whose the lines are: parties by their meters, coins in the payout wallet, and trial balances of either."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.treasury.treasury_site import COIN, SCRIPT, SITE, DemoSite, as_node

from photosynth.storage import Database, DatabaseThread
from photosynth.storage import tables as t
from photosynth.treasury import ChainBooks, TreasuryError
from photosynth.treasury import journal as j
from photosynth.treasury.accounts import ACCOUNTS
from photosynth.treasury.journal import Posting, PostingLine, transfer
from photosynth.treasury.parties import PAYOUT_WALLET, keep_parties, of_energy, of_wallet
from photosynth.treasury.sums import DAY_MS, Whose

OWNERS = st.sampled_from([None, "demo", "factory"])
TIMES = st.integers(0, 3 * DAY_MS)
WALLETS = st.sampled_from([None, PAYOUT_WALLET])
LINES = st.lists(st.tuples(OWNERS, OWNERS, WALLETS, st.integers(1, 10**30), TIMES), max_size=8)


def test_the_chart_is_a_table(db: Database) -> None:
    with db.read() as tx:
        assert {row.number: row.name for row in tx.execute(sa.select(t.ACCOUNTS))} == ACCOUNTS


def test_a_sites_parties_and_wallet_are_written_once(db: Database) -> None:
    site = replace(SITE, parties=(("demo", "The demonstrator"),))
    with db.begin() as tx:
        keep_parties(tx, site)
        keep_parties(tx, site)
        assert [tuple(row) for row in tx.execute(sa.select(t.PARTIES))] == [("demo", "The demonstrator"), ("factory", "factory")]
        assert [tuple(row) for row in tx.execute(sa.select(t.WALLETS))] == [("payout", "bitcoin", "regtest", SCRIPT, "demo")]


@pytest.mark.parametrize(("wallet", "party"), [(None, "nobody"), ("nobody", None)])
def test_a_line_of_nobody_known_is_refused(db: Database, wallet: str | None, party: str | None) -> None:
    lines = of_wallet(transfer("1110", "9000", "BTC", 1), wallet, party)
    with pytest.raises(TreasuryError, match="lack one of BTC, nobody"), db.begin() as tx:
        j.post(tx, Posting("a", 0, 0, "e", "t", lines))


def test_energy_is_its_meters_owners() -> None:
    lines = transfer("5100", "2100", "EUR", 5) + transfer("5110", "2100", "EUR", -7) + transfer("E90", "E10", "J", 3)
    owners = ["demo", "demo", "factory", "factory", None, "factory"]
    assert [line.party for line in of_energy(lines, SITE.meters)] == owners
    two = [*SITE.meters, replace(SITE.meters[0], id="other roof", party="demo")]
    assert [line.party for line in of_energy(lines, two)] == [*owners[:-1], None], "a role of several owners is nobody's alone"


def test_coins_are_in_the_wallet_and_its_partys() -> None:
    lines = of_wallet(transfer("1100", "3100", "BTC", 5), "payout", "demo")
    assert [(line.account, line.wallet, line.party) for line in lines] == [("1100", "payout", "demo"), ("3100", None, "demo")]
    assert j.mirrored(lines)[0] == PostingLine("1100", "credit", "BTC", 5, "payout", "demo")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(LINES, st.tuples(TIMES, TIMES), st.builds(Whose, WALLETS, OWNERS))
def test_a_trial_balance_of_somebody_is_that_of_their_lines(
    db: Database,
    entries: list[tuple[str | None, str | None, str | None, int, int]],
    period: tuple[int, int],
    whose: Whose,
) -> None:
    from_ms, to_ms = sorted(period)
    with db.begin() as tx:
        keep_parties(tx, SITE)
        for debited, credited, held, amount, time_ms in entries:
            one, other = transfer("1110", "9000", "ETH", amount)
            lines = (replace(one, party=debited, wallet=held), replace(other, party=credited))
            posting_id = j.post(tx, Posting(f"key-{j.count_postings(tx)}", time_ms, 0, "e", "t", lines))
            assert posting_id is not None
            if amount % 3 == 0:
                j.reverse(tx, posting_id, time_ms + 1, 0, "a test")
        mine = [
            (stored.posting.time_ms, line)
            for stored in j.postings_after(tx, 0)
            for line in stored.posting.lines
            if whose.party in {None, line.party} and whose.wallet in {None, line.wallet}
        ]
        everything = j.trial_balance(tx, None, None, whose)
        assert {row.account for row in everything} == {line.account for _, line in mine}
        for row in everything:
            signed = [x.amount if x.side == "debit" else -x.amount for _, x in mine if x.account == row.account]
            assert row.closing == sum(signed)
        for row in j.trial_balance(tx, from_ms, to_ms, whose):
            inside = [x for at, x in mine if from_ms <= at < to_ms and x.account == row.account]
            assert row.debit == sum(x.amount for x in inside if x.side == "debit")
            assert row.credit == sum(x.amount for x in inside if x.side == "credit")


async def test_what_a_site_posts_is_somebodys(db: Database) -> None:
    site = DemoSite(db)
    run = DatabaseThread()
    chain = ChainBooks(SCRIPT, "at_maturity", lambda _: COIN, clock=site.clock, wallet=PAYOUT_WALLET, party=SITE.operator)
    facts = site.facts({"hall-a-01": 1})
    with db.begin() as tx:
        site.books.open(tx)
        site.find_block(tx)
    await chain.follow(as_node(site.node), db, run)
    with db.begin() as tx:
        site.close(tx, facts)
    run.close()
    with db.read() as tx:
        held = j.trial_balance(tx, None, None, Whose(wallet=PAYOUT_WALLET))
        assert [(row.account, row.asset) for row in held] == [("1100", "BTC"), ("1100", "EUR")]
        demo = {(row.account, row.asset): row.closing for row in j.trial_balance(tx, None, None, Whose(party="demo"))}
        assert {("1100", "BTC"), ("2800", "EUR"), ("E40", "J")} <= set(demo)
        assert sum(closing for (_, asset), closing in demo.items() if asset == "BTC") == 0
        factory = {row.account for row in j.trial_balance(tx, None, None, Whose(party="factory"))}
        assert {"E10", "E30", "4200"} <= factory
        assert not {"1100", "E40"} & factory


def test_a_database_by_itself_refuses_a_line_of_an_unknown_account(db: Database) -> None:
    with db.begin() as tx:
        j.post(tx, Posting("a", 0, 0, "e", "t", transfer("1110", "9000", "BTC", 1)))
    with pytest.raises(sa.exc.IntegrityError, match=r"(?i)foreign key"), db.begin() as tx:
        tx.exec_driver_sql("INSERT INTO posting_lines VALUES (1, 9, '9999', 'debit', 'BTC', 1, NULL, NULL)")
