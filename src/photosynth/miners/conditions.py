"""What can be wrong with a machine: each condition with its evidence and what to do about it."""

from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["info", "warning", "critical"]

_KINDS: dict[str, tuple[Severity, str, str]] = {
    "ignores_power_limit": (
        "warning",
        "says OK to a power limit and stays where it was",
        "It is switched on and off only, and counted at its observed power. Check its firmware and its tuning mode.",
    ),
    "stays_awake": (
        "critical",
        "says OK to 'sleep' and stays awake",
        "It counts as a fixed load, is held as low as it goes, and is tried again rarely. Cut its power at the distribution "
        "board where it must be off, and check its firmware.",
    ),
    "says_ok_does_nothing": (
        "critical",
        "says OK to 'sleep' and to a power limit and does nothing",
        "It counts as a fixed load and is tried again rarely. Cut its power at the distribution board, restart it, or "
        "install its firmware anew.",
    ),
    "refuses_commands": (
        "warning",
        "refuses commands",
        "Read its answer. Another controller may hold its session, or its profiles may not fit the fleet file's model.",
    ),
    "not_verified": (
        "warning",
        "did not reach what it was told",
        "It is tried again with growing patience. Compare its figures with its model in the fleet file.",
    ),
    "does_not_wake": (
        "warning",
        "does not start when told to",
        "It is left out and tried again with growing patience. Look at its power supply and its log.",
    ),
    "does_not_stay": (
        "critical",
        "does not stay as it was told",
        "It wakes or falls asleep by itself, or another controller tells it to. It is told again with growing patience, and "
        "counts as what it draws until then. Look for who else commands it, and at its pool, cooling and power supply.",
    ),
    "unreachable": (
        "warning",
        "does not answer",
        "It is left out, and swept again as soon as it answers. Check its power, its network cable and its address.",
    ),
    "drops_out": (
        "warning",
        "leaves the network again and again",
        "It is brought back to its set-point each time it returns. Check its power supply, cable and switch port.",
    ),
    "talks_nonsense": (
        "warning",
        "answers with something that is not its protocol",
        "Check that its address and its driver in the fleet file are right.",
    ),
    "driver_fault": (
        "critical",
        "has a driver that failed in a way that it must not",
        "It is left out and tried again, and put to sleep as far as its driver can; the others go on. This is a mistake of "
        "the program: please report it with its trace, which is in the log.",
    ),
    "hash_without_power": (
        "warning",
        "reports hash rate without power",
        "Its own wattmeter cannot be trusted: compare with the mining meter.",
    ),
    "power_without_hash": (
        "critical",
        "draws power without hashing",
        "It burns energy for nothing. Check its pool connection and its hash boards.",
    ),
    "hash_without_shares": (
        "warning",
        "reports hash rate, but the pool gets no shares from it",
        "Check that it mines at this pool under its own worker name.",
    ),
}


@dataclass(frozen=True, slots=True)
class MachineCondition:
    """A judgement over one machine's readings; ``since_ms`` is site time."""

    id: str
    severity: Severity
    subject: str
    summary: str
    evidence: str
    advice: str
    since_ms: int


class Conditions:
    """The open conditions of one machine. One that is raised again keeps its beginning and gets the new evidence."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._open: dict[str, MachineCondition] = {}

    def __contains__(self, kind: object) -> bool:
        return kind in self._open

    def all(self) -> tuple[MachineCondition, ...]:
        """Every open condition, oldest first."""
        return tuple(self._open.values())

    def show(self, kind: str, evidence: str, since_ms: int) -> None:
        """Raise a condition. Raises KeyError for a kind that is not known here."""
        known = self._open.get(kind)
        if known is not None:
            self._open[kind] = replace(known, evidence=evidence)
            return
        severity, summary, advice = _KINDS[kind]
        text = f"{self._subject} {summary}"
        self._open[kind] = MachineCondition(kind, severity, self._subject, text, evidence, advice, since_ms)

    def clear(self, *kinds: str) -> None:
        """These do not hold, or not any more."""
        for kind in kinds:
            self._open.pop(kind, None)
