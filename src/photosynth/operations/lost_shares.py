"""Going on without the share log, where the operator says so and it really cannot be used."""

import json

from photosynth.operations.bookkeeping import SHARE_SEQ
from photosynth.operations.manifest import Manifest, count_anew, read_mark
from photosynth.operations.state import StateFolder
from photosynth.pool.records import RecordError
from photosynth.pool.segments import ShareLogError, open_segments
from photosynth.storage.at_rest import RestingDatabase, holds_state

_BOOKED = f"SELECT value FROM meta WHERE key = '{SHARE_SEQ}'"  # noqa: S608 - a word of ours


def give_up_lost_shares(folder: StateFolder, manifest: Manifest) -> tuple[Manifest, str]:
    """Move a share log that cannot be used aside, so that the next one counts from zero; and what was done, in a sentence.

    A share log that can be used stays. Only under the lock. Raises StateError, StorageError, OSError.
    """
    fault = _fault(folder, manifest)
    if fault is None:
        return manifest, f"The share log in {folder.shares} is whole, so nothing of it is given up."
    manifest, aside = count_anew(folder, manifest)
    where = "" if aside is None else f" What is left of it is in {aside}."
    return manifest, (
        f"The share log {fault}. The pool counts from zero: the workers' totals are lost, and so is work that was in no closed "
        f"quarter hour yet: whose the blocks found in it are stays unknown. The books keep everything else.{where}"
    )


def _fault(folder: StateFolder, manifest: Manifest) -> str | None:
    """Why the share log cannot be used, None where it can."""
    if not any(folder.shares.glob("[0-9]*.log")):
        return None if manifest.counting_anew or not manifest.complete else "is missing"
    mark = read_mark(folder.shares)
    if mark != manifest.state and (mark is not None or manifest.complete):
        return "is of another state"
    try:
        last_seq = open_segments(folder.shares, read_only=True).account.last_seq
    except (ShareLogError, RecordError) as error:
        return f"cannot be read ({error})"
    known = 0 if manifest.seen is None else manifest.seen.share_seq
    return "is older than the rest of the state" if last_seq < max(known, _booked(folder)) else None


def _booked(folder: StateFolder) -> int:
    """The last entry of the share log that the books hold."""
    if not holds_state(folder.database):
        return 0
    with RestingDatabase(folder.database) as database:
        rows = database.exec_driver_sql(_BOOKED).fetchall()
    return int(json.loads(rows[0][0])) if rows else 0
