"""A PostgreSQL database: one session writes and holds a lock that keeps every other writer out, another one reads.

No call hangs for ever: connecting has a limit, the server ends a statement that takes too long, and where the server
itself stands still the session is given up here. A session that broke is opened anew by the next call, which takes the lock
again first: whoever has it knows that every earlier transaction of this process is decided. A transaction pooler between us
and the server would hand the lock to others, so an address names the server itself.
"""

import os
import stat
import time
from collections.abc import Generator
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.adapt import Buffer, Loader
from psycopg.pq import TransactionStatus

from photosynth.storage.address import Address
from photosynth.storage.backend import Opened, open_engine
from photosynth.storage.errors import DamagedAmountError, Kind, StorageError
from photosynth.storage.exact import exact_integer

T = TypeVar("T")

SCHEMA = "photosynth"
"""All tables lie in it, so that a database may hold other things beside them."""
CONNECT_S = 5
STATEMENT_S = 12
"""What the server gives a statement; the longest that the system asks of a year's books takes a tenth of it."""
ANSWER_S = 15
"""After so long without an end, server or network stand still, for the server would have ended the statement."""
LOCK_S = 5
"""How long a writer waits for the one before it, as SQLite's ``busy_timeout``."""
WRITER_LOCK = 0x70686F746F73796E
"""Key of the advisory lock: "photosyn" in ASCII."""

_CLIENT: dict[str, Any] = {"connect_timeout": CONNECT_S, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_SESSION = {
    "search_path": SCHEMA,
    "client_encoding": "UTF8",
    "synchronous_commit": "on",  # a commit that was answered is on disk
    "statement_timeout": f"{STATEMENT_S}s",
    "idle_in_transaction_session_timeout": "120s",
    # So that the server too finds out that a client is gone, and frees the writer's lock.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

_BY_STATE: dict[str, tuple[Kind, str]] = {
    "53100": ("full", "the server's disk is full. Nothing was lost: what was not written was undone. Free some space"),
    "53": ("unavailable", "the server has no room for another session. Raise its limits"),
    "55P03": ("busy", "another process is writing to it. Stop that one first"),
    "57014": ("unavailable", f"a statement took longer than {STATEMENT_S} s. See what else the server does"),
    "25006": ("read_only", "the database may not be written. Write to the primary server, or mend the user's rights"),
    "42501": ("read_only", "the user may not do that. Grant CREATE on the database, or make the user its owner"),
    "28": ("unavailable", "the server refuses the user. Mend the address, its passfile, or the server's pg_hba.conf"),
    "3D000": ("unavailable", "there is no such database. Create it, with ENCODING 'UTF8'"),
    "XX001": ("corrupt", "the database is damaged. Restore it from a backup"),
    "XX002": ("corrupt", "an index of the database is damaged. Restore it from a backup, or REINDEX"),
    "08": ("unavailable", "the server does not answer. Start it, and see that it can be reached"),
    "57P": ("unavailable", "the server stops or starts. It is tried again"),
    "58": ("unavailable", "the server's disk answers with an error. See that it is healthy"),
}
_AWAY: tuple[Kind, str] = ("unavailable", "the server does not answer. Start it, and see that it can be reached")
_REFUSED: tuple[Kind, str] = (
    "unavailable",
    "the server opens no session. Mend what it names: address, passfile, or its settings",
)
"""Of a session that was never opened libpq tells no state, only words: the server's begin with FATAL."""


class PostgresServer:
    """Opens sessions; satisfies ``backend.Backend``."""

    errors: tuple[type[Exception], ...] = (psycopg.Error, DamagedAmountError)

    def __init__(self, address: Address) -> None:
        self.place = address
        self._patience = Patience()
        self._name = f"photosynth writer {os.urandom(8).hex()}"

    def writing(self) -> Opened:
        """The session holds the writer's lock as long as it lives. Raises StorageError where another process has it."""
        raw = connect(self.place, self._name, self._patience)
        try:
            self.take_lock(raw)
            _see_to_schema(raw, self.place)
        except BaseException:
            raw.close()
            raise
        return Opened(open_engine("postgresql+psycopg://", lambda: raw, "BEGIN"), lambda: raw.closed)

    def reading(self) -> Opened:
        """Each transaction sees one state, and the server refuses what it tries to write."""
        raw = connect(self.place, "photosynth reader", self._patience)
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        return Opened(open_engine("postgresql+psycopg://", lambda: raw, begin), lambda: raw.closed)

    def hurry(self, answer_s: float) -> None:
        """Of its sessions."""
        self._patience.hurry(answer_s)

    def error(self, error: BaseException | None) -> StorageError | None:
        """By SQLSTATE (PostgreSQL, appendix A); without one, the session was lost or never made."""
        return postgres_error(error, self.place)

    def take_lock(self, raw: psycopg.Connection[Any]) -> None:
        """Take the writer's lock, also from a session of this process that broke and that the server still holds open."""
        raw.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND pid <> pg_backend_pid()",
            (self._name,),
        )
        raw.execute("SELECT set_config('lock_timeout', %s, false)", (f"{LOCK_S}s",))
        raw.execute("SELECT pg_advisory_lock(%s)", (WRITER_LOCK,))


def set_tables_aside(address: Address) -> str | None:
    """Rename the schema of the tables, so that the next start makes new ones; its new name, None where there was none.

    Raises StorageError, also where a process writes to the database.
    """
    server, name = PostgresServer(address), time.strftime("before_%Y%m%dT%H%M%SZ", time.gmtime())
    try:
        raw = connect(address, "photosynth")
        try:
            server.take_lock(raw)
            if raw.execute("SELECT to_regnamespace(%s)", (SCHEMA,)).fetchone() == (None,):
                return None
            raw.execute(f'ALTER SCHEMA {SCHEMA} RENAME TO "{name}"'.encode())
        finally:
            raw.close()
    except psycopg.Error as error:
        raise server.error(error) or error from error
    return name


def discard_tables(address: Address) -> None:
    """Remove the schema with everything in it, where it is. Raises StorageError."""
    server = PostgresServer(address)
    try:
        raw = connect(address, "photosynth")
        try:
            server.take_lock(raw)
            raw.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        finally:
            raw.close()
    except psycopg.Error as error:
        raise server.error(error) or error from error


class Patience:
    """How long the sessions of a server wait for an answer; less from one moment on, also for what waits by then."""

    def __init__(self) -> None:
        self._hurried: tuple[float, float] | None = None

    def hurry(self, answer_s: float) -> None:
        """From now on so long."""
        self._hurried = answer_s, time.monotonic()

    def over(self, asked_s: float) -> bool:
        """Whether what was asked at a moment has waited long enough; seconds of the monotonic clock."""
        answer_s, since_s = (ANSWER_S, 0.0) if self._hurried is None else self._hurried
        return time.monotonic() - max(asked_s, since_s) > answer_s


def connect(address: Address, name: str, patience: Patience | None = None) -> psycopg.Connection[Any]:
    """A session in autocommit with every limit set. Raises psycopg.Error, StorageError where its passfile is of no use."""
    _check_passfile(address)
    raw = _Session.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        dbname=address.name,
        application_name=name,
        options=" ".join(f"-c {key}={value}" for key, value in _SESSION.items()),
        autocommit=True,
        **{**_CLIENT, **dict(address.parameters)},
    )
    if patience is not None:
        raw.patience = patience
    raw.adapters.register_loader("numeric", _WholeNumber)
    return raw


def _check_passfile(address: Address) -> None:
    """libpq says nothing of a passfile that it does not take, and asks the server without a password."""
    path = dict(address.parameters).get("passfile")
    if path is None:
        return
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise StorageError("unavailable", address, f"its passfile {path} cannot be read: {error.strerror}.") from None
    if not stat.S_ISREG(mode) or mode & 0o077 or not os.access(path, os.R_OK):
        raise StorageError(
            "unavailable",
            address,
            f"its passfile {path} must be a file that this user alone may read, or it is not used: chmod 600.",
        )


def connect_reading(address: Address) -> psycopg.Connection[Any]:
    """A session for plain SQL whose statements all read. Raises psycopg.Error."""
    raw = connect(address, "photosynth reader")
    raw.read_only = True
    raw.autocommit = False
    raw.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    return raw


def postgres_error(error: BaseException | None, address: Address) -> StorageError | None:
    """The StorageError that an error of the server or of the way to it stands for; None where it is a mistake of ours."""
    if isinstance(error, DamagedAmountError):
        return StorageError("corrupt", address, f"the database is damaged: {error}. Restore it from a backup.")
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate
    if state is None:
        refused = any(word in str(error) for word in ("FATAL:", "no password supplied"))
        known = (_REFUSED if refused else _AWAY) if isinstance(error, psycopg.OperationalError) else None
    else:
        known = next((_BY_STATE[state[:n]] for n in (5, 3, 2) if state[:n] in _BY_STATE), None)
    if known is None:
        return None
    said = " ".join(str(error).split())
    return StorageError(known[0], address, f"{known[1]} (PostgreSQL says: {said}).")


def _see_to_schema(raw: psycopg.Connection[Any], address: Address) -> None:
    encoding = raw.execute("SHOW server_encoding").fetchone()
    if encoding is None or encoding[0] != "UTF8":
        raise StorageError(
            "unavailable", address, "its encoding is not UTF8, so it cannot hold every name. Create it with ENCODING 'UTF8'."
        )
    if raw.execute("SELECT to_regnamespace(%s)", (SCHEMA,)).fetchone() == (None,):
        raw.execute(f"CREATE SCHEMA {SCHEMA}")


class _WholeNumber(Loader):
    """Every number of the tables is an exact integer, sums of them too, which the server gives as ``numeric``."""

    def load(self, data: Buffer) -> int:
        """Raises DamagedAmountError where it is none: a hand may have written NaN, infinity or a fraction."""
        text = bytes(data)
        return int(text) if text.isdigit() and len(text) < 4300 else exact_integer(Decimal(text.decode("ascii")))


class _NoAnswerError(Exception):
    """An answer was waited for long enough."""


class _Session(psycopg.Connection[Any]):
    """A session that gives up where nothing answers."""

    patience = Patience()

    def wait(self, gen: Generator[Any, Any, T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for the server. Raises psycopg.OperationalError after its patience; the session is closed then."""
        try:
            return super().wait(self._while_patient(gen), interval, timeout)
        except _NoAnswerError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()  # the answer that is still to come would be taken for another statement's
            raise psycopg.OperationalError("no answer in time") from None

    def _while_patient(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """The same, which looks at the clock whenever it is woken: as often as the interval has it."""
        asked_s = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and self.patience.over(asked_s):
                    raise _NoAnswerError
                wanted = gen.send(ready)
        except StopIteration as ended:
            answer: T = ended.value
            return answer
        finally:
            gen.close()
