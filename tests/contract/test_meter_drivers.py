"""What every driver of meters has to do, tried on meters of its kind: registers that count, quarter hours, declared errors.

A driver comes to this suite by its bench: something that answers like its meters, with a site behind it that can be moved on.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest
from tests.unit.simulation.test_simulation_site import SPECS, START_MS
from tests.unit.simulation.test_simulation_site import site as a_site

from photosynth.energy.meter_driver import METERS, DeclaredMeter, MeterAccess, MeterDriver, OpenMeters
from photosynth.energy.meters import MeterError
from photosynth.quantities.instants import INTERVAL_MS
from photosynth.settings.part import Part
from photosynth.simulation.meter_server import MeterServer
from photosynth.simulation.site_physics import SitePhysics
from photosynth.sites.guarded_meters import sound_profile, sound_readings

IDS = {spec.id for spec in SPECS}
PATIENCE_S = 20


@dataclass
class Bench:
    """A site whose meters answer in a driver's protocol, and how each is declared."""

    site: SitePhysics
    meters: Sequence[DeclaredMeter]
    access: MeterAccess


@asynccontextmanager
async def simulated() -> AsyncIterator[Bench]:
    physics = a_site()
    server = MeterServer(physics, "127.0.0.1", 0)
    await server.start()
    try:
        access = MeterAccess(lambda: physics.now_ms, (server.host, server.port))
        yield Bench(physics, [DeclaredMeter(spec, Part()) for spec in SPECS], access)
    finally:
        await server.close()


BENCHES: dict[str, Callable[[], AbstractAsyncContextManager[Bench]]] = {"simulated": simulated}
DRIVERS = [driver for driver in METERS.usable() if driver.name in METERS.ours]


def test_every_driver_has_a_bench() -> None:
    assert {driver.name for driver in DRIVERS} == set(BENCHES)


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
async def test_registers_count_and_quarter_hours_are_latched(driver: MeterDriver) -> None:
    async with BENCHES[driver.name]() as bench:
        meters = driver.open(bench.access, bench.meters)
        bench.site.advance(START_MS + 60_000, 0)
        before = sound_readings(await meters.read())
        assert set(before) == IDS
        assert await meters.profile(START_MS) in (None, {}), "it has not ended"
        bench.site.advance(START_MS + INTERVAL_MS + 60_000, 100_000 * INTERVAL_MS)
        after = sound_readings(await meters.read())
        latched = sound_profile(await meters.profile(START_MS))
        assert latched is not None
        assert set(latched) == IDS
        for name in IDS:
            assert before[name].register_j <= after[name].register_j
            assert latched[name].start_j <= latched[name].end_j <= after[name].register_j
        assert latched["meter-factory"].energy_j > 0
        await meters.close()
        await meters.close()


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
async def test_meters_that_left_are_a_declared_error_and_come_back(driver: MeterDriver) -> None:
    async with BENCHES[driver.name]() as bench:
        meters = driver.open(bench.access, bench.meters)
        bench.site.advance(START_MS + 60_000, 0)
        await meters.read()
    await fails_as_declared(meters)
    await meters.close()


@pytest.mark.parametrize("said", [b"", b"{}\n", b"\xff\n", b"x" * 200_000, b'{"ok":true,"at_ms":1,"meters":[]}\n'])
@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
async def test_rubbish_is_a_declared_error(driver: MeterDriver, said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, BENCHES[driver.name]() as bench:
        host, port = server.sockets[0].getsockname()[:2]
        meters = driver.open(MeterAccess(bench.access.site_ms, (host, port)), bench.meters)
        await fails_as_declared(meters)
        await meters.close()


async def fails_as_declared(meters: OpenMeters) -> None:
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(MeterError):
            await meters.read()
        with pytest.raises(MeterError):
            await meters.profile(START_MS)
