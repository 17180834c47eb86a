"""The log of a child process: its last lines as they may be shown, and its size within bounds, also where the disk is full."""

import os
import re
from pathlib import Path

import structlog

from photosynth.files.whole import own_file
from photosynth.quantities.texts import printable

MOST_LOG_BYTES = 10_000_000
KEPT_LOGS = 3
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

_log = structlog.get_logger("photosynth.runtimes")


def tail(path: Path, lines: int, most_bytes: int = 1 << 20) -> list[str]:
    """The last lines of a log, fewer where they are longer than ``most_bytes``; none where there is no log.

    Whatever a terminal would obey is replaced: a node's log holds what its peers say.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most_bytes))
            found = file.read(most_bytes).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [_shown(line) for line in found[-lines:]] if lines > 0 else []


def _shown(line: str) -> str:
    plain = _COLOUR.sub("", line).replace("\t", "    ")
    return printable(plain, len(plain))


def bound(path: Path) -> None:
    """Move the newest part of a log that has grown aside, and empty it: the process goes on writing to the same file.

    A log that cannot be kept is given up: where the disk is full, nothing else would ever make room.
    """
    try:
        size = path.stat().st_size
        if size < MOST_LOG_BYTES:
            return
        _keep(path, size)
    except FileNotFoundError:
        return
    except OSError as error:
        _log.warning("node's log cannot be rotated and is given up", log=str(path), reason=str(error))
    try:
        os.truncate(path, 0)
    except OSError as error:
        _log.warning("node's log cannot be emptied", log=str(path), reason=str(error))


def _keep(path: Path, size: int) -> None:
    for number in range(KEPT_LOGS - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    kept = path.with_name(f"{path.name}.1")
    try:
        with path.open("rb") as log, os.fdopen(own_file(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as into:
            log.seek(max(0, size - MOST_LOG_BYTES))
            left = MOST_LOG_BYTES
            while left and (piece := log.read(min(left, 1 << 20))):
                into.write(piece)
                left -= len(piece)
    except OSError:
        kept.unlink(missing_ok=True)
        raise
