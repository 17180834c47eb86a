"""Shares a CPU second of the pool, and how soon everybody knows of a block.

The pool runs in a child process on a node that is written out, with 3,000 transactions in its template; every share is
valid, checked whole, and durable before it is answered. The floor is an asyncio echo of as many bytes in the same run.

    python tests/benchmarks/pool_shares.py [--connections 1000] [--seconds 4] [--profile]
    python tests/benchmarks/pool_shares.py --connections 10000 --against OTHER_CHECKOUT [--rounds 3]

With ``--against`` the pool of another checkout takes the same load in turn with this one's, and the ratio of both is told.
Only the server's CPU seconds count: the load is made by another process. Each connection is an open file on both sides.
"""

import argparse
import asyncio
import cProfile
import dataclasses
import os
import pstats
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

import uvloop

ROOT = Path(__file__).parents[2]
TREE = "PHOTOSYNTH_BENCHMARK_TREE"
"""Environment variable: the checkout whose pool the child serves."""
sys.path[:0] = [str(ROOT), str(Path(os.environ.get(TREE, ROOT)) / "src")]

from tests.unit.pool.pool_fakes import AllOfIt, Ear, FakeNode  # noqa: E402

from photosynth.bitcoin.node import TemplateTransaction  # noqa: E402
from photosynth.pool.config import PoolConfig  # noqa: E402
from photosynth.pool.server import Pool  # noqa: E402
from photosynth.pool.share_log import ShareLog  # noqa: E402
from photosynth.stratum.client import NewJob, StratumClient  # noqa: E402
from photosynth.stratum.work import Job, double_sha256  # noqa: E402

ANY_HASH = 2.0**-32
SHARES_EACH_S = 15_000
"""Shares that are measured for each of the --seconds, about what a CPU second takes."""
ANSWER = b'{"id":1000,"result":true,"error":null}\n'
REQUEST = b'{"id":1000,"method":"mining.submit","params":["m1","100","0000000000000000","6a1856c0","00000000"]}\n'
TICKS = os.sysconf("SC_CLK_TCK")


class WallClock:
    """Both times are the machine's."""

    def site_ms(self) -> int:
        return time.time_ns() // 1_000_000

    wall_ms = site_ms


class Echo(asyncio.Protocol):
    """Answers every line with as many bytes as the pool would."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER * data.count(b"\n"))


async def serve(kind: str) -> None:
    """The child: print the port, then make a block for each line on standard input, until it ends."""
    loop = asyncio.get_running_loop()
    pool = None
    if kind == "echo":
        server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=4096)
        port = server.sockets[0].getsockname()[1]
    else:
        ids = [double_sha256(number.to_bytes(4, "big")) for number in range(3000)]
        transactions = tuple(TemplateTransaction(b"", txid, txid, 0, 400) for txid in ids)
        clock = WallClock()
        node = FakeNode(clock, 0, transactions)  # type: ignore[arg-type]
        settings = {
            "start_difficulty": ANY_HASH,
            "min_difficulty": ANY_HASH,
            "max_difficulty": ANY_HASH,
            "max_open_shares": 100_000,
            "max_connections": 20_000,
            "max_connections_per_address": 20_000,
            "max_workers": 20_000,
            "max_workers_per_address": 20_000,
        }
        known = {field.name for field in dataclasses.fields(PoolConfig)}
        config = PoolConfig(port=0, **{name: value for name, value in settings.items() if name in known})  # type: ignore[arg-type]
        pool = Pool(config, node, clock, AllOfIt(), lambda _: 1, ShareLog(Path(tempfile.mkdtemp())), Ear())
        await pool.start()
        port = pool.address[1]
    print(port, flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(time.monotonic_ns(), flush=True)
        await node.extend()
    if pool is not None:
        await pool.close()
        await pool.log.close()


class Load(asyncio.Protocol):
    """One miner that keeps some shares in flight once it is told to."""

    def __init__(self, number: int) -> None:
        self.client = StratumClient(f"m{number}", version_mask=0)
        self.ready = asyncio.get_running_loop().create_future()
        self.notified_ns = 0
        self.answered = self.refused = 0
        self.lines: list[bytes] = []
        self.at = 0
        self.working = False
        self.started = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def begin(self) -> None:
        self.transport.write(self.client.start())

    def prepare(self, job: Job, count: int) -> None:
        """Every hash is a share, so shares need no mining."""
        self.lines = [self.client.submit(job, at.to_bytes(8, "big"), job.time_s, at) for at in range(count)]

    def send(self, count: int) -> None:
        self.transport.write(b"".join(self.lines[self.at : self.at + count]))
        self.at += count

    def data_received(self, data: bytes) -> None:
        if self.started:
            good = data.count(b'"result":true')
            self.answered += good
            self.refused += data.count(b'"result":null')
            if self.working and self.at < len(self.lines):
                self.send(data.count(b"\n"))
        else:
            for event in self.client.receive(data):
                if isinstance(event, NewJob):
                    self.notified_ns = time.monotonic_ns()
                    if not self.ready.done():
                        self.ready.set_result(event.job)


async def answers(loads: list[Load], count: int) -> None:
    """Wait until so many shares are answered."""
    while sum(load.answered for load in loads) < count:
        await asyncio.sleep(0.05)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def measure(
    kind: str, connections: int, in_flight: int, seconds: float, *, profile: bool = False, tree: Path = ROOT, quiet: bool = False
) -> float:
    command = [sys.executable, __file__, "--serve", kind] + (["--profile"] if profile else [])
    environment = {**os.environ, TREE: str(tree)}
    child = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, limit=1 << 24, env=environment
    )
    assert child.stdout is not None
    assert child.stdin is not None
    port = int(await child.stdout.readline())
    loop = asyncio.get_running_loop()
    loads = [Load(number) for number in range(connections)]
    for load in loads:
        await loop.create_connection(lambda load=load: load, "127.0.0.1", port)  # type: ignore[misc]
        if kind == "pool":
            load.begin()
            await load.ready
    for load in loads:
        if kind == "pool":
            load.prepare(load.ready.result(), 2 * int(SHARES_EACH_S * seconds / connections) + 4 * in_flight)
        else:
            load.lines = [REQUEST] * (2 * int(SHARES_EACH_S * seconds / connections) + 4 * in_flight)
    for load in loads:
        load.started = load.working = True
        load.send(in_flight)
    # Warm: the first wave is answered. Then a number of shares and not a time, so that a busy machine is no matter.
    await answers(loads, connections * in_flight)
    before, began, earlier = cpu_s(child.pid), time.monotonic(), sum(load.answered for load in loads)
    await answers(loads, earlier + int(SHARES_EACH_S * seconds))
    answered, took = sum(load.answered for load in loads) - earlier, time.monotonic() - began
    used = cpu_s(child.pid) - before
    refused = sum(load.refused for load in loads)
    for load in loads:
        load.working = False
    rate = answered / used
    lost = sum(load.transport.is_closing() for load in loads)
    assert not lost, f"{lost} of {connections} connections were dropped"
    print(f"{kind:5} {connections:6} connections, {in_flight} in flight: {rate:9,.0f} a CPU second "
          f"({answered / took:,.0f}/s wall, {used / took:.0%} of a core, {refused} refused)")  # fmt: skip
    if kind == "pool" and in_flight == 1 and not profile and not quiet:
        await asyncio.sleep(0.5)
        await notify(child, loads)
    for load in loads:
        load.transport.abort()
    child.stdin.close()
    rest = await child.stdout.read()
    await child.wait()
    if profile:
        print(rest.decode())
    return rate


async def notify(child: asyncio.subprocess.Process, loads: list[Load]) -> None:
    """Milliseconds from the node's new block to each miner's reading of the job."""
    assert child.stdout is not None
    assert child.stdin is not None
    delays = []
    for load in loads:
        load.started = False
    for _ in range(5):
        for load in loads:
            load.notified_ns = 0
        child.stdin.write(b"block\n")
        began_ns = int(await child.stdout.readline())
        while any(load.notified_ns == 0 for load in loads):
            await asyncio.sleep(0.01)
        delays += [(load.notified_ns - began_ns) / 1e6 for load in loads]
    delays.sort()
    print(f"notify after a block, {len(loads)} clients: median {delays[len(delays) // 2]:.1f} ms, "
          f"p99 {delays[len(delays) * 99 // 100]:.1f} ms, worst {delays[-1]:.1f} ms")  # fmt: skip


async def compare(connections: int, seconds: float, profile: bool) -> None:
    for in_flight in (1, 8):
        pool = await measure("pool", connections, in_flight, seconds, profile=profile)
        if not profile:
            floor = await measure("echo", connections, in_flight, seconds)
            print(f"      of the echo's floor: {pool / floor:.2f}")


async def against(other: Path, connections: int, seconds: float, rounds: int) -> None:
    """Both checkouts in turn, so that what else the machine does meets both."""
    for in_flight in (1, 8):
        ratios, ours, theirs = [], [], []
        for _ in range(rounds):
            theirs.append(await measure("pool", connections, in_flight, seconds, tree=other, quiet=True))
            ours.append(await measure("pool", connections, in_flight, seconds, quiet=True))
            ratios.append(ours[-1] / theirs[-1])
        print(f"{connections} connections, {in_flight} in flight: {max(ours):,.0f} against {max(theirs):,.0f} a CPU second; "
              f"ratio in a round: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")  # fmt: skip


def main() -> None:
    """Parse the arguments and measure, or serve as the child."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--against", type=Path, help="another checkout, whose pool takes the same load in turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", choices=("pool", "echo"))
    arguments = parser.parse_args()
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    if allowed != resource.RLIM_INFINITY and allowed < arguments.connections + 64:
        parser.error(f"{arguments.connections} connections need as many open files; the system allows {allowed} (ulimit -Hn)")
    if arguments.against is not None:
        uvloop.run(against(arguments.against.resolve(), arguments.connections, arguments.seconds, arguments.rounds))
    elif arguments.serve is None:
        uvloop.run(compare(arguments.connections, arguments.seconds, arguments.profile))
    elif arguments.profile:
        with cProfile.Profile() as profile:
            uvloop.run(serve(arguments.serve))
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    else:
        uvloop.run(serve(arguments.serve))


if __name__ == "__main__":
    main()
