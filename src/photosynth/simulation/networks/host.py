"""The process of the simulated networks, ``python -m photosynth.simulation.networks.host``: every simulated node of a fleet.

It reads its configuration as one JSON line from standard input, writes one line when everything listens, and ends when standard
input does, or on SIGTERM. Beside the nodes' own APIs it says nothing to anybody but the questions of ``messages``.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from photosynth.bitcoin.node import NodeUnavailableError
from photosynth.simulation.networks.bitcoin import SimulatedBitcoind
from photosynth.simulation.networks.blocks import Blocks, FollowedBlocks, keep_mining, open_own_chain
from photosynth.simulation.networks.habits import Habits
from photosynth.simulation.networks.jsonrpc import RpcServer
from photosynth.simulation.networks.messages import LONGEST_LINE, Answer, NetworksConfig, NetworksReady, NewTip
from photosynth.simulation.one_process import take_place

SHORTEST_INTERVAL_S = 0.5
"""Wall seconds between blocks of a chain of its own at least, however fast the fleet's clock runs."""
_TO_CHILD = msgspec.json.Decoder(NewTip | Answer)


class _Output:
    """Standard output, a line at a time: who writes waits until the other side has room."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer, self._lock = writer, asyncio.Lock()

    async def send(self, line: bytes) -> None:
        """Write a line."""
        async with self._lock:
            self._writer.write(line)
            try:
                await self._writer.drain()
            except ConnectionError as error:
                raise NodeUnavailableError("nobody reads what this process asks") from error


async def run() -> int:
    """Run until standard input ends; the exit code."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    reader, output = await _standard_streams()
    try:
        config = msgspec.json.decode(await reader.readline(), type=NetworksConfig)
    except (msgspec.DecodeError, ValueError) as error:
        _say(f"the configuration is wrong: {error}")
        return 2
    try:
        async with AsyncExitStack() as stack:
            await asyncio.to_thread(_take_place, Path(config.folder))
            followed = FollowedBlocks(output.send)
            blocks: Blocks = followed
            if config.own_chain is not None:
                blocks = await stack.enter_async_context(_own_chain(config, Path(config.own_chain)))
            ports = await _open_nodes(config, blocks, stack)
            await output.send(msgspec.json.encode(NetworksReady(ports, os.getpid())) + b"\n")
            listening = asyncio.create_task(_listen(reader, followed, stop))
            await stop.wait()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    except (OSError, NodeUnavailableError) as error:
        _say(str(error))
        return 1
    return 0


def _take_place(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    take_place(folder)


async def _open_nodes(config: NetworksConfig, blocks: Blocks, stack: AsyncExitStack) -> dict[str, int]:
    """Open every node; the port of each. Raises OSError where one is in use."""
    clock = config.time.scaled()

    def fleet_ms() -> int:
        return clock.site_ms(time.monotonic_ns())

    ports: dict[str, int] = {}
    for item in config.nodes:
        node = SimulatedBitcoind(item.chain, blocks, Habits(item.habits, fleet_ms()), fleet_ms)
        server = RpcServer(node, Path(item.folder), item.port)
        try:
            await server.start()
        except OSError as error:
            raise OSError(f"{item.id} cannot listen on port {item.port}: {error.strerror}") from error
        stack.push_async_callback(server.close)
        following = asyncio.create_task(node.follow(), name=f"head of {item.id}")
        stack.push_async_callback(_ended, following)
        ports[item.id] = server.port
    return ports


@asynccontextmanager
async def _own_chain(config: NetworksConfig, folder: Path) -> AsyncIterator[Blocks]:
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
    chain = await open_own_chain(folder)
    interval_s = max(SHORTEST_INTERVAL_S, config.block_interval_s * 1000 / config.time.speed_milli)
    mining = asyncio.create_task(keep_mining(chain, interval_s, _say))
    try:
        yield chain
    finally:
        await _ended(mining)
        await chain.close()


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _listen(reader: asyncio.StreamReader, followed: FollowedBlocks, stop: asyncio.Event) -> None:
    """Take in what ours says until it says no more."""
    while line := await reader.readline():
        try:
            followed.take(_TO_CHILD.decode(line))
        except msgspec.DecodeError as error:
            _say(f"a line that is none of the protocol's: {error}")
    stop.set()


async def _standard_streams() -> tuple[asyncio.StreamReader, _Output]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    own = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints must not stand between the protocol's lines
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, own)
    return reader, _Output(asyncio.StreamWriter(transport, protocol, None, loop))


def _say(what: str) -> None:
    with contextlib.suppress(OSError):
        print(f"simulated networks: {what}", file=sys.stderr, flush=True)


def main() -> int:
    """Run; the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides when this ends
    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
