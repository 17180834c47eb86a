"""The structured log: lines of JSON in the state folder, and on standard output where that is asked for.

What libraries say through ``logging`` (asyncio of a task that failed, uvicorn of a request, the console) comes into it too.
"""

import logging
import os
import sys
from pathlib import Path
from typing import IO, Any

import structlog

from photosynth.files.whole import own_file

MAX_BYTES = 20_000_000
"""The log of an earlier run is kept beside this one's where it has grown past this."""


def configure_logs(path: Path, *, to_terminal: bool) -> None:
    """Send every log line to a file, and to standard output as well where ``to_terminal``."""
    if path.exists() and path.stat().st_size > MAX_BYTES:
        path.replace(path.with_suffix(".old.jsonl"))
    descriptor = own_file(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    file = os.fdopen(descriptor, "a", encoding="utf-8", buffering=1)
    outputs: list[IO[str]] = [file, sys.stdout] if to_terminal else [file]
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


class _FromLibraries(logging.Handler):
    """Passes a library's warnings and errors on, tracebacks included; without it they would run through the live status."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        log = structlog.get_logger()
        say = log.error if record.levelno >= logging.ERROR else log.warning
        try:
            say(record.getMessage(), logger=record.name, exc_info=record.exc_info)
        except (TypeError, ValueError):  # a record whose arguments do not fit its text
            say(str(record.msg), logger=record.name)


class _Lines:
    """Writes a rendered line to every output; a full disk silences the log and nothing else."""

    def __init__(self, outputs: list[IO[str]]) -> None:
        self._outputs = outputs

    def msg(self, message: str) -> None:
        for output in self._outputs:
            try:
                output.write(message + "\n")
                output.flush()
            except OSError:
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
