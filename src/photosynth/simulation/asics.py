"""A hall of simulated ASICs: each one a Stratum client and an API port of its own, with a body that follows site time.

The pace of the real hashing comes from the bodies: what work a body has done divided by the declared scale is what must
have been hashed by now.
"""

import asyncio
import contextlib
import random
import time as wall
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from photosynth.miners.model import MachineModel
from photosynth.quantities.instants import ScaledTime
from photosynth.simulation.cgminer_server import CgminerServer
from photosynth.simulation.habits import Habit
from photosynth.simulation.hashing import declared_scale
from photosynth.simulation.luxos import LuxosDialect
from photosynth.simulation.machine import SimulatedMachine
from photosynth.simulation.stratum_link import StratumLink

__all__ = ["AsicFleet", "AsicSpec", "declared_scale"]

TICK_S = 0.1
LONGEST_DEBT_S = 2.0
"""Wall seconds of hashing that a stalled process catches up with; what is older was never hashed."""
_YIELD_EVERY = 2000


@dataclass(frozen=True, slots=True)
class AsicSpec:
    """One machine to simulate. ``scale`` is what one of its real hashes stands for; port 0 takes a free one."""

    id: str
    model: MachineModel
    worker: str
    scale: int
    habit: Habit | None = None
    api_host: str = "127.0.0.1"
    api_port: int = 0


class _Asic:
    def __init__(self, spec: AsicSpec, link: StratumLink, body: SimulatedMachine, rng: random.Random) -> None:
        self.spec, self.link, self.body = spec, link, body
        dialect = LuxosDialect(spec.id, body, link, wall.monotonic, rng)
        self.server = CgminerServer(dialect.answer, spec.api_host, spec.api_port)
        self.scanned = 0

    def follow(self) -> None:
        """Bring sockets in line with the body: gone is gone, asleep does not mine."""
        body = self.body
        if self.server.gone == body.present:
            if body.present:
                self.server.come_back()
            else:
                self.server.leave()
        self.link.want(body.present and not body.asleep)

    def hash(self, longest: int) -> int:
        """Pay the debt of real hashes; how many were done."""
        owed = self.body.work_hashes // self.spec.scale - self.scanned
        if owed <= 0:
            return 0
        self.scanned += owed
        owed = min(owed, longest)
        return owed if self.link.scan(owed) else 0


class AsicFleet:
    """All machines of a site. ``state`` is an earlier :meth:`state`; without it ``warm`` ones start at full power.

    Those that shall begin ``asleep`` draw their standby power until they are woken.

    Raises OSError at :meth:`start` where an API port is in use.
    """

    def __init__(  # noqa: PLR0917
        self,
        specs: Sequence[AsicSpec],
        time: ScaledTime,
        pool_host: str,
        pool_port: int,
        seed: int,
        state: dict[str, Any] | None = None,
        *,
        warm: bool = True,
        asleep: bool = False,
    ) -> None:
        self._time = time
        self._asics: list[_Asic] = []
        self._task: asyncio.Task[None] | None = None
        self._reported_uj_x2 = 0
        self.hashes = 0
        """Real hashes done in this life of the process."""
        site_ms = time.site_ms(wall.monotonic_ns())
        known = state or {}
        for spec in specs:
            rng = random.Random(f"{seed}/{spec.id}")
            kept = known.get(spec.id)
            body = SimulatedMachine(spec.model, rng, site_ms, warm=warm and not asleep, habit=spec.habit, state=kept)
            if asleep and kept is None:
                body.sleep()
            link = StratumLink(spec.worker, pool_host, pool_port, rng)
            if kept is not None:
                link.accepted, link.rejected = int(kept["accepted"]), int(kept["rejected"])
            self._asics.append(_Asic(spec, link, body, rng))

    async def start(self) -> None:
        """Open every API port, and begin to mine."""
        for asic in self._asics:
            await asic.server.start()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop hashing and hang up everywhere."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for asic in self._asics:
            await asic.link.close()
            await asic.server.close()

    def addresses(self) -> dict[str, tuple[str, int]]:
        """Where each machine's API listens."""
        return {asic.spec.id: (asic.server.host, asic.server.port) for asic in self._asics}

    def advance(self, site_ms: int) -> tuple[int, int]:
        """Electrical power of all machines at a site time (W), and their energy since the last call (J, exact)."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()  # the machines have stopped mining by a mistake of ours: say so loudly
        for asic in self._asics:
            asic.body.advance(site_ms)
        total_uj_x2 = sum(asic.body.energy_uj_x2 for asic in self._asics)
        energy_j = (total_uj_x2 - self._reported_uj_x2) // 2_000_000
        self._reported_uj_x2 += energy_j * 2_000_000
        return self.power_w(), energy_j

    def power_w(self) -> int:
        """All machines' electrical power where their bodies are now."""
        return sum(asic.body.power_mw for asic in self._asics) // 1000

    def state(self) -> dict[str, Any]:
        """What the machines keep in their own memory, as JSON: settings, power, temperature, counters."""
        return {
            asic.spec.id: {**asic.body.state(), "accepted": asic.link.accepted, "rejected": asic.link.rejected}
            for asic in self._asics
        }

    def bodies(self) -> dict[str, SimulatedMachine]:
        """The physics of each machine, for tests and for the world's own meters."""
        return {asic.spec.id: asic.body for asic in self._asics}

    def links(self) -> dict[str, StratumLink]:
        """Each machine's connection to the pool."""
        return {asic.spec.id: asic.link for asic in self._asics}

    async def _run(self) -> None:
        speed_milli = self._time.speed_milli
        longest = [
            int(LONGEST_DEBT_S * asic.spec.model.hash_rate_hs * speed_milli / 1000 / asic.spec.scale) + 16 for asic in self._asics
        ]
        while True:
            began = wall.monotonic()
            site_ms = self._time.site_ms(wall.monotonic_ns())
            since_yield = 0
            for asic, most in zip(self._asics, longest, strict=True):
                asic.body.advance(site_ms)
                asic.follow()
                done = asic.hash(most)
                self.hashes += done
                since_yield += done
                if since_yield >= _YIELD_EVERY:
                    since_yield = 0
                    await asyncio.sleep(0)
            await asyncio.sleep(max(0.0, TICK_S - (wall.monotonic() - began)))
