"""Wind turbines as a fleet file declares them, with the wind that blows there."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field, model_validator

from photosynth.energy.source_kind import SourceKind, SourceSettings
from photosynth.settings.part import Part
from photosynth.settings.units import Length, PositiveWatts, Speed, Watts, mistake
from photosynth.settings.values import Day, Text, WeibullShape

FASTEST_MM_S = 60_000
"""Above this no turbine stands, let alone turns (IEC 61400-1, table 1: 70 m/s once in 50 years in class I, 42.5 in class III)."""
AIR_KG_M3 = 1.225
"""Density of air that power curves are published for (IEC 61400-12-1: sea level of the standard atmosphere)."""
BETZ = 16 / 27
"""The largest share of the wind's power that any rotor can take (Betz 1920)."""


class CurvePoint(Part):
    """One point of a power curve."""

    wind_mm_s: Speed
    """Wind at the hub."""
    power_w: Watts
    """What the turbine makes in it."""


class PowerCurve(Part):
    """What a turbine makes in which wind, as its maker or a test field published it."""

    points: Annotated[tuple[CurvePoint, ...], Field(min_length=2, max_length=200)]
    """From the wind in which it starts to the one in which it is switched off; between two points it is a straight line."""
    source: Text
    """Where the curve comes from."""
    date: Day
    """When it was published."""

    @model_validator(mode="after")
    def _rises(self) -> "PowerCurve":
        for number, (before, after) in enumerate(pairwise(self.points), start=2):
            if after.wind_mm_s <= before.wind_mm_s:
                raise mistake(f"the wind of point {number} is not above that of the one before", "Sort the points", "points")
        if self.points[-1].wind_mm_s > FASTEST_MM_S:
            raise mistake("no turbine runs in more than 60 m/s", "End with the wind in which it is switched off", "points")
        return self


class WindClimate(Part):
    """How the wind blows at a place over a year: a Weibull distribution at a height, as wind atlases give it."""

    mean_mm_s: Speed
    """Mean wind of a year at that height."""
    shape: WeibullShape
    """The distribution's shape k: about 2 inland, more on the coast."""
    height_mm: Length
    """Above the ground."""
    roughness_mm: Length
    """Roughness length of the country around, from which follows how the wind rises with height: 0.03 m for fields."""
    source: Text
    """Where these figures come from."""
    date: Day
    """When they were published."""

    @model_validator(mode="after")
    def _above_ground(self) -> "WindClimate":
        if self.height_mm < 10 * self.roughness_mm:
            what = "nothing tells the wind so near to what makes the ground rough"
            raise mistake(what, "Write a height of ten times the roughness length or more", "height")
        if self.mean_mm_s > 20_000:
            raise mistake("no place has a mean wind above 20 m/s", "Write it like `7.0 m/s`", "mean")
        return self


class Wind(SourceSettings):
    """A wind turbine: its published power curve, and the wind at its place."""

    rated_w: PositiveWatts
    """Nameplate power."""
    hub_height_mm: Length
    """Height of the hub above the ground."""
    rotor_mm: Length
    """Diameter of the rotor."""
    power_curve: PowerCurve
    """What it makes in which wind."""
    climate: WindClimate
    """How the wind blows there."""
    commissioned: Day
    """Day of commissioning. Support by the EEG ends with the twentieth year after it (EEG 2023, section 25)."""

    @property
    def nominal_w(self) -> int:
        """The most that it makes (watts)."""
        return self.rated_w

    @model_validator(mode="after")
    def _possible(self) -> "Wind":
        highest_w = max(point.power_w for point in self.power_curve.points)
        if highest_w != self.rated_w:
            what = f"the curve's highest power is {highest_w} W, and the rated one {self.rated_w} W"
            raise mistake(what, "Write the same power in both", "rated")
        if self.hub_height_mm * 2 <= self.rotor_mm:
            raise mistake("the rotor would touch the ground", "Write a hub_height above half the rotor", "hub_height")
        if self.hub_height_mm < 10 * self.climate.roughness_mm:
            raise mistake("the hub stands within what makes the ground rough", "Correct one of both heights", "hub_height")
        for point in self.power_curve.points:
            if point.power_w > betz_w(self.rotor_mm, point.wind_mm_s):
                what = (
                    f"at {point.wind_mm_s / 1000:g} m/s no rotor of {self.rotor_mm / 1000:g} m can take {point.power_w} W (Betz)"
                )
                raise mistake(what, "Correct the rotor, or that point of the curve", "rotor")
        return self


def betz_w(rotor_mm: int, wind_mm_s: int) -> int:
    """What Betz's law allows a rotor to take from standard air, in watts."""
    area_m2 = 3.14159265 * (rotor_mm / 2000) ** 2
    return int(BETZ * AIR_KG_M3 / 2 * area_m2 * (wind_mm_s / 1000) ** 3)


KIND = SourceKind(name="wind", title="A wind turbine", tier="specification", settings=Wind, simulated=True)
