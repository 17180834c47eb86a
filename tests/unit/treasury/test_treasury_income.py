"""What networks pay, in the journal: once a state, reversed where it changes or vanishes, in suspense where it does not fit."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.operations.income_pages import income_page
from photosynth.operations.view import CursorError
from photosynth.quantities.assets import Asset
from photosynth.storage import Database
from photosynth.storage import tables as t
from photosynth.treasury import journal as j
from photosynth.treasury.assets import add_asset
from photosynth.treasury.facts import WalletFact
from photosynth.treasury.income import (
    IncomeBooks,
    IncomeFact,
    IncomeRule,
    IncomeState,
    Told,
    misfits,
    read_income,
    reconsider_misfits,
    take_income,
)
from photosynth.treasury.parties import keep_parties, keep_wallets
from photosynth.treasury.sums import Whose

CHAIN = "tally/main"
WEI = 40 * 10**18
RULES: Mapping[tuple[str, IncomeState], IncomeRule] = {
    ("fee", "accrued"): IncomeRule("TALLY", (("1150", "debit"), ("4150", "credit")), "a fee is owed"),
    ("fee", "claimed"): IncomeRule("TALLY", (("1160", "debit"), ("1150", "credit")), "a fee is asked for"),
    ("fee", "received"): IncomeRule("TALLY", (("1110", "debit"), ("1160", "credit")), "a fee has come"),
    ("odd", "accrued"): IncomeRule("TALLY", (("1100", "debit"), ("8888", "credit")), "an account of another house"),
}
BOOKS = IncomeBooks(CHAIN, "operator", RULES)
FEE = IncomeFact("fee-1", "fee", "TALLY", WEI, "accrued", 1_000, 7, "count 7")
WALLET = WalletFact("tally-cold", CHAIN, "tally1address", "client")


@pytest.fixture
def books(db: Database) -> Database:
    with db.begin() as tx:
        add_asset(tx, Asset("TALLY", "Tally", "tally", "bead", 18))
        keep_parties(tx, ["operator"])
        keep_wallets(tx, [WALLET])
    return db


def tell(
    books: Database, *facts: IncomeFact, first: int = 0, last: int = 100, node: str = "one", by: IncomeBooks = BOOKS
) -> list[str]:
    with books.begin() as tx:
        return take_income(tx, by, Told(node, first, last, facts), 5_000)


def holds(tx: Connection, **whose: str) -> dict[str, int]:
    """What stands on each account, zeros aside."""
    return {row.account: row.closing for row in j.trial_balance(tx, whose=Whose(**whose)) if row.closing}


def test_a_payment_goes_through_its_states_to_the_wallet_that_it_is_paid_to(books: Database) -> None:
    accrued = replace(FEE, paid_to="tally1address")
    claimed = replace(accrued, state="claimed", height=8, position="count 8", time_ms=2_000)
    received = replace(accrued, state="received", height=9, position="count 9", time_ms=3_000)
    tell(books, accrued, last=7)
    with books.read() as tx:
        assert holds(tx) == {"1150": WEI, "4150": -WEI}
    tell(books, claimed, received, first=8, last=9)
    with books.read() as tx:
        assert holds(tx) == {"1110": WEI, "4150": -WEI}
        assert holds(tx, wallet="tally-cold") == {"1110": WEI}
        assert holds(tx, party="client") == {"1110": WEI, "4150": -WEI}
        made = [(x.posting.event, x.posting.time_ms, x.posting.wall_ms, x.posting.key) for x in reversed(j.postings(tx))]
        assert made == [
            ("income_accrued", 1_000, 5_000, "tally/main:income:fee-1:accrued:1"),
            ("income_claimed", 2_000, 5_000, "tally/main:income:fee-1:claimed:1"),
            ("income_received", 3_000, 5_000, "tally/main:income:fee-1:received:1"),
        ]
        assert [(chain, node, fact) for chain, node, fact in read_income(tx, "tally")] == [
            (CHAIN, "one", received),
            (CHAIN, "one", claimed),
            (CHAIN, "one", accrued),
        ]
        assert read_income(tx, "tall") == []
        assert misfits(tx) == []


@pytest.mark.parametrize("limit", [1, 3, 7, 24, 100])
def test_page_by_page_it_is_the_whole_list(books: Database, limit: int) -> None:
    facts = [
        replace(FEE, id=f"fee-{n}", state=state, time_ms=1_000 * (n // 4), height=n // 2)
        for n in range(12)
        for state in ("accrued", "claimed")
    ]
    tell(books, *facts)
    found: list[str] = []
    cursor: str | None = None
    with books.read() as tx:
        while True:
            page = income_page(tx, "tally", limit, cursor)
            assert len(page.entries) <= limit
            found += [f"{entry.id} {entry.state}" for entry in page.entries]
            cursor = page.cursor
            if cursor is None:
                break
        assert found == [f"{fact.id} {fact.state}" for _, _, fact in read_income(tx)]
        assert len(set(found)) == 24


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "W10=",
        "WzFd",
        "e30=",
        "\u00e4",
        "WzEsIDEsICJhIiwgImIiLCAiXHUwMDAwIl0=",
        "[" * 3000,
        "WzEsIDEsICJhIiwgImIiLCAiXHVkODAwIl0=",
    ],
)
def test_a_cursor_of_ones_own_is_refused(books: Database, cursor: str) -> None:
    with books.read() as tx, pytest.raises(CursorError, match="none that a page"):
        income_page(tx, None, 10, cursor)


@pytest.mark.parametrize("amount", [1, 2**63, 10**60, -(10**30)])
def test_amounts_of_any_size_are_exact_and_what_is_taken_away_is_on_the_other_side(books: Database, amount: int) -> None:
    tell(books, replace(FEE, amount=amount))
    with books.read() as tx:
        assert holds(tx) == {"1150": amount, "4150": -amount}
        assert [fact.amount for _, _, fact in read_income(tx)] == [amount]


def test_nothing_paid_is_told_and_posts_nothing(books: Database) -> None:
    tell(books, replace(FEE, amount=0))
    tell(books, FEE)
    with books.read() as tx:
        assert (len(read_income(tx)), j.count_postings(tx)) == (1, 1)


def test_what_is_told_again_is_posted_once(books: Database) -> None:
    for _ in range(3):
        assert tell(books, FEE) == []
    with books.read() as tx:
        assert (j.count_postings(tx), holds(tx)["1150"]) == (1, WEI)


@pytest.mark.parametrize("change", [{"amount": 5}, {"time_ms": 2_000}, {"height": 9, "position": "count 9"}])
def test_what_has_changed_is_reversed_at_its_own_time_and_posted_anew(books: Database, change: dict[str, int]) -> None:
    changed = replace(FEE, **change)  # type: ignore[arg-type]
    tell(books, FEE)
    tell(books, changed)
    with books.read() as tx:
        newest, reversal, first = (x.posting for x in j.postings(tx))
        assert (first.key, reversal.reverses, reversal.event) == (
            "tally/main:income:fee-1:accrued:1",
            1,
            "income_accrued_reversed",
        )
        assert (newest.key, newest.time_ms) == ("tally/main:income:fee-1:accrued:2", changed.time_ms)
        assert reversal.time_ms == first.time_ms, "its period shows nothing of it any more"
        assert holds(tx) == {"1150": changed.amount, "4150": -changed.amount}
        assert [fact for _, _, fact in read_income(tx)] == [changed]


def test_what_vanishes_from_a_range_is_reversed_and_may_come_back(books: Database) -> None:
    other = replace(FEE, id="fee-2", height=3, position="count 3")
    tell(books, other, FEE)
    tell(books, first=4)
    with books.read() as tx:
        assert [fact.id for _, _, fact in read_income(tx)] == ["fee-2"]
        assert holds(tx)["1150"] == WEI
    tell(books, FEE, first=4)
    with books.read() as tx:
        assert holds(tx)["1150"] == 2 * WEI
        assert j.postings(tx)[0].posting.key == "tally/main:income:fee-1:accrued:2"


def test_one_node_neither_doubles_nor_changes_nor_takes_away_what_another_told(books: Database) -> None:
    tell(books, FEE)
    assert tell(books, FEE, node="two") == []
    assert tell(books, node="two") == []
    assert tell(books, replace(FEE, amount=1), node="two") == ["fee-1 (accrued) is not what one tells of it"]
    with books.read() as tx:
        assert (j.count_postings(tx), holds(tx)["1150"]) == (1, WEI)


def test_the_same_id_on_another_chain_is_another_payment(books: Database) -> None:
    tell(books, FEE)
    tell(books, FEE, by=replace(BOOKS, chain="tally/test"))
    with books.read() as tx:
        assert holds(tx)["1150"] == 2 * WEI


def test_ids_that_look_like_keys_do_not_collide(books: Database) -> None:
    tell(books, replace(FEE, id="a:accrued:1"), replace(FEE, id="a"), replace(FEE, id="a:accrued"))
    tell(books)
    tell(books, replace(FEE, id="a"), replace(FEE, id="a:accrued:1"))
    with books.read() as tx:
        assert holds(tx)["1150"] == 2 * WEI


RECEIVED = replace(FEE, state="received")


@pytest.mark.parametrize(
    ("fact", "standing", "why"),
    [
        (replace(FEE, kind="gift"), {"1150": WEI, "9000": -WEI}, "its kind, gift, has no rule for what is accrued"),
        (
            replace(FEE, kind="odd", state="claimed"),
            {"1160": WEI, "9000": -WEI},
            "its kind, odd, has no rule for what is claimed",
        ),
        (replace(FEE, asset="ETH"), {"1150": WEI, "9000": -WEI}, "its kind, fee, pays TALLY, not ETH"),
        (replace(RECEIVED, paid_to="stranger"), {}, "no wallet of the fleet is stranger"),
        (RECEIVED, {}, "nothing says where it is paid"),
        (replace(FEE, paid_to="stranger"), {"9000": WEI, "4150": -WEI}, "no wallet of the fleet is stranger"),
        (replace(FEE, kind="odd"), {}, "the chart has no account 1100 for income; the chart has no account 8888 for income"),
    ],
)
def test_what_does_not_fit_is_in_suspense_and_named(
    books: Database, fact: IncomeFact, standing: dict[str, int], why: str
) -> None:
    tell(books, fact)
    tell(books, fact)
    with books.read() as tx:
        assert holds(tx) == standing
        assert {line.account for line in j.postings(tx)[0].posting.lines} & {"9000"}
        assert [(item.id, item.node, item.why) for item in misfits(tx)] == [("fee-1", "one", why)]
        assert j.count_postings(tx) == 1


@pytest.mark.parametrize("paid_to", [None, "stranger"])
def test_what_was_owed_and_came_nowhere_that_we_know_is_owed_no_more(books: Database, paid_to: str | None) -> None:
    tell(books, FEE, replace(FEE, state="claimed"), replace(RECEIVED, paid_to=paid_to))
    with books.read() as tx:
        assert holds(tx) == {"9000": WEI, "4150": -WEI}
        assert len(misfits(tx)) == 1


def test_what_goes_to_a_stranger_in_every_state_is_in_suspense_once(books: Database) -> None:
    strange = replace(FEE, paid_to="stranger")
    tell(books, strange, replace(strange, state="claimed"), replace(strange, state="received"))
    with books.read() as tx:
        assert holds(tx) == {"9000": WEI, "4150": -WEI}
        assert len(misfits(tx)) == 3


def test_what_fits_by_now_leaves_suspense(books: Database) -> None:
    gift, stranger = replace(FEE, id="gift-1", kind="gift"), replace(RECEIVED, id="fee-2", paid_to="stranger")
    tell(books, gift, stranger)
    with books.begin() as tx:
        assert reconsider_misfits(tx, BOOKS, 6_000) == 0
        keep_wallets(tx, [WalletFact("tally-hot", CHAIN, "stranger", "operator")])
        rules = {**RULES, ("gift", "accrued"): RULES["fee", "accrued"]}
        assert reconsider_misfits(tx, replace(BOOKS, rules=rules), 6_000) == 2
        assert holds(tx) == {"1150": WEI, "4150": -WEI, "1110": WEI, "1160": -WEI}
        assert holds(tx, wallet="tally-hot") == {"1110": WEI, "1160": -WEI}
        assert misfits(tx) == []


def test_an_asset_that_no_package_declared_is_refused(books: Database) -> None:
    with pytest.raises(j.TreasuryError, match="lack one of"):
        tell(books, replace(FEE, asset="NONE"))
    with books.read() as tx:
        assert (read_income(tx), j.count_postings(tx)) == ([], 0)


def test_every_row_of_income_has_a_posting_that_stands(books: Database) -> None:
    """Whatever was told, in whatever order: the journal's open postings are those of the table."""
    facts = [replace(FEE, id=f"fee-{n}", amount=n + 1, height=n) for n in range(8)]
    for chosen in (facts, facts[::2], [replace(fact, amount=9) for fact in facts], [], facts[3:], facts[:5]):
        tell(books, *chosen)
        with books.read() as tx:
            standing = {posting for posting, _ in j.open_postings(tx, f"{CHAIN}:income:")}
            assert standing == set(tx.execute(sa.select(t.INCOME.c.posting)).scalars())
            assert holds(tx).get("1150", 0) == sum(fact.amount for fact in chosen)
