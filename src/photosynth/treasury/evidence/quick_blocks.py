"""The blocks of a quarter hour that is without fault: the blocks' part of the quick way."""

from functools import lru_cache

from photosynth.bitcoin.merkle import root_of_branch
from photosynth.bitcoin.target import target_of_bits
from photosynth.bitcoin.wire import double_sha256
from photosynth.quantities.work import work_of_target
from photosynth.treasury.evidence.canonical import number
from photosynth.treasury.evidence.check_blocks import BlockState, KnownBlock
from photosynth.treasury.evidence.check_claims import Claims, shared
from photosynth.treasury.evidence.check_work import Quarter
from photosynth.treasury.evidence.coinbases import ReadCoinbase
from photosynth.treasury.evidence.heads import Commitment
from photosynth.treasury.evidence.reading import count, octets, target
from photosynth.treasury.evidence.state import SiteState
from photosynth.treasury.evidence.typed import Big, Block, Committed
from photosynth.treasury.mining.attribution import claim_sat, share_out

Rows = list[tuple[int, int, str, str | None, Big, int, Big, Big, int]]
_TARGETS = lru_cache(maxsize=64)(target)
_WORK = lru_cache(maxsize=64)(work_of_target)
_TARGET_OF_BITS = lru_cache(maxsize=64)(target_of_bits)


class DoubtError(ValueError):
    """A quarter hour is not without fault beyond doubt: the careful way decides."""


class Blocks:
    """What a quarter hour's blocks add to what is known, kept apart until all of the quarter hour holds."""

    def __init__(self, site: SiteState, start_ms: int, accepted: Quarter, blocks: BlockState) -> None:
        self._site = site
        self._start_ms = start_ms
        self._accepted = accepted
        self._known = blocks
        self._found: dict[bytes, KnownBlock] = {}
        self._rows: dict[bytes, Claims] = {}
        self.anchored = -1

    def block(self, entry: Block) -> tuple[Commitment, bytes]:
        """A block of the site's; returns what it commits to, which is looked at elsewhere. Raises ValueError."""
        facts = self._site.facts
        name, header = octets(entry.hash, "hash", 32)[::-1], octets(entry.header, "header", 80)
        if name in self._known.blocks or name in self._found or double_sha256(header) != name:
            raise DoubtError
        value_sat, height = entry.value_sat, entry.height
        hash_number = int.from_bytes(name, "little")
        if hash_number > _TARGET_OF_BITS(int.from_bytes(header[72:76], "little")):
            raise DoubtError
        if entry.target is not None and hash_number > _TARGETS(entry.target, "target"):
            raise DoubtError
        coinbase = ReadCoinbase.parse(octets(entry.coinbase, "coinbase"))
        branch = [octets(sibling, "a branch", 32) for sibling in entry.branch]
        if not coinbase.is_coinbase or root_of_branch(coinbase.txid, branch) != header[36:68]:
            raise DoubtError
        script = facts.payout_script
        if coinbase.height != height or coinbase.paid_to(script) != value_sat or not coinbase.pays_only(script):
            raise DoubtError
        mainnet_target = None if entry.mainnet_target is None else _TARGETS(entry.mainnet_target, "mainnet_target")
        if entry.attribution is not None:
            self._rows[name] = self._attribution(entry, mainnet_target, entry.attribution)
        self._found[name] = KnownBlock(name, header[4:36], height, value_sat, facts.chain, facts.site)
        if coinbase.commitment is None:
            raise DoubtError
        return commitment_of(entry.commitment), coinbase.commitment

    def _attribution(self, block: Block, mainnet_target: int | None, rows: Rows) -> Claims:
        """Rows of quarter hours in their order, split by the rule, each within what was accepted. Raises ValueError."""
        last: tuple[int, int, str, int] = (-1, 0, "", 0)
        weights, parts = [], []
        claims: dict[int, Quarter] = {}
        for start_s, round_, worker, _, scale_as, shares, work_as, represented_as, value_sat in rows:
            scale, work = _number(scale_as), _number(work_as)
            start_ms, represented = start_s * 1000, work * scale
            place = (start_ms, round_, worker, scale)
            if not round_ or place <= last or number(represented) != represented_as:
                raise DoubtError
            last = place
            weights.append(represented)
            parts.append(value_sat)
            key, sums = (round_, worker, scale), (shares, work)
            if start_ms <= self._start_ms:
                known = self._accepted_in(start_ms).get(key)
                if known is None or shares > known[0] or work > known[1]:
                    raise DoubtError
            claims.setdefault(start_ms, {})[key] = sums
        if rows and share_out(block.value_sat, weights) != parts:
            raise DoubtError
        if self._site.facts.network == "regtest" and mainnet_target is not None and block.reward_sat is not None:
            most = claim_sat(sum(weights), block.reward_sat, _WORK(mainnet_target))
            if block.value_sat > most:
                raise DoubtError
        everything = {self._start_ms: self._accepted}
        return tuple(
            (start_ms, shared(start_ms, mine, everything if start_ms == self._start_ms else self._site.work.accepted))
            for start_ms, mine in claims.items()
        )

    def _accepted_in(self, start_ms: int) -> Quarter:
        return self._accepted if start_ms == self._start_ms else self._site.work.accepted.get(start_ms, {})

    def check_claims(self) -> None:
        """What blocks claimed of this quarter hour before it was on record is no more than was accepted. Raises ValueError."""
        claims = self._site.claims
        claimed = claims.quarters.get(self._start_ms)
        if not claimed:
            return
        if claims.folded:
            raise DoubtError
        for key, (shares, work) in claimed.items():
            known = self._accepted.get(key, (0, 0))
            if shares > known[0] or work > known[1]:
                raise DoubtError

    def remember(self) -> None:
        """All of the quarter hour holds, and its work is remembered."""
        for block in self._found.values():
            self._known.put(block)
        site = self._site
        site.blocks += len(self._found)
        site.claims.rows.update(self._rows)
        site.claims.settle(self._start_ms, site.work)
        site.anchored_by_block = max(site.anchored_by_block, self.anchored)


def commitment_of(said: Committed) -> Commitment:
    """A commitment from its texts. Raises ValueError."""
    branch = [None if sibling is None else octets(sibling, "a branch", 32) for sibling in said.branch]
    return Commitment(said.seq, said.place, tuple(branch))


@lru_cache(maxsize=1024)
def _number(value: int | str) -> int:
    return count(value, "a number")
