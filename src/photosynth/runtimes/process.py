"""A node's program as a child process: started, restarted when it ends, adopted again after our own end, stopped in its own time.

The process has a session of its own and outlives us, so that a node need not stop because the system that watches it was killed.
Who it is stands in ``process.json`` beside its log, and in its environment: what was started in the moment before a kill is found
by that mark and never started twice.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import psutil
import structlog

from photosynth.files.whole import own_file, write_whole

MARK = "PHOTOSYNTH_NODE"
"""The environment variable that says of a process which node's it is."""
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0
SETTLED_S = 300.0
"""A process that ran so long is started again at once, and counts as new."""
MOST_LOG_BYTES = 10_000_000
KEPT_LOGS = 3
TEND_S = 10.0
"""How often the log's size is looked at."""
POLL_S = 0.5
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")

_log = structlog.get_logger("photosynth.runtimes")


@dataclass(frozen=True, slots=True)
class Workload:
    """What shall run: the node's name, the mark that no other process has, its command, its folder, its time to end.

    ``folder`` holds its log and the note of who it is; ``stop_s`` are seconds between the request to end and the kill.
    """

    name: str
    mark: str
    arguments: tuple[str, ...]
    folder: Path
    stop_s: float

    @property
    def whole_mark(self) -> str:
        """The mark with a digest of the command, which tells whether what runs was started by another one.

        A process's own words do not tell that: many programs are scripts that become something else.
        """
        return f"{self.mark} {sha256(json.dumps(self.arguments).encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A look at a workload: its process, since when (wall milliseconds), how often it was started anew, why it does not run."""

    pid: int | None
    started_ms: int | None
    restarts: int
    problem: str | None


class ChildProcess:
    """One workload that is kept running. :meth:`run` it in a task; :meth:`stop` it before that task is cancelled."""

    def __init__(self, workload: Workload, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.workload = workload
        self._monotonic = monotonic
        self._process: psutil.Process | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._restarts = 0
        self._problem: str | None = None
        self._delay_s = FIRST_DELAY_S
        self._wanted = asyncio.Event()
        self._closing = False
        self._ending = asyncio.Lock()

    @property
    def state(self) -> ProcessState:
        """How it is now."""
        process = self._process
        if process is None:
            return ProcessState(None, None, self._restarts, self._problem)
        return ProcessState(process.pid, int(process.create_time() * 1000), self._restarts, None)

    @property
    def log(self) -> Path:
        """Where its output goes; older parts have a number behind."""
        return self.workload.folder / "log.txt"

    async def run(self) -> None:
        """Keep it running until cancelled or stopped. What runs already is adopted."""
        await asyncio.to_thread(self.workload.folder.mkdir, parents=True, exist_ok=True)
        self._process = await asyncio.to_thread(self._find)
        if self._process is not None:
            _log.info("node's process adopted", node=self.workload.name, pid=self._process.pid)
            if await asyncio.to_thread(_mark_of, self._process) != self.workload.whole_mark:
                _log.info("node's process runs by another command and is started anew", node=self.workload.name)
                await self._end()
        while not self._closing:
            started = self._monotonic()
            if not await self._start():
                await self._wait_before_next()
                continue
            ended_by_us = await self._watch()
            self._restarts += 1
            if self._monotonic() - started >= SETTLED_S:
                self._delay_s = FIRST_DELAY_S
            if not ended_by_us:
                await self._wait_before_next()

    async def restart(self) -> None:
        """End it in its own time; it is started anew at once, without waiting."""
        self._delay_s = FIRST_DELAY_S
        await self._end()
        self._wanted.set()

    async def stop(self) -> None:
        """End it in its own time, for good. Safe to call twice."""
        self._closing = True
        self._wanted.set()
        await self._end()

    async def _start(self) -> bool:
        """Start it where it does not run; whether it runs now."""
        async with self._ending:  # who stops it waits until it can be ended
            if self._process is None and not self._closing:
                await self._begin()
        return self._process is not None

    async def _begin(self) -> None:
        try:
            self._child = await asyncio.to_thread(self._spawn)
            self._process = psutil.Process(self._child.pid)
            await asyncio.to_thread(self._note, self._process)
        except psutil.NoSuchProcess:
            self._failed("it ended as soon as it was started")
        except OSError as error:
            self._failed(f"{self.workload.arguments[0]} cannot be started: {error.strerror or error}")
        else:
            self._problem = None
            _log.info("node's process started", node=self.workload.name, pid=self._child.pid)

    def _failed(self, why: str) -> None:
        self._process, self._problem = None, why
        if self._child is not None:
            self._child.wait()
            self._child = None
        _log.warning("node's process does not run", node=self.workload.name, reason=why)

    def _spawn(self) -> subprocess.Popen[bytes]:
        output = own_file(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            return subprocess.Popen(  # noqa: S603 - the operator's own program and words, and no shell
                self.workload.arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.workload.folder,
                env={key: os.environ[key] for key in _INHERITED if key in os.environ} | {MARK: self.workload.whole_mark},
                start_new_session=True,
                umask=0o077,
            )
        finally:
            os.close(output)

    def _note(self, process: psutil.Process) -> None:
        known = {"pid": process.pid, "created": process.create_time(), "mark": self.workload.mark}
        write_whole(self.workload.folder / "process.json", json.dumps(known).encode())

    def _find(self) -> psutil.Process | None:
        """The process that an earlier run of ours left, None where there is none."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, psutil.Error):
            known = json.loads((self.workload.folder / "process.json").read_bytes())
            process = psutil.Process(int(known["pid"]))
            if process.create_time() == known["created"] and process.status() != psutil.STATUS_ZOMBIE:
                return process
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.uids().real == os.getuid() and (_mark_of(process) or "").startswith(f"{self.workload.mark} "):
                    self._note(process)
                    return process
        return None

    async def _watch(self) -> bool:
        """Wait until the process ends, tending its log; whether we ended it."""
        process = self._process
        tended = self._monotonic()
        while process is not None and self._alive(process):
            if self._monotonic() - tended >= TEND_S:
                tended = self._monotonic()
                await asyncio.to_thread(_rotate, self.log)
            await asyncio.sleep(POLL_S)
        if self._process is None:
            return True
        self._failed(f"it ended{self._how()}; its last words: {self.last_words()}")
        return False

    def _alive(self, process: psutil.Process) -> bool:
        if self._process is not process:
            return False
        if self._child is not None:
            return self._child.poll() is None
        with contextlib.suppress(psutil.Error):
            return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
        return False

    def _how(self) -> str:
        code = None if self._child is None else self._child.poll()
        if code is None:
            return ""
        return f" by signal {signal.Signals(-code).name}" if code < 0 else f" with exit code {code}"

    async def _wait_before_next(self) -> None:
        self._wanted.clear()
        if self._closing:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._delay_s):
                await self._wanted.wait()
        self._delay_s = min(2 * self._delay_s, LONGEST_DELAY_S)

    async def _end(self) -> None:
        """Ask it to end, and kill it where it does not within its time."""
        async with self._ending:
            process, child = self._process, self._child
            if process is None:
                return
            for number, patience_s in ((signal.SIGTERM, self.workload.stop_s), (signal.SIGKILL, 10.0)):
                with contextlib.suppress(psutil.Error):
                    # What is stopped takes no other signal before it goes on.
                    process.send_signal(number)
                    process.send_signal(signal.SIGCONT)
                deadline = self._monotonic() + patience_s
                while self._alive(process) and self._monotonic() < deadline:  # noqa: ASYNC110 - an adopted one tells no parent
                    await asyncio.sleep(0.05)
                if not self._alive(process):
                    break
                _log.warning("node's process did not end in its time", node=self.workload.name, signal=number.name)
            if child is not None and child.poll() is None:
                raise TimeoutError(f"{self.workload.name}: process {process.pid} does not even end when it is killed")
            self._process = self._child = None

    def last_words(self, lines: int = 3) -> str:
        """The end of its log, in one line."""
        return " / ".join(line.strip()[:200] for line in tail(self.log, lines) if line.strip()) or "none"


def tail(path: Path, lines: int, most_bytes: int = 1 << 20) -> list[str]:
    """The last lines of a log, fewer where they are longer than ``most_bytes``; none where there is no log."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most_bytes))
            found = file.read(most_bytes).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return found[-lines:] if lines > 0 else []


def _mark_of(process: psutil.Process) -> str | None:
    with contextlib.suppress(psutil.Error, OSError):
        return process.environ().get(MARK)
    return None


def _rotate(path: Path) -> None:
    """Move a log that has grown aside: the process goes on writing to the same file, which is copied and emptied."""
    try:
        if path.stat().st_size < MOST_LOG_BYTES:
            return
        for number in range(KEPT_LOGS - 1, 0, -1):
            older = path.with_name(f"{path.name}.{number}")
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number + 1}"))
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
    except OSError as error:
        _log.warning("node's log cannot be rotated", log=str(path), reason=str(error))
