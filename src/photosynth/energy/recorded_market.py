"""The electricity market, the sun and the wind of recorded days, from files of public sources with the year in their name.

``de_hourly_price_load_renewables_{year}.csv`` (UTC hours: day-ahead price in EUR/MWh, solar generation in MW; for wind also
all renewable generation in MW) suffices and wins. ``de_lu_hourly_dayahead_{year}.csv`` (local hours with zone names, ct/kWh)
only fills a price that the first has not, which is how the first hour of a year in Berlin, lying in the UTC year before, is
had from one year's files.
Quarter hours within an hour share its price. A missing hour is refused, with file and hour.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from photosynth.energy.market import day_ahead_published_ms
from photosynth.energy.prices import Prices, Tariff, cent_per_mwh
from photosynth.energy.recorded_files import RecordedDataError, exact, rows
from photosynth.quantities.instants import interval_start_ms, iso_utc, market_day_bounds_ms, market_day_of

HOUR_MS = 3_600_000
HOURLY_FILE = "de_hourly_price_load_renewables_{year}.csv"
DAY_AHEAD_FILE = "de_lu_hourly_dayahead_{year}.csv"
_PRICE, _SOLAR, _RENEWABLE = "day_ahead_price_eur_mwh", "solar_mw_avg", "renewable_generation_mw_avg"
_OFFSETS = {"CET": timezone(timedelta(hours=1)), "CEST": timezone(timedelta(hours=2))}


@dataclass(frozen=True)
class HourlyFile:
    """One year's hours by their start (ms): price in EUR/MWh, mean solar and other renewable generation in MW, exact."""

    path: Path
    price: dict[int, Fraction]
    solar: dict[int, Fraction]
    other: dict[int, Fraction]

    @cached_property
    def solar_maximum(self) -> Fraction:
        """The highest hourly mean of the year, which a plant's peak is scaled to. Raises RecordedDataError where all is dark."""
        maximum = max(self.solar.values(), default=Fraction(0))
        if maximum <= 0:
            raise RecordedDataError(f"{self.path}: {_SOLAR} is never above zero, so it cannot be scaled to a plant")
        return maximum

    @cached_property
    def wind(self) -> dict[int, Fraction]:
        """Wind by hour as a share of the year's highest. Raises RecordedDataError where nothing tells it.

        What is renewable and not solar is wind, water and biomass; the last two hardly change, so that the year's lowest
        hour is counted as theirs. Of Germany in 2024 that leaves 140 TWh, and energy-charts (Fraunhofer ISE) counts 136.
        """
        steady = min(self.other.values(), default=Fraction(0))
        highest = max(self.other.values(), default=Fraction(0)) - steady
        if highest <= 0:
            raise RecordedDataError(f"{self.path}: {_RENEWABLE} beyond {_SOLAR} never changes, so it tells nothing of the wind")
        return {hour_ms: (other - steady) / highest for hour_ms, other in self.other.items()}


def read_hourly_file(path: Path) -> HourlyFile:
    """Read an hourly file. Raises RecordedDataError on a garbled or repeated hour."""
    prices: dict[int, Fraction] = {}
    solar: dict[int, Fraction] = {}
    other: dict[int, Fraction] = {}
    seen: set[int] = set()
    for line, row in rows(path, ("timestamp_unix", _SOLAR, _PRICE), (_RENEWABLE,)):
        text = row["timestamp_unix"]
        if not (text.isascii() and text.isdecimal()) or len(text) > 12 or int(text) % 3600:
            raise RecordedDataError(f"{path}, line {line}: timestamp_unix is {text[:40]!r}, which does not start an hour")
        hour_ms = int(text) * 1000
        if hour_ms in seen:
            raise RecordedDataError(f"{path}, line {line}: the hour {iso_utc(hour_ms)} is there twice")
        seen.add(hour_ms)
        price, sun = exact(row[_PRICE], path, line, _PRICE), exact(row[_SOLAR], path, line, _SOLAR)
        if price is not None:
            prices[hour_ms] = price
        if sun is not None:
            solar[hour_ms] = max(sun, Fraction(0))
        renewable = exact(row[_RENEWABLE], path, line, _RENEWABLE)
        if renewable is not None and sun is not None:
            other[hour_ms] = max(renewable - sun, Fraction(0))
    return HourlyFile(path, prices, solar, other)


def read_day_ahead_file(path: Path) -> dict[int, Fraction]:
    """Prices (EUR/MWh) by hour start from a file in local time and ct/kWh. Raises RecordedDataError on a garbled hour."""
    prices: dict[int, Fraction] = {}
    for line, row in rows(path, ("sdate", "stimestart", "zone_start", "price")):
        text = f"{row['sdate']} {row['stimestart']}"
        try:
            start = datetime.strptime(text, "%d.%m.%Y %H:%M").replace(tzinfo=_OFFSETS[row["zone_start"]])
        except (ValueError, KeyError):
            raise RecordedDataError(f"{path}, line {line}: not a local hour in CET or CEST: {text[:40]!r}") from None
        price = exact(row["price"], path, line, "price")
        if price is not None:
            prices[int(start.timestamp()) * 1000] = price * 10
    return prices


@dataclass
class RecordedEnergy:
    """Recorded hours from a folder, read when first needed."""

    folder: Path
    _hourly: dict[int, HourlyFile | None] = field(init=False, repr=False, default_factory=dict)
    _day_ahead: dict[int, dict[int, Fraction]] = field(init=False, repr=False, default_factory=dict)

    def price(self, hour_ms: int) -> tuple[Fraction, str]:
        """The day-ahead price (EUR/MWh, exact) of an hour and the file it is from. Raises RecordedDataError."""
        file = self._hourly_file(hour_ms)
        if file is not None and hour_ms in file.price:
            return file.price[hour_ms], file.path.name
        for year in sorted({market_day_of(hour_ms).year, _utc_year(hour_ms)}):
            if year not in self._day_ahead:
                path = self.folder / DAY_AHEAD_FILE.format(year=year)
                self._day_ahead[year] = read_day_ahead_file(path) if path.exists() else {}
            if hour_ms in self._day_ahead[year]:
                return self._day_ahead[year][hour_ms], DAY_AHEAD_FILE.format(year=year)
        path = self.folder / HOURLY_FILE.format(year=_utc_year(hour_ms))
        what = "there is no such file to give a price for" if file is None else "no price in"
        raise RecordedDataError(
            f"{path}: {what} the hour {iso_utc(hour_ms)} (market day {market_day_of(hour_ms)}), "
            "nor has a day-ahead file beside it one; choose days that the files cover"
        )

    def solar_share(self, hour_ms: int, year: int) -> Fraction:
        """Mean solar generation of an hour as a share of the maximum in ``year``'s file (0 to 1, or a little beyond).

        The hour after local midnight is dark at these latitudes all year: it needs no file. Raises RecordedDataError.
        """
        yearly = self._needed(year)
        file = self._hourly_file(hour_ms)
        if file is not None and hour_ms in file.solar:
            return file.solar[hour_ms] / yearly.solar_maximum
        if market_day_of(hour_ms) != market_day_of(hour_ms - HOUR_MS):
            return Fraction(0)
        path = self.folder / HOURLY_FILE.format(year=_utc_year(hour_ms))
        raise RecordedDataError(
            f"{path}: no solar generation in the hour {iso_utc(hour_ms)} (market day {market_day_of(hour_ms)})"
        )

    def wind_share(self, hour_ms: int, year: int) -> Fraction:
        """Mean wind generation of an hour as a share of the maximum in ``year``'s file (0 to 1).

        The first hour of a year in Berlin lies in the file of the year before; without that it is the next hour's.
        Raises RecordedDataError.
        """
        wind = self._needed(year).wind
        if hour_ms in wind:
            return wind[hour_ms]
        before = self._hourly_file(hour_ms)
        if before is not None and hour_ms in before.wind:
            return before.wind[hour_ms]
        if _utc_year(hour_ms) < year and hour_ms + HOUR_MS in wind:
            return wind[hour_ms + HOUR_MS]
        path = self.folder / HOURLY_FILE.format(year=_utc_year(hour_ms))
        raise RecordedDataError(f"{path}: no {_RENEWABLE} in the hour {iso_utc(hour_ms)} (market day {market_day_of(hour_ms)})")

    def _needed(self, year: int) -> HourlyFile:
        file = self._hourly_file_of(year)
        if file is None:
            path = self.folder / HOURLY_FILE.format(year=year)
            raise RecordedDataError(f"{path}: there is no such file; days of {year} need it")
        return file

    def _hourly_file(self, hour_ms: int) -> HourlyFile | None:
        return self._hourly_file_of(_utc_year(hour_ms))

    def _hourly_file_of(self, year: int) -> HourlyFile | None:
        if year not in self._hourly:
            path = self.folder / HOURLY_FILE.format(year=year)
            self._hourly[year] = read_hourly_file(path) if path.exists() else None
        return self._hourly[year]


def _utc_year(hour_ms: int) -> int:
    return int(iso_utc(hour_ms)[:4])


@dataclass
class RecordedMarket:
    """The prices of recorded days with a tariff's components on top."""

    tariff: Tariff
    energy: RecordedEnergy
    _known: dict[int, Prices] = field(init=False, repr=False, default_factory=dict)

    def prices(self, instant_ms: int) -> Prices:
        """The prices of the quarter hour that an instant lies in. Raises RecordedDataError naming file and hour."""
        start = interval_start_ms(instant_ms)
        if start not in self._known:
            spot, source = self.energy.price(start - start % HOUR_MS)
            published = day_ahead_published_ms(market_day_of(start))
            self._known[start] = self.tariff.prices(start, cent_per_mwh(spot), source, published)
        return self._known[start]

    def check(self, day: date) -> None:
        """Make sure that every price of a day is there before anything starts. Raises RecordedDataError."""
        start, end = market_day_bounds_ms(day)
        for at_ms in range(start, end, HOUR_MS):
            self.prices(at_ms)
