"""Allocation: factory before mining, the residual signed and bounded by the meters' classes."""

from hypothesis import given
from hypothesis import strategies as st

from photosynth.energy.allocation import IntervalEnergy, allocate, forgone_export_j, residual_bound_j
from photosynth.energy.meters import MeterSpec

ENERGIES = st.integers(0, 10**12)


def test_own_energy_serves_the_factory_first() -> None:
    result = allocate(IntervalEnergy(own_j=100, import_j=20, export_j=10, factory_j=60, mining_j=50), 7)
    assert (result.own_factory_j, result.own_mining_j) == (60, 30)
    assert (result.grid_factory_j, result.grid_mining_j) == (0, 20)
    assert result.residual_j == 0
    assert result.curtailed_estimate_j == 7


@given(ENERGIES, ENERGIES, ENERGIES, ENERGIES, ENERGIES)
def test_every_joule_used_has_one_origin(own: int, bought: int, sold: int, factory: int, mining: int) -> None:
    result = allocate(IntervalEnergy(own, bought, sold, factory, mining))
    assert result.own_factory_j + result.grid_factory_j == factory
    assert result.own_mining_j + result.grid_mining_j == mining
    assert min(result.own_factory_j, result.own_mining_j, result.grid_factory_j, result.grid_mining_j) >= 0
    assert own + bought == factory + mining + sold + result.residual_j


@given(
    st.integers(0, 10**10),
    st.integers(0, 10**10),
    st.integers(0, 10**10),
    st.lists(st.integers(-5000, 5000), min_size=5, max_size=5),
)
def test_sound_meters_stay_within_the_bound(own: int, factory: int, mining: int, errors_ppm: list[int]) -> None:
    net = own - factory - mining
    true = [own, max(0, -net), max(0, net), factory, mining]
    step = 360_000
    counted = [
        (start + energy * (10**6 + error) // 10**6) // step * step - start // step * step
        for start, (energy, error) in enumerate(zip(true, errors_ppm, strict=True))
    ]
    meters = [MeterSpec(f"m{index}", "import", "p", 5000, step) for index in range(5)]
    residual = allocate(IntervalEnergy(*counted)).residual_j
    assert abs(residual) <= residual_bound_j(list(zip(meters, counted, strict=True)))


def test_energy_that_the_connection_could_not_take_was_not_forgone() -> None:
    assert forgone_export_j(1_000, 500, 1, 900) == 400
    assert forgone_export_j(100, 500, 1, 900) == 100
    assert forgone_export_j(100, 1_500, 1, 900) == 0
