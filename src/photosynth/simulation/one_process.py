"""One process of a kind in a folder: what a killed run of ours left there is ended before its successor begins.

A child ends as soon as its standard input does. One that is stopped in its tracks (SIGSTOP, a debugger, a frozen container) does
not see that: it keeps its ports and locks, and once it goes on it would write its memory over that of its successor.
"""

import contextlib
import json
import os
from pathlib import Path

import psutil

from photosynth.files.whole import write_whole

NOTE = "process.json"
LEFT_S = 10.0
"""So long the system is given to end a process that was killed; one that waits for a dead disk may take longer."""


def take_place(folder: Path) -> None:
    """End who was here before, and note that this process is here now. Raises OSError, also where that one does not end."""
    end_left(folder)
    own = psutil.Process()
    known = {"pid": own.pid, "created": own.create_time(), "folder": _identity(folder)}
    write_whole(folder / NOTE, json.dumps(known).encode(), durable=False)


def end_left(folder: Path) -> None:
    """End the process that a folder's note tells of, where it still lives: it is known by its id and the time of its start.

    A note that came with a copy of the folder, as in a backup, tells of the original's process, which is left alone. Others are
    killed: what is stopped takes no other signal. Raises TimeoutError where it does not even end then.
    """
    process = _noted(folder)
    if process is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
        try:
            process.wait(LEFT_S)
        except psutil.TimeoutExpired:
            raise TimeoutError(f"process {process.pid}, left by an earlier run, does not end: see what it waits for") from None


def _noted(folder: Path) -> psutil.Process | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, psutil.Error):
        known = json.loads((folder / NOTE).read_bytes())
        pid = int(known["pid"])
        process = psutil.Process(pid)
        here = known["folder"] == _identity(folder) and process.create_time() == known["created"]
        if here and pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _identity(folder: Path) -> list[int]:
    """What a folder keeps where it is moved, and no copy of it has."""
    found = folder.stat()
    return [found.st_dev, found.st_ino]
