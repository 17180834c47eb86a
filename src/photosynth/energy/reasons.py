"""Why a machine runs or sleeps, and why energy is bought, in sentences that a person at the machine understands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from photosynth.energy.prices import Prices
from photosynth.quantities.format import power
from photosynth.quantities.instants import iso_utc

NO_IMPORT_BELOW_W = 100
"""Meters that disagree by so little show an import where there is none."""
MOST_NAMED = 3

Cause = Literal["deaf", "held", "stopping", "bought", "running", "standby", "unseen"]
_CAUSES: dict[Cause, tuple[str, str]] = {
    "deaf": ("takes no orders and draws {power}", "take no orders and draw {power}"),
    "unseen": ("does not answer, and may draw {power}", "do not answer, and may draw {power}"),
    "stopping": ("is going to sleep and still draws {power}", "are going to sleep and still draw {power}"),
    "held": ("stays on for its minimum time with {power}", "stay on for their minimum time with {power}"),
    "bought": (
        "runs on it with {power}, as it earns more than it costs",
        "run on it with {power}, as they earn more than it costs",
    ),
    "running": ("draws {power} until it is lowered to the surplus", "draw {power} until they are lowered to the surplus"),
    "standby": ("is asleep and stands by with {power}", "are asleep and stand by with {power}"),
}
"""Why machines draw power while energy is bought, of one and of several; in the order in which they are told."""


@dataclass(frozen=True, slots=True)
class MiningLoad:
    """Machines that draw power for one and the same cause, and how much together."""

    cause: Cause
    machines: tuple[str, ...]
    watts: int


def import_reason(import_w: int, import_cent: int, shortage_w: int, loads: Sequence[MiningLoad]) -> str | None:
    """Whose load it is that energy is bought for now: the factory's as far as the own sources do not suffice, then mining's.

    ``shortage_w`` is what the own sources lack for the factory. None where next to nothing is bought.
    """
    if import_w < NO_IMPORT_BELOW_W:
        return None
    factory_w = min(import_w, max(0, shortage_w))
    mining_w = import_w - factory_w
    text = f"Imports {power(import_w)} at {eur(import_cent)}: "
    if mining_w < NO_IMPORT_BELOW_W:
        return text + "for the factory, as the own sources make less than it uses."
    if factory_w:
        text += f"{power(factory_w)} for the factory, as the own sources make less than it uses, and {power(mining_w)} for mining"
    else:
        text += "for mining"
    told = [_load_text(load) for cause in _CAUSES for load in loads if load.cause == cause and load.machines]
    return f"{text}: {'; '.join(told)}." if told else f"{text}."


def _load_text(load: MiningLoad) -> str:
    count = len(load.machines)
    text = _CAUSES[load.cause][count > 1].format(power=power(load.watts))
    if count == 1:
        return f"{load.machines[0]} {text}"
    named = f" ({', '.join(load.machines)})" if count <= MOST_NAMED else ""
    return f"{count} machines{named} {text}"


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
