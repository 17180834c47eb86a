"""The state folder: one process at a time, one site's history, and only its own things are removed."""

import stat
from pathlib import Path

import pytest

from photosynth.operations.state import ApiAddress, StateError, StateFolder, StateInUseError


def test_a_second_one_is_kept_out_until_the_first_lets_go(tmp_path: Path) -> None:
    first, second = StateFolder(tmp_path / "site"), StateFolder(tmp_path / "site")
    first.lock()
    assert stat.S_IMODE(first.root.stat().st_mode) == 0o700
    with pytest.raises(StateInUseError, match=r"is in use by process \d+; stop that one, or choose another folder"):
        second.lock()
    first.unlock()
    first.unlock()
    second.lock()
    second.unlock()


def test_a_folder_that_cannot_be_made_is_told_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StateError, match=r"cannot be written: .*; choose another with --state DIR"):
        StateFolder(tmp_path / "file" / "site").lock()


def test_clearing_takes_what_a_site_left_and_nothing_else(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    for folder in (state.chain, state.shares, state.world):
        folder.mkdir()
        (folder / "inside").touch()
    for file in (state.database, state.clock, state.identity, state.log, state.status, state.node_state):
        file.touch()
    (tmp_path / "mine.txt").write_text("not the site's")
    with pytest.raises(StateError, match="is not locked"):
        state.clear()
    state.lock()
    assert state.exists
    state.clear()
    state.clear()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "mine.txt"]
    state.unlock()


def test_another_sites_history_is_not_continued(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    assert state.site() == {}
    state.remember_site({"site": "backnang", "payout_script": "00"})
    state.remember_site({"site": "backnang", "payout_script": "00"})
    assert state.site() == {"site": "backnang", "payout_script": "00"}
    with pytest.raises(StateError, match="payout_script was '00' and is now '01'"):
        state.remember_site({"site": "backnang", "payout_script": "01"})
    (tmp_path / "site.json").write_text("{")
    assert state.site() == {}
    with pytest.raises(StateError, match="is not readable JSON"):
        state.remember_site({"site": "backnang"})


@pytest.mark.parametrize("garbled", [b"[]", b"null", b"3", b"\xff\xfe"])
def test_a_garbled_identity_is_refused_not_a_crash(tmp_path: Path, garbled: bytes) -> None:
    state = StateFolder(tmp_path)
    (tmp_path / "site.json").write_bytes(garbled)
    assert state.site() == {}
    with pytest.raises(StateError, match=r"site\.json"):
        state.remember_site({"site": "backnang"})


def test_the_api_address_is_for_this_user_alone(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.write_api(ApiAddress("http://127.0.0.1:1", "secret", 7))
    assert stat.S_IMODE((tmp_path / "api.json").stat().st_mode) == 0o600
    state.remove_api()
    state.remove_api()
    assert not (tmp_path / "api.json").exists()
