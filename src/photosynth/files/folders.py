"""Whether a folder is this user's alone: nobody else may write in it, nor swap it by a folder further up."""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


class UnsafeFolderError(Exception):
    """Somebody else could change what lies in a folder; the message says where, who, and what to do."""


def check_folder(folder: Path, parts: Iterable[Path] = ()) -> None:
    """Refuse a folder, and files and folders of it, that another user may write or exchange. Root is trusted.

    The folder itself takes no writer but its owner. Further up a folder with the sticky bit will do, where each may rename
    only what is theirs, and so will one that is open to the owner's own group. Raises UnsafeFolderError, OSError.
    """
    for path in (folder, *(part for part in parts if part.exists())):
        found = path.stat()
        _check_owner(path, found.st_uid)
        _check_owner(path, path.lstat().st_uid)
        if found.st_mode & _WRITABLE:
            raise UnsafeFolderError(
                f"{path} may be written by others (its mode is {stat.S_IMODE(found.st_mode):04o}), who could change what "
                f"is kept there: run `chmod go-w {path}`"
            )
        for above in _above(path):
            _check_above(above, path)


def _above(path: Path) -> Iterator[Path]:
    """Every folder on the way to a path, and those on the way to where its links lead."""
    absolute, real = path.absolute(), path.resolve()
    yield from absolute.parents
    if real != absolute:
        yield from real.parents


def _check_above(folder: Path, path: Path) -> None:
    named = folder.lstat()
    _check_owner(folder, named.st_uid)
    found = folder.stat()
    _check_owner(folder, found.st_uid)
    if found.st_mode & stat.S_ISVTX or not found.st_mode & _WRITABLE:
        return
    if not found.st_mode & stat.S_IWOTH and _is_own_group(found.st_gid):
        return
    raise UnsafeFolderError(
        f"{folder} may be written by others (its mode is {stat.S_IMODE(found.st_mode):04o}), who could exchange {path}: "
        f"run `chmod go-w {folder}`, or choose another folder"
    )


def _check_owner(path: Path, owner: int) -> None:
    if owner not in (0, os.geteuid()):
        raise UnsafeFolderError(
            f"{path} belongs to another user (id {owner}), who could change what is kept there: run as that user, give it to "
            f"yours with `chown`, or choose another folder"
        )


def _is_own_group(group: int) -> bool:
    """Whether a group is this user's private one, as many systems give to each: named alike and without other members."""
    import grp
    import pwd

    try:
        name, members = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return members.gr_name == name and set(members.gr_mem) <= {name}
