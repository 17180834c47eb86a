"""The state folder: where everything of one fleet lies, and that only one process at a time runs on it."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from photosynth.files.folders import UnsafeFolderError, check_folder
from photosynth.files.whole import forget_unfinished, own_file, sync_folder, write_whole
from photosynth.sites.files import SiteFiles
from photosynth.storage.address import Address, Place

_READER_PATIENCE_S = 10.0
"""A command that reads a stopped site's folder holds it for about a second; a start waits so long."""
_WRITER_PATIENCE_S = 0.1
"""A holder that has just taken the lock needs a moment to say who it is."""


class StateError(Exception):
    """The state folder cannot be used; the message says why and what to do."""


class StateInUseError(StateError):
    """Another process runs on this state folder; ``holder`` is its id, or ``unknown``."""

    def __init__(self, message: str, holder: str = "unknown") -> None:
        super().__init__(message)
        self.holder = holder


@dataclass(frozen=True, slots=True)
class ApiAddress:
    """Where the running system's API answers, and the token that its writes ask for."""

    url: str
    token: str
    pid: int


def files_of(address: Address) -> Path:
    """The folder of what is files of a state whose tables lie in a PostgreSQL database: in the platform's data folder."""
    import platformdirs

    return Path(platformdirs.user_data_dir("photosynth", appauthor=False)) / "databases" / address.folder_name


class StateFolder:
    """The paths of a fleet's state, and the lock that keeps a second process out.

    The state is named by its folder, or by the address of its database: then the folder is :func:`files_of` that.

    The folder itself is what is locked, so that reading it needs no file to be made: readers share the lock, whoever runs
    on the folder has it alone. The file ``lock`` says who that is.
    """

    def __init__(self, place: Place) -> None:
        self._address = None if isinstance(place, Path) else place
        self.root = place if isinstance(place, Path) else files_of(place)
        self._lock: int | None = None
        self._writing = False

    @property
    def manifest(self) -> Path:
        """Whose history this is and of which parts; see ``operations.manifest``."""
        return self.root / "manifest.json"

    @property
    def database(self) -> Place:
        """The journal, the evidence, the audit and the day's curve."""
        return self._file if self._address is None else self._address

    @property
    def _file(self) -> Path:
        return self.root / "photosynth.sqlite3"

    @property
    def nodes(self) -> Path:
        """Where the data of nodes lies, a folder each."""
        return self.root / "nodes"

    def node(self, node: str) -> Path:
        """The data of a node: an embedded one's chain, a process's log and data."""
        return self.nodes / node

    @property
    def sites(self) -> Path:
        """Where sites keep what is files, a folder each."""
        return self.root / "sites"

    @property
    def keys(self) -> Path:
        """The Ed25519 keys that sign evidence, one a stream; they can sign away nothing."""
        return self.root / "keys"

    def key(self, stream: str) -> Path:
        """The key of a stream of evidence: a site's, or the books'."""
        return self.keys / f"{stream}.key"

    def site(self, site: str) -> SiteFiles:
        """What is files of a site: its share log, what its simulated devices remember, an operator's stop, its key."""
        folder = self.sites / site
        return SiteFiles(folder / "shares", folder / "world", folder / "stopped", self.key(site))

    @property
    def clock(self) -> Path:
        """The remembered time of the fleet's clock."""
        return self.root / "clock.json"

    @property
    def status(self) -> Path:
        """The last status document, for questions after the end."""
        return self.root / "status.json"

    @property
    def audit_spool(self) -> Path:
        """The audit's entries that the database did not take yet."""
        return self.root / "audit-spool.jsonl"

    @property
    def log(self) -> Path:
        """The structured log."""
        return self.root / "log.jsonl"

    @property
    def _api(self) -> Path:
        return self.root / "api.json"

    @property
    def exists(self) -> bool:
        """Whether a fleet has lived here."""
        return any(path.exists() for path in (self.manifest, self._file))

    def parts(self) -> tuple[Path, ...]:
        """The files and folders that hold the history of a fleet: without its siblings none of it can be used."""
        return self._file, self.keys, self.sites, self.nodes

    def _all(self) -> tuple[Path, ...]:
        database = [self._file.with_name(self._file.name + end) for end in ("-wal", "-shm")]
        logs = (self.log, self.log.with_suffix(".old.jsonl"))
        return self.manifest, *self.parts(), *database, self.clock, self.status, self.audit_spool, self._api, *logs

    def _within(self) -> list[Path]:
        """What lies in the folders of keys, sites and nodes, and of each site."""
        found = [path for folder in (self.keys, self.sites, self.nodes) if folder.is_dir() for path in folder.iterdir()]
        return found + [path for site in found if site.parent == self.sites and site.is_dir() for path in site.iterdir()]

    def contents(self) -> list[Path]:
        """The files and folders of a state that are there."""
        return [path for path in self._all() if os.path.lexists(path)]

    def movable(self) -> list[Path]:
        """Those that make up the same state elsewhere, beside database, manifest and nodes; of a stopped system only."""
        found = (self.keys, self.sites, self.audit_spool, self.clock, self.status, self.log, self.log.with_suffix(".old.jsonl"))
        return [path for path in found if path.exists()]

    def lock(self, *, reading: bool = False) -> None:
        """Keep every other process out until :meth:`unlock` or the end of this process; those that read keep out who runs.

        Raises StateInUseError where another process runs on the folder, StateError where it cannot be used, or where others
        than this user could change what lies in it. Reading makes no file.
        """
        try:
            if not reading:
                self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
                check_folder(self.root, [*self._all(), *self._within()])
            descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except UnsafeFolderError as error:
            raise StateError(str(error)) from None
        except OSError as error:
            done = "opened" if reading else "written"
            raise StateError(
                f"the state folder {self.root} cannot be {done}: {error.strerror}; choose another with --state DIR"
            ) from error
        try:
            self._take(descriptor, reading)
            if not reading:
                self._say_who()
                forget_unfinished(self.root)
        except BaseException:
            os.close(descriptor)
            raise
        self._lock, self._writing = descriptor, not reading

    def _take(self, descriptor: int, reading: bool) -> None:
        started_s = time.monotonic()
        while not _taken(descriptor, fcntl.LOCK_SH if reading else fcntl.LOCK_EX):
            if not reading and (only_readers := _taken(descriptor, fcntl.LOCK_SH)):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            else:
                only_readers = False
            if time.monotonic() - started_s > (_READER_PATIENCE_S if only_readers else _WRITER_PATIENCE_S):
                holder = "unknown" if only_readers else self._holder()
                raise StateInUseError(
                    f"the state folder {self.root} is in use by process {holder}; "
                    "stop that one, or choose another folder with --state DIR",
                    holder,
                )
            time.sleep(0.02)

    def _say_who(self) -> None:
        try:
            descriptor = own_file(self.root / "lock", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        except OSError as error:
            raise StateError(
                f"the state folder {self.root} cannot be written: {error.strerror}; choose another with --state DIR"
            ) from error
        try:
            os.write(descriptor, str(os.getpid()).encode())
        finally:
            os.close(descriptor)

    def _holder(self) -> str:
        try:
            with (self.root / "lock").open("rb") as file:
                return file.read(32).decode("ascii", "replace").strip() or "unknown"
        except OSError:
            return "unknown"

    def user(self) -> str | None:
        """The id of the process that runs on the folder, also where it starts or stops; None where none does."""
        if not self.root.is_dir():
            return None
        try:
            self.lock(reading=True)
        except StateInUseError as error:
            return error.holder
        self.unlock()
        return None

    def unlock(self) -> None:
        """Let the folder go; safe to call twice."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock, self._writing = None, False

    def set_aside(self, paths: Iterable[Path] | None = None) -> Path | None:
        """Move what a fleet left here, or some of it, into a new folder within this one, and nothing else.

        Where it is now; None where there was nothing. Only under the lock. Raises StateError, OSError.
        """
        if not self._writing:
            raise StateError(f"{self.root} is not locked by this process")
        found = self.contents() if paths is None else [path for path in paths if os.path.lexists(path)]
        if not found:
            return None
        aside = self._new_folder(time.strftime("before-%Y%m%dT%H%M%SZ", time.gmtime()))
        for path in found:
            path.rename(aside / path.name)
        sync_folder(aside)
        sync_folder(self.root)
        return aside

    def _new_folder(self, name: str) -> Path:
        for number in range(1, 1000):
            folder = self.root / (name if number == 1 else f"{name}-{number}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                return folder
        raise StateError(f"{self.root} holds a thousand folders {name}; remove some")

    def write_api(self, address: ApiAddress) -> None:
        """Tell the command line where the running system answers; only this user may read it."""
        document = {"url": address.url, "token": address.token, "pid": address.pid}
        write_whole(self._api, json.dumps(document).encode(), durable=False)

    def read_api(self) -> ApiAddress | None:
        """Where the system that runs on the folder answers; None where no living process says so. Raises StateError."""
        try:
            with self._api.open("rb") as file:
                known = json.loads(file.read(10_000))
            address = ApiAddress(str(known["url"]).rstrip("/"), str(known["token"]), int(known["pid"]))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError):
            raise StateError(f"{self._api} is not readable; start the system again, which writes it anew") from None
        try:
            os.kill(address.pid, 0)
        except (ProcessLookupError, OverflowError, ValueError):
            return None
        except PermissionError:
            pass  # it lives under another user
        return address

    def remove_api(self) -> None:
        """Say that nothing answers any more."""
        self._api.unlink(missing_ok=True)


def _taken(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
