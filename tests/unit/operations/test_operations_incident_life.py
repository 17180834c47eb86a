"""The life of incidents: opened once it lasts, the same after a restart, quiet once taken on, resolved once it stays away."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from photosynth.operations.incidents import life
from photosynth.operations.incidents.kinds import KINDS, LOOK_EVERY_S
from photosynth.operations.incidents.life import Incident, Incidents, Look, Seen, State

LOOK_MS = int(LOOK_EVERY_S * 1000)
SILENT = Seen("|node_unreachable:btc-1", "node_unreachable", None, "node btc-1", "critical", "it does not answer", "no answer")
WRONG = Seen("|wrong_chain:btc-2", "wrong_chain", "south", "node btc-2", "critical", "it is on test", "it says chain=test")


class World:
    """Looks in a row at whatever is wrong, five seconds apart."""

    def __init__(self, incidents: Incidents | None = None, now_ms: int = 1_790_000_000_000) -> None:
        self.incidents, self.now_ms = incidents or Incidents(), now_ms

    def looks(self, number: int, *seen: Seen, blind: Sequence[str] = ()) -> None:
        for _ in range(number):
            self.now_ms += LOOK_MS
            self.incidents.look(Look(seen, frozenset(blind)), self.now_ms)

    def told(self) -> list[tuple[int, State, int]]:
        return [(item.id, item.state, item.openings) for item in self.incidents.by_id.values()]

    def restarted(self) -> "World":
        """What a start reads after a kill: everything that was written, and nothing that was counted."""
        kept = list(self.incidents.by_id.values())
        return World(Incidents(kept, 1 + max((item.id for item in kept), default=0)), self.now_ms)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_condition_opens_after_its_own_number_of_looks_in_a_row_and_never_before(kind: str) -> None:
    item, world = Seen(f"|{kind}:x", kind, None, "fleet x", "warning", "s", "e"), World()
    needed = KINDS[kind].opens_after
    world.looks(needed - 1, item)
    world.looks(1)
    world.looks(needed - 1, item)
    assert world.told() == []
    world.looks(1, item)
    assert world.told() == [(1, "open", 1)]


def test_it_names_what_it_is_about_and_its_runbook() -> None:
    world = World()
    world.looks(2, SILENT)
    (found,) = world.incidents.by_id.values()
    assert (found.subject, found.severity, found.summary, found.evidence) == (
        "node btc-1",
        "critical",
        "it does not answer",
        "no answer",
    )
    assert (found.opened_ms, found.runbook) == (world.now_ms, "docs/runbooks/nodes.md#node_unreachable")


def test_it_is_resolved_once_it_stays_away_and_is_the_same_one_within_an_hour_and_a_new_one_later() -> None:
    world = World()
    world.looks(5, SILENT)
    world.looks(2)
    world.looks(1, SILENT)
    world.looks(2)
    assert world.told() == [(1, "open", 1)], "away for two looks is not over"
    world.looks(1)
    assert world.told() == [(1, "resolved", 1)]
    assert world.incidents.by_id[1].resolved_ms == world.now_ms
    world.looks(100)
    world.looks(2, SILENT)
    assert world.told() == [(1, "open", 2)]
    world.looks(3)
    world.now_ms += life.REOPENS_MS
    world.looks(2, SILENT)
    assert world.told() == [(1, "resolved", 2), (2, "open", 1)]


def test_one_that_comes_and_goes_stays_one_open_incident_that_says_so_until_it_was_away_for_half_an_hour() -> None:
    world = World()
    for _ in range(50):
        world.looks(3, SILENT)
        world.looks(4)
    assert world.told() == [(1, "open", 3)]
    assert world.incidents.by_id[1].flaps
    world.looks(life.CALM_LOOKS - 4)
    assert world.told() == [(1, "resolved", 3)]


def test_whoever_takes_one_on_first_is_remembered_and_it_stays_taken_on_until_it_was_really_over() -> None:
    world = World()
    world.looks(2, SILENT)
    assert world.incidents.acknowledge(1, "anna\x1b[2J", world.now_ms).acknowledged_by == "anna\ufffd[2J"
    assert world.incidents.acknowledge(1, "bert", world.now_ms).acknowledged_by == "anna\ufffd[2J"
    world.looks(3, SILENT)
    assert (world.incidents.open(), world.told()) == (0, [(1, "acknowledged", 1)])
    world.looks(3)
    assert world.told() == [(1, "resolved", 1)]
    with pytest.raises(ValueError, match="resolved"):
        world.incidents.acknowledge(1, "anna", world.now_ms)
    world.looks(2, SILENT)
    assert world.told() == [(1, "acknowledged", 2)], "it came back within the minute"
    world = World()
    world.looks(2, SILENT)
    world.incidents.acknowledge(1, "anna", world.now_ms)
    world.looks(3 + life.SETTLED_MS // LOOK_MS)
    world.looks(2, SILENT)
    assert (world.told(), world.incidents.by_id[1].acknowledged_by) == ([(1, "open", 2)], None)
    with pytest.raises(KeyError):
        world.incidents.acknowledge(9, "anna", world.now_ms)


def test_after_a_restart_it_is_the_same_one_and_is_not_resolved_before_all_was_looked_at() -> None:
    world = World()
    world.looks(2, SILENT)
    world.looks(1, SILENT, WRONG)
    again = world.restarted()
    again.looks(life.FIRST_LOOKS, WRONG)
    assert again.told() == [(1, "open", 1), (2, "open", 1)]
    again.looks(1, SILENT, WRONG)
    assert again.told() == [(1, "open", 1), (2, "open", 1)]
    again.looks(3, SILENT)
    assert again.told() == [(1, "open", 1), (2, "resolved", 1)], "what was seen since the start is resolved as ever"
    last = again.restarted()
    last.looks(life.FIRST_LOOKS + 2)
    assert last.told() == [(1, "open", 1), (2, "resolved", 1)]
    last.looks(1)
    assert last.told() == [(1, "resolved", 1), (2, "resolved", 1)]


def test_what_nobody_could_look_at_is_neither_there_nor_away() -> None:
    machine = Seen("south|drops_out:m-1", "drops_out", "south", "site south machine m-1", "warning", "s", "e")
    world = World()
    world.looks(2, SILENT, machine)
    world.looks(50, blind=("node btc-1", "site south machine"))
    assert [state for _, state, _ in world.told()] == ["open", "open"]
    world.looks(3, blind=("node btc-10", "site sou"))
    assert {state for _, state, _ in world.told()} == {"resolved"}


def test_evidence_that_counts_is_not_written_at_each_look_and_a_graver_state_is() -> None:
    world = World()
    world.looks(2, SILENT)
    world.incidents.unwritten.clear()
    for number in range(59):
        world.looks(1, replace(SILENT, evidence=f"silent for {number} looks"))
    assert not world.incidents.unwritten
    world.looks(1, replace(SILENT, evidence="silent for 60 looks"))
    assert (world.incidents.unwritten, world.incidents.by_id[1].evidence) == ({1}, "silent for 60 looks")
    world.incidents.unwritten.clear()
    world.looks(1, replace(SILENT, severity="warning"))
    assert (world.incidents.unwritten, world.incidents.by_id[1].severity) == ({1}, "warning")


def test_texts_of_anybody_are_bounded_and_obeyed_by_no_terminal() -> None:
    long = "\x1b[2J\n" * 10_000
    world = World()
    world.looks(1, Seen("k" * 10_000, "wrong_chain", None, long, "critical", long, long, long))
    (found,) = world.incidents.by_id.values()
    texts = (found.key, found.subject, found.summary, found.evidence, cast(str, found.cause))
    limits = (life.LONGEST_KEY, life.LONGEST_SUBJECT, life.LONGEST_SUMMARY, life.LONGEST_EVIDENCE, life.LONGEST_SUMMARY)
    assert tuple(map(len, texts)) == limits
    assert all(text.isprintable() for text in texts)


def test_more_than_a_fleet_can_have_are_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "MOST", 10)
    world = World()
    every = [Seen(f"|wrong_chain:n-{n}", "wrong_chain", None, f"node n-{n}", "critical", "s", "e") for n in range(25)]
    world.looks(3, *every)
    assert (len(world.incidents.by_id), world.incidents.left_out) == (10, 15)
    more = Seen("|incidents_overflow", "incidents_overflow", None, "fleet incidents", "warning", "s", "e")
    world.looks(1, *every, more)
    assert len(world.incidents.by_id) == 11, "that there are more is told all the same"
    world.looks(3, *every[10:])
    world.looks(1, *every[10:])
    assert world.incidents.left_out == 5


def test_a_clock_that_jumps_neither_opens_nor_loses_anything() -> None:
    world = World()
    world.looks(2, SILENT)
    world.now_ms -= 10 * 365 * 86_400_000
    world.looks(2, SILENT)
    world.looks(3)
    assert world.told() == [(1, "resolved", 1)]
    world.now_ms += 50 * 365 * 86_400_000
    assert world.incidents.by_id[1].settled(world.now_ms)
    world.looks(2, SILENT)
    assert world.told()[-1] == (2, "open", 1)
    world.looks(3)
    world.now_ms -= 50 * 365 * 86_400_000
    assert world.incidents.by_id[2].settled(world.now_ms), "a clock that was set back delays no word of it"


def test_a_year_of_incidents_is_not_held_in_memory() -> None:
    world = World()
    for number in range(400):
        item = Seen(f"|wrong_chain:n-{number}", "wrong_chain", None, f"node n-{number}", "critical", "s", "e")
        world.looks(1, item)
        world.looks(3)
        world.incidents.unwritten.clear()
        world.now_ms += 3_600_000
    assert len(world.incidents.by_id) <= 25


def test_what_is_not_written_yet_is_held_however_old_it_is() -> None:
    world = World()
    world.looks(1, WRONG)
    world.looks(3)
    world.now_ms += 2 * life.KEPT_MS
    world.looks(1)
    assert list(world.incidents.by_id) == [1]


def test_all_fields_of_an_incident_are_kept() -> None:
    """Whoever adds one has to add its column: what a start reads is what was written."""
    from photosynth.storage.tables import INCIDENTS

    assert [column.name for column in INCIDENTS.columns] == list(Incident.__slots__)
