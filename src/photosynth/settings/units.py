"""Quantities as text with a unit, turned into exact integers: ``400 kW`` is 400000 watts and nothing is rounded.

Each :class:`Dimension` knows which units are right for it, so that a wrong one can be answered with the right ones.
"""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

_QUANTITY = re.compile(r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)) *(?P<unit>[A-Za-z][A-Za-z/%]*)?")
_LONGEST = 40
LARGEST = 2**53
"""No quantity of a fleet file is larger in its base unit; beyond this a browser would lose digits (ECMA-262, 6.1.6.1)."""


def mistake(what: str, how_to_mend: str, at: str | None = None) -> PydanticCustomError:
    """A mistake with its mend, as the models raise it; ``at`` names the key inside a mapping that is to blame."""
    return PydanticCustomError("fleet", "{what}", {"what": what, "mend": how_to_mend, "at": at or ""})


@dataclass(frozen=True, slots=True)
class Dimension:
    """One kind of quantity: its name, its units as multiples of the base unit, and an example to write it like."""

    name: str
    base: str
    units: dict[str, Fraction] = field(hash=False)
    example: str
    signed: bool = False
    zero: bool = True

    def parse(self, value: object) -> int:
        """The quantity in base units. Raises PydanticCustomError where it is not one, saying how to write it."""
        match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= _LONGEST else None
        number, unit = (match["number"], match["unit"]) if match else (None, None)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            number = format(Decimal(value), "f") if -LARGEST <= value <= LARGEST else None
        if number is None:
            comma = isinstance(value, str) and "," in value
            raise mistake(
                f"{shown(value)} is not {self.name} with its unit",
                f"Write it like `{self.example}`" + (", with a point before decimals and no thousands mark" if comma else ""),
            )
        if unit is None:
            raise mistake(f"{self.name} has no unit", f"Write `{number} {self._likely_unit()}` or another of {self.unit_list()}")
        if unit not in self.units:
            raise mistake(f"{unit} is not a unit of {self.name}", self._mend_unit(number, unit))
        amount = Fraction(number) * self.units[unit]
        self._check(number, unit, amount)
        return int(amount)

    def unit_list(self) -> str:
        """The units that are right, for a message or the reference."""
        return ", ".join(self.units)

    def _check(self, number: str, unit: str, amount: Fraction) -> None:
        if amount < 0 and not self.signed:
            raise mistake(f"{self.name} cannot be negative", f"Write `{number.lstrip('-')} {unit}` or correct the number")
        if amount == 0 and not self.zero:
            raise mistake(f"{self.name} must be more than zero here", f"Write it like `{self.example}`")
        if amount.denominator != 1:
            raise mistake(f"{self.name} is counted in whole {self.base}", f"Round `{number} {unit}` to whole {self.base}")
        if abs(amount) > LARGEST:
            raise mistake(f"{self.name} of {number} {unit} is beyond any site", f"Write it like `{self.example}`")

    def _likely_unit(self) -> str:
        return self.example.split()[1]

    def _mend_unit(self, number: str, unit: str) -> str:
        for right in self.units:
            if right.lower() == unit.lower():
                return f"Write `{number} {right}`: capitals matter in units"
        other = next((d.name for d in ALL if unit in d.units), None)
        because = f"{unit} measures {other}: w" if other else "W"
        return f"{because}rite {self.unit_list()}, as in `{self.example}`"


def shown(value: object) -> str:
    """A value of a file as a message quotes it: short, on one line."""
    if isinstance(value, str | int | Decimal):
        text = " ".join(str(value)[: _LONGEST + 1].split())
        return f"`{text[:_LONGEST]}`" + ("..." if len(text) > _LONGEST else "")
    return {tuple: "a list", dict: "a mapping", type(None): "an empty value"}.get(type(value), "this")


def _powers(unit: str, prefixes: str, first: int = 0) -> dict[str, Fraction]:
    """A unit with SI prefixes, 1000 apart; a space stands for no prefix."""
    return {prefix.strip() + unit: Fraction(1000) ** (first + step) for step, prefix in enumerate(prefixes)}


POWER = Dimension("a power", "watts", _powers("W", " kMG"), "400 kW")
POSITIVE_POWER = Dimension("a power", "watts", _powers("W", " kMG"), "400 kW", zero=False)
PEAK_POWER = Dimension("a peak power", "watts", _powers("Wp", " kMG"), "600 kWp", zero=False)
ENERGY = Dimension(
    "an energy", "joules", {"J": Fraction(1), **{u: f * 3600 for u, f in _powers("Wh", " kM").items()}}, "100 Wh", zero=False
)
DURATION = Dimension(
    "a time", "seconds", {"s": Fraction(1), "min": Fraction(60), "h": Fraction(3600), "d": Fraction(86400)}, "600 s"
)
POSITIVE_DURATION = Dimension("a time", "seconds", DURATION.units, "600 s", zero=False)
HASH_RATE = Dimension("a hash rate", "hashes per second", _powers("H/s", " kMGTP"), "200 TH/s", zero=False)
ENERGY_PRICE = Dimension(
    "a price of energy",
    "cents per MWh",
    {"EUR/MWh": Fraction(100), "EUR/kWh": Fraction(100_000), "ct/kWh": Fraction(1000)},
    "29.46 EUR/MWh",
    signed=True,
)
DEMAND_PRICE = Dimension("a price of power", "cents per kW", {"EUR/kW": Fraction(100)}, "128.00 EUR/kW")
COIN_PRICE = Dimension("a price of a coin", "cents per BTC", {"EUR/BTC": Fraction(100)}, "59300.00 EUR/BTC", zero=False)
MONEY = Dimension("an amount of money", "micro-EUR", {"EUR": Fraction(1_000_000), "ct": Fraction(10_000)}, "0.05 EUR")
COINS = Dimension("an amount of bitcoin", "satoshis", {"sat": Fraction(1), "BTC": Fraction(100_000_000)}, "2000000 sat")
ANGLE = Dimension("an angle", "thousandths of a degree", {"deg": Fraction(1000)}, "12 deg")
SPEED = Dimension("a speed of wind", "millimetres per second", {"m/s": Fraction(1000)}, "7.0 m/s", zero=False)
LENGTH = Dimension("a length", "millimetres", {"m": Fraction(1000)}, "45 m", zero=False)
ALL = (
    *(POWER, PEAK_POWER, ENERGY, DURATION, HASH_RATE, ENERGY_PRICE, DEMAND_PRICE, COIN_PRICE, MONEY, COINS, ANGLE),
    *(SPEED, LENGTH),
)

Watts = Annotated[int, BeforeValidator(POWER.parse)]
PositiveWatts = Annotated[int, BeforeValidator(POSITIVE_POWER.parse)]
PeakWatts = Annotated[int, BeforeValidator(PEAK_POWER.parse)]
Joules = Annotated[int, BeforeValidator(ENERGY.parse)]
Seconds = Annotated[int, BeforeValidator(DURATION.parse)]
PositiveSeconds = Annotated[int, BeforeValidator(POSITIVE_DURATION.parse)]
HashRate = Annotated[int, BeforeValidator(HASH_RATE.parse)]
EnergyPrice = Annotated[int, BeforeValidator(ENERGY_PRICE.parse)]
DemandPrice = Annotated[int, BeforeValidator(DEMAND_PRICE.parse)]
CoinPrice = Annotated[int, BeforeValidator(COIN_PRICE.parse)]
Money = Annotated[int, BeforeValidator(MONEY.parse)]
Satoshis = Annotated[int, BeforeValidator(COINS.parse)]
Angle = Annotated[int, BeforeValidator(ANGLE.parse)]
Speed = Annotated[int, BeforeValidator(SPEED.parse)]
Length = Annotated[int, BeforeValidator(LENGTH.parse)]
