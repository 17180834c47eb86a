"""The state's file: migrated once, append-only where it must be, and clear about what is wrong with it."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from tests.peers.postgres import NewPlace

from photosynth.storage import Database, DatabaseThread, StorageError
from photosynth.storage.actions import finish_action, read_action, read_actions, write_action
from photosynth.storage.address import Place
from photosynth.storage.at_rest import RestingDatabase, holds_state
from photosynth.storage.meta import get_meta, put_meta
from photosynth.storage.observations import FORGOTTEN_AT_ONCE, KEPT_MS, DayObservation, day_observations, keep_observations
from photosynth.storage.revision import HEAD
from photosynth.storage.schema import MIGRATIONS
from photosynth.storage.scopes import FLEET
from photosynth.storage.tables import ACTIONS, EVIDENCE, META, METADATA, OBSERVATIONS, POSTINGS

POSTING = {"id": 1, "key": "a", "time_ms": 1, "wall_ms": 1, "event": "e", "text": "t", "source": {}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "photosynth.sqlite3"


def plan(tx: sa.Connection, key: str = "k") -> int:
    return write_action(tx, "here", key=key, time_ms=1, wall_ms=2, actor="a", kind="k", subject="m", reason="r", request="q")


def test_migrations_and_tables_say_the_same(db: Database) -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == HEAD
    with db.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_the_file_is_durable_and_checked(path: Path) -> None:
    with Database(path) as db, db.begin() as tx:
        assert tx.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert tx.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert tx.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_opening_a_current_file_needs_no_alembic(path: Path) -> None:
    Database(path).close()
    code = (
        "import sys; from pathlib import Path; from photosynth.storage import Database; "
        f"Database(Path({str(path)!r})).close(); print('alembic' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_a_newer_schema_is_refused_and_left_alone(new_place: NewPlace) -> None:
    place = new_place()
    with Database(place) as database, database.begin() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for read_only in (False, True):
        with pytest.raises(StorageError, match="newer version of Photosynth") as caught:
            Database(place, read_only=read_only)
        assert caught.value.kind == "newer"
    with pytest.raises(StorageError, match="newer version of Photosynth"):
        RestingDatabase(place)


def test_where_there_is_no_state_whoever_reads_is_told_so(new_place: NewPlace) -> None:
    place = new_place()
    assert not holds_state(place)
    with pytest.raises(StorageError):
        Database(place, read_only=True)
    assert not holds_state(place)
    Database(place).close()
    assert holds_state(place)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE postings SET id = id",
        "UPDATE posting_lines SET number = number",
        "UPDATE evidence SET seq = seq",
        "DELETE FROM postings",
        "DELETE FROM posting_lines",
        "DELETE FROM evidence",
    ],
)
def test_what_was_written_stays(db: Database, change: str) -> None:
    with db.begin() as tx:
        tx.execute(POSTINGS.insert(), POSTING)
        tx.exec_driver_sql("INSERT INTO posting_lines VALUES (1, 0, '1100', 'debit', 'BTC', 1, NULL, NULL)")
        place = {"id": 1, "stream": "books", "seq": 0, "kind": "books"}
        tx.execute(EVIDENCE.insert().values(**place, body=b"", hash=b"h", signature=b"s", root=b"r"))
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), db.begin() as tx:
        tx.exec_driver_sql(change)


def test_an_action_is_finished_once(db: Database) -> None:
    with db.begin() as tx:
        first, second = plan(tx, "1"), plan(tx, "2")
        finish_action(tx, first, result="done", answer="OK", read_back="1200 W", verified=True, finished_ms=9)
        with pytest.raises(ValueError, match="finished before"):
            finish_action(tx, first, result="failed", answer=None, read_back=None, verified=None, finished_ms=9)
    with db.read() as tx:
        assert [action.id for action in read_actions(tx, None)] == [second, first]
        assert read_actions(tx, None, subject="other") == []
        assert [action.id for action in read_actions(tx, None, before_id=second)] == [first]
        done = read_action(tx, first)
        assert done is not None
        assert (done.result, done.verified, done.read_back) == ("done", True, "1200 W")
    ended = {"result": "done", "verified": True, "finished_ms": 9}
    for change in (
        ACTIONS.delete(),
        ACTIONS.update().values(actor="b"),
        ACTIONS.update().values(result="planned"),
        ACTIONS.update().where(ACTIONS.c.id == second).values(site="elsewhere", **ended),
        ACTIONS.update().where(ACTIONS.c.id == second).values(site=None, **ended),
    ):
        with pytest.raises(sa.exc.IntegrityError), db.begin() as tx:
            tx.execute(change)


def test_an_error_undoes_the_transaction(db: Database) -> None:
    with pytest.raises(sa.exc.StatementError), db.begin() as tx:
        put_meta(tx, FLEET, "a", 1) or put_meta(tx, FLEET, "b", 1.5)  # type: ignore[func-returns-value]
    with db.read() as tx:
        assert get_meta(tx, FLEET, "a") is None


def test_small_values(db: Database) -> None:
    with db.begin() as tx:
        put_meta(tx, FLEET, "a", {"x": [1, "2", None]})
        put_meta(tx, FLEET, "a", {"x": [3]})
        assert get_meta(tx, FLEET, "a") == {"x": [3]}
        with pytest.raises(sa.exc.StatementError, match="no place in the books"):
            put_meta(tx, FLEET, "b", {"x": [1.5]})


def test_readers_read_and_do_not_write(db: Database, place: Place) -> None:
    with pytest.raises(StorageError) as caught, db.read() as tx:
        tx.execute(META.insert().values(scope=FLEET, key="a", value=1))
    assert caught.value.kind == "read_only"
    with db.begin() as tx, db.read() as reader:
        put_meta(tx, FLEET, "a", 1)
        assert get_meta(reader, FLEET, "a") is None
    with Database(place, read_only=True) as other, other.read() as tx:
        assert get_meta(tx, FLEET, "a") == 1
        with pytest.raises(StorageError, match="reading only"), other.begin():
            pass


def test_a_full_disk_is_said_and_loses_nothing(path: Path) -> None:
    with Database(path) as db:
        with db.begin() as tx:
            put_meta(tx, FLEET, "a", "kept")
            pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
        with db.begin() as tx:
            tx.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(StorageError, match="disk is full") as caught, db.begin() as tx:
            put_meta(tx, FLEET, "big", "x" * 1_000_000)
        assert (caught.value.kind, caught.value.undecided) == ("full", False)
        with db.begin() as tx:
            assert get_meta(tx, FLEET, "a") == "kept"
            put_meta(tx, FLEET, "a", "still works")


@pytest.mark.parametrize("damage", [b"this is no database, it is a text " * 200, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_said(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    with pytest.raises(StorageError) as caught:
        Database(path)
    assert caught.value.kind == "corrupt"
    assert str(path) in str(caught.value)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        Database(tmp_path / "none" / "x.sqlite3")
    assert caught.value.kind == "unavailable"


def test_another_writer_is_said(db: Database, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photosynth.storage.sqlite.BUSY_TIMEOUT_MS", 1)
    monkeypatch.setattr("photosynth.storage.postgres.LOCK_S", 0.01)
    with db.begin(), pytest.raises(StorageError, match="another process") as caught:
        Database(place)
    assert caught.value.kind == "busy"


def test_the_day_is_thinned_evenly(db: Database) -> None:
    with db.begin() as tx:
        keep_observations(tx, "here", [DayObservation(n * 10, load_w=n) for n in range(100)], 990)
        keep_observations(tx, "here", [DayObservation(990, load_w=7)], 990)
    with db.read() as tx:
        points = day_observations(tx, "here", 0, 1000, 10)
        assert [point.time_ms for point in points] == [*range(0, 1000, 100), 990]
        assert points[-1].load_w == 7
        assert day_observations(tx, "here", 5000, 6000, 10) == []


def test_the_curve_of_a_year_takes_no_more_room_than_that_of_some_days(path: Path) -> None:
    """A point a minute is written each quarter hour; the quarter hours lie thirty times further apart, so that it is quick."""
    quarter_ms, sizes, now_ms = 30 * 900_000, [], 0
    with Database(path) as db:
        for _ in range(5):
            with db.begin() as tx:
                for _ in range(40):
                    now_ms += quarter_ms
                    keep_observations(tx, "here", [DayObservation(now_ms - n * 60_000, load_w=n) for n in range(15)], now_ms)
                sizes.append(tx.exec_driver_sql("PRAGMA page_count").scalar_one())
        with db.read() as tx:
            assert len(day_observations(tx, "here", 0, 1 << 62, 1 << 62)) <= 15 * (KEPT_MS // quarter_ms + 1)
    assert max(sizes[1:]) <= sizes[0] + 2


def test_what_piled_up_is_forgotten_in_passes_that_end(db: Database) -> None:
    with db.begin() as tx:
        for n in range(3 * FORGOTTEN_AT_ONCE):
            tx.execute(OBSERVATIONS.insert().values(site="here", time_ms=n))
    left = []
    for _ in range(4):
        with db.begin() as tx:
            keep_observations(tx, "here", [], 2 * KEPT_MS)
            left.append(tx.execute(sa.select(sa.func.count()).select_from(OBSERVATIONS)).scalar_one())
    assert left == [2 * FORGOTTEN_AT_ONCE, FORGOTTEN_AT_ONCE, 0, 0]


async def test_calls_run_in_one_thread_in_their_order(db: Database) -> None:
    run = DatabaseThread()

    def write(n: int) -> int:
        with db.begin() as tx:
            put_meta(tx, FLEET, "last", n)
        return n

    pending = [run(lambda n=n: write(n)) for n in range(10)]  # type: ignore[misc]
    assert [await waiting for waiting in pending] == list(range(10))
    with db.read() as tx:
        assert get_meta(tx, FLEET, "last") == 9
    run.close()
