"""The wind at a turbine's hub and what the turbine makes of it: light enough to be computed minute by minute, at any instant.

The wind's speed is a Weibull distribution (the usual fit of a year's speeds; Troen and Petersen, European Wind Atlas, 1989)
whose place in it wanders: a normal variable with unit variance that forgets itself over ``MEMORY_H`` hours, as hourly
observations do (Brett and Tuller, Journal of Applied Meteorology 30, 1991: correlation from hour to hour 0.85 to 0.95), and
by a smaller part within ten minutes. It has no seasons, no time of day and no relation to the simulated sun. What blows at an
instant follows from the seed alone. Heights, curve and air as windpowerlib computes them (its documentation: logarithmic
profile, linear interpolation of the power curve, density correction of IEC 61400-12-1).
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import msgspec

from photosynth.simulation.source_model import SourceModel, World
from photosynth.simulation.sun import air_temperature_c

if TYPE_CHECKING:
    from photosynth.energy.wind_turbine import Wind
    from photosynth.fleet import Site

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
GUST_MS = 600_000
MEMORY_H = 14
"""Hours after which the correlation of the wind with itself has fallen to 1/e: 0.93 from one hour to the next."""
_OLDEST_H = 6 * MEMORY_H
"""Hours that still weigh on now; what is older weighs less than a 400th."""
GUST_SHARE = 0.05
"""Part of the variance that changes within ten minutes."""
_STANDARD_K = 288.15
"""Temperature of the air that power curves are published for: 15 degrees Celsius, at sea level (IEC 61400-12-1)."""
_NORMAL = NormalDist()


class Turbine(msgspec.Struct, frozen=True):
    """One turbine and the wind at its place: ``curve`` are points of wind (mm/s) and power (W), rising in wind.

    ``mean_mm_s`` is the mean wind at ``height_mm``; heights and the roughness length in millimetres above ground.
    """

    id: str
    hub_height_mm: int
    curve: tuple[tuple[int, int], ...]
    mean_mm_s: int
    shape: float
    height_mm: int
    roughness_mm: int


def power_w(curve: tuple[tuple[int, int], ...], wind_mm_s: float) -> int:
    """What a turbine makes at a wind: on straight lines between the points, nothing below the first and above the last."""
    at = bisect_right(curve, wind_mm_s, key=lambda point: point[0])
    if at == 0 or wind_mm_s > curve[-1][0]:
        return 0
    if at == len(curve):
        return curve[-1][1]
    (low_mm_s, low_w), (high_mm_s, high_w) = curve[at - 1], curve[at]
    return round(low_w + (high_w - low_w) * (wind_mm_s - low_mm_s) / (high_mm_s - low_mm_s))


def air_factor(site_ms: int) -> float:
    """By how much the wind counts more in the air of a day than in standard air: the cube root of the densities' ratio.

    Air is denser in the cold (ideal gas at constant pressure); it changes from day to day and not within one.
    """
    day = datetime.fromtimestamp(site_ms // 86_400_000 * 86_400, UTC).date()
    return math.pow(_STANDARD_K / (273.15 + air_temperature_c(day, 8.0)), 1 / 3)


def wind_mm_s(turbine: Turbine, seed: int, site_ms: int) -> float:
    """Wind at the hub in the middle of the minute that an instant lies in."""
    at_ms = site_ms - site_ms % MINUTE_MS + MINUTE_MS // 2
    name = f"{seed}/wind/{turbine.id}"
    slow = _between(at_ms, HOUR_MS, lambda hour: _wandering(name, hour), math.exp(-1 / MEMORY_H))
    gust = _between(at_ms, GUST_MS, lambda step: _noise(f"{name}/gust", step), 0.0)
    place = _NORMAL.cdf(math.sqrt(1 - GUST_SHARE) * slow + math.sqrt(GUST_SHARE) * gust)
    calmer = min(place, 1 - 1e-12)
    return _scale_mm_s(turbine) * _rise(turbine) * math.pow(-math.log1p(-calmer), 1 / turbine.shape)


def generation_w(turbines: tuple[Turbine, ...], seed: int) -> Callable[[int], int]:
    """What turbines make together, by instant, in watts."""

    def watts(site_ms: int) -> int:
        factor = air_factor(site_ms)
        return sum(power_w(turbine.curve, factor * wind_mm_s(turbine, seed, site_ms)) for turbine in turbines)

    return watts


def _scale_mm_s(turbine: Turbine) -> float:
    """The distribution's scale, of which the mean is a multiple by its shape."""
    return turbine.mean_mm_s / math.gamma(1 + 1 / turbine.shape)


def _rise(turbine: Turbine) -> float:
    """How much more wind there is at the hub than at the height that the mean is for: the logarithmic profile."""
    return math.log(turbine.hub_height_mm / turbine.roughness_mm) / math.log(turbine.height_mm / turbine.roughness_mm)


def _between(at_ms: int, step_ms: int, value: Callable[[int], float], correlation: float) -> float:
    """A normal variable between two of its values, on a straight line that keeps its variance at one."""
    step, within_ms = divmod(at_ms, step_ms)
    later = within_ms / step_ms
    mixed = (1 - later) * value(step) + later * value(step + 1)
    variance = (1 - later) ** 2 + later**2 + 2 * later * (1 - later) * correlation
    return mixed / math.sqrt(variance)


@lru_cache(maxsize=1024)
def _wandering(name: str, hour: int) -> float:
    """A normal variable of unit variance by hour that forgets itself exponentially: a sum over the noise of the hours before."""
    keep = math.exp(-1 / MEMORY_H)
    total = sum(keep**age * _noise(name, hour - age) for age in range(_OLDEST_H))
    return total / math.sqrt((1 - keep ** (2 * _OLDEST_H)) / (1 - keep**2))


@lru_cache(maxsize=4096)
def _noise(name: str, step: int) -> float:
    """A normal variable of its own for each step, from the seed alone."""
    digest = blake2b(f"{name}/{step}".encode(), digest_size=8).digest()
    return _NORMAL.inv_cdf((int.from_bytes(digest, "big") + 0.5) / 2**64)


class WindGeneration:
    """Turbines of a simulated site: what they make at any instant is told at once."""

    def __init__(self, turbines: tuple[Turbine, ...], seed: int) -> None:
        self.watts = generation_w(turbines, seed)

    async def begin(self, first_ms: int, last_ms: int) -> None:
        """Nothing needs to be there before."""

    def ready_for(self, site_ms: int) -> bool:
        """Always."""
        return True

    async def close(self) -> None:
        """Nothing is under way."""


def turbine_of(name: str, source: "Wind", _: "Site") -> Turbine:
    """A declared turbine as the world process is told of it."""
    climate = source.climate
    return Turbine(
        id=name,
        hub_height_mm=source.hub_height_mm,
        curve=tuple((point.wind_mm_s, point.power_w) for point in source.power_curve.points),
        mean_mm_s=climate.mean_mm_s,
        shape=float(climate.shape),
        height_mm=climate.height_mm,
        roughness_mm=climate.roughness_mm,
    )


def _generation(plants: Sequence[Any], world: World) -> WindGeneration:
    return WindGeneration(msgspec.convert(plants, tuple[Turbine, ...]), world.seed)


MODEL = SourceModel(name="wind", tier="specification", plant=turbine_of, generation=_generation, follows="wind")
