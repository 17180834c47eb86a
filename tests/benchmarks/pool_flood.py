"""How long a bystander's ping takes while others flood the pool, beside an echo server under the same flood.

Some connections send bad shares (680,000 in all), or ask for another difficulty, as fast as they are let, and dial again
when they are dropped. A bystander logs in and sends a ping every 20 ms. The echo answers every line and limits nobody, so
it says what this machine's scheduling alone does to a round trip. Server, flood and bystander are processes of their own.

    python tests/benchmarks/pool_flood.py [--seconds 6] [--connections 8] [--against OTHER_CHECKOUT]
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import uvloop

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.benchmarks.pool_shares import TREE, cpu_s  # noqa: E402

from photosynth.stratum.messages import encode_request  # noqa: E402

BAD_SHARES = 680_000
PING_S = 0.02
KINDS = ("nothing", "bad shares", "suggestions")


def line_of(kind: str, number: int) -> bytes:
    """One line of a flood."""
    if kind == "bad shares":
        return encode_request(9, "mining.submit", ["flood", "100", f"{number:016x}", "6a1856c0", "00000000"])
    return encode_request(9, "mining.suggest_difficulty", [2.0 ** -(20 + number % 2)])


async def one_flooder(kind: str, port: int, until_s: float, budget: list[int]) -> None:
    lines = b"".join(line_of(kind, number) for number in range(500))
    while time.monotonic() < until_s and budget[0] > 0:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(encode_request(1, "mining.subscribe", ["f"]) + encode_request(2, "mining.authorize", ["flood", "x"]))
            reading = asyncio.create_task(swallow(reader))
            try:
                async with asyncio.timeout(max(0.01, until_s - time.monotonic())):
                    while budget[0] > 0 and not reading.done():
                        writer.write(lines)
                        await writer.drain()
                        budget[0] -= 500
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                writer.transport.abort()
        except OSError:  # TimeoutError is one too
            await asyncio.sleep(0.01)


async def swallow(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 16):
        pass


async def flood(kind: str, port: int, seconds: float, connections: int) -> None:
    """The flooding child: as much as it is let."""
    budget = [BAD_SHARES]
    until_s = time.monotonic() + seconds
    await asyncio.gather(*(one_flooder(kind, port, until_s, budget) for _ in range(connections)))
    print(BAD_SHARES - budget[0], flush=True)


async def bystander(port: int, seconds: float) -> list[float]:
    """Milliseconds of each ping's round trip."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(encode_request(1, "mining.subscribe", ["b"]) + encode_request(2, "mining.authorize", ["bystander", "x"]))
    found: list[float] = []
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        await asyncio.sleep(PING_S)
        writer.write(encode_request(1000, "mining.ping", []))
        began_s = time.monotonic()
        while b'"id":1000,' not in await reader.readline():
            pass
        found.append((time.monotonic() - began_s) * 1000)
    writer.close()
    return found


async def measure(what: str, server: str, tree: Path, kind: str, *, seconds: float, connections: int) -> None:
    """One server under one flood."""
    command = [sys.executable, str(ROOT / "tests/benchmarks/pool_shares.py"), "--serve", server]
    environment = {**os.environ, TREE: str(tree)}
    child = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, env=environment)
    assert child.stdout is not None
    assert child.stdin is not None
    port = int(await child.stdout.readline())
    sent = 0
    before, began = cpu_s(child.pid), time.monotonic()
    if kind == "nothing":
        pings = await bystander(port, seconds)
    else:
        arguments = ["--flood", kind, "--port", str(port), "--seconds", str(seconds), "--connections", str(connections)]
        flooding = await asyncio.create_subprocess_exec(sys.executable, __file__, *arguments, stdout=subprocess.PIPE)
        pings = await bystander(port, seconds)
        sent = int((await flooding.communicate())[0])
    used = (cpu_s(child.pid) - before) / (time.monotonic() - began)
    pings.sort()
    print(f"{what:12} {kind:12} ping p50 {pings[len(pings) // 2]:8.2f} ms, p99 {pings[len(pings) * 99 // 100]:8.2f}, "
          f"worst {pings[-1]:8.2f} ({len(pings)} pings; {sent:,} lines sent, {used:.0%} of a core)", flush=True)  # fmt: skip
    child.stdin.close()
    await child.wait()


async def compare(seconds: float, connections: int, other: Path | None) -> None:
    servers = [("pool", "pool", ROOT), ("echo", "echo", ROOT)]
    if other is not None:
        servers.insert(0, ("other pool", "pool", other.resolve()))
    for kind in KINDS:
        for what, server, tree in servers:
            await measure(what, server, tree, kind, seconds=seconds, connections=connections)


def main() -> None:
    """Parse the arguments and measure, or flood as the child."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--connections", type=int, default=8, help="that flood")
    parser.add_argument("--against", type=Path, help="another checkout, whose pool is flooded too")
    parser.add_argument("--flood", choices=KINDS)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.flood is not None:
        uvloop.run(flood(arguments.flood, arguments.port, arguments.seconds, arguments.connections))
    else:
        uvloop.run(compare(arguments.seconds, arguments.connections, arguments.against))


if __name__ == "__main__":
    main()
