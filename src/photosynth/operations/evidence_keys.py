"""The keys of the streams of evidence in a state folder: made once, and handed over to new ones so that a kill loses none."""

from pathlib import Path

from sqlalchemy import Connection

from photosynth.files.whole import own_folder, sync_folder
from photosynth.operations.state import StateFolder
from photosynth.treasury.evidence.lines import signing_key
from photosynth.treasury.evidence.seal import Identity, SealError

_NEXT = ".key.next"
"""A key that is to sign a stream, from before the line that says so until it takes the old one's place."""


def next_path(folder: StateFolder, stream: str) -> Path:
    """Where the key lies that is to take its place."""
    return folder.keys / f"{stream}{_NEXT}"


def open_identity(tx: Connection, folder: StateFolder, stream: str) -> Identity:
    """A stream's key, with a hand-over that a kill cut off done to its end; made where nothing was ever signed.

    Raises SealError where the key that signs is not there, OSError.
    """
    path, following = folder.key(stream), next_path(folder, stream)
    if signing_key(tx, stream) is None:
        own_folder(folder.keys)
        return Identity.open(path) if path.exists() else Identity.create(path)
    found = signing_identity(tx, folder, stream)
    if following.exists() and Identity.open(following).public_key == found.public_key:
        following.replace(path)
        sync_folder(folder.keys)
    return found


def signing_identity(tx: Connection, folder: StateFolder, stream: str) -> Identity:
    """The key that signs a stream's next line; nothing is changed. Raises SealError where it is not there, OSError."""
    path, following = folder.key(stream), next_path(folder, stream)
    signs = signing_key(tx, stream)
    if following.exists() and (found := Identity.open(following)).public_key == signs:
        return found
    found = Identity.open(path)
    if found.public_key != signs:
        raise SealError(
            f"{path} is the key {found.public_key.hex()}, and the evidence of {stream} goes on with another. "
            "Restore that key from a backup, or start anew with --fresh, which moves what is there aside"
        )
    return found
