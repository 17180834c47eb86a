"""The schema that this version reads and writes, and the refusal of any other."""

from photosynth.storage.address import Place
from photosynth.storage.errors import StorageError

HEAD = "0001"
"""The newest migration under ``migrations/versions``; revisions are numbered, so that their order can be read."""

HAS_REVISION = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'",
    "postgresql": "SELECT 1 FROM pg_tables WHERE schemaname = 'photosynth' AND tablename = 'alembic_version'",
}
"""By dialect: has a row where the database has a schema of ours, whichever."""
REVISION = "SELECT version_num FROM alembic_version"


def refuse_newer(place: Place, revision: str | None) -> None:
    """Raise StorageError where a newer version has written the database."""
    if revision is not None and revision > HEAD:
        raise StorageError(
            "newer",
            place,
            f"was written by a newer version of Photosynth (its schema is {revision}, this one knows {HEAD}). "
            "Use that version, or another --state.",
        )


def refuse_other(place: Place, revision: str | None) -> None:
    """Raise StorageError where the database has any other schema: whoever only reads cannot bring it up to date."""
    refuse_newer(place, revision)
    if revision is None:
        raise StorageError("older", place, "holds no state. Start the system once, which makes one, or name another --state.")
    if revision != HEAD:
        raise StorageError("older", place, f"has schema {revision}, not {HEAD}. Start the system once to bring it up to date.")
