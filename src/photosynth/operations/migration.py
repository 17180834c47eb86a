"""A stopped state from one place to another: tables row by row, files byte by byte, and the proof that both are the same."""

from dataclasses import dataclass

from photosynth.operations.manifest import Manifest, check_parts, load_manifest, save_manifest
from photosynth.operations.state import StateError, StateFolder
from photosynth.operations.state_files import EmptyState, copy_files, filling
from photosynth.storage import Database
from photosynth.storage.address import Place
from photosynth.storage.copying import Content, content_of, copy_tables
from photosynth.treasury.journal import Balance, trial_balance


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was copied, and the trial balances of both places, which are equal."""

    tables: dict[str, Content]
    files: int
    before: list[Balance]
    after: list[Balance]


def migrate(source: Place, target: Place) -> Migrated:
    """Copy a state to a place where there is none, while nothing runs on either.

    Raises StateError where the source is no whole state or the target is not empty, StorageError, OSError; the target is
    empty again then, or is refused by every start where this process was killed.
    """
    old, new = StateFolder(source), StateFolder(target)
    if old.root.resolve() == new.root.resolve():
        raise StateError(f"{source} and {target} are the same place")
    if not old.root.is_dir():
        raise StateError(f"no site has lived in {old.root}, so there is nothing to copy")
    old.lock(reading=True)
    try:
        manifest = whole(old)
        with filling(new) as empty:
            return copy_state(old, empty, manifest)
    finally:
        old.unlock()


def whole(folder: StateFolder) -> Manifest:
    """The manifest of a state of which no part is missing. Raises StateError."""
    manifest = load_manifest(folder)
    if manifest is None or not manifest.complete:
        raise StateError(f"{folder.root} holds no state whose first start has finished")
    check_parts(folder, manifest)
    return manifest


def copy_state(old: StateFolder, empty: EmptyState, manifest: Manifest) -> Migrated:
    """Fill an empty state. Raises StateError where the copy is not the same as the original."""
    new = empty.folder
    files = copy_files(old.movable(), new.root)
    with empty.new_database() as to, to.begin() as writing:
        with Database(old.database, at_rest=True) as from_, from_.read() as reading:
            tables, before = copy_tables(reading, writing), trial_balance(reading)
        found, after = content_of(writing), trial_balance(writing)
        different = [name for name, content in tables.items() if found[name] != content]
        if different or before != after:
            raise StateError(f"{new.database} took {', '.join(different) or 'the sums'} otherwise than it was given")
    save_manifest(new, manifest)
    return Migrated(tables, files, before, after)
