"""kill -9 at random moments: no share that was answered true is lost or counted twice, no block claims work twice.

A child process (this file, run as a script) runs the pool on the embedded node, and closes intervals into a file as the
books would. The clients are here: they count what they were answered. PHOTOSYNTH_KILLS says how many times the child is
killed, PHOTOSYNTH_KILL_SEED from where the moments are drawn.
"""

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from tests.unit.pool.pool_fakes import SCRIPT, Miner

from photosynth.bitcoin.block import Block
from photosynth.bitcoin.demonstration import DemonstrationTarget
from photosynth.bitcoin.node import Template
from photosynth.bitcoin_node import open_node
from photosynth.pool.config import CoinbasePlan, PoolConfig
from photosynth.pool.results import FoundBlock
from photosynth.pool.server import Pool
from photosynth.pool.share_log import ShareLog
from photosynth.quantities.instants import INTERVAL_MS, interval_start_ms
from photosynth.stratum.client import SubmitResult

KILLS = int(os.environ.get("PHOTOSYNTH_KILLS", "8"))
SEED = int(os.environ.get("PHOTOSYNTH_KILL_SEED", str(time.time_ns())))
ROOT = Path(__file__).parents[2]
SPEED = 1800
"""A quarter hour of the site passes in half a second."""


class FastClock:
    """Site time runs on over restarts, as fast as SPEED says."""

    def site_ms(self) -> int:
        return time.time_ns() // 1_000_000 * SPEED

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000


class SatoshiAHash:
    """One satoshi for every represented hash."""

    def plan(self, template: Template, unclaimed_represented: int) -> CoinbasePlan:
        return CoinbasePlan(min(template.coinbase_value_sat, unclaimed_represented), SCRIPT, bytes(32))


class Books:
    """A file with a line for every closed interval and found block, each synchronised before it counts."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")

    def write(self, **entry: object) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def block_found(self, block: FoundBlock) -> None:
        if block.verdict.accepted:
            represented = sum(part.represented for part in block.attribution)
            shares = sum(part.shares for part in block.attribution)
            self.write(block=block.hash.hex(), value=block.value_sat, represented=represented, shares=shares)


async def serve(folder: Path) -> None:
    """Run until killed; print the port once miners may come."""
    node = await open_node(folder / "chain", demonstration=DemonstrationTarget(1.0, 20_000))
    clock, books = FastClock(), Books(folder / "books")
    config = PoolConfig(port=0, refresh_s=0.05, share_interval_s=0.05, start_difficulty=2.0**-26, max_difficulty=2.0**-21)
    log = ShareLog(folder / "shares")
    pool = Pool(config, node, clock, SatoshiAHash(), lambda worker: 3 if worker == "w1" else 1, log, books)
    await pool.recover()
    await pool.start()
    print("port", pool.address[1], flush=True)
    closed: set[int] = set()  # a checkpoint waits for the snapshot before it: until then they are open still
    while True:
        await asyncio.sleep(0.05)
        for start_ms in pool.snapshot().open_intervals_ms:
            if start_ms not in closed and start_ms + INTERVAL_MS <= interval_start_ms(clock.site_ms()):
                work = await pool.log.interval_work(start_ms)
                represented = sum(entry.represented for entry in work.entries)
                books.write(interval=start_ms, shares=sum(e.accepted for e in work.entries), represented=represented)
                closed.add(start_ms)
                log.checkpoint(work.last_seq)


class Client:
    """Hands in shares one after another and remembers what it was told."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.confirmed = 0
        self.unanswered = 0

    async def work(self, address: tuple[str, int]) -> None:
        """Until the connection breaks."""
        miner = Miner(self.worker)
        asked = answered = 0
        try:
            await miner.connect(address)
            job = await miner.job()
            while True:
                asked += 1
                await asyncio.sleep(0)
                result: SubmitResult = await miner.share(miner.client.job or job)
                answered += 1
                self.confirmed += result.accepted
        except (ConnectionError, asyncio.IncompleteReadError):
            self.unanswered += asked - answered
        with contextlib.suppress(ConnectionError):
            await miner.close()


async def live_and_die(folder: Path, clients: list[Client], chance: random.Random) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    child = await asyncio.create_subprocess_exec(sys.executable, __file__, str(folder), stdout=subprocess.PIPE, env=environment)
    try:
        assert child.stdout is not None
        while not (line := await asyncio.wait_for(child.stdout.readline(), 20)).startswith(b"port "):
            assert line, "the child did not start"
        port = int(line.split()[1])
        drain = asyncio.create_task(child.stdout.read())
        work = [asyncio.create_task(client.work(("127.0.0.1", port))) for client in clients]
        await asyncio.sleep(0.3 + chance.random() * 1.5)
    finally:
        child.kill()
        await child.wait()
    await asyncio.gather(drain, *work)


async def test_what_was_confirmed_survives(tmp_path: Path) -> None:
    print(f"PHOTOSYNTH_KILL_SEED={SEED}")
    chance = random.Random(SEED)
    clients = [Client(f"w{number}") for number in range(3)]
    for _ in range(KILLS):
        await live_and_die(tmp_path, clients, chance)
    node = await open_node(tmp_path / "chain", demonstration=DemonstrationTarget(1.0, 20_000))
    log, books = ShareLog(tmp_path / "shares"), Books(tmp_path / "books")
    pool = Pool(PoolConfig(port=0), node, FastClock(), SatoshiAHash(), lambda _: 1, log, books)
    await pool.recover()
    account = log.account
    for client in clients:
        accepted = account.totals[client.worker].accepted
        assert client.confirmed <= accepted <= client.confirmed + client.unanswered
        assert client.confirmed > 0

    entries = [json.loads(line) for line in (tmp_path / "books").read_text().splitlines()]
    closed = {e["interval"]: e for e in entries if "interval" in e}
    for again in (e for e in entries if "interval" in e):
        assert again == closed[again["interval"]], "an interval that was closed twice held the same"
    rest = [account.interval_work(start_ms) for start_ms in account.open_intervals() if start_ms not in closed]
    total = sum(e["represented"] for e in closed.values()) + sum(w.represented for work in rest for w in work.entries)
    assert total == sum(totals.represented for totals in account.totals.values())

    blocks = {e["block"]: e for e in entries if "block" in e}
    for again in (e for e in entries if "block" in e):
        assert again == blocks[again["block"]], "a block that was told of twice claimed the same"
    height = (await node.tip()).height
    assert height == len(blocks) == account.blocks_found > 0
    for at in range(1, height + 1):
        block_hash = await node.block_hash(at)
        assert block_hash is not None
        raw = await node.block(block_hash)
        assert raw is not None
        entry = blocks[block_hash.hex()]
        assert Block.parse(raw).transactions[0].outputs[0].value_sat == entry["value"] == entry["represented"]
    claimed = sum(e["represented"] for e in blocks.values())
    assert claimed + account.unclaimed_represented == total
    print(f"{sum(c.confirmed for c in clients)} shares, {height} blocks, {len(closed)} intervals, {KILLS} kills")
    await pool.close()
    await pool.log.close()
    await node.close()
    books.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
