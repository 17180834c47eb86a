"""What 102 machines cost: hashing at 50 kH/s in one process, polling and commanding them from another.

Run it: ``.venv/bin/python tests/benchmarks/miners_and_asics.py``. It takes half a minute and prints per cents of a core.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.unit.simulation.fake_pool import FakePool

from photosynth.actions import Action, Result
from photosynth.miners.control import MinerControl
from photosynth.miners.luxos import LuxosMachine
from photosynth.miners.model import MachineModel
from photosynth.quantities.instants import ScaledTime
from photosynth.simulation.asics import AsicFleet, AsicSpec
from photosynth.simulation.hashing import declared_scale

XP = MachineModel("s21-xp", "Antminer S21 XP", 270 * 10**12, 3645, 1900, 6, 300, 180, 60, 10, 25)
S21 = MachineModel("s21", "Antminer S21", 200 * 10**12, 3500, 1850, 6, 300, 180, 60, 10, 25)
J_PRO = MachineModel("s19j-pro", "Antminer S19j Pro", 104 * 10**12, 3068, 1700, 5, 300, 180, 90, 10, 30)
HALL = {f"m{index}": model for index, model in enumerate([XP] * 36 + [S21] * 34 + [J_PRO] * 32)}
REAL_HS, SPEED_MILLI, POLL_S, SECONDS = 50_000, 60_000, 2.0, 10


class Clock:
    def __init__(self, anchor_ns: int) -> None:
        self.time = ScaledTime(0, anchor_ns, SPEED_MILLI)

    def site_ms(self) -> int:
        return self.time.site_ms(time.monotonic_ns())

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000


class NoAudit:
    async def planned(self, actor: str, kind: str, subject: str, reason: str, request: str) -> Action:
        return self.noted(actor, kind, subject, reason, request)

    def noted(self, actor: str, kind: str, subject: str, reason: str, request: str) -> Action:
        return Action(actor, kind, subject, reason, request, 0, 0)

    def finished(self, action: Action, result: Result, answer: str | None, read_back: str | None, verified: bool | None) -> None:
        pass


async def machines(pool_port: int, anchor_ns: int) -> None:
    scale = declared_scale(sum(model.hash_rate_hs for model in HALL.values()), REAL_HS, SPEED_MILLI)
    specs = [AsicSpec(name, model, name, scale) for name, model in HALL.items()]
    fleet = AsicFleet(specs, ScaledTime(0, anchor_ns, SPEED_MILLI), "127.0.0.1", pool_port, seed=1)
    await fleet.start()
    print(json.dumps(fleet.addresses()), flush=True)
    await asyncio.sleep(2)
    hashes, cpu, wall = fleet.hashes, time.process_time(), time.monotonic()
    await asyncio.sleep(SECONDS)
    took = time.monotonic() - wall
    percent = 100 * (time.process_time() - cpu) / took
    rate = (fleet.hashes - hashes) / took / 1000
    print(
        f"machines' process: {rate:.1f} kH/s at {percent:.1f} % of a core, polled meanwhile: {rate / percent:.1f} kH/s a per cent"
    )
    await fleet.close()


async def control() -> None:
    pool = FakePool(difficulty=5000 / 2**32)
    await pool.start()
    anchor_ns = time.monotonic_ns()
    clock = Clock(anchor_ns)
    child = await asyncio.create_subprocess_exec(
        sys.executable, __file__, str(pool.port), str(anchor_ns), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    addresses = json.loads(await child.stdout.readline())
    drivers = [LuxosMachine(name, addresses[name][0], addresses[name][1], clock.site_ms) for name in HALL]
    miners = MinerControl(drivers, HALL, clock, NoAudit(), poll_s=POLL_S)
    await miners.poll_once()
    cpu, wall, polling_s = time.process_time(), time.monotonic(), 0.0
    for _ in range(int(SECONDS / POLL_S)):
        began = time.monotonic()
        await miners.poll_once()
        polling_s += time.monotonic() - began
        await asyncio.sleep(max(0.0, POLL_S - (time.monotonic() - began)))
    percent = 100 * (time.process_time() - cpu) / (time.monotonic() - wall)
    print(f"polling {len(HALL)} machines every {POLL_S:g} s: {percent:.2f} % of a core, the tiny pool included")
    print(f"one round takes {1000 * polling_s * POLL_S / SECONDS:.0f} ms")
    print((await child.stdout.read()).decode(), end="")
    print(f"shares {pool.shares.total()}, wrong ones {len(pool.wrong)}")
    await miners.close()
    await pool.close()


if __name__ == "__main__":
    if len(sys.argv) == 3:
        uvloop.run(machines(int(sys.argv[1]), int(sys.argv[2])))
    else:
        uvloop.run(control())
