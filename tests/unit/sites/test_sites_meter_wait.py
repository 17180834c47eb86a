"""Quarter hours that wait for their meters: late registers are exact, a grace ends, order is kept, the wait is told."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs
from tests.unit.clock_and_audit import START_MS, TurnedClock
from tests.unit.sites.sites_books import bookkeeper
from tests.unit.treasury.treasury_site import METERS, SITE, books_of, open_database

from photosynth.energy.meters import IntervalReading, MeterError, MeterReading
from photosynth.operations.conditions import system_conditions, unknown_conditions
from photosynth.quantities.instants import INTERVAL_MS
from photosynth.sites.bookkeeper import MOST_UNWRITTEN_POINTS, Bookkeeper
from photosynth.sites.clock import RunningClock
from photosynth.sites.meter_wait import MeterWait
from photosynth.storage import Database, StorageError
from photosynth.storage.observations import DayObservation
from photosynth.treasury.evidence.lines import last_quarter_hour
from photosynth.treasury.mining.unknown_intervals import unknown_intervals

GRACE_S = 3600.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = open_database(tmp_path)
    yield made
    made.close()


@dataclass
class LatchedMeters:
    """Meters that latch by a clock, and answer unless they are cut off."""

    clock: TurnedClock
    silent: set[str] = field(default_factory=set)
    cut_off: bool = False
    kept_since_ms: int = 0
    back_after: int | None = None
    asked: list[int] = field(default_factory=list)

    async def read(self) -> dict[str, MeterReading]:
        return {}

    async def profile(self, interval_start_ms: int) -> dict[str, IntervalReading] | None:
        self.asked.append(interval_start_ms)
        if self.cut_off and (self.back_after is None or len(self.asked) <= self.back_after):
            raise MeterError("the meters did not answer within 2 s")
        if interval_start_ms + INTERVAL_MS > self.clock.site or interval_start_ms < self.kept_since_ms:
            return None
        number = (interval_start_ms - START_MS) // INTERVAL_MS
        return {name: reading(number) for name in METERS if name not in self.silent}


def reading(number: int) -> IntervalReading:
    return IntervalReading(360_000 * number, 360_000 * (number + 1), "good")


class Rig:
    """A wait at a speed, a quarter hour after its start."""

    def __init__(self, speed: int = 60, grace_s: float = GRACE_S) -> None:
        self.clock, self.speed, self.now_s = TurnedClock(speed), speed, 0.0
        self.clock.site = START_MS + INTERVAL_MS
        self.meters = LatchedMeters(self.clock)
        self.grace_s = grace_s
        self.start()

    def start(self) -> None:
        """The process starts, or starts again."""
        self.wait = MeterWait(
            self.meters,
            METERS,
            self.clock,
            site="here",
            speed_milli=self.speed * 1000,
            grace_s=self.grace_s,
            seconds=lambda: self.now_s,
        )

    def turn(self, wall_s: float) -> None:
        self.now_s += wall_s
        self.clock.turn(wall_s)

    async def registers(self, number: int = 0) -> dict[str, IntervalReading] | None:
        return await self.wait.registers(START_MS + number * INTERVAL_MS)


async def test_meters_that_answer_close_a_quarter_hour_at_once() -> None:
    rig = Rig()
    assert await rig.registers() == dict.fromkeys(METERS, reading(0))
    assert rig.wait.waiting is None


@pytest.mark.parametrize("speed", [1, 60, 1000])
async def test_what_is_read_late_is_exact_however_fast_the_clock_runs(speed: int) -> None:
    rig = Rig(speed)
    rig.meters.cut_off = True
    for _ in range(60):
        assert await rig.registers() is None
        rig.turn(30)
    waiting = rig.wait.waiting
    assert waiting is not None
    assert waiting.meters == METERS
    assert (waiting.waited_s, waiting.left_s) == (1770, GRACE_S - 1770)
    assert waiting.open_intervals == 1 + 1770 * speed // 900
    rig.meters.cut_off = False
    for number in range(1 + 1800 * speed // 900):
        assert await rig.registers(number) == dict.fromkeys(METERS, reading(number))
    assert rig.wait.waiting is None


async def test_after_the_grace_it_is_closed_with_what_is_known_and_the_next_has_its_own() -> None:
    rig = Rig(speed=1)
    rig.meters.silent = {"pv"}
    assert await rig.registers() is None
    rig.turn(GRACE_S - 1)
    assert await rig.registers() is None
    rig.turn(1)
    found = await rig.registers()
    assert found is not None
    assert set(found) == set(METERS) - {"pv"}
    assert await rig.registers(1) is None, "it ended a quarter of an hour later"
    assert rig.wait.waiting is not None
    assert (rig.wait.waiting.meters, rig.wait.waiting.left_s) == (("pv",), 900)
    rig.turn(900)
    assert await rig.registers(1) is not None


async def test_a_restart_neither_begins_the_grace_anew_nor_skips_asking() -> None:
    rig = Rig(speed=1)
    rig.meters.cut_off = True
    assert await rig.registers() is None
    rig.turn(GRACE_S - 60)
    rig.start()
    assert await rig.registers() is None
    rig.turn(60)
    assert await rig.registers() == {}
    rig.turn(3 * GRACE_S)
    rig.start()
    assert await rig.registers(1) is None, "a clock that ran on while nobody asked does not close it unasked"
    rig.meters.cut_off = False
    rig.turn(1)
    assert await rig.registers(1) == dict.fromkeys(METERS, reading(1))


async def test_a_clock_that_has_ended_does_not_hold_a_quarter_hour_open_for_ever() -> None:
    rig = Rig(speed=60)
    rig.meters.cut_off = True
    assert await rig.registers() is None
    rig.now_s += GRACE_S  # the wall goes on, the replayed day does not
    assert await rig.registers() == {}


async def test_what_meters_keep_no_longer_is_not_waited_for() -> None:
    rig = Rig(speed=60)
    rig.meters.kept_since_ms = START_MS + INTERVAL_MS
    assert await rig.registers() is None
    rig.turn(15)
    assert await rig.registers() == {}
    assert await rig.registers(1) == dict.fromkeys(METERS, reading(1))


@pytest.mark.parametrize("speed", [1, 60, 1000])
async def test_meters_that_come_back_between_two_questions_lose_no_quarter_hour(speed: int) -> None:
    rig = Rig(speed)
    rig.clock.site += 2 * INTERVAL_MS
    rig.meters.cut_off = True
    assert await rig.registers() is None
    rig.meters.back_after = len(rig.meters.asked) + 1  # the next question fails, the one after it is answered
    assert await rig.registers() in (None, dict.fromkeys(METERS, reading(0)))
    assert await rig.registers() == dict.fromkeys(METERS, reading(0))


async def test_a_quarter_hour_that_the_books_could_not_take_keeps_its_grace() -> None:
    rig = Rig(speed=1)
    rig.meters.silent = {METERS[0]}
    assert await rig.registers() is None
    rig.turn(GRACE_S + 1)
    with capture_logs() as logs:
        assert await rig.registers() is not None
        rig.turn(1)
        assert await rig.registers() is not None, "its grace has passed, whatever the books could not take meanwhile"
    assert len(logs) == 1


async def test_one_silent_meter_is_not_given_up_because_others_go_on() -> None:
    rig = Rig(speed=60)
    rig.meters.silent = {"hall"}
    rig.turn(120)
    assert await rig.registers() is None
    rig.turn(11)
    assert await rig.registers() is None
    assert rig.wait.waiting is not None
    assert rig.wait.waiting.meters == ("hall",)


async def test_a_grace_of_nothing_closes_at_once() -> None:
    rig = Rig(grace_s=0)
    rig.meters.cut_off = True
    assert await rig.registers() == {}


async def test_the_status_says_what_is_waited_for_and_what_stayed_unknown() -> None:
    rig = Rig(speed=1)
    rig.meters.silent = {"pv"}
    await rig.registers()
    rig.turn(120)
    await rig.registers()
    found = system_conditions(
        meters_fault=None,
        health=None,
        pool_fault=None,
        books_fault=None,
        waiting=rig.wait.waiting,
        reconciled=None,
        now_ms=1,
    )
    (condition,) = [item for item in found if item.id == "quarter_hours_wait"]
    assert "waiting for the meter pv" in condition.summary
    assert "waited 2 min" in condition.evidence
    assert "in 58 min the quarter hour is closed" in condition.advice
    assert unknown_conditions([]) == []


async def run_at_once(call: object) -> object:
    return call()  # type: ignore[operator]


def keeper_of(database: Database, rig: Rig) -> Bookkeeper:
    """Books of a site without pool and chain."""
    books = books_of(SITE)
    with database.begin() as tx:
        books.open(tx)
    rig.clock.time = RunningClock.starting_at(0, rig.speed * 1000).time  # type: ignore[attr-defined]
    return bookkeeper(database, run_at_once, books, rig.wait, cast(RunningClock, rig.clock))  # type: ignore[arg-type]


def registers_of(database: Database) -> Iterable[tuple[str, object, str]]:
    with database.read() as tx:
        last = last_quarter_hour(tx, SITE.site)
    assert last is not None
    return [(meter["id"], meter["register_end_j"], meter["quality"]) for meter in last.data["meters"]]


async def test_ten_seconds_without_meters_lose_no_quarter_hour(database: Database) -> None:
    rig = Rig(speed=1000)
    keeper = keeper_of(database, rig)
    rig.meters.cut_off = True
    for _ in range(13):
        assert not await keeper.close_interval()
        rig.turn(1)
    rig.meters.cut_off = False
    closed = 0
    while keeper.next_start_ms + INTERVAL_MS <= rig.clock.site:
        assert await keeper.close_interval()
        assert list(registers_of(database)) == [(name, 360_000 * (closed + 1), "good") for name in METERS]
        closed += 1
    assert closed == 1 + 13_000 // 900
    with database.read() as tx:
        assert unknown_intervals(tx, None, 0) == []


async def test_the_import_peak_counts_the_meters_of_its_role_whatever_others_do(database: Database) -> None:
    rig = Rig(speed=1, grace_s=0)
    keeper = keeper_of(database, rig)
    rig.meters.silent = {"pv"}
    assert await keeper.close_interval()
    assert keeper.notes.import_peak.watts_at(START_MS) == 400
    rig.turn(900)
    rig.meters.silent = {"grid-import"}
    assert await keeper.close_interval()
    assert keeper.notes.import_peak.watts_at(START_MS) == 400
    with database.read() as tx:
        (unknown,) = unknown_intervals(tx, SITE.site, START_MS)
    assert (unknown.count, unknown.first_ms, unknown.meters) == (2, START_MS, ("grid-import", "pv"))
    (condition,) = unknown_conditions([unknown])
    assert (
        condition.summary == "2 quarter hours were closed without the meters grid-import, pv; their energy is unknown, not zero"
    )


async def test_a_late_quarter_hour_says_when_it_was_and_not_when_it_was_closed(database: Database) -> None:
    rig = Rig(speed=60)
    keeper = keeper_of(database, rig)
    ended_ms = rig.clock.wall
    rig.meters.cut_off = True
    assert not await keeper.close_interval()
    rig.turn(100)
    rig.meters.cut_off = False
    assert await keeper.close_interval()
    with database.read() as tx:
        last = last_quarter_hour(tx, SITE.site)
    assert last is not None
    assert last.data["wall_end_ms"] == ended_ms


async def test_a_curve_that_could_not_be_written_while_a_quarter_hour_waits_is_no_trouble_once_it_can(database: Database) -> None:
    rig = Rig(speed=1)
    keeper = keeper_of(database, rig)
    taken, full = keeper.run, True

    async def run(call: object) -> object:
        if full:
            raise StorageError("full", database.place, "no space is left")
        return await taken(call)  # type: ignore[arg-type]

    keeper.run = run  # type: ignore[assignment]
    keeper.notes.observations += [DayObservation(START_MS + number) for number in range(MOST_UNWRITTEN_POINTS)]
    rig.meters.cut_off = True
    assert not await keeper.close_interval()
    assert "no space is left" in str(keeper.fault)
    full = False
    rig.meters.cut_off = False
    assert await keeper.close_interval()
    assert keeper.fault is None
    assert keeper.notes.observations == []


async def test_figures_beside_the_word_unknown_are_not_counted(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(speed=1, grace_s=0)
    keeper = keeper_of(database, rig)
    sound = rig.meters.profile

    async def profile(start_ms: int) -> dict[str, IntervalReading] | None:
        found = await sound(start_ms)
        return None if found is None else {**found, "grid-import": IntervalReading(0, 0, "unknown")}

    monkeypatch.setattr(rig.meters, "profile", profile)
    assert await keeper.close_interval()
    assert ("grid-import", None, "unknown") in list(registers_of(database))
    with database.read() as tx:
        (unknown,) = unknown_intervals(tx, SITE.site, START_MS)
    assert unknown.meters == ("grid-import",)
