"""The share log: what was answered is on the disk, whatever byte the power fails at."""

import asyncio
import threading
import tracemalloc
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photosynth.bitcoin.merkle import merkle_root
from photosynth.pool.accounting import BEST_HEADERS, RunningRoot, WorkAccount
from photosynth.pool.records import (
    KIND_CLAIM,
    KIND_GROUP,
    KIND_JOB,
    KIND_REJECT,
    KIND_SHARE,
    ClaimRecord,
    JobRecord,
    RecordError,
    ShareRecord,
    frame,
    packed_body,
    read_records,
    share_body,
    unpack_body,
)
from photosynth.pool.segments import ShareLogError, create_segment, open_segments
from photosynth.pool.share_log import ShareLog
from photosynth.pool.snapshots import Frozen, Tidied, freeze, write_snapshot
from photosynth.quantities.instants import INTERVAL_MS
from photosynth.quantities.work import TWO_256, work_of_target
from photosynth.stratum.work import double_sha256

TARGET = TWO_256 // 100
WORK = work_of_target(TARGET)
START_MS = INTERVAL_MS * 2_000_000


def job(key: int, cut: int) -> JobRecord:
    return JobRecord(key, 1, bytes(32), b"prefix", b"suffix", (), cut, 0, 12, START_MS, 0, bytes(32))


def share(number: int, worker: str = "a", scale: int = 10**30, site_ms: int = START_MS) -> ShareRecord:
    return ShareRecord(worker, 1, TARGET, scale, site_ms, 5, 1, number.to_bytes(80, "little"), bytes(12))


def claim(cut: int, seq: int, name: bytes = b"block") -> ClaimRecord:
    return ClaimRecord(double_sha256(name), 1, 1, cut, 77, "a", START_MS, 0, seq, bytes(32))


class Writer:
    """Appends to a log and counts what was confirmed."""

    def __init__(self, folder: Path) -> None:
        self.log = ShareLog(folder, batch_s=0)
        self.confirmed = 0
        self.refused = 0
        self._number = 0

    def done(self, durable: bool) -> None:
        self.confirmed += durable
        self.refused += not durable

    async def shares(self, count: int, worker: str = "a", site_ms: int = START_MS) -> None:
        for _ in range(count):
            self._number += 1
            record = share(self._number, worker, site_ms=site_ms)
            self.log.append_share(record, double_sha256(record.header), self.done)
        await self.log.flush()


def state(account: WorkAccount) -> tuple[object, ...]:
    """All that must be the same after a replay."""
    return (
        account.last_seq,
        account.totals,
        account.unclaimed_represented,
        account.blocks_found,
        account.cut_of(account.top),
        {name: (held, account.attribution(held)) for name, held in account.claims.items()},
        account.minutes,
        [account.interval_work(start) for start in account.open_intervals()],
    )


async def filled(folder: Path) -> ShareLog:
    """A log with everything in it: jobs with cuts between shares, rejects, a claim, a checkpoint, two intervals."""
    writer = Writer(folder)
    log = writer.log
    for key in range(1, 4):
        log.append_job(job(key, log.account.mark_cut()))
        await writer.shares(2)
        log.append_reject("b", "stale", 21, START_MS)
    await log.flush()
    held = claim(cut=4, seq=log.account.last_seq)
    log.append_claim(held)
    log.append_top(held.block_hash)
    await writer.shares(3, "b")
    log.live_jobs = lambda: {3}
    log.checkpoint(log.account.last_seq)
    await writer.shares(2, "b", START_MS + INTERVAL_MS)
    log.append_job(job(4, log.account.mark_cut()))
    await writer.shares(2, "c", START_MS + INTERVAL_MS)
    assert writer.confirmed == 13
    await log.settle()
    return log


async def test_a_reopened_log_has_the_same_state(tmp_path: Path) -> None:
    log = await filled(tmp_path)
    before = state(log.account)
    await log.close()
    again = ShareLog(tmp_path)
    assert again.repairs == ()
    assert again.next_job == 5
    assert state(again.account) == before
    assert set(again.account.jobs) >= {3, 4}
    assert again.account.unclaimed_represented == 9 * WORK * 10**30, "all but the four that the block pays"
    await again.close()


async def test_a_claim_takes_exactly_the_shares_up_to_its_cut_also_after_a_replay(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    log = writer.log
    await writer.shares(2)
    log.append_job(job(1, log.account.mark_cut()))
    await writer.shares(3, "b")
    log.append_job(job(2, log.account.mark_cut()))
    await writer.shares(4, "a")
    await log.close()
    log = ShareLog(tmp_path)
    account = log.account
    assert account.unclaimed.represented_after(2) == 7 * WORK * 10**30
    held = claim(cut=5, seq=9)
    for _ in range(2):
        log.append_claim(held)
        log.append_top(held.block_hash)
    parts = account.attribution(held)
    assert [(part.worker, part.shares, part.work) for part in parts] == [("a", 2, 2 * WORK), ("b", 3, 3 * WORK)]
    assert account.unclaimed_represented == 4 * WORK * 10**30
    assert account.blocks_found == 1, "a block is found once"
    # A rival on another branch pays the same work, up to its own cut; whichever is in the chain counts.
    rival = claim(cut=2, seq=9, name=b"rival")
    log.append_claim(rival)
    log.append_top(rival.block_hash)
    assert [(part.worker, part.shares) for part in account.attribution(rival)] == [("a", 2)]
    assert account.unclaimed_represented == 7 * WORK * 10**30
    await log.close()


async def test_cut_at_every_byte_the_log_opens_with_a_prefix_of_what_was_confirmed(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = await filled(folder)
    await log.close()
    last = sorted(folder.glob("*.log"))[-1]
    whole = last.read_bytes()
    complete = open_segments(folder).account
    head = 0
    counts = []
    for size in range(len(whole), 0, -1):
        last.write_bytes(whole[:size])
        try:
            replayed = open_segments(folder)
        except ShareLogError:
            head = max(head, size)
            last.write_bytes(whole)
            continue
        assert head == 0, "only the head cannot be cut, and it is never written in place"
        counts.append(replayed.account.last_seq)
        assert bool(replayed.repairs) == (last.stat().st_size < size)
        assert 14 <= replayed.account.last_seq <= complete.last_seq
    assert counts == sorted(counts, reverse=True)
    assert set(counts) == set(range(14, complete.last_seq + 1))


def test_opening_a_long_log_needs_no_memory_for_its_shares(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "00000001.state", freeze(WorkAccount(), 1))
    size = number = 0
    for segment in (create_segment(tmp_path, 1, 0), create_segment(tmp_path, 2, 0)):
        with segment.path.open("ab") as file:
            file.write(frame(packed_body(KIND_GROUP, 0, "a", 1, TARGET, 1)))
            for _ in range(10_000):
                number += 1
                file.write(frame(share_body(number, share(number), 0)))
            size += file.tell()
    tracemalloc.start()
    try:
        replayed = open_segments(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert replayed.account.last_seq == number
    assert peak < size / 4


async def test_jobs_that_a_pool_had_forgotten_stay_forgotten_where_old_segments_stay(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    log = writer.log
    log.live_jobs = lambda: set(sorted(log.account.jobs)[-2:]) | {1}
    for key in range(1, 9):
        log.append_job(job(key, 0))
        await writer.shares(1)
        log._rotate = key % 4 == 0  # as for many pieces of work: no checkpoint lets a segment go
        await log.settle()
    await log.close()
    assert len(list(tmp_path.glob("*.log"))) == 3
    again = ShareLog(tmp_path)
    assert set(again.account.jobs) == set(log.account.jobs) == {1, 7, 8}
    await again.close()


async def test_a_flipped_byte_is_found_and_said(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = await filled(folder)
    await log.close()
    complete = open_segments(folder).account.last_seq
    last = sorted(folder.glob("*.log"))[-1]
    whole = last.read_bytes()
    for at in range(len(whole) - 1, len(whole) - 400, -1):
        last.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        replayed = open_segments(folder)
        assert replayed.account.last_seq < complete
        assert "cut off and kept in" in replayed.repairs[0]
        kept = last.with_suffix(".damaged").read_bytes()
        assert len(kept) + last.stat().st_size == len(whole)


async def test_writing_goes_on_after_a_torn_tail(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    await writer.shares(3)
    await writer.log.close()
    (path,) = tmp_path.glob("*.log")
    with path.open("ab") as file:
        file.write(b"\x55" * 33)
    writer = Writer(tmp_path)
    assert "33 bytes" in writer.log.repairs[0]
    await writer.shares(2)
    await writer.log.close()
    log = ShareLog(tmp_path)
    assert (log.repairs, log.account.last_seq) == ((), 5)
    await log.close()


async def test_checkpoints_remove_old_segments_and_keep_the_totals(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    for round_ in range(20):
        start_ms = START_MS + round_ * INTERVAL_MS
        await writer.shares(5, site_ms=start_ms)
        work = writer.log.account.interval_work(start_ms)
        assert work.entries[0].accepted == 5
        assert work.last_seq == 5 * (round_ + 1)
        writer.log.checkpoint(work.last_seq)
        await writer.log.settle()
        assert len(list(tmp_path.glob("*.log"))) <= 2
        assert len(list(tmp_path.glob("*.state"))) <= 2
    await writer.log.close()
    log = ShareLog(tmp_path)
    assert log.account.totals["a"].represented == 100 * WORK * 10**30
    assert log.account.open_intervals() == ()
    await log.close()


async def test_a_stop_while_outgrown_segments_go_keeps_the_totals(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    kept: dict[str, bytes] = {}
    for _ in range(3):
        await writer.shares(4)
        writer.log.append_job(job(writer.log.next_job, writer.log.account.mark_cut()))
        kept |= {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        writer.log.checkpoint(writer.log.account.last_seq)
        await writer.log.settle()
    await writer.shares(5)
    await writer.log.close()
    for name in ("00000001.log", "00000001.state"):  # removed last, so still there where it stops before
        (tmp_path / name).write_bytes(kept[name])
    again = ShareLog(tmp_path)
    assert again.account.totals["a"].accepted == 17
    assert again.account.totals["a"].work == 17 * WORK
    assert again.account.unclaimed_represented == 17 * WORK * 10**30
    await again.close()


async def test_refused_shares_of_two_quarter_hours_in_one_batch_stay_in_theirs(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    log, later_ms = writer.log, START_MS + INTERVAL_MS
    for number, (site_ms, worker) in enumerate(
        [(START_MS, "a"), (START_MS, "b"), (later_ms, "a"), (later_ms + INTERVAL_MS, "a")]
    ):
        record = share(number, worker, site_ms=site_ms)
        log.append_share(record, double_sha256(record.header), writer.done)
        log.append_reject(worker, "stale", 21, site_ms)
    await log.flush()
    for at, rejected in ((START_MS, {("a", 21): 1, ("b", 21): 1}), (later_ms, {("a", 21): 1})):
        work = log.account.interval_work(at)
        assert work.rejected == rejected
        log.checkpoint(work.last_seq)
        await log.settle()
        await log.close()
        log = ShareLog(tmp_path)
    last = log.account.interval_work(later_ms + INTERVAL_MS)
    assert (last.rejected, sum(entry.accepted for entry in last.entries)) == ({("a", 21): 1}, 1)
    await log.close()


@pytest.mark.parametrize("kept", [0, 3], ids=["moved away", "an older copy"])
async def test_a_log_that_ends_before_the_books_goes_on_after_them(tmp_path: Path, kept: int) -> None:
    writer = Writer(tmp_path / "old")
    await writer.shares(kept)
    await writer.log.close()
    # The books have closed a quarter hour whose last entry was number 20; this log knows nothing of it.
    for confirmed in (5, 10, 15):
        writer = Writer(tmp_path / "old")
        writer.log.checkpoint(20)
        writer._number = 100 * confirmed
        await writer.shares(5, site_ms=START_MS + INTERVAL_MS)
        work = writer.log.account.interval_work(START_MS + INTERVAL_MS)
        assert sum(entry.accepted for entry in work.entries) == confirmed, "none of them counts as booked"
        assert writer.log.account.last_seq == 20 + confirmed
        await writer.log.settle()
        await writer.log.close()


async def test_no_number_is_given_twice_where_the_books_name_a_later_one_while_a_batch_is_written(tmp_path: Path) -> None:
    go_on, begun = threading.Event(), threading.Event()

    def sync(_: int) -> None:
        begun.set()
        go_on.wait(10)

    log = ShareLog(tmp_path, batch_s=0, sync=sync)
    log.append_share(share(1), double_sha256(share(1).header), lambda _: None)
    await asyncio.to_thread(begun.wait, 10)
    with pytest.raises(ValueError, match="number 20 is past its end"):
        log.checkpoint(20)
    go_on.set()
    await log.flush()
    assert log.account.last_seq == 1
    log.checkpoint(20)
    log.append_share(share(2), double_sha256(share(2).header), lambda _: None)
    await log.flush()
    assert log.account.last_seq == 21
    await log.close()


async def test_shares_go_on_while_a_snapshot_is_written(tmp_path: Path) -> None:
    go_on, begun = threading.Event(), threading.Event()

    def save(path: Path, frozen: Frozen) -> Tidied:
        begun.set()
        go_on.wait(60)
        return write_snapshot(path, frozen)

    writer = Writer(tmp_path)
    await writer.log.close()
    writer.log = log = ShareLog(tmp_path, batch_s=0, save=save)
    await writer.shares(3)
    log.checkpoint(3)
    await asyncio.to_thread(begun.wait, 10)
    await writer.shares(4, "b")
    log.append_job(job(1, log.account.mark_cut()))
    assert writer.confirmed == 7, "no share waits for it"
    assert len(list(tmp_path.glob("*.log"))) == 2
    go_on.set()
    await log.settle()
    assert [path.name for path in sorted(tmp_path.glob("0*"))] == ["00000002.log", "00000002.state"]
    assert log.account.unclaimed_represented == 7 * WORK * 10**30
    before = state(log.account)
    await log.close()
    again = ShareLog(tmp_path)
    assert state(again.account)[:6] == before[:6]
    await again.close()


async def test_without_a_snapshot_old_segments_stay_and_shares_go_on(tmp_path: Path) -> None:
    full = True

    def save(path: Path, frozen: Frozen) -> Tidied:
        if full:
            raise OSError(28, "No space left on device")
        return write_snapshot(path, frozen)

    writer = Writer(tmp_path)
    await writer.log.close()
    writer.log = log = ShareLog(tmp_path, batch_s=0, save=save)
    await writer.shares(2)
    for _ in range(2):
        log.checkpoint(log.account.last_seq)
        await log.settle()
        await writer.shares(2)
    assert writer.confirmed == 6
    assert "No space left" in str(log.condition)
    assert len(list(tmp_path.glob("*.log"))) == 3
    before = state(log.account)
    await log.close()
    writer.log = log = ShareLog(tmp_path, batch_s=0, save=save)
    assert state(log.account)[:6] == before[:6], "a replay begins with the snapshot that there is"
    full = False
    first = {path: path.read_bytes() for path in tmp_path.glob("00000001.*")}
    log.checkpoint(log.account.last_seq)
    await log.settle()
    assert log.condition is None
    assert len(list(tmp_path.glob("*.log"))) == 1
    before = state(log.account)
    await log.close()
    # A stop while the old ones were removed, which begins with the newest of them.
    for path, data in first.items():
        path.write_bytes(data)
    log = ShareLog(tmp_path)
    assert (log.repairs, state(log.account)[:6]) == ((), before[:6])
    await log.close()


async def test_a_failing_sync_takes_the_batch_back(tmp_path: Path) -> None:
    broken = True

    def sync(_: int) -> None:
        if broken:
            raise OSError(5, "Input/output error")

    log = ShareLog(tmp_path, sync=sync, batch_s=0)
    answers: list[bool] = []
    log.append_job(job(1, 0))
    log.append_share(share(1), bytes(32), answers.append)
    with pytest.raises(OSError, match="Input/output error"):
        await log.flush()
    assert answers == [False]
    broken = False
    log.append_share(share(2), bytes(32), answers.append)
    await log.flush()
    assert answers == [False, True]
    assert log.condition is None
    await log.close()
    again = ShareLog(tmp_path)
    assert again.account.totals["a"].accepted == 1
    assert list(again.account.jobs) == [1], "jobs wait for the disk, they are not dropped"
    await again.close()


async def test_a_bug_in_the_writer_is_told_and_nobody_waits_for_ever(tmp_path: Path) -> None:
    def sync(_: int) -> None:
        raise ZeroDivisionError("a bug")

    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["message"]))
    log = ShareLog(tmp_path, sync=sync, batch_s=0)
    log.append_share(share(1), bytes(32), lambda _: None)
    for _ in range(2):
        with pytest.raises(OSError, match="a bug ended its writer"):
            await asyncio.wait_for(log.flush(), 60)
    assert len(told) == 1
    await log.close()


def _note(order: list[int], number: int, _: bool) -> None:
    order.append(number)


@pytest.mark.parametrize("name", ["00000001.log", "00000001.state"])
async def test_a_head_that_is_not_whole_is_refused_with_advice(tmp_path: Path, name: str) -> None:
    log = ShareLog(tmp_path)
    await log.close()
    (tmp_path / name).write_bytes(b"rubbish")
    with pytest.raises(ShareLogError, match="Restore both from a backup, or start with --accept-lost-shares"):
        ShareLog(tmp_path)


@pytest.mark.parametrize(
    "body",
    [
        packed_body(77, 1),
        packed_body(KIND_JOB, 5),
        packed_body(KIND_REJECT, 5, [1]),
        bytes([KIND_SHARE, 1]),
        bytes([KIND_CLAIM, 0x90]),
    ],
    ids=["kind", "job", "reject", "share", "claim"],
)
async def test_an_entry_of_another_version_is_refused_with_advice(tmp_path: Path, body: bytes) -> None:
    await (await filled(tmp_path)).close()
    with (tmp_path / "00000002.log").open("ab") as file:
        file.write(frame(body))
    with pytest.raises(ShareLogError, match=r"another version wrote it.*restore a backup"):
        ShareLog(tmp_path)


async def test_a_snapshot_of_another_version_is_refused_with_advice(tmp_path: Path) -> None:
    await (await filled(tmp_path)).close()
    state_path = max(tmp_path.glob("*.state"))
    first = unpack_body(next(body for _, body in read_records(BytesIO(state_path.read_bytes()))))
    state_path.write_bytes(frame(packed_body(32, *first, "new")) + frame(packed_body(40, 1)))
    with pytest.raises(ShareLogError, match="another version wrote it"):
        ShareLog(tmp_path)


async def test_a_copy_that_somebody_left_in_the_folder_is_no_segment(tmp_path: Path) -> None:
    log = await filled(tmp_path)
    before = state(log.account)
    await log.close()
    (tmp_path / "1-backup.log").write_bytes((tmp_path / "00000002.log").read_bytes())
    again = ShareLog(tmp_path)
    assert state(again.account) == before
    await again.close()


async def test_an_unfinished_segment_is_swept_away(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    await writer.shares(1)
    await writer.log.close()
    (tmp_path / ".00000002.log.0123456789abcdef.new").write_bytes(b"half")
    log = ShareLog(tmp_path)
    assert log.account.last_seq == 1
    assert not list(tmp_path.glob(".*"))
    await log.close()


async def test_many_writers_in_one_batch_keep_their_order(tmp_path: Path) -> None:
    log = ShareLog(tmp_path)
    order: list[int] = []
    for number in range(500):
        log.append_share(share(number, f"w{number % 7}"), bytes(32), partial(_note, order, number))
        if number % 50 == 0:
            await asyncio.sleep(0)
    await log.flush()
    assert order == list(range(500))
    await log.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["share", "job", "claim", "reject", "reopen", "checkpoint", "later"]), max_size=25))
async def test_any_history_replays_to_itself(tmp_path_factory: pytest.TempPathFactory, history: list[str]) -> None:
    folder = tmp_path_factory.mktemp("log")
    writer = Writer(folder)
    site_ms, key, cuts = START_MS, 0, [0]
    for number, step in enumerate(history):
        log = writer.log
        if step == "share":
            writer._number = 1000 * number
            await writer.shares(1 + number % 3, "ab"[number % 2], site_ms)
        elif step == "job":
            key += 1
            cuts.append(log.account.mark_cut())
            log.append_job(job(key, cuts[-1]))
        elif step == "claim":
            held = claim(cuts[number % len(cuts)], log.account.last_seq, str(number).encode())
            log.append_claim(held)
            log.append_top(held.block_hash)
        elif step == "reject":
            log.append_reject("b", "time", 20, site_ms)
        elif step == "checkpoint":
            await log.flush()
            open_ms = log.account.open_intervals()
            if open_ms:
                log.checkpoint(log.account.interval_work(open_ms[0]).last_seq)
            site_ms += INTERVAL_MS  # only intervals that are over are checkpointed
        elif step == "later":
            site_ms += INTERVAL_MS
        else:
            await log.flush()
            before = state(log.account)
            await log.close()
            writer = Writer(folder)
            after = state(writer.log.account)
            assert after[:6] == before[:6]
            assert after[7] == before[7]
    await writer.log.close()


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70))
def test_the_running_root_is_bitcoins_merkle_root(leaves: list[bytes]) -> None:
    running = RunningRoot()
    for leaf in leaves:
        running.add(leaf)
    assert running.root() == merkle_root(leaves)


def test_the_lowest_headers_are_kept() -> None:
    account = WorkAccount()
    for number in range(200):
        account.apply_share(number + 1, share(number, scale=1), double_sha256(number.to_bytes(80, "little")))
    kept = account.interval_work(START_MS).best[1]
    lowest = sorted(double_sha256(n.to_bytes(80, "little"))[::-1] for n in range(200))[:BEST_HEADERS]
    assert [double_sha256(best.header)[::-1] for best in kept] == lowest


def test_minutes_reach_back_an_hour() -> None:
    account = WorkAccount()
    for minute in range(100):
        account.apply_share(minute + 1, share(minute, site_ms=START_MS + minute * 60_000), bytes(32))
    assert len(account.minutes) == 61
    assert account.interval_work(START_MS).entries[0].minutes == (1,) * 15


@given(st.integers(), st.integers(), st.text(), st.binary())
def test_records_hold_integers_of_any_size(one: int, two: int, text: str, data: bytes) -> None:
    assert unpack_body(packed_body(1, one, {"x": [two, text]}, data)) == [one, {"x": [two, text]}, data]


@given(st.binary(max_size=100))
def test_rubbish_is_no_record(data: bytes) -> None:
    try:
        unpack_body(data)
    except RecordError:
        return


async def test_reading_a_log_cuts_nothing_off_and_makes_nothing(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "log")
    await writer.shares(3)
    await writer.log.close()
    segment, snapshot = sorted((tmp_path / "log").iterdir())
    with segment.open("ab") as file:
        file.write(b"a torn tail")
    before = segment.read_bytes()
    assert open_segments(tmp_path / "log", read_only=True).account.last_seq == 3
    assert open_segments(tmp_path / "none", read_only=True).account.last_seq == 0
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "log", segment, snapshot]
    assert segment.read_bytes() == before
