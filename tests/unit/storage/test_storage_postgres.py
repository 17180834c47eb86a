"""A PostgreSQL server that goes away in the middle of things, and comes back: never two writers, nothing lost or doubled."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from tests.peers.postgres import Postgres, running_postgres

from photosynth.storage import Database, StorageError
from photosynth.storage import postgres as module
from photosynth.storage.address import Address
from photosynth.storage.at_rest import RestingDatabase
from photosynth.storage.meta import get_meta, put_meta
from photosynth.storage.scopes import FLEET
from photosynth.storage.tables import BALANCES
from photosynth.storage.types import exact_sum
from photosynth.treasury.glance import ledger_totals

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One of our own: it is killed and hung."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def address(server: Postgres) -> Address:
    return server.new_database()


@pytest.fixture
def db(address: Address) -> Iterator[Database]:
    with Database(address) as database:
        yield database


def put(db: Database, value: int) -> None:
    with db.begin() as tx:
        put_meta(tx, FLEET, "a", value)


def got(db: Database) -> object:
    with db.read() as tx:
        return get_meta(tx, FLEET, "a")


def kill_session(server: Postgres, address: Address, whose: str) -> None:
    """End a session and wait until it has ended."""
    found = f"FROM pg_stat_activity WHERE application_name LIKE '{whose}%' AND datname = '{address.name}'"
    assert server.execute(address, f"SELECT pg_terminate_backend(pid, 10000) {found}") == [(True,)]


def test_a_session_that_broke_while_nobody_used_it_is_opened_anew_at_once(
    server: Postgres, db: Database, address: Address
) -> None:
    put(db, 1)
    kill_session(server, address, "photosynth writer")
    put(db, 2)
    kill_session(server, address, "photosynth reader")
    assert got(db) == 2


def test_one_that_breaks_in_the_middle_has_written_nothing(server: Postgres, db: Database, address: Address) -> None:
    put(db, 1)

    def break_in_the_middle() -> None:
        with db.begin() as tx:
            put_meta(tx, FLEET, "a", 2)
            kill_session(server, address, "photosynth writer")
            put_meta(tx, FLEET, "a", 3)

    with pytest.raises(StorageError) as caught:
        break_in_the_middle()
    assert (caught.value.kind, caught.value.undecided) == ("unavailable", False)
    assert got(db) == 1
    put(db, 4)
    assert got(db) == 4


def test_one_that_breaks_in_its_commit_says_that_nobody_knows(server: Postgres, db: Database, address: Address) -> None:
    put(db, 1)

    def break_at_the_end() -> None:
        with db.begin() as tx:
            put_meta(tx, FLEET, "a", 2)
            kill_session(server, address, "photosynth writer")

    with pytest.raises(StorageError) as caught:
        break_at_the_end()
    assert (caught.value.kind, caught.value.undecided) == ("unavailable", True)
    put(db, 3)
    assert got(db) == 3


def test_a_server_that_was_killed_serves_again_at_the_first_call_after_it_is_back(server: Postgres, db: Database) -> None:
    put(db, 1)
    server.kill()
    try:
        for call in (partial(put, db, 2), partial(got, db)):
            with pytest.raises(StorageError, match=r"does not answer|stops or starts") as caught:
                call()
            assert caught.value.kind == "unavailable"
    finally:
        server.start()
    assert got(db) == 1
    put(db, 3)
    assert got(db) == 3


def test_a_server_that_hangs_is_given_up_and_taken_again(server: Postgres, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 1)
    monkeypatch.setitem(module._CLIENT, "connect_timeout", 2)
    put(db, 1)
    with server.hanging():
        for call in (partial(put, db, 2), partial(put, db, 2), partial(got, db)):
            with pytest.raises(StorageError, match="does not answer") as caught:
                call()
            assert caught.value.kind == "unavailable"
    put(db, 3)  # the session that was given up still held the lock: it is ended
    assert got(db) == 3


def test_a_process_that_ends_does_not_wait_for_a_server_that_hangs_what_waits_by_then_neither(
    server: Postgres, db: Database
) -> None:
    put(db, 1)
    with server.hanging(), ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(call) for call in (partial(put, db, 2), partial(got, db))]
        assert not wait(waiting, 0.3).done
        db.hurry(0.1)
        assert len(wait(waiting, module.CONNECT_S).done) == 2, "none waits for the usual limit, which is longer"
        calls: list[Callable[[], object]] = [*(ended.result for ended in waiting), partial(put, db, 3), partial(got, db)]
        for call in calls:
            with pytest.raises(StorageError, match="not answer") as caught:
                call()
            assert caught.value.kind == "unavailable"
    db.close()


def test_a_writer_that_is_killed_lets_the_next_one_in_and_one_that_lives_does_not(
    server: Postgres, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = os.fork()
    if child == 0:
        try:
            Database(address)
            signal.pause()
        finally:
            os._exit(1)
    try:
        with psycopg.connect(server_text(server, address), autocommit=True) as sql:
            asked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            while sql.execute(asked).fetchone() != (1,):
                pass
        monkeypatch.setattr(module, "LOCK_S", 0.1)
        with pytest.raises(StorageError, match="another process is writing") as caught:
            Database(address)
        assert caught.value.kind == "busy"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    monkeypatch.setattr(module, "LOCK_S", 10)
    with Database(address) as database:
        put(database, 1)


def server_text(server: Postgres, address: Address) -> str:
    return f"host=127.0.0.1 port={server.port} user={address.user} dbname={address.name}"


def test_a_statement_that_takes_too_long_is_ended_by_the_server(db: Database, address: Address) -> None:
    with db.read() as tx:
        tx.exec_driver_sql("SET statement_timeout = '10ms'")
    with pytest.raises(StorageError, match="took longer") as caught, db.read() as tx:
        tx.exec_driver_sql("SELECT pg_sleep(10)")
    assert (caught.value.kind, caught.value.undecided) == ("unavailable", False)
    assert got(db) is None


def test_a_password_comes_from_the_passfile_and_nowhere_else(
    server: Postgres, address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    server.execute(address, "CREATE ROLE keeper LOGIN PASSWORD 'a:b'")
    server.execute(address, f"GRANT CREATE ON DATABASE {address.name} TO keeper")
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"127.0.0.1:{server.port}:{address.name}:keeper:a\\:b\n")
    passfile.chmod(0o600)
    with Database(server.address(address.name, "keeper", passfile)) as database:
        put(database, 1)
    with pytest.raises(StorageError, match=r"opens no session.*no password supplied"):
        Database(server.address(address.name, "keeper"))
    spoiled = ((partial(passfile.chmod, 0o640), "chmod 600"), (passfile.unlink, "cannot be read: No such file"))
    for spoil, words in spoiled:
        spoil()
        with pytest.raises(StorageError, match=words) as unusable:
            Database(server.address(address.name, "keeper", passfile))
        assert unusable.value.kind == "unavailable"
    passfile.write_text(f"127.0.0.1:{server.port}:{address.name}:keeper:wrong\n")
    passfile.chmod(0o600)
    with pytest.raises(StorageError, match="password authentication failed") as caught:
        Database(server.address(address.name, "keeper", passfile))
    assert caught.value.kind == "unavailable"


def test_whoever_may_not_write_is_told_what_is_missing(server: Postgres, address: Address) -> None:
    server.execute(address, "CREATE ROLE reader LOGIN PASSWORD 'x'")
    (server.folder / "data" / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust\n")
    server.execute(address, "SELECT pg_reload_conf()")
    reader = server.address(address.name, "reader")
    with pytest.raises(StorageError, match="Grant CREATE on the database") as caught:
        Database(reader)
    assert caught.value.kind == "read_only"
    with pytest.raises(StorageError, match=r"opens no session.*does not exist"):
        Database(server.address("nothing"))


def test_another_encoding_is_refused(server: Postgres) -> None:
    server.execute(server.address("postgres"), "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    with pytest.raises(StorageError, match="encoding is not UTF8"):
        Database(server.address("latin"))


def test_at_rest_it_reads_and_does_not_write(db: Database, address: Address) -> None:
    put(db, 5)
    with RestingDatabase(address) as resting:
        assert resting.exec_driver_sql("SELECT value FROM meta WHERE key = 'a'").fetchall() == [("5",)]
        with pytest.raises(StorageError) as caught:
            resting.exec_driver_sql("DELETE FROM meta RETURNING key")
        assert caught.value.kind == "read_only"


@pytest.mark.parametrize("table", ["postings", "posting_lines", "evidence", "actions", "assets"])
def test_no_table_of_record_is_truncated(server: Postgres, db: Database, address: Address, table: str) -> None:
    with pytest.raises(psycopg.IntegrityError, match="append-only"):
        server.execute(address, f"TRUNCATE {table} CASCADE")


@pytest.mark.parametrize("column", ["debit", "credit"])
@pytest.mark.parametrize("stored", ["-1", "1.5", "'NaN'", "'Infinity'", "-1e30"])
def test_the_schema_refuses_what_is_no_amount(db: Database, column: str, stored: str) -> None:
    other = "credit" if column == "debit" else "debit"
    with pytest.raises(sa.exc.IntegrityError, match=f"ck_balances_{column}"), db.begin() as tx:
        tx.exec_driver_sql(
            f"INSERT INTO balances (account, asset, wallet, party, site, {column}, {other}) "
            f"VALUES ('a', 'ETH', '', '', '', {stored}, 0)"
        )


@pytest.mark.parametrize("stored", ["1.5", "'NaN'", "'Infinity'", "'-Infinity'"])
def test_a_tampered_amount_is_refused_and_says_so(server: Postgres, db: Database, address: Address, stored: str) -> None:
    server.execute(address, "ALTER TABLE balances DROP CONSTRAINT ck_balances_debit")
    server.execute(address, f"INSERT INTO balances VALUES ('a', 'ETH', '', '', '', {stored}, 0)")
    for ask in (
        lambda tx: tx.execute(sa.select(BALANCES.c.debit)).all(),
        lambda tx: tx.execute(sa.select(exact_sum(BALANCES.c.debit))).all(),
        ledger_totals,
    ):
        with pytest.raises(StorageError, match="Restore it from a backup") as caught, db.begin() as tx:
            ask(tx)
        assert caught.value.kind == "corrupt"
    with pytest.raises(StorageError, match="Restore it from a backup"), RestingDatabase(address) as resting:
        ledger_totals(resting)
    put(db, 1)
    assert got(db) == 1


def test_amounts_of_any_size_are_kept_and_added(db: Database, address: Address) -> None:
    most = 10**5000
    with db.begin() as tx:
        tx.execute(BALANCES.insert().values(account="a", asset="ETH", wallet="", party="", site="", debit=most, credit=1))
    with db.read() as tx:
        assert tx.execute(sa.select(BALANCES.c.debit + BALANCES.c.credit)).scalar_one() == most + 1
    with Database(address, read_only=True) as reader, reader.read() as tx:
        assert tx.execute(sa.select(BALANCES.c.debit)).scalar_one() == most
