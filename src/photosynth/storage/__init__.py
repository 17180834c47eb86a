"""The state of a site in one SQLite file: tables split by subject, migrations, and a connection that maps errors to sentences."""

from photosynth.storage.database import Database, DatabaseThread, Runner
from photosynth.storage.errors import StorageError

__all__ = ["Database", "DatabaseThread", "Runner", "StorageError"]
