"""What every part of a fleet file shares, and the site itself: parties, grid, sources, loads, meters.

A field's key in the file is its name here without the unit: ``connection_w`` is written ``connection: 400 kW``.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from photosynth.fleet.units import ANGLE, Angle, HashRate, Joules, PeakWatts, PositiveWatts, Watts, mistake
from photosynth.fleet.values import Day, Id, Latitude, LocalTime, Longitude, Text, Zone
from photosynth.quantities.balance import MeterRole

_UNITS = (
    *("_cent_per_mwh", "_cent_per_btc", "_cent_per_kw", "_ueur", "_sat", "_mdeg"),
    *("_hs", "_w", "_j", "_s"),
)


def file_key(name: str) -> str:
    """The key under which a field is written: its name without the unit."""
    for unit in _UNITS:
        if name.endswith(unit):
            return name.removesuffix(unit)
    return name


class Part(BaseModel):
    """A part of a fleet file: unknown keys are refused, nothing is converted silently, nothing changes later."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=file_key,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )


class Site(Part):
    """The place: where it is, what time it keeps, who runs it."""

    name: Id
    """Short name, used in evidence records and in the state folder."""
    title: Text
    """Name as people read it."""
    zone: Zone
    """Time zone of the site's clock, by its IANA name."""
    latitude: Latitude
    """Degrees north; negative south of the equator."""
    longitude: Longitude
    """Degrees east; negative west of Greenwich."""
    operator: Id
    """The party that runs this software."""
    simulated: Literal[True]
    """Whether sun, load, meters and market are simulated. Meters of a real site cannot be read yet, so it is true."""


class Party(Part):
    """A legal person that owns a source, a load, a meter or machines. Energy that crosses between two is a delivery."""

    id: Id
    """How the rest of the file refers to it."""
    name: Text
    """Name as people read it."""


class Simulation(Part):
    """What stands in for the physical world."""

    seed: int = Field(ge=0, le=2**53)
    """Start of every random series: the same seed gives the same sun, load and prices."""
    start: LocalTime
    """Local time at which a fresh site starts."""
    speed: int = Field(default=1, ge=1, le=3600)
    """Site seconds per second. Hashing and block headers stay on the real clock."""
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


class Source(Part):
    """A source of energy behind the connection."""

    id: Id
    """Its name."""
    kind: Literal["photovoltaic"]
    """What it is."""
    party: Id
    """Who owns it."""
    peak_w: PeakWatts
    """Nameplate power under standard test conditions."""
    tilt_mdeg: Angle
    """Of the modules against the horizontal: 0 to 90 deg."""
    azimuth_mdeg: Angle
    """Where the modules look: 0 deg north, 90 deg east, 180 deg south; below 360 deg."""
    commissioned: Day
    """Day of commissioning. From 25 February 2025 on there is no premium at a negative price (EEG 2023, section 51)."""

    @model_validator(mode="after")
    def _angles(self) -> "Source":
        if self.tilt_mdeg > 90 * ANGLE.units["deg"]:
            raise mistake("modules are tilted by more than 90 deg", "Write an angle from 0 to 90 deg", "tilt")
        if self.azimuth_mdeg >= 360 * ANGLE.units["deg"]:
            raise mistake("the azimuth is not below 360 deg", "Write an angle from 0 deg (north) to below 360 deg", "azimuth")
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

    @property
    def class_ppm(self) -> int:
        """Largest error of the accuracy class, in millionths of the reading."""
        return {"0.2": 2000, "0.5": 5000, "1": 10_000, "2": 20_000}[self.accuracy_class.rstrip("S")]
