"""The chain on disk: consensus library, block log and index, kept in step by one thread.

The order of an accepted block is what makes it survive ``kill -9``: written to the log, judged by the library, log on disk,
index committed, only then answered (``intake.py``). The library's own databases are written when it is closed, so it is
reopened after 200 blocks as soon as none comes, and after a crash it is opened as it is and given the log's records since then.
Whatever is damaged is rebuilt from the log: the index, and the library's folder; and the log's own damage from the library.

Of two blocks with the same work the library keeps the one that it saw first, and forgets when it is closed which that was. So
it is not reopened while the tip has a rival, and a replay tells it of both in their order. After a clean stop between the
two the other one may be the tip, as with any node; the next block decides.
"""

import errno
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import lmdb
import structlog

from photosynth.bitcoin.node import NodeUnavailableError, Tip, hash_text
from photosynth.bitcoin.wire import double_sha256
from photosynth.bitcoin_node.block_log import START, BlockLog, BlockLogError, Record
from photosynth.bitcoin_node.coins import IndexDamagedError
from photosynth.bitcoin_node.following import Follower
from photosynth.bitcoin_node.index import Index
from photosynth.bitcoin_node.intake import Answer, Intake
from photosynth.bitcoin_node.kernel import KEPT, Kernel, KernelError
from photosynth.bitcoin_node.lock import FolderLock
from photosynth.bitcoin_node.mending import mend
from photosynth.bitcoin_node.pacing import Pacing
from photosynth.bitcoin_node.recovery import StartAttempt, discard_aside, set_aside

REOPEN_AFTER = 200
"""Blocks after which the library is closed and opened as soon as no block comes."""
REOPEN_AT_LATEST = 4_000
"""Blocks after which it is, whatever comes. A crash in an unbroken flow costs the replay of at most about so many, 3.7 ms each
on a chain of 20,000 blocks; a reopening empties the library's cache of coins, which an import then reads again."""
NETWORK_MAGIC = {
    "regtest": bytes.fromhex("fabfb5da"),
    "signet": bytes.fromhex("0a03cf40"),
    "testnet4": bytes.fromhex("1c163f28"),
}
"""The first bytes of each network's P2P messages (Bitcoin Core, ``kernel/chainparams.cpp``)."""
LEAST_FREE_BYTES = 100 << 20
"""The library gives up below 50 MB and reserves files of 16 MB."""

_log = structlog.get_logger("photosynth.bitcoin_node")


@dataclass(frozen=True, slots=True)
class StartReport:
    """What opening took: blocks replayed from the log, bytes cut off its torn tail, what was rebuilt, and seconds."""

    replayed: int
    cut_bytes: int
    rebuilt: tuple[str, ...]
    seconds: float


class StoredChain:
    """The chain in a folder. Its methods belong to one thread, but for those that say otherwise.

    Raises FolderInUseError, and NodeUnavailableError where the disk is full or something cannot be opened.
    """

    def __init__(self, folder: Path, chain: str, pacing: Pacing) -> None:
        started = time.monotonic()
        self._folder = folder
        self.pacing = pacing
        self._failure: str | None = None
        self._was_full = False
        self._rebuilt: list[str] = []
        self._attempt = StartAttempt(folder)
        self._lock = FolderLock(folder)
        try:
            self._need_space()
            self._attempt.begun()
            self.index = self._open_index()
            self._blocks = BlockLog(folder / "blocks.log", NETWORK_MAGIC[chain])
            self._kernel = self._open_kernel(chain)
            self._follow_index()
            if self._blocks.end < self._indexed_end():
                self._need_known_tip(f"{self._blocks.path} ends at byte {self._blocks.end}, before the index's last block")
                self._rebuild_index("the block log is shorter than the index says")
            cut = self._blocks.cut_torn_tail(self._indexed_end())
            self.pacing.restore(self.index.meta("demonstration"))
            try:
                replayed = self._catch_up()
            except (lmdb.Error, IndexDamagedError) as error:
                self._rebuild_index(str(error))
                replayed = self._catch_up()
            self._attempt.ended()
        except (OSError, lmdb.Error, BlockLogError, KernelError, IndexDamagedError) as error:
            self._release()
            self._attempt.ended()
            raise NodeUnavailableError(f"the Bitcoin node in {folder} cannot start: {error}") from error
        except BaseException:
            self._release()
            raise
        self.report = StartReport(replayed, cut, tuple(self._rebuilt), time.monotonic() - started)
        if cut:
            _log.warning("block log had a torn tail, which was cut off", bytes=cut, kept=f"{self._blocks.path}.cut")
        _log.info("chain opened", height=self.tip.height, replayed=replayed, seconds=round(self.report.seconds, 3))

    # Opening

    def _need_space(self) -> None:
        if (short := self.short_of_space) is not None:
            raise NodeUnavailableError(short)

    @property
    def short_of_space(self) -> str | None:
        """That the disk has less room than a start asks for, None where it has enough. May be read from any thread.

        Until a block does not fit, nothing fails: what the library has laid out in advance may take a dozen of them.
        """
        free = shutil.disk_usage(self._folder).free
        if free >= LEAST_FREE_BYTES:
            return None
        return (
            f"the disk of {self._folder} has {free >> 20} MB left and the Bitcoin node needs "
            f"{LEAST_FREE_BYTES >> 20} MB: free some space"
        )

    def _open_index(self) -> Index:
        folder = self._folder / "index"
        try:
            return Index(folder)
        except IndexDamagedError as error:
            _log.warning("index is not usable and will be rebuilt from the block log", reason=str(error))
            self._rebuilt.append("index")
            shutil.rmtree(folder)
            return Index(folder)

    def _rebuild_index(self, reason: str) -> None:
        _log.warning("index will be rebuilt from the block log", reason=reason)
        self._rebuilt.append("index")
        demonstration = None
        with suppress(lmdb.Error):
            demonstration = self.index.meta("demonstration")
        self.index.close()
        shutil.rmtree(self._folder / "index")
        self.index = Index(self._folder / "index")
        if demonstration is not None:
            with self.index.write() as batch:
                batch.put_meta("demonstration", demonstration)
        self._follow_index()

    def _follow_index(self) -> None:
        self._follower = Follower(self._blocks, self._kernel, self.index, self.pacing)
        self._intake = Intake(self._blocks, self._kernel, self._follower)

    def _indexed_end(self) -> int:
        """Up to where in the log every block is entered in the index."""
        return self.index.number("indexed_end") or START

    def _open_kernel(self, chain: str) -> Kernel:
        folder = self._folder / "kernel"
        try:
            if self._attempt.failed_before:
                raise KernelError("the process ended twice while it was starting")
            return Kernel(folder, chain)
        except KernelError as error:
            _log.warning("consensus database is not usable and will be rebuilt from the block log", reason=str(error))
            self._rebuilt.append("kernel")
            set_aside(folder)
            return Kernel(folder, chain)

    def _need_known_tip(self, what: str) -> None:
        """Refuse to go on without the block that was the tip. Raises KernelError."""
        tip = self.index.tip()
        if tip is not None and self._kernel.height_of(tip.hash) is None:
            raise KernelError(
                f"{what}, and the consensus library does not have the best block that was known, {hash_text(tip.hash)} at height "
                f"{tip.height}. Nothing was changed. See that this machine's clock is right, restore the folder from a backup, "
                f"or give up what is missing by removing {self._folder / 'index'}"
            )

    def _catch_up(self) -> int:
        """Give the library the log's records that it has not got, bring the index to its tip; how many were given."""
        genesis = self._kernel.active_hash(0)
        if self._blocks.end == START:
            raw = self._kernel.read(genesis)
            if raw is None:
                raise KernelError("the consensus library does not give its genesis block")
            self._blocks.append(raw)
            self._blocks.sync()
        known_tip = self.index.meta("kernel_tip")
        complete = known_tip is not None and self._kernel.height_of(known_tip) is not None
        offset = (self.index.number("kernel_end") or START) if complete else START
        indexed_end = self._indexed_end()
        replayed = 0
        for record in self._records(min(offset, indexed_end)):
            block_hash = double_sha256(record.raw[:80])
            known = self._kernel.height_of(block_hash) is not None
            kept = known
            if not known:
                # A refused block is in the log where the crash came before it could be taken back.
                kept = self._kernel.submit(record.raw).reason in KEPT
                replayed += 1
            if kept and record.offset >= indexed_end:
                self._follower.note(record)
            if self._kernel.since_open >= REOPEN_AT_LATEST and self._kernel.tip()[1] == block_hash:
                self.reopen()
                _log.info("block log is being replayed", height=self._kernel.tip()[0], at=record.end, of=self._blocks.end)
        self._blocks.settle_group()
        # Only now: until the library has everything, its tip may lie far below the index's.
        self._need_known_tip("the consensus library was given every block of the log")
        self._follower.restore_coins()
        self._follower.advance()
        discard_aside(self._folder / "kernel")
        if self.wants_reopen:  # or a process that is killed again and again would replay more each time
            self.reopen()
        return replayed

    def _records(self, offset: int) -> Iterator[Record]:
        """The log's records from an offset on, damaged ones mended. Raises BlockLogError where one cannot be."""
        for part in self._blocks.records(offset):
            if isinstance(part, Record):
                yield part
                continue
            mended = mend(self._blocks, part, self._kernel, self.index.hash_of_record, self._follower.place_of)
            self._rebuilt.append("block log")
            _log.warning("block log was damaged and is mended", at=part.offset, to=part.end, blocks=len(mended))
            yield from mended

    # Serving

    def submit(self, raws: Sequence[bytes]) -> list[Answer]:
        """Judge blocks in their order and keep those that are valid: on disk before the answers.

        A block that the disk had no room for gets NodeUnavailableError, and nothing of it counts. Raises NodeUnavailableError
        where no block is taken any more.
        """
        self._check()
        try:
            return self._intake.take(raws)
        except (OSError, lmdb.Error, KernelError, BlockLogError, IndexDamagedError) as error:
            raise self._failed(error) from error
        except Exception as error:  # a fault of ours: a group that is left in its middle must not be gone on from
            self._failed(error)
            raise

    def _check(self) -> None:
        if self._failure is not None:
            raise NodeUnavailableError(self._failure)

    def _failed(self, error: Exception) -> NodeUnavailableError:
        """Stop taking blocks: what is in memory and what is on disk may differ, which only opening again puts right."""
        broken = isinstance(error, OSError) and error.errno != errno.ENOSPC
        self._was_full = not broken and shutil.disk_usage(self._folder).free < LEAST_FREE_BYTES
        advice = (
            f"Free some space: it goes on by itself with {LEAST_FREE_BYTES >> 20} MB free"
            if self._was_full
            else "See that the disk is sound and has space, then restart"
        )
        self._failure = f"the Bitcoin node in {self._folder} stopped taking blocks: {error}. {advice}"
        _log.error("chain failed", reason=str(error))
        return NodeUnavailableError(self._failure)

    @property
    def wants_mending(self) -> bool:
        """Whether a full disk stopped it and has room again. May be read from any thread."""
        return self._failure is not None and self._was_full and shutil.disk_usage(self._folder).free >= LEAST_FREE_BYTES

    def mend(self) -> None:
        """Go on after a full disk: open the library again and bring it and the index to what the log holds.

        The index stays open for its readers; what it could not commit it does not have. Where this fails, the failure
        stays and says why.
        """
        try:
            with suppress(KernelError):
                self._kernel.close()
            self._kernel.open()
            self._follower.forget_noted()
            self._blocks.cut_torn_tail(self._indexed_end())
            self._blocks.sync()
            replayed = self._catch_up()
        except (OSError, lmdb.Error, BlockLogError, KernelError, IndexDamagedError) as error:
            raise self._failed(error) from error
        self._failure = None
        _log.info("chain goes on", height=self.tip.height, replayed=replayed)

    @property
    def tip(self) -> Tip:
        """The best block. May be read from any thread."""
        return self._follower.tip

    @property
    def failure(self) -> str | None:
        """Why no more blocks are taken, None where they are. May be read from any thread."""
        return self._failure

    @property
    def wants_reopen(self) -> bool:
        """Whether enough blocks came since the library last wrote its databases. May be read from any thread."""
        return self._kernel.since_open >= REOPEN_AFTER and self._kernel.unrivalled and self._failure is None

    @property
    def needs_reopen(self) -> bool:
        """Whether it should not wait any longer. May be read from any thread."""
        return self.wants_reopen and self._kernel.since_open >= REOPEN_AT_LATEST

    def reopen(self) -> None:
        """Have the library write its databases, by closing and opening it. Raises NodeUnavailableError."""
        try:
            self._kernel.close()
            self._kernel.open()
            self._note_written(self._kernel.tip()[1])
        except (OSError, lmdb.Error, KernelError) as error:
            raise self._failed(error) from error

    def _note_written(self, kernel_tip: bytes) -> None:
        """Note in the index that the library has on disk whatever the log holds now, if it is at the index's tip."""
        tip = self.index.tip()
        if tip is not None and tip.hash == kernel_tip and not self._follower.behind:
            with self.index.write() as batch:
                batch.put_meta("kernel_end", str(self._blocks.end).encode())
                batch.put_meta("kernel_tip", tip.hash)

    def read(self, block_hash: bytes) -> bytes | None:
        """A raw block of any branch, None where it is unknown. From any thread. Raises BlockLogError where damaged."""
        entry = self.index.entry(block_hash)
        return None if entry is None else self._blocks.read(entry.offset)

    def read_from_kernel(self, block_hash: bytes) -> bytes | None:
        """A raw block from the library's own files, None where it has none: for a damaged log."""
        self._check()
        return self._kernel.read(block_hash)

    def close(self) -> None:
        """Write everything and let go of the folder."""
        try:
            if self._failure is None:
                kernel_tip = self._kernel.tip()[1]
                self._kernel.close()
                self._note_written(kernel_tip)
                with self.index.write() as batch:
                    batch.write_coins()
                self.index.seal()
        except (OSError, lmdb.Error, KernelError) as error:
            # Nothing is lost: the log has every block, and the next start replays it from the last note.
            _log.error("chain closed with an error", reason=str(error))
        finally:
            self._release()

    def _release(self) -> None:
        with suppress(KernelError):  # said before, or at the next start
            if (kernel := getattr(self, "_kernel", None)) is not None:
                kernel.close()
        for part in ("_blocks", "index", "_lock"):
            if (owned := getattr(self, part, None)) is not None:
                owned.close()
