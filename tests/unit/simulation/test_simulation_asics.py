"""A hall of simulated ASICs against a tiny pool: true shares at the declared pace, sleep, habits, a pool that restarts."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.simulation.fake_pool import FakePool

from photosynth.miners.luxos import LuxosMachine
from photosynth.miners.machine import UnreachableError
from photosynth.miners.model import MachineModel
from photosynth.quantities.instants import ScaledTime
from photosynth.quantities.work import target_of_work
from photosynth.simulation.asics import AsicFleet, AsicSpec
from photosynth.simulation.habits import Habit
from photosynth.simulation.hashing import Scanner, declared_scale
from photosynth.stratum.work import Job

S21 = MachineModel("s21", "Antminer S21", 200 * 10**12, 3500, 1850, 6, 300, 180, 60, 10, 25)
SPEED_MILLI = 60_000


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that must come; the test's own time limit ends it if it does not."""
    while not holds():
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def hall(pool: FakePool, *habits: Habit | None, real_hs: int = 20_000) -> AsyncIterator[AsicFleet]:
    scale = declared_scale(S21.hash_rate_hs * len(habits), real_hs, SPEED_MILLI)
    specs = [AsicSpec(f"m{index}", S21, f"m{index}", scale, habit) for index, habit in enumerate(habits)]
    clock = ScaledTime(0, time.monotonic_ns(), SPEED_MILLI)
    fleet = AsicFleet(specs, clock, "127.0.0.1", pool.port, seed=1)
    await fleet.start()
    try:
        yield fleet
    finally:
        await fleet.close()


@contextlib.asynccontextmanager
async def a_pool(work: int = 500) -> AsyncIterator[FakePool]:
    pool = FakePool(difficulty=work / 2**32)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


def driver(fleet: AsicFleet, machine: str) -> LuxosMachine:
    host, port = fleet.addresses()[machine]
    return LuxosMachine(machine, host, port, lambda: fleet.bodies()[machine].now_ms)


async def test_every_machine_is_a_client_of_its_own_with_true_shares() -> None:
    async with a_pool() as pool, hall(pool, None, None, None) as fleet:
        await until(lambda: all(pool.shares[f"m{index}"] >= 5 for index in range(3)))
        pool.new_job()
        pool.new_job(clean=False)
        seen = pool.shares.total()
        await until(lambda: pool.shares.total() > seen + 20)
        assert pool.wrong == []
        assert len(pool.writers) == 3
        assert len({port for _, port in fleet.addresses().values()}) == 3
        await until(lambda: fleet.links()["m0"].accepted > 5)


async def test_power_and_energy_are_reported_and_machines_that_sleep_hang_up() -> None:
    async with a_pool() as pool, hall(pool, None, None) as fleet:
        await until(lambda: len(pool.writers) == 2)
        now_ms = max(body.now_ms for body in fleet.bodies().values())
        power_w, _ = fleet.advance(now_ms + 1)
        assert abs(power_w - 7000) < 150
        assert (await driver(fleet, "m0").sleep()).accepted
        await until(lambda: len(pool.writers) == 1)
        await until(lambda: fleet.power_w() < 3700)
        assert (await driver(fleet, "m0").wake()).accepted
        await until(lambda: len(pool.writers) == 2)
        assert pool.wrong == []


async def test_energy_between_steps_is_exact() -> None:
    clock = ScaledTime(0, time.monotonic_ns(), SPEED_MILLI)
    fleet = AsicFleet([AsicSpec("m", S21, "m", 1)], clock, "127.0.0.1", 1, seed=1)
    start_ms = fleet.bodies()["m"].now_ms
    total = sum(fleet.advance(start_ms + step_ms)[1] for step_ms in (1, 333, 1000, 1777, 900_000))
    power_mw = fleet.bodies()["m"].power_mw
    assert total == power_mw * 900_000 // 10**6


async def test_a_pool_that_restarts_gets_its_machines_back() -> None:
    async with a_pool() as pool, hall(pool, None, None):
        await until(lambda: pool.shares.total() > 3)
        await pool.close()
        await until(lambda: not pool.writers)
        await pool.start()
        seen = pool.shares.total()
        await until(lambda: len(pool.writers) == 2 and pool.shares.total() > seen)
        assert pool.wrong == []


async def test_one_that_drops_out_takes_both_connections_with_it() -> None:
    habit = Habit("drops_out", every_s=180, for_s=60)  # gone for the third of every three wall seconds
    async with a_pool() as pool, hall(pool, habit, None) as fleet:
        await until(lambda: len(pool.writers) == 2)
        await until(lambda: len(pool.writers) == 1)
        with pytest.raises(UnreachableError):
            await driver(fleet, "m0").read()
        assert fleet.bodies()["m0"].power_mw == 0
        await until(lambda: len(pool.writers) == 2)
        assert (await driver(fleet, "m0").read()).hash_rate_hs is not None


async def test_state_is_taken_up_again() -> None:
    async with a_pool() as pool, hall(pool, None, None) as fleet:
        await driver(fleet, "m0").sleep()
        await until(lambda: fleet.bodies()["m0"].power_mw < 30_000)
        state = fleet.state()
    clock = ScaledTime(0, time.monotonic_ns(), SPEED_MILLI)
    again = AsicFleet([AsicSpec("m0", S21, "m0", 1), AsicSpec("m1", S21, "m1", 1)], clock, "127.0.0.1", 1, seed=1, state=state)
    assert again.bodies()["m0"].asleep
    assert again.bodies()["m0"].power_mw < 30_000
    assert again.bodies()["m1"].power_mw > 3_000_000


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 10**19), st.integers(1, 10**9), st.integers(1, 400_000))
def test_the_declared_scale_gives_the_nameplate_back(nameplate: int, real: int, speed_milli: int) -> None:
    scale = declared_scale(nameplate, real, speed_milli)
    assert scale >= 1
    if scale > 1:
        assert scale * real * 1000 <= nameplate * speed_milli < (scale + 1) * real * 1000


def test_a_scanner_finds_what_hashing_one_by_one_finds() -> None:
    job = Job("1", bytes(range(32)), b"a" * 40, b"b" * 40, (), 0x20000000, 0x207FFFFF, 7, True, b"\1", 4)
    job = Job(**{name: getattr(job, name) for name in job.__slots__} | {"target": target_of_work(700)})
    extranonce2 = b"\0\0\0\5"
    scanner = Scanner(job, extranonce2)
    found = [nonce for _ in range(140) for nonce in scanner.scan(501)]
    head = job.header_prefix(extranonce2)

    def value(nonce: int) -> int:
        inner = sha256(head + nonce.to_bytes(4, "little")).digest()
        return int.from_bytes(sha256(inner).digest(), "little")

    tried = [0 | high << 16 for high in range(1 << 16)] + [1 | high << 16 for high in range(140 * 501 - (1 << 16))]
    assert found == [nonce for nonce in tried if value(nonce) <= job.target]
    assert found
