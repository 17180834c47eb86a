"""What does not fit in a machine's readings: hash rate without power, and power without hash rate, which it rests from."""

from photosynth.miners.conditions import Conditions
from photosynth.miners.machine import MachineReading
from photosynth.miners.model import MachineModel
from photosynth.miners.verification import describe, off_below_w

ODD_READINGS_TO_NAME = 3
HASHLESS_WALL_MS = 60_000
"""How long a machine may draw power without hashing: a pool that restarts is back by then."""
FIRST_REST_MS = 1_800_000
LONGEST_REST_MS = 21_600_000


class Oddities:
    """One machine's odd readings; ``rest_until_ms`` is the site time until which it shall sleep for them."""

    def __init__(self, model: MachineModel, conditions: Conditions) -> None:
        self._model, self._conditions = model, conditions
        self.rest_until_ms = 0
        self._dark = self._rests = 0
        self._hashless_wall_ms: int | None = None

    def look(self, reading: MachineReading, on: bool, wall_ms: int) -> None:
        """Judge a reading of a quiet moment, when no command is under way."""
        self._look_for_darkness(reading, on)
        hash_rate = reading.hash_rate_hs
        if not on or hash_rate is None or hash_rate >= self._model.hash_rate_hs // 20:
            if on and hash_rate:
                self._conditions.clear("power_without_hash")
                self._rests = 0
            self._hashless_wall_ms = wall_ms
        elif self._hashless_wall_ms is None:
            self._hashless_wall_ms = wall_ms
        elif wall_ms - self._hashless_wall_ms >= HASHLESS_WALL_MS and self.rest_until_ms <= reading.at_ms:
            seconds = (wall_ms - self._hashless_wall_ms) // 1000
            self._conditions.show("power_without_hash", f"it {describe(reading)} for {seconds} s", reading.at_ms)
            self.rest_until_ms = reading.at_ms + min(FIRST_REST_MS << self._rests, LONGEST_REST_MS)
            self._rests = min(self._rests + 1, 8)

    def _look_for_darkness(self, reading: MachineReading, on: bool) -> None:
        dark = on and reading.power_w is not None and reading.power_w <= off_below_w(self._model)
        self._dark = self._dark + 1 if dark else 0
        if self._dark >= ODD_READINGS_TO_NAME:
            evidence = f"it {describe(reading)}, {self._dark} times in a row"
            self._conditions.show("hash_without_power", evidence, reading.at_ms)
        elif not dark:
            self._conditions.clear("hash_without_power")
