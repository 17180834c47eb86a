"""What the control sees of a day until the books have it: points of the curve, energy held back, and the import peak.

It outlives the control that writes it, so that a control which begins anew loses none of it.
"""

from collections.abc import Callable

from photosynth.energy.import_peak import ImportPeak
from photosynth.quantities.instants import INTERVAL_MS, interval_start_ms
from photosynth.storage.observations import DayObservation


class DayNotes:
    """Notes of one site. ``machine_memory`` says what was learnt of its machines, as JSON: nothing before they are met."""

    def __init__(self, import_peak: ImportPeak, machine_memory: object) -> None:
        self.observations: list[DayObservation] = []
        self.last_observed_ms = 0
        self.import_peak = import_peak
        learnt = {} if machine_memory is None else machine_memory
        self.machine_memory: Callable[[], object] = lambda: learnt
        self._curtailed: dict[int, int] = {}
        self._curtailed_at_ms: int | None = None

    def observe(self, point: DayObservation) -> None:
        """Take a point of the day's curve."""
        self.last_observed_ms = point.time_ms
        self.observations.append(point)

    def count_curtailed(self, at_ms: int, curtailed_w: int | None) -> None:
        """Add what was not made since the last look, to the quarter hours that it falls in; None where nothing tells it."""
        before, self._curtailed_at_ms = self._curtailed_at_ms, at_ms
        if before is None or curtailed_w is None or not 0 < at_ms - before <= INTERVAL_MS:
            return
        border = max(before, interval_start_ms(at_ms))
        for from_ms, to_ms in ((before, border), (border, at_ms)):
            if from_ms < to_ms:
                start = interval_start_ms(from_ms)
                self._curtailed[start] = self._curtailed.get(start, 0) + curtailed_w * (to_ms - from_ms) // 1000

    def curtailed_estimate_j(self, interval_start: int) -> int | None:
        """What the sources could have made beyond their limit in a quarter hour, estimated; None where nothing told."""
        return self._curtailed.get(interval_start)

    def forget_curtailed(self, before_ms: int) -> None:
        """Drop estimates of quarter hours before an instant, which are closed."""
        for start in [start for start in self._curtailed if start < before_ms]:
            del self._curtailed[start]
