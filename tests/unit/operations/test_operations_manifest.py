"""Whose history a folder holds and of which parts: a missing or foreign one is refused with what to do."""

import errno
import shutil
from pathlib import Path

import pytest

from photosynth.operations.lost_shares import give_up_lost_shares
from photosynth.operations.manifest import (
    Begun,
    Manifest,
    Seen,
    begin,
    check_parts,
    load_manifest,
    save_manifest,
    write_mark,
)
from photosynth.operations.noting import KeptManifest
from photosynth.operations.state import StateError, StateFolder
from photosynth.pool.segments import open_segments
from photosynth.storage import Database

SITE = {"chain": "bitcoin/regtest", "payout_script": "00", "day": "synthetic"}
CHAIN = "bitcoin/regtest"


def started(folder: StateFolder, **sites: dict[str, str]) -> Begun:
    """A start of a fleet with one embedded node; of the site backnang, where none is named."""
    return begin(folder, "operator", sites or {"backnang": SITE}, {"btc-1": CHAIN})


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    """A folder whose first start has made every part."""
    return whole(tmp_path / "state")


def make_parts(folder: StateFolder, kept: KeptManifest, site: str = "backnang") -> None:
    """What the first start of a site and its node makes."""
    files, node = folder.site(site), folder.node("btc-1")
    for above in (folder.keys, files.shares.parent, node):
        above.mkdir(parents=True, exist_ok=True)
    for stream in (site, "books"):
        folder.key(stream).write_bytes(bytes(32))
    (node / "blocks.log").touch()
    open_segments(files.shares)
    write_mark(files.shares, kept.now)
    kept.node_made("btc-1")
    kept.site_made(site, 7)


def whole(root: Path) -> StateFolder:
    folder = StateFolder(root)
    folder.lock()
    kept = KeptManifest(folder, started(folder).manifest)
    Database(folder.database).close()
    kept.database_made()
    make_parts(folder, kept)
    return folder


def manifest_of(folder: StateFolder) -> Manifest:
    found = load_manifest(folder)
    assert found is not None
    return found


def test_a_share_log_that_may_not_be_seen_is_not_called_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever follows that advice would give up shares that are there."""
    folder = whole(tmp_path)

    def refused(path: object) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("os.listdir", refused)
    monkeypatch.setattr("os.scandir", refused)
    with pytest.raises(PermissionError, match="shares"):
        check_parts(folder, manifest_of(folder))
    folder.unlock()


def test_a_state_is_continued_by_its_own_fleet_alone(state: StateFolder) -> None:
    manifest = started(state).manifest
    assert manifest == manifest_of(state)
    assert manifest.began
    check_parts(state, manifest)
    with pytest.raises(StateError, match="payout_script of the site backnang was '00' and is now '01'"):
        started(state, backnang={**SITE, "payout_script": "01"})
    with pytest.raises(StateError, match="the operator was 'operator' and is now 'another'"):
        begin(state, "another", {"backnang": SITE}, {"btc-1": CHAIN})
    with pytest.raises(StateError, match="the chain of the node btc-1 was 'bitcoin/regtest' and is now 'bitcoin/signet'"):
        begin(state, "operator", {"backnang": SITE}, {"btc-1": "bitcoin/signet"})
    assert manifest_of(state) == manifest


def test_a_site_that_is_added_begins_new_and_one_left_out_is_named_once_and_kept(state: StateFolder) -> None:
    both = started(state, backnang=SITE, north=SITE)
    assert both.left_out == ()
    check_parts(state, both.manifest)
    assert (both.manifest.sites["north"].began_ms, both.manifest.sites["backnang"].began_ms) == (None, 7)
    make_parts(state, KeptManifest(state, both.manifest), "north")

    one = started(state, north=SITE)
    assert one.left_out == ("backnang",)
    assert list(one.manifest.active_sites()) == ["north"]
    shutil.rmtree(state.site("backnang").shares)
    check_parts(state, one.manifest)
    assert started(state, north=SITE).left_out == ()
    assert (state.sites / "backnang").exists()

    again = started(state, backnang=SITE, north=SITE).manifest
    with pytest.raises(StateError, match="backnang/shares is missing"):
        check_parts(state, again)


def test_a_fleet_without_sites_and_one_without_nodes_are_fleets(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.lock()
    manifest = begin(folder, "operator", {}, {}).manifest
    check_parts(folder, manifest)
    Database(folder.database).close()
    kept = KeptManifest(folder, manifest)
    kept.database_made()
    assert kept.now.began
    folder.unlock()


@pytest.mark.parametrize("garbled", [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe", b"{}", b'{"state": "00", "sites": {}}'])
def test_a_garbled_manifest_is_refused_not_a_crash(state: StateFolder, garbled: bytes) -> None:
    state.manifest.write_bytes(garbled)
    with pytest.raises(StateError, match=r"manifest\.json"):
        started(state)


def test_a_missing_manifest_is_not_made_anew_beside_the_rest(state: StateFolder) -> None:
    state.manifest.unlink()
    with pytest.raises(StateError, match=r"manifest\.json is missing beside photosynth\.sqlite3, keys, sites, nodes"):
        started(state)
    assert not state.manifest.exists()


@pytest.mark.parametrize(
    ("part", "advice"),
    [
        ("photosynth.sqlite3", "The journal and the evidence are in it"),
        ("keys/books.key", "no other key can go on"),
        ("keys/backnang.key", "no other key can go on"),
        ("nodes/btc-1", "photosynth chain import"),
        ("nodes/btc-1/blocks.log", "photosynth chain import"),
        ("sites/backnang/shares", "--accept-lost-shares"),
        ("sites/backnang/shares/00000001.log", "--accept-lost-shares"),
    ],
)
def test_a_missing_part_is_refused_with_what_to_do(state: StateFolder, part: str, advice: str) -> None:
    path = state.root / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(StateError, match="is missing, and the rest of this state is there") as caught:
        check_parts(state, manifest_of(state))
    assert advice in str(caught.value)
    assert "backup" in str(caught.value)


@pytest.mark.parametrize("part", ["nodes/btc-1", "sites/backnang/shares"])
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
    manifest = started(folder).manifest
    assert not manifest.began
    check_parts(folder, manifest)
    folder.site("backnang").shares.parent.mkdir(parents=True)
    open_segments(folder.site("backnang").shares)
    check_parts(folder, manifest)
    assert started(folder).manifest == manifest


def test_a_share_log_is_given_up_only_where_it_cannot_be_used(state: StateFolder) -> None:
    both = started(state, backnang=SITE, north=SITE).manifest
    make_parts(state, KeptManifest(state, both), "north")
    manifest, said = give_up_lost_shares(state, manifest_of(state))
    assert ["is whole" in sentence for sentence in said] == [True, True]
    assert not manifest.sites["backnang"].counting_anew

    manifest = manifest.with_site("backnang", seen=Seen(3, "00" * 32, 7))
    save_manifest(state, manifest)
    shares = state.site("backnang").shares
    (segment,) = shares.glob("*.log")
    segment.write_bytes(b"rubbish" + segment.read_bytes())
    manifest, said = give_up_lost_shares(state, manifest)
    assert "share log of backnang cannot be read" in said[0]
    assert "north/shares is whole" in said[1]
    assert manifest.sites["backnang"].counting_anew
    assert not manifest.sites["north"].counting_anew
    assert manifest.sites["backnang"].seen == Seen(3, "00" * 32, 0)
    assert manifest == manifest_of(state)
    (aside,) = state.root.glob("before-*")
    assert (aside / "shares" / segment.name).read_bytes().startswith(b"rubbish")
    check_parts(state, manifest)

    again, _ = give_up_lost_shares(state, manifest)  # said twice before the start went through
    assert again == manifest
    open_segments(shares)
    write_mark(shares, manifest)
    KeptManifest(state, manifest).site_made("backnang", 99)
    assert manifest_of(state).sites["backnang"].counting_anew is False
    assert manifest_of(state).sites["backnang"].began_ms == 7
