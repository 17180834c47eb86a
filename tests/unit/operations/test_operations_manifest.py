"""Whose history a folder holds and of which parts: a missing or foreign one is refused with what to do."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from photosynth.operations.lost_shares import give_up_lost_shares
from photosynth.operations.manifest import (
    Manifest,
    Seen,
    begin,
    check_parts,
    completed,
    load_manifest,
    save_manifest,
    write_mark,
)
from photosynth.operations.state import StateError, StateFolder
from photosynth.pool.segments import open_segments
from photosynth.storage import Database

SITE = {"site": "backnang", "node": "embedded", "network": "regtest", "payout_script": "00"}


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    """A folder whose first start has made every part."""
    return whole(tmp_path / "state")


def whole(root: Path) -> StateFolder:
    folder = StateFolder(root)
    folder.lock()
    manifest = begin(folder, SITE)
    Database(folder.database).close()
    folder.keys.mkdir()
    (folder.keys / "books.key").write_bytes(bytes(32))
    folder.chain.mkdir()
    (folder.chain / "blocks.log").touch()
    open_segments(folder.shares)
    for part in (folder.shares, folder.chain):
        write_mark(part, manifest)
    completed(folder, manifest)
    return folder


def manifest_of(folder: StateFolder) -> Manifest:
    found = load_manifest(folder)
    assert found is not None
    return found


def test_a_share_log_that_may_not_be_seen_is_not_called_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever follows that advice would give up shares that are there."""
    folder = whole(tmp_path)

    def refusing(look: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def refused(path: Any) -> Any:
            if "shares" in str(path):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return look(path)

        return refused

    monkeypatch.setattr("os.listdir", refusing(os.listdir))
    monkeypatch.setattr("os.scandir", refusing(os.scandir))
    with pytest.raises(PermissionError, match="shares"):
        check_parts(folder, manifest_of(folder))
    folder.unlock()


def test_a_state_is_continued_by_its_own_site_alone(state: StateFolder) -> None:
    manifest = begin(state, SITE)
    assert manifest == manifest_of(state)
    assert manifest.complete
    check_parts(state, manifest)
    with pytest.raises(StateError, match="payout_script was '00' and is now '01'"):
        begin(state, {**SITE, "payout_script": "01"})


@pytest.mark.parametrize("garbled", [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe", b"{}", b'{"state": "00", "site": {}}'])
def test_a_garbled_manifest_is_refused_not_a_crash(state: StateFolder, garbled: bytes) -> None:
    state.manifest.write_bytes(garbled)
    with pytest.raises(StateError, match=r"site\.json"):
        begin(state, SITE)


def test_a_missing_manifest_is_not_made_anew_beside_the_rest(state: StateFolder) -> None:
    state.manifest.unlink()
    with pytest.raises(StateError, match=r"site\.json is missing beside photosynth\.sqlite3, keys, shares, chain"):
        begin(state, SITE)
    assert not state.manifest.exists()


@pytest.mark.parametrize(
    ("part", "advice"),
    [
        ("photosynth.sqlite3", "The journal and the evidence are in it"),
        ("keys", "no others can go on"),
        ("keys/books.key", "no others can go on"),
        ("chain", "photosynth chain import"),
        ("chain/blocks.log", "photosynth chain import"),
        ("shares", "--accept-lost-shares"),
        ("shares/00000001.log", "--accept-lost-shares"),
    ],
)
def test_a_missing_part_is_refused_with_what_to_do(state: StateFolder, part: str, advice: str) -> None:
    path = state.root / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(StateError, match="is missing, and the rest of this state is there") as caught:
        check_parts(state, manifest_of(state))
    assert advice in str(caught.value)
    assert "backup" in str(caught.value)


@pytest.mark.parametrize("part", ["chain", "shares"])
def test_a_part_of_another_state_is_refused(state: StateFolder, tmp_path: Path, part: str) -> None:
    other = whole(tmp_path / "other")
    shutil.rmtree(state.root / part)
    shutil.copytree(other.root / part, state.root / part)
    with pytest.raises(StateError, match=f"{part} is not of this state, but of another"):
        check_parts(state, manifest_of(state))
    (state.root / part / "state").unlink()
    with pytest.raises(StateError, match=f"{part} is not of this state, but of one that nothing tells"):
        check_parts(state, manifest_of(state))


def test_a_first_start_that_was_cut_off_makes_what_is_missing(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    manifest = begin(folder, SITE)
    assert not manifest.complete
    check_parts(folder, manifest)
    open_segments(folder.shares)
    check_parts(folder, manifest)
    assert begin(folder, SITE) == manifest


def test_a_share_log_is_given_up_only_where_it_cannot_be_used(state: StateFolder) -> None:
    manifest, said = give_up_lost_shares(state, manifest_of(state))
    assert "is whole" in said
    assert not manifest.counting_anew

    save_manifest(state, replace(manifest, seen=Seen(3, "00" * 32, 7)))
    (segment,) = state.shares.glob("*.log")
    segment.write_bytes(b"rubbish" + segment.read_bytes())
    manifest, said = give_up_lost_shares(state, manifest_of(state))
    assert "cannot be read" in said
    assert manifest.counting_anew
    assert manifest.seen == Seen(3, "00" * 32, 0)
    assert manifest == manifest_of(state)
    (aside,) = state.root.glob("before-*")
    assert (aside / "shares" / segment.name).read_bytes().startswith(b"rubbish")
    check_parts(state, manifest)

    again, _ = give_up_lost_shares(state, manifest)  # said twice before the start went through
    assert again == manifest
    open_segments(state.shares)
    write_mark(state.shares, manifest)
    assert not completed(state, manifest).counting_anew
    assert json.loads(state.manifest.read_bytes())["counting_anew"] is False
