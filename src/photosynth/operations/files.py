"""Files that are either the old or the new one, whole, whatever happens in between."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes, mode: int = 0o644, *, durable: bool = False) -> None:
    """Replace a file by writing beside it and renaming; readers never see half of it.

    ``durable`` has the content on disk before it gets its name, so that a power cut leaves no empty file.
    """
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)
