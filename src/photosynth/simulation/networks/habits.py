"""A simulated node's bad habits: when, in the fleet's time, it stalls or falls silent; how far it lags; how few its peers are."""

from collections.abc import Sequence
from dataclasses import dataclass

from photosynth.simulation.networks.messages import HabitConfig

USUAL_PEERS = 10
"""A bitcoind makes eight connections that relay everything, and two that relay blocks alone (``net.h``)."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What of its habits shows at a time. Periods are counted from the node's start, and each begins well."""

    habits: Sequence[HabitConfig]
    start_ms: int

    def stalls(self, fleet_ms: int) -> bool:
        """Whether its head stands still now."""
        return self._in_spell("stalls", fleet_ms)

    def silent(self, fleet_ms: int) -> bool:
        """Whether it answers nothing now."""
        return self._in_spell("falls_silent", fleet_ms)

    def lag(self) -> int:
        """How many blocks it is behind."""
        return next((habit.blocks for habit in self.habits if habit.habit == "lags"), 0)

    def peers(self) -> int:
        """How many connections it has."""
        return next((habit.peers for habit in self.habits if habit.habit == "few_peers"), USUAL_PEERS)

    def _in_spell(self, name: str, fleet_ms: int) -> bool:
        for habit in self.habits:
            if habit.habit == name:
                within_ms = (fleet_ms - self.start_ms) % (habit.every_s * 1000)
                return within_ms >= (habit.every_s - habit.for_s) * 1000
        return False
