"""Which schema a database has and how it becomes the current one. Alembic is imported only where there is something to do."""

from pathlib import Path

from sqlalchemy import Connection

from photosynth.storage.revision import HAS_REVISION, REVISION

MIGRATIONS = Path(__file__).parent / "migrations"


def stored_revision(connection: Connection) -> str | None:
    """The schema revision that a database says it has, None for a new one."""
    if connection.exec_driver_sql(HAS_REVISION[connection.dialect.name]).scalar() is None:
        return None
    revision = connection.exec_driver_sql(REVISION).scalar()
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
