"""The file of a stopped site, read without changing anything: no file is made, repaired or cleared away.

Whoever reads so must hold the state folder's lock: SQLite itself locks nothing here. After a clean stop the file is whole
and is read as one that does not change (``immutable``). After a kill there is a write-ahead log beside it, and SQLite
builds that log's index in its own memory (exclusive locking mode) instead of in the ``-shm`` file that it would make or
mend otherwise. The VFS without locks is needed for that, since an exclusive lock cannot be had on a file opened for reading.
Source: SQLite, "Write-Ahead Logging", sections 5 and 8; "The SQLite OS Interface", unix-none.
"""

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any

from photosynth.storage.errors import DamagedAmountError, storage_error
from photosynth.storage.revision import refuse_other


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
    """Plain SQL on the file of a stopped site; satisfies ``treasury.glance.Asked``. Raises StorageError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._raw = connect_at_rest(path)
        except sqlite3.Error as error:
            raise self._known(error) from error
        try:
            known = self.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchall()
            rows = self.exec_driver_sql("SELECT version_num FROM alembic_version").fetchall() if known else []
            refuse_other(path, str(rows[0][0]) if rows else None)
        except BaseException:
            self.close()
            raise

    def exec_driver_sql(self, statement: str, parameters: tuple[int | str, ...] = (), /) -> "Found":
        """Run one query."""
        try:
            return Found(self._raw.execute(statement, parameters).fetchall())
        except sqlite3.Error as error:
            raise self._known(error) from error

    def _known(self, error: Exception) -> Exception:
        return storage_error(error, self.path) or error

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        self._raw.close()

    def __enter__(self) -> "RestingDatabase":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
        if isinstance(error, DamagedAmountError):
            raise self._known(error) from error


class Found:
    """The rows of one query."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def fetchall(self) -> list[Any]:
        """All of them."""
        return self._rows
