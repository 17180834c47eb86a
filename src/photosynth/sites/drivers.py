"""The one place where a site's drivers are opened: those that its fleet file names, from their registries.

What goes wrong while a driver is opened is the concern of what it drives, as is what goes wrong later: it is raised by each
of its calls, before which a guard stands.
"""

from collections.abc import Callable, Mapping

from photosynth.energy.market import Market
from photosynth.energy.market_kind import MARKETS, MarketAccess
from photosynth.energy.meter_driver import METERS, DeclaredMeter, MeterAccess, OpenMeters
from photosynth.energy.meters import IntervalReading, MeterReading
from photosynth.energy.prices import Prices
from photosynth.fleet import Site
from photosynth.miners.driver import MACHINES, MachineAccess
from photosynth.miners.machine import Answer, Machine, MachineReading
from photosynth.sites.configuration import meter_specs, tariff_of


def machines_of(site: Site, simulated: Mapping[str, tuple[str, int]], site_ms: Callable[[], int]) -> list[Machine]:
    """The driver of each machine, in the file's order; ``simulated`` tells where those without an address answer."""
    found: list[Machine] = []
    for spec in site.machine_specs():
        host, port = simulated[spec.id] if spec.address is None else spec.address
        try:
            machine = MACHINES.need(spec.driver).open(MachineAccess(spec.id, host, port, site_ms), spec.settings)
            if machine.id != spec.id:
                raise ValueError(f"it drives {str(machine.id)[:60]!r} instead")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the seam to a driver that another package may have written
            machine = _NoMachine(spec.id, error)
        found.append(machine)
    return found


def meters_of(
    site: Site, simulation: tuple[str, int] | None, site_ms: Callable[[], int]
) -> dict[str, tuple[frozenset[str], OpenMeters]]:
    """The meters by the name of their driver, with the ids that each reads; ``simulation`` is where simulated ones answer."""
    declared: dict[str, list[DeclaredMeter]] = {}
    for meter, spec in zip(site.meters, meter_specs(site), strict=True):
        declared.setdefault(meter.driver, []).append(DeclaredMeter(spec, meter))
    found: dict[str, tuple[frozenset[str], OpenMeters]] = {}
    for name, meters in declared.items():
        opened: OpenMeters
        try:
            opened = METERS.need(name).open(MeterAccess(site_ms, simulation), meters)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the seam to a driver that another package may have written
            opened = _NoMeters(error)
        found[name] = frozenset(meter.spec.id for meter in meters), opened
    return found


def market_of(site: Site) -> Market:
    """The market that the fleet file names."""
    try:
        return MARKETS.need(site.market.kind).open(MarketAccess(tariff_of(site), site.simulation.seed), site.market)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the seam to a market that another package may have written
        return _NoMarket(error)


class _NoMachine:
    """A machine whose driver could not be opened."""

    def __init__(self, machine: str, error: Exception | SystemExit) -> None:
        self.id, self._error = machine, error

    async def read(self, full: bool = False) -> MachineReading:
        raise self._error

    async def sleep(self) -> Answer:
        raise self._error

    async def wake(self) -> Answer:
        raise self._error

    async def close(self) -> None:
        pass


class _NoMeters:
    """Meters whose driver could not be opened."""

    def __init__(self, error: Exception | SystemExit) -> None:
        self._error = error

    async def read(self) -> dict[str, MeterReading]:
        raise self._error

    async def profile(self, interval_start_ms: int) -> dict[str, IntervalReading] | None:
        raise self._error

    async def close(self) -> None:
        pass


class _NoMarket:
    """A market that could not be opened."""

    def __init__(self, error: Exception | SystemExit) -> None:
        # Nobody guards it, and a SystemExit would end the program and not only the site's decisions.
        self._error = RuntimeError(f"SystemExit: {error}") if isinstance(error, SystemExit) else error

    def prices(self, instant_ms: int) -> Prices | None:
        raise self._error.with_traceback(None)  # which would keep every way that it came
