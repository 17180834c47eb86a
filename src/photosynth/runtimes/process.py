"""A node's program as a child process: started, restarted when it ends, adopted again after our own end, stopped in its own time.

The process has a session of its own and outlives us, so that a node need not stop because the system that watches it was killed.
Who it is stands in ``process.json`` beside its log, and in its environment: what was started in the moment before a kill is found
by that mark and never started twice.

Starts and ends are actions that go out at once: what is declared to run waits for no disk. Of starts in a row none of which
settled, the first, second, fourth, eighth ... are written down, so that a program that ends at once fills no audit.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import psutil
import structlog

from photosynth.actions import Action, ActionSink, Result
from photosynth.files.whole import own_file, write_whole
from photosynth.runtimes.process_log import bound, tail

MARK = "PHOTOSYNTH_NODE"
"""The environment variable that says of a process which node's it is."""
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0
SETTLED_S = 300.0
"""A process that ran so long is started again at once, and counts as new."""
TEND_S = 1.0
"""How often the log's size is looked at: what writes a gigabyte in a second takes no more than that of the disk."""
POLL_S = 0.5
ACTOR = "supervisor"
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
    def own_mark(self) -> str:
        """The mark with what tells this folder from every copy of it. Raises OSError where there is no folder."""
        return f"{self.mark}:{self.folder.stat().st_ino}"

    @property
    def whole_mark(self) -> str:
        """The same with a digest of the command, which tells whether what runs was started by another one. Raises OSError.

        A process's own words do not tell that: many programs are scripts that become something else.
        """
        return f"{self.own_mark} {sha256(json.dumps(self.arguments).encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A look at a workload: its process, since when (wall milliseconds), how often it was started anew, why it does not run.

    ``known_s`` is how long we know that process, seconds by a clock that nobody sets.
    """

    pid: int | None
    started_ms: int | None
    restarts: int
    problem: str | None
    known_s: float = 0.0


class ChildProcess:
    """One workload that is kept running. :meth:`run` it in a task; :meth:`stop` it before that task is cancelled."""

    def __init__(self, workload: Workload, actions: ActionSink, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.workload = workload
        self._actions = actions
        self._monotonic = monotonic
        self._process: psutil.Process | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._restarts = 0
        self._starts = 0
        self._start_action: Action | None = None
        self._problem: str | None = None
        self._delay_s = FIRST_DELAY_S
        self._wanted = asyncio.Event()
        self._closing = False
        self._ending = asyncio.Lock()
        self._starting: asyncio.Future[None] | None = None
        self._since_s = 0.0

    @property
    def state(self) -> ProcessState:
        """How it is now."""
        process = self._process
        if process is None:
            return ProcessState(None, None, self._restarts, self._problem)
        known_s = self._monotonic() - self._since_s
        return ProcessState(process.pid, int(process.create_time() * 1000), self._restarts, None, known_s)

    @property
    def log(self) -> Path:
        """Where its output goes; older parts have a number behind."""
        return self.workload.folder / "log.txt"

    async def run(self) -> None:
        """Keep it running until cancelled or stopped. What runs already is adopted."""
        while not self._closing:
            started = self._monotonic()
            if not await self._start():
                await self._wait_before_next()
                continue
            ended_by_us = await self._watch()
            self._restarts += 1
            if self._monotonic() - started >= SETTLED_S:
                self._delay_s, self._starts = FIRST_DELAY_S, 0
            if not ended_by_us:
                await self._wait_before_next()

    async def restart(self, why: str) -> None:
        """End it in its own time; it is started anew at once, without waiting."""
        self._delay_s = FIRST_DELAY_S
        await self._end(why)
        self._wanted.set()

    async def stop(self) -> None:
        """End it in its own time, for good. Safe to call twice, and after :meth:`run` was cancelled."""
        self._closing = True
        self._wanted.set()
        if self._starting is not None:
            await asyncio.wait({self._starting})
        await self._end("the system that runs it ends")

    async def _start(self) -> bool:
        """Start it where it does not run; whether it runs now.

        A start that has begun is brought to its end, also where whoever waits for it is cancelled: nobody would know the process.
        """
        self._starting = asyncio.ensure_future(self._adopt_or_begin())
        await asyncio.shield(self._starting)
        return self._process is not None

    async def _adopt_or_begin(self) -> None:
        async with self._ending:  # who stops it waits until it can be ended
            if self._closing:
                return
            try:
                if await asyncio.to_thread(self._adopted):
                    await self._end_now("it runs by another command than the one declared")
                if self._process is None:
                    self._note_start()
                    await asyncio.to_thread(self._begin)
            except (OSError, ValueError, psutil.Error, subprocess.SubprocessError) as error:
                self._failed(self._why_not(error))
            else:
                self._problem, self._since_s = None, self._monotonic()

    def _why_not(self, error: Exception) -> str:
        file = getattr(error, "filename", None) or self.workload.arguments[0]
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"{file} cannot be {'written' if file == str(self.log) else 'started'}: {reason}"

    def _adopted(self) -> bool:
        """Take over what runs already; whether it runs by another command."""
        self.workload.folder.mkdir(parents=True, exist_ok=True)
        self._process, self._child = self._find(), None
        if self._process is None:
            return False
        _log.info("node's process adopted", node=self.workload.name, pid=self._process.pid)
        return _mark_of(self._process) != self.workload.whole_mark

    def _begin(self) -> None:
        self._child = self._spawn()
        process = psutil.Process(self._child.pid)
        process.create_time()  # asked for now, while it is there: it is kept for later
        self._process = process
        self._note(process)
        _log.info("node's process started", node=self.workload.name, pid=process.pid)

    def _note_start(self) -> None:
        self._starts += 1
        if _is_told(self._starts):
            why = "it is declared to run"
            if self._starts > 1:
                why += f", and did not settle in {self._starts - 1} starts before"
            words = " ".join(self.workload.arguments)
            self._start_action = self._actions.noted(ACTOR, "start_process", self.workload.name, why, words)

    def _end_start(self, result: Result, read_back: str) -> None:
        """What came of the start that is under way, where it is written down."""
        action, self._start_action = self._start_action, None
        if action is not None:
            self._actions.finished(action, result, None, read_back, result == "done")

    def _failed(self, why: str) -> None:
        self._end_start("failed", why)
        self._process, self._problem = None, why
        if self._child is not None:
            self._child.poll()
            self._child = None
        _log.warning("node's process does not run", node=self.workload.name, reason=why)

    def _spawn(self) -> subprocess.Popen[bytes]:
        bound(self.log)
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
        """Write down who it is; where that cannot be, its mark alone tells."""
        known = {"pid": process.pid, "created": process.create_time(), "mark": self.workload.own_mark}
        try:
            write_whole(self.workload.folder / "process.json", json.dumps(known).encode())
        except OSError as error:
            _log.warning("node's process cannot be written down", node=self.workload.name, reason=str(error))

    def _find(self) -> psutil.Process | None:
        """The process that an earlier run of ours left, or that went into the background; None where there is none."""
        noted = _noted(self.workload.folder)
        if noted is not None and noted[1] == self.workload.own_mark:
            return noted[0]
        found = self._marked()
        if not found:
            return None
        oldest = min(found, key=lambda process: (process.create_time(), process.pid))
        self._note(oldest)
        return oldest

    def _marked(self) -> list[psutil.Process]:
        """Every process that carries the mark: the program, and what it started."""
        mark, found = f"{self.workload.own_mark} ", []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.uids().real == os.getuid() and (_mark_of(process) or "").startswith(mark) and _runs(process):
                    process.create_time()
                    found.append(process)
        return found

    async def _watch(self) -> bool:
        """Wait until the process ends, tending its log; whether we ended it."""
        process = self._process
        tended = self._monotonic()
        while process is not None and self._process is process and self._alive(process):
            if self._monotonic() - tended >= TEND_S:
                tended = self._monotonic()
                self._end_start("done", f"process {process.pid} runs")
                await asyncio.to_thread(bound, self.log)
            await asyncio.sleep(POLL_S)
        if self._process is None:
            return True
        self._failed(f"it ended{self._how()}; its last words: {self.last_words()}")
        return False

    def _alive(self, process: psutil.Process) -> bool:
        if self._child is not None and process.pid == self._child.pid:
            return self._child.poll() is None
        return _runs(process)

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

    async def _end(self, why: str) -> None:
        """Ask it to end, and kill it where it does not within its time. Raises TimeoutError where even that ends it not."""
        async with self._ending:
            await self._end_now(why)

    async def _end_now(self, why: str) -> None:
        process, action = self._process, None
        if process is not None:
            self._end_start("unverified", "it was ended before it could be seen to run")
            if _is_told(self._starts):
                asked = f"process {process.pid} ends within {self.workload.stop_s:g} s, or is killed"
                action = self._actions.noted(ACTOR, "end_process", self.workload.name, why, asked)
        try:
            await self._signal_and_wait()
        except BaseException as error:
            if action is not None:
                self._actions.finished(action, "failed", None, str(error) or "cut off before it had ended", False)
            raise
        if action is not None:
            self._actions.finished(action, "done", None, "it runs no more", True)

    async def _signal_and_wait(self) -> None:
        own = [] if self._process is None else [self._process]
        for number, patience_s in ((signal.SIGTERM, self.workload.stop_s), (signal.SIGKILL, 10.0)):
            every = {*own, *await asyncio.to_thread(self._marked)} if self.workload.folder.exists() else {*own}
            for process in every:
                with contextlib.suppress(psutil.Error):
                    # What is stopped takes no other signal before it goes on.
                    process.send_signal(number)
                    process.send_signal(signal.SIGCONT)
            deadline = self._monotonic() + patience_s
            while (left := [process for process in every if self._alive(process)]) and self._monotonic() < deadline:  # noqa: ASYNC110 - an adopted one tells no parent
                await asyncio.sleep(0.05)
            if not left:
                break
            _log.warning("node's process did not end in its time", node=self.workload.name, signal=number.name)
        else:
            raise TimeoutError(f"{self.workload.name}: process {left[0].pid} does not even end when it is killed")
        self._process = self._child = None

    def last_words(self, lines: int = 3) -> str:
        """The end of its log, in one line."""
        return " / ".join(line.strip()[:200] for line in tail(self.log, lines) if line.strip()) or "none"


def _is_told(number: int) -> bool:
    """Whether the start of this number in a row is written down: each power of two."""
    return number & (number - 1) == 0


def _mark_of(process: psutil.Process) -> str | None:
    with contextlib.suppress(psutil.Error, OSError):
        return process.environ().get(MARK)
    return None


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def left_running(folders: Path) -> dict[str, int]:
    """Processes that still run for the workloads whose folders lie in one folder, each by its folder's name."""
    noted = {folder.name: _noted(folder) for folder in (sorted(folders.iterdir()) if folders.is_dir() else ())}
    return {name: found[0].pid for name, found in noted.items() if found is not None}


def _noted(folder: Path) -> tuple[psutil.Process, str] | None:
    """The process that the note in a folder tells of, and its mark; None where it does not run."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, psutil.Error):
        known = json.loads((folder / "process.json").read_bytes())
        process = psutil.Process(int(known["pid"]))
        if (
            process.create_time() == known["created"]
            and str(known["mark"]).endswith(f":{folder.stat().st_ino}")
            and _runs(process)
        ):
            return process, str(known["mark"])
    return None
