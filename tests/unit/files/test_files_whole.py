"""Files are the old or the new one, whole, private, and never written through a link."""

import errno
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from photosynth.files.whole import WrongKindError, forget_unfinished, own_file, own_folder, whole_file, write_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o666)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["file"]


def test_what_fails_on_the_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), whole_file(path) as file:
        file.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_no_link_is_followed(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "identity.key"
    victim.write_bytes(b"precious")
    for laid in ("identity.key", "identity.key.new", ".identity.key.new"):
        (tmp_path / laid).symlink_to(victim)
    write_whole(path, b"secret")
    assert victim.read_bytes() == b"precious"
    assert not path.is_symlink()
    assert path.read_bytes() == b"secret"
    with pytest.raises(OSError, match="symbolic link") as caught:
        own_file(tmp_path / "identity.key.new", os.O_WRONLY)
    assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_CREAT])
@pytest.mark.parametrize("made", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_named_and_never_waited_for(tmp_path: Path, flags: int, made: Callable[[Path], None]) -> None:
    path = tmp_path / "file"
    made(path)
    with pytest.raises(WrongKindError, match=rf"^{re.escape(str(path))} is not a file: move it away$") as caught:
        own_file(path, flags)
    assert (caught.value.filename, caught.value.strerror) == (str(path), "it is not a file: move it away")
    assert not path.is_file()


def test_a_folder_is_made_and_what_lies_in_its_way_is_named(tmp_path: Path) -> None:
    for _ in range(2):
        own_folder(tmp_path / "some" / "folder")
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(WrongKindError, match=rf"^{re.escape(str(tmp_path))}/file is not a folder: move it away$"):
            own_folder(path)


def test_the_name_on_the_way_is_another_each_time_and_what_a_kill_left_is_removed(tmp_path: Path) -> None:
    seen = set()
    for _ in range(3):
        with whole_file(tmp_path / "file"):
            seen |= set(names(tmp_path))
    assert len(seen - {"file"}) == 3
    for name in seen - {"file"}:
        (tmp_path / name).touch()
    (tmp_path / ".mine.new").touch()
    forget_unfinished(tmp_path)
    assert names(tmp_path) == [".mine.new", "file"]
