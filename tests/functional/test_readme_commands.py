"""The README's commands, run exactly as written: its blocks marked as tested, in their order, one site behind them.

A block after `<!-- tested: first terminal -->` starts a site and stays. One after `<!-- tested: exit N -->` is run in a second
terminal, where its last line must end with N and the others with 0. The home folder is of the test alone, so the state is
new; `ARGS` chooses free ports and a faster clock, as `make up ARGS=...` would.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.functional.running_site import PATIENCE_S, RunningSite

pytestmark = [
    pytest.mark.functional,
    pytest.mark.skipif(sys.platform != "linux", reason="the README's paths are those of Linux"),
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
]

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"<!-- tested: (?P<how>[^>]+?) -->\n```sh\n(?P<text>.*?)```", re.DOTALL)
NOT_COPIED = {".git", ".venv", "README.md"}


class Terminals(RunningSite):
    """A checkout of this project in a folder of its own, whose first terminal is a running site."""

    def __init__(self, folder: Path) -> None:
        home = folder / "home"
        super().__init__(home / ".local" / "share" / "photosynth")
        self.folder = folder / "checkout"
        self.folder.mkdir()
        for entry in ROOT.iterdir():
            if entry.name not in NOT_COPIED:
                (self.folder / entry.name).symlink_to(entry)
        (self.folder / ".venv").symlink_to(sys.prefix)
        self.output = folder / "first-terminal.out"
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "PHOTOSYNTH_", "MAKE"))
        }
        self.environment |= {"HOME": str(home), "ARGS": "--port 0 --pool-port 0 --speed 300", "LC_ALL": "C.UTF-8"}

    def first(self, block: str) -> None:
        """Run a block that stays, until its site answers."""
        variables = [f"{key}={value}" for key, value in self.environment.items()]
        self._arguments = ["env", "-i", "-C", str(self.folder), *variables, "bash", "-c", f"exec {block.strip()}"]
        self.start()

    def second(self, block: str) -> subprocess.CompletedProcess[str]:
        """Run a block that ends."""
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    running = Terminals(tmp_path)
    yield running
    running.end()


def blocks() -> list[tuple[str, str]]:
    """Every marked block: how it is run, and its text."""
    return [(found["how"], found["text"]) for found in BLOCK.finditer((ROOT / "README.md").read_text(encoding="utf-8"))]


def ready(terminals: Terminals) -> bool:
    """Whether blocks and quarter hours are there to be traced and exported."""
    status = terminals.get("status")
    return bool(
        status["sites"][0]["chain"]["height"] >= 6
        and status["evidence"]["records"] >= 6
        and (status["sites"][0]["machines"]["running"] or 0) > 90
    )


@pytest.mark.slow
def test_the_commands_of_the_readme_do_what_it_says(terminals: Terminals) -> None:
    said: dict[str, str] = {}
    totals: list[tuple[int, ...]] = []
    for how, block in blocks():
        if how == "first terminal":
            terminals.first(block)
            terminals.wait_for(lambda: ready(terminals), "six blocks and quarter hours")
            totals.append(counted(terminals))
            continue
        result = terminals.second(block)
        code = re.match(r"exit (\d)", how)
        assert code is not None, how
        assert result.returncode == int(code[1]), f"{block}\n{result.stdout}\n{result.stderr}"
        said[block] = result.stdout
        if "kills" in how:
            assert terminals.process is not None
            terminals.process.wait(PATIENCE_S)
            assert "Stopped; as it was left" in result.stdout
    assert len(totals) == 2
    assert all(after >= before for before, after in zip(*totals, strict=True)), totals
    everything = "\n".join(said.values())
    for part in ("awake: ", "hall-c-11", "who hashed", "Trial balance", "It holds:", "It does not hold.", "commits to"):
        assert part in everything, part


def counted(terminals: Terminals) -> tuple[int, ...]:
    """Totals that no restart may lower."""
    status = terminals.get("status")
    of_sites = [figure for site in status["sites"] for figure in (site["pool"]["shares_accepted"], site["chain"]["height"])]
    return tuple(map(int, (*of_sites, status["ledger"]["postings"], status["evidence"]["records"])))


def test_every_command_of_the_readme_is_marked() -> None:
    """Shell blocks that no test runs are `make test` alone, which runs this."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    untested = BLOCK.sub("", text)
    assert re.findall(r"```sh\n(.*?)```", untested, re.DOTALL) == ["make test\n"]
