"""The journal: balanced whatever is posted, each key once, reversals that mirror, and balances that are its sums."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.treasury.treasury_site import plan_of

from photosynth.operations.ledger_lines import _written
from photosynth.storage import Database, StorageError
from photosynth.storage.at_rest import RestingDatabase
from photosynth.storage.tables import ASSETS, POSTING_LINES, POSTINGS
from photosynth.treasury import TreasuryError
from photosynth.treasury import journal as j
from photosynth.treasury.accounts import ACCOUNTS
from photosynth.treasury.glance import ledger_totals
from photosynth.treasury.journal import Posting, PostingLine, transfer

MOVES = st.lists(
    st.tuples(
        st.sampled_from(sorted(ACCOUNTS)),
        st.sampled_from(sorted(ACCOUNTS)),
        st.sampled_from(["BTC", "EUR", "J", "ETH"]),
        st.one_of(st.integers(-(10**15), 10**15), st.integers(-(10**30), 10**30), st.sampled_from([2**63 - 1, 2**63])),
    ),
    max_size=6,
)


def posting(key: str, lines: tuple[PostingLine, ...], time_ms: int = 1000) -> Posting:
    return Posting(key, time_ms, time_ms, "test", "a test", lines, {"source": "test", "n": 1, "none": None})


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(MOVES, st.integers(0, 5000), st.booleans()), max_size=8))
def test_whatever_is_posted_the_books_balance(
    db: Database, script: list[tuple[list[tuple[str, str, str, int]], int, bool]]
) -> None:
    with db.begin() as tx:
        first = j.count_postings(tx)
        for moves, time_ms, reversed_later in script:
            key = f"key-{j.count_postings(tx)}"
            lines = tuple(line for d, c, asset, n in moves for line in transfer(d, c, asset, n))
            if not lines:
                continue
            posting_id = j.post(tx, posting(key, lines, time_ms))
            assert posting_id is not None
            assert j.post(tx, posting(key, lines, time_ms)) is None
            if reversed_later:
                reversal = j.reverse(tx, posting_id, time_ms + 1, 0, "a test")
                assert reversal is not None
                assert j.reverse(tx, posting_id, time_ms + 1, 0, "a test") is None
                (stored,) = j.postings_by_id(tx, [reversal])
                assert stored.posting.reverses == posting_id
                assert j.mirrored(stored.posting.lines) == lines
        rows = j.trial_balance(tx)
        for asset in ("BTC", "EUR", "J", "ETH"):
            assert sum(row.closing for row in rows if row.asset == asset) == 0
        # The running balances are the sums of the lines, and a period's rows tie opening to closing.
        for row in rows:
            line = POSTING_LINES.c
            same = (line.account == row.account) & (line.asset == row.asset)
            for side, value in (("debit", row.debit), ("credit", row.credit)):
                assert sum(tx.execute(sa.select(line.amount).where(same, line.side == side)).scalars()) == value
        early = {(r.account, r.asset): r for r in j.trial_balance(tx, None, 2500)}
        late = {(r.account, r.asset): r for r in j.trial_balance(tx, 2500, None)}
        for row in rows:
            opening = early[row.account, row.asset].closing if (row.account, row.asset) in early else 0
            assert late[row.account, row.asset].opening == opening
            assert late[row.account, row.asset].closing == row.closing
        ids = list(tx.execute(sa.select(POSTINGS.c.id).order_by(POSTINGS.c.id)).scalars())
        assert ids == list(range(1, len(ids) + 1))
        assert j.count_postings(tx) >= first


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "no lines"),
        ((PostingLine("1100", "debit", "BTC", 1),), "out of balance by 1 base units of BTC"),
        ((PostingLine("1100", "debit", "BTC", 1), PostingLine("3100", "credit", "EUR", 1)), "out of balance"),
        ((PostingLine("1100", "debit", "BTC", 0), PostingLine("3100", "credit", "BTC", 0)), "not a positive integer"),
        (transfer("1100", "3100", "BTC", 10**4000), "more than 4000 digits is not a positive integer"),
        ((PostingLine("1100", "debit", "BTC", True), PostingLine("3100", "credit", "BTC", 1)), "not a positive integer"),
        ((PostingLine("1100", "debit", "BTC", 1.0), PostingLine("3100", "credit", "BTC", 1)), "not a positive integer"),  # type: ignore[arg-type]
        (transfer("1100", "9999", "BTC", 1), "not in the chart"),
    ],
)
def test_what_does_not_balance_is_refused(db: Database, lines: tuple[PostingLine, ...], words: str) -> None:
    with db.begin() as tx, pytest.raises(TreasuryError, match=words):
        j.post(tx, posting("bad", lines))
    with db.read() as tx:
        assert j.count_postings(tx) == 0


def test_an_asset_that_the_books_do_not_know_undoes_the_posting(db: Database) -> None:
    lines = transfer("1110", "9000", "SHELL", 1)
    with (
        pytest.raises(TreasuryError, match=r"posting shells: .* parties lack one of SHELL"),
        db.begin() as tx,
    ):
        j.post(tx, posting("shells", lines))
    with db.begin() as tx:
        assert j.count_postings(tx) == 0
        tx.execute(ASSETS.insert().values(code="SHELL", name="Shells", network=None, base_unit="shell", decimals=0))
        assert j.post(tx, posting("shells", lines)) == 1
        assert j.balance(tx, "1110", "SHELL") == 1


def test_forty_ether_in_wei_go_through_the_journal(db: Database) -> None:
    wei = 40 * 10**18
    with db.begin() as tx:
        number = j.post(tx, posting("in", transfer("1110", "9000", "ETH", wei)))
        assert number is not None
        j.post(tx, posting("more", transfer("1110", "9000", "ETH", 10**30) + transfer("1110", "9000", "ETH", 1)))
        assert j.balance(tx, "1110", "ETH") == 10**30 + wei + 1
        j.reverse(tx, number, 2000, 2000, "a test")
    with db.read() as tx:
        assert j.balance(tx, "1110", "ETH") == -j.balance(tx, "9000", "ETH") == 10**30 + 1
        assert [row.debit for row in j.trial_balance(tx)] == [10**30 + wei + 1, wei]
        assert [row.opening for row in j.trial_balance(tx, 2000, None)] == [10**30 + wei + 1, -(10**30) - wei - 1]
        assert {line.amount for item in j.postings_after(tx, 0) for line in item.posting.lines} == {wei, 10**30, 1}


def test_a_source_with_large_numbers_names_them_as_text(db: Database) -> None:
    with db.begin() as tx:
        j.post(tx, Posting("a", 0, 0, "e", "t", transfer("1110", "9000", "ETH", 1), {"wei": 10**30, "slot": 2**53, "no": None}))
        assert j.postings_after(tx, 0)[0].posting.source == {"wei": "1" + "0" * 30, "slot": 2**53, "no": None}


@pytest.mark.parametrize("amount", [1e20, 5.0, "12a", "1e30", b"1"])
def test_a_tampered_line_is_refused(tmp_path: Path, amount: object) -> None:
    """By whom it is read, a total or a line; nothing takes a float for an amount."""
    path = tmp_path / "photosynth.sqlite3"
    db = Database(path)
    with db.begin() as tx:
        j.post(tx, posting("a", transfer("1110", "9000", "ETH", 40 * 10**18)))
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA ignore_check_constraints = ON")
        raw.execute("DROP TRIGGER posting_lines_no_update")
        raw.execute("UPDATE posting_lines SET amount = ? WHERE number = 0", (amount,))
        raw.execute("UPDATE balances SET debit = ? WHERE account = '1110'", (amount,))
        raw.execute("UPDATE day_balances SET debit = ? WHERE account = '1110'", (amount,))
    raw.close()
    more = posting("b", transfer("1110", "9000", "ETH", 1))
    for ask in (
        lambda tx: j.postings_after(tx, 0),
        j.trial_balance,
        lambda tx: j.trial_balance(tx, 0, 86_400_000),
        lambda tx: j.trial_balance(tx, None, 2000),
        lambda tx: j.balance(tx, "1110", "ETH"),
        ledger_totals,
        lambda tx: _written(tx, j.raw_postings(tx, None, None, limit=1)),
        lambda tx: j.reverse(tx, 1, 0, 0, "a test"),
        lambda tx: j.post(tx, more),
    ):
        with pytest.raises(StorageError) as caught, db.begin() as tx:
            ask(tx)
        assert caught.value.kind == "corrupt"
    with pytest.raises(StorageError, match="Restore it from a backup"), RestingDatabase(path) as resting:
        ledger_totals(resting)
    db.close()


def test_pages_go_backwards_through_a_period(db: Database) -> None:
    with db.begin() as tx:
        for n in range(10):
            j.post(tx, posting(f"key-{n}", transfer("1100", "3100", "BTC", n + 1), time_ms=n * 100))
    with db.read() as tx:
        first = j.postings(tx, 200, 900, limit=3)
        assert [p.id for p in first] == [9, 8, 7]
        rest = j.postings(tx, 200, 900, limit=10, before_id=7)
        assert [p.id for p in rest] == [6, 5, 4, 3]
        assert j.count_postings_of(tx, 200, 900) == 7
        assert first[0].posting.source == {"source": "test", "n": 1, "none": None}
        assert first[0].posting.lines == transfer("1100", "3100", "BTC", 9)


@pytest.mark.parametrize("query", [j._OPEN, j._TIMES, j._BY_KEY], ids=["open", "times", "by key"])
def test_postings_of_a_block_are_found_by_their_key_however_many_there_are(db: Database, query: sa.Select[tuple[int]]) -> None:
    with db.read() as tx:
        plan = plan_of(tx, query.params(first="a", past="b"))
    assert "(key>? AND key<?)" in plan or "Index Cond: ((key >= 'a'::text) AND (key < 'b'::text))" in plan
