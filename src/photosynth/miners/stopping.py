"""What came of stopping everything: who sleeps, proven, and who does not, in the words of what reading back showed."""

from collections.abc import Sequence
from dataclasses import dataclass

from photosynth.miners.unit import Unit
from photosynth.miners.verification import describe

REASONS_TO_TELL = 10
NAMES_TO_TELL = 200
NO_ANSWER = ("unreachable", "talks_nonsense", "driver_fault")
"""Conditions of a machine that cannot be read."""


@dataclass(frozen=True, slots=True)
class StopReport:
    """Who sleeps, and who does not, with the reason."""

    asleep: tuple[str, ...]
    awake: dict[str, str]

    @property
    def text(self) -> str:
        """The report in a sentence: every machine that is awake by its name, the first of them with their reasons."""
        said = f"{len(self.asleep)} of {len(self.asleep) + len(self.awake)} machines are asleep"
        if not self.awake:
            return said
        names = sorted(self.awake)
        told = [f"{name} ({self.awake[name]})" for name in names[:REASONS_TO_TELL]]
        told += names[REASONS_TO_TELL:NAMES_TO_TELL]
        if len(names) > NAMES_TO_TELL:
            told.append(f"and {len(names) - NAMES_TO_TELL} more")
        return f"{said}; awake: {', '.join(told)}"


def report_of(units: Sequence[Unit], began_ms: int) -> StopReport:
    """What readings since a site time prove."""
    asleep = tuple(unit.id for unit in units if unit.asleep_since(began_ms))
    proven = set(asleep)
    return StopReport(asleep, {unit.id: _why_awake(unit, began_ms) for unit in units if unit.id not in proven})


def _why_awake(unit: Unit, began_ms: int) -> str:
    """What came of telling it to sleep; where it was not told, what it shows."""
    seen = "nothing was read of it" if unit.reading is None else f"it {describe(unit.reading)}"
    if unit.sending is not None:
        return f"it has not answered '{unit.sending.text}' yet; {seen}"
    told = unit.told
    if told is None or told.at_ms < began_ms:
        silent = [item.evidence for item in unit.conditions.all() if item.id in NO_ANSWER]
        return silent[0] if unit.unreachable and silent else seen
    if told.result == "failed":
        return f"it could not be told: {told.text}"
    if told.result == "refused":
        return f"it refused, and said: {told.text.removeprefix('it said: ')}"
    if told.result == "planned":
        return f"it has not shown yet that it sleeps; {seen}"
    return told.text if told.result == "unverified" else f"it slept, and then: {seen}"
