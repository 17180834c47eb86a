"""Meters as the site sees them: registers that count joules, their load profile, and what they may err by.

A registering meter (RLM, "registrierende Leistungsmessung") counts energy in steps and latches its register at the end of
every quarter hour; settlement and evidence use the latched registers, control uses the momentary power.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from photosynth.quantities.balance import MeterRole

Quality = Literal["good", "estimated", "stale", "unknown"]
"""How far a value can be trusted; a stale or unknown one is never shown as healthy and never as zero."""


class MeterError(Exception):
    """A meter could not be asked or answered nonsense; the message says which and how. To be retried."""


@dataclass(frozen=True, slots=True)
class MeterSpec:
    """One declared meter.

    ``class_ppm`` is its accuracy class in parts per million (class 0.5 is 5000, EN 50470-3 and IEC 62053);
    ``register_step_j`` the energy of its register's last digit.
    """

    id: str
    role: MeterRole
    party: str
    class_ppm: int
    register_step_j: int


@dataclass(frozen=True, slots=True)
class MeterReading:
    """What a meter said at an instant: its register (joules) and momentary power (watts, None where it has none)."""

    at_ms: int
    register_j: int
    power_w: int | None
    quality: Quality


@dataclass(frozen=True, slots=True)
class IntervalReading:
    """One meter's latched registers at the start and the end of a quarter hour, in joules."""

    start_j: int
    end_j: int
    quality: Quality

    @property
    def energy_j(self) -> int:
        """Energy counted in the quarter hour."""
        return self.end_j - self.start_j


@dataclass(frozen=True, slots=True)
class SourceReading:
    """What the inverters say: power made, power they estimate they could make, and the limits they hold (watts).

    ``available_w`` is an estimate of the inverter's own, within some percent; None where it gives none. ``throttled`` says
    that a limit holds the power back now (SunSpec model 103, operating state THROTTLED).
    """

    at_ms: int
    power_w: int
    available_w: int | None
    throttled: bool
    source_limit_w: int | None
    export_limit_w: int | None


class Meters(Protocol):
    """The meters of a site. Both calls raise MeterError where no sound answer came in time."""

    async def read(self) -> dict[str, MeterReading]:
        """Every meter's register and power now, by its id."""
        ...

    async def profile(self, interval_start_ms: int) -> dict[str, IntervalReading] | None:
        """Every meter's latched registers of one quarter hour; None where it has not ended or is kept no longer."""
        ...


class Sources(Protocol):
    """The controllable side of a site's own sources. Raises MeterError as meters do."""

    async def read_source(self) -> SourceReading:
        """Power, what is available, and the limits in force: the read-back of :meth:`limit`."""
        ...

    async def limit(self, source_w: int | None, export_w: int | None) -> None:
        """Set both limits, None lifting one.

        ``source_w`` caps what the sources make; ``export_w`` what crosses the grid connection outwards: the plant
        controller lowers the sources by itself as far as that takes, as feed-in monitoring (VDE-AR-N 4110, P_AV,E) does.
        """
        ...
