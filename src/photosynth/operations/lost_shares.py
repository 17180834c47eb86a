"""Going on without the share log, where the operator says so and it really cannot be used."""

from photosynth.operations.manifest import Manifest, count_anew, read_mark
from photosynth.operations.state import StateFolder
from photosynth.pool.records import RecordError
from photosynth.pool.segments import ShareLogError, open_segments
from photosynth.sites.bookkeeper import SHARE_SEQ
from photosynth.storage.at_rest import RestingDatabase, holds_state
from photosynth.storage.scopes import of_site
from photosynth.treasury.glance import noted


def give_up_lost_shares(folder: StateFolder, manifest: Manifest) -> tuple[Manifest, list[str]]:
    """Move every share log that cannot be used aside, so that its next one counts from zero; what was done, a sentence a site.

    A share log that can be used stays. Only under the lock. Raises StateError, StorageError, OSError.
    """
    said = []
    for name in manifest.active_sites():
        manifest, sentence = _give_up(folder, manifest, name)
        said.append(sentence)
    return manifest, said


def _give_up(folder: StateFolder, manifest: Manifest, site: str) -> tuple[Manifest, str]:
    shares = folder.site(site).shares
    fault = _fault(folder, manifest, site)
    if fault is None:
        return manifest, f"The share log in {shares} is whole, so nothing of it is given up."
    manifest, aside = count_anew(folder, manifest, site)
    where = "" if aside is None else f" What is left of it is in {aside}."
    return manifest, (
        f"The share log of {site} {fault}. Its pool counts from zero: the workers' totals are lost, and so is work that was in "
        "no closed quarter hour yet: whose the blocks found in it are stays unknown. The books keep everything else."
        f"{where}"
    )


def _fault(folder: StateFolder, manifest: Manifest, site: str) -> str | None:
    """Why a share log cannot be used, None where it can."""
    part, shares = manifest.sites[site], folder.site(site).shares
    begun = part.began_ms is not None
    if not any(shares.glob("[0-9]*.log")):
        return "is missing" if begun and not part.counting_anew else None
    mark = read_mark(shares)
    if mark != manifest.state and (mark is not None or begun):
        return "is of another state"
    try:
        last_seq = open_segments(shares, read_only=True).account.last_seq
    except (ShareLogError, RecordError) as error:
        return f"cannot be read ({error})"
    known = 0 if part.seen is None else part.seen.share_seq
    return "is older than the rest of the state" if last_seq < max(known, _booked(folder, site)) else None


def _booked(folder: StateFolder, site: str) -> int:
    """The last entry of the share log that the books hold."""
    if not holds_state(folder.database):
        return 0
    with RestingDatabase(folder.database) as database:
        return int(noted(database, of_site(site), SHARE_SEQ) or 0)
