"""The watch over conditions: what it wrote is there after a restart, whatever a kill or a full disk came between."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.operations.incident_world import OFFICE, SILENT, KillError, World

from photosynth.operations.incidents import life, watch
from photosynth.operations.incidents.life import Seen
from photosynth.operations.view import NotKnownError
from photosynth.storage import Database, incidents
from photosynth.storage.incidents import list_incidents, told_alerts

OPENED = "Photosynth: critical: node btc-1: it does not answer"
OVER = "Photosynth: over: node btc-1: it does not answer"


def rows(db: Database) -> list[tuple[int, str, str, int]]:
    with db.read() as tx:
        found = list_incidents(tx, resolved=True, limit=100)
    return [(row["id"], row["key"], row["state"], row["openings"]) for row in reversed(found)]


async def test_what_was_written_is_read_by_the_next_start(db: Database) -> None:
    world = await World(db).start()
    await world.looks(2, SILENT)
    incident, unkept = await world.watch.acknowledge(1, "anna")
    assert (incident.state, unkept) == ("acknowledged", None)
    before = world.watch.incidents.by_id
    await world.start()
    assert world.watch.incidents.by_id == before
    await world.looks(3, SILENT)
    await world.looks(3)
    assert rows(db) == [(1, SILENT.key, "resolved", 1)]
    await world.start()
    await world.looks(2, SILENT)
    assert rows(db) == [(1, SILENT.key, "acknowledged", 2)], "it came back within the minute, after a restart"
    with pytest.raises(NotKnownError, match="no incident 2"):
        await world.watch.one(2)


async def test_an_incident_that_was_over_long_ago_is_still_told_of(db: Database) -> None:
    world = await World(db).start()
    await world.looks(2, SILENT)
    await world.looks(3)
    world.now_ms += 2 * life.KEPT_MS
    await world.start()
    assert world.watch.incidents.by_id == {}
    assert (await world.watch.one(1)).state == "resolved"
    await world.looks(2, SILENT)
    assert [row[0] for row in rows(db)] == [1, 2]


COMMITS = 9
LIFE = [(3, False), (4, True), (1, False), (20, True), (30, False), (4, True), (30, False)]
"""Looks in a row, and whether something is wrong in them."""


def kills() -> Iterator[tuple[int, bool]]:
    for number in range(1, COMMITS + 1):
        yield number, False
        yield number, True


async def live(world: World) -> int:
    """Live the life through, started again after each kill; how many there were."""
    killed = 0
    for count, wrong in LIFE:
        for _ in range(count):
            try:
                await world.looks(1, *([SILENT] if wrong else []))
            except KillError:
                killed += 1
                await world.start()
    return killed


@pytest.mark.parametrize(("number", "after"), list(kills()))
async def test_killed_at_any_write_nothing_is_lost_or_doubled_or_opened_anew(number: int, after: bool, tmp_path: Path) -> None:
    """Every commit of a life, and the moment before it; a message that was sent and not written down comes once more."""
    with Database(tmp_path / "photosynth.sqlite3") as db:
        world = World(db, OFFICE)
        await world.start()
        world.disk.kill_at, world.disk.kill_after = number, after
        assert await live(world) == 1
        assert rows(db) == [(1, SILENT.key, "resolved", 2)]
        titles = Counter(world.titles())
        assert set(titles) == {OPENED, OVER}
        assert {2, 3} >= set(titles.values()), titles
        assert sum(titles.values()) <= 5, "at most one message twice"


async def test_without_a_kill_each_is_told_once(db: Database) -> None:
    world = await World(db, OFFICE).start()
    assert await live(world) == 0
    assert world.disk.commits == COMMITS, "the trials above kill at each of them"
    assert world.titles() == [OPENED, OVER, OPENED, OVER]
    with db.read() as tx:
        assert told_alerts(tx, [1])["office", 1][0] == "resolved"


async def test_a_full_disk_keeps_nobody_from_being_woken_and_is_caught_up_with(db: Database) -> None:
    world = await World(db, OFFICE).start()
    world.disk.full = True
    await world.looks(3, SILENT)
    assert (rows(db), world.titles(), world.watch.fault is not None) == ([], [OPENED], True)
    incident, unkept = await world.watch.acknowledge(1, "anna")
    assert (incident.state, "is full" in str(unkept)) == ("acknowledged", True)
    world.disk.full = False
    await world.looks(1, SILENT)
    assert (rows(db), world.watch.fault) == ([(1, SILENT.key, "acknowledged", 1)], None)
    await world.start()
    await world.looks(5, SILENT)
    assert world.titles() == [OPENED], "what was told on a full disk is known after the restart"


async def test_old_incidents_are_forgotten_some_at_a_time_and_no_number_comes_again(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incidents, "FORGOTTEN_AT_ONCE", 5)
    monkeypatch.setattr(watch, "FORGET_EVERY", 0)
    world = await World(db, OFFICE).start()
    every = [Seen(f"|wrong_chain:n-{n}", "wrong_chain", None, f"node n-{n}", "critical", "s", "e") for n in range(12)]
    await world.looks(2, *every)
    await world.looks(20)
    assert len(rows(db)) == 12
    world.now_ms += incidents.KEPT_MS
    for left in (7, 2, 1, 1):
        await world.looks(1)
        assert len(rows(db)) == left
    with db.read() as tx:
        assert told_alerts(tx, range(20)).keys() == {("office", 12)}, "what was told of them went with them"
    await world.start()
    await world.looks(1, every[3])
    assert [row[0] for row in rows(db)] == [13], "the last one is forgotten only when another is the last"


async def test_more_than_can_be_kept_go_the_oldest_first(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "MOST_KEPT", 4)
    world = await World(db).start()
    for number in range(8):
        item = Seen(f"|wrong_chain:n-{number}", "wrong_chain", None, f"node n-{number}", "critical", "s", "e")
        await world.looks(1, item)
        await world.looks(3)
    with db.begin() as tx:
        assert incidents.forget_incidents(tx, world.now_ms) == 4
        assert incidents.forget_incidents(tx, world.now_ms) == 0
    assert [row[0] for row in rows(db)] == [5, 6, 7, 8]
