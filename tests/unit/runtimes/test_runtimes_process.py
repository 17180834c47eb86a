"""A child process is kept running, ended in its own time, and found again by whoever comes after a kill."""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest
from tests.unit.clock_and_audit import RememberingAudit

from photosynth.runtimes import process, process_log
from photosynth.runtimes.process import ChildProcess, Workload, left_running
from photosynth.runtimes.process_log import tail

SOON_S = 20.0
STAYS = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(process, "POLL_S", 0.02)
    monkeypatch.setattr(process, "TEND_S", 0.02)


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
    child = ChildProcess(workload(tmp_path), RememberingAudit())
    async with running(child):
        pid = await up(child)
        assert os.getsid(pid) == pid
        assert child.state.started_ms is not None
        assert (child.state.restarts, child.state.problem) == (0, None)
    assert not psutil.pid_exists(pid)
    assert child.state.pid is None


async def test_it_is_started_anew_when_it_ends_and_its_last_words_are_kept(tmp_path: Path) -> None:
    child = ChildProcess(workload(tmp_path, "import sys; print('no disk'); sys.exit(3)"), RememberingAudit())
    async with running(child):
        await until(lambda: child.state.restarts >= 2)
        await until(lambda: child.state.problem is not None)
        assert str(child.state.problem).startswith("it ended with exit code 3; its last words: no disk")


async def test_a_killed_one_is_started_anew(tmp_path: Path) -> None:
    child = ChildProcess(workload(tmp_path), RememberingAudit())
    async with running(child):
        first = await up(child)
        os.kill(first, signal.SIGKILL)
        await until(lambda: child.state.pid not in (None, first))
        assert child.state.restarts == 1


async def test_a_program_that_is_missing_is_a_problem_with_its_path(tmp_path: Path) -> None:
    child = ChildProcess(Workload("btc-1", "x", ("/nowhere/bitcoind",), tmp_path, 1.0), RememberingAudit())
    async with running(child):
        await until(lambda: child.state.problem is not None)
        assert child.state.problem == "/nowhere/bitcoind cannot be started: No such file or directory"


@pytest.mark.parametrize("stopped", [False, True], ids=["deaf", "suspended"])
async def test_one_that_does_not_end_in_its_time_is_killed(tmp_path: Path, stopped: bool) -> None:
    child = ChildProcess(workload(tmp_path, STUBBORN, stop_s=0.2), RememberingAudit())
    async with running(child):
        pid = await up(child)
        if stopped:
            os.kill(pid, signal.SIGSTOP)
    assert not psutil.pid_exists(pid)


async def test_a_restart_is_asked_for_and_waits_for_nothing(tmp_path: Path) -> None:
    child = ChildProcess(workload(tmp_path), RememberingAudit())
    async with running(child):
        first = await up(child)
        await child.restart("asked")
        await until(lambda: child.state.pid not in (None, first))
        assert (child.state.restarts, psutil.pid_exists(first)) == (1, False)


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "killed before it was noted"])
async def test_what_an_earlier_run_left_is_adopted_with_its_process_id(tmp_path: Path, noted: bool) -> None:
    earlier = ChildProcess(workload(tmp_path), RememberingAudit())
    task = asyncio.create_task(earlier.run())
    pid = await up(earlier)
    task.cancel()  # as a kill of ours would: nobody ends the process
    with suppress(asyncio.CancelledError):
        await task
    if not noted:
        (tmp_path / "process.json").unlink()
    later = ChildProcess(workload(tmp_path), RememberingAudit())
    async with running(later):
        await until(lambda: later.state.pid is not None)
        assert (later.state.pid, later.state.restarts) == (pid, 0)
    assert earlier._child is not None
    earlier._child.wait()
    assert not psutil.pid_exists(pid)


async def test_one_that_runs_by_another_command_is_started_anew(tmp_path: Path) -> None:
    earlier = ChildProcess(workload(tmp_path), RememberingAudit())
    task = asyncio.create_task(earlier.run())
    pid = await up(earlier)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    later = ChildProcess(workload(tmp_path, STAYS + " # another"), RememberingAudit())
    async with running(later):
        assert earlier._child is not None
        await asyncio.to_thread(earlier._child.wait)
        await until(lambda: later.state.pid not in (None, pid))


async def test_a_foreign_process_under_the_noted_number_is_left_alone(tmp_path: Path) -> None:
    tmp_path.joinpath("process.json").write_text(json.dumps({"pid": os.getpid(), "created": 1.0, "mark": "x"}))
    child = ChildProcess(workload(tmp_path), RememberingAudit())
    async with running(child):
        assert await up(child) != os.getpid()


async def test_a_stop_in_the_middle_of_a_start_leaves_nothing(tmp_path: Path) -> None:
    for _ in range(10):
        child = ChildProcess(workload(tmp_path), RememberingAudit())
        task = asyncio.create_task(child.run())
        await asyncio.sleep(0)
        await child.stop()
        await task
        assert child.state.pid is None
    assert marked(tmp_path) == []


def marked(folder: Path) -> list[psutil.Process]:
    return [one for one in psutil.process_iter() if (_mark_of(one) or "").startswith(f"{folder}:btc-1")]


def _mark_of(one: psutil.Process) -> str | None:
    with suppress(psutil.Error):
        return one.environ().get(process.MARK)
    return None


async def test_its_log_is_rotated_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_log, "MOST_LOG_BYTES", 10_000)
    child = ChildProcess(workload(tmp_path, "while True: print('x' * 99, flush=True)"), RememberingAudit())
    async with running(child):
        await until((tmp_path / "log.txt.3").exists)
    assert {path.name for path in tmp_path.glob("log.txt*")} == {"log.txt", "log.txt.1", "log.txt.2", "log.txt.3"}


async def test_no_secret_of_ours_is_in_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    child = ChildProcess(workload(tmp_path, "import os; print(sorted(os.environ)); " + STAYS), RememberingAudit())
    async with running(child):
        await until(lambda: "up" in tail(child.log, 1))
        assert "PGPASSWORD" not in child.log.read_text()
        assert process.MARK in child.log.read_text()


DAEMON = "import os, sys, time\nif os.fork(): os._exit(0)\nos.setsid(); print('up', flush=True); time.sleep(600)"
WRAPPER = (
    "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; print(\\'up\\', flush=True); time.sleep(600)'])"
)


async def test_a_program_that_goes_into_the_background_is_found_there_and_ended(tmp_path: Path) -> None:
    child = ChildProcess(workload(tmp_path, DAEMON), RememberingAudit())
    async with running(child):
        await until(lambda: child.state.restarts == 1 and child.state.pid is not None)
        assert [one.pid for one in marked(tmp_path)] == [child.state.pid]
    assert marked(tmp_path) == []


async def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    child = ChildProcess(workload(tmp_path, WRAPPER), RememberingAudit())
    async with running(child):
        await up(child)
        assert len(marked(tmp_path)) == 2
    assert marked(tmp_path) == []


async def test_a_disk_that_takes_no_note_of_it_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(process, "write_whole", full)
    child = ChildProcess(workload(tmp_path), RememberingAudit())
    async with running(child):
        pid = await up(child)
        assert child.state.problem is None
    assert not psutil.pid_exists(pid)


async def test_a_log_that_cannot_be_kept_is_given_up_and_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_log, "MOST_LOG_BYTES", 10_000)
    for number in (1, 2, 3):
        (tmp_path / f"log.txt.{number}" / "in the way").mkdir(parents=True)
    child = ChildProcess(
        workload(tmp_path, "import time\nwhile True: print('x' * 5_000, flush=True); time.sleep(0.001)"), RememberingAudit()
    )
    async with running(child):
        await until(lambda: child.log.exists() and child.log.stat().st_size >= 10_000)
        await until(lambda: child.log.stat().st_size < 10_000)


async def test_one_that_says_much_and_ends_soon_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_log, "MOST_LOG_BYTES", 10_000)
    monkeypatch.setattr(process, "TEND_S", 3600.0)
    child = ChildProcess(workload(tmp_path, "print('x' * 50_000)"), RememberingAudit())
    async with running(child):
        await until(lambda: child.state.restarts >= 3)
        sizes = [path.stat().st_size for path in tmp_path.glob("log.txt.*")]
    assert sizes
    assert all(size <= 10_000 for size in sizes)


@pytest.mark.parametrize("arguments", [("a\0b",), ("\ud800",)], ids=["zero byte", "half a character"])
async def test_a_command_that_no_system_takes_is_a_problem(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    child = ChildProcess(Workload("btc-1", "x", (sys.executable, *arguments), tmp_path, 1.0), RememberingAudit())
    async with running(child):
        await until(lambda: child.state.problem is not None)
        assert "cannot be started" in str(child.state.problem)


@pytest.mark.parametrize("note", ['{"pid": 1e999}', "[" * 100_000, "[]", '{"pid": -1}', "\0"])
async def test_a_rotten_note_is_no_note(tmp_path: Path, note: str) -> None:
    (tmp_path / "process.json").write_text(note)
    child = ChildProcess(workload(tmp_path), RememberingAudit())
    async with running(child):
        await up(child)


async def test_a_copy_of_the_folder_leaves_the_first_ones_process_alone(tmp_path: Path) -> None:
    mine, copy = tmp_path / "mine", tmp_path / "copy"
    first = ChildProcess(Workload("btc-1", f"{tmp_path}:btc-1", (sys.executable, "-c", STAYS), mine, 5.0), RememberingAudit())
    async with running(first):
        pid = await up(first)
        copy.mkdir()
        (copy / "process.json").write_bytes((mine / "process.json").read_bytes())
        other = ChildProcess(Workload("btc-1", f"{tmp_path}:btc-1", (sys.executable, "-c", STAYS), copy, 5.0), RememberingAudit())
        async with running(other):
            assert await up(other) != pid
        assert first.state.pid == pid
        assert psutil.pid_exists(pid)


async def test_a_run_that_is_cancelled_while_it_starts_leaves_nothing_once_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn, entered, go = ChildProcess._spawn, threading.Event(), threading.Event()

    def slow(child: ChildProcess) -> object:
        entered.set()
        go.wait()
        return spawn(child)

    monkeypatch.setattr(ChildProcess, "_spawn", slow)
    child = ChildProcess(workload(tmp_path), RememberingAudit())
    task = asyncio.create_task(child.run())
    await asyncio.to_thread(entered.wait)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    stopping = asyncio.create_task(child.stop())
    await asyncio.sleep(0)
    go.set()
    await stopping
    assert marked(tmp_path) == []


def test_its_last_words_obey_no_terminal(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"\x1b[31mred\x1b[0m \x1b]0;title\x07 \xff\n")
    assert tail(log, 1) == ["red \ufffd]0;title\ufffd \ufffd"]


async def test_what_an_earlier_run_left_is_listed_and_what_ended_or_was_copied_is_not(tmp_path: Path) -> None:
    folder, copy = tmp_path / "nodes" / "btc-1", tmp_path / "nodes" / "btc-2"
    child = ChildProcess(workload(folder), RememberingAudit())
    async with running(child):
        pid = await up(child)
        copy.mkdir()
        (copy / "process.json").write_bytes((folder / "process.json").read_bytes())
        assert left_running(tmp_path / "nodes") == {"btc-1": pid}
    assert left_running(tmp_path / "nodes") == {}
    assert left_running(tmp_path / "nowhere") == {}


def told(audit: RememberingAudit) -> list[tuple[object, object, object]]:
    """Kind, result and what reading back showed of every action."""
    return [(action[1], action[5], action[7]) for action in audit.actions]


async def test_starts_and_ends_are_actions_that_are_read_back(tmp_path: Path) -> None:
    audit = RememberingAudit(full=True)  # what is declared to run waits for no disk
    child = ChildProcess(workload(tmp_path), audit)
    async with running(child):
        first = await up(child)
        await until(lambda: audit.results("btc-1") == ["done"])
        await child.restart("it hangs")
        await until(lambda: child.state.pid not in (None, first))
        second = child.state.pid
        await until(lambda: audit.results("btc-1") == ["done"] * 3)
    ended = ("end_process", "done", "it runs no more")
    started = ("start_process", "done", f"process {first} runs"), ("start_process", "done", f"process {second} runs")
    assert told(audit) == [started[0], ended, started[1], ended]
    assert [action[3] for action in audit.actions][1] == "it hangs"


async def test_one_that_is_adopted_was_not_started_and_a_start_that_fails_says_why(tmp_path: Path) -> None:
    audit = RememberingAudit()
    earlier = ChildProcess(workload(tmp_path), RememberingAudit())
    task = asyncio.create_task(earlier.run())
    await up(earlier)
    task.cancel()
    async with running(ChildProcess(workload(tmp_path), audit)) as later:
        await up(later)
    assert earlier._child is not None
    earlier._child.wait()
    assert told(audit) == [("end_process", "done", "it runs no more")]

    missing = RememberingAudit()
    async with running(ChildProcess(Workload("btc-1", "x", ("/nowhere/bitcoind",), tmp_path / "other", 1.0), missing)):
        await until(lambda: missing.results("btc-1")[:1] == ["failed"])
    assert "/nowhere/bitcoind cannot be started" in str(missing.actions[0][7])


async def test_a_program_that_ends_at_once_fills_no_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LONGEST_DELAY_S", 0.01)
    monkeypatch.setattr(process, "TEND_S", SOON_S)
    audit = RememberingAudit()
    async with running(ChildProcess(workload(tmp_path, "print('no disk')"), audit)) as child:
        await until(lambda: child.state.restarts >= 9)
    starts = audit.of("btc-1", "start_process")
    assert [action[3] for action in starts[:4]] == [
        "it is declared to run",
        "it is declared to run, and did not settle in 1 starts before",
        "it is declared to run, and did not settle in 3 starts before",
        "it is declared to run, and did not settle in 7 starts before",
    ]
    assert all(action[5] == "failed" and "its last words: no disk" in str(action[7]) for action in starts[:4])
