"""One file that holds a whole state, taken while the system runs or stands still, and a state out of such a file.

The file is a tar archive, compressed by gzip. ``backup.json`` comes first: it names every other member with its size and
SHA-256. The tables are a SQLite file whatever database they came from, so that a backup of either can be restored to either.

Of a running system the parts are taken in an order in which they belong together. The manifest comes first: it tells only of
what was there before it. Then the share log, then one consistent state of the tables, which must reach as far as the log's
checkpoint and no further than its end; where a quarter hour was closed in between, both are taken again. What the audit has
in its spool is taken before the tables, so that it is in one of them whenever it is booked. The block log only
grows and comes after the tables, so it has every block that they followed; index and consensus database are rebuilt from it
at the first start. Devices and clock come last: they go on from where they are, as after a kill.
"""

import fcntl
import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from photosynth.files.whole import is_unfinished, sync_folder, whole_file
from photosynth.operations.manifest import MARK, Manifest, check_parts, load_manifest, save_manifest
from photosynth.operations.migration import Migrated, copy_state, copy_state_files, whole
from photosynth.operations.state import StateError, StateFolder, StateInUseError
from photosynth.operations.state_files import UNPACKED, copy_files, filling, new_database
from photosynth.pool.segments import ShareLogError, open_segments
from photosynth.sites.past import booked_shares
from photosynth.storage import Database
from photosynth.storage.address import Place
from photosynth.storage.copying import copy_tables

FORMAT = 1
CONTENTS = "backup.json"
MOST_CONTENTS = 64 << 20
"""Bytes of ``backup.json``; it has some 150 for each of a state's files, of which there are thousands at most."""
ATTEMPTS = 20
PIECE = 1 << 20
_GATHERED = ".gathered."


class DamagedBackupError(Exception):
    """A file is no backup, or not whole; the message says where."""


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What was written: how many files of the state, how many bytes the backup has, and whether the system ran."""

    files: int
    bytes: int
    running: bool


def back_up(state: Place, file: Path, made_ms: int) -> BackedUp:
    """Write a backup of a state, which may run meanwhile; the file appears whole, for its owner alone, or not at all.

    It holds the key that signs the evidence. Raises StateError, StorageError, OSError.
    """
    folder = StateFolder(state)
    if not folder.root.is_dir():
        raise StateError(f"no site has lived in {folder.root}, so there is nothing to back up")
    with _beside(file) as beside:
        gathered = StateFolder(beside)
        try:
            folder.lock(reading=True)
        except StateInUseError:
            _gather_running(folder, gathered)
            running = True
        else:
            running = False
            try:
                _gather_stopped(folder, gathered)
            finally:
                folder.unlock()
        files = _write(gathered.root, file, {"format": FORMAT, "made_ms": made_ms, "running": running})
    return BackedUp(files, file.stat().st_size, running)


def restore(file: Path, state: Place) -> Migrated:
    """Make a state out of a backup where there is none.

    Raises DamagedBackupError, StateError where anything is there already, StorageError, OSError; nothing is left then.
    """
    new = StateFolder(state)
    with filling(new) as empty, tempfile.TemporaryDirectory(prefix=UNPACKED, dir=new.root) as inside:
        _unpack(file, Path(inside))
        old = StateFolder(Path(inside))
        return copy_state(old, empty, whole(old))


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    """A folder beside a file for what it is made of. What a kill left there of earlier ones is removed: it holds keys."""
    parent, name = file.resolve().parent, f".{file.name}"
    others = [_free_again(path) for path in parent.glob(f"{escape(name)}{_GATHERED}*")]
    if all(others):
        for path in parent.glob(f"{escape(name)}.*"):
            if is_unfinished(path):
                path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix=name + _GATHERED, dir=parent) as beside:
        held = os.open(beside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield Path(beside)
        finally:
            os.close(held)


def _free_again(path: Path) -> bool:
    """Remove a folder that no living process holds; whether none did."""
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path)
    except BlockingIOError:
        return False
    finally:
        os.close(held)
    return True


def _gather_stopped(folder: StateFolder, gathered: StateFolder) -> None:
    manifest = whole(folder)
    with Database(folder.database, at_rest=True) as database, database.read() as tx:
        _gather_tables(tx, gathered)
    copy_state_files(folder, gathered, manifest)
    save_manifest(gathered, manifest)


def _gather_running(folder: StateFolder, gathered: StateFolder) -> None:
    for _ in range(ATTEMPTS):
        manifest = load_manifest(folder)
        if manifest is None or not manifest.complete or any(part.counting_anew for part in manifest.sites.values()):
            raise StateError(f"the system on {folder.root} is still at its first start; try again when it runs")
        with ExitStack() as open_:
            if (seqs := _gather_shares(folder, gathered, manifest)) is None:
                continue
            gathered.audit_spool.unlink(missing_ok=True)
            with suppress(FileNotFoundError):  # it was booked just now
                copy_files([folder.audit_spool], gathered.root)
            tx = open_.enter_context(open_.enter_context(Database(folder.database, read_only=True)).read())
            if not all(first <= booked_shares(tx, site) <= last for site, (first, last) in seqs.items()):
                continue  # a quarter hour was closed in between
            _gather_tables(tx, gathered)
        for node in manifest.active_nodes():
            gathered.node(node).mkdir(mode=0o700, parents=True)
            copy_files([folder.node(node) / "blocks.log", folder.node(node) / MARK], gathered.node(node))
        for site in manifest.active_sites():
            files = folder.site(site)
            for path in (files.world, files.stopped):
                with suppress(FileNotFoundError):  # resumed just now
                    copy_files([path], gathered.site(site).world.parent)
        copy_files([path for path in folder.movable() if path not in (folder.sites, folder.audit_spool)], gathered.root)
        save_manifest(gathered, manifest)
        check_parts(gathered, manifest)
        return
    raise StateError("quarter hours are closed faster than a backup can be taken; stop the system for it, or slow it down")


def _gather_shares(folder: StateFolder, gathered: StateFolder, manifest: Manifest) -> dict[str, tuple[int, int]] | None:
    """Copy the share logs: the checkpoint and the last entry of each; None where one was rewritten meanwhile."""
    found = {}
    for site in manifest.active_sites():
        there, here = folder.site(site).shares, gathered.site(site).shares
        shutil.rmtree(here, ignore_errors=True)
        here.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            copy_files([there], here.parent)
            account = open_segments(here, read_only=True).account
        except (FileNotFoundError, ShareLogError):
            return None
        found[site] = account.checkpoint_seq, account.last_seq
    return found


def _gather_tables(tx: Connection, gathered: StateFolder) -> None:
    with new_database(gathered.database) as copy, copy.begin() as writing:
        copy_tables(tx, writing)


def _write(folder: Path, file: Path, contents: dict[str, Any]) -> int:
    """Pack a folder with an account of it; how many files."""
    members = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    contents["files"] = {name: {"size": path.stat().st_size, "sha256": _digest(path)} for name, path in members.items()}
    described = json.dumps(contents, indent=1, sort_keys=True).encode()
    with (
        whole_file(file.resolve()) as out,
        gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6, mtime=0, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        _add(archive, CONTENTS, described)
        for name, path in members.items():
            _add(archive, name, path)
    return len(members)


def _add(archive: tarfile.TarFile, name: str, content: bytes | Path) -> None:
    member = tarfile.TarInfo(name)
    member.mode = 0o600
    member.size = len(content) if isinstance(content, bytes) else content.stat().st_size
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source:
        archive.addfile(member, source)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(file: Path, folder: Path) -> None:
    """Take a backup apart into an empty folder. Raises DamagedBackupError, OSError."""
    try:
        with gzip.open(file, "rb") as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
            _take(archive, file, folder)
            while packed.read(PIECE):  # to the end, where the checksum stands
                pass
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DamagedBackupError(f"{file} is no whole backup of a state: {error}") from error


def _take(archive: tarfile.TarFile, file: Path, folder: Path) -> None:
    wanted: dict[str, Any] | None = None
    for member in archive:
        source = archive.extractfile(member) if member.isreg() else None
        if source is None:
            raise DamagedBackupError(f"{file}: {member.name} is no file")
        if wanted is None:
            wanted = _contents(file, member.name, source.read(MOST_CONTENTS + 1))
            continue
        described = wanted.pop(member.name, None)
        if described is None:
            raise DamagedBackupError(f"{file}: {member.name} is not in its {CONTENTS}")
        path = folder / member.name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
            while piece := source.read(PIECE):
                digest.update(piece)
                out.write(piece)
        if digest.hexdigest() != described["sha256"] or path.stat().st_size != described["size"]:
            raise DamagedBackupError(f"{file}: {member.name} is not as it was written")
    if wanted is None or wanted:
        raise DamagedBackupError(f"{file} is not whole: {', '.join(sorted(wanted or [CONTENTS])[:3])} is missing")
    sync_folder(folder)


def _contents(file: Path, name: str, raw: bytes) -> dict[str, Any]:
    """What the first member says of the others, each below the folder and nowhere else."""
    try:
        if name != CONTENTS or len(raw) > MOST_CONTENTS:
            raise ValueError(f"it begins with {name}")
        known = json.loads(raw)
        if known["format"] != FORMAT:
            raise ValueError(f"its format is {known['format']}, this version knows {FORMAT}")
        files = {str(path): {"size": int(v["size"]), "sha256": str(v["sha256"])} for path, v in known["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedBackupError(f"{file} is no backup of a state: {error}") from None
    for path in files:
        if Path(path).is_absolute() or {"..", "."} & set(path.split("/")) or "\0" in path:
            raise DamagedBackupError(f"{file}: {path!r} would lie elsewhere")
    return files
