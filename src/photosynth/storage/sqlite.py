"""A SQLite file in WAL mode, which survives kill -9 after every commit (``synchronous=FULL``)."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from photosynth.storage.at_rest import connect_at_rest
from photosynth.storage.backend import Opened, open_engine
from photosynth.storage.errors import DamagedAmountError, StorageError
from photosynth.storage.exact import add_exact_functions
from photosynth.storage.sqlite_errors import sqlite_error

BUSY_TIMEOUT_MS = 5000


class SqliteFile:
    """Opens a file; satisfies ``backend.Backend``."""

    errors: tuple[type[Exception], ...] = (sqlite3.Error, DamagedAmountError)

    def __init__(self, path: Path, *, at_rest: bool) -> None:
        self.place = path
        self._at_rest = at_rest

    def writing(self) -> Opened:
        """Its transactions wait for those of another process."""
        return self._opened(self._living("rwc", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"), "BEGIN IMMEDIATE")

    def reading(self) -> Opened:
        """Of a file at rest nothing changes, its folder neither."""
        connect = self._resting if self._at_rest else self._living("ro", "PRAGMA query_only = ON")
        return self._opened(connect, "BEGIN")

    def hurry(self, answer_s: float) -> None:
        """Nothing to do: a file answers within its ``busy_timeout``."""

    def error(self, error: BaseException | None) -> StorageError | None:
        """By SQLite's primary result codes."""
        return sqlite_error(error, self.place)

    def _opened(self, connect: Callable[[], sqlite3.Connection], begin: str) -> Opened:
        def opened() -> sqlite3.Connection:
            raw = connect()
            add_exact_functions(raw)
            return raw

        return Opened(open_engine("sqlite://", opened, begin), lambda: False)

    def _resting(self) -> sqlite3.Connection:
        return connect_at_rest(self.place)

    def _living(self, mode: str, *pragmas: str) -> Callable[[], sqlite3.Connection]:
        """Opens a file that this process or another writes to."""

        def connect() -> sqlite3.Connection:
            # Autocommit in the driver: transactions are opened by ``open_engine``'s event, DDL included.
            address = f"{self.place.absolute().as_uri()}?mode={mode}"
            timeout_s = BUSY_TIMEOUT_MS / 1000
            raw = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=timeout_s)
            try:
                for pragma in (f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}", "PRAGMA foreign_keys = ON", *pragmas):
                    raw.execute(pragma)
            except sqlite3.Error:
                raw.close()
                raise
            return raw

        return connect
