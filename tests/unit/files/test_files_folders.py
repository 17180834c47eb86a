"""A folder that another user could change, or exchange from above, is refused with what to do."""

import os
from pathlib import Path

import pytest

from photosynth.files.folders import UnsafeFolderError, check_folder

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to another user")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "above" / "state"
    made.mkdir(parents=True, mode=0o700)
    return made


def test_a_private_folder_is_accepted(folder: Path) -> None:
    (folder / "shares").mkdir()
    check_folder(folder, [folder / "shares", folder / "missing"])


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_others_may_not_write_in_it(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(UnsafeFolderError, match=f"{folder} may be written by others .*run `chmod go-w {folder}`"):
        check_folder(folder)


def test_nor_in_a_part_of_it(folder: Path) -> None:
    part = folder / "photosynth.sqlite3"
    part.touch()
    part.chmod(0o666)
    with pytest.raises(UnsafeFolderError, match=f"chmod go-w {part}`"):
        check_folder(folder, [part])


def test_nor_exchange_it_from_above(folder: Path) -> None:
    folder.parent.chmod(0o777)
    with pytest.raises(UnsafeFolderError, match=f"could exchange {folder}: run `chmod go-w {folder.parent}`"):
        check_folder(folder)
    folder.parent.chmod(0o1777)
    check_folder(folder)


def test_where_a_link_leads_counts_as_well(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "open"
    other.mkdir()
    other.chmod(0o777)
    (other / "chain").mkdir(mode=0o700)
    (folder / "chain").symlink_to(other / "chain")
    with pytest.raises(UnsafeFolderError, match=f"chmod go-w {other}`"):
        check_folder(folder, [folder / "chain"])


@AS_ROOT
def test_a_folder_of_another_user_is_refused(folder: Path) -> None:
    os.chown(folder, 12345, 0)
    with pytest.raises(UnsafeFolderError, match="belongs to another user \\(id 12345\\)"):
        check_folder(folder)
    os.chown(folder, 0, 0)
    os.chown(folder.parent, 12345, 0)
    with pytest.raises(UnsafeFolderError, match="belongs to another user"):
        check_folder(folder)
