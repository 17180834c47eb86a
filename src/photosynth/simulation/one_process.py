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
    known = {"pid": own.pid, "created": own.create_time()}
    write_whole(folder / NOTE, json.dumps(known).encode(), durable=False)


def end_left(folder: Path) -> None:
    """End the process that a folder's note tells of, where it still lives: it is known by its id and the time of its start.

    It is killed: what is stopped takes no other signal. Raises TimeoutError where it does not even end then.
    """
    process = _noted(folder / NOTE)
    if process is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
        try:
            process.wait(LEFT_S)
        except psutil.TimeoutExpired:
            raise TimeoutError(f"process {process.pid}, left by an earlier run, does not end: see what it waits for") from None


def _noted(note: Path) -> psutil.Process | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, psutil.Error):
        known = json.loads(note.read_bytes())
        pid = int(known["pid"])
        process = psutil.Process(pid)
        if pid != os.getpid() and process.create_time() == known["created"] and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None
