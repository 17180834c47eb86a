"""Where no bitcoind can be had: the reason is said, and with CI=true it is a failure."""

from pathlib import Path

import pytest
from tests.peers import setup_bitcoind
from tests.peers.setup_bitcoind import NotToBeHadError, obtain

pytest_plugins = ["pytester"]

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


def test_a_bitcoind_of_the_operator_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "bitcoind"
    program.write_text("#!/bin/sh\necho Bitcoin Core daemon version v31.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PHOTOSYNTH_BITCOIND", str(program))
    found = obtain()
    assert (found.command, found.version) == ((str(program),), "Bitcoin Core daemon version v31.0")
