"""What SQLite's result codes mean for whoever operates the system."""

import sqlite3
from pathlib import Path

from photosynth.storage.errors import DamagedAmountError, Kind, StorageError

_RESTORE = "Restore it from a backup, or start with --fresh"
_BY_PRIMARY_CODE: dict[int, tuple[Kind, str]] = {
    sqlite3.SQLITE_FULL: ("full", "the disk is full. Nothing was lost: what was not written was undone. Free some space"),
    sqlite3.SQLITE_CORRUPT: ("corrupt", f"the file is damaged. {_RESTORE}"),
    sqlite3.SQLITE_NOTADB: ("corrupt", f"this is not a database. {_RESTORE}"),
    sqlite3.SQLITE_READONLY: ("read_only", "the file or its folder may not be written. Mend its permissions"),
    sqlite3.SQLITE_PERM: ("read_only", "the file or its folder may not be opened. Mend its permissions"),
    sqlite3.SQLITE_AUTH: ("read_only", "the file or its folder may not be opened. Mend its permissions"),
    sqlite3.SQLITE_BUSY: ("busy", "another process is writing to it. Stop that one first"),
    sqlite3.SQLITE_LOCKED: ("busy", "another connection is writing to it. Stop that one first"),
    sqlite3.SQLITE_CANTOPEN: ("unavailable", "the file cannot be opened. See that its folder exists and may be written"),
    sqlite3.SQLITE_IOERR: ("unavailable", "the disk answers with an error. See that it is healthy and not full"),
}


def sqlite_error(error: BaseException | None, path: Path) -> StorageError | None:
    """The StorageError that an error of SQLite stands for; None where it is a mistake of the program's own."""
    if isinstance(error, DamagedAmountError):
        return StorageError("corrupt", path, f"the file is damaged: {error}. {_RESTORE}.")
    if not isinstance(error, sqlite3.Error):
        return None
    # The functions that add amounts raise in SQLite what it hands on in these words alone.
    if str(error).startswith("user-defined"):
        return StorageError("corrupt", path, f"the file is damaged: a sum of amounts is none. {_RESTORE}.")
    code = getattr(error, "sqlite_errorcode", None)
    known = _BY_PRIMARY_CODE.get(code & 0xFF) if isinstance(code, int) else None
    return None if known is None else StorageError(known[0], path, f"{known[1]} (SQLite says: {error}).")
