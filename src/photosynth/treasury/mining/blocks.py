"""Blocks whose coinbase pays us: written down when they are found, completed when the chain shows them, and read again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.bitcoin.block import Block, merkle_branch
from photosynth.bitcoin.coinbase import read_commitment, read_height
from photosynth.bitcoin.node import hash_bytes
from photosynth.bitcoin.wire import FormatError
from photosynth.quantities.value import coins_value_ueur
from photosynth.storage.meta import get_meta, put_meta
from photosynth.storage.scopes import of_chain
from photosynth.storage.tables import BLOCK_ATTRIBUTION, BLOCKS, INTERVALS
from photosynth.treasury.facts import AttributionFact, BlockFact, CoinFact
from photosynth.treasury.journal import TreasuryError
from photosynth.treasury.mining.attribution import attribute

State = Literal["immature", "mature", "orphaned"]

FOLLOW_AGAIN = "follow_again_from"
"""Key in ``meta`` of a chain: the height from which it is to be followed once more, for a block turned out to be a site's."""


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One block of ours as the books know it; hashes in internal order, values in satoshis and micro-EUR.

    ``site`` is the one whose pool found it, None where no pool of ours did.
    """

    chain: str
    hash: bytes
    site: str | None
    height: int
    time_s: int
    txid: bytes
    header: bytes
    coinbase: bytes
    branch: tuple[bytes, ...]
    value_sat: int
    commitment: bytes | None
    state: State
    occurrence: int
    origin: Literal["mined", "chain"]
    worker: str | None
    target: int | None
    site_ms: int | None
    wall_ms: int | None
    price_cent_per_btc: int | None
    price_source: str | None
    price_as_of_ms: int | None
    value_ueur: int | None
    mainnet_target: int | None
    reward_sat: int | None
    evidence_seq: int | None
    books_seq: int | None


@dataclass(frozen=True, slots=True)
class AttributedShare:
    """Work that a block claims, with the satoshis that it earned of it."""

    work: AttributionFact
    value_sat: int


def paid_to(block: Block, script: bytes) -> int | None:
    """What a block's coinbase pays a script in all, in satoshis; None where it does not pay it at all."""
    values = [output.value_sat for output in block.transactions[0].outputs if output.script == script]
    return sum(values) if values else None


def record_found_block(tx: Connection, chain: str, site: str, fact: BlockFact, payout_script: bytes) -> bytes:
    """Write down a block that a site's pool found, with the work that it claims, and return its hash.

    Safe to repeat: a block that is there is completed with what was unknown of it, so the pool's recovery may hand one
    over again. One that was posted as nobody's is posted anew as the site's when the chain is followed next.
    Raises TreasuryError where it cannot be read, does not pay the script, or its attribution cannot be split.
    """
    try:
        block = Block.parse(fact.raw)
    except FormatError as error:
        raise TreasuryError(f"a found block cannot be read: {error}") from error
    value_sat = paid_to(block, payout_script)
    if value_sat is None:
        raise TreasuryError(f"the found block {block.hash[::-1].hex()} does not pay the payout script")
    height = read_height(block.transactions[0])
    if height is None:
        raise TreasuryError(f"the coinbase of block {block.hash[::-1].hex()} does not begin with its height (BIP34)")
    insert_block(tx, chain, block, height, site=site, value_sat=value_sat, state="immature" if fact.accepted else "orphaned")
    found = {"origin": "mined", "worker": fact.worker, "site_ms": fact.site_ms, "wall_ms": fact.wall_ms, "target": fact.target}
    stored = block_of(tx, chain, block.hash)
    assert stored is not None
    if stored.site is None:
        tx.execute(BLOCKS.update().where(*this(chain, block.hash)).values(site=site))
        if stored.occurrence > 0:
            again = get_meta(tx, of_chain(chain), FOLLOW_AGAIN)
            put_meta(tx, of_chain(chain), FOLLOW_AGAIN, height if again is None else min(again, height))
    if stored.evidence_seq is None:
        tx.execute(BLOCKS.update().where(*this(chain, block.hash)).values(**found))
        if stored.value_ueur is None and fact.coin is not None:
            value_block(tx, chain, block.hash, value_sat, fact.coin)
    if fact.attribution is not None and not attribution_of(tx, chain, block.hash):
        _insert_attribution(tx, chain, block.hash, value_sat, fact.attribution)
    return block.hash


def insert_block(
    tx: Connection, chain: str, block: Block, height: int, *, site: str | None, value_sat: int, state: State
) -> bool:
    """Add a block of ours as far as its bytes tell; False where it is there already."""
    if block_of(tx, chain, block.hash) is not None:
        return False
    coinbase = block.transactions[0]
    tx.execute(
        BLOCKS.insert().values(
            chain=chain,
            hash=block.hash,
            site=site,
            height=height,
            time_s=block.header.time_s,
            txid=coinbase.txid,
            header=block.header.serialise(),
            coinbase=coinbase.serialise(witness=False),
            branch=b"".join(merkle_branch([other.txid for other in block.transactions[1:]])),
            value_sat=value_sat,
            commitment=read_commitment(coinbase),
            state=state,
            occurrence=0,
            origin="chain",
        )
    )
    return True


def value_block(tx: Connection, chain: str, block_hash: bytes, value_sat: int, coin: CoinFact) -> None:
    """Fix the price at which a block enters the books; it keeps it when it leaves the chain and returns."""
    tx.execute(
        BLOCKS.update()
        .where(*this(chain, block_hash))
        .values(
            price_cent_per_btc=coin.price_cent_per_btc,
            price_source=coin.source,
            price_as_of_ms=coin.as_of_ms,
            value_ueur=coins_value_ueur(value_sat, coin.price_cent_per_btc),
            mainnet_target=coin.mainnet_target,
            reward_sat=coin.reward_sat,
        )
    )


def _insert_attribution(tx: Connection, chain: str, block_hash: bytes, value_sat: int, facts: Sequence[AttributionFact]) -> None:
    try:
        split = attribute(value_sat, facts)
    except ValueError as error:
        raise TreasuryError(f"the satoshis of block {block_hash[::-1].hex()} cannot be split: {error}") from error
    rows = [
        {
            "chain": chain,
            "block_hash": block_hash,
            "interval_start_ms": fact.interval_start_ms,
            "round": fact.round,
            "worker": fact.worker,
            "scale": fact.scale,
            "party": fact.party,
            "shares": fact.shares,
            "work": fact.work,
            "represented": fact.represented,
            "value_sat": value,
        }
        for fact, value in split
    ]
    if rows:
        tx.execute(BLOCK_ATTRIBUTION.insert(), rows)


def attribution_of(tx: Connection, chain: str, block_hash: bytes) -> list[AttributedShare]:
    """Whose work a block claims, in the order of quarter hour, round, worker, scale; empty where it is unknown."""
    c = BLOCK_ATTRIBUTION.c
    rows = tx.execute(sa.select(BLOCK_ATTRIBUTION).where(c.chain == chain, c.block_hash == block_hash))
    shares = [
        AttributedShare(
            AttributionFact(r.interval_start_ms, r.round, r.worker, r.scale, r.shares, r.work, r.represented, r.party),
            r.value_sat,
        )
        for r in rows
    ]
    return sorted(shares, key=lambda s: (s.work.interval_start_ms, s.work.round, s.work.worker, s.work.scale))


def forget_open_attributions(tx: Connection, site: str) -> int:
    """Take back whose work a site's blocks claim that no evidence holds yet, where it lies in quarter hours not closed.

    For books whose share log is lost: those quarter hours' evidence will not hold that work, and a claim of work that is on
    no record does not verify. The blocks stay; whose they are is unknown. Returns how many blocks that concerns.
    """
    closed = sa.select(INTERVALS.c.start_ms).where(INTERVALS.c.site == site)
    rows = BLOCK_ATTRIBUTION.c
    unsealed = sa.select(BLOCKS.c.hash).where(BLOCKS.c.site == site, BLOCKS.c.evidence_seq.is_(None))
    open_ones = sa.select(rows.block_hash).where(rows.block_hash.in_(unsealed), rows.interval_start_ms.not_in(closed))
    blocks = [row.block_hash for row in tx.execute(open_ones.distinct())]
    tx.execute(BLOCK_ATTRIBUTION.delete().where(rows.block_hash.in_(blocks)))
    return len(blocks)


def read_blocks(tx: Connection, site: str | None, limit: int = 100) -> list[BlockRow]:
    """Our blocks, of a site where one is named, the newest by their headers first; those that left the chain too."""
    query = newest_blocks() if site is None else newest_blocks().where(BLOCKS.c.site == site)
    return [_row(row) for row in tx.execute(query.limit(limit)).mappings()]


def newest_blocks() -> sa.Select[Any]:
    """The blocks in the order in which they are listed: chains' heights say nothing of each other, times do."""
    return sa.select(BLOCKS).order_by(BLOCKS.c.time_s.desc(), BLOCKS.c.height.desc())


def blocks_where(tx: Connection, *conditions: sa.ColumnElement[bool], most: int | None = None) -> list[BlockRow]:
    """Our blocks that meet every condition over the blocks table, the lowest first; at most so many."""
    rows = tx.execute(sa.select(BLOCKS).where(*conditions).order_by(BLOCKS.c.height, BLOCKS.c.hash).limit(most))
    return [_row(row) for row in rows.mappings()]


def find_block(tx: Connection, site: str | None, text: str) -> BlockRow | None:
    """A block of ours by its height, hash or coinbase txid as people write them; None where it is none of ours, or the site's.

    At a height where several are ours, one in its chain is meant, and of these the newest.
    """
    text = text.strip().lower()
    if text.isascii() and text.isdigit() and len(text) < 10:
        condition = BLOCKS.c.height == int(text)
    else:
        try:
            wanted = hash_bytes(text)
        except ValueError:
            return None
        condition = (BLOCKS.c.hash == wanted) | (BLOCKS.c.txid == wanted)
    found = [block for block in blocks_where(tx, condition) if site in {None, block.site}]
    return min(found, key=lambda block: (block.state == "orphaned", -block.time_s), default=None)


def block_of(tx: Connection, chain: str, block_hash: bytes) -> BlockRow | None:
    """A block of ours by its chain and hash, None where it is none."""
    found = blocks_where(tx, *this(chain, block_hash))
    return found[0] if found else None


def this(chain: str, block_hash: bytes) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """The condition that a row of the blocks is this one."""
    return BLOCKS.c.chain == chain, BLOCKS.c.hash == block_hash


def _row(values: Any) -> BlockRow:
    branch: bytes = values["branch"]
    hashes = tuple(branch[at : at + 32] for at in range(0, len(branch), 32))
    return BlockRow(**{**values, "branch": hashes})
