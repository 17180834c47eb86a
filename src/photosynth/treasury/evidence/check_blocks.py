"""Do the blocks hold: proof of work, coinbase, value, anchor, and whose their satoshis are."""

from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from photosynth.bitcoin.block import root_of_branch
from photosynth.bitcoin.node import hash_text
from photosynth.bitcoin.target import target_of_bits
from photosynth.bitcoin.wire import FormatError, double_sha256
from photosynth.quantities.work import work_of_target
from photosynth.treasury.attribution import attribute, claim_sat
from photosynth.treasury.evidence.check_claims import ClaimState, check_claims, claims_of
from photosynth.treasury.evidence.check_work import WorkState
from photosynth.treasury.evidence.coinbases import ReadCoinbase
from photosynth.treasury.evidence.parsing import BlockLine, parse_attribution, parse_block
from photosynth.treasury.evidence.reading import EvidenceError, Members
from photosynth.treasury.facts import AttributionFact, SiteFacts

Attribution = tuple[tuple[AttributionFact, int], ...]


class KnownBlock(Struct, frozen=True, gc=False):
    """What later lines ask of a block; a year of headers, coinbases and attributions would be most of what is remembered."""

    hash: bytes
    previous_hash: bytes
    height: int
    value_sat: int
    mainnet_target: int | None
    reward_sat: int | None


@dataclass(slots=True)
class BlockState:
    """What is carried over: the blocks seen, what they claim, and what anchors what."""

    blocks: dict[bytes, KnownBlock] = field(default_factory=dict)
    claims: ClaimState = field(default_factory=ClaimState)
    attributed: set[bytes] = field(default_factory=set)
    links: int = 0
    anchored: int = -1
    foreign: set[bytes] = field(default_factory=set)

    @property
    def attributed_sat(self) -> int:
        """Satoshis of the blocks that stand and whose work is known."""
        return sum(self.blocks[name].value_sat for name in self.claims.standing & self.claims.rows.keys())


def check_block(value: Any, site: SiteFacts, work: WorkState, state: BlockState) -> None:
    """Check one block of a record and remember it."""
    block = parse_block(value)
    name = f"block {block.height}"
    if block.hash in state.blocks:
        raise EvidenceError(f"{name} is listed a second time")
    if double_sha256(block.header) != block.hash:
        raise EvidenceError(f"the hash of {name} is not that of its header")
    _check_target(name, block)
    try:
        coinbase = ReadCoinbase.parse(block.coinbase)
    except FormatError as error:
        raise EvidenceError(f"the coinbase of {name} cannot be read: {error}") from error
    if not coinbase.is_coinbase or root_of_branch(coinbase.txid, block.branch) != block.merkle_root:
        raise EvidenceError(f"the coinbase of {name} is not in the block: its branch leads to another Merkle root")
    if coinbase.height != block.height:
        raise EvidenceError(f"the coinbase of {name} names another height")
    paid = coinbase.paid_to(site.payout_script)
    if paid != block.value_sat:
        raise EvidenceError(f"the coinbase of {name} pays the payout script {paid} sat, not {block.value_sat}")
    if block.origin == "mined" and not coinbase.pays_only(site.payout_script):
        raise EvidenceError(f"the coinbase of {name} pays somebody else too")
    _check_anchor(name, block, coinbase.commitment, work, state)
    below = state.blocks.get(block.previous_hash)
    state.links += below is not None and below.height == block.height - 1
    known = KnownBlock(block.hash, block.previous_hash, block.height, block.value_sat, block.mainnet_target, block.reward_sat)
    state.blocks[block.hash] = known
    if block.attribution is not None:
        _check_attribution(name, known, block.attribution, site, work, state)


def check_late_attribution(value: Any, site: SiteFacts, work: WorkState, state: BlockState) -> set[int]:
    """Check an attribution that became known after its block's record; returns the starts whose claims it adds to."""
    m = Members(value, "a late attribution")
    block = state.blocks.get(m.octets("hash", 32)[::-1])
    rows = parse_attribution(m.take("attribution"))
    m.finish()
    if block is None or rows is None or block.hash in state.attributed or block.hash in state.foreign:
        raise EvidenceError("a late attribution belongs to no block of this history that still lacks one")
    return _check_attribution(f"block {block.height}", block, rows, site, work, state)


def _check_target(name: str, block: BlockLine) -> None:
    try:
        network_target = target_of_bits(block.bits)
    except ValueError as error:
        raise EvidenceError(f"{name}: {error}") from error
    hash_number = int.from_bytes(block.hash, "little")
    if hash_number > network_target or (block.target is not None and hash_number > block.target):
        raise EvidenceError(f"{name} does not meet its target")


def _check_anchor(name: str, block: BlockLine, commitment: bytes | None, work: WorkState, state: BlockState) -> None:
    anchored = None if commitment is None else work.heads.get(commitment)
    if anchored is not None:
        state.anchored = max(state.anchored, anchored)
    elif block.origin == "chain" and block.attribution is None:
        state.foreign.add(block.hash)
    elif commitment is None:
        raise EvidenceError(f"{name} was mined here and commits to nothing; every job of ours commits to a line")
    else:
        raise EvidenceError(
            f"{name} ({hash_text(block.hash)}) commits to {commitment.hex()}, which is the hash of no line before it: "
            "a line before was changed after the block was mined"
        )


def _check_attribution(  # noqa: PLR0917  what it holds against what
    name: str, block: KnownBlock, rows: Attribution, site: SiteFacts, work: WorkState, state: BlockState
) -> set[int]:
    facts = tuple(fact for fact, _ in rows)
    try:
        alone = ClaimState(standing={block.hash})
        claims = claims_of(facts, work.accepted)
        alone_starts = alone.attribute(block.hash, claims)
        expected = attribute(block.value_sat, facts)
    except ValueError as error:
        raise EvidenceError(f"the satoshis of {name}: {error}") from error
    if tuple(expected) != rows:
        raise EvidenceError(f"the satoshis of {name} are not split by represented hashes as the rule says")
    if any(fact.represented != fact.work * fact.scale for fact in facts):
        raise EvidenceError(f"{name} claims represented hashes that are not work times scale")
    demonstration = site.network == "regtest"
    if demonstration and block.mainnet_target is not None and block.reward_sat is not None:
        represented = sum(fact.represented for fact in facts)
        most = claim_sat(represented, block.reward_sat, work_of_target(block.mainnet_target))
        if block.value_sat > most:
            raise EvidenceError(f"{name} claims {block.value_sat} sat; its work would have earned {most} sat")
    state.attributed.add(block.hash)
    # Also a block that does not stand claims nothing that was never accepted.
    check_claims(alone_starts, work, alone)
    return state.claims.attribute(block.hash, claims)
