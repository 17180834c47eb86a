"""The state of a site in one SQLite file: tables split by subject, migrations, and a connection that maps errors to sentences.

What stands here is imported when it is asked for: a stopped site's status is read without SQLAlchemy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from photosynth.storage.errors import StorageError

if TYPE_CHECKING:
    from photosynth.storage.database import Database, DatabaseThread, Runner

__all__ = ["Database", "DatabaseThread", "Runner", "StorageError"]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(import_module("photosynth.storage.database"), name)
    raise AttributeError(f"module {__name__} has no {name}")
