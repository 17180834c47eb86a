"""Peers that mean harm, or are merely broken, beside an honest miner who must not notice."""

import asyncio
import json
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import pytest
import pytest_asyncio
from tests.unit.pool.pool_fakes import AllOfIt, Ear, FakeNode, ManualClock, Miner

from photosynth.pool.config import PoolConfig
from photosynth.pool.server import Pool
from photosynth.pool.share_log import ShareLog
from photosynth.stratum.messages import encode_request


def build(folder: Path, **settings: object) -> Pool:
    clock = ManualClock()
    config = PoolConfig(port=0, refresh_s=3600, **settings)  # type: ignore[arg-type]
    return Pool(config, FakeNode(clock), clock, AllOfIt(), lambda _: 1, ShareLog(folder), Ear())


@pytest_asyncio.fixture
async def pool(tmp_path: Path) -> AsyncIterator[Pool]:
    pool = build(tmp_path, login_timeout_s=0.5, max_write_buffer=64 * 1024, max_rejects_in_a_row=50)
    await pool.start()
    yield pool
    await pool.close()


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


async def test_a_client_that_never_reads_is_dropped_when_its_buffer_is_full(pool: Pool) -> None:
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
    pool = build(tmp_path / "b", max_connections=3)
    await pool.start()
    miners = [await Miner(f"m{number}").connect(pool.address) for number in range(3)]
    for miner in miners:
        await miner.job()
    assert await abuse(pool.address, b"")
    assert pool.snapshot().connections == 3
    for miner in miners:
        await miner.close()
    await pool.close()


async def test_the_silent_make_room_for_those_who_log_in(tmp_path: Path) -> None:
    pool = build(tmp_path, max_connections=10)
    await pool.start()
    silent = [await asyncio.open_connection(*pool.address) for _ in range(20)]
    async with await Miner("honest").connect(pool.address) as miner:
        assert (await miner.share(await miner.job())).accepted
    for _, writer in silent:
        writer.close()
    await pool.close()


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


async def test_a_reconnecting_worker_gets_the_difficulty_that_suited_it(pool: Pool) -> None:
    async with await Miner("asic", suggested=2.0**-24).connect(pool.address) as miner:
        job = await miner.job()
        assert (await miner.share(job)).accepted
    async with await Miner("asic", suggested=None).connect(pool.address) as miner:
        assert (await miner.job()).target == job.target
