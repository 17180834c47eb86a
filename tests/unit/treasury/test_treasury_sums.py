"""The sums kept by day: whatever is posted, whenever, and reversed, a period's figures are those of its lines."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.treasury.treasury_site import plan_of

from photosynth.storage import Database
from photosynth.storage.exact import exact_integer
from photosynth.storage.tables import POSTINGS
from photosynth.treasury import journal as j
from photosynth.treasury.journal import Balance, Posting, StoredPosting, TreasuryError, transfer
from photosynth.treasury.sums import DAY_MS, ids_within

NOON = 20_000 * DAY_MS + DAY_MS // 2
TIMES = st.one_of(
    st.integers(0, 4).map(lambda day: (20_000 + day) * DAY_MS),
    st.integers(0, 4).map(lambda day: (20_000 + day) * DAY_MS - 1),
    st.integers(-2 * DAY_MS, 3 * DAY_MS).map(lambda offset: NOON + offset),
    st.integers(0, 1000),
)
ENTRIES = st.lists(
    st.tuples(
        TIMES,
        st.sampled_from(["1100", "1110", "4100"]),
        st.sampled_from(["2800", "2100"]),
        st.sampled_from(["BTC", "ETH"]),
        st.one_of(st.integers(1, 10**12), st.integers(1, 10**30), st.sampled_from([2**63 - 1, 2**63, 40 * 10**18])),
        st.one_of(st.none(), TIMES),
    ),
    max_size=12,
)
BOUNDS = st.one_of(st.none(), TIMES)


def naive_balance(stored: Sequence[StoredPosting], from_ms: int | None, to_ms: int | None) -> list[Balance]:
    """The trial balance added up line by line."""
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for entry in stored:
        time_ms = entry.posting.time_ms
        if to_ms is not None and time_ms >= to_ms:
            continue
        for line in entry.posting.lines:
            row = sums[line.account, line.asset]
            if from_ms is not None and time_ms < from_ms:
                row[0] += line.amount if line.side == "debit" else -line.amount
            else:
                row[1 if line.side == "debit" else 2] += line.amount
    return [Balance(a, s, o, d, c, o + d - c) for (a, s), (o, d, c) in sorted(sums.items())]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ENTRIES, st.lists(st.tuples(BOUNDS, BOUNDS), min_size=1, max_size=4), st.integers(1, 5))
def test_a_periods_figures_are_those_of_its_lines(
    db: Database,
    entries: list[tuple[int, str, str, str, int, int | None]],
    periods: list[tuple[int | None, int | None]],
    page: int,
) -> None:
    with db.begin() as tx:
        for time_ms, debit, credit, asset, amount, reversed_ms in entries:
            key = f"key-{j.count_postings(tx)}"
            lines = transfer(debit, credit, asset, amount)
            posting_id = j.post(tx, Posting(key, time_ms, 0, "test", "a test", lines))
            assert posting_id is not None
            if reversed_ms is not None:
                j.reverse(tx, posting_id, reversed_ms, 0, "a test")
    with db.read() as tx:
        stored = j.postings_after(tx, 0)
        for one, other in periods:
            from_ms, to_ms = (one, other) if one is None or other is None else (min(one, other), max(one, other))
            assert j.trial_balance(tx, from_ms, to_ms) == naive_balance(stored, from_ms, to_ms)
            inside = [
                entry
                for entry in reversed(stored)
                if (from_ms is None or entry.posting.time_ms >= from_ms) and (to_ms is None or entry.posting.time_ms < to_ms)
            ]
            assert j.count_postings_of(tx, from_ms, to_ms) == len(inside)
            assert j.postings(tx, from_ms, to_ms, limit=1000) == inside
            assert j.postings(tx, from_ms, to_ms, limit=page) == inside[:page]
            raw = j.raw_postings(tx, from_ms, to_ms, limit=page, after_id=0)
            assert [number for number, *_ in raw] == [entry.id for entry in inside[::-1][:page]]
            raw_lines = list(j.raw_lines(tx, [number for number, *_ in raw]))
            for number, *_ in raw:
                written = [(f"{x.account} {x.side} {x.asset}", x.amount) for x in stored[number - 1].posting.lines]
                assert [(kind, exact_integer(amount)) for of, kind, amount in raw_lines if of == number] == written
            oldest = inside[page - 1].id if len(inside) >= page else 0
            assert j.oldest_of_newest(tx, from_ms, to_ms, page) == oldest


def test_a_posting_that_is_undone_leaves_no_sum(db: Database) -> None:
    entry = Posting("one", NOON, 0, "test", "a test", transfer("1100", "3100", "BTC", 7))
    with pytest.raises(TreasuryError), db.begin() as tx:
        j.post(tx, entry) and j.post(tx, replace(entry, key="two", lines=()))
    with db.begin() as tx:
        assert j.post(tx, entry) == 1
        assert j.post(tx, entry) is None
    with db.read() as tx:
        assert j.trial_balance(tx, NOON, NOON + 1) == [
            Balance("1100", "BTC", 0, 7, 0, 7),
            Balance("3100", "BTC", 0, 0, 7, -7),
        ]
        assert ids_within(tx, None, None) == (1, 1, 1)


@pytest.mark.parametrize(("from_ms", "few"), [(NOON, True), (NOON, False), (None, True)])
def test_a_page_of_a_period_looks_at_no_more_than_the_period(
    db: Database, from_ms: int | None, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few are found by their time and sorted, many by going down the ids; never all of the journal either way."""
    if not few:
        monkeypatch.setattr(j, "FEW_POSTINGS", 0)
    with db.begin() as tx:
        j.post(tx, Posting("one", NOON, 0, "test", "a test", transfer("1100", "3100", "BTC", 7)))
    with db.read() as tx:
        query = j._of_period(sa.select(POSTINGS.c.id), tx, from_ms, NOON + 1, None).limit(5)
        plan = plan_of(tx, query)
    by_time = from_ms is not None and few
    assert ("ix_postings_time_ms (time_ms>? AND time_ms<?" in plan or "Index Cond: ((time_ms >= " in plan) == by_time
    assert ("PRIMARY KEY (rowid>? AND rowid<?)" in plan or "Index Cond: ((id >= " in plan) == (not by_time)
