"""The file itself: one connection that writes, one that reads, and a thread that keeps both off the event loop."""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.at_rest import connect_at_rest
from photosynth.storage.errors import DamagedAmountError, StorageError, storage_error
from photosynth.storage.exact import add_exact_functions
from photosynth.storage.revision import HEAD, refuse_newer, refuse_other
from photosynth.storage.schema import stored_revision, upgrade

T = TypeVar("T")

BUSY_TIMEOUT_MS = 5000


class Runner(Protocol):
    """Runs a call that blocks somewhere else than on the event loop."""

    def __call__(self, call: Callable[[], T]) -> Awaitable[T]:
        """Run it and return what it returns, or raise what it raises."""
        ...


class Database:
    """A SQLite file in WAL mode that survives kill -9 after every commit (``synchronous=FULL``).

    Opening brings the schema up to date. Calls may come from any thread; writers wait for each other, and so do readers.
    ``read_only`` is for reading beside a process that writes, ``at_rest`` for a file that nobody writes to: it and its
    folder stay exactly as they are.
    Raises StorageError where the file cannot be opened, is damaged, or was written by a newer version.
    """

    def __init__(self, path: Path, *, read_only: bool = False, at_rest: bool = False) -> None:
        self.path = path
        self._write_lock = threading.RLock()
        self._read_lock = threading.RLock()
        self._writer: Connection | None = None
        self._reader: Connection | None = None
        try:
            self._open(read_only, at_rest)
        except BaseException:
            self.close()
            raise

    def _open(self, read_only: bool, at_rest: bool) -> None:
        with self._mapped():
            if not (read_only or at_rest):
                self._writer = _connect(_writing(self.path), "BEGIN IMMEDIATE")
                self._bring_up_to_date(self._writer)
            self._reader = _connect(_resting(self.path) if at_rest else _reading(self.path), "BEGIN")
            if self._writer is None:
                with self.read() as tx:
                    refuse_other(self.path, stored_revision(tx))

    def _bring_up_to_date(self, writer: Connection) -> None:
        with writer.begin():
            revision = stored_revision(writer)
            if revision == HEAD:
                return
            refuse_newer(self.path, revision)
            upgrade(writer)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end, undone where an error leaves the block."""
        if self._writer is None:
            raise StorageError("read_only", self.path, "was opened for reading only, or is closed.")
        with self._write_lock, self._mapped(), self._writer.begin():
            yield self._writer

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that reads one consistent state; what it tries to write is refused."""
        if self._reader is None:
            raise StorageError("unavailable", self.path, "is closed.")
        with self._read_lock, self._mapped(), self._reader.begin():
            yield self._reader

    def close(self) -> None:
        """Close both connections; safe to call twice."""
        with self._write_lock, self._read_lock:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
                    connection.engine.dispose()
            self._reader = self._writer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            known = storage_error(error.orig, self.path)
            if known is None:
                raise
            raise known from error
        except (sqlite3.Error, DamagedAmountError) as error:
            known = storage_error(error, self.path)
            if known is None:
                raise
            raise known from error


Connect = Callable[[], sqlite3.Connection]


def _connect(connect: Connect, begin: str) -> Connection:
    def opened() -> sqlite3.Connection:
        raw = connect()
        add_exact_functions(raw)
        return raw

    engine = sa.create_engine("sqlite://", creator=opened, poolclass=sa.pool.StaticPool)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # By the driver itself: this happens before every posting, and SQLAlchemy's way to it takes longer than SQLite's.
        connection.connection.cursor().execute(begin)

    try:
        return engine.connect()
    except BaseException:
        engine.dispose()
        raise


def _writing(path: Path) -> Connect:
    return _living(path, "rwc", ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"))


def _reading(path: Path) -> Connect:
    return _living(path, "ro", ("PRAGMA query_only = ON",))


def _resting(path: Path) -> Connect:
    return lambda: connect_at_rest(path)


def _living(path: Path, mode: str, pragmas: tuple[str, ...]) -> Connect:
    """Opens a file that this process or another writes to."""

    def connect() -> sqlite3.Connection:
        # Autocommit in the driver: transactions are opened by the event above, DDL included.
        address = f"{path.absolute().as_uri()}?mode={mode}"
        raw = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)
        try:
            for pragma in (f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}", "PRAGMA foreign_keys = ON", *pragmas):
                raw.execute(pragma)
        except sqlite3.Error:
            raw.close()
            raise
        return raw

    return connect


class DatabaseThread:
    """One worker thread for everything that touches the database, as a Runner for the event loop."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database")

    def __call__(self, call: Callable[[], T]) -> Awaitable[T]:
        """Run a call in the thread, after those that were handed over before it."""
        return asyncio.get_running_loop().run_in_executor(self._executor, call)

    def close(self) -> None:
        """Wait for what was handed over and end the thread."""
        self._executor.shutdown(wait=True)
