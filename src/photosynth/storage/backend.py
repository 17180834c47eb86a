"""What differs between the databases, behind one small protocol: how they are opened, and what their errors mean."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.address import Place
from photosynth.storage.errors import StorageError


@dataclass(frozen=True, slots=True)
class Opened:
    """An open connection; ``broken`` says whether it is lost, so that only a new one can serve."""

    connection: Connection
    broken: Callable[[], bool]

    def close(self) -> None:
        """Close it, whatever state it is in."""
        try:
            self.connection.close()
        except sa.exc.DBAPIError:
            self.connection.invalidate()
        finally:
            self.connection.engine.dispose()


class Backend(Protocol):
    """One kind of database."""

    @property
    def place(self) -> Place:
        """Where it is."""
        ...

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What its driver raises."""
        ...

    def writing(self) -> Opened:
        """Open a connection whose transactions write, one after the other and durable; the schema is not looked at."""
        ...

    def hurry(self, answer_s: float) -> None:
        """Have nothing wait longer for an answer, what waits now neither; from any thread."""
        ...

    def reading(self) -> Opened:
        """Open a connection whose transactions read one consistent state each."""
        ...

    def error(self, error: BaseException | None) -> StorageError | None:
        """The StorageError that an error of the driver stands for; None where it is a mistake of the program's own."""
        ...


def backend_of(place: Place, *, at_rest: bool) -> Backend:
    """The backend of a place. ``at_rest`` is for a file that nobody writes to, which stays exactly as it is."""
    if isinstance(place, Path):
        from photosynth.storage.sqlite import SqliteFile

        return SqliteFile(place, at_rest=at_rest)
    from photosynth.storage.postgres import PostgresServer

    return PostgresServer(place)


def open_engine(address: str, connect: Callable[[], object], begin: str) -> Connection:
    """SQLAlchemy's connection over one of the driver's, which is in autocommit: ``begin`` opens each transaction."""
    engine = sa.create_engine(address, creator=connect, poolclass=sa.pool.StaticPool, pool_reset_on_return=None)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # By the driver itself: this happens before every posting, and SQLAlchemy's way to it takes longer than SQLite's.
        connection.connection.cursor().execute(begin)

    try:
        return engine.connect()
    except BaseException:
        engine.dispose()
        raise
