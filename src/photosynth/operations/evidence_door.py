"""The evidence as lines, out of a database that is written to: copied first, so that no long reader holds its log up."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from photosynth.storage import Database
from photosynth.storage.address import Place
from photosynth.treasury.evidence.export import export_lines
from photosynth.treasury.evidence.seal import Identity


def evidence_lines(database: Place, identity: Identity, folder: Path) -> Iterator[bytes]:
    """The lines of an export, header first and closing line last, each without its line feed.

    ``folder`` takes them in a file without a name, which is gone with its reader, also after a kill. The database has a
    connection of its own for it, so that other readers need not wait. Raises TreasuryError where there is no evidence yet,
    OSError where the folder is full.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        with Database(database, read_only=True) as own, own.read() as tx:
            for line in export_lines(tx, identity):
                file.write(line + b"\n")
        file.seek(0)
        for line in file:
            yield line.rstrip(b"\n")
