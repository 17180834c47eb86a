"""A stream handed over to a new key in a stopped state: whatever cuts it off, the key that signs is there."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.operations.test_operations_migration import lived_in
from tests.unit.treasury.treasury_site import SITE_SEED

from photosynth.operations import key_rotation
from photosynth.operations.evidence_keys import next_path, open_identity
from photosynth.operations.key_rotation import rotate_stopped_key
from photosynth.operations.manifest import Seen, load_manifest, save_manifest
from photosynth.operations.resting import open_stopped_evidence
from photosynth.operations.state import StateError, StateFolder
from photosynth.operations.view import NotKnownError
from photosynth.storage import Database
from photosynth.treasury import Identity, verify
from photosynth.treasury.evidence.lines import newest_line, signing_key
from photosynth.treasury.evidence.seal import SealError

FIRST = Identity.from_seed(SITE_SEED).public_key


async def holds(folder: StateFolder, rotations: int) -> None:
    """An export is signed by whatever key signs now, and holds under the first one."""
    async with open_stopped_evidence(folder.root) as evidence:
        lines = [line + b"\n" async for line in evidence.lines()]
    path = folder.root.with_suffix(".jsonl")
    path.write_bytes(b"".join(lines))
    report = verify(path, FIRST)
    assert report.reason is None
    assert [stream.rotations for stream in report.streams] == [rotations, 0]


def signs(folder: StateFolder) -> bytes:
    with Database(folder.database) as database, database.read() as tx:
        found = signing_key(tx, "backnang")
    assert found is not None
    return found


async def test_a_stream_is_handed_over_again_and_again(tmp_path: Path) -> None:
    folder = await lived_in(tmp_path / "state")
    for number in range(1, 4):
        public_key = rotate_stopped_key(folder.root, "backnang")
        assert signs(folder) == public_key == Identity.open(folder.key("backnang")).public_key
        assert not next_path(folder, "backnang").exists()
        assert folder.key("backnang").stat().st_mode & 0o777 == 0o600
        await holds(folder, number)


async def test_the_manifest_knows_of_the_line_that_says_so(tmp_path: Path) -> None:
    """An older copy of the database would sign the same place twice, with the old key."""
    folder = await lived_in(tmp_path / "state")
    manifest = load_manifest(folder)
    assert manifest is not None
    with Database(folder.database) as database, database.read() as tx:
        newest = newest_line(tx)
    assert newest is not None
    save_manifest(folder, manifest.with_site("backnang", seen=Seen(newest.id, newest.root.hex(), 7)))
    rotate_stopped_key(folder.root, "backnang")
    after = load_manifest(folder)
    assert after is not None
    seen = after.sites["backnang"].seen
    assert seen is not None
    assert (seen.evidence_line, seen.share_seq) == (newest.id + 1, 7)


class CutOffError(Exception):
    """The process is killed."""


def killed(*_: object, **__: object) -> None:
    raise CutOffError


@pytest.mark.parametrize(("where", "rotations"), [("put_new_key", 0), ("sync_folder", 1)])
async def test_a_kill_in_the_middle_leaves_the_key_that_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, rotations: int
) -> None:
    folder = await lived_in(tmp_path / "state")
    if where == "sync_folder":
        # After the line is written, before the new key has taken the old one's place.
        monkeypatch.setattr(Path, "replace", _not_the_next(Path.replace))
    else:
        monkeypatch.setattr(key_rotation, where, killed)
    with pytest.raises(CutOffError):
        rotate_stopped_key(folder.root, "backnang")
    monkeypatch.undo()
    assert next_path(folder, "backnang").exists()
    assert (signs(folder) != FIRST) == bool(rotations)
    await holds(folder, rotations)
    with Database(folder.database) as database, database.begin() as tx:
        assert open_identity(tx, folder, "backnang").public_key == signs_in(tx)
    assert next_path(folder, "backnang").exists() != bool(rotations), "a hand-over that was written down is done to its end"
    rotate_stopped_key(folder.root, "backnang")
    await holds(folder, rotations + 1)


def signs_in(tx: Any) -> bytes | None:
    return signing_key(tx, "backnang")


def _not_the_next(real: Any) -> Any:
    def replace(path: Path, target: Path) -> Path:
        if path.name.endswith(".key.next"):
            raise CutOffError
        return real(path, target)  # type: ignore[no-any-return]

    return replace


async def test_what_cannot_be_handed_over_is_refused(tmp_path: Path) -> None:
    folder = await lived_in(tmp_path / "state")
    with pytest.raises(NotKnownError, match="no evidence of nowhere; there is of backnang, books"):
        rotate_stopped_key(folder.root, "nowhere")
    folder.lock()
    with pytest.raises(StateError):
        rotate_stopped_key(folder.root, "backnang")
    folder.unlock()
    with pytest.raises(StateError):
        rotate_stopped_key(tmp_path / "none", "backnang")
    folder.key("backnang").write_bytes(b"\x05" * 32)
    with pytest.raises(SealError, match="goes on with another"):
        rotate_stopped_key(folder.root, "backnang")
    folder.key("backnang").unlink()
    with pytest.raises(StateError, match="is missing"):
        rotate_stopped_key(folder.root, "backnang")
    assert signs(folder) == FIRST
