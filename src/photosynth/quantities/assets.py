"""What the books count: coins, money and energy, each in whole base units, with the digits that its own unit has.

An amount is an integer of base units (satoshis, wei, micro-EUR); people read it in the asset's unit. Nothing is rounded.
"""

import re
from dataclasses import dataclass

_CODE = re.compile(r"[A-Z][A-Z0-9]{0,15}")
_AMOUNT = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")
MOST_DIGITS = 4000
"""Digits of an amount at most: Python itself reads and writes no more than 4,300 (``sys.get_int_max_str_digits``)."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset: ``decimals`` digits after the mark make a unit of base units; ``network`` is None where it is on none.

    Raises ValueError where the code is none or the decimals are negative.
    """

    code: str
    name: str
    network: str | None
    base_unit: str
    decimals: int

    def __post_init__(self) -> None:
        if not is_code(self.code):
            raise ValueError(f"{self.code!r} is no code of an asset: write capitals and digits, like ETH")
        if self.decimals < 0:
            raise ValueError(f"asset {self.code} has {self.decimals} decimals: write 0 or more")

    def format(self, amount: int) -> str:
        """An amount of base units in the asset's unit, with all its digits: -1.500000 of -1,500,000 micro-EUR."""
        digits = str(abs(amount)).rjust(self.decimals + 1, "0")
        whole, part = digits[: len(digits) - self.decimals], digits[len(digits) - self.decimals :]
        return ("-" if amount < 0 else "") + whole + ("." + part if part else "")

    def parse(self, text: str) -> int:
        """The base units of an amount in the asset's unit, like ``1.5`` or ``-0.000001``; no exponent, no marks in between.

        Raises ValueError where it is none, or has more digits than the asset has: nothing is rounded.
        """
        found = _AMOUNT.fullmatch(text) if len(text) <= MOST_DIGITS else None
        if found is None:
            raise ValueError(f"{text[:40]!r} is no amount of {self.code}: write digits and a point, like 1.5")
        sign, whole, part = found[1], found[2], found[3] or ""
        if len(part.rstrip("0")) > self.decimals:
            raise ValueError(f"{text[:40]} has more than the {self.decimals} decimals of {self.code} ({self.base_unit})")
        amount = int(whole + part[: self.decimals].ljust(self.decimals, "0"))
        return -amount if sign else amount


def known(code: str) -> Asset:
    """The asset that this program knows by a code; of any other, one that is counted in its base units."""
    return _BY_CODE.get(code) or Asset(code, code, None, f"base unit of {code}", 0)


def is_code(text: str) -> bool:
    """Whether a text may be an asset's code: a capital, then capitals and digits, 16 at most."""
    return _CODE.fullmatch(text) is not None


BTC = "BTC"
EUR = "EUR"
J = "J"

TOO_LARGE = 10**MOST_DIGITS
"""An amount is less; so no sum of amounts comes near to what Python refuses to write."""

ASSETS: tuple[Asset, ...] = (
    Asset(BTC, "Bitcoin", "bitcoin", "satoshi", 8),
    Asset("CELO", "Celo", "celo", "wei", 18),
    Asset("DOT", "Polkadot", "polkadot", "planck", 10),
    Asset("ETH", "Ether", "ethereum", "wei", 18),
    Asset(EUR, "Euro", None, "micro-EUR", 6),
    Asset("FLOW", "Flow", "flow", "10^-8 FLOW", 8),
    Asset(J, "Energy in joules", None, "joule", 0),
    Asset("LINK", "Chainlink", "ethereum", "juel", 18),
    Asset("Q", "Q", "q", "wei", 18),
)
"""Those that every journal has from its first day; others are rows that are added.

Sources: BIP 176 and Bitcoin Core ``COIN``; Ethereum yellow paper, 2.1; Polkadot wiki, "Planck unit" (since redenomination 10
digits); Cadence ``UFix64`` (8 digits); ERC-20 ``decimals`` of LINK; Celo's and Q's native coins count as ether does.
"""
_BY_CODE = {asset.code: asset for asset in ASSETS}
