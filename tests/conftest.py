"""What all tests share: the peers, real software that tests run beside us, and how property tests are run.

With ``CI=true`` they try the same examples each time, so that a change is judged by what it changed; everywhere else, new ones.
"""

import os
import sqlite3
from collections.abc import Iterator
from typing import cast

import pytest
import sqlalchemy as sa
import structlog
from hypothesis import settings

from photosynth.storage import database
from photosynth.storage.schema import stored_revision, upgrade

pytest_plugins = ["tests.peers.bitcoind", "tests.peers.postgres", "tests.peers.prometheus"]

settings.register_profile("photosynth", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("photosynth")


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """A test that directs the log somewhere does so for itself alone; tracebacks with every variable drawn take seconds."""
    *others, _ = structlog.get_config()["processors"]
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*others, console])
    yield
    structlog.reset_defaults()


_SCHEMA: list[str] = []


@pytest.fixture(autouse=True)
def schema_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new SQLite file gets what the migrations made of the first one: they are run once, and where tests are about them."""

    def made(connection: sa.Connection) -> None:
        if connection.dialect.name != "sqlite" or stored_revision(connection) is not None:
            upgrade(connection)
            return
        if not _SCHEMA:
            upgrade(connection)
            dump = cast(sqlite3.Connection, connection.connection.driver_connection).iterdump()
            _SCHEMA.extend(statement for statement in dump if statement not in ("BEGIN TRANSACTION;", "COMMIT;"))
            return
        for statement in _SCHEMA:
            connection.exec_driver_sql(statement)

    monkeypatch.setattr(database, "upgrade", made)
