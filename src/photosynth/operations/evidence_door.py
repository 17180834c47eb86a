"""The evidence as lines, out of a database: exported beside it and read from there, so that memory stays small."""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from photosynth.storage import Database
from photosynth.treasury.evidence.export import export_evidence
from photosynth.treasury.evidence.seal import Identity

_NUMBERS = count()


def evidence_lines(database: Path, identity: Identity, folder: Path) -> Iterator[bytes]:
    """The lines of an export, header first and closing line last, each without its line feed; ``folder`` takes a file.

    It has a connection of its own, so that other readers need not wait. Raises TreasuryError where there is no evidence
    yet, OSError where the folder is full.
    """
    path = folder / f".evidence-{os.getpid()}-{next(_NUMBERS)}.jsonl"
    with Database(database, read_only=True) as own, own.read() as tx:
        export_evidence(tx, identity, path)
    file = path.open("rb")
    path.unlink()
    with file:
        for line in file:
            yield line.rstrip(b"\n")
