"""The market part of a fleet file: what a kilowatt-hour costs and earns beyond the spot price, item by item."""

from typing import Annotated, Literal

from pydantic import Field

from photosynth.energy.market_kind import MARKETS
from photosynth.fleet.by_name import ByName
from photosynth.settings.part import Part
from photosynth.settings.units import DemandPrice, EnergyPrice
from photosynth.settings.values import Day, Text


class PriceComponent(Part):
    """One component of the price of a bought kilowatt-hour, net of VAT."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    """Its name in the books: small letters, digits and underscores."""
    price_cent_per_mwh: EnergyPrice
    """Added to the spot price; may be negative."""
    source: Text
    """Where the figure comes from."""
    date: Day
    """Since when it holds."""


class DemandCharge(Part):
    """What the highest quarter hour of import costs."""

    price_cent_per_kw: DemandPrice
    """Charged for each kilowatt of the period's highest quarter-hour mean."""
    period: Literal["year", "month"]
    """How long a peak counts."""
    source: Text
    """Where the figure comes from."""
    date: Day
    """Since when it holds."""


class Premium(Part):
    """What fed-in energy earns above the spot price."""

    price_cent_per_mwh: EnergyPrice
    """Added to the spot price."""
    rule: Literal["none_at_negative_price", "always"]
    """When it is paid: plants commissioned since 25 February 2025 get none in a quarter hour with a negative price."""
    source: Text
    """Where the figure comes from."""
    date: Day
    """Since when it holds."""


class MarketingFee(Part):
    """What the direct marketer keeps."""

    price_cent_per_mwh: EnergyPrice
    """Taken off the spot price."""
    source: Text
    """Where the figure comes from."""
    date: Day
    """Since when it holds."""


class ExportTerms(Part):
    """What fed-in energy earns beside the spot price."""

    premium: Premium | None = None
    """The market premium; leave it out where there is none."""
    marketing_fee: MarketingFee | None = None
    """The direct marketer's fee; leave it out where there is none."""


class MarketPart(Part):
    """Where prices come from and what is added to them."""

    kind: str
    """Source of the spot price. Recorded days are chosen on the command line with --replay."""
    import_components: Annotated[tuple[PriceComponent, ...], Field(alias="import", max_length=50)]
    """Each component of a bought kilowatt-hour beside the spot price."""
    demand_charge: DemandCharge | None = None
    """Price of the highest import; leave it out where the tariff has none."""
    export: ExportTerms = ExportTerms()
    """What fed-in energy earns."""


Market = Annotated[MarketPart, ByName("kind", "kind of market", MARKETS)]
"""The market of a site."""
