"""pyasic, the field's own library, against a simulated machine: it takes it for LuxOS, reads it, and drives it."""

import asyncio
import contextlib
import time
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.simulation.fake_pool import FakePool

from photosynth.miners.model import MachineModel
from photosynth.quantities.instants import ScaledTime
from photosynth.simulation.asics import AsicFleet, AsicSpec
from photosynth.simulation.machine import SimulatedMachine

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it uses what its own dependencies have deprecated
    import pyasic

pytestmark = pytest.mark.interop

S21 = MachineModel("s21", "Antminer S21", 200 * 10**12, 3500, 1850, 6, 300, 180, 60, 10, 25)
ADDRESS = "127.0.57.21"
"""pyasic looks for machines at port 4028 of an address of their own; all of 127/8 is this computer."""


@contextlib.asynccontextmanager
async def a_machine() -> AsyncIterator[tuple[AsicFleet, SimulatedMachine]]:
    pool = FakePool(difficulty=2**-22)
    await pool.start()
    clock = ScaledTime(0, time.monotonic_ns(), 60_000)
    spec = AsicSpec("m1", S21, "m1", 10**13, api_host=ADDRESS, api_port=4028)
    fleet = AsicFleet([spec], clock, "127.0.0.1", pool.port, seed=1)
    try:
        await fleet.start()
    except OSError as error:
        await pool.close()
        pytest.skip(f"{ADDRESS}:4028 cannot be listened at: {error}")
    try:
        yield fleet, fleet.bodies()["m1"]
    finally:
        await fleet.close()
        await pool.close()


async def found() -> Any:
    miner = await pyasic.get_miner(ADDRESS)
    assert miner is not None
    return miner


async def test_pyasic_recognises_the_firmware_and_the_model() -> None:
    async with a_machine():
        miner = await found()
        assert type(miner).__name__ == "LUXMinerS21"
        assert miner.firmware == "LuxOS"


async def test_pyasic_reads_power_hash_rate_pool_and_temperature() -> None:
    async with a_machine() as (fleet, body):
        miner = await found()
        while not fleet.links()["m1"].connected:
            await asyncio.sleep(0.01)
        data = await miner.get_data()
        assert abs(data.wattage - body.power_mw / 1000) < 60
        assert data.wattage_limit == 3500
        terahashes = sum(float(board.hashrate) for board in data.hashboards)
        assert abs(terahashes - 200) < 6
        assert abs(float(data.expected_hashrate) - 200) < 1
        assert str(data.pools[0].url).startswith("stratum+tcp://127.0.0.1")
        assert data.pools[0].user == "m1"
        assert data.pools[0].active is True
        assert data.fw_ver == "simulated"
        assert [board.temp for board in data.hashboards] == [pytest.approx(58, abs=3)] * 3


async def test_pyasic_limits_stops_and_resumes_it() -> None:
    async with a_machine() as (_, body):
        miner = await found()
        assert await miner.set_power_limit(2600) is True
        assert body.steps[body.profile][0] == 2510
        slept = (await miner.stop_mining(), body.asleep)
        woke = (await miner.resume_mining(), body.asleep)
        assert (slept, woke) == ((True, True), (True, False))
        assert await miner.set_power_limit(1000) is False
