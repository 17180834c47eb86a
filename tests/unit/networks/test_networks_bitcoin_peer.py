"""Where no bitcoind can be had: the reason is said, and with CI=true it is a failure, in every test that needs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.peers import setup_bitcoind
from tests.peers.setup_bitcoind import NotToBeHadError, obtain

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[3]
ASKING = "(bitcoind and (coins_tell_where or the_hold_ends)) or both_answer_the_same"
"""Contract tests that come to the peer in each of the ways that there are: by a fixture, by its name, in the test's midst."""

ASKS = """
def test_that_needs_one(bitcoind):
    raise AssertionError("never reached")
"""


@pytest.fixture
def empty_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with an empty cache and no apt."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("PHOTOSYNTH_BITCOIND", raising=False)


@pytest.mark.usefixtures("empty_machine")
def test_a_machine_without_apt_is_told_what_it_takes() -> None:
    with pytest.raises(NotToBeHadError, match=r"apt-get is not on this machine.*PHOTOSYNTH_BITCOIND"):
        obtain()
    assert setup_bitcoind.main() == 1


@pytest.mark.usefixtures("empty_machine")
@pytest.mark.parametrize(("ci", "outcome"), [("true", "errors"), ("", "skipped")])
def test_a_test_that_needs_it_is_skipped_or_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: str
) -> None:
    monkeypatch.setenv("CI", ci)
    pytester.makepyfile(ASKS)
    result = pytester.runpytest("-p", "tests.peers.bitcoind", "-p", "no:cacheprovider", "-p", "no:asyncio", "-rs")
    result.assert_outcomes(**{outcome: 1})
    result.stdout.fnmatch_lines(["*no bitcoind for this test: apt-get is not on this machine*"])


@pytest.mark.parametrize(("ci", "outcome"), [("true", {"2 failed", "1 error"}), ("", {"3 skipped"})])
def test_the_contract_is_not_said_to_be_kept_where_the_peer_is_missing(tmp_path: Path, ci: str, outcome: set[str]) -> None:
    nowhere = {"PATH": str(tmp_path), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "CI": ci}
    environment = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), **nowhere}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract", "-k", ASKING]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)
    counts = set(re.findall(r"\d+ (?:passed|failed|skipped|errors?)", done.stdout.splitlines()[-1]))
    assert counts == outcome, done.stdout
    assert "no bitcoind for this test: apt-get is not on this machine" in done.stdout
    assert done.returncode == (1 if ci else 0)


def test_no_test_has_its_own_way_of_doing_without_the_peer() -> None:
    files = [path for folder in ("contract", "interop", "functional") for path in (ROOT / "tests" / folder).glob("*.py")]
    asking = [path for path in files if "bitcoind" in path.read_text()]
    assert {"test_bitcoin_node.py", "test_bitcoind_driver.py", "test_site_chain.py"} <= {path.name for path in asking}
    for path in asking:
        assert not re.search(r"\b(skip|skipif|importorskip|xfail|obtain|NotToBeHadError)\b", path.read_text()), path


def test_a_bitcoind_of_the_operator_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "bitcoind"
    program.write_text("#!/bin/sh\necho Bitcoin Core daemon version v31.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PHOTOSYNTH_BITCOIND", str(program))
    found = obtain()
    assert (found.command, found.version) == ((str(program),), "Bitcoin Core daemon version v31.0")
