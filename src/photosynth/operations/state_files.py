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


def refuse_full(target: StateFolder) -> None:
    """Raise StateError where anything of a state is there already; StorageError where its database cannot be asked."""
    left = [str(path) for path in target.contents()]
    if holds_state(target.database) and str(target.database) not in left:
        left.append(f"tables in {target.database}")
    if left:
        raise StateError(
            f"{target.root} is not empty: there is {', '.join(left[:4])}{' and more' if len(left) > 4 else ''}. Choose another "
            "place; where that is what a copy left that was cut off, remove it first (of a database, its schema photosynth)"
        )


@contextmanager
def filling(target: StateFolder) -> Iterator[None]:
    """Hold a state that is empty, to be filled; where that fails, it is empty again.

    Whoever fills it writes the manifest last: a kill before that leaves a state that no start takes. Raises StateError.
    """
    new = not target.root.exists()
    target.lock()
    try:
        refuse_full(target)
        try:
            yield
        except BaseException:
            _empty(target)
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


def _empty(target: StateFolder) -> None:
    for path in target.contents():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    if isinstance(target.database, Address):
        from photosynth.storage.postgres import discard_tables

        discard_tables(target.database)
