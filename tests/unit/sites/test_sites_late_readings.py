"""Meters that come back are asked for what they had not told, for a day; each quarter hour is corrected once."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from tests.unit.sites.test_sites_meter_wait import Rig, keeper_of, run_at_once
from tests.unit.treasury.treasury_site import START_MS, open_database

from photosynth.quantities.instants import INTERVAL_MS
from photosynth.sites.bookkeeper import Bookkeeper
from photosynth.sites.late_readings import KEPT_MS, LateReadings
from photosynth.storage import Database, Runner
from photosynth.treasury.evidence.lines import EvidenceRecord, corrections_of
from photosynth.treasury.journal import TreasuryError, count_postings
from photosynth.treasury.mining.unknown_intervals import unknown_intervals


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(tmp_path) as made:
        yield made


class Late:
    """A bookkeeper whose meters were away for two quarter hours, and who asks them again."""

    def __init__(self, database: Database) -> None:
        self.database, self.rig = database, Rig(speed=1, grace_s=0)
        self.keeper: Bookkeeper = keeper_of(database, self.rig)
        self.told: list[EvidenceRecord] = []
        self.late = LateReadings(
            self.rig.meters,
            self.rig.clock,
            database,
            cast(Runner, run_at_once),
            self.keeper.books,
            self.told.append,
        )

    async def lose(self, quarter_hours: int, *meters: str) -> None:
        self.rig.meters.silent = set(meters)
        for _ in range(quarter_hours):
            assert await self.keeper.close_interval()
            self.rig.turn(900)
        self.rig.meters.silent = set()

    def corrections(self, number: int = 0) -> int:
        with self.database.read() as tx:
            return len(corrections_of(tx, "backnang", START_MS + number * INTERVAL_MS))


async def test_meters_that_are_back_complete_what_was_closed_without_them(database: Database) -> None:
    late = Late(database)
    await late.lose(2, "pv", "hall")
    late.rig.meters.silent = {"hall"}
    assert await late.late.ask() == 0, "one of two is back"
    late.rig.meters.silent = set()
    assert await late.late.ask() == 2
    assert [late.corrections(number) for number in range(2)] == [1, 1]
    with database.read() as tx:
        assert unknown_intervals(tx, None, 0) == []
        assert count_postings(tx) > 0
    assert [record.kind for record in late.told] == ["postings", "postings"]
    asked = len(late.rig.meters.asked)
    assert await late.late.ask() == 0
    assert len(late.rig.meters.asked) == asked, "nobody is asked for what is known"


async def test_meters_that_stay_away_hold_nothing_up(database: Database) -> None:
    late = Late(database)
    await late.lose(2, "pv")
    late.rig.meters.cut_off = True
    assert await late.late.ask() == 0
    late.rig.meters.cut_off = False
    late.rig.meters.kept_since_ms = START_MS + INTERVAL_MS
    assert await late.late.ask() == 1, "the meters keep the first no longer"
    assert [late.corrections(number) for number in range(2)] == [0, 1]


async def test_after_a_day_nobody_asks_any_more(database: Database) -> None:
    late = Late(database)
    await late.lose(1, "pv")
    late.rig.clock.site = START_MS + KEPT_MS + 1
    asked = len(late.rig.meters.asked)
    assert await late.late.ask() == 0
    assert len(late.rig.meters.asked) == asked


async def test_what_the_books_refuse_is_no_end_of_asking(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    late = Late(database)
    await late.lose(2, "pv")
    books = late.keeper.books
    real, refused = books.correct_interval, [START_MS]

    def refusing(tx: object, facts: object) -> object:
        if facts.start_ms in refused:  # type: ignore[attr-defined]
            raise TreasuryError("refused by a test")
        return real(tx, facts)  # type: ignore[arg-type]

    monkeypatch.setattr(books, "correct_interval", refusing)
    assert await late.late.ask() == 1
    refused.clear()
    assert await late.late.ask() == 1
    assert late.corrections() == 1
