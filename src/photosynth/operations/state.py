"""The state folder: where everything of one site lies, and that only one process at a time runs on it."""

import fcntl
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from photosynth.operations.files import write_whole

_CONTENTS = ("chain", "shares", "world", "photosynth.sqlite3", "photosynth.sqlite3-wal", "photosynth.sqlite3-shm")
_CONTENTS_FILES = ("clock.json", "identity.key", "api.json", "log.jsonl", "site.json", "node.json", "status.json")

_READING = "reading"
_READER_PATIENCE_S = 10.0
"""A command that reads a stopped site's folder holds it for about a second; whoever comes meanwhile waits so long."""
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


class StateFolder:
    """The paths of a site's state, and the lock that keeps a second process out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock: IO[bytes] | None = None

    @property
    def database(self) -> Path:
        """The journal, the evidence, the audit and the day's curve."""
        return self.root / "photosynth.sqlite3"

    @property
    def chain(self) -> Path:
        """The embedded node's folder."""
        return self.root / "chain"

    @property
    def node_state(self) -> Path:
        """What the driver of a bitcoind remembers: its demonstration target."""
        return self.root / "node.json"

    @property
    def shares(self) -> Path:
        """The share log."""
        return self.root / "shares"

    @property
    def world(self) -> Path:
        """What the simulated devices remember by themselves."""
        return self.root / "world"

    @property
    def clock(self) -> Path:
        """The remembered site time."""
        return self.root / "clock.json"

    @property
    def identity(self) -> Path:
        """The Ed25519 key that signs evidence; it can sign away nothing."""
        return self.root / "identity.key"

    @property
    def status(self) -> Path:
        """The last status document, for questions after the end."""
        return self.root / "status.json"

    @property
    def log(self) -> Path:
        """The structured log."""
        return self.root / "log.jsonl"

    @property
    def exists(self) -> bool:
        """Whether a site has lived here."""
        return self.database.exists()

    def lock(self, *, reading: bool = False) -> None:
        """Keep every other process out until :meth:`unlock` or the end of this process.

        A holder that is only ``reading`` says so, and is waited for. Raises StateInUseError where another process runs on
        the folder, StateError where it cannot be written.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = (self.root / "lock").open("a+b")
        except OSError as error:
            raise StateError(
                f"the state folder {self.root} cannot be written: {error.strerror}; choose another with --state DIR"
            ) from error
        started_s = time.monotonic()
        while not _taken(file):
            file.seek(0)
            holder, _, purpose = file.read(32).decode("ascii", "replace").strip().partition(" ")
            if time.monotonic() - started_s > (_READER_PATIENCE_S if purpose == _READING else _WRITER_PATIENCE_S):
                file.close()
                raise StateInUseError(
                    f"the state folder {self.root} is in use by process {holder or 'unknown'}; "
                    "stop that one, or choose another folder with --state DIR",
                    holder or "unknown",
                )
            time.sleep(0.02)
        file.truncate(0)
        file.write(f"{os.getpid()} {_READING if reading else ''}".encode())
        file.flush()
        self._lock = file

    def user(self) -> str | None:
        """The id of the process that runs on the folder, also where it starts or stops; None where none does."""
        if not (self.root / "lock").exists():
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
            self._lock.close()
            self._lock = None

    def clear(self) -> None:
        """Remove what a site left here, and nothing else. Only under the lock."""
        if self._lock is None:
            raise StateError(f"{self.root} is not locked by this process")
        for name in _CONTENTS + _CONTENTS_FILES:
            path = self.root / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def remember_site(self, identity: dict[str, str]) -> None:
        """Note whose history this folder holds, or refuse where it holds another's.

        Raises StateError naming what differs.
        """
        path = self.root / "site.json"
        try:
            known = json.loads(path.read_bytes())
        except FileNotFoundError:
            write_whole(path, json.dumps(identity, indent=1, sort_keys=True).encode(), durable=True)
            return
        except ValueError as error:
            raise StateError(f"{path} is not readable JSON ({error}); restore it or start anew with --fresh") from error
        if not isinstance(known, dict) or not identity.keys() <= known.keys():
            raise StateError(f"{path} does not say whose history this is; restore it or start anew with --fresh")
        for key, value in identity.items():
            if known[key] != value:
                raise StateError(
                    f"{self.root} holds the history of another site: {key} was {known[key]!r} and is now {value!r}; "
                    "choose another folder with --state DIR, or start anew with --fresh"
                )

    def site(self) -> dict[str, str]:
        """Whose history this folder holds, as :meth:`remember_site` noted it; empty where nothing was."""
        try:
            known = json.loads((self.root / "site.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        if not isinstance(known, dict):
            return {}
        return {str(key): str(value) for key, value in known.items()}

    def write_api(self, address: ApiAddress) -> None:
        """Tell the command line where the running system answers; only this user may read it."""
        document = {"url": address.url, "token": address.token, "pid": address.pid}
        write_whole(self.root / "api.json", json.dumps(document).encode(), mode=0o600)

    def remove_api(self) -> None:
        """Say that nothing answers any more."""
        (self.root / "api.json").unlink(missing_ok=True)


def _taken(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
