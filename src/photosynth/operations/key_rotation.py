"""A stream of evidence handed over to a new key while nothing runs, so that a kill at any moment loses neither key."""

from photosynth.files.whole import sync_folder
from photosynth.operations.evidence_keys import next_path, open_identity
from photosynth.operations.recording import stopped_books
from photosynth.operations.state import StateFolder
from photosynth.operations.view import NotKnownError
from photosynth.storage import Database
from photosynth.storage.address import Place
from photosynth.treasury.evidence.envelope import BOOKS
from photosynth.treasury.evidence.lines import stream_names
from photosynth.treasury.evidence.seal import Identity
from photosynth.treasury.fleet_books import record_all
from photosynth.treasury.stream_keys import put_new_key


def rotate_stopped_key(state: Place, stream: str) -> bytes:
    """Hand a stream of a stopped system's evidence over to a new key; its public half.

    Raises StateError (also where the system runs), NotKnownError, SealError, StorageError, OSError.
    """
    with stopped_books(state) as (folder, database):
        return rotate_key(database, folder, stream)


def rotate_key(database: Database, folder: StateFolder, stream: str) -> bytes:
    """Write down that a new key signs from now on, and before that what the old one has to sign yet; the key's public half.

    The new key is on disk before that line, and takes the old one's place after it. A kill in between leaves either the old key
    in force, or the new one, which the next start puts in its place.
    """
    following = next_path(folder, stream)
    with database.begin() as tx:
        names = stream_names(tx)
        if stream not in names:
            raise NotKnownError(f"There is no evidence of {stream}; there is of {', '.join(names) or 'nothing yet'}.")
        old = open_identity(tx, folder, stream)
        if stream == BOOKS:
            record_all(tx, old)
        new = Identity.create(following)
        put_new_key(tx, stream, old, new)
    following.replace(folder.key(stream))
    sync_folder(folder.keys)
    return new.public_key
