"""A stream of evidence handed over to a new key while nothing runs, so that a kill at any moment loses neither key."""

import contextlib

from photosynth.files.whole import sync_folder
from photosynth.operations import consistency
from photosynth.operations.evidence_keys import next_path, open_identity
from photosynth.operations.manifest import Seen, check_parts, save_manifest
from photosynth.operations.resting import begun
from photosynth.operations.state import StateFolder
from photosynth.operations.view import NotKnownError
from photosynth.storage import Database
from photosynth.storage.address import Place
from photosynth.treasury.evidence.lines import EvidenceRecord, stream_names
from photosynth.treasury.evidence.seal import Identity
from photosynth.treasury.stream_keys import put_new_key


def rotate_stopped_key(state: Place, stream: str) -> bytes:
    """Hand a stream of a stopped system's evidence over to a new key; its public half.

    Raises StateError (also where the system runs), NotKnownError, SealError, StorageError, OSError.
    """
    folder = StateFolder(state)
    begun(folder)
    folder.lock()
    try:
        manifest = begun(folder)
        check_parts(folder, manifest)
        with Database(folder.database) as database:
            with database.begin() as tx:
                consistency.claim_database(tx, folder, manifest)
            record, public_key = rotate_key(database, folder, stream)
        for name, part in manifest.active_sites().items():
            if part.seen is not None:
                manifest = manifest.with_site(name, seen=Seen(record.id, record.root.hex(), part.seen.share_seq))
        with contextlib.suppress(OSError):  # the older note is true as well
            save_manifest(folder, manifest)
        return public_key
    finally:
        folder.unlock()


def rotate_key(database: Database, folder: StateFolder, stream: str) -> tuple[EvidenceRecord, bytes]:
    """Write down that a new key signs from now on; the line that says so, and the key's public half.

    The new key is on disk before that line, and takes the old one's place after it. A kill in between leaves either the old key
    in force, or the new one, which the next start puts in its place.
    """
    following = next_path(folder, stream)
    with database.begin() as tx:
        names = stream_names(tx)
        if stream not in names:
            raise NotKnownError(f"There is no evidence of {stream}; there is of {', '.join(names) or 'nothing yet'}.")
        old = open_identity(tx, folder, stream)
        new = Identity.create(following)
        record = put_new_key(tx, stream, old, new)
    following.replace(folder.key(stream))
    sync_folder(folder.keys)
    return record, new.public_key
