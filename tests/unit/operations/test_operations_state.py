"""The state folder: one process at a time, one site's history, and only its own things are removed."""

import os
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


def test_setting_aside_takes_what_a_site_left_and_nothing_else(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    for folder in (state.chain, state.shares, state.world, state.keys):
        folder.mkdir()
        (folder / "inside").touch()
    for file in (
        tmp_path / "photosynth.sqlite3",
        state.clock,
        state.log,
        state.status,
        state.node_state,
        state.manifest,
    ):
        file.touch()
    (tmp_path / "photosynth.sqlite3-wal").touch()
    (tmp_path / "mine.txt").write_text("not the site's")
    left = {path.name for path in tmp_path.iterdir()} - {"mine.txt"}
    with pytest.raises(StateError, match="is not locked"):
        state.set_aside()
    state.lock(reading=True)
    with pytest.raises(StateError, match="is not locked"):
        state.set_aside()
    state.unlock()
    state.lock()
    assert state.exists
    aside = state.set_aside()
    assert aside is not None
    assert {path.name for path in aside.iterdir()} == left
    assert (aside / "shares" / "inside").exists()
    assert state.set_aside() is None
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "mine.txt", aside.name}
    state.clock.touch()
    again = state.set_aside()
    assert again not in (None, aside)
    state.unlock()


def test_readers_share_the_folder_and_make_no_file(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    first, second = StateFolder(tmp_path), StateFolder(tmp_path)
    first.lock(reading=True)
    second.lock(reading=True)
    assert StateFolder(tmp_path).user() is None
    assert list(tmp_path.iterdir()) == []
    first.unlock()
    second.unlock()
    tmp_path.chmod(0o700)
    first.lock()
    assert second.user() == str(os.getpid())
    first.unlock()


def test_a_folder_that_others_may_write_is_refused_to_whoever_writes(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(StateError, match=f"chmod go-w {tmp_path}"):
        StateFolder(tmp_path).lock()


def test_the_lock_does_not_write_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    state = StateFolder(tmp_path / "site")
    state.root.mkdir(mode=0o700)
    (state.root / "lock").symlink_to(victim)
    with pytest.raises(StateError, match="cannot be written"):
        state.lock()
    assert victim.read_text() == "precious"


def test_the_api_address_is_for_this_user_alone(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.write_api(ApiAddress("http://127.0.0.1:1", "secret", 7))
    assert stat.S_IMODE((tmp_path / "api.json").stat().st_mode) == 0o600
    state.remove_api()
    state.remove_api()
    assert not (tmp_path / "api.json").exists()
