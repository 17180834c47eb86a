"""The documents that come out of the database alone: ledger, blocks, trace, actions, the day. Running or stopped."""

from collections.abc import Callable

from sqlalchemy import Connection

from photosynth.bitcoin.node import hash_text
from photosynth.documents import (
    ActionDocument,
    AssetDocument,
    BalanceRow,
    BlockDocument,
    DayPoint,
    LedgerDocument,
    Line,
    MeterInterval,
    PostingDocument,
    TraceDocument,
    TraceInterval,
    TraceShare,
)
from photosynth.operations.summaries import like
from photosynth.operations.view import NotKnownError
from photosynth.quantities.instants import market_day_bounds_ms, market_day_of
from photosynth.storage.actions import ActionRow, read_actions
from photosynth.storage.observations import DayObservation, day_observations
from photosynth.treasury.accounts import account_name
from photosynth.treasury.assets import read_assets
from photosynth.treasury.facts import MeterInfo
from photosynth.treasury.glance import followed_top
from photosynth.treasury.journal import Balance, StoredPosting, count_postings_of, postings, trial_balance
from photosynth.treasury.mining.blocks import BlockRow, read_blocks
from photosynth.treasury.mining.trace import TracedInterval, duration_s, trace
from photosynth.treasury.sums import Whose


def ledger_document(
    tx: Connection, site: str | None, from_ms: int | None, to_ms: int | None, *, limit: int, before_id: int | None
) -> LedgerDocument:
    """Trial balance of a period and its postings, newest first; of a site where one is named."""
    rows = trial_balance(tx, from_ms, to_ms, Whose(site=site))
    moved = {row.asset for row in rows}
    return LedgerDocument(
        from_ms=from_ms,
        to_ms=to_ms,
        assets=[like(AssetDocument, asset) for asset in read_assets(tx) if asset.code in moved],
        trial_balance=[_balance(row) for row in rows],
        postings=[_posting(item) for item in postings(tx, site, from_ms, to_ms, limit=limit, before_id=before_id)],
        total_postings=count_postings_of(tx, site, from_ms, to_ms),
    )


def _balance(row: Balance) -> BalanceRow:
    amounts = {name: str(getattr(row, name)) for name in ("opening", "debit", "credit", "closing")}
    return like(BalanceRow, row, name=account_name(row.account), **amounts)


def block_documents(tx: Connection, site: str | None, limit: int) -> list[BlockDocument]:
    """Our blocks, of a site where one is named, newest first."""
    rows = read_blocks(tx, site, limit)
    tips = {chain: _tip_height(tx, chain) for chain in {row.chain for row in rows}}
    return [_block(row, tips[row.chain]) for row in rows]


def trace_document(
    tx: Connection, site: str | None, block_or_txid: str, meters: Callable[[str], tuple[MeterInfo, ...]]
) -> TraceDocument:
    """The satoshis of a block; ``meters`` are a site's. Raises NotKnownError where it is none of ours, or not the site's."""
    found = trace(tx, site, block_or_txid, meters)
    if found is None:
        raise NotKnownError(
            f"There is no block {block_or_txid[:80]} of this site. Give a height, a block hash or a coinbase txid; "
            "the Ledger page and `photosynth ledger` list them."
        )
    return TraceDocument(
        block=_block(found.block, _tip_height(tx, found.block.chain)),
        shares=[
            TraceShare(
                worker=share.work.worker,
                party=share.work.party,
                interval_ms=share.work.interval_start_ms,
                duration_s=duration_s(share, found.shares),
                round=share.work.round,
                shares=share.work.shares,
                work_hashes=str(share.work.work),
                represented_hashes=str(share.work.represented),
                value_sat=share.value_sat,
            )
            for share in found.shares
        ],
        intervals=[_interval(item) for item in found.intervals],
        postings=[_posting(item) for item in found.postings],
        notes=list(found.notes),
    )


def action_documents(
    tx: Connection, site: str | None, limit: int, before_id: int | None, subject: str | None
) -> list[ActionDocument]:
    """Actions, at a site where one is named, newest first."""
    return [action_document(row) for row in read_actions(tx, site, limit=limit, before_id=before_id, subject=subject)]


def action_document(row: ActionRow) -> ActionDocument:
    """One action."""
    return like(ActionDocument, row)


def day_points(tx: Connection, site: str, now_ms: int, points: int) -> list[DayPoint]:
    """A site's stored curve of the market day that an instant lies in."""
    start, end = market_day_bounds_ms(market_day_of(now_ms))
    return [day_point(point) for point in day_observations(tx, site, start, end, points)]


def day_point(point: DayObservation) -> DayPoint:
    """One point of the curve."""
    return like(DayPoint, point)


def _tip_height(tx: Connection, chain: str) -> int:
    top = followed_top(tx, chain)
    return 0 if top is None else top[0]


def _block(row: BlockRow, tip_height: int) -> BlockDocument:
    return BlockDocument(
        site=row.site,
        height=row.height,
        hash=hash_text(row.hash),
        txid=hash_text(row.txid),
        time_s=int.from_bytes(row.header[68:72], "little"),
        site_ms=row.site_ms,
        value_sat=row.value_sat,
        value_ueur=row.value_ueur,
        state=row.state,
        confirmations=0 if row.state == "orphaned" else max(0, tip_height - row.height + 1),
        worker=row.worker,
        commitment=None if row.commitment is None else row.commitment.hex(),
    )


def _interval(item: TracedInterval) -> TraceInterval:
    return like(TraceInterval, item, meters=[like(MeterInterval, meter) for meter in item.meters])


def _posting(item: StoredPosting) -> PostingDocument:
    posting = item.posting
    return PostingDocument(
        id=item.id,
        site=posting.site,
        key=posting.key,
        time_ms=posting.time_ms,
        wall_ms=posting.wall_ms,
        event=posting.event,
        text=posting.text,
        lines=[like(Line, x, name=account_name(x.account), amount=str(x.amount)) for x in posting.lines],
        reverses=posting.reverses,
        source=dict(posting.source),
    )
