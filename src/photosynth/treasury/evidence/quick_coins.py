"""The blocks of a record and the postings of their coins, where both are without fault: the coins' part of the quick way."""

from functools import lru_cache
from typing import Literal

from photosynth.bitcoin.merkle import root_of_branch
from photosynth.bitcoin.target import target_of_bits
from photosynth.bitcoin.wire import double_sha256
from photosynth.quantities.value import coins_value_ueur
from photosynth.quantities.work import work_of_target
from photosynth.treasury import accounts as a
from photosynth.treasury.attribution import claim_sat, share_out
from photosynth.treasury.evidence.canonical import number
from photosynth.treasury.evidence.check_blocks import BlockState, KnownBlock
from photosynth.treasury.evidence.check_claims import Claims, shared
from photosynth.treasury.evidence.check_postings import RECOGNITIONS, Accrual, JournalState, OpenPosting
from photosynth.treasury.evidence.check_work import Quarter, WorkState
from photosynth.treasury.evidence.coinbases import ReadCoinbase
from photosynth.treasury.evidence.reading import count, octets, target
from photosynth.treasury.evidence.typed import Big, Block, CoinPosting, read_coin_posting
from photosynth.treasury.facts import Recognition, SiteFacts

Row = tuple[str, str, str, int]
Rows = list[tuple[int, int, str, str | None, Big, int, Big, Big, int]]
_TARGETS = lru_cache(maxsize=64)(target)
_WORK = lru_cache(maxsize=64)(work_of_target)
_TARGET_OF_BITS = lru_cache(maxsize=64)(target_of_bits)


class DoubtError(ValueError):
    """A record is not without fault beyond doubt: the careful way decides."""


class Coins:
    """What a record's blocks and postings of coins add to what is known, kept apart until all of the record holds."""

    def __init__(  # noqa: PLR0917  what is held against what
        self, site: SiteFacts, start_ms: int, accepted: Quarter, work: WorkState, blocks: BlockState, journal: JournalState
    ) -> None:
        self._site = site
        self._start_ms = start_ms
        self._accepted = accepted
        self._work = work
        self._known = blocks
        self._journal = journal
        self._blocks: dict[bytes, KnownBlock] = {}
        self._rows: dict[bytes, Claims] = {}
        self._foreign: list[bytes] = []
        self._links = 0
        self._anchored = -1
        self._keys: set[str] = set()
        self._open: dict[int, OpenPosting] = {}
        self._accrued: dict[bytes, Accrual] = {}
        self._available: set[bytes] = set()
        self._quarters: dict[int, Quarter] = {}
        self._immature_sat = 0
        self._mature_sat = 0

    def block(self, entry: Block) -> None:
        """A block of ours. Raises ValueError."""
        name, header = octets(entry.hash, "hash", 32)[::-1], octets(entry.header, "header", 80)
        if name in self._known.blocks or name in self._blocks or double_sha256(header) != name:
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
        script = self._site.payout_script
        if coinbase.height != height or coinbase.paid_to(script) != value_sat:
            raise DoubtError
        if entry.origin == "mined" and not coinbase.pays_only(script):
            raise DoubtError
        anchored = None if coinbase.commitment is None else self._work.heads.get(coinbase.commitment)
        if anchored is not None:
            self._anchored = max(self._anchored, anchored)
        elif entry.origin == "chain" and entry.attribution is None:
            self._foreign.append(name)
        else:
            raise DoubtError
        mainnet_target = None if entry.mainnet_target is None else _TARGETS(entry.mainnet_target, "mainnet_target")
        previous = header[4:36]
        below = self._blocks.get(previous) or self._known.blocks.get(previous)
        # The same bytes as in the block below, or as best headers stand on: one object for all.
        previous = previous if below is None else below.hash
        self._links += below is not None and below.height == height - 1
        block = KnownBlock(name, previous, height, value_sat, mainnet_target, entry.reward_sat)
        self._blocks[name] = block
        if entry.attribution is not None:
            self._rows[name] = self._attribution(block, entry.attribution)

    def _attribution(self, block: KnownBlock, rows: Rows) -> Claims:
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
        mainnet_target, reward_sat = block.mainnet_target, block.reward_sat
        if self._site.network == "regtest" and mainnet_target is not None and reward_sat is not None:
            most = claim_sat(sum(weights), reward_sat, _WORK(mainnet_target))
            if block.value_sat > most:
                raise DoubtError
        everything = {self._start_ms: self._accepted}
        return tuple(
            (start_ms, shared(start_ms, mine, everything if start_ms == self._start_ms else self._work.accepted))
            for start_ms, mine in claims.items()
        )

    def _accepted_in(self, start_ms: int) -> Quarter:
        return self._accepted if start_ms == self._start_ms else self._work.accepted.get(start_ms, {})

    def posting(self, raw: bytes, posting_id: int) -> None:
        """A posting of a coinbase. Raises ValueError."""
        posting = read_coin_posting(raw)
        if posting is None or posting.id != posting_id:
            raise DoubtError
        key, named = posting.key, posting.source.get("block")
        if key in self._journal.keys or key in self._keys or key.startswith("interval:"):
            raise DoubtError
        name = octets(named, "block", 32)[::-1]
        block = self._blocks.get(name) or self._known.blocks.get(name)
        if block is None:
            raise DoubtError
        name = block.hash
        if posting.event == "coinbase_accrued":
            self._accrue(block, posting)
        else:
            self._make_available(name, posting)
        self._keys.add(key)
        self._open[posting_id] = OpenPosting(key, posting.event, name)

    def _accrue(self, block: KnownBlock, posting: CoinPosting) -> None:
        name, price = block.hash, posting.source.get("price_cent_per_btc")
        if name in self._accrued or name in self._journal.accrued or type(price) is not int:
            raise DoubtError
        value = coins_value_ueur(block.value_sat, price)
        said = posting.lines
        recognition = next((way for way in RECOGNITIONS if accrual_rows(block.value_sat, value, way) == said), None)
        if recognition is None or block.value_sat <= 0 or value <= 0:
            raise DoubtError
        chain = self._journal.chain
        top = next(reversed(self._accrued.values())).block if self._accrued else chain[-1] if chain else None
        if top is not None and block.height <= top.height:
            raise DoubtError
        if top is not None and block.height == top.height + 1 and block.previous_hash != top.hash:
            raise DoubtError
        self._accrued[name] = Accrual(block, value, recognition)
        self._immature_sat += block.value_sat
        claims = self._rows.get(name) or self._known.claims.rows.get(name, ())
        for start_ms, rows in claims:
            if any(not round_ for round_, _, _ in rows):
                raise DoubtError
            known = self._quarters.get(start_ms) or self._known.claims.quarters.get(start_ms)
            if known is None:
                self._quarters[start_ms] = rows
                continue
            together = dict(known)
            for key, (shares, work) in rows.items():
                before = together.get(key, (0, 0))
                together[key] = (before[0] + shares, before[1] + work)
            self._quarters[start_ms] = together

    def _make_available(self, name: bytes, posting: CoinPosting) -> None:
        accrual = self._accrued.get(name) or self._journal.accrued.get(name)
        if accrual is None or name in self._available or name in self._journal.available:
            raise DoubtError
        value_sat, value = accrual.block.value_sat, accrual.value_ueur
        if value_sat <= 0 or value <= 0 or available_rows(value_sat, value, accrual.recognition) != posting.lines:
            raise DoubtError
        self._available.add(name)
        self._immature_sat -= value_sat
        self._mature_sat += value_sat

    def check_claims(self) -> None:
        """What stands accrued claims no more than was accepted, as far as this record changed it. Raises ValueError."""
        state = self._known.claims
        touched = dict(self._quarters)
        if self._start_ms in state.quarters:
            touched.setdefault(self._start_ms, state.quarters[self._start_ms])
        if state.folded and (self._start_ms in state.folded or not state.folded.keys().isdisjoint(touched)):
            raise DoubtError
        for start_ms, rows in touched.items():
            if start_ms > self._start_ms:
                continue
            accepted = self._accepted_in(start_ms)
            if rows is accepted:
                continue
            for key, (shares, work) in rows.items():
                known = accepted.get(key, (0, 0))
                if shares > known[0] or work > known[1]:
                    raise DoubtError

    def remember(self) -> None:
        """All of the record holds."""
        if not self._blocks and not self._keys:
            return
        blocks, journal, claims = self._known, self._journal, self._known.claims
        blocks.blocks.update(self._blocks)
        blocks.foreign.update(self._foreign)
        blocks.attributed.update(self._rows)
        blocks.links += self._links
        blocks.anchored = max(blocks.anchored, self._anchored)
        claims.rows.update(self._rows)
        claims.quarters.update(self._quarters)
        claims.standing.update(self._accrued)
        journal.keys |= self._keys
        journal.reversible.update(self._open)
        journal.accrued.update(self._accrued)
        journal.chain += [accrual.block for accrual in self._accrued.values()]
        journal.available |= self._available
        balances = journal.balances_sat
        for account, amount in (
            (a.COINS_IMMATURE, self._immature_sat),
            (a.COINS_AVAILABLE, self._mature_sat),
            (a.COIN_CONTRA, -self._immature_sat - self._mature_sat),
        ):
            if amount:
                balances[account] = balances.get(account, 0) + amount


def accrual_rows(value_sat: int, value_ueur: int, recognition: Recognition) -> list[Row]:
    """The rows of an accrual of amounts above zero (:func:`photosynth.treasury.rewards.accrual_lines`)."""
    credit = a.DEFERRED_REWARD if recognition == "at_maturity" else a.MINING_REVENUE
    return [*_pair(a.COINS_IMMATURE, a.COIN_CONTRA, "BTC", value_sat), *_pair(a.COINS_IMMATURE, credit, "EUR", value_ueur)]


def available_rows(value_sat: int, value_ueur: int, recognition: Recognition) -> list[Row]:
    """The rows that make such an accrual available (:func:`photosynth.treasury.rewards.available_lines`)."""
    found = [
        *_pair(a.COINS_AVAILABLE, a.COINS_IMMATURE, "BTC", value_sat),
        *_pair(a.COINS_AVAILABLE, a.COINS_IMMATURE, "EUR", value_ueur),
    ]
    if recognition == "at_maturity":
        found += _pair(a.DEFERRED_REWARD, a.MINING_REVENUE, "EUR", value_ueur)
    return found


def _pair(debit: str, credit: str, asset: Literal["BTC", "EUR"], amount: int) -> tuple[Row, Row]:
    return (debit, "debit", asset, amount), (credit, "credit", asset, amount)


@lru_cache(maxsize=1024)
def _number(value: int | str) -> int:
    return count(value, "a number")
