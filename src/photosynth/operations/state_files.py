"""The files of a state, beside its database: copied durably, and taken away again where a copy fails."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from photosynth.files.whole import is_unfinished, own_file, sync_folder
from photosynth.operations.state import StateError, StateFolder
from photosynth.storage import Database
from photosynth.storage.address import Address, Place
from photosynth.storage.at_rest import holds_state

UNPACKED = ".restore."
"""How the folder begins that a backup is taken apart in, within the state that it becomes."""
_NO_PART = ("lock", "databases", "before-*", f"{UNPACKED}*")
"""What else may lie in a state folder: of the lock, of other states, of earlier ones, of a restore that was killed."""


def refuse_full(target: StateFolder) -> None:
    """Raise StateError where anything is there already; StorageError where its database cannot be asked."""
    left = [str(path) for path in sorted(target.root.iterdir()) if not any(path.match(name) for name in _NO_PART)]
    if isinstance(target.database, Address) and holds_state(target.database):
        left.append(f"tables in {target.database}")
    if left:
        raise StateError(
            f"{target.root} is not empty: there is {', '.join(left[:4])}{' and more' if len(left) > 4 else ''}. Choose another "
            "place; where that is what a copy left that was cut off, remove it first (of a database, its schema photosynth)"
        )


class EmptyState:
    """A state that :func:`filling` holds, in which nothing is yet."""

    def __init__(self, folder: StateFolder) -> None:
        self.folder = folder
        self._made_tables = False

    def new_database(self) -> Database:
        """Its database. Raises StorageError, OSError; StateError where somebody else made tables there meanwhile."""
        database = new_database(self.folder.database)
        if not database.made:
            database.close()
            raise StateError(f"{self.folder.database} is not empty: another process has just filled it")
        self._made_tables = True
        return database

    def empty(self) -> None:
        """Take away what was filled in; tables only where they were made here."""
        for path in self.folder.contents():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        if self._made_tables and isinstance(self.folder.database, Address):
            from photosynth.storage.postgres import discard_tables

            discard_tables(self.folder.database)


@contextmanager
def filling(target: StateFolder) -> Iterator[EmptyState]:
    """Hold a state that is empty, to be filled; where that fails, it is empty again.

    Whoever fills it writes the manifest last: a kill before that leaves a state that no start takes. Raises StateError.
    """
    new = not target.root.exists()
    target.lock()
    try:
        refuse_full(target)
        for left in target.root.glob(f"{UNPACKED}*"):  # by one that was killed
            shutil.rmtree(left)
        empty = EmptyState(target)
        try:
            yield empty
        except BaseException:
            empty.empty()
            raise
    finally:
        target.unlock()
        if new and target.root.is_dir() and {path.name for path in target.root.iterdir()} <= {"lock"}:
            shutil.rmtree(target.root)


def copy_files(paths: list[Path], target: Path) -> int:
    """Copy files and folders into a folder, readable for their owner alone and durable; how many files. Raises OSError."""
    number = 0
    for path in paths:
        if is_unfinished(path):
            continue
        if path.is_dir():
            folder = target / path.name
            folder.mkdir(mode=0o700)
            number += copy_files(sorted(path.iterdir()), folder)
        elif path.is_file():
            _copy(path, target / path.name)
            number += 1
    sync_folder(target)
    return number


def new_database(place: Place) -> Database:
    """A database where there is none; a file is its owner's alone from the beginning. Raises StorageError, OSError."""
    if isinstance(place, Path):
        os.close(own_file(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    return Database(place)


def _copy(path: Path, to: Path) -> None:
    descriptor = own_file(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with path.open("rb") as source, os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())
