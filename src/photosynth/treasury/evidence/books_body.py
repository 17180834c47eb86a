"""What the lines of the books' stream say: the fleet's chains and wallets, and the journal since the last line."""

from collections.abc import Sequence
from typing import Any

from photosynth.bitcoin.node import hash_text
from photosynth.treasury.evidence.body import Follows
from photosynth.treasury.evidence.canonical import number
from photosynth.treasury.evidence.envelope import FORMAT
from photosynth.treasury.facts import FleetFacts
from photosynth.treasury.journal import Posting, StoredPosting

RULES: dict[str, str] = {"coin_value": "satoshi-price-half-even-1"}
"""The rules of the books' stream that version 2 knows."""


COINBASE_EVENTS = ("coinbase_accrued", "coinbase_available")


def books_data(fleet: FleetFacts, public_key: bytes, follows: Follows) -> dict[str, Any]:
    """What holds for the postings after it; of the wallets those on its chains."""
    return {
        "format": FORMAT,
        "follows": follows,
        "operator": fleet.operator,
        "public_key": public_key.hex(),
        "recognition": fleet.recognition,
        "rules": RULES,
        "chains": [
            {"name": chain.name, "genesis_hash": hash_text(chain.genesis_hash), "asset": chain.asset} for chain in fleet.chains
        ],
        "wallets": [
            {"id": wallet.id, "chain": wallet.chain, "script": wallet.script.hex()}
            for wallet in fleet.wallets
            if wallet.chain in {chain.name for chain in fleet.chains}
        ],
    }


def postings_data(blocks: Sequence[dict[str, Any]], postings: Sequence[StoredPosting]) -> dict[str, Any]:
    """The journal since the last such line, and the blocks behind its coins that no quarter hour has listed before."""
    return {"blocks": list(blocks), "postings": [posting_member(posting) for posting in postings]}


def posting_member(stored: StoredPosting) -> dict[str, Any]:
    """A whole line of the journal."""
    posting = stored.posting
    return {
        "id": stored.id,
        "key": posting.key,
        "time_ms": posting.time_ms,
        "wall_ms": posting.wall_ms,
        "event": posting.event,
        "text": posting.text,
        "reverses": posting.reverses,
        "source": {name: number(value) if type(value) is int else value for name, value in posting.source.items()},
        "lines": [[account, side, asset, number(amount)] for account, side, asset, amount in _rows(posting)],
    }


def _rows(posting: Posting) -> list[tuple[str, str, str, int]]:
    """A posting's lines; those of a coinbase that pays several of our wallets as one payment: evidence knows no shares in it."""
    rows: list[tuple[str, str, str, int]] = [(line.account, line.side, line.asset, line.amount) for line in posting.lines]
    if posting.event.removesuffix("_reversed") not in COINBASE_EVENTS:
        return rows
    sums: dict[tuple[str, str, str], int] = {}
    for account, side, asset, amount in rows:
        sums[account, side, asset] = sums.get((account, side, asset), 0) + amount
    return [(*what, amount) for what, amount in sums.items()]
