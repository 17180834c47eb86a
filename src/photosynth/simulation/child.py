"""Starting and stopping the world process from the main one: a child that ends with us, however we end."""

import asyncio
import sys
from collections.abc import Callable

import msgspec

from photosynth.simulation.world_config import WorldConfig, WorldReady

STOP_S = 2.0
_LINE_LIMIT = 1 << 22


class WorldError(Exception):
    """The simulated site could not be started; the message says why."""


class WorldProcess:
    """The running world. It ends when its standard input closes, so it never outlives this process."""

    def __init__(self, process: asyncio.subprocess.Process, log: Callable[[str], None]) -> None:
        self._process, self._log = process, log
        self._said = asyncio.create_task(self._listen())
        self.last_words = ""
        self.ready = WorldReady(("", 0), {}, process.pid, resumed=False)

    @classmethod
    async def start(cls, config: WorldConfig, *, log: Callable[[str], None], timeout_s: float = 60) -> "WorldProcess":
        """Start it and wait until everything of it listens. ``log`` gets its messages. Raises WorldError."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "photosynth.simulation.world"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
        )
        world = cls(process, log)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(timeout_s):
                process.stdin.write(msgspec.json.encode(config) + b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
                world.ready = msgspec.json.decode(line, type=WorldReady)
        except (TimeoutError, OSError, msgspec.DecodeError) as error:
            await world.stop()
            reason = world.last_words or f"it said nothing within {timeout_s:.0f} s"
            raise WorldError(f"the simulated site did not start: {reason}") from error
        except BaseException:
            await world.stop()
            raise
        return world

    @property
    def returncode(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait until it ends, for those who have to notice that it did."""
        return await self._process.wait()

    async def stop(self) -> None:
        """End it: gently, then firmly; at most about two seconds."""
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        for act in (None, process.terminate, process.kill):
            if act is not None and process.returncode is None:
                act()
            try:
                async with asyncio.timeout(STOP_S if act is None else 0.5):
                    await process.wait()
                    break
            except TimeoutError:
                continue
        await self._said

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while True:
            try:
                line = await self._process.stderr.readline()
            except ValueError:
                continue  # a line beyond all bounds was dropped
            if not line:
                return
            self.last_words = line.decode(errors="replace").strip()[:500] or self.last_words
            self._log(self.last_words)
