"""Peers that mean harm, or are merely broken, beside an honest miner who must not notice."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
import pytest_asyncio
from tests.unit.pool.pool_fakes import EASY_SHARES, AllOfIt, Ear, FakeNode, ManualClock, Miner

from photosynth.pool.config import PoolConfig
from photosynth.pool.connection import MAX_LINES, Connection
from photosynth.pool.difficulty import EASY_SHARES as EASY_SHARES_AT_ONCE
from photosynth.pool.places import GUESTS, THIS_COMPUTER
from photosynth.pool.server import Pool
from photosynth.pool.share_log import ShareLog
from photosynth.quantities.work import work_of_target
from photosynth.stratum.client import Authorized, NewJob, SubmitResult
from photosynth.stratum.messages import encode_request

HERE = frozenset({THIS_COMPUTER})


def build(folder: Path, **settings: object) -> Pool:
    clock = ManualClock()
    config = PoolConfig(port=0, refresh_s=3600, **{"min_difficulty": EASY_SHARES, **settings})  # type: ignore[arg-type]
    return Pool(config, FakeNode(clock), clock, AllOfIt(), lambda _: 1, ShareLog(folder), Ear())


@pytest_asyncio.fixture
async def pool(tmp_path: Path) -> AsyncIterator[Pool]:
    pool = build(tmp_path, login_timeout_s=0.5, max_write_buffer=64 * 1024, max_rejects_in_a_row=50)
    await pool.start()
    yield pool
    await pool.close()
    await pool.log.close()


async def gone(reader: asyncio.StreamReader) -> bool:
    """Whether the pool ends the connection, reading whatever it says before."""
    try:
        while await asyncio.wait_for(reader.read(65536), 20):
            pass
    except ConnectionError:
        return True
    return True


async def abuse(address: tuple[str, int], data: bytes) -> bool:
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(data)
        await writer.drain()
    except ConnectionError:
        return True
    finally:
        ended = await gone(reader)
        writer.close()
    return ended


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 200_000,
        b"\x00\xff\xfe" * 1000 + b"\n" * 10,
        b"not json\n" * 10,
        b"GET / HTTP/1.1\r\nHost: pool\r\nA: b\r\nC: d\r\nE: f\r\n\r\n",
        b"[" * 16_000 + b"\n" + b"{}\n" * 3 + b"]\n" * 5,
        b'{"id":1,"method":"mining.subscribe","params":',
        b"",
    ],
)
async def test_garbage_is_cut_off_and_the_honest_miner_goes_on(pool: Pool, data: bytes) -> None:
    async with await Miner("honest").connect(pool.address) as miner:
        job = await miner.job()
        ended, *answers = await asyncio.gather(abuse(pool.address, data), *(honest(miner, job) for _ in range(1)))
        assert ended
        assert answers == [True]
    assert pool.snapshot().accepted == 5


async def honest(miner: Miner, job: object) -> bool:
    return all([(await miner.share(job)).accepted for _ in range(5)])  # type: ignore[arg-type]


async def test_a_client_that_never_reads_is_dropped_when_its_buffer_is_full(tmp_path: Path) -> None:
    pool = build(tmp_path, max_write_buffer=64 * 1024, idle_requests_per_s=1e9)
    await pool.start()
    reader, writer = await asyncio.open_connection(*pool.address, limit=1024)
    writer.write(encode_request(1, "mining.subscribe", ["x"]) + encode_request(2, "mining.authorize", ["slow", ""]))
    async with await Miner("honest").connect(pool.address) as miner:
        job = await miner.job()
        line = encode_request(3, "mining.configure", [["a" * 60] * 16, {}])
        try:
            for _ in range(200_000):
                writer.write(line)
                await writer.drain()
        except ConnectionError:
            pass
        else:
            raise AssertionError("the pool kept answering into a full buffer")
        assert (await miner.share(job)).accepted
    writer.close()
    del reader
    await pool.close()
    await pool.log.close()


async def test_endless_wrong_shares_end_the_connection(pool: Pool) -> None:
    async with await Miner("honest").connect(pool.address) as miner, await Miner("bad").connect(pool.address) as bad:
        job, _ = await miner.job(), await bad.job()
        bad.send(encode_request(9, "mining.submit", ["bad", "ff", "00" * 8, "00", "00"]) * 60)
        assert await gone(bad._reader)
        assert (await miner.share(job)).accepted


async def test_networks_that_are_not_allowed_and_too_many_connections_are_turned_away(tmp_path: Path) -> None:
    pool = build(tmp_path / "a", allow=(ip_network("10.0.0.0/8"),))
    await pool.start()
    assert await abuse(pool.address, b"")
    await pool.close()
    await pool.log.close()
    pool = build(tmp_path / "b", max_connections=3, declared={"asic": HERE})
    await pool.start()
    miners = [await Miner(f"m{number}").connect(pool.address) for number in range(3)]
    for miner in miners:
        await miner.job()
    async with await Miner("m4").connect(pool.address) as late:
        refused = await late.wait(Authorized)
        assert not refused.accepted
        assert "3 is the limit" in refused.message
    async with await Miner("asic").connect(pool.address) as machine:
        assert (await machine.share(await machine.job())).accepted
    for miner in miners:
        await miner.close()
    await pool.close()
    await pool.log.close()


async def test_the_silent_make_room_for_those_who_log_in(tmp_path: Path) -> None:
    pool = build(tmp_path, max_connections=10)
    await pool.start()
    silent = [await asyncio.open_connection(*pool.address) for _ in range(20)]
    async with await Miner("honest").connect(pool.address) as miner:
        assert (await miner.share(await miner.job())).accepted
    for _, writer in silent:
        writer.close()
    await pool.close()
    await pool.log.close()


async def test_names_beyond_the_books_are_refused(tmp_path: Path) -> None:
    pool = build(tmp_path, max_workers=1)
    await pool.start()
    async with await Miner("first").connect(pool.address) as miner:
        assert (await miner.share(await miner.job())).accepted
        miner.send(encode_request(77, "mining.authorize", ["second", "x"]))
        while True:
            line = await asyncio.wait_for(miner._reader.readline(), 10)
            if (answer := json.loads(line))["id"] == 77:
                break
        assert answer["error"][0] == 24
    await pool.close()
    await pool.log.close()


async def test_a_reconnecting_worker_gets_the_difficulty_that_suited_it(pool: Pool) -> None:
    async with await Miner("asic", suggested=2.0**-24).connect(pool.address) as miner:
        job = await miner.job()
        assert (await miner.share(job)).accepted
    async with await Miner("asic", suggested=None).connect(pool.address) as miner:
        assert (await miner.job()).target == job.target


async def test_a_worker_that_dials_again_and_again_gets_no_cheap_shares_each_time(pool: Pool) -> None:
    targets: list[int] = []
    while len(targets) < 3:
        async with await Miner("flapping", suggested=2.0**-60).connect(pool.address) as miner:
            job = await miner.job()
            targets.append(job.target)
            if len(targets) < 3:
                assert all([(await miner.share(job)).accepted for _ in range(10)])  # fewer than show a burst
    assert targets[0] == targets[1]
    assert targets[2] < targets[0] // 4, "the shares of two visits are a burst"


async def test_a_name_that_brings_no_share_is_no_way_to_cheap_ones_for_another(pool: Pool) -> None:
    targets: list[int] = []
    while len(targets) < 3:
        async with await Miner(visit := f"visit-{len(targets)}", suggested=2.0**-60).connect(pool.address) as miner:
            await miner.job()
            miner.send(encode_request(99, "mining.authorize", ["same", "x"]))
            line = encode_request(100, "mining.submit", ["same", *STALE])
            assert (await miner.repeat(line)).code == 21, "by now a harder job was sent, where one is due"
            job = miner.client.job
            assert job is not None
            targets.append(job.target)
            if len(targets) < 3:
                for _ in range(10):
                    miner.send(miner.prepare_share(job).replace(f'"{visit}"'.encode(), b'"same"'))
                    assert (await miner.wait(SubmitResult)).accepted
    assert targets[0] == targets[1]
    assert targets[2] < targets[0] // 4


async def test_a_suggestion_without_a_share_spoils_nobodys_difficulty(pool: Pool) -> None:
    async with await Miner("rig", suggested=2.0**-24).connect(pool.address) as miner:
        job = await miner.job()
        assert (await miner.share(job)).accepted
    async with await Miner("rig", suggested=2.0**50).connect(pool.address) as other:
        assert (await other.job()).target < job.target
    async with await Miner("rig", suggested=None).connect(pool.address) as miner:
        assert (await miner.job()).target == job.target


STALE = ["ff00", "00" * 8, "6a1856c0", "00000000"]


async def test_names_with_a_stale_share_each_lock_nobody_out(tmp_path: Path) -> None:
    pool = build(tmp_path, max_workers=5)
    await pool.start()
    for number in range(20):
        async with await Miner(f"name-{number}").connect(pool.address) as guest:
            await guest.job()
            assert (await guest.repeat(encode_request(9, "mining.submit", [f"name-{number}", *STALE]))).code == 21
            assert pool.snapshot().workers[0].rejected == {"stale": 1}, "told while it is there"
    await pool.log.flush()
    async with await Miner("fresh").connect(pool.address) as miner:
        assert (await miner.share(await miner.job())).accepted
    await pool.log.flush()
    assert set(pool.log.account.totals) == {"fresh", GUESTS}
    assert pool.snapshot().rejected == {"stale": 20}
    assert [worker.name for worker in pool.snapshot().workers] == ["fresh"]
    await pool.close()
    await pool.log.close()
    again = build(tmp_path, max_workers=5)
    assert set(again.log.account.totals) == {"fresh", GUESTS}
    await again.log.close()


async def test_what_the_log_remembers_of_forgotten_guests_shrinks_at_its_next_segment(tmp_path: Path) -> None:
    pool = build(tmp_path, max_workers=3, name_kept_s=0.0)
    await pool.start()
    for number in range(6):
        async with await Miner(f"name-{number}").connect(pool.address) as guest:
            assert (await guest.share(await guest.job())).accepted
    assert len(pool.log.account.totals) == 4
    pool.log.checkpoint(pool.log.account.last_seq)
    await pool.log.flush()
    await pool.close()
    await pool.log.close()
    again = build(tmp_path)
    assert set(again.log.account.totals) == {"name-3", "name-4", "name-5", GUESTS}
    assert sum(totals.accepted for totals in again.log.account.totals.values()) == 6
    await again.log.close()


async def test_no_suggestion_makes_a_share_cheaper_than_the_minimum(tmp_path: Path) -> None:
    pool = Pool(PoolConfig(port=0), FakeNode(clock := ManualClock()), clock, AllOfIt(), lambda _: 1, ShareLog(tmp_path), Ear())
    await pool.start()
    async with await Miner("cheap", suggested=2.0**-60).connect(pool.address) as miner:
        job = await miner.job()
        assert work_of_target(job.target) == 128
        assert (await miner.share(job)).accepted
        assert (await miner.share(job, lambda number: job.target < number <= 16 * job.target)).code == 23
    await pool.close()
    await pool.log.close()


async def test_a_flood_of_suggestions_brings_one_job_and_not_one_each(pool: Pool) -> None:
    async with await Miner("asic", suggested=None).connect(pool.address) as miner:
        first = await miner.job()
        flood = b"".join(encode_request(99, "mining.suggest_difficulty", [2.0 ** -(20 + n % 2)]) for n in range(400))
        miner.send(flood)
        assert (await miner.repeat(encode_request(9, "mining.submit", ["asic", *STALE]))).code == 21
        jobs = [event.job for event in miner._events if isinstance(event, NewJob)]
        assert [job.target < first.target for job in jobs] == [True] or [job.target > first.target for job in jobs] == [True]


async def test_an_easier_target_of_an_older_job_holds_for_some_shares_and_not_for_ever(pool: Pool) -> None:
    async with await Miner("asic").connect(pool.address) as miner:
        first = await miner.job()
        miner.send(encode_request(99, "mining.suggest_difficulty", [2.0**-18]))
        second = await miner.job()
        assert second.target < first.target
        results = [await miner.share(first, lambda number: second.target < number <= first.target) for _ in range(150)]
    accepted = sum(result.accepted for result in results)
    assert EASY_SHARES_AT_ONCE <= accepted < 150
    assert results[-1].code == 23


async def test_a_block_is_taken_where_the_network_asks_less_than_the_cheapest_share(tmp_path: Path) -> None:
    node = FakeNode(clock := ManualClock(), target=1 << 252)
    ear = Ear()
    pool = Pool(PoolConfig(port=0, min_difficulty=2.0**-25), node, clock, AllOfIt(), lambda _: 1, ShareLog(tmp_path), ear)
    await pool.start()
    async with await Miner("asic").connect(pool.address) as miner:
        job = await miner.job()
        assert job.target < node.target
        assert (await miner.share(job, lambda number: job.target < number <= node.target)).accepted
        assert (await miner.job()).clean
    assert [block.verdict.accepted for block in ear.blocks] == [True]
    assert pool.snapshot().work == work_of_target(node.target), "what it was worth, and not the shares' own target"
    await pool.close()
    await pool.log.close()


async def test_a_worker_is_judged_after_its_login_in_the_same_packet(pool: Pool) -> None:
    async with await Miner("first").connect(pool.address) as miner:
        job = await miner.job()
        share = miner.prepare_share(job).replace(b'"first"', b'"second"')
        miner.send(encode_request(99, "mining.authorize", ["second", "x"]) + share)
        assert (await miner.wait(SubmitResult)).accepted
    assert pool.log.account.totals["second"].accepted == 1


async def test_names_that_differ_at_their_end_only_are_two_workers(pool: Pool) -> None:
    address = "bc1p" + "q" * 58
    for rig in ("rig1", "rig2"):
        async with await Miner(f"{address}.{rig}").connect(pool.address) as miner:
            assert (await miner.share(await miner.job())).accepted
    assert [worker.name for worker in pool.snapshot().workers] == [f"{address}.rig1", f"{address}.rig2"]


class Wire(asyncio.Transport):
    """A transport that only keeps what is written."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        super().__init__({"peername": (address, 1), "sockname": ("10.0.0.1", 3333)})
        self.written: list[bytes] = []
        self.reading = True
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data).splitlines()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_read(self) -> bool:
        return self.reading

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True

    close = abort


async def connection_of(pool: Pool, worker: str, address: str = "127.0.0.1") -> tuple[Connection, Wire]:
    wire = Wire(address)
    connection = pool._new_connection()
    connection.connection_made(wire)
    lines = encode_request(1, "mining.subscribe", ["x"]) + encode_request(2, "mining.authorize", [worker, ""])
    connection.data_received(lines)
    wire.written.clear()
    return connection, wire


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.0.0.5", "asic"),
        ("10.0.0.9", "asic@10.0.0.9"),
        ("127.0.0.1", "asic@127.0.0.1"),
        ("10.0.0.1", "asic@127.0.0.1"),
    ],
)
async def test_a_machines_name_from_elsewhere_is_a_guest_of_its_own(tmp_path: Path, address: str, name: str) -> None:
    allow = (ip_network("10.0.0.0/8"), ip_network("127.0.0.0/8"))
    pool = build(tmp_path, allow=allow, declared={"asic": frozenset({"10.0.0.5"})}, max_workers=1)
    scaled: list[str] = []

    def scale_of(worker: str) -> int:
        scaled.append(worker)
        return 1

    pool._scale_of = scale_of
    await pool.start()
    await asyncio.wait_for(_until(lambda: pool.template is not None), 5)
    miner, wire, connection = Miner("asic"), Wire(address), pool._new_connection()
    connection.connection_made(wire)
    connection.data_received(miner.client.start())
    assert connection.session.workers == (name,)
    miner.client.receive(b"\n".join(wire.written) + b"\n")
    job = miner.client.job
    assert job is not None
    connection.data_received(miner.prepare_share(job))
    await pool.log.flush()
    assert set(pool.log.account.totals) == {name}
    assert scaled == [name], "and its hashes count as what such a guest's do"
    other, _ = await connection_of(pool, "guest", "10.0.0.7")
    assert bool(other.session.workers) == (name == "asic"), "it has a guest's place"
    await pool.close()
    await pool.log.close()


async def test_who_comes_from_elsewhere_takes_no_place_of_a_machine(tmp_path: Path) -> None:
    pool = build(tmp_path, allow=(ip_network("10.0.0.0/8"),), declared={"asic": frozenset({"10.0.0.5"})}, max_connections=8)
    await pool.start()
    strangers = [await connection_of(pool, "asic", "10.0.0.9") for _ in range(20)]
    assert sum(bool(stranger.session.workers) for stranger, _ in strangers) == 8
    machine, _ = await connection_of(pool, "asic", "10.0.0.5")
    assert machine.session.workers == ("asic",)
    await pool.close()
    await pool.log.close()


async def test_a_simulated_machines_name_is_its_own_on_this_computer_alone(tmp_path: Path) -> None:
    pool = build(tmp_path, allow=(ip_network("0.0.0.0/0"),), declared={"asic": HERE})
    await pool.start()
    for address, name in (("127.0.0.1", "asic"), ("10.0.0.1", "asic"), ("10.0.0.2", "asic@10.0.0.2")):
        connection, _ = await connection_of(pool, "asic", address)
        assert connection.session.workers == (name,)
    await pool.close()
    await pool.log.close()


async def test_a_flood_has_its_turn_then_the_others_have_theirs(tmp_path: Path) -> None:
    pool = build(tmp_path)
    await pool.start()
    connection, wire = await connection_of(pool, "flood")
    connection.data_received(encode_request(9, "mining.ping", []) * 500)
    assert len(wire.written) == MAX_LINES
    assert not wire.is_read()
    other, quiet = await connection_of(pool, "quiet")
    other.data_received(encode_request(9, "mining.ping", []))
    assert len(quiet.written) == 1
    await asyncio.wait_for(_until(lambda: len(wire.written) >= 500), 20)
    assert wire.is_read()
    await pool.close()
    await pool.log.close()


async def test_past_its_allowance_a_flood_is_left_unread_and_a_miner_of_shares_never(tmp_path: Path) -> None:
    pool = build(tmp_path, idle_requests_per_s=0.5)  # ten at once, then one in two seconds
    await pool.start()
    connection, wire = await connection_of(pool, "flood")
    connection.data_received(encode_request(9, "mining.submit", ["flood", *STALE]) * 20)
    assert len(wire.written) == 20
    assert not wire.is_read()
    async with await Miner("asic").connect(pool.address) as miner:
        job = await miner.job()
        for _ in range(30):
            miner.send_share(job)
        assert all([(await miner.wait(SubmitResult)).accepted for _ in range(30)])
    assert not wire.is_read()
    await pool.close()
    await pool.log.close()


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)
