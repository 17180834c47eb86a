"""Whose energy a quarter hour's was: the balance of five meters, its residual, and factory before mining."""

from dataclasses import dataclass

from photosynth.energy.meters import MeterSpec


@dataclass(frozen=True, slots=True)
class IntervalEnergy:
    """What five meters counted in an interval, in joules. Import is never netted against export."""

    own_j: int
    import_j: int
    export_j: int
    factory_j: int
    mining_j: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """An interval's energy by origin and use, in joules.

    ``residual_j`` is what the meters disagree by: own + import - factory - mining - export; positive where more was
    counted coming in than going out. ``curtailed_estimate_j`` was never generated and stands beside the balance.
    """

    own_factory_j: int
    own_mining_j: int
    grid_factory_j: int
    grid_mining_j: int
    residual_j: int
    curtailed_estimate_j: int | None


def allocate(energy: IntervalEnergy, curtailed_estimate_j: int | None = None) -> Allocation:
    """Allocate an interval: own energy that stayed serves the factory first, then mining; the grid gave the rest.

    U = own - export; own_factory = min(factory, U); own_mining = min(mining, U - own_factory). U is taken as zero where
    the meters' errors make export exceed own generation. Source: the site's evidence record, rule "factory first".
    """
    used_j = max(0, energy.own_j - energy.export_j)
    own_factory_j = min(energy.factory_j, used_j)
    own_mining_j = min(energy.mining_j, used_j - own_factory_j)
    return Allocation(
        own_factory_j=own_factory_j,
        own_mining_j=own_mining_j,
        grid_factory_j=energy.factory_j - own_factory_j,
        grid_mining_j=energy.mining_j - own_mining_j,
        residual_j=energy.own_j + energy.import_j - energy.factory_j - energy.mining_j - energy.export_j,
        curtailed_estimate_j=curtailed_estimate_j,
    )


def residual_bound_j(counted: list[tuple[MeterSpec, int]]) -> int:
    """The largest residual (joules, either sign) that sound meters can leave, from what each of them counted.

    Each may err by its class of the true energy and by less than one register step; true energy is at most
    (counted + step) / (1 - class), so its error is at most that times the class, rounded up, plus the step.
    """
    bound_j = 0
    for meter, counted_j in counted:
        error = (abs(counted_j) + meter.register_step_j) * meter.class_ppm
        bound_j += -(-error // (1_000_000 - meter.class_ppm)) + meter.register_step_j
    return bound_j


def forgone_export_j(own_mining_j: int, export_j: int, connection_w: int, interval_s: int) -> int:
    """How much of the energy mined with could have been exported instead: no more than the connection had room for."""
    return max(0, min(own_mining_j, connection_w * interval_s - export_j))
