"""The balance: roles summed with none left out, factory before mining, the residual signed, nothing forgone that had no room."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from photosynth.quantities.balance import (
    ROLES,
    Energies,
    MeterRole,
    allocate,
    forgone_export_j,
    mining_part,
    sums_by_role,
)

ENERGIES = st.integers(0, 10**12)


@dataclass(frozen=True)
class Meter:
    id: str
    role: MeterRole


METERS = (Meter("north", "own_generation"), Meter("south", "own_generation"), Meter("hall", "factory"), Meter("in", "import"))


def test_all_meters_of_a_role_are_summed_and_one_unknown_makes_the_role_unknown() -> None:
    values: dict[str, int | None] = {"north": 3, "south": 4, "hall": 0, "in": 9, "somebody else": 7}
    known = sums_by_role(METERS, values)
    assert known == {"own_generation": 7, "import": 9, "export": 0, "factory": 0, "mining": 0}
    for silent in ({**values, "south": None}, {"north": 3, "hall": 0, "in": 9}):
        sums = sums_by_role(METERS, silent)
        assert sums == {**known, "own_generation": None}, "never the sum of the others"
        assert Energies.of(sums) is None


def test_own_energy_serves_the_factory_first() -> None:
    energy = Energies.of(dict(zip(ROLES, (100, 20, 10, 60, 50), strict=True)))
    assert energy == Energies(own_j=100, import_j=20, export_j=10, factory_j=60, mining_j=50)
    result = allocate(energy)
    assert (result.own_factory_j, result.own_mining_j) == (60, 30)
    assert (result.grid_factory_j, result.grid_mining_j) == (0, 20)
    assert energy.residual_j == 0


@given(st.builds(Energies, ENERGIES, ENERGIES, ENERGIES, ENERGIES, ENERGIES), st.integers(-(10**9), 10**9))
def test_every_joule_used_has_one_origin_and_every_cent_one_payer(energy: Energies, value: int) -> None:
    result = allocate(energy)
    assert result.own_factory_j + result.grid_factory_j == energy.factory_j
    assert result.own_mining_j + result.grid_mining_j == energy.mining_j
    assert min(result.own_factory_j, result.own_mining_j, result.grid_factory_j, result.grid_mining_j) >= 0
    used_j = energy.factory_j + energy.mining_j + energy.export_j
    assert energy.own_j + energy.import_j == used_j + energy.residual_j
    part = mining_part(value, energy, result)
    assert abs(part) <= abs(value)
    assert part * value >= 0
    assert energy.import_j or not part


def test_energy_that_the_connection_could_not_take_was_not_forgone() -> None:
    assert forgone_export_j(1_000, 500, 1, 900) == 400
    assert forgone_export_j(100, 500, 1, 900) == 100
    assert forgone_export_j(100, 1_500, 1, 900) == 0
    assert forgone_export_j(100, 1_500, None, 900) == 100
