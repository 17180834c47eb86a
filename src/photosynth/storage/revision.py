"""The schema that this version reads and writes, and the refusal of any other."""

from pathlib import Path

from photosynth.storage.errors import StorageError

HEAD = "0001"
"""The newest migration under ``migrations/versions``; revisions are numbered, so that their order can be read."""


def refuse_newer(path: Path, revision: str | None) -> None:
    """Raise StorageError where a newer version has written the file."""
    if revision is not None and revision > HEAD:
        raise StorageError(
            "newer",
            path,
            f"was written by a newer version of Photosynth (its schema is {revision}, this one knows {HEAD}). "
            "Use that version, or another --state folder.",
        )


def refuse_other(path: Path, revision: str | None) -> None:
    """Raise StorageError where the file has any other schema: whoever only reads cannot bring it up to date."""
    refuse_newer(path, revision)
    if revision != HEAD:
        raise StorageError("older", path, f"has schema {revision}, not {HEAD}. Start the system once to bring it up to date.")
