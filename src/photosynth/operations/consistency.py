"""Whether the opened parts of a state belong together: none of them is another's, nor from an older copy than the rest."""

from pathlib import Path

from sqlalchemy import Connection

from photosynth.bitcoin.node import BitcoinNode, hash_text
from photosynth.operations.manifest import ANEW, COUNT_ANEW, MARK, RESTORE_CHAIN, Manifest, Seen, SitePart
from photosynth.operations.state import StateError, StateFolder
from photosynth.pool.accounting import WorkAccount
from photosynth.sites.bookkeeper import SHARE_SEQ
from photosynth.storage.meta import forget_meta, get_meta, put_meta
from photosynth.storage.scopes import FLEET, of_site
from photosynth.treasury.evidence.lines import line_of_id, newest_line
from photosynth.treasury.mining.blocks import forget_open_attributions

_NEWER = f"Put the one back that belongs here, or restore the whole folder from one backup, or {ANEW}"


def claim_database(tx: Connection, folder: StateFolder, manifest: Manifest) -> None:
    """See that the database is this state's and no older than what was last seen of it; mark a new one.

    Where a site's share log was given up, forget how far it was booked, and whose work blocks of the open quarter hour claim:
    a new one counts from zero and does not know of it. Raises StateError.
    """
    mark = get_meta(tx, FLEET, MARK)
    if mark is None and not manifest.complete:
        put_meta(tx, FLEET, MARK, manifest.state)
    elif mark != manifest.state:
        raise StateError(f"{folder.database} is of another state than {folder.manifest}. {_NEWER}")
    for name, part in manifest.active_sites().items():
        if part.seen is not None:
            _check_evidence(tx, folder, part.seen)
        if part.counting_anew:
            forget_meta(tx, of_site(name), SHARE_SEQ)
            forget_open_attributions(tx, name)


def _check_evidence(tx: Connection, folder: StateFolder, seen: Seen) -> None:
    last = newest_line(tx)
    if last is None or last.id < seen.evidence_line:
        there = "none" if last is None else str(last.id)
        raise StateError(
            f"{folder.database} is older than the rest of this state: its last line of evidence is {there}, and line "
            f"{seen.evidence_line} was signed already. Going on would sign that line a second time. {_NEWER}"
        )
    line = line_of_id(tx, seen.evidence_line)
    if line is None or line.root.hex() != seen.evidence_root:
        raise StateError(
            f"{folder.database} holds another line {seen.evidence_line} of evidence than was signed here last. {_NEWER}"
        )


def check_share_log(account: WorkAccount, share_seq: int, folder: StateFolder, site: str, part: SitePart) -> None:
    """Refuse a share log that is older than the books, and books that are older than the share log. Raises StateError."""
    shares = folder.site(site).shares
    known = max(share_seq, 0 if part.seen is None else part.seen.share_seq)
    if account.last_seq < known:
        raise StateError(
            f"{shares} is older than the rest of this state: it ends at entry {account.last_seq}, and entry {known} was "
            f"accepted already. Put the newer one back, or {COUNT_ANEW}"
        )
    if account.checkpoint_seq > share_seq:
        raise StateError(
            f"{folder.database} is older than {shares}: entries {share_seq + 1} to {account.checkpoint_seq} are booked "
            f"and gone from the log, and the books do not hold them. {_NEWER}"
        )


async def check_chain(node: BitcoinNode, top: tuple[int, bytes] | None, path: Path) -> None:
    """Refuse an embedded chain that lacks ``top``, which the books followed last: it is an older copy. Raises StateError."""
    if top is not None and await node.block(top[1]) is None:
        tip = await node.tip()
        raise StateError(
            f"{path} is older than the books: it ends at height {tip.height}, and they have followed it to block "
            f"{top[0]} ({hash_text(top[1])}). {RESTORE_CHAIN}, or {ANEW}"
        )
