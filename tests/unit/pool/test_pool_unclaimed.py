"""Unclaimed work: nothing is lost by folding, no cut that matters is blurred, and the rows have a bound."""

from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photosynth.pool.accounting import WorkAccount
from photosynth.pool.records import MAX_BODY, ClaimRecord, RecordError, ShareRecord, WorkerTotals, frame, read_records
from photosynth.pool.segments import ShareLogError, open_segments
from photosynth.pool.snapshots import freeze, read_snapshot, write_snapshot
from photosynth.pool.unclaimed import DAY_MS, FINAL, OTHERS, WORK_BITS, Piece, Unclaimed, attribute_work, count_rows, tidy
from photosynth.quantities.instants import INTERVAL_MS
from photosynth.quantities.work import TWO_256

FIRST_MS = 20_000 * DAY_MS
TARGET = TWO_256 // 100


def row(shares: int, work: int) -> int:
    return (work << WORK_BITS) + shares


def work_by(pieces: list[Piece], *, up_to: int = 1 << 62) -> Counter[tuple[str, int]]:
    """Shares and work by worker and scale of the pieces up to a cut."""
    found = Counter[tuple[str, int]]()
    for piece in pieces:
        if piece.start <= up_to:
            for (_, _, worker, scale), held in piece.rows.items():
                found[worker, scale] += held
    return found


rows = st.dictionaries(
    st.tuples(
        st.integers(0, 400).map(lambda n: FIRST_MS + n * INTERVAL_MS), st.integers(1, 3), st.sampled_from("abc"), st.just(5)
    ),
    st.integers(1, 9).map(lambda n: row(n, 100 * n)),
    min_size=1,
    max_size=30,
)


@given(st.lists(rows, max_size=6), st.sets(st.integers(0, 60)), st.integers(0, 400), st.integers(0, 40), st.integers(0, 10))
def test_folding_keeps_all_work_and_every_cut_that_is_needed(
    contents: list[dict[tuple[int, int, str, int], int]], needed: set[int], closed: int, fine: int, days: int
) -> None:
    pieces = [Piece(1 + 10 * at, held) for at, held in enumerate(contents)]
    before = [Piece(piece.start, dict(piece.rows)) for piece in pieces]
    closed_ms = FIRST_MS + closed * INTERVAL_MS
    tidied = tidy(pieces, needed, 0, closed_ms, fine_rows=fine, day_rows=days)
    assert pieces == before, "another thread may be reading them"
    for cut in [*needed, 1000]:
        assert work_by(tidied, up_to=cut) == work_by(pieces, up_to=cut)
    open_rows = {key for piece in pieces for key in piece.rows if key[0] >= closed_ms}
    assert open_rows <= {key for piece in tidied for key in piece.rows}, "quarter hours that the books lack stay as they are"
    kept = [key for piece in tidied for key in piece.rows]
    assert sum(key[1] > 0 for key in kept) <= fine + len(open_rows) * len(pieces)
    today = closed_ms - closed_ms % DAY_MS
    assert sum(key[1] == 0 and 0 < key[0] < today for key in kept) <= days
    for start_ms, round_, _, _ in kept:
        assert round_ or start_ms % DAY_MS == 0
    assert tidy(tidied, needed, 0, closed_ms, fine_rows=fine, day_rows=days) == tidied


def test_rows_are_bounded_over_years_by_workers_and_classes() -> None:
    unclaimed = Unclaimed()
    most, seq = 0, 0
    for day in range(400):
        for quarter in range(0, 96, 8):
            for worker in ("a", "b", "c"):
                seq += 1
                unclaimed.rows[FIRST_MS + day * DAY_MS + quarter * INTERVAL_MS, day + 1, worker, 1] = row(1, 100)
        unclaimed.cut(seq)
        sealed = unclaimed.sealed()
        tidied = tidy(sealed, set(), 0, FIRST_MS + (day + 1) * DAY_MS, fine_rows=100, day_rows=60)
        unclaimed.adopt(tidied, sealed, 0)
        most = max(most, count_rows(unclaimed.sealed()))
    assert most <= 100 + 60 + 3 + 3, "fine rows, days, a row for all before, and today's"
    parts = attribute_work(unclaimed.sealed())
    assert sum(part.shares for part in parts) == seq
    assert [part.interval_start_ms for part in parts[:4]] == [0, 0, 0, parts[3].interval_start_ms]
    assert sum(part.represented for part in parts) == unclaimed.represented_after(0) == 100 * seq


def test_names_that_come_and_go_for_ever_are_bounded_too() -> None:
    unclaimed = Unclaimed()
    for day in range(60):
        for number in range(10):
            unclaimed.rows[FIRST_MS + day * DAY_MS, day + 1, f"guest-{day}-{number}", 1] = row(1, 100 + number)
        unclaimed.rows[FIRST_MS + day * DAY_MS, day + 1, "machine", 10**9] = row(1, 100)
        unclaimed.cut(11 * (day + 1))
        sealed = unclaimed.sealed()
        tidied = tidy(sealed, set(), 0, FIRST_MS + (day + 1) * DAY_MS, fine_rows=20, day_rows=20, worker_rows=15)
        unclaimed.adopt(tidied, sealed, 0)
        assert count_rows(unclaimed.sealed()) <= 20 + 20 + 11 + 15 + 1
    parts = attribute_work(unclaimed.sealed())
    assert sum(part.shares for part in parts) == 660
    together = [part for part in parts if part.worker == OTHERS]
    assert [(part.interval_start_ms, part.round, part.scale) for part in together] == [(0, 0, 1)]
    assert ("machine", 0) in {(part.worker, part.interval_start_ms) for part in parts}, "who has most work keeps a name"


def test_a_snapshot_of_as_many_workers_as_there_may_be_opens_again(tmp_path: Path) -> None:
    account = WorkAccount()
    for number in range(10_000):
        name = f"{number:05d}" + "w" * 251
        account.unclaimed.rows[FIRST_MS, 7, name, 10**30] = row(3, 1 << 150)
        account.totals[name] = WorkerTotals(10**30, 3, 1 << 150, 1 << 250, {"stale": number}, 5, 6, "agent" * 12)
    account.last_seq = 30_000
    path = tmp_path / "00000001.state"
    written = write_snapshot(path, freeze(account, 5))
    found = read_snapshot(path)
    assert found is not None
    assert found.totals == account.totals
    assert found.pieces == written.pieces
    assert (found.last_seq, found.next_job) == (30_000, 5)
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    assert read_snapshot(path) is None, "what is not whole does not count"


def test_what_could_not_be_read_again_is_not_written() -> None:
    assert list(read_records(BytesIO(frame(bytes(MAX_BODY))))) != []
    with pytest.raises(RecordError, match="can be read again"):
        frame(bytes(MAX_BODY + 1))


def test_a_snapshot_that_cannot_be_written_takes_no_room(tmp_path: Path) -> None:
    account = WorkAccount()
    share = ShareRecord("a", 1, TARGET, 1, FIRST_MS, 0, 1, bytes(80), bytes(12))
    account.apply_share(1, share, bytes(32))
    account.counted.add(bytes(MAX_BODY))
    with pytest.raises(RecordError):
        write_snapshot(tmp_path / "00000002.state", freeze(account, 1))
    assert list(tmp_path.iterdir()) == [], "what was begun is gone: shares need the room"


def test_work_is_final_when_its_block_is_deep_and_in_the_books(tmp_path: Path) -> None:
    account = WorkAccount()
    parent = b""
    for height in range(1, 4):
        for _ in range(2):
            seq = account.last_seq + 1
            account.apply_share(seq, ShareRecord("a", height, TARGET, 1, FIRST_MS, 0, 1, bytes(80), b""), seq.to_bytes(32, "big"))
        base, cut = account.cut_of(parent), account.mark_cut()
        name = bytes([height]) * 32
        account.apply_claim(ClaimRecord(name, 1, height, cut, 0, "a", 0, 0, cut, bytes(32), base, parent))
        account.apply_top(name)
        parent = name
    account.apply_checkpoint(4)
    account.tip_height = FINAL + 3
    frozen = freeze(account, 1)
    tidied = write_snapshot(tmp_path / "1.state", frozen)
    assert tidied.floor == 4, "the third is as deep, but the books do not hold it yet"
    account.unclaimed.adopt(tidied.pieces, frozen.pieces, tidied.floor)
    account.forget_claims()
    assert [claim.height for claim in account.claims.values()] == [3]
    assert [part.shares for part in account.attribution(account.claims[parent])] == [2]
    assert account.unclaimed_represented == 0


def test_a_log_without_its_first_snapshot_is_not_begun_anew(tmp_path: Path) -> None:
    first = open_segments(tmp_path)
    assert first.segments[0].has_snapshot
    (tmp_path / "00000001.log").unlink()
    assert open_segments(tmp_path).account.last_seq == 0, "a stop while the folder was made"
    (tmp_path / "00000001.log").unlink()
    (tmp_path / "00000001.state").rename(tmp_path / "00000002.state")
    with pytest.raises(ShareLogError, match="without the entries after them"):
        open_segments(tmp_path)
