"""The evidence as lines, out of a database that is written to: copied first, so that no long reader holds its log up."""

import tempfile
from collections.abc import Iterator
from functools import partial

from photosynth.operations.evidence_keys import signing_identity
from photosynth.operations.state import StateFolder
from photosynth.storage import Database
from photosynth.treasury.evidence.export import export_lines
from photosynth.treasury.fleet_books import unrecorded


class UnrecordedError(Exception):
    """An export would lack postings that are there: they are written down first."""


def evidence_lines(folder: StateFolder, stream: str | None = None) -> Iterator[bytes]:
    """The lines of an export of all streams or of one, the closing lines last, each without its line feed.

    The folder takes them in a file without a name, which is gone with its reader, also after a kill. The database has a
    connection of its own for it, so that other readers need not wait. Raises TreasuryError where there is no such evidence,
    SealError where a key is missing, OSError where the folder is full, UnrecordedError where something was posted since all of
    it was written down.
    """
    with tempfile.TemporaryFile(dir=folder.root) as file:
        with Database(folder.database, read_only=True) as own, own.read() as tx:
            if stream is None and unrecorded(tx):
                raise UnrecordedError("postings are not in evidence yet")
            for line in export_lines(tx, partial(signing_identity, tx, folder), stream):
                file.write(line + b"\n")
        file.seek(0)
        for line in file:
            yield line.rstrip(b"\n")
