"""The sun on a tilted roof: pvlib's clear sky, the module's temperature, and a seeded cloud process.

pvlib brings pandas and scipy, which no long-lived process shall carry. So a day (UTC) is computed by a short-lived child,
``python -m photosynth.simulation.sun``, which reads one JSON line (:class:`SunRequest`) from standard input and writes whole
watts for each minute to a file. Everything else here is light: reading that file, asking for it, naming it.
"""

import asyncio
import math
import random
import sys
from datetime import date, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from photosynth.files.whole import write_whole
from photosynth.simulation.source_model import SourceModelError

MINUTES = 1440
TURBIDITY = {False: 4.0, True: 2.8}
"""Linke turbidity of hazy and of clear air in Central Europe (pvlib's clear-sky documentation)."""
LOSSES = 0.88
"""What soiling, wiring, mismatch and the inverter leave (PVWatts' defaults, 14 %, less what temperature takes)."""
PER_KELVIN = -0.0035
"""Loss of a crystalline module per kelvin above 25 degrees Celsius (PVWatts)."""


class SunError(SourceModelError):
    """A day's sun could not be computed; the message says why."""


class Panels(msgspec.Struct, frozen=True):
    """One photovoltaic plant. ``peak_w`` is direct current at standard conditions; ``inverter_w`` caps what comes out."""

    latitude: float
    longitude: float
    tilt_deg: float
    azimuth_deg: float
    peak_w: int
    inverter_w: int


class SunRequest(msgspec.Struct, frozen=True):
    """What the child is asked: a day's generation of some plants under one sky, written to ``path``."""

    panels: tuple[Panels, ...]
    seed: int
    day: date
    bright: bool
    path: str


class SunDay(msgspec.Struct, frozen=True):
    """What the child wrote: whole watts by minute of the UTC day."""

    day: date
    watts: tuple[int, ...]


def day_path(folder: Path, panels: tuple[Panels, ...], seed: int, day: date) -> Path:
    """The file of a day; its name holds what the day was computed from."""
    key = blake2b(msgspec.json.encode((panels, seed)), digest_size=6).hexdigest()
    return folder / f"sun-{day.isoformat()}-{key}.json"


def read_day(path: Path) -> SunDay | None:
    """A day's watts; None where the file is missing or not whole."""
    try:
        day = msgspec.json.decode(path.read_bytes(), type=SunDay)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return day if len(day.watts) == MINUTES else None


async def compute_day(request: SunRequest, timeout_s: float = 60) -> SunDay:
    """Have a child compute a day. Raises SunError where it fails or takes too long."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "photosynth.simulation.sun"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout_s):
            _, errors = await child.communicate(msgspec.json.encode(request))
    except BaseException as error:
        if child.returncode is None:
            child.kill()
            await child.wait()
        if isinstance(error, TimeoutError):
            raise SunError(f"computing the sun of {request.day} took longer than {timeout_s:.0f} s") from error
        raise
    day = read_day(Path(request.path))
    if child.returncode != 0 or day is None:
        tail = errors.decode(errors="replace").strip().splitlines()[-1:]
        raise SunError(f"computing the sun of {request.day} failed: {tail[0] if tail else 'no message'}")
    return day


def clouds(seed: int, day: date, bright: bool) -> list[float]:
    """The share of the clear sky's light that comes through, by minute of the day; smooth over minutes.

    A bright day has a thin veil and a few soft clouds; a dull one a thick, slowly changing cover.
    """
    rng = random.Random(f"{seed}/clouds/{day.isoformat()}")
    base = rng.uniform(0.96, 1.0) if bright else rng.uniform(0.22, 0.55)
    dips = [
        (rng.uniform(0, MINUTES), rng.uniform(12, 30), rng.uniform(0.04, 0.16) if bright else rng.uniform(-0.3, 0.4))
        for _ in range(rng.randint(5, 10) if bright else rng.randint(14, 30))
    ]
    sky = []
    for minute in range(MINUTES):
        light = base
        for centre, width, depth in dips:
            distance = (minute - centre) / width
            if -4 < distance < 4:
                light *= 1 - depth * math.exp(-distance * distance / 2)
        sky.append(min(1.0, max(0.05, light)))
    return sky


def clear_sky_w(panels: Panels, day: date, clear_air: bool) -> list[float]:
    """A plant's power under a cloudless sky by minute (middle of the minute, UTC), in watts. Imports pvlib and pandas."""
    import pandas as pd
    import pvlib

    times = pd.date_range(pd.Timestamp(day, tz="UTC") + pd.Timedelta(seconds=30), periods=MINUTES, freq="1min")
    location = pvlib.location.Location(panels.latitude, panels.longitude, tz="UTC", altitude=280)
    sun: Any = location.get_solarposition(times)
    sky: Any = location.get_clearsky(times, model="ineichen", solar_position=sun, linke_turbidity=TURBIDITY[clear_air])
    light: Any = pvlib.irradiance.get_total_irradiance(
        surface_tilt=panels.tilt_deg,
        surface_azimuth=panels.azimuth_deg,
        solar_zenith=sun["apparent_zenith"],
        solar_azimuth=sun["azimuth"],
        dni=sky["dni"],
        ghi=sky["ghi"],
        dhi=sky["dhi"],
        dni_extra=pvlib.irradiance.get_extra_radiation(times),
        model="haydavies",
    )["poa_global"].fillna(0)
    air_c = [air_temperature_c(day, minute / 60) for minute in range(MINUTES)]
    cells_c: Any = pvlib.temperature.faiman(light, pd.Series(air_c, index=times), wind_speed=2.0)
    power: Any = pvlib.pvsystem.pvwatts_dc(light, cells_c, panels.peak_w, PER_KELVIN)
    return [float(watts) for watts in (power.clip(lower=0) * LOSSES)]


def air_temperature_c(day: date, hour_utc: float) -> float:
    """A mild Central European day: the season's mean and five degrees up and down over the day."""
    season = 9.5 - 9.5 * math.cos(2 * math.pi * (day.timetuple().tm_yday - 20) / 365)
    return season + 5 * math.sin(2 * math.pi * (hour_utc - 8) / 24)


def make_day(request: SunRequest) -> SunDay:
    """Compute a day in this process; what the child does."""
    total = [0] * MINUTES
    sky = clouds(request.seed, request.day, request.bright)
    for panels in request.panels:
        clear = clear_sky_w(panels, request.day, request.bright)
        for minute in range(MINUTES):
            total[minute] += min(panels.inverter_w, round(clear[minute] * sky[minute]))
    return SunDay(request.day, tuple(total))


def forget_old_days(folder: Path, today: date) -> None:
    """Remove the files of days before yesterday."""
    for path in folder.glob("sun-????-??-??-*.json"):
        if path.name[4:14] < (today - timedelta(days=1)).isoformat():
            path.unlink(missing_ok=True)


def main() -> None:
    """Read one request, write one day, whole or not at all."""
    request = msgspec.json.decode(sys.stdin.buffer.read(1 << 20), type=SunRequest)
    path = Path(request.path)
    write_whole(path, msgspec.json.encode(make_day(request)), durable=False)


if __name__ == "__main__":
    main()
