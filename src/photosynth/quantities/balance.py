"""The energy balance of a site: what meters of a role say together, what they disagree by, and whose energy it was.

These rules are needed by the control, by the books and by a backtest; they stand here alone. Energies in whole joules.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

MeterRole = Literal["own_generation", "import", "export", "factory", "mining"]
"""What a meter counts; import and export are two registers that are never netted against each other."""
ROLES: tuple[MeterRole, ...] = ("own_generation", "import", "export", "factory", "mining")


class Metered(Protocol):
    """A meter as far as the balance needs it."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    @property
    def role(self) -> MeterRole:
        """What it counts."""
        ...


def sums_by_role(meters: Iterable[Metered], values: Mapping[str, int | None]) -> dict[MeterRole, int | None]:
    """What all meters of each role say together; ``values`` by meter, None or absent where one says nothing.

    One unknown makes its role unknown, as the sum of the others is not what flowed. A role without meters sums to zero.
    """
    sums: dict[MeterRole, int | None] = dict.fromkeys(ROLES, 0)
    for meter in meters:
        so_far, value = sums[meter.role], values.get(meter.id)
        sums[meter.role] = None if so_far is None or value is None else so_far + value
    return sums


@dataclass(frozen=True, slots=True)
class Energies:
    """What the five roles metered in a quarter hour. Import is never netted against export."""

    own_j: int
    import_j: int
    export_j: int
    factory_j: int
    mining_j: int

    @classmethod
    def of(cls, sums: Mapping[MeterRole, int | None]) -> "Energies | None":
        """From the sums by role; None where one is unknown, which is never a zero."""
        known = [value for role in ROLES if (value := sums[role]) is not None]
        return cls(*known) if len(known) == len(ROLES) else None

    @property
    def residual_j(self) -> int:
        """What the meters leave unexplained: sources minus uses, signed."""
        return self.own_j + self.import_j - self.factory_j - self.mining_j - self.export_j


@dataclass(frozen=True, slots=True)
class Allocation:
    """Which energy went where: own energy to the factory first, then to mining, the rest from the grid."""

    own_factory_j: int
    own_mining_j: int
    grid_mining_j: int
    grid_factory_j: int


def allocate(energy: Energies) -> Allocation:
    """Own energy that stayed goes to the factory first, then to mining; there is no storage (rule factory-first-1).

    U = max(0, own - export); own_factory = min(factory, U); own_mining = min(mining, U - own_factory).
    """
    stayed_j = max(0, energy.own_j - energy.export_j)
    own_factory_j = min(energy.factory_j, stayed_j)
    own_mining_j = min(energy.mining_j, stayed_j - own_factory_j)
    return Allocation(own_factory_j, own_mining_j, energy.mining_j - own_mining_j, energy.factory_j - own_factory_j)


def forgone_export_j(own_mining_j: int, export_j: int, limit_w: int | None, duration_s: int) -> int:
    """How much of the own energy mined with could have been fed in instead: no more than the connection had room for."""
    return own_mining_j if limit_w is None else max(0, min(own_mining_j, limit_w * duration_s - export_j))


def mining_part(value: int, energy: Energies, allocation: Allocation) -> int:
    """What mining bears of the value of all bought energy, rounded towards zero (rule components-floor-1).

    Meters that disagree never charge mining with more than was imported.
    """
    if not energy.import_j:
        return 0
    part = abs(value) * min(allocation.grid_mining_j, energy.import_j) // energy.import_j
    return -part if value < 0 else part
