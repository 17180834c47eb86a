"""The database of a stopped site, read without changing anything: of a file, none is made, repaired or cleared away.

Whoever reads so must hold the state folder's lock: SQLite itself locks nothing here. After a clean stop the file is whole
and is read as one that does not change (``immutable``). After a kill there is a write-ahead log beside it, and SQLite
builds that log's index in its own memory (exclusive locking mode) instead of in the ``-shm`` file that it would make or
mend otherwise. The VFS without locks is needed for that, since an exclusive lock cannot be had on a file opened for reading.
Source: SQLite, "Write-Ahead Logging", sections 5 and 8; "The SQLite OS Interface", unix-none.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from photosynth.storage.address import Address, Place
from photosynth.storage.errors import DamagedAmountError, StorageError
from photosynth.storage.revision import HAS_REVISION, REVISION, refuse_other
from photosynth.storage.sqlite_errors import sqlite_error


def connect_at_rest(path: Path) -> sqlite3.Connection:
    """A connection to a file that nobody writes to. Raises sqlite3.Error."""
    log = path.with_name(path.name + "-wal")
    pending = log.exists() and log.stat().st_size > 0
    how = "mode=ro&vfs=unix-none" if pending else "mode=ro&immutable=1"
    raw = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None, check_same_thread=False)
    try:
        raw.execute("PRAGMA query_only = ON")
        if pending:
            raw.execute("PRAGMA locking_mode = EXCLUSIVE")
    except sqlite3.Error:
        raw.close()
        raise
    return raw


class RestingDatabase:
    """Plain SQL on the database of a stopped site; satisfies ``treasury.glance.Asked``. Raises StorageError."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._raw: Any = None
        try:
            self._raw, self._known = _opened(place)
            refuse_other(place, self.revision())
        except BaseException:
            self.close()
            raise

    def revision(self) -> str | None:
        """The schema that it says it has, None where it holds no state."""
        dialect = "sqlite" if isinstance(self.place, Path) else "postgresql"
        rows = self.exec_driver_sql(REVISION).fetchall() if self.exec_driver_sql(HAS_REVISION[dialect]).fetchall() else []
        return str(rows[0][0]) if rows else None

    def exec_driver_sql(self, statement: str, /) -> "Found":
        """Run one query."""
        try:
            return Found(self._raw.execute(statement).fetchall())
        except Exception as error:
            known = self._known(error)
            if known is None:
                raise
            raise known from error

    def close(self) -> None:
        """Let go of it; safe to call twice."""
        if self._raw is not None:
            self._raw.close()

    def __enter__(self) -> "RestingDatabase":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
        if isinstance(error, DamagedAmountError):
            raise self._known(error) or error from error


def _opened(place: Place) -> tuple[Any, Callable[[BaseException], StorageError | None]]:
    """The driver's connection, and what its errors mean. Raises StorageError."""
    if isinstance(place, Address):
        return _opened_server(place)
    path = place
    try:
        return connect_at_rest(path), lambda error: sqlite_error(error, path)
    except sqlite3.Error as error:
        raise sqlite_error(error, path) or error from error


def _opened_server(address: Address) -> tuple[Any, Callable[[BaseException], StorageError | None]]:
    import psycopg

    from photosynth.storage.postgres import connect_reading, postgres_error

    try:
        return connect_reading(address), lambda error: postgres_error(error, address)
    except psycopg.Error as error:
        raise postgres_error(error, address) or error from error


_HOLDS_ANYTHING = "SELECT 1 FROM pg_class WHERE relnamespace = to_regnamespace('photosynth') LIMIT 1"


def holds_state(place: Place) -> bool:
    """Whether there is anything where a state's tables lie. Raises StorageError where a server cannot be asked."""
    if isinstance(place, Path):
        return place.exists()
    raw, known = _opened_server(place)
    try:
        return bool(raw.execute(_HOLDS_ANYTHING).fetchall())
    except Exception as error:
        raise known(error) or error from error
    finally:
        raw.close()


class Found:
    """The rows of one query."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def fetchall(self) -> list[Any]:
        """All of them."""
        return self._rows
