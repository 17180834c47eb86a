"""A child process is kept running, ended in its own time, and found again by whoever comes after a kill."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from photosynth.runtimes import process
from photosynth.runtimes.process import ChildProcess, Workload, tail

SOON_S = 20.0
STAYS = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(process, "POLL_S", 0.02)


def workload(folder: Path, program: str = STAYS, stop_s: float = 5.0) -> Workload:
    return Workload("btc-1", f"{folder}:btc-1", (sys.executable, "-c", program), folder, stop_s)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(child: ChildProcess) -> AsyncIterator[ChildProcess]:
    """A child that is kept running, and is gone at the end."""
    task = asyncio.create_task(child.run())
    try:
        yield child
    finally:
        await child.stop()
        await task


async def up(child: ChildProcess) -> int:
    """Wait until it runs and has said so; its process id."""
    await until(lambda: child.state.pid is not None and "up" in tail(child.log, 1))
    assert child.state.pid is not None
    return child.state.pid


async def test_it_runs_in_a_session_of_its_own_and_ends_when_asked(tmp_path: Path) -> None:
    child = ChildProcess(workload(tmp_path))
    async with running(child):
        pid = await up(child)
        assert os.getsid(pid) == pid
        assert child.state.started_ms is not None
        assert (child.state.restarts, child.state.problem) == (0, None)
    assert not psutil.pid_exists(pid)
    assert child.state.pid is None


async def test_it_is_started_anew_when_it_ends_and_its_last_words_are_kept(tmp_path: Path) -> None:
    child = ChildProcess(workload(tmp_path, "import sys; print('no disk'); sys.exit(3)"))
    async with running(child):
        await until(lambda: child.state.restarts >= 2)
        await until(lambda: child.state.problem is not None)
        assert str(child.state.problem).startswith("it ended with exit code 3; its last words: no disk")


async def test_a_killed_one_is_started_anew(tmp_path: Path) -> None:
    child = ChildProcess(workload(tmp_path))
    async with running(child):
        first = await up(child)
        os.kill(first, signal.SIGKILL)
        await until(lambda: child.state.pid not in (None, first))
        assert child.state.restarts == 1


async def test_a_program_that_is_missing_is_a_problem_with_its_path(tmp_path: Path) -> None:
    child = ChildProcess(Workload("btc-1", "x", ("/nowhere/bitcoind",), tmp_path, 1.0))
    async with running(child):
        await until(lambda: child.state.problem is not None)
        assert child.state.problem == "/nowhere/bitcoind cannot be started: No such file or directory"


@pytest.mark.parametrize("stopped", [False, True], ids=["deaf", "suspended"])
async def test_one_that_does_not_end_in_its_time_is_killed(tmp_path: Path, stopped: bool) -> None:
    child = ChildProcess(workload(tmp_path, STUBBORN, stop_s=0.2))
    async with running(child):
        pid = await up(child)
        if stopped:
            os.kill(pid, signal.SIGSTOP)
    assert not psutil.pid_exists(pid)


async def test_a_restart_is_asked_for_and_waits_for_nothing(tmp_path: Path) -> None:
    child = ChildProcess(workload(tmp_path))
    async with running(child):
        first = await up(child)
        await child.restart()
        await until(lambda: child.state.pid not in (None, first))
        assert (child.state.restarts, psutil.pid_exists(first)) == (1, False)


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "killed before it was noted"])
async def test_what_an_earlier_run_left_is_adopted_with_its_process_id(tmp_path: Path, noted: bool) -> None:
    earlier = ChildProcess(workload(tmp_path))
    task = asyncio.create_task(earlier.run())
    pid = await up(earlier)
    task.cancel()  # as a kill of ours would: nobody ends the process
    with suppress(asyncio.CancelledError):
        await task
    if not noted:
        (tmp_path / "process.json").unlink()
    later = ChildProcess(workload(tmp_path))
    async with running(later):
        await until(lambda: later.state.pid is not None)
        assert (later.state.pid, later.state.restarts) == (pid, 0)
    assert earlier._child is not None
    earlier._child.wait()
    assert not psutil.pid_exists(pid)


async def test_one_that_runs_by_another_command_is_started_anew(tmp_path: Path) -> None:
    earlier = ChildProcess(workload(tmp_path))
    task = asyncio.create_task(earlier.run())
    pid = await up(earlier)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    later = ChildProcess(workload(tmp_path, STAYS + " # another"))
    async with running(later):
        assert earlier._child is not None
        await asyncio.to_thread(earlier._child.wait)
        await until(lambda: later.state.pid not in (None, pid))


async def test_a_foreign_process_under_the_noted_number_is_left_alone(tmp_path: Path) -> None:
    tmp_path.joinpath("process.json").write_text(json.dumps({"pid": os.getpid(), "created": 1.0, "mark": "x"}))
    child = ChildProcess(workload(tmp_path))
    async with running(child):
        assert await up(child) != os.getpid()


async def test_a_stop_in_the_middle_of_a_start_leaves_nothing(tmp_path: Path) -> None:
    for _ in range(10):
        child = ChildProcess(workload(tmp_path))
        task = asyncio.create_task(child.run())
        await asyncio.sleep(0)
        await child.stop()
        await task
        assert child.state.pid is None
    mine = [one for one in psutil.process_iter() if (_mark_of(one) or "").startswith(f"{tmp_path}:btc-1 ")]
    assert mine == []


def _mark_of(one: psutil.Process) -> str | None:
    with suppress(psutil.Error):
        return one.environ().get(process.MARK)
    return None


async def test_its_log_is_rotated_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_LOG_BYTES", 10_000)
    monkeypatch.setattr(process, "TEND_S", 0.0)
    child = ChildProcess(workload(tmp_path, "while True: print('x' * 99, flush=True)"))
    async with running(child):
        await until((tmp_path / "log.txt.3").exists)
    assert {path.name for path in tmp_path.glob("log.txt*")} == {"log.txt", "log.txt.1", "log.txt.2", "log.txt.3"}


async def test_no_secret_of_ours_is_in_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    child = ChildProcess(workload(tmp_path, "import os; print(sorted(os.environ)); " + STAYS))
    async with running(child):
        await until(lambda: "up" in tail(child.log, 1))
        assert "PGPASSWORD" not in child.log.read_text()
        assert process.MARK in child.log.read_text()
