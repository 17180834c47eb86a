"""Every kind of condition: after how many looks in a row it is an incident, after how many without it is over, and its runbook.

A look comes every ``LOOK_EVERY_S`` seconds. What an engine has judged over many readings already opens at once; what a
restart, a block or a slow answer shows for a moment has to last.
"""

from dataclasses import dataclass

LOOK_EVERY_S = 5.0
_CLEARS = 3
"""A condition that is not there for so many looks in a row is over: 15 s, longer than a node is silent between two looks."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of condition; ``page`` of docs/runbooks/ has a section of its name, ``why`` is the reason of its number."""

    name: str
    page: str
    opens_after: int
    why: str
    clears_after: int = _CLEARS

    @property
    def runbook(self) -> str:
        """Where a person reads what to do."""
        return f"docs/runbooks/{self.page}.md#{self.name}"


_JUDGED = "the control of the machine judges it over many readings already"
_FACT = "it is a fact that stays until somebody does something"
_LATE = "every node is behind for a moment when a block comes: a minute is no moment"
_TOLD = "one answer may be cut off; the second in a row is not"
_BEGINS = "each start of the system shows it for some seconds"

_ALL = (
    # Nodes
    Kind("node_unreachable", "nodes", 2, "the watch over nodes waits for two silent looks of its own already"),
    Kind("node_fault", "nodes", 1, _FACT),
    Kind("process_ended", "nodes", 2, "a process that is started anew at once is no incident"),
    Kind("not_looked_at", "nodes", 1, "it is said after two minutes only"),
    Kind("not_watched", "nodes", 1, "it is only told, and never an incident"),
    Kind("node_behind", "nodes", 12, _LATE),
    Kind("behind_headers", "nodes", 12, _LATE),
    Kind("initial_download", "nodes", 12, _LATE),
    Kind("lags", "nodes", 12, _LATE),
    Kind("stale_tip", "nodes", 2, _TOLD),
    Kind("no_peers", "nodes", 12, "a node that has just begun looks for peers"),
    Kind("node_warns", "nodes", 2, _TOLD),
    Kind("node_silent_on", "nodes", 2, _TOLD),
    Kind("wrong_chain", "nodes", 1, _FACT),
    Kind("not_bitcoin", "nodes", 1, _FACT),
    Kind("unproven", "nodes", 2, _TOLD),
    Kind("income_unread", "nodes", 3, "it is asked again after seconds, and only what lasts is somebody's work"),
    Kind("income_differs", "nodes", 1, _FACT),
    Kind("other", "nodes", 2, "a network's package names it, and nobody here knows how long it may last"),
    # Machines
    Kind("ignores_power_limit", "machines", 1, _JUDGED),
    Kind("stays_awake", "machines", 1, _JUDGED),
    Kind("says_ok_does_nothing", "machines", 1, _JUDGED),
    Kind("refuses_commands", "machines", 1, _JUDGED),
    Kind("not_verified", "machines", 2, _JUDGED),
    Kind("does_not_wake", "machines", 1, _JUDGED),
    Kind("does_not_stay", "machines", 1, _JUDGED),
    Kind("unreachable", "machines", 6, "a switch or a machine that starts again is away for half a minute"),
    Kind("drops_out", "machines", 1, _JUDGED),
    Kind("talks_nonsense", "machines", 2, _TOLD),
    Kind("driver_fault", "machines", 1, _FACT),
    Kind("hash_without_power", "machines", 2, _JUDGED),
    Kind("power_without_hash", "machines", 2, _JUDGED),
    Kind("hash_without_shares", "machines", 2, _JUDGED),
    # Sites
    Kind("meters_unreachable", "sites", 3, "one reading may fail; nothing is mined meanwhile"),
    Kind("pool", "sites", 3, "a node that is changed for another leaves the pool without a job for a moment"),
    Kind("control_fault", "sites", 1, _FACT),
    Kind("day_ended", "sites", 1, "it is only told, and never an incident"),
    Kind("demonstration_money_ends", "sites", 1, _FACT),
    # Books
    Kind("books_wait", "books", 3, "they are tried again after seconds, and nothing is lost meanwhile"),
    Kind("books_disagree", "books", 2, "a block that comes in between is followed at the next look"),
    Kind("quarter_hours_wait", "books", 12, "a meter that answers within a minute keeps nobody waiting"),
    Kind("quarter_hours_unknown", "books", 1, _FACT),
    Kind("coins_unexplained", "books", 1, _FACT),
    Kind("income_in_suspense", "books", 1, _FACT),
    # The system itself
    Kind("part_down", "system", 2, "a part that is begun again at once is no incident"),
    Kind("part_waits", "system", 6, _BEGINS),
    Kind("part_starts", "system", 6, _BEGINS),
    Kind("audit_waits", "system", 2, "a disk may be slow for a moment"),
    Kind("database_away", "system", 2, "a database may start again; what is said of it is as old as that"),
    Kind("alerts_undelivered", "system", 1, "it is said after two failures in a row only"),
    Kind("incidents_overflow", "system", 1, _FACT),
)
KINDS = {kind.name: kind for kind in _ALL}


def kind_of(name: str) -> Kind:
    """The kind of that name; ``other`` for one that only another package knows."""
    return KINDS.get(name, KINDS["other"])
