"""Rows from one database into another, and what both hold."""

from pathlib import Path

import pytest

from photosynth.storage import Database
from photosynth.storage.copying import content_of, copy_tables
from photosynth.storage.meta import put_meta


@pytest.mark.parametrize(("there", "same"), [("a", True), ("b", False)])
def test_a_row_that_a_new_database_is_born_with_is_no_obstacle_and_a_different_one_shows(
    db: Database, tmp_path: Path, there: str, same: bool
) -> None:
    with Database(tmp_path / "source.sqlite3") as source:
        with source.begin() as tx:
            for key in ("Zoë", "a", "B", "ä"):
                put_meta(tx, key, "a")
        with db.begin() as tx:
            put_meta(tx, "B", there)
        with source.read() as reading, db.begin() as writing:
            copied = copy_tables(reading, writing)
            assert copied == content_of(reading)
            assert (content_of(writing) == copied) == same
    assert copied["meta"].rows == 4
