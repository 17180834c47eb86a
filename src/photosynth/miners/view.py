"""One machine as others see it: what it does, what it was told, and what is wrong."""

from dataclasses import dataclass

from photosynth.miners.commands import Told
from photosynth.miners.conditions import MachineCondition
from photosynth.miners.machine import MachineReading
from photosynth.miners.model import MachineModel
from photosynth.miners.obedience import Regulation
from photosynth.miners.unit import State, Unit
from photosynth.miners.verification import is_on


@dataclass(frozen=True, slots=True)
class MachineView:
    """One machine as control knows it. Powers in W; ``steps`` are what it can be asked for, ``on`` includes starting.

    ``power_w`` and ``hash_rate_hs`` are None where the last reading is stale. An ``available`` one takes orders now.
    ``told`` is the last command that went out, None where none ever did.

    ``regulation`` is ``steps`` where it takes a power, ``on_off`` where it only switches (at ``fixed_power_w``), and
    ``none`` where it cannot be switched off: it then draws ``fixed_power_w`` whatever one wants.
    """

    id: str
    model: MachineModel
    state: State
    state_since_ms: int | None
    on: bool
    available: bool
    power_w: int | None
    hash_rate_hs: int | None
    temperature_c: int | None
    accepted: int | None
    rejected: int | None
    pool_url: str | None
    observed_ms: int | None
    fresh: bool
    desired_w: int | None
    told: Told | None
    reason: str
    regulation: Regulation
    fixed_power_w: int | None
    steps: tuple[tuple[int, int], ...]
    starts: int
    changed_ms: int | None
    conditions: tuple[MachineCondition, ...]


def view_of(unit: Unit, now_ms: int, wall_ms: int, stale_ms: int) -> MachineView:
    """A unit at a site and a wall time; a reading older than ``stale_ms`` of wall time is not shown as power."""
    reading = unit.reading if unit.reading is not None else MachineReading(0, None, None)
    fresh = unit.fresh(wall_ms, stale_ms)
    return MachineView(
        id=unit.id,
        model=unit.model,
        state=unit.state,
        state_since_ms=unit.state_since_ms,
        on=unit.state in ("running", "starting") or (unit.state == "faulty" and is_on(unit.model, reading)),
        available=fresh and unit.usable(now_ms),
        power_w=reading.power_w if fresh else None,
        hash_rate_hs=reading.hash_rate_hs if fresh else None,
        temperature_c=unit.temperature_c,
        accepted=reading.accepted,
        rejected=reading.rejected,
        pool_url=unit.pool_url,
        observed_ms=unit.reading.at_ms if unit.reading is not None else None,
        fresh=fresh,
        desired_w=unit.desired_w,
        told=unit.told,
        reason=unit.reason_at(now_ms),
        regulation=unit.regulation,
        fixed_power_w=unit.fixed_power_w if unit.regulation != "steps" else None,
        steps=_steps(unit),
        starts=unit.starts,
        changed_ms=unit.changed_ms,
        conditions=unit.conditions.all(),
    )


def _steps(unit: Unit) -> tuple[tuple[int, int], ...]:
    if unit.regulation == "steps":
        return unit.model.power_steps()
    power_w = unit.fixed_power_w or unit.model.power_w
    return ((power_w, unit.model.hash_rate_at(power_w)),)
