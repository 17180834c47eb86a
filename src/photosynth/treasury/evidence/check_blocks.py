"""Do the blocks hold: proof of work, coinbase, value, anchor, and whose their satoshis are."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from photosynth.bitcoin.block import root_of_branch
from photosynth.bitcoin.node import hash_text
from photosynth.bitcoin.target import target_of_bits
from photosynth.bitcoin.wire import FormatError, double_sha256
from photosynth.quantities.work import work_of_target
from photosynth.treasury.evidence.check_claims import ClaimState, check_alone, claims_of
from photosynth.treasury.evidence.check_work import Committed, WorkState
from photosynth.treasury.evidence.coinbases import ReadCoinbase
from photosynth.treasury.evidence.parsing import BlockLine, parse_bare_block, parse_block
from photosynth.treasury.evidence.reading import EvidenceError
from photosynth.treasury.facts import AttributionFact, SiteFacts
from photosynth.treasury.mining.attribution import attribute, claim_sat

Attribution = tuple[tuple[AttributionFact, int], ...]


class KnownBlock(Struct, frozen=True, gc=False):
    """What later lines ask of a block; a year of headers, coinbases and attributions would be most of what is remembered.

    ``site`` is None where no site's stream lists it.
    """

    hash: bytes
    previous_hash: bytes
    height: int
    value_sat: int
    chain: str
    site: str | None = None


@dataclass(slots=True)
class BlockState:
    """What is carried over: the blocks of all streams, those whose accrual stands, and those that the books alone list."""

    blocks: dict[bytes, KnownBlock] = field(default_factory=dict)
    standing: set[bytes] = field(default_factory=set)
    foreign: set[bytes] = field(default_factory=set)
    links: int = 0

    def put(self, known: KnownBlock) -> None:
        """Remember a block; one that the books listed first may be a site's later."""
        if known.hash not in self.blocks:
            below = self.blocks.get(known.previous_hash)
            self.links += below is not None and below.height == known.height - 1
        if known.site is None:
            self.foreign.add(known.hash)
        else:
            self.foreign.discard(known.hash)
        self.blocks[known.hash] = known


@dataclass(frozen=True, slots=True)
class Finder:
    """Whose pool found a block, and what it is held against."""

    site: SiteFacts
    work: WorkState
    claims: ClaimState
    committed: Committed


def check_block(value: Any, finder: Finder, state: BlockState) -> tuple[bytes, int]:
    """Check a block that a site's pool found and remember it; returns its hash, and the place in the file that it commits to."""
    block = parse_block(value)
    site, name = finder.site, f"block {block.height}"
    listed = state.blocks.get(block.hash)
    if listed is not None and (listed.site is not None or listed.chain != site.chain):
        raise EvidenceError(f"{name} is listed a second time")
    coinbase = _check_header_and_coinbase(name, block, {site.payout_script})
    if not coinbase.pays_only(site.payout_script):
        raise EvidenceError(f"the coinbase of {name} pays somebody else too")
    if coinbase.commitment is None:
        raise EvidenceError(f"{name} was mined here and commits to nothing; every job of ours commits to a line")
    assert block.commitment is not None, "a site's block has one"
    try:
        anchored = finder.committed(block.commitment, coinbase.commitment)
    except EvidenceError as error:
        raise EvidenceError(f"{name} ({hash_text(block.hash)}) {error}") from None
    if block.attribution is not None:
        _check_attribution(name, block, block.attribution, finder, standing=block.hash in state.standing)
    state.put(KnownBlock(block.hash, block.previous_hash, block.height, block.value_sat, site.chain, site.site))
    return block.hash, anchored


def check_bare_block(value: Any, scripts_of: Callable[[str], Collection[bytes]], state: BlockState) -> None:
    """Check a block that the books list, which pays a wallet and is in no line before, and remember it."""
    chain, block = parse_bare_block(value)
    name = f"block {block.height}"
    if block.hash in state.blocks:
        raise EvidenceError(f"{name} is listed a second time")
    _check_header_and_coinbase(name, block, scripts_of(chain))
    state.put(KnownBlock(block.hash, block.previous_hash, block.height, block.value_sat, chain))


def _check_header_and_coinbase(name: str, block: BlockLine, scripts: Collection[bytes]) -> ReadCoinbase:
    if double_sha256(block.header) != block.hash:
        raise EvidenceError(f"the hash of {name} is not that of its header")
    try:
        network_target = target_of_bits(block.bits)
    except ValueError as error:
        raise EvidenceError(f"{name}: {error}") from error
    hash_number = int.from_bytes(block.hash, "little")
    if hash_number > network_target or (block.target is not None and hash_number > block.target):
        raise EvidenceError(f"{name} does not meet its target")
    try:
        coinbase = ReadCoinbase.parse(block.coinbase)
    except FormatError as error:
        raise EvidenceError(f"the coinbase of {name} cannot be read: {error}") from error
    if not coinbase.is_coinbase or root_of_branch(coinbase.txid, block.branch) != block.merkle_root:
        raise EvidenceError(f"the coinbase of {name} is not in the block: its branch leads to another Merkle root")
    if coinbase.height != block.height:
        raise EvidenceError(f"the coinbase of {name} names another height")
    paid = sum(value_sat for value_sat, script in coinbase.outputs if script in scripts)
    if paid != block.value_sat:
        raise EvidenceError(f"the coinbase of {name} pays the payout script {paid} sat, not {block.value_sat}")
    return coinbase


def _check_attribution(name: str, block: BlockLine, rows: Attribution, finder: Finder, *, standing: bool) -> None:
    facts = tuple(fact for fact, _ in rows)
    try:
        claims = claims_of(facts, finder.work.accepted)
        expected = attribute(block.value_sat, facts)
    except ValueError as error:
        raise EvidenceError(f"the satoshis of {name}: {error}") from error
    if tuple(expected) != rows:
        raise EvidenceError(f"the satoshis of {name} are not split by represented hashes as the rule says")
    if any(fact.represented != fact.work * fact.scale for fact in facts):
        raise EvidenceError(f"{name} claims represented hashes that are not work times scale")
    demonstration = finder.site.network == "regtest"
    if demonstration and block.mainnet_target is not None and block.reward_sat is not None:
        represented = sum(fact.represented for fact in facts)
        most = claim_sat(represented, block.reward_sat, work_of_target(block.mainnet_target))
        if block.value_sat > most:
            raise EvidenceError(f"{name} claims {block.value_sat} sat; its work would have earned {most} sat")
    check_alone(claims, finder.work)
    finder.claims.rows[block.hash] = claims
    if standing:
        finder.claims.enter(claims, finder.work)
