"""One file that holds a state: whole or refused, of a database of either kind into one of either kind."""

import fcntl
import gzip
import io
import json
import os
import tarfile
import zlib
from pathlib import Path

import pytest
from tests.unit.operations.test_operations_migration import SITE, WAITS, elsewhere, exported, files_of, lived_in, own_data_folder

from photosynth.operations.audit_spool import AuditSpool
from photosynth.operations.backup import DamagedBackupError, back_up, restore
from photosynth.operations.state import StateError, StateFolder
from photosynth.sites.switched_off import switched_off
from photosynth.storage.address import Place
from photosynth.storage.at_rest import holds_state

__all__ = ["elsewhere", "own_data_folder"]


async def test_a_restored_state_is_the_same_to_the_byte(tmp_path: Path, elsewhere: Place) -> None:
    await lived_in(elsewhere)
    done = back_up(elsewhere, tmp_path / "site.backup", 7)
    assert not done.running
    assert (tmp_path / "site.backup").stat().st_mode & 0o777 == 0o600
    assert restore(tmp_path / "site.backup", tmp_path / "restored").before
    assert await exported(tmp_path / "restored") == await exported(elsewhere)
    restored = StateFolder(tmp_path / "restored")
    assert AuditSpool(restored.audit_spool, "ab" * 16).read() == [WAITS]
    assert switched_off(restored.site(SITE).stopped)
    assert files_of(tmp_path / "restored") == files_of(StateFolder(elsewhere).root)
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "restored").rglob("*")} == {0}
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


async def test_it_goes_into_a_database_of_either_kind(tmp_path: Path, elsewhere: Place) -> None:
    await lived_in(tmp_path / "first")
    back_up(tmp_path / "first", tmp_path / "site.backup", 7)
    restore(tmp_path / "site.backup", elsewhere)
    assert await exported(elsewhere) == await exported(tmp_path / "first")
    with pytest.raises(StateError, match="is not empty"):
        restore(tmp_path / "site.backup", elsewhere)


def unpacked(packed: bytes) -> bytes | None:
    """What is packed; None where it is no whole archive."""
    try:
        return gzip.decompress(packed)
    except (EOFError, OSError, zlib.error):
        return None


async def test_whatever_is_damaged_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    await lived_in(tmp_path / "first")
    file, broken, target = tmp_path / "site.backup", tmp_path / "broken", tmp_path / "restored"
    back_up(tmp_path / "first", file, 7)
    whole = file.read_bytes()
    some = range(0, len(whole), len(whole) // 60)
    for damaged in [whole[:at] for at in some] + [whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :] for at in some if at > 9]:
        if unpacked(damaged) == unpacked(whole):
            continue  # packing has several ways to write a run of zeros
        broken.write_bytes(damaged)
        with pytest.raises(DamagedBackupError):
            restore(broken, target)
        assert not target.exists()


async def test_a_file_that_says_one_thing_and_holds_another_is_refused(tmp_path: Path) -> None:
    await lived_in(tmp_path / "first")
    file, broken, target = tmp_path / "site.backup", tmp_path / "broken", tmp_path / "restored"
    back_up(tmp_path / "first", file, 7)
    with tarfile.open(file) as archive:
        members = {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]
    described = json.loads(members["backup.json"])
    key = described["files"]["keys/backnang.key"]

    def with_files(**files: object) -> bytes:
        return json.dumps({**described, "files": {**described["files"], **files}}).encode()

    changed = [
        (members | {"keys/backnang.key": b"\x02" * 32}, "not as it was written"),
        ({name: content for name, content in members.items() if name != "manifest.json"}, "manifest.json is missing"),
        (members | {"more": b""}, "is not in its backup.json"),
        (members | {"backup.json": with_files(**{"../up": key}), "../up": members["keys/backnang.key"]}, "would lie elsewhere"),
        (members | {"backup.json": with_files(**{"/up": key}), "/up": members["keys/backnang.key"]}, "would lie elsewhere"),
        (members | {"backup.json": json.dumps({**described, "format": 2}).encode()}, "its format is 2"),
        (members | {"backup.json": b"[1]"}, "is no backup"),
        ({"first": b"", **members}, "it begins with first"),
    ]
    for content, words in changed:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, data in content.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        broken.write_bytes(gzip.compress(packed.getvalue()))
        with pytest.raises(DamagedBackupError, match=words):
            restore(broken, target)
        assert not holds_state(target)
        assert not (tmp_path / "up").exists()
        assert not target.exists()


def test_where_nothing_lived_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="nothing to back up"):
        back_up(tmp_path / "none", tmp_path / "file", 1)
    assert not (tmp_path / "file").exists()


async def test_what_a_killed_backup_left_is_removed_by_the_next_and_one_under_way_is_not(tmp_path: Path) -> None:
    await lived_in(tmp_path / "first")
    file = tmp_path / "site.backup"
    killed, unfinished = tmp_path / ".site.backup.gathered.x", tmp_path / f".site.backup.{'0' * 16}.new"
    other = tmp_path / ".other.backup.gathered.x"
    for folder in (killed, other):
        folder.mkdir()
        (folder / "identity.key").write_bytes(b"secret")
    unfinished.write_bytes(b"secret")
    held = os.open(killed, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    back_up(tmp_path / "first", file, 7)
    assert killed.exists()
    assert unfinished.exists()
    os.close(held)
    back_up(tmp_path / "first", file, 7)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == [other.name]
