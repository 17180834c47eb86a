"""Why a machine runs or sleeps, in a sentence that a person at the machine understands."""

from photosynth.energy.prices import Prices
from photosynth.quantities.instants import iso_utc


def eur(cent_per_mwh: int) -> str:
    """A price in EUR/MWh with two decimals, from whole cents."""
    sign = "-" if cent_per_mwh < 0 else ""
    return f"{sign}{abs(cent_per_mwh) // 100}.{abs(cent_per_mwh) % 100:02d} EUR/MWh"


class Reasons:
    """Sentences of one control step; they change with the quarter hour's price, not with every watt."""

    stopped = "Sleeps: an operator stopped all mining."

    def __init__(self, prices: Prices, import_for_mining: bool) -> None:
        self.export_cent = prices.export_cent_per_mwh
        self.import_cent = prices.import_cent_per_mwh
        self.import_for_mining = import_for_mining

    def awake(self, power_w: int, strike_cent: int, held: bool, more: bool) -> str:
        """A machine that runs, at which power, and what its energy would fetch elsewhere."""
        if self.export_cent < 0:
            other = f"feeding in would cost {eur(-self.export_cent)}"
        else:
            other = f"feeding in would fetch {eur(self.export_cent)}"
        text = f"Runs at {power_w} W: a megawatt-hour earns {strike_cent / 100:.2f} EUR in it; {other}"
        if self.import_for_mining:
            text += f", buying costs {eur(self.import_cent)}"
        if held and strike_cent < self.export_cent:
            return text + "; held on for its minimum time."
        return text + ("; no surplus for more." if more and strike_cent > self.export_cent else ".")

    def asleep(self, strike_cent: int, value_cent: int, on: bool, held: bool) -> str:
        """A machine that sleeps or is put to sleep because its energy is worth more elsewhere, or there is none."""
        early = " Put to sleep before its minimum time, as energy may not be bought for it." if on and held else ""
        if strike_cent < self.export_cent:
            return f"Sleeps: a megawatt-hour earns {eur(strike_cent)} in it; feeding in fetches {eur(self.export_cent)}.{early}"
        if value_cent < self.export_cent:
            return f"Sleeps: {eur(strike_cent)} is too little above {eur(self.export_cent)} for feeding in to pay for a start."
        if not self.import_for_mining:
            return f"Sleeps: no surplus is left for it, and buying energy for mining is not allowed.{early}"
        return (
            f"Sleeps: no surplus is left for it, and buying at {eur(self.import_cent)} does not pay, or there is no room for it "
            f"below the connection and a charged peak.{early}"
        )

    def resting(self, until_ms: int) -> str:
        """A machine within its minimum off time."""
        return f"Sleeps: it has to rest until {iso_utc(until_ms)} (minimum off time)."

    def unavailable(self, draws_w: int | None) -> str:
        """A machine that takes no orders."""
        if draws_w:
            return f"Takes no orders; its {draws_w} W are counted as a load."
        return "Cannot be reached or takes no orders."
