"""What a run takes up from the one before: nothing, or where time, peak and actions stood."""

from datetime import UTC, datetime

from photosynth.energy.import_peak import DemandPeriod
from photosynth.operations.audit_spool import finish_cut_off
from photosynth.sites.past import LastInterval, Past, read_past
from photosynth.storage import Database
from photosynth.storage.actions import read_actions, write_action
from photosynth.storage.address import Place
from photosynth.storage.tables import INTERVALS


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def close_quarter_hours(database: Database, imported: dict[str, int | None]) -> None:
    with database.begin() as tx:
        for seq, (start, import_w) in enumerate(imported.items(), 1):
            import_j = None if import_w is None else import_w * 900
            row = {
                "site": "here",
                "start_ms": ms(start),
                "seq": seq,
                "wall_start_ms": seq,
                "wall_end_ms": seq + 1,
                "speed_milli": 1000,
            }
            tx.execute(INTERVALS.insert().values(**row, meters=[], import_j=import_j))


def past_of(database: Database, period: DemandPeriod = "year") -> Past:
    with database.read() as tx:
        return read_past(tx, "here", period)


def test_a_fresh_state_has_no_past(place: Place) -> None:
    database = Database(place)
    past = past_of(database, "year")
    database.close()
    assert (past.last_interval, past.share_seq, past.machine_memory) == (None, 0, None)
    assert past.import_peak.watts_at(ms("2026-06-14T09:00")) == 0


def test_the_peak_is_that_of_the_last_quarter_hours_own_period(place: Place) -> None:
    database = Database(place)
    close_quarter_hours(
        database,
        {
            "2025-12-31T22:45": 300_000,
            "2025-12-31T23:00": 200_000,
            "2026-06-13T09:00": 80_000,
            "2026-06-14T09:00": 40_000,
            "2026-06-14T09:15": None,
        },
    )
    by_year, by_month = past_of(database, "year"), past_of(database, "month")
    database.close()
    assert by_year.last_interval == LastInterval(ms("2026-06-14T09:15"), 6)
    assert by_year.import_peak.watts_at(ms("2026-12-31T09:00")) == 200_000
    assert by_month.import_peak.watts_at(ms("2026-06-30T09:00")) == 80_000
    assert by_month.import_peak.watts_at(ms("2026-07-01T09:00")) == 0


def test_actions_that_were_cut_off_end_unverified(place: Place) -> None:
    database = Database(place)
    with database.begin() as tx:
        write_action(
            tx, "here", key="k", time_ms=5, wall_ms=6, actor="dispatch", kind="sleep", subject="m", reason="", request="sleep"
        )
        finish_cut_off(tx)
    with database.read() as tx:
        (row,) = read_actions(tx, None)
    database.close()
    assert (row.result, row.verified, row.finished_ms) == ("unverified", None, 5)
