"""Numbers as people read them: grouped, with SI prefix, unit, sign and age, in the English or the German habit.

Every method takes None for what is not known and answers ``unknown``: neither zero nor healthy.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from photosynth.quantities import format as fmt
from photosynth.quantities.assets import Asset
from photosynth.quantities.instants import INTERVAL_S, MARKET_ZONE
from photosynth.quantities.value import JOULES_PER_KWH, UEUR_PER_EUR

UNKNOWN = fmt.UNKNOWN
MINUS = "\N{MINUS SIGN}"
NBSP = "\N{NO-BREAK SPACE}"
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def preferred_locale(accept_language: str, chosen: str | None = None) -> str:
    """``de`` or ``en``: the reader's choice, else the better liked of the two in an Accept-Language header, else ``en``."""
    if chosen in ("de", "en"):
        return chosen
    best, best_weight = "en", 0.0
    for part in accept_language[:500].split(","):
        tag, _, quality = part.strip().partition(";")
        try:
            weight = float(quality.strip().removeprefix("q=")) if quality else 1.0
        except ValueError:
            continue
        language = tag.strip().lower().partition("-")[0]
        if language in ("de", "en") and weight > best_weight:
            best, best_weight = language, weight
    return best


@dataclass(frozen=True)
class Numbers:
    """The habit of one reader."""

    locale: str = "en"
    zone: ZoneInfo = MARKET_ZONE
    """Where the clocks hang: the site's zone, whatever the reader's is."""

    @property
    def _style(self) -> fmt.Style:
        return fmt.style_of_locale(self.locale)

    def integer(self, value: int | str | None) -> str:
        """Every digit, grouped in thousands."""
        return fmt.count(None if value is None else int(value), self._style).replace("-", MINUS)

    def decimal(self, value: Fraction | float | None, digits: int) -> str:
        """A number with so many digits after the mark, rounded half to even."""
        return fmt.decimal(None if value is None else Fraction(value), digits, self._style).replace("-", MINUS)

    def parts(self, value: int | str | None, unit: str) -> tuple[str, str]:
        """Number and unit with the SI prefix that leaves three digits."""
        if value is None:
            return UNKNOWN, ""
        number, _, with_unit = fmt.prefixed(int(value), unit, self._style).partition(" ")
        return number.replace("-", MINUS), with_unit

    def si(self, value: int | str | None, unit: str) -> str:
        """The same as one text."""
        number, with_unit = self.parts(value, unit)
        return f"{number}{NBSP}{with_unit}" if with_unit else number

    def kilowatts(self, value_w: int | None) -> str:
        """Power in kW with one digit, so that the figures of one picture compare."""
        return UNKNOWN if value_w is None else f"{self.decimal(Fraction(value_w, 1000), 1)}{NBSP}kW"

    def price(self, cent_per_mwh: int | None) -> str:
        """A price of energy in EUR/MWh."""
        return UNKNOWN if cent_per_mwh is None else f"{self.decimal(Fraction(cent_per_mwh, 100), 2)}{NBSP}EUR/MWh"

    def amount(self, value: int | str, asset: Asset) -> str:
        """Base units of an asset in its own unit with every digit, without the unit."""
        return self.decimal(Fraction(int(value), 10**asset.decimals), asset.decimals)

    def eur(self, value_ueur: int | None, digits: int = 2) -> str:
        """Money in EUR from micro-EUR, without the unit."""
        return self.decimal(None if value_ueur is None else Fraction(value_ueur, UEUR_PER_EUR), digits)

    def kwh(self, value_j: int | None, digits: int = 2) -> str:
        """Energy in kWh from joules, without the unit."""
        return self.decimal(None if value_j is None else Fraction(value_j, JOULES_PER_KWH), digits)

    def percent(self, share: float | None, digits: int = 1) -> str:
        """A share of one in percent."""
        return UNKNOWN if share is None else f"{self.decimal(share * 100, digits)}{NBSP}%"

    def power_of_ten(self, value: int | str) -> str:
        """A count too long to read, such as hashes: 2.35 x 10^18; short counts in full."""
        number = int(value)
        if abs(number) < 10**7:
            return self.integer(number)
        exponent = len(str(abs(number))) - 1
        return f"{self.decimal(Fraction(number, 10**exponent), 2)} × 10{str(exponent).translate(_SUPERSCRIPT)}"

    def span(self, seconds: float | None) -> str:
        """A length of time in its two largest units: 42 s, 7 min 3 s, 3 h 5 min, 12 d 3 h."""
        return fmt.duration(None if seconds is None else int(seconds)).replace(" ", NBSP)

    def age(self, now_ms: int, at_ms: int | None) -> str:
        """How old a value is."""
        return "never observed" if at_ms is None else f"{self.span((now_ms - at_ms) / 1000)} ago"

    def clock(self, at_ms: int | None, *, seconds: bool = False) -> str:
        """The time of day at the site, for where its zone is named beside it."""
        if at_ms is None:
            return UNKNOWN
        return datetime.fromtimestamp(at_ms / 1000, self.zone).strftime("%H:%M:%S" if seconds else "%H:%M")

    def date(self, at_ms: int | None) -> str:
        """The day at the site: 14 Jun 2026, or 14.06.2026."""
        if at_ms is None:
            return UNKNOWN
        return datetime.fromtimestamp(at_ms / 1000, self.zone).strftime("%d.%m.%Y" if self.locale == "de" else "%d %b %Y")

    def moment(self, at_ms: int | None) -> str:
        """Day and time at the site, for where its zone is named beside it."""
        return UNKNOWN if at_ms is None else f"{self.date(at_ms)} {self.clock(at_ms, seconds=True)}"

    def worked(self, from_ms: int, duration_s: int) -> str:
        """When work was done: the time of day of a quarter hour, the day (UTC) of older work, what lies before a day."""
        if duration_s == INTERVAL_S:
            return self.clock(from_ms)
        day = datetime.fromtimestamp(from_ms // 1000 or duration_s, UTC).strftime(
            "%d.%m.%Y" if self.locale == "de" else "%d %b %Y"
        )
        return day if from_ms else f"before {day}" if duration_s else "earlier"

    def instant(self, at_ms: int | None) -> str:
        """Day, time and zone: 14 Jun 2026 11:00:00 CEST."""
        return UNKNOWN if at_ms is None else f"{self.moment(at_ms)} {self.zone_name(at_ms)}"

    def zone_name(self, at_ms: int) -> str:
        """What the site's zone is called then: CEST."""
        return datetime.fromtimestamp(at_ms / 1000, self.zone).tzname() or self.zone.key
