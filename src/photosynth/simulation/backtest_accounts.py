"""What a backtest adds up: energy in joules and money in micro-EUR, per quarter hour by the rules of the books."""

from dataclasses import dataclass, field, fields

from photosynth.energy.coin_market import CoinQuote
from photosynth.energy.prices import Prices, Tariff
from photosynth.quantities.balance import Allocation, Energies, forgone_export_j, mining_part
from photosynth.quantities.instants import INTERVAL_S
from photosynth.quantities.value import JOULES_PER_KWH, coins_value_ueur, divide_half_even, energy_value_ueur
from photosynth.simulation.backtest_report import EnergyJoules, EnergyKwh, Money, Outcome


@dataclass
class Account:
    """Sums over a day or over all days; :meth:`outcome` shows them."""

    tariff: Tariff
    generated: int = 0
    factory: int = 0
    mined: int = 0
    exported: int = 0
    imported: int = 0
    residual: int = 0
    curtailed: int = 0
    own_factory: int = 0
    own_mining: int = 0
    grid_factory: int = 0
    grid_mining: int = 0
    standby_import: int = 0
    import_for_mining: int = 0
    export_spot: int = 0
    export_premium: int = 0
    marketing_fee: int = 0
    forgone_export: int = 0
    expected_mining: int = 0
    start_cost: int = 0
    work_hashes: int = 0
    expected_sat: int = 0
    starts: int = 0
    import_peak_w: int = 0
    components: dict[str, int] = field(default_factory=dict)

    def interval(
        self, energy: Energies, shares: Allocation, curtailed_j: int, prices: Prices, *, connection_w: int, standby_w: int
    ) -> None:
        """Add a quarter hour. ``standby_w`` is what all machines draw asleep."""
        self.generated += energy.own_j
        self.factory += energy.factory_j
        self.mined += energy.mining_j
        self.exported += energy.export_j
        self.imported += energy.import_j
        self.residual += energy.residual_j
        self.curtailed += curtailed_j
        self.own_factory += shares.own_factory_j
        self.own_mining += shares.own_mining_j
        self.grid_factory += shares.grid_factory_j
        self.grid_mining += shares.grid_mining_j
        self.standby_import += min(shares.grid_mining_j, standby_w * INTERVAL_S)
        for name, cent in prices.import_components.items():
            cost = energy_value_ueur(energy.import_j, cent) if energy.import_j else 0
            self.components[name] = self.components.get(name, 0) + cost
            self.import_for_mining += mining_part(cost, energy, shares)
        self.export_spot += energy_value_ueur(energy.export_j, prices.spot_cent_per_mwh)
        self.export_premium += energy_value_ueur(energy.export_j, prices.premium_cent_per_mwh)
        self.marketing_fee += energy_value_ueur(energy.export_j, prices.marketing_fee_cent_per_mwh)
        forgone_j = forgone_export_j(shares.own_mining_j, energy.export_j, connection_w, INTERVAL_S)
        self.forgone_export += energy_value_ueur(forgone_j, max(0, prices.export_cent_per_mwh))
        self.import_peak_w = max(self.import_peak_w, energy.import_j // INTERVAL_S)

    def close(self, quote: CoinQuote, starts: int, start_cost_ueur: int) -> None:
        """Close a day: what its work earns at the day's quote, and its starts."""
        self.expected_sat = quote.expected_sat(self.work_hashes)
        self.expected_mining = coins_value_ueur(self.expected_sat, quote.price_cent_per_btc)
        self.starts, self.start_cost = starts, start_cost_ueur

    def add(self, other: "Account") -> None:
        """Add another's sums to these."""
        for item in fields(self):
            if item.name == "import_peak_w":
                self.import_peak_w = max(self.import_peak_w, other.import_peak_w)
            elif item.name == "components":
                for name, cost in other.components.items():
                    self.components[name] = self.components.get(name, 0) + cost
            elif item.name != "tariff":
                setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))

    def outcome(self) -> Outcome:
        """The sums as a document. Raises AssertionError where the balance does not close to the joule."""
        if self.generated + self.imported != self.factory + self.mined + self.exported + self.residual:
            raise AssertionError("the energy balance does not close")
        bought = sum(self.components.values())
        result = self.expected_mining + self.export_spot + self.export_premium - self.marketing_fee - bought - self.start_cost
        return Outcome(
            energy_j=EnergyJoules(
                generated=self.generated,
                factory=self.factory,
                mined=self.mined,
                exported=self.exported,
                imported=self.imported,
                residual=self.residual,
                curtailed_estimate=self.curtailed,
                own_factory=self.own_factory,
                own_mining=self.own_mining,
                grid_factory=self.grid_factory,
                grid_mining=self.grid_mining,
                standby_import=self.standby_import,
            ),
            energy_kwh=EnergyKwh(
                generated=kwh(self.generated),
                factory=kwh(self.factory),
                mined=kwh(self.mined),
                exported=kwh(self.exported),
                imported=kwh(self.imported),
                curtailed_estimate=kwh(self.curtailed),
            ),
            money=Money(
                import_components_ueur=dict(self.components),
                import_ueur=bought,
                import_for_mining_ueur=self.import_for_mining,
                export_spot_ueur=self.export_spot,
                export_premium_ueur=self.export_premium,
                marketing_fee_ueur=self.marketing_fee,
                forgone_export_ueur=self.forgone_export,
                expected_mining_ueur=self.expected_mining,
                start_cost_ueur=self.start_cost,
                result_ueur=result,
            ),
            work_hashes=str(self.work_hashes),
            expected_sat=self.expected_sat,
            starts=self.starts,
            import_peak_w=self.import_peak_w,
            demand_charge_ueur=self.import_peak_w * self.tariff.demand_charge_cent_per_kw * 10,
        )


def kwh(energy_j: int) -> float:
    """Joules as kilowatt-hours rounded to the watt-hour, for reading only."""
    return divide_half_even(energy_j * 1000, JOULES_PER_KWH) / 1000
