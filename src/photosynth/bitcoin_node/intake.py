"""How blocks are taken in: each written to the log and judged in turn, then all of them on disk and in the index at once.

One sync and one commit cost as much as judging several small blocks. So blocks that wait together are a group: a crash
before its end loses all of them or some of the last, and none has been answered for.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from photosynth.bitcoin.block import Block
from photosynth.bitcoin.coinbase import with_witness
from photosynth.bitcoin.node import NodeUnavailableError, Tip, Verdict
from photosynth.bitcoin.outline import TransactionOutline
from photosynth.bitcoin.wire import FormatError, double_sha256
from photosynth.bitcoin_node.block_log import MAX_RECORD, BlockLog
from photosynth.bitcoin_node.following import Follower
from photosynth.bitcoin_node.kernel import KEPT, UNDECODABLE, Kernel

_OVERSIZED = "bad-blk-length"

Answer = Verdict | NodeUnavailableError
"""What became of a block: the verdict, or why there is none."""


@dataclass(slots=True)
class _Group:
    """What is kept of the blocks since the last sync."""

    kept: bool = False
    outlines: dict[bytes, Sequence[TransactionOutline]] = field(default_factory=dict)
    tips: list[Tip] = field(default_factory=list)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A while without garbage collection: a group's outlines are a hundred thousand objects, which end without it."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


class Intake:
    """Takes blocks into a log, a library and an index; belongs to the thread that writes."""

    def __init__(self, blocks: BlockLog, kernel: Kernel, follower: Follower) -> None:
        self._blocks = blocks
        self._kernel = kernel
        self._follower = follower

    def take(self, raws: Sequence[bytes]) -> list[Answer]:
        """Judge blocks in their order; those that are valid are on disk when this returns.

        Where the log's disk takes no more, that block and all after it get NodeUnavailableError and nothing of them counts.
        Raises OSError, lmdb.Error, KernelError, BlockLogError, IndexDamagedError: then none of them has an answer.
        """
        with _collector_paused() if len(raws) > 1 else nullcontext():
            return self._take(raws)

    def _take(self, raws: Sequence[bytes]) -> list[Answer]:
        group = _Group()
        answers: list[Answer] = []
        if len(raws) > 1:
            self._blocks.begin_group()
        for raw in raws:
            try:
                answers.append(self._judge_and_complete(raw, group))
            except NodeUnavailableError as error:
                answers += [error] * (len(raws) - len(answers))
                break
        if len(raws) > 1:
            self._blocks.end_group()
        elif group.kept:
            self._blocks.sync()
        self._follower.advance(group.outlines, group.tips)
        return answers

    def _judge_and_complete(self, raw: bytes, group: _Group) -> Verdict:
        if len(raw) > MAX_RECORD:
            return Verdict(_OVERSIZED)
        if len(raw) <= 80:
            return Verdict(UNDECODABLE)
        reason = self._judge(raw, group)
        if reason == "bad-witness-nonce-size" and (completed := _with_coinbase_witness(raw)) is not None:
            reason = self._judge(completed, group)
        return Verdict(reason)

    def _judge(self, raw: bytes, group: _Group) -> str | None:
        """A block's BIP22 reason; where it is valid and new, it stays in the log and is noted for the index."""
        block_hash = double_sha256(raw[:80])
        try:
            record = self._blocks.append(raw) if self._follower.place_of(block_hash) is None else None
        except OSError as error:
            raise NodeUnavailableError(
                f"the block was not taken because {self._blocks.path} cannot be written: {error}. "
                "Free some space and submit it again"
            ) from error
        outcome = self._kernel.submit(raw)
        if record is not None and outcome.reason in KEPT:
            group.kept = True
            tip = self._follower.note(record)
            if outcome.reason is None:
                group.outlines[block_hash] = outcome.outline
                if tip is not None:
                    group.tips.append(tip)
        elif record is not None:
            self._blocks.truncate(record.offset)
        return outcome.reason


def _with_coinbase_witness(raw: bytes) -> bytes | None:
    """The block with the coinbase's 32 zero bytes of witness added where it has none.

    bitcoind does so to submitted blocks (``UpdateUncommittedBlockStructures``).
    """
    try:
        block = Block.parse(raw)
    except FormatError:
        return None
    coinbase = block.transactions[0]
    if coinbase.inputs[0].witness:
        return None
    plain = coinbase.serialise()
    start = raw.index(plain, 80)
    return raw[:start] + with_witness(plain) + raw[start + len(plain) :]
