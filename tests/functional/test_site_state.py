"""A site's state in parts: one that is missing, foreign or from an older copy is refused, and reading changes nothing."""

import ctypes
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from tests.functional.running_site import COMMAND, EXAMPLES, RunningSite, photosynth

from photosynth.treasury.evidence.seal import Identity

pytestmark = [pytest.mark.functional]

START = ("up", str(EXAMPLES / "backnang.yaml"), "--no-open", "--port", "0", "--pool-port", "0", "--for", "30s")
READING = (
    ("status",),
    ("status", "--json"),
    ("workers",),
    ("ledger",),
    ("ledger", "--json"),
    ("trace", "1"),
    ("chain", "export", "-"),
    ("evidence", "export", "-", "--site", "backnang"),
)
EXPORT = ("evidence", "export", "-")
"""After a kill this is more than reading: what was posted and not signed yet is written down first."""


def live(state: Path) -> RunningSite:
    """Run a site until it has closed another quarter hour and found some more blocks."""
    site = RunningSite(state, "--speed", "300")
    site.start()
    before = site.get("status")

    def lived() -> bool:
        now = site.get("status")
        closed = now["evidence"]["records"] - before["evidence"]["records"]
        return bool(closed >= 1 and now["sites"][0]["chain"]["height"] >= before["sites"][0]["chain"]["height"] + 2)

    site.wait_for(lived, "a closed quarter hour and two blocks")
    return site


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three copies of one site's state in a folder: ``early`` and ``late`` after clean stops, ``killed`` after kill -9."""
    folder = tmp_path_factory.mktemp("past")
    site = live(folder / "live")
    try:
        for name in ("early", "late"):
            site.stop()
            shutil.copytree(folder / "live", folder / name)
            site = live(folder / "live")
        site.kill()
        shutil.copytree(folder / "live", folder / "killed")
    finally:
        site.end()
    return folder


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of another site that was started once."""
    state = tmp_path_factory.mktemp("other") / "state"
    starts(state)
    return state


def command(state: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return photosynth(*arguments, "--state", str(state), **options)


def snapshot(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Every file and folder with what it holds, its mode and when it was changed."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        found[str(path.relative_to(folder))] = (content, path.stat().st_mode, path.stat().st_mtime_ns)
    return found


def refused(state: Path, *words: str) -> None:
    """A start says in a sentence what is wrong, and changes neither books, key, shares nor chain."""
    kept = [state / name for name in ("manifest.json", "keys", "sites/backnang/shares", "nodes/btc-1/blocks.log")]
    before = {path: snapshot(path) if path.is_dir() else path.exists() and path.read_bytes() for path in kept}
    answer = command(state, *START)
    assert answer.returncode == 3, answer
    assert "Traceback" not in answer.stderr
    for word in words:
        assert word in answer.stderr, answer.stderr
    assert {path: snapshot(path) if path.is_dir() else path.exists() and path.read_bytes() for path in kept} == before


def starts(state: Path, *options: str) -> str:
    """A start goes through, and the site is stopped again; what it said."""
    site = RunningSite(state, "--speed", "300", *options)
    try:
        site.start()
        site.stop()
    finally:
        site.end()
    return site.output.read_text()


def lay(past: Path, tmp_path: Path, which: str) -> Path:
    return Path(shutil.copytree(past / which, tmp_path / which, symlinks=True))


@pytest.mark.parametrize("which", ["late", "killed"])
def test_reading_changes_nothing(past: Path, tmp_path: Path, which: str) -> None:
    state = lay(past, tmp_path, which)
    with (
        (state / "sites/backnang/shares")
        .joinpath(sorted(p.name for p in (state / "sites/backnang/shares").glob("*.log"))[-1])
        .open("ab") as log
    ):
        log.write(b"a torn tail")
    if which == "killed":
        assert (state / "photosynth.sqlite3-wal").stat().st_size > 0
    before = snapshot(state)
    for arguments in READING:
        answer = command(state, *arguments)
        assert answer.returncode == 0, (arguments, answer.stderr)
        assert snapshot(state) == before, arguments
    assert command(state, *EXPORT).returncode == 0
    if which == "killed":
        before = snapshot(state)
        assert command(state, *EXPORT).returncode == 0
    assert snapshot(state) == before, "an export that lacks nothing only reads"


def test_whoever_may_only_read_can_read(past: Path, tmp_path: Path) -> None:
    for which in ("late", "killed"):
        state = lay(past, tmp_path, which)
        for path in (state, *state.rglob("*")):
            path.chmod(0o500 if path.is_dir() else 0o400)
        for arguments in READING:
            answer = command(state, *arguments, preexec_fn=_obey_permissions)
            assert answer.returncode == 0, (arguments, answer.stderr)
        answer = command(state, *EXPORT, preexec_fn=_obey_permissions)
        assert answer.returncode == (3 if which == "killed" else 0), answer.stderr
        assert ("writes down first" in answer.stderr) == (which == "killed")


def _obey_permissions() -> None:
    """Give up root's right to write what nobody may write (Linux, capabilities(7): DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER)."""
    if os.geteuid() == 0:
        for capability in (1, 2, 3):
            assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP


def test_after_a_kill_the_log_beside_the_database_is_read_too(past: Path, tmp_path: Path) -> None:
    state = lay(past, tmp_path, "killed")
    said = json.loads(command(state, "status", "--json").stdout)
    with sqlite3.connect(state / "photosynth.sqlite3") as raw:  # which merges the log
        (records,) = raw.execute("SELECT count(*) FROM evidence WHERE kind = 'quarter_hour'").fetchone()
    raw.close()
    assert said["evidence"]["records"] == records
    assert said["running"] is False


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("photosynth.sqlite3", ("photosynth.sqlite3 is missing", "backup", "--fresh")),
        ("keys/backnang.key", ("backnang.key is missing", "backup", "--fresh")),
        ("keys/books.key", ("books.key is missing", "backup", "--fresh")),
        ("sites/backnang/shares", ("shares is missing", "backup", "--accept-lost-shares")),
        ("nodes/btc-1", ("btc-1 is missing", "backup", "chain import", "--fresh")),
        ("manifest.json", ("manifest.json is missing", "backup", "--fresh")),
    ],
)
def test_a_missing_part_is_refused(past: Path, tmp_path: Path, part: str, words: tuple[str, ...]) -> None:
    state = lay(past, tmp_path, "late")
    path = state / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    refused(state, *words)
    answer = command(state, "status")
    assert answer.returncode == 3
    assert part in answer.stderr


@pytest.mark.parametrize("part", ["photosynth.sqlite3", "sites/backnang/shares", "nodes/btc-1", "manifest.json"])
@pytest.mark.parametrize("newer", ["late", "early"])
def test_a_part_from_another_day_is_refused_or_caught_up(past: Path, tmp_path: Path, part: str, newer: str) -> None:
    """One part is older than its siblings (late), or newer (early)."""
    older = {"late": "early", "early": "late"}[newer]
    state = lay(past, tmp_path, newer)
    path = state / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    source = past / older / part
    shutil.copytree(source, path) if source.is_dir() else shutil.copy(source, path)
    may_go_on = {("late", "manifest.json"), ("early", "nodes/btc-1")}  # an older note is true; a newer chain is followed
    if (newer, part) in may_go_on:
        starts(state)
        export_holds(state)
    else:
        refused(state, " older than ")


@pytest.mark.parametrize(
    "part", ["photosynth.sqlite3", "keys/backnang.key", "keys/books.key", "sites/backnang/shares", "nodes/btc-1"]
)
def test_a_part_of_another_site_is_refused(past: Path, other: Path, tmp_path: Path, part: str) -> None:
    state = lay(past, tmp_path, "late")
    path = state / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(other / part, path) if (other / part).is_dir() else shutil.copy(other / part, path)
    refused(state, "backup")


def test_lost_shares_are_given_up_when_the_operator_says_so(past: Path, tmp_path: Path) -> None:
    state = lay(past, tmp_path, "late")
    for segment in (state / "sites/backnang/shares").glob("*.log"):
        segment.unlink()
    before = json.loads(command(past / "late", "status", "--json").stdout)
    assert before["sites"][0]["pool"]["shares_accepted"] > 0
    refused(state, "--accept-lost-shares")
    assert "counts from zero" in starts(state, "--accept-lost-shares")
    after = json.loads(command(state, "status", "--json").stdout)
    assert after["evidence"]["records"] >= before["evidence"]["records"]
    assert after["ledger"]["postings"] >= before["ledger"]["postings"]
    assert after["sites"][0]["pool"]["shares_accepted"] < before["sites"][0]["pool"]["shares_accepted"]
    assert "is whole, so nothing of it is given up" in starts(state, "--accept-lost-shares")
    site = live(state)
    site.stop()
    export_holds(state)


def test_a_lost_chain_comes_back_from_an_export(past: Path, tmp_path: Path) -> None:
    state, blocks = lay(past, tmp_path, "late"), tmp_path / "blocks.txt"
    assert command(state, "chain", "export", str(blocks)).returncode == 0
    shutil.rmtree(state / "nodes/btc-1")
    refused(state, "chain import")
    assert command(state, "chain", "import", str(blocks)).returncode == 0
    starts(state)
    export_holds(state)


def test_fresh_moves_the_old_state_aside_and_says_where(past: Path, tmp_path: Path) -> None:
    state = lay(past, tmp_path, "late")
    key = (state / "keys/backnang.key").read_bytes()
    said = starts(state, "--fresh")
    (aside,) = state.glob("before-*")
    assert str(aside) in said
    assert (aside / "keys/backnang.key").read_bytes() == key
    assert (state / "keys/backnang.key").read_bytes() != key
    assert command(aside, "status").returncode == 0
    export_holds(aside)


def test_a_first_start_that_dies_anywhere_is_taken_up(tmp_path: Path) -> None:
    for sign in (
        "manifest.json",
        "photosynth.sqlite3",
        "sites/backnang/shares",
        "nodes/btc-1/blocks.log",
        "keys/backnang.key",
        "sites/backnang/world",
    ):
        state = tmp_path / sign.replace("/", "-")
        with subprocess.Popen(
            [*COMMAND, *START[:-2], "--state", str(state)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as first:
            while first.poll() is None and not (state / sign).exists():
                os.sched_yield()
            first.kill()
        starts(state)
        export_holds(state)


def test_a_folder_that_others_may_write_is_refused(past: Path, tmp_path: Path) -> None:
    state = lay(past, tmp_path, "late")
    state.chmod(0o777)
    refused(state, f"chmod go-w {state}")
    state.chmod(0o700)
    (state / "sites/backnang/shares").chmod(0o777)
    refused(state, f"chmod go-w {state / 'sites/backnang/shares'}")


def export_holds(state: Path) -> None:
    exported = state.with_suffix(".jsonl")
    assert command(state, "evidence", "export", str(exported)).returncode == 0
    # A young export has no work that would show whose it is.
    keys = [Identity.open(path).public_key.hex() for path in sorted((state / "keys").glob("*.key"))]
    verified = photosynth("verify", str(exported), *(word for key in keys for word in ("--key", key)))
    assert verified.returncode == 0, verified.stdout
