"""A site's drivers are opened by the names in its fleet file, and what one does is the concern of what it drives alone."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from photosynth.energy.market_kind import MARKETS
from photosynth.energy.meter_driver import METERS
from photosynth.energy.meters import IntervalReading, MeterError, MeterReading, SourceReading
from photosynth.energy.simulated_meters import SimulatedMeters
from photosynth.energy.synthetic_market import SyntheticMarket
from photosynth.fleet import Site, load_fleet
from photosynth.miners.driver import MACHINES, MachineAccess
from photosynth.miners.guard import CallLimits, DriverFaultError, GuardedMachine
from photosynth.miners.luxos import LuxosMachine
from photosynth.sites.drivers import machines_of, market_of, meters_of
from photosynth.sites.site_meters import SiteMeters

SITE: Site = load_fleet(Path(__file__).parents[3] / "examples" / "backnang.yaml").sites[0]
WHERE = {spec.id: ("127.0.0.1", 4028 + number) for number, spec in enumerate(SITE.machine_specs())}
READING = MeterReading(1, 2, 3, "good")
INTERVAL = IntervalReading(1, 2, "good")


class Meters:
    """Meters that answer what a test says."""

    def __init__(self, *ids: str, instead: Callable[[], Awaitable[Any]] | None = None) -> None:
        self.ids, self.instead, self.closed = ids, instead, False

    async def read(self) -> dict[str, MeterReading]:
        if self.instead is not None:
            await self.instead()
        return dict.fromkeys(self.ids, READING)

    async def profile(self, interval_start_ms: int) -> dict[str, IntervalReading] | None:
        if self.instead is not None:
            await self.instead()
        return dict.fromkeys(self.ids, INTERVAL) if interval_start_ms else None

    async def close(self) -> None:
        self.closed = True
        if self.instead is not None:
            await self.instead()


class Inverters:
    """Sources that keep their limits."""

    async def read_source(self) -> SourceReading:
        return SourceReading(0, 0, None, False, None, None)

    async def limit(self, source_w: int | None, export_w: int | None) -> None:
        raise MeterError("these take no limit")


async def raises() -> None:
    raise KeyError("registers")


async def hangs() -> None:
    await asyncio.Event().wait()


async def is_away() -> None:
    raise MeterError("no answer")


def site_meters(*drivers: Meters) -> SiteMeters:
    opened = {f"driver-{number}": (frozenset(driver.ids), driver) for number, driver in enumerate(drivers)}
    return SiteMeters(Inverters(), opened, limit_s=0.05)


def test_the_fleet_files_names_are_opened() -> None:
    machines = machines_of(SITE, WHERE, lambda: 0)
    assert [machine.id for machine in machines] == [spec.id for spec in SITE.machine_specs()]
    assert all(isinstance(machine, LuxosMachine) for machine in machines)
    ((name, (ids, meters)),) = meters_of(SITE, ("127.0.0.1", 1), lambda: 0).items()
    assert (name, set(ids)) == ("simulated", {"pv", "grid-import", "grid-export", "hall", "miners"})
    assert isinstance(meters, SimulatedMeters)
    assert isinstance(market_of(SITE), SyntheticMarket)


async def test_a_driver_that_cannot_be_opened_is_its_own_machines_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    luxos = MACHINES.need("luxos")

    def picky(at: MachineAccess, settings: Any) -> Any:
        if at.id.endswith("-01"):
            raise KeyError("token")
        if at.id.endswith("-03"):
            raise SystemExit(3)
        return luxos.open(replace(at, id="somebody") if at.id.endswith("-02") else at, settings)

    monkeypatch.setitem(MACHINES._loaded, "luxos", replace(luxos, open=picky))
    machines = machines_of(SITE, WHERE, lambda: 0)
    assert [machine.id for machine in machines] == [spec.id for spec in SITE.machine_specs()]
    assert sum(isinstance(machine, LuxosMachine) for machine in machines) == len(machines) - 9
    for machine, why in (
        (machines[0], "KeyError: 'token'"),
        (machines[1], "it drives 'somebody' instead"),
        (machines[2], "SystemExit: 3"),
    ):
        door = GuardedMachine(machine, lambda: 0, CallLimits())
        for call in (door.sleep, door.wake, lambda door=door: door.read(False)):
            with pytest.raises(DriverFaultError, match=why):
                await call()
        await door.close()


@pytest.mark.parametrize(("error", "why"), [(KeyError("token"), "KeyError: 'token'"), (SystemExit(3), "SystemExit: 3")])
async def test_meters_and_markets_that_cannot_be_opened_say_so_when_they_are_asked(
    error: BaseException, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise error

    monkeypatch.setitem(METERS._loaded, "simulated", replace(METERS.need("simulated"), open=broken))
    monkeypatch.setitem(MARKETS._loaded, "synthetic", replace(MARKETS.need("synthetic"), open=broken))
    meters = SiteMeters(Inverters(), meters_of(SITE, None, lambda: 0))
    with pytest.raises(MeterError, match=f"the driver simulated of meters is at fault: its 'read' failed: .*{why}"):
        await meters.read()
    await meters.close()
    with pytest.raises(Exception, match=why.partition(": ")[2]):
        market_of(SITE).prices(0)
    market, ways = market_of(SITE), list[int]()
    for _ in range(2):
        with pytest.raises(Exception, match=why.partition(": ")[2]) as raised:
            market.prices(0)
        ways.append(len(raised.traceback))
    assert ways[0] == ways[1], "an error that is raised again keeps not every way that it came"


@pytest.mark.parametrize("instead", [raises, hangs, is_away])
async def test_a_driver_that_fails_takes_its_own_meters_away_and_no_others(instead: Callable[[], Awaitable[Any]]) -> None:
    well, ill = Meters("a", "b"), Meters("c", instead=instead)
    both = site_meters(well, ill)
    for _ in range(2):
        assert set(await both.read()) == {"a", "b"}
        assert await both.profile(900_000) == {"a": INTERVAL, "b": INTERVAL}
    with pytest.raises(MeterError):
        await site_meters(ill).read()
    await both.close()
    assert well.closed
    assert ill.closed


async def test_what_a_driver_lacks_is_its_own_meters_and_machines_fault_too() -> None:
    class Empty:
        """What a driver gave that promised meters, or a machine."""

        id, ids = "m-1", ("c",)

    well, lacking = Meters("a", "b"), cast(Any, Empty())
    both = site_meters(well, lacking)
    assert set(await both.read()) == {"a", "b"}
    assert await both.profile(900_000) == {"a": INTERVAL, "b": INTERVAL}
    await both.close()
    assert well.closed
    door = GuardedMachine(lacking, lambda: 0, CallLimits())
    for call in (door.sleep, door.wake, lambda: door.read(False)):
        with pytest.raises(DriverFaultError, match="AttributeError"):
            await call()
    await door.close()


async def test_a_driver_answers_for_its_own_meters_alone() -> None:
    first, second = Meters("a"), Meters("b")
    both = site_meters(first, second)
    second.ids = ("a", "b", "z")
    assert set(await both.read()) == {"a", "b"}
    assert await both.profile(0) is None
    assert (await both.read_source()).power_w == 0
    with pytest.raises(MeterError, match="take no limit"):
        await both.limit(1, None)
