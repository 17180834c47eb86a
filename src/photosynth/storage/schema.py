"""Which schema a file has and how it becomes the current one. Alembic is imported only where there is something to do."""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

MIGRATIONS = Path(__file__).parent / "migrations"


def stored_revision(connection: Connection) -> str | None:
    """The schema revision that a file says it has, None for a new file."""
    exists = connection.execute(sa.text("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'")).scalar()
    if exists is None:
        return None
    revision = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if revision is None else str(revision)


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, inside the transaction that is open: all of them or none."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
