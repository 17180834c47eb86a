"""A database in use: one connection that writes, one that reads, and a thread that keeps both off the event loop."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Protocol, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.address import Place
from photosynth.storage.backend import Backend, Opened, backend_of
from photosynth.storage.errors import StorageError
from photosynth.storage.revision import HEAD, refuse_newer, refuse_other
from photosynth.storage.schema import stored_revision, upgrade

T = TypeVar("T")

HURRIED_ANSWER_S = 3.0
"""What a process that ends waits for an answer: what it still asks for takes a healthy database a tenth of it."""


class Runner(Protocol):
    """Runs a call that blocks somewhere else than on the event loop."""

    def __call__(self, call: Callable[[], T]) -> Awaitable[T]:
        """Run it and return what it returns, or raise what it raises."""
        ...


class Database:
    """A SQLite file or a PostgreSQL database; what a transaction has committed survives kill -9 and a power cut.

    Opening brings the schema up to date. Calls may come from any thread; writers wait for each other, and so do readers.
    ``read_only`` is for reading beside a process that writes, ``at_rest`` for a file that nobody writes to: it and its
    folder stay exactly as they are.
    Raises StorageError where it cannot be opened, is damaged, or was written by a newer version. One that goes away later
    raises it at each call, and serves again at the first call after it came back.
    """

    def __init__(self, place: Place, *, read_only: bool = False, at_rest: bool = False) -> None:
        self.place = place
        self.made = False
        """Whether there were no tables before."""
        self._closed = False
        self._backend = backend = backend_of(place, at_rest=at_rest)
        self._reader = _Side(backend, backend.reading)
        self._writer = None if read_only or at_rest else _Side(backend, backend.writing)
        try:
            if self._writer is not None:
                with self._writer.transaction() as tx:
                    self._bring_up_to_date(tx)
            with self._reader.transaction() as tx:
                if self._writer is None:
                    refuse_other(place, stored_revision(tx))
        except BaseException:
            self.close()
            raise

    def _bring_up_to_date(self, tx: Connection) -> None:
        revision = stored_revision(tx)
        if revision != HEAD:
            refuse_newer(self.place, revision)
            upgrade(tx)
        self.made = revision is None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end, undone where an error leaves the block.

        Raises StorageError; where that is ``undecided``, whoever tries again must find what was written before.
        """
        if self._writer is None or self._closed:
            raise StorageError("read_only", self.place, "was opened for reading only, or is closed.")
        with self._writer.transaction() as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that reads one consistent state; what it tries to write is refused. Raises StorageError."""
        if self._closed:
            raise StorageError("unavailable", self.place, "is closed.")
        with self._reader.transaction() as tx:
            yield tx

    def hurry(self, answer_s: float = HURRIED_ANSWER_S) -> None:
        """This process ends: nothing waits longer than so many seconds for an answer, and what breaks stays broken.

        From any thread. Every call raises StorageError soon where the database is away, those under way too.
        """
        self._backend.hurry(answer_s)
        for side in (self._reader, self._writer):
            if side is not None:
                side.hurried = True

    def close(self) -> None:
        """Close both connections; safe to call twice."""
        self._closed = True
        for side in (self._reader, self._writer):
            if side is not None:
                side.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Side:
    """One connection with its turn: opened when it is needed, and anew by the first call after it broke."""

    def __init__(self, backend: Backend, connect: Callable[[], Opened]) -> None:
        self._backend, self._connect = backend, connect
        self._errors: tuple[type[Exception], ...] = (sa.exc.DBAPIError, *backend.errors)
        self._turn = threading.RLock()
        self._opened: Opened | None = None
        self.hurried = False
        """Whether what breaks from now on stays broken."""
        self._given_up = False

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with self._turn:
            if self._given_up:
                raise StorageError("unavailable", self._backend.place, "it did not answer any more when this process ended.")
            committing = False
            try:
                connection, transaction = self._begun()
                with transaction:
                    yield connection
                    committing = True
            except self._errors as error:
                broken = self._opened is None or self._opened.broken()
                if broken:
                    self._forget()
                    self._given_up = self.hurried
                known = self._backend.error(error.orig if isinstance(error, sa.exc.DBAPIError) else error)
                if known is None:
                    raise
                known.undecided = broken and committing
                raise known from error

    def _begun(self) -> tuple[Connection, sa.RootTransaction]:
        if self._opened is not None:
            try:
                return self._opened.connection, self._opened.connection.begin()
            except self._errors:
                if self.hurried or not self._opened.broken():
                    raise
                self._forget()  # it broke while nobody used it: nothing was begun, so nothing is lost
        self._opened = self._connect()
        return self._opened.connection, self._opened.connection.begin()

    def _forget(self) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            with suppress(*self._errors):
                opened.close()

    def close(self) -> None:
        with self._turn:
            self._forget()


class DatabaseThread:
    """One worker thread for everything that touches the database, as a Runner for the event loop."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database")

    def __call__(self, call: Callable[[], T]) -> Awaitable[T]:
        """Run a call in the thread, after those that were handed over before it."""
        return asyncio.get_running_loop().run_in_executor(self._executor, call)

    def close(self) -> None:
        """Wait for what was handed over and end the thread."""
        self._executor.shutdown(wait=True)
