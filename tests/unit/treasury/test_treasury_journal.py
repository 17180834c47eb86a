"""The journal: balanced whatever is posted, each key once, reversals that mirror, and balances that are its sums."""

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.treasury.treasury_site import plan_of

from photosynth.storage import Database
from photosynth.storage.tables import POSTING_LINES, POSTINGS
from photosynth.treasury import TreasuryError
from photosynth.treasury import journal as j
from photosynth.treasury.accounts import ACCOUNTS
from photosynth.treasury.journal import Posting, PostingLine, transfer

MOVES = st.lists(
    st.tuples(
        st.sampled_from(sorted(ACCOUNTS)),
        st.sampled_from(sorted(ACCOUNTS)),
        st.sampled_from(["SAT", "UEUR", "J"]),
        st.integers(-(10**15), 10**15),
    ),
    max_size=6,
)


def posting(key: str, lines: tuple[PostingLine, ...], time_ms: int = 1000) -> Posting:
    return Posting(key, time_ms, time_ms, "test", "a test", lines, {"source": "test", "n": 1, "none": None})


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(MOVES, st.integers(0, 5000), st.booleans()), max_size=8))
def test_whatever_is_posted_the_books_balance(
    db: Database, script: list[tuple[list[tuple[str, str, str, int]], int, bool]]
) -> None:
    with db.begin() as tx:
        first = j.count_postings(tx)
        for moves, time_ms, reversed_later in script:
            key = f"key-{j.count_postings(tx)}"
            lines = tuple(line for d, c, asset, n in moves for line in transfer(d, c, asset, n))  # type: ignore[arg-type]
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
        for asset in ("SAT", "UEUR", "J"):
            assert sum(row.closing for row in rows if row.asset == asset) == 0
        # The running balances are the sums of the lines, and a period's rows tie opening to closing.
        for row in rows:
            line = POSTING_LINES.c
            same = (line.account == row.account) & (line.asset == row.asset)
            for side, value in (("debit", row.debit), ("credit", row.credit)):
                assert tx.execute(sa.select(sa.func.sum(line.amount)).where(same, line.side == side)).scalar() in (value, None)
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
        ((PostingLine("1100", "debit", "SAT", 1),), "out of balance by 1 SAT"),
        ((PostingLine("1100", "debit", "SAT", 1), PostingLine("3100", "credit", "UEUR", 1)), "out of balance"),
        ((PostingLine("1100", "debit", "SAT", 0), PostingLine("3100", "credit", "SAT", 0)), "positive signed 64-bit"),
        (transfer("1100", "3100", "SAT", 1 << 63), "positive signed 64-bit"),
        ((PostingLine("1100", "debit", "SAT", 1.0), PostingLine("3100", "credit", "SAT", 1)), "positive signed"),  # type: ignore[arg-type]
        (transfer("1100", "9999", "SAT", 1), "not in the chart"),
    ],
)
def test_what_does_not_balance_is_refused(db: Database, lines: tuple[PostingLine, ...], words: str) -> None:
    with db.begin() as tx, pytest.raises(TreasuryError, match=words):
        j.post(tx, posting("bad", lines))
    with db.read() as tx:
        assert j.count_postings(tx) == 0


def test_an_overflow_of_a_balance_undoes_the_posting(db: Database) -> None:
    most = (1 << 63) - 1
    with db.begin() as tx:
        j.post(tx, posting("one", transfer("1100", "3100", "SAT", most)))
    with pytest.raises((sa.exc.IntegrityError, sa.exc.DataError)), db.begin() as tx:
        j.post(tx, posting("two", transfer("1100", "3100", "SAT", 1)))
    with db.read() as tx:
        assert j.balance(tx, "1100", "SAT") == most
        assert j.count_postings(tx) == 1


def test_pages_go_backwards_through_a_period(db: Database) -> None:
    with db.begin() as tx:
        for n in range(10):
            j.post(tx, posting(f"key-{n}", transfer("1100", "3100", "SAT", n + 1), time_ms=n * 100))
    with db.read() as tx:
        first = j.postings(tx, 200, 900, limit=3)
        assert [p.id for p in first] == [9, 8, 7]
        rest = j.postings(tx, 200, 900, limit=10, before_id=7)
        assert [p.id for p in rest] == [6, 5, 4, 3]
        assert j.count_postings_of(tx, 200, 900) == 7
        assert first[0].posting.source == {"source": "test", "n": 1, "none": None}
        assert first[0].posting.lines == transfer("1100", "3100", "SAT", 9)


@pytest.mark.parametrize("query", [j._OPEN, j._TIMES, j._BY_KEY], ids=["open", "times", "by key"])
def test_postings_of_a_block_are_found_by_their_key_however_many_there_are(db: Database, query: sa.Select[tuple[int]]) -> None:
    with db.read() as tx:
        plan = plan_of(tx, query.params(first="a", past="b"))
    assert "(key>? AND key<?)" in plan or "Index Cond: ((key >= 'a'::text) AND (key < 'b'::text))" in plan
