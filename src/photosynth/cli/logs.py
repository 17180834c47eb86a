"""The structured log: lines of JSON in the state folder, and on standard output where that is asked for.

What libraries say through ``logging`` (asyncio of a task that failed, uvicorn of a request, the console) comes into it too, so
often from one place in a minute and no oftener: some have a line for each connection, and those are anybody's to make. The file
and the one before it are bounded: a year's lines do not fill the disk.
"""

import logging
import os
import sys
import threading
from pathlib import Path
from typing import IO, Any, Protocol

import structlog

from photosynth.files.whole import own_file

MAX_BYTES = 20_000_000
"""A log that has grown past this is kept as the one before, in place of that."""
LINES_A_MINUTE = 10
"""What is passed on of the lines that a library says in one place of its code."""
MINUTE_S = 60.0


def configure_logs(path: Path, *, to_terminal: bool) -> None:
    """Send every log line to a file, and to standard output as well where ``to_terminal``."""
    file = _BoundedFile(path)
    outputs: list[_Output] = [file, sys.stdout] if to_terminal else [file]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=lambda *_: _Lines(outputs),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _FromLibraries)]:
        root.removeHandler(handler)
    root.addHandler(_FromLibraries(logging.WARNING))


class _Output(Protocol):
    """Where lines go."""

    def write(self, text: str, /) -> object:
        """Take some text. Raises OSError."""
        ...

    def flush(self) -> object:
        """Have it written. Raises OSError."""
        ...


class _BoundedFile:
    """A file that begins anew when it has grown, its lines until then kept beside it. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        if self._path.exists() and self._path.stat().st_size > MAX_BYTES:
            self._path.replace(self._path.with_suffix(".old.jsonl"))
        descriptor = own_file(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._file: IO[bytes] = os.fdopen(descriptor, "ab", buffering=0)
        self._size = os.fstat(descriptor).st_size

    def write(self, text: str) -> None:
        """Append a line, whichever thread says it."""
        with self._lock:
            if self._size > MAX_BYTES:
                self._file.close()
                self._open()
            self._size += self._file.write(text.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Release the file."""
        self._file.close()


class _FromLibraries(logging.Handler):
    """Passes a library's warnings and errors on, tracebacks included; without it they would run through the live status."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        # Of each place in the code: since when it is counted, and how many lines it had since then.
        self._said: dict[tuple[str, int], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, or count it where its place has said enough; the next that is written tells how many those were."""
        place = record.pathname, record.lineno
        since_s, count = self._said.get(place, (record.created, 0))
        left_out = 0
        if not 0 <= record.created - since_s < MINUTE_S:
            left_out = max(0, count - LINES_A_MINUTE)
            since_s, count = record.created, 0
        self._said[place] = since_s, count + 1
        if count >= LINES_A_MINUTE:
            return
        log = structlog.get_logger()
        say = log.error if record.levelno >= logging.ERROR else log.warning
        more = {"left_out": left_out} if left_out else {}
        try:
            say(record.getMessage(), logger=record.name, exc_info=record.exc_info, **more)
        except (TypeError, ValueError):  # a record whose arguments do not fit its text
            say(str(record.msg), logger=record.name, **more)


class _Lines:
    """Writes a rendered line to every output; a full disk silences the log and nothing else."""

    def __init__(self, outputs: list[_Output]) -> None:
        self._outputs = outputs

    def msg(self, message: str) -> None:
        for output in self._outputs:
            try:
                output.write(message + "\n")
                output.flush()
            except (OSError, ValueError):  # ValueError: a file that could not be opened again is closed
                continue

    def __getattr__(self, name: str) -> Any:
        if name in {"debug", "info", "warning", "error", "critical", "exception", "fatal", "log"}:
            return self.msg
        raise AttributeError(name)


def warnings_only() -> None:
    """For commands that answer on standard output: warnings go to standard error, and the rest is not said."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(30), logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )
