"""The energy of a record with good readings, and its postings as the very bytes that they must be.

:mod:`photosynth.treasury.energy` has the rules; what is said here is the same, in numbers and text instead of objects.
"""

from dataclasses import dataclass
from typing import Self

from photosynth.quantities.balance import ROLES, Allocation, Energies, allocate, forgone_export_j, mining_part
from photosynth.quantities.instants import INTERVAL_S
from photosynth.quantities.value import energy_value_ueur
from photosynth.treasury import accounts as a
from photosynth.treasury.energy import class_weights
from photosynth.treasury.evidence.canonical import MAX_SAFE
from photosynth.treasury.evidence.typed import Allocated, Meter, Prices
from photosynth.treasury.facts import SiteFacts


@dataclass(frozen=True, slots=True)
class Meters:
    """The meters of a header: ids and the places of their roles in order, what their classes and steps explain."""

    ids: tuple[str, ...]
    roles: tuple[int, ...]
    over: int
    weights: tuple[int, ...] | None
    steps_j: int

    @classmethod
    def of(cls, site: SiteFacts) -> Self:
        """Those of a site."""
        over, weights = class_weights(tuple(meter.meter_class for meter in site.meters)) or (1, None)
        return cls(
            tuple(meter.id for meter in site.meters),
            tuple(ROLES.index(meter.role) for meter in site.meters),
            over,
            weights,
            over * sum(meter.register_step_j for meter in site.meters),
        )

    def energies(self, readings: list[Meter], ends: dict[str, int], residual_j: int) -> Energies | None:
        """The energies, where every meter goes on from its register before and the residual is theirs; None otherwise."""
        if tuple([reading.id for reading in readings]) != self.ids:
            return None
        used = [reading.register_end_j - reading.register_start_j for reading in readings]
        if min(used, default=0) < 0:
            return None
        for reading in readings:
            if ends.get(reading.id) != reading.register_start_j:
                return None
        sums = [0, 0, 0, 0, 0]
        for role, energy_j in zip(self.roles, used, strict=True):
            sums[role] += energy_j
        if max(sums) > MAX_SAFE or sums[0] + sums[1] - sums[3] - sums[4] - sums[2] != residual_j:
            return None
        if self.weights is not None:
            explained = self.steps_j
            for weight, energy_j in zip(self.weights, used, strict=True):
                explained += weight * energy_j
            if abs(residual_j) > explained // self.over:
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
    start_ms: int, wall_ms: int, energy: Energies, allocation: Allocation, prices: Prices | None, export_limit_w: int | None
) -> tuple[tuple[str, ...], list[tuple[bytes, bytes]]] | None:
    """The names of a quarter hour's postings, and their canonical bytes before and after the id.

    None where a number is so large that it is written as text, and where prices name a component twice.
    """
    made = _Made(start_ms, wall_ms)
    residual_j = energy.residual_j
    made.most(max(abs(residual_j), energy.own_j, energy.import_j, energy.export_j, energy.factory_j, energy.mining_j))
    uses = [(a.E_FACTORY, energy.factory_j), (a.E_MINING, energy.mining_j), (a.E_EXPORT, energy.export_j)]
    sources = [(a.E_OWN, energy.own_j), (a.E_IMPORT, energy.import_j)]
    (uses if residual_j > 0 else sources).append((a.E_RESIDUAL, abs(residual_j)))
    lines = [f'["{account}","debit","J",{amount}]' for account, amount in uses if amount]
    lines += [f'["{account}","credit","J",{amount}]' for account, amount in sources if amount]
    made.add("energy", "Energy of the quarter hour", ",".join(lines), "")
    if prices is None:
        return made.all()
    published = "null" if prices.published_ms is None else prices.published_ms
    quoted = f'"price_source":"{prices.source}","published_ms":{published}'
    spot, premium, fee = prices.spot, prices.export_premium, prices.export_fee
    tariff = prices.own_energy_tariff
    if tariff is not None:
        own_j = allocation.own_mining_j
        lines_of = made.pair(a.GRID_ENERGY_MINING, a.ENERGY_SUPPLIER, energy_value_ueur(own_j, tariff))
        source = f'"energy_j":{own_j},{quoted},"tariff_cent_per_mwh":{tariff}'
        made.add("delivered_energy", "Another party's energy used for mining", lines_of, source)
    else:
        forgone_j = forgone_export_j(allocation.own_mining_j, energy.export_j, export_limit_w, INTERVAL_S)
        net = spot + premium - fee
        made.most(abs(net))
        lines_of = made.pair(a.OWN_ENERGY_CHARGED, a.OWN_ENERGY_CREDITED, energy_value_ueur(forgone_j, max(0, net)))
        source = f'"energy_j":{forgone_j},"net_export_cent_per_mwh":{net},{quoted}'
        made.add("own_energy", "Own energy used for mining", lines_of, source)
    import_j, export_j = energy.import_j, energy.export_j
    names = {name for name, _ in prices.import_}
    if len(names) != len(prices.import_) or "spot" in names:
        return None
    if import_j:
        for name, price in [("spot", spot), *prices.import_]:
            value = energy_value_ueur(import_j, price)
            mining = mining_part(value, energy, allocation)
            lines_of = made.pair(a.GRID_ENERGY_MINING, a.ENERGY_SUPPLIER, mining)
            lines_of = made.joined(lines_of, made.pair(a.GRID_ENERGY_FACTORY, a.ENERGY_SUPPLIER, value - mining))
            source = f'"component":"{name}","energy_j":{import_j},"price_cent_per_mwh":{price},{quoted}'
            made.add(f"grid_energy.{name}", f"Bought energy: {name}", lines_of, source)
    if export_j:
        lines_of = made.pair(a.EXPORT_RECEIVABLE, a.EXPORT_REVENUE, energy_value_ueur(export_j, spot))
        premium_lines = made.pair(a.PREMIUM_RECEIVABLE, a.PREMIUM_REVENUE, energy_value_ueur(export_j, premium))
        lines_of = made.joined(lines_of, premium_lines)
        lines_of = made.joined(lines_of, made.pair(a.MARKETING_FEE, a.EXPORT_RECEIVABLE, energy_value_ueur(export_j, fee)))
        source = f'"energy_j":{export_j},"fee_cent_per_mwh":{fee},"premium_cent_per_mwh":{premium},{quoted}'
        made.add("export", "Sold energy", lines_of, f'{source},"spot_cent_per_mwh":{spot}')
    return made.all()


class _Made:
    """Postings as text; a year has three hundred thousand of them."""

    __slots__ = ("_end", "_largest", "_names", "_start_ms", "_texts")

    def __init__(self, start_ms: int, wall_ms: int) -> None:
        self._start_ms = start_ms
        self._end = f'","time_ms":{start_ms},"wall_ms":{wall_ms}}}'
        self._names: list[str] = []
        self._texts: list[tuple[bytes, bytes]] = []
        self._largest = abs(start_ms)

    def most(self, number: int) -> None:
        """A number that is written somewhere."""
        self._largest = max(number, self._largest)

    def pair(self, debit: str, credit: str, value: int) -> str:
        """A debit and a credit line of one amount; a negative amount swaps the sides, and zero gives no lines."""
        if value <= 0:
            if not value:
                return ""
            debit, credit, value = credit, debit, -value
        self._largest = max(self._largest, value)
        return f'["{debit}","debit","EUR",{value}],["{credit}","credit","EUR",{value}]'

    @staticmethod
    def joined(lines: str, more: str) -> str:
        """Lines and further lines, where there are any."""
        return f"{lines},{more}" if lines and more else lines or more

    def add(self, name: str, text: str, lines: str, source: str) -> None:
        """A posting; none without lines."""
        if not lines:
            return
        self._names.append(name)
        event = name.split(".", maxsplit=1)[0] if "." in name else name
        rest = (
            f',"key":"interval:{self._start_ms}:{name}","lines":[{lines}],"reverses":null,"source":{{{source}}},'
            f'"text":"{text}{self._end}'
        )
        self._texts.append((f'{{"event":"{event}","id":'.encode(), rest.encode()))

    def all(self) -> tuple[tuple[str, ...], list[tuple[bytes, bytes]]] | None:
        """All of them, None where a number is beyond those that are written as numbers."""
        return (tuple(self._names), self._texts) if self._largest <= MAX_SAFE else None
