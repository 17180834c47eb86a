"""The world process, ``python -m photosynth.simulation.world``: sources, factory, connection, meters and machines of a site.

It reads its configuration as one JSON line from standard input, writes one line when everything listens, and ends when
standard input does, or on SIGTERM. The rest of the system meets it over sockets only.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from photosynth.files.whole import write_whole
from photosynth.registry import RegistryError
from photosynth.simulation.asics import AsicFleet
from photosynth.simulation.factory import FactoryLoad
from photosynth.simulation.meter_server import MeterServer
from photosynth.simulation.one_process import take_place
from photosynth.simulation.series import read_series
from photosynth.simulation.site_physics import SitePhysics
from photosynth.simulation.source_model import SOURCE_MODELS, Generation, SourceModelError
from photosynth.simulation.source_model import World as SourceWorld
from photosynth.simulation.world_config import WorldConfig, WorldReady

TICK_S = 0.15
SAVE_EVERY_S = 1.0
STATE_FILE = "state.json"
LONGEST_GAP_MS = 86_400_000
"""A longer standstill, or one back in time, is not filled in: registers stand still over it."""


class World:
    """The site as a whole: physics, machines, meters' port, and its memory on disk."""

    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        self.folder = Path(config.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.time = config.time.scaled()
        self.sources: tuple[Generation, ...] = ()
        self.resumed = False
        self.site: SitePhysics
        self.fleet: AsicFleet
        self.server: MeterServer
        self._mining_w = 0
        self._unsaved = False

    def site_ms(self) -> int:
        """Site time now."""
        return self.time.site_ms(time.monotonic_ns())

    async def start(self) -> WorldReady:
        """Begin where the last life ended, or anew; then listen.

        Raises SourceModelError, RegistryError, OSError, ValueError, KeyError.
        """
        kept = self._load(self.site_ms())
        config = self.config
        zone = ZoneInfo(config.zone)
        factories = [
            FactoryLoad(load.id, load.base_w, load.weekday_peak_w, load.weekend_peak_w, config.seed, zone)
            for load in config.loads
        ]
        available_w = await self._available(None if kept is None else int(kept["site"]["now_ms"]))
        now_ms = self.site_ms()
        self.site = SitePhysics.at(
            [item.spec() for item in config.meters],
            now_ms,
            state=None if kept is None else kept["site"],
            available_w=available_w,
            load_w=lambda at_ms: sum(factory.watts(at_ms) for factory in factories),
            connection_w=config.connection_w,
            curtailable=config.curtailable,
            seed=config.seed,
        )
        if kept is not None:
            self.resumed = True
            gap_ms = max(0, now_ms - self.site.now_ms)
            self._mining_w = int(kept["mining_w"])
            self.site.advance(now_ms, self._mining_w * gap_ms, estimated=True)
        machines = None if kept is None else kept["machines"]
        self.fleet = AsicFleet(
            config.asics(),
            self.time,
            config.pool_host,
            config.pool_port,
            config.seed,
            machines,
            warm=config.warm,
            asleep=config.asleep,
        )
        await self.fleet.start()
        self.server = MeterServer(self.site, config.meter_host, config.meter_port)
        self.step()
        await self.server.start()
        self.save()
        return WorldReady((self.server.host, self.server.port), self.fleet.addresses(), os.getpid(), self.resumed)

    async def _available(self, since_ms: int | None) -> Callable[[int], int]:
        """The sources' power by instant, from where the last life ended (None: from now) on."""
        if self.config.series_path is not None:
            return read_series(Path(self.config.series_path)).at
        place = SourceWorld(self.config.seed, self.folder)
        self.sources = tuple(SOURCE_MODELS.need(kind).generation(plants, place) for kind, plants in self.config.sources.items())
        now_ms = self.site_ms()
        since_ms = since_ms or now_ms
        for source in self.sources:
            await source.begin(min(now_ms, since_ms), max(now_ms, since_ms))
        return lambda at_ms: sum(source.watts(at_ms) for source in self.sources)

    def step(self) -> None:
        """Bring everything to the site's time."""
        now_ms = self.site_ms()
        if now_ms <= self.site.now_ms:
            return
        ready = [source.ready_for(now_ms) for source in self.sources]  # each is asked, as each begins then what takes long
        if not all(ready):
            return  # registers stand still until what they make is computed, then catch up
        self._mining_w, energy_j = self.fleet.advance(now_ms)
        self.site.advance(now_ms, energy_j * 1000)

    def save(self) -> None:
        """Write down what the devices keep over a power cut, whole or not at all; a full disk does not stop the sun."""
        state = {"site": self.site.state(), "machines": self.fleet.state(), "mining_w": self._mining_w}
        try:
            write_whole(self.folder / STATE_FILE, msgspec.json.encode(state), durable=False)
        except OSError as error:
            if not self._unsaved:
                print(f"world: what the devices remember cannot be written: {error}", file=sys.stderr, flush=True)
            self._unsaved = True
            return
        if self._unsaved:
            print("world: what the devices remember is written again", file=sys.stderr, flush=True)
        self._unsaved = False

    async def close(self) -> None:
        """Stop the machines, hang up, remember."""
        await self.server.close()
        self.step()
        self.save()
        await self.fleet.close()
        for source in self.sources:
            await source.close()

    def _load(self, now_ms: int) -> dict[str, Any] | None:
        try:
            state: dict[str, Any] = msgspec.json.decode((self.folder / STATE_FILE).read_bytes(), type=dict[str, Any])
            age_ms = now_ms - int(state["site"]["now_ms"])
            machines, mining_w = state["machines"], state["mining_w"]
            if not isinstance(machines, dict) or not isinstance(mining_w, int):
                raise TypeError("machines and mining_w")
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            print(f"world: {STATE_FILE} cannot be read ({error}); the devices begin anew", file=sys.stderr, flush=True)
            return None
        if not -60_000 <= age_ms < LONGEST_GAP_MS:
            state["site"]["now_ms"] = now_ms
        return state


async def run(config: WorldConfig) -> int:
    """Run a world until standard input ends; the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 4096) else stop.set())
    world = World(config)
    try:
        take_place(world.folder)  # before what the devices remember is read: who was here before writes it no more
        ready = await world.start()
    except (SourceModelError, RegistryError, OSError, ValueError, KeyError) as error:
        print(f"world: {error}", file=sys.stderr, flush=True)
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(ready) + b"\n")
    sys.stdout.buffer.flush()
    saved = time.monotonic()
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK_S):
                await stop.wait()
        world.step()
        if time.monotonic() - saved >= SAVE_EVERY_S:
            saved = time.monotonic()
            world.save()
    loop.remove_reader(sys.stdin.fileno())
    await world.close()
    return 0


def _first_line() -> bytes:
    """The configuration, read without buffering so that the end of input stays visible."""
    line = b""
    while not line.endswith(b"\n") and len(line) < 1 << 22:
        chunk = os.read(0, 65_536)
        if not chunk:
            break
        line += chunk
    return line


def main() -> int:
    """Read the configuration and run; exit code 2 where it is wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides when the world ends
    try:
        config = msgspec.json.decode(_first_line(), type=WorldConfig)
    except msgspec.DecodeError as error:
        print(f"world: the configuration is wrong: {error}", file=sys.stderr, flush=True)
        return 2
    if sys.platform == "win32":
        return asyncio.run(run(config))
    import uvloop

    return uvloop.run(run(config))


if __name__ == "__main__":
    sys.exit(main())
