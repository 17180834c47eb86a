"""A mining site: a place with a connection to the grid, what generates and consumes behind it, its pool and its machines."""

from datetime import UTC
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, model_validator

from photosynth.energy.meter_driver import METERS, SIMULATED
from photosynth.fleet.by_name import ByName
from photosynth.fleet.machines import Machines, MachineSpec, specs
from photosynth.fleet.market import Market
from photosynth.fleet.pool import Pool
from photosynth.fleet.sources import Source
from photosynth.quantities.balance import MeterRole
from photosynth.settings.part import Part
from photosynth.settings.units import HashRate, Joules, PositiveWatts, Watts, mistake
from photosynth.settings.values import Id, Latitude, LocalTime, Longitude, Text, Zone


class Simulation(Part):
    """What stands in for the physical world."""

    seed: int = Field(ge=0, le=2**53)
    """Start of every random series: the same seed gives the same sun, wind, load and prices."""
    start: LocalTime
    """Local time at which a fresh site starts."""
    warm: bool = False
    """Whether the machines start at temperature and running."""
    hash_rate_hs: HashRate
    """What all simulated machines together really hash when all run."""


class Grid(Part):
    """The connection to the public grid and what the control may do with it."""

    connection_w: PositiveWatts
    """Limit of import and of export."""
    import_for_mining: bool = False
    """Whether energy may be bought in order to mine with it."""
    curtail_to_import: bool = False
    """Whether own generation may be held back in order to import at a negative price."""
    guard_w: Watts = 0
    """Export kept as a margin against the lag of control."""
    curtailable: bool = False
    """Whether the inverter takes a limit."""

    @model_validator(mode="after")
    def _guard_fits(self) -> "Grid":
        if self.guard_w >= self.connection_w:
            raise mistake("the guard is as large as the connection", "Write a guard below the connection, like 5 kW", "guard")
        return self


class Load(Part):
    """A load that comes before mining."""

    id: Id
    """Its name."""
    kind: Literal["factory"]
    """What it is."""
    party: Id
    """Who owns it."""
    base_w: Watts
    """Power that never goes away."""
    weekday_peak_w: PositiveWatts
    """Highest power on a working day."""
    weekend_peak_w: PositiveWatts
    """Highest power on Saturday, Sunday and holidays."""

    @model_validator(mode="after")
    def _peaks(self) -> "Load":
        for key in ("weekday_peak", "weekend_peak"):
            if getattr(self, f"{key}_w") < self.base_w:
                raise mistake("the peak is below the base load", "Write a peak of at least the base", key)
        return self


class Meter(Part):
    """A meter with a register that only counts up."""

    id: Id
    """Its name."""
    role: MeterRole
    """What it measures. A site has one meter of each role."""
    accuracy_class: Annotated[Literal["0.2", "0.2S", "0.5", "0.5S", "1", "2"], Field(alias="class")]
    """Accuracy class, in quotes: the largest error in per cent of the reading (IEC 62053-21 and -22)."""
    party: Id
    """Who owns it."""
    register_step_j: Joules
    """The smallest step that its register shows."""
    driver: str = SIMULATED
    """How it is read; without it, it is simulated."""

    @property
    def simulated(self) -> bool:
        """Whether it is read from the site's simulation."""
        return self.driver == SIMULATED

    @property
    def class_ppm(self) -> int:
        """Largest error of the accuracy class, in millionths of the reading."""
        return {"0.2": 2000, "0.5": 5000, "1": 10_000, "2": 20_000}[self.accuracy_class.rstrip("S")]


DrivenMeter = Annotated[Meter, ByName("driver", "driver of meters", METERS, default=SIMULATED)]
"""A meter with what its driver is told."""


class Site(Part):
    """One mining site.

    ``name`` is its id: one copied under another name is a valid second site.
    """

    name: Id
    """Short name, used in evidence records, in commands and in the state."""
    title: Text
    """Name as people read it."""
    zone: Zone
    """Time zone of the site's clock, by its IANA name."""
    latitude: Latitude
    """Degrees north; negative south of the equator."""
    longitude: Longitude
    """Degrees east; negative west of Greenwich."""
    simulated: Literal[True]
    """Whether sources and load are simulated. Those of a real site cannot be read yet, so it is true."""
    simulation: Simulation
    """What stands in for the physical world."""
    grid: Grid
    """The connection to the public grid."""
    sources: Annotated[tuple[Source, ...], Field(min_length=1, max_length=100)]
    """What generates behind the connection."""
    loads: Annotated[tuple[Load, ...], Field(max_length=100)] = ()
    """What comes before mining."""
    meters: Annotated[tuple[DrivenMeter, ...], Field(max_length=100)]
    """One meter of each role."""
    market: Market
    """Prices."""
    pool: Pool
    """The Stratum server, the node that it mines on, and the wallet that its blocks pay."""
    machines: Machines
    """Models, groups, habits."""

    @cached_property
    def _specs(self) -> tuple[MachineSpec, ...]:
        return specs(self.machines)

    def machine_specs(self) -> tuple[MachineSpec, ...]:
        """Every machine in the file's order: hall-a-01, hall-a-02 and so on."""
        return self._specs

    def party_of_worker(self) -> dict[str, str]:
        """Which party each declared worker belongs to; a guest's name is not among them."""
        return {spec.worker: spec.party for spec in self._specs}

    def source_kinds(self) -> tuple[str, ...]:
        """What its sources live on, each kind once, in the file's order."""
        return tuple(dict.fromkeys(source.kind for source in self.sources))

    def start_ms(self) -> int:
        """Site time at which a fresh site starts, in milliseconds since the epoch (UTC)."""
        return int(self.simulation.start.replace(tzinfo=self.zone).astimezone(UTC).timestamp()) * 1000

    def real_parts(self) -> tuple[str, ...]:
        """The machines and meters that are real; where there are any, the fleet's clock runs at speed 1."""
        meters = tuple(meter.id for meter in self.meters if not meter.simulated)
        return (*(spec.id for spec in self._specs if spec.address is not None), *meters)

    def represented_hash_rate_hs(self) -> int:
        """What the simulated machines stand for together at full power, in hashes per second."""
        return sum(spec.model.hash_rate_hs for spec in self._specs if spec.address is None)

    def scale(self, speed_milli: int = 1000) -> int:
        """How many hashes one real hash of a simulated machine stands for, at a speed in thousandths; at least one.

        Hashing stays on the real clock while site time runs ``speed_milli / 1000`` times faster, so each hash stands for
        so many times more.
        """
        return max(1, self.represented_hash_rate_hs() * speed_milli // (self.simulation.hash_rate_hs * 1000))

    def scale_of_worker(self, speed_milli: int = 1000) -> dict[str, int]:
        """The scale of each declared worker; a real machine's is 1, and so is a guest's, who is not among them."""
        scale = self.scale(speed_milli)
        return {spec.worker: 1 if spec.address is not None else scale for spec in self._specs}
