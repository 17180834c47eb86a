"""Starting, feeding and stopping the process of the simulated networks from the main one: a child that ends with us."""

import asyncio
import contextlib
import sys
from collections.abc import Callable

import msgspec

from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError
from photosynth.simulation.networks.messages import LONGEST_LINE, Answer, Ask, NetworksConfig, NetworksReady, NewTip

STOP_S = 2.0
TIP_WAIT_S = 30.0
RETRY_S = 1.0


class NetworksError(Exception):
    """The simulated networks could not be started; the message says why."""


class NetworksProcess:
    """The running child. It follows ``source``, whose newest block it is told of and whose blocks it may ask for."""

    def __init__(
        self, process: asyncio.subprocess.Process, ready: NetworksReady, source: BitcoinNode | None, log: Callable[[str], None]
    ) -> None:
        self._process, self._source, self._log = process, source, log
        self._writing = asyncio.Lock()
        self.ready = ready
        self._tasks = [asyncio.create_task(self._answer(), name="questions of the simulated networks")]
        if source is not None:
            self._tasks.append(asyncio.create_task(self._tell(source), name="blocks for the simulated networks"))

    @classmethod
    async def start(
        cls, config: NetworksConfig, source: BitcoinNode | None, *, log: Callable[[str], None], timeout_s: float = 60
    ) -> "NetworksProcess":
        """Start it and wait until every node listens. ``log`` gets its messages. Raises NetworksError."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "photosynth.simulation.networks.host"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
        )
        said = _Said(process, log)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(timeout_s):
                process.stdin.write(msgspec.json.encode(config) + b"\n")
                await process.stdin.drain()
                ready = msgspec.json.decode(await process.stdout.readline(), type=NetworksReady)
        except (TimeoutError, OSError, ValueError) as error:
            await _end(process)
            await said.done
            reason = said.last or f"they said nothing within {timeout_s:.0f} s"
            raise NetworksError(f"the simulated nodes did not start: {reason}") from error
        except BaseException:
            await _end(process)
            raise
        return cls(process, ready, source, log)

    async def wait(self) -> int:
        """Wait until it ends, for those who have to notice that it did; its exit code."""
        return await self._process.wait()

    async def stop(self) -> None:
        """End it: gently, then firmly; at most about three seconds."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await _end(self._process)

    async def _tell(self, source: BitcoinNode) -> None:
        """Tell each new best block once the one before has left; what comes meanwhile is passed over."""
        known = b""
        while True:
            try:
                tip = await source.wait_for_tip(known, TIP_WAIT_S)
            except NodeUnavailableError as error:
                self._log(f"simulated networks: the followed node tells no block: {error}")
                await asyncio.sleep(RETRY_S)
                continue
            if tip.hash != known:
                known = tip.hash
                if not await self._send(NewTip(tip.height, tip.hash, tip.time_s)):
                    return

    async def _answer(self) -> None:
        """Answer one question after the other; the child asks no more than a few before it has its answers."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            try:
                question = msgspec.json.decode(line, type=Ask)
            except msgspec.DecodeError as error:
                self._log(f"simulated networks: a line that is none of the protocol's: {error}")
                continue
            if not await self._send(await self._answered(question)):
                return

    async def _answered(self, question: Ask) -> Answer:
        source = self._source
        if source is None:
            return Answer(question.id, problem="no node is followed")
        try:
            match question.what:
                case "block":
                    return Answer(question.id, raw=await source.block(question.hash))
                case "block_hash":
                    return Answer(question.id, raw=await source.block_hash(question.height))
                case "height_of":
                    return Answer(question.id, number=await source.height_of(question.hash))
        except NodeUnavailableError as error:
            return Answer(question.id, problem=str(error))

    async def _send(self, message: NewTip | Answer) -> bool:
        """Write a line and wait until it has left; whether anybody is there to read it."""
        assert self._process.stdin is not None
        async with self._writing:
            try:
                self._process.stdin.write(msgspec.json.encode(message) + b"\n")
                await self._process.stdin.drain()
            except OSError:
                return False
        return True


class _Said:
    """What the child says on standard error, line by line."""

    def __init__(self, process: asyncio.subprocess.Process, log: Callable[[str], None]) -> None:
        self.last = ""
        self.done = asyncio.create_task(self._listen(process, log))

    async def _listen(self, process: asyncio.subprocess.Process, log: Callable[[str], None]) -> None:
        assert process.stderr is not None
        while True:
            try:
                line = await process.stderr.readline()
            except ValueError:
                continue  # a line beyond all bounds was dropped
            if not line:
                return
            self.last = line.decode(errors="replace").strip()[:500] or self.last
            log(self.last)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    for act in (None, process.terminate, process.kill):
        if act is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                act()
        try:
            async with asyncio.timeout(STOP_S if act is None else 0.5):
                await process.wait()
                return
        except TimeoutError:
            continue
