"""The energy of a record with good readings, and its postings as the very bytes that they must be.

:mod:`photosynth.treasury.mining.energy` has the rules; what is said here is the same, in numbers and text instead of objects.
"""

from dataclasses import dataclass
from typing import Self

from photosynth.quantities.balance import ROLES, Allocation, Energies, allocate, forgone_export_j, mining_part
from photosynth.quantities.instants import INTERVAL_S
from photosynth.quantities.value import energy_value_ueur
from photosynth.treasury import accounts as a
from photosynth.treasury.evidence.canonical import MAX_SAFE
from photosynth.treasury.evidence.typed import Allocated, Meter, Prices
from photosynth.treasury.facts import SiteFacts
from photosynth.treasury.mining.energy import class_weights, interval_key


@dataclass(frozen=True, slots=True)
class Meters:
    """The meters of a header: id, the place of its role and the weight of its class for each; what their steps explain.

    ``steps_j`` is None where a class says nothing of what may stay unexplained.
    """

    each: tuple[tuple[str, int, int], ...]
    over: int
    steps_j: int | None

    @classmethod
    def of(cls, site: SiteFacts) -> Self:
        """Those of a site."""
        known = class_weights(tuple(meter.meter_class for meter in site.meters))
        over, weights = known or (1, (0,) * len(site.meters))
        steps_j = over * sum(meter.register_step_j for meter in site.meters) if known else None
        each = zip(site.meters, weights, strict=True)
        return cls(tuple((meter.id, ROLES.index(meter.role), weight) for meter, weight in each), over, steps_j)

    def energies(self, readings: list[Meter], ends: dict[str, int], residual_j: int) -> Energies | None:
        """The energies, where every meter goes on from its register before and the residual is theirs; None otherwise."""
        if len(readings) != len(self.each):
            return None
        sums, explained = [0, 0, 0, 0, 0], self.steps_j or 0
        for reading, (name, role, weight) in zip(readings, self.each):  # noqa: B905  as many, see above
            start_j = reading.register_start_j
            energy_j = reading.register_end_j - start_j
            if energy_j < 0 or ends.get(name) != start_j or reading.id != name:
                return None
            sums[role] += energy_j
            explained += weight * energy_j
        if max(sums) > MAX_SAFE or sums[0] + sums[1] - sums[3] - sums[4] - sums[2] != residual_j:
            return None
        if self.steps_j is not None and abs(residual_j) > explained // self.over:
            return None
        return Energies(*sums)


def allocation_of(energy: Energies, said: Allocated) -> Allocation | None:
    """The allocation, where it is what a record says; None otherwise."""
    found = allocate(energy)
    same = (
        found.own_factory_j == said.own_factory_j
        and found.own_mining_j == said.own_mining_j
        and found.grid_mining_j == said.grid_mining_j
        and found.grid_factory_j == said.grid_factory_j
    )
    return found if same else None


def expected_postings(  # noqa: PLR0917  what the rules ask for
    site: str,
    start_ms: int,
    wall_ms: int,
    energy: Energies,
    allocation: Allocation,
    prices: Prices | None,
    export_limit_w: int | None,
) -> list[bytes] | None:
    """A quarter hour's postings as their canonical bytes, each without its id.

    None where a number is so large that it is written as text, and where prices name a component twice.
    """
    residual_j = energy.residual_j
    if not _all_are_safe(start_ms, energy, residual_j, prices):
        return None
    made = _Made(site, start_ms, wall_ms)
    uses = [(a.E_FACTORY, energy.factory_j), (a.E_MINING, energy.mining_j), (a.E_EXPORT, energy.export_j)]
    sources = [(a.E_OWN, energy.own_j), (a.E_IMPORT, energy.import_j)]
    (uses if residual_j > 0 else sources).append((a.E_RESIDUAL, abs(residual_j)))
    lines = [f'["{account}","debit","J",{amount}]' for account, amount in uses if amount]
    lines += [f'["{account}","credit","J",{amount}]' for account, amount in sources if amount]
    made.add("energy", "energy", "Energy of the quarter hour", ",".join(lines), "")
    if prices is None:
        return made.texts
    published = "null" if prices.published_ms is None else prices.published_ms
    quoted = f'"price_source":"{prices.source}","published_ms":{published}'
    spot, premium, fee = prices.spot, prices.export_premium, prices.export_fee
    tariff = prices.own_energy_tariff
    if tariff is not None:
        own_j = allocation.own_mining_j
        lines_of = _pair(a.GRID_ENERGY_MINING, a.ENERGY_SUPPLIER, energy_value_ueur(own_j, tariff))
        source = f'"energy_j":{own_j},{quoted},"tariff_cent_per_mwh":{tariff}'
        made.add("delivered_energy", "delivered_energy", "Another party's energy used for mining", lines_of, source)
    else:
        forgone_j = forgone_export_j(allocation.own_mining_j, energy.export_j, export_limit_w, INTERVAL_S)
        net = spot + premium - fee
        lines_of = _pair(a.OWN_ENERGY_CHARGED, a.OWN_ENERGY_CREDITED, energy_value_ueur(forgone_j, max(0, net)))
        source = f'"energy_j":{forgone_j},"net_export_cent_per_mwh":{net},{quoted}'
        made.add("own_energy", "own_energy", "Own energy used for mining", lines_of, source)
    import_j, export_j = energy.import_j, energy.export_j
    names = {name for name, _ in prices.import_}
    if len(names) != len(prices.import_) or "spot" in names:
        return None
    if import_j:
        for name, price in [("spot", spot), *prices.import_]:
            value = energy_value_ueur(import_j, price)
            mining = mining_part(value, energy, allocation)
            of_mining = _pair(a.GRID_ENERGY_MINING, a.ENERGY_SUPPLIER, mining)
            lines_of = _joined(of_mining, _pair(a.GRID_ENERGY_FACTORY, a.ENERGY_SUPPLIER, value - mining))
            source = f'"component":"{name}","energy_j":{import_j},"price_cent_per_mwh":{price},{quoted}'
            made.add("grid_energy", f"grid_energy.{name}", f"Bought energy: {name}", lines_of, source)
    if export_j:
        lines_of = _pair(a.EXPORT_RECEIVABLE, a.EXPORT_REVENUE, energy_value_ueur(export_j, spot))
        premium_lines = _pair(a.PREMIUM_RECEIVABLE, a.PREMIUM_REVENUE, energy_value_ueur(export_j, premium))
        lines_of = _joined(lines_of, premium_lines)
        lines_of = _joined(lines_of, _pair(a.MARKETING_FEE, a.EXPORT_RECEIVABLE, energy_value_ueur(export_j, fee)))
        source = f'"energy_j":{export_j},"fee_cent_per_mwh":{fee},"premium_cent_per_mwh":{premium},{quoted}'
        made.add("export", "export", "Sold energy", lines_of, f'{source},"spot_cent_per_mwh":{spot}')
    return made.texts


def _all_are_safe(start_ms: int, energy: Energies, residual_j: int, prices: Prices | None) -> bool:
    """Whether every number of a posting is written as a number: none is larger than what these come to at most."""
    most_j = max(abs(residual_j), energy.own_j, energy.import_j, energy.export_j, energy.factory_j, energy.mining_j)
    if prices is None:
        return max(most_j, abs(start_ms)) <= MAX_SAFE
    quoted = [prices.spot, prices.export_premium, prices.export_fee, prices.own_energy_tariff or 0]
    quoted += [price for _, price in prices.import_]
    # Export earns what three of them come to.
    dearest = 3 * max(*quoted, -min(quoted))
    return max(most_j, abs(start_ms), dearest, energy_value_ueur(most_j, dearest)) <= MAX_SAFE


def _pair(debit: str, credit: str, value: int) -> str:
    """A debit and a credit line of one amount; a negative amount swaps the sides, and zero gives no lines."""
    if value <= 0:
        if not value:
            return ""
        debit, credit, value = credit, debit, -value
    return f'["{debit}","debit","EUR",{value}],["{credit}","credit","EUR",{value}]'


def _joined(lines: str, more: str) -> str:
    """Lines and further lines, where there are any."""
    return f"{lines},{more}" if lines and more else lines or more


class _Made:
    """Postings as text; a year has three hundred thousand of them."""

    __slots__ = ("_end", "_key", "texts")

    def __init__(self, site: str, start_ms: int, wall_ms: int) -> None:
        self._key = f'","key":"{interval_key(site, start_ms)}'
        self._end = f'","time_ms":{start_ms},"wall_ms":{wall_ms}}}'
        self.texts: list[bytes] = []

    def add(self, event: str, name: str, text: str, lines: str, source: str) -> None:
        """A posting; none without lines."""
        if not lines:
            return
        rest = f'{name}","lines":[{lines}],"reverses":null,"source":{{{source}}},"text":"{text}{self._end}'
        self.texts.append(f'{{"event":"{event}{self._key}{rest}'.encode())
