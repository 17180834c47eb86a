"""What every driver of machines has to do, tried on a machine of its kind: read back, obey, and fail as is declared.

A driver comes to this suite by its bench: something that answers like its machines, with a body behind it that can be looked at.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
from tests.unit.miners.fleet_in_memory import S21

from photosynth.miners.driver import MACHINES, MachineAccess, MachineDriver
from photosynth.miners.guard import sound_answer, sound_reading
from photosynth.miners.machine import Identifies, Machine, MachineError, TakesPower
from photosynth.settings.part import Part
from photosynth.simulation.cgminer_server import CgminerServer
from photosynth.simulation.luxos import LuxosDialect
from photosynth.simulation.machine import SimulatedMachine
from photosynth.simulation.stratum_link import StratumLink

PATIENCE_S = 40
"""Above what any driver may take with a machine that hangs (``CallLimits``)."""


@dataclass
class Bench:
    """A machine that answers in a driver's protocol."""

    host: str
    port: int
    body: SimulatedMachine
    leave: Callable[[], object]

    def later(self, site_s: int) -> None:
        self.body.advance(self.body.now_ms + site_s * 1000)


@asynccontextmanager
async def luxos() -> AsyncIterator[Bench]:
    body = SimulatedMachine(S21, random.Random(3), 0)
    link = StratumLink("m1", "127.0.0.1", 3333, random.Random(3))
    link.connected = True
    dialect = LuxosDialect("m1", body, link, asyncio.get_running_loop().time, random.Random(3))
    server = CgminerServer(dialect.answer)
    await server.start()
    try:
        yield Bench(server.host, server.port, body, server.close)
    finally:
        await server.close()


BENCHES: dict[str, Callable[[], AbstractAsyncContextManager[Bench]]] = {"luxos": luxos}
DRIVERS = [driver for driver in MACHINES.usable() if driver.name in MACHINES.ours]


def opened(driver: MachineDriver, host: str, port: int, site_ms: Callable[[], int] = lambda: 0) -> Machine:
    return driver.open(MachineAccess("m1", host, port, site_ms), Part())


def test_every_driver_has_a_bench() -> None:
    assert {driver.name for driver in DRIVERS} == set(BENCHES)


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
async def test_it_reads_and_obeys(driver: MachineDriver) -> None:
    async with BENCHES[driver.name]() as bench:
        machine = opened(driver, bench.host, bench.port, lambda: bench.body.now_ms)
        assert machine.id == "m1"
        for full in (False, True):
            reading = sound_reading(await machine.read(full), bench.body.now_ms, bench.body.now_ms)
        if isinstance(machine, Identifies):
            assert (await machine.identify()).model
        assert sound_answer(await machine.sleep()).accepted
        bench.later(S21.ramp_down_s + 5)
        reading = await machine.read(full=True)
        assert (reading.power_w or 0) <= 2 * S21.standby_w
        assert not reading.hash_rate_hs
        assert reading.activity != "mining"
        assert sound_answer(await machine.wake()).accepted
        bench.later(S21.ramp_up_s + 300)
        assert ((await machine.read()).power_w or 0) > S21.min_power_w * 0.9
        if isinstance(machine, TakesPower):
            assert sound_answer(await machine.set_power(2_500)).accepted
            bench.later(300)
            assert 0.9 * S21.min_power_w < ((await machine.read()).power_w or 0) <= 2_600
            assert not (await machine.set_power(S21.standby_w)).accepted, "no profile is so low"
        await machine.close()
        await machine.close()


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
async def test_a_machine_that_left_is_a_declared_error(driver: MachineDriver) -> None:
    async with BENCHES[driver.name]() as bench:
        machine = opened(driver, bench.host, bench.port)
        host, port = bench.host, bench.port
    await fails_as_declared(machine)
    await machine.close()
    again = opened(driver, host, port)
    await fails_as_declared(again)
    await again.close()


@pytest.mark.parametrize("said", [b"", b"\xff\x00", b"{", b'{"STATUS": 7}\x00', b"[" * 100_000, b"HTTP/1.1 500 No\r\n\r\n"])
@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
async def test_rubbish_is_a_declared_error(driver: MachineDriver, said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        machine = opened(driver, *server.sockets[0].getsockname()[:2])
        await fails_as_declared(machine)
        await machine.close()


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
async def test_a_machine_that_hangs_holds_nobody_up(driver: MachineDriver) -> None:
    ended = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        machine = opened(driver, *server.sockets[0].getsockname()[:2])
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(MachineError):
                await machine.read()
        ended.set()
        await machine.close()


async def fails_as_declared(machine: Machine) -> None:
    """Each call ends in a MachineError that names the machine, or in an answer that is a no."""
    with pytest.raises(MachineError, match="m1"):
        await machine.read(full=True)
    for command in (machine.sleep, machine.wake):
        with suppress(MachineError):
            assert not (await command()).accepted
