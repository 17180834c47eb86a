"""The index kept at the consensus library's tip: blocks that the log has taken are entered, and the active chain is followed.

The library says only where its tip is. What lies between the index's tip and that one is taken off and put on block by block,
each read from the log, in as few transactions of the index as may be.
"""

from collections.abc import Mapping, Sequence

import structlog

from photosynth.bitcoin.block import HEADER_BYTES
from photosynth.bitcoin.node import Tip
from photosynth.bitcoin.outline import TransactionOutline, outline_of
from photosynth.bitcoin.wire import double_sha256
from photosynth.bitcoin_node.block_log import BlockLog, BlockLogError, Record
from photosynth.bitcoin_node.coins import MOST_PENDING, IndexDamagedError
from photosynth.bitcoin_node.index import Batch, Entry, Index
from photosynth.bitcoin_node.kernel import Kernel, KernelError
from photosynth.bitcoin_node.pacing import Pacing

FOLLOW_AT_ONCE = 1_000
"""Blocks that one transaction of the index takes in."""
MOST_BEHIND = 2_000
"""Blocks whose coins are in memory alone; a crash costs reading them again, 0.1 ms each while they are small."""

_log = structlog.get_logger("photosynth.bitcoin_node")


class Follower:
    """Brings an index to the tip of the library; belongs to the thread that writes.

    ``tip`` is the best block that the index holds and may be read from any thread, once :meth:`advance` was called.
    """

    tip: Tip

    def __init__(self, blocks: BlockLog, kernel: Kernel, index: Index, pacing: Pacing) -> None:
        self._blocks = blocks
        self._kernel = kernel
        self._index = index
        self._pacing = pacing
        self._unentered: dict[bytes, Entry] = {}

    @property
    def behind(self) -> bool:
        """Whether blocks were noted that the index has not got yet."""
        return bool(self._unentered)

    def place_of(self, block_hash: bytes) -> int | None:
        """Where the log holds a block, of any branch, that is in the index or noted for it; None where it is neither."""
        entry = self._unentered.get(block_hash) or self._index.entry(block_hash)
        return None if entry is None else entry.offset

    def note(self, record: Record) -> Tip | None:
        """Remember to enter a logged block with the next batch, and return how it would be told as the tip.

        None where the library does not know it.
        """
        header = record.raw[:HEADER_BYTES]
        block_hash = double_sha256(header)
        height = self._kernel.height_of(block_hash)
        if height is None:
            return None
        entry = self._unentered[block_hash] = Entry(height, record.offset, header)
        return Tip(height, block_hash, entry.time_s)

    def forget_noted(self) -> None:
        """Drop what was noted: it will be read from the log again."""
        self._unentered.clear()

    def restore_coins(self) -> None:
        """Bring the coins, of which the index's file has those of a while ago, to the index's tip."""
        tip = self._index.tip()
        height = self._index.coins_height
        if tip is not None and height > tip.height:
            raise IndexDamagedError(f"it has coins up to height {height} and blocks up to {tip.height}")
        self._index.begin_coins_again()
        for block_hash in self._index.hashes(height + 1):
            height += 1
            with self._index.write() as batch:
                batch.connect_coins(height, outline_of(self._raw(batch, block_hash)))

    def advance(self, outlines: Mapping[bytes, Sequence[TransactionOutline]] | None = None, tips: Sequence[Tip] = ()) -> None:
        """Bring the index to the library's tip and enter what was noted.

        ``outlines`` are those, by hash, of blocks that were just submitted; ``tips`` the tips that the library had since the last
        time, in their order, from which the demonstration learns.
        """
        before = self._index.tip()
        if before is not None and before.hash == self._kernel.tip()[1] and not self._unentered:
            self.tip = before
            return
        tip, done = None, False
        while not done:
            with self._index.write() as batch:
                for block_hash, entry in self._unentered.items():
                    batch.enter(block_hash, entry)
                done = self._follow(batch, outlines or {})
                tip = batch.tip()
                if done and tip is not None:
                    batch.put_meta("indexed_end", str(self._blocks.end).encode())
                    if before is not None and (state := self._learn(before, tips or (tip,))) is not None:
                        batch.put_meta("demonstration", state)
            self._unentered.clear()
        assert tip is not None, "the genesis block is always connected"
        self.tip = tip

    def _learn(self, before: Tip, tips: Sequence[Tip]) -> bytes | None:
        """Teach the demonstration each new tip; its state, None where there is nothing new to save."""
        state = None
        for tip in tips:
            if tip != before:
                state = self._pacing.tip_changed(before, tip)
            before = tip
        return state

    def _follow(self, batch: Batch, outlines: Mapping[bytes, Sequence[TransactionOutline]]) -> bool:
        """Take some steps towards the library's tip, and say whether it was reached."""
        height, best = self._kernel.tip()
        current = batch.tip()
        if current is not None and current.hash == best:
            return True
        new: list[tuple[int, bytes]] = []
        while height >= 0 and batch.hash_at(height) != (block_hash := self._kernel.active_hash(height)):
            new.append((height, block_hash))
            height -= 1
        turned = False
        while (current := batch.tip()) is not None and current.height > height:
            batch.disconnect(current.hash, outline_of(self._raw(batch, current.hash)))
            turned = True
        steps = new[: -FOLLOW_AT_ONCE - 1 : -1]
        for at, block_hash in steps:
            outline, entry = outlines.get(block_hash), batch.entry(block_hash)
            if outline and entry is not None:
                batch.connect(block_hash, at, entry.raw_header, outline)
            else:
                raw = self._raw(batch, block_hash)
                batch.connect(block_hash, at, raw[:HEADER_BYTES], outline_of(raw))
        behind = steps[-1][0] - self._index.coins_height if steps else 0
        # What the file has of the coins must be of the active chain, whatever happens next.
        if turned or behind >= MOST_BEHIND or self._index.coins.pending >= MOST_PENDING:
            batch.write_coins()
        return len(steps) == len(new)

    def _raw(self, batch: Batch, block_hash: bytes) -> bytes:
        """A block for the index; one that only the library has (it wrote its databases just before a crash) is logged."""
        entry = batch.entry(block_hash)
        if entry is not None:
            try:
                return self._blocks.read(entry.offset)
            except BlockLogError as error:
                _log.error("block log is damaged; the consensus library's copy is used", reason=str(error))
        raw = self._kernel.read(block_hash)
        height = self._kernel.height_of(block_hash)
        if raw is None or height is None:
            raise KernelError(f"block {block_hash[::-1].hex()} is neither in the log nor readable from the library")
        if entry is None:
            record = self._blocks.append(raw)
            self._blocks.sync()
            batch.enter(block_hash, Entry(height, record.offset, raw[:HEADER_BYTES]))
        return raw
