"""What starts with the command line: help and a stopped site's status need none of the heavy libraries."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.cli_sample import STATUS

from photosynth.operations.manifest import begin, write_mark
from photosynth.operations.noting import KeptManifest
from photosynth.operations.state import StateFolder
from photosynth.pool.segments import open_segments
from photosynth.sites.clock import RememberedTime
from photosynth.storage import Database
from photosynth.treasury.evidence.seal import Identity

HEAVY = (
    *("sqlalchemy", "alembic", "pbk", "pandas", "pvlib", "numpy", "nicegui", "fastapi", "starlette", "uvicorn"),
    *("structlog", "nacl", "httpx2", "asyncio", "ruamel", "uvloop"),
)
TELL = """
import runpy, sys
sys.argv = ["photosynth", *{arguments!r}]
try:
    runpy.run_module("photosynth", run_name="__main__", alter_sys=True)
except SystemExit as end:
    print({mark!r}, end.code, *sorted(sys.modules))
"""
MARK = "modules:"


def run(*arguments: str) -> tuple[str, set[str]]:
    """What a command says, and every module that it imported on the way."""
    code = TELL.format(arguments=arguments, mark=MARK)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, _, told = ran.stdout.rpartition(MARK)
    ended, *modules = told.split()
    assert ended in {"0", "None"}, ran.stderr
    return said, {name for name in modules if name in HEAVY}


@pytest.fixture
def stopped(tmp_path: Path) -> StateFolder:
    """The state of a site that was stopped before its first share."""
    folder = StateFolder(tmp_path / "state")
    folder.lock()
    site = {"chain": "bitcoin/regtest", "payout_script": "00", "day": "synthetic"}
    kept = KeptManifest(folder, begin(folder, "operator", {"backnang": site}, {}).manifest)
    Database(folder.database).close()
    kept.database_made()
    files = folder.site("backnang")
    for above in (files.key.parent, files.shares.parent):
        above.mkdir(parents=True)
    for stream in ("backnang", "books"):
        Identity.create(folder.key(stream))
    open_segments(files.shares)
    write_mark(files.shares, kept.now)
    kept.site_made("backnang", 0)
    folder.status.write_text(STATUS.model_dump_json())
    RememberedTime(1_781_434_800_000, 0).save(folder.clock)
    folder.unlock()
    return folder


def test_help_imports_nothing_heavy() -> None:
    said, heavy = run("--help")
    assert "Exit codes" in said
    assert heavy == set()


def test_the_status_of_a_stopped_site_imports_nothing_heavy(stopped: StateFolder) -> None:
    said, heavy = run("status", "--json", "--state", str(stopped.root))
    document = json.loads(said)
    assert (document["running"], document["time"], document["sites"][0]["chain"]["height"]) == (
        False,
        "2026-06-14T11:00:00Z",
        None,
    )
    assert document["sites"][0]["pool"]["shares_accepted"] == 0
    assert heavy == set()


def test_python_dash_m_is_the_command() -> None:
    ran = subprocess.run([sys.executable, "-m", "photosynth", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("photosynth ")
