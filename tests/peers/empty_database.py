"""An empty SQLite database, made once: its schema takes longer than most tests."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from photosynth.storage import Database


@cache
def empty_database() -> bytes:
    """The file of a database in which nothing was written yet."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "photosynth.sqlite3"
        Database(path).close()
        return path.read_bytes()
