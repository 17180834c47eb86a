"""What a kilowatt-hour costs and fetches, item by item, in whole cent per megawatt-hour, net of VAT."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from photosynth.energy.import_peak import DemandPeriod

PremiumRule = Literal["none_at_negative_price", "always"]
"""When a market premium is paid. ``none_at_negative_price``: not in a quarter hour with a negative spot price, as for German
plants commissioned since 25 February 2025 (section 51 EEG)."""


def cent_per_mwh(eur_per_mwh: Decimal | Fraction | str) -> int:
    """A price in EUR/MWh as whole cents per megawatt-hour, rounded half to even; exact, no float between."""
    return round(Fraction(eur_per_mwh) * 100)


@dataclass(frozen=True, slots=True)
class PriceComponent:
    """One item of a price: what it is called, cent per MWh, and where that comes from."""

    name: str
    cent_per_mwh: int
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a site pays on top of the spot price and gets beside it; the demand charge is cent per kW of a period's peak."""

    import_components: tuple[PriceComponent, ...]
    premium_cent_per_mwh: int
    premium_rule: PremiumRule
    marketing_fee_cent_per_mwh: int
    demand_charge_cent_per_kw: int = 0
    demand_period: DemandPeriod = "year"

    def premium_at(self, spot_cent_per_mwh: int) -> int:
        """The market premium (cent/MWh) in a quarter hour with this spot price."""
        if self.premium_rule == "none_at_negative_price" and spot_cent_per_mwh < 0:
            return 0
        return self.premium_cent_per_mwh

    def prices(self, interval_start_ms: int, spot_cent_per_mwh: int, source: str, published_ms: int | None) -> "Prices":
        """Every price of a quarter hour from its spot price."""
        components = {"spot": spot_cent_per_mwh}
        for item in self.import_components:
            components[item.name] = components.get(item.name, 0) + item.cent_per_mwh
        return Prices(
            interval_start_ms=interval_start_ms,
            spot_cent_per_mwh=spot_cent_per_mwh,
            import_components=components,
            premium_cent_per_mwh=self.premium_at(spot_cent_per_mwh),
            marketing_fee_cent_per_mwh=self.marketing_fee_cent_per_mwh,
            source=source,
            published_ms=published_ms,
        )


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of one quarter hour (cent/MWh). ``import_components`` has every item of a bought MWh, ``spot`` first."""

    interval_start_ms: int
    spot_cent_per_mwh: int
    import_components: dict[str, int]
    premium_cent_per_mwh: int
    marketing_fee_cent_per_mwh: int
    source: str
    published_ms: int | None

    @property
    def import_cent_per_mwh(self) -> int:
        """What a bought megawatt-hour costs, every component included."""
        return sum(self.import_components.values())

    @property
    def export_cent_per_mwh(self) -> int:
        """What a fed-in megawatt-hour fetches net: spot + premium - marketing fee; may be negative."""
        return self.spot_cent_per_mwh + self.premium_cent_per_mwh - self.marketing_fee_cent_per_mwh
