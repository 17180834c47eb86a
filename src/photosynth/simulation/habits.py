"""Bad habits that real machines have, for simulated ones to show."""

from dataclasses import dataclass
from typing import Literal

HabitKind = Literal["ignores_power_limit", "says_ok_does_nothing", "drops_out"]


@dataclass(frozen=True, slots=True)
class Habit:
    """One bad habit. ``drops_out`` has a rhythm: gone for the last ``for_s`` of every ``every_s`` seconds of site time."""

    kind: HabitKind
    every_s: int = 0
    for_s: int = 0

    def __post_init__(self) -> None:
        if self.kind == "drops_out" and not 0 < self.for_s < self.every_s:
            raise ValueError("drops_out needs 0 < for < every")


def gone(habit: Habit | None, since_ms: int, site_ms: int) -> bool:
    """Whether a machine that came to the site at ``since_ms`` is out of the world at a site time."""
    if habit is None or habit.kind != "drops_out":
        return False
    return (site_ms - since_ms) % (habit.every_s * 1000) >= (habit.every_s - habit.for_s) * 1000


def next_change_ms(habit: Habit | None, since_ms: int, site_ms: int) -> int | None:
    """The first instant after ``site_ms`` at which it leaves or comes back; None where it never does."""
    if habit is None or habit.kind != "drops_out":
        return None
    every_ms, for_ms = habit.every_s * 1000, habit.for_s * 1000
    phase = (site_ms - since_ms) % every_ms
    return site_ms + (every_ms - for_ms - phase if phase < every_ms - for_ms else every_ms - phase)
