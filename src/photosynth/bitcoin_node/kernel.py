"""The binding to Bitcoin Core's consensus library: open, hand over a block, read the verdict, close.

Everything here is synchronous and belongs to one thread. The library says in a return value only that a block failed;
why it failed, in the words that bitcoind answers (BIP22), stands in its debug log alone, so the log of the calling thread is
collected while a block is processed. Source of the reasons: Bitcoin Core, ``validation.cpp`` and ``submitblock``.
"""

import ctypes
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pbk
from pbk.capi import bindings
from pbk.notifications import NotificationInterfaceCallbacks

from photosynth.bitcoin.block import HEADER_BYTES
from photosynth.bitcoin.outline import TransactionOutline, outline_of
from photosynth.bitcoin.wire import FormatError, double_sha256
from photosynth.files.whole import own_folder

CHAINS = {
    "regtest": pbk.ChainType.REGTEST,
    "signet": pbk.ChainType.SIGNET,
    "testnet4": pbk.ChainType.TESTNET_4,
}
SOFTWARE = f"libbitcoinkernel (py-bitcoinkernel {version('py-bitcoinkernel')})"
HASH_BYTES = 32
UNDECODABLE = "Block decode failed"
"""The reason for bytes that are not exactly one block: bitcoind has no BIP22 string for them, but refuses the call."""

KEPT = (None, "inconclusive", "duplicate")
"""The reasons of blocks that are valid: in the active chain, on a branch, or known before."""

_REFUSED = re.compile(r"ProcessNewBlock: AcceptBlock FAILED \((.*)\)\s*$", re.DOTALL)
_NOT_CONNECTED = re.compile(r"ConnectTip: ConnectBlock ([0-9a-f]{64}) failed, (.*?)\s*$", re.DOTALL)


class KernelError(Exception):
    """The library cannot open its folder or gave up (a full disk, a damaged database); the message says what it said."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a block: a BIP22 reason or None, whether the library stored it and had not had it before, its outline."""

    reason: str | None
    new: bool
    outline: Sequence[TransactionOutline] = ()


class _Log:
    """The library's log, which is one for the whole process: lines go to the thread that caused them, if it listens."""

    def __init__(self) -> None:
        self._lines: dict[int, list[str]] = {}
        self._connection: pbk.LoggingConnection | None = None
        self._lock = threading.Lock()

    def connect(self) -> None:
        with self._lock:
            if self._connection is None:
                pbk.logging_set_options(pbk.LoggingOptions(log_timestamps=False))
                pbk.set_log_level_category(pbk.LogCategory.VALIDATION, pbk.LogLevel.DEBUG)
                pbk.enable_log_category(pbk.LogCategory.VALIDATION)
                self._connection = pbk.LoggingConnection(self._receive)

    def _receive(self, line: str) -> None:
        lines = self._lines.get(threading.get_ident())
        if lines is not None:
            lines.append(line)

    def listen(self) -> list[str]:
        """Start collecting this thread's lines anew, and return the list that they will be added to."""
        lines: list[str] = []
        self._lines[threading.get_ident()] = lines
        return lines

    def forget(self) -> None:
        self._lines.pop(threading.get_ident(), None)


_log = _Log()


class Kernel:
    """The consensus library on one folder. Raises KernelError where it cannot be opened.

    ``since_open`` counts the blocks that it was given and kept since it was opened; ``unrivalled`` says whether the last of them
    became the tip. Both may be read from any thread.
    """

    def __init__(self, folder: Path, chain: str) -> None:
        self._folder = folder
        self._chain = CHAINS[chain]
        self._manager: pbk.ChainstateManager | None = None
        self._fatal: list[str] = []
        self.since_open = 0
        self.unrivalled = True
        self.open()

    def open(self) -> None:
        """Open the folder as the last close, or the last crash, left it."""
        _log.connect()
        lines = _log.listen()
        self._fatal.clear()
        own_folder(self._folder)
        try:
            options = pbk.ContextOptions()
            options.set_chainparams(pbk.ChainParameters(self._chain))
            options.set_notifications(NotificationInterfaceCallbacks(fatal_error=self._gave_up, flush_error=self._gave_up))
            manager_options = pbk.ChainstateManagerOptions(
                pbk.Context(options), str(self._folder.absolute()), str((self._folder / "blocks").absolute())
            )
            self._manager = pbk.ChainstateManager(manager_options)
        except RuntimeError as error:
            said = " ".join(line.strip() for line in lines if "rror" in line)[-500:]
            raise KernelError(f"the consensus library cannot open {self._folder}: {said or error}") from error
        finally:
            _log.forget()
        self.since_open, self.unrivalled = 0, True

    def _gave_up(self, _user_data: object, message: ctypes.c_void_p, length: int) -> None:
        self._fatal.append(ctypes.string_at(message, length).decode("utf-8", "replace"))

    def close(self) -> None:
        """Write everything to disk and let go of the folder; safe to call twice. Raises KernelError where it cannot."""
        if self._manager is not None:
            manager, self._manager = self._manager, None
            manager.__exit__(None, None, None)
            if self._fatal:
                raise KernelError(self._why_failed([]))

    @property
    def manager(self) -> pbk.ChainstateManager:
        """The library's own object. Raises KernelError where it is closed."""
        if self._manager is None:
            raise KernelError("the consensus library is closed")
        return self._manager

    def submit(self, raw: bytes) -> Outcome:
        """Have a serialised block validated and, where it has the most work, made the tip.

        Raises KernelError where the library itself failed: that says nothing about the block.
        """
        block = _decode(raw)
        try:
            # The library ignores what follows a block, and serialising its block again to compare takes longer than judging it.
            outline = outline_of(raw)
        except FormatError:
            block = None
        if block is None:
            return Outcome(UNDECODABLE, False)
        lines = _log.listen()
        try:
            new = self.manager.process_block(block)
        except pbk.ProcessBlockException:
            new = False
            refused = _last(_REFUSED, lines)
            if refused is None or self._fatal:
                raise KernelError(self._why_failed(lines)) from None
            return Outcome(_reason(refused[1]), False)
        finally:
            _log.forget()
        if self._fatal:
            raise KernelError(self._why_failed(lines))
        if not new:
            return Outcome("duplicate", False)
        block_hash = double_sha256(raw[:HEADER_BYTES])
        failed = _last(_NOT_CONNECTED, lines, block_hash[::-1].hex())
        if failed is not None:
            return Outcome(_reason(failed[2]), True)
        self.since_open += 1
        height = self.height_of(block_hash)
        if height is None or self.active_hash(height) != block_hash:
            self.unrivalled = False
            return Outcome("inconclusive", True, outline)
        self.unrivalled = True
        return Outcome(None, True, outline)

    def _why_failed(self, lines: list[str]) -> str:
        return " ".join(self._fatal or [line.strip() for line in lines])[-500:] or "the consensus library gave no reason"

    def tip(self) -> tuple[int, bytes]:
        """Height and hash of the active chain's best block."""
        height = self.manager.get_active_chain().height
        return height, self.active_hash(height)

    def active_hash(self, height: int) -> bytes:
        """The hash at a height of the active chain, which must not be past its tip."""
        # Without the binding's objects, which cost more than the look-up: this is asked several times for every block.
        chain = bindings.btck_chainstate_manager_get_active_chain(self.manager)
        entry = bindings.btck_chain_get_by_height(chain, height)
        if not entry:
            raise KernelError(f"the consensus library has no block at height {height}")
        found = (ctypes.c_ubyte * HASH_BYTES)()
        bindings.btck_block_hash_to_bytes(bindings.btck_block_tree_entry_get_block_hash(entry), found)
        return bytes(found)

    def height_of(self, block_hash: bytes) -> int | None:
        """The height of a block of any branch, None where the library does not know it."""
        key = bindings.btck_block_hash_create((ctypes.c_ubyte * HASH_BYTES)(*block_hash))
        try:
            entry = bindings.btck_chainstate_manager_get_block_tree_entry_by_hash(self.manager, key)
            return int(bindings.btck_block_tree_entry_get_height(entry)) if entry else None
        finally:
            bindings.btck_block_hash_destroy(key)

    def read(self, block_hash: bytes) -> bytes | None:
        """A serialised block from the library's own files, None where it is unknown or cannot be read."""
        key = pbk.BlockHash(block_hash)
        entries = self.manager.block_tree_entries
        if key not in entries:
            return None
        try:
            return bytes(self.manager.blocks[entries[key]])
        except RuntimeError:
            return None


def _decode(raw: bytes) -> pbk.Block | None:
    """The library's block, None where the bytes do not begin with one."""
    handle = bindings.btck_block_create(ctypes.cast(ctypes.c_char_p(raw), ctypes.c_void_p), len(raw))
    return pbk.Block._from_handle(handle) if handle else None


def _last(pattern: re.Pattern[str], lines: list[str], block_hash: str | None = None) -> re.Match[str] | None:
    for line in reversed(lines):
        match = pattern.search(line)
        if match and (block_hash is None or match[1] == block_hash):
            return match
    return None


def _reason(state: str) -> str:
    """The BIP22 reason of a logged validation state, which is ``reason, details`` or ``reason`` alone."""
    return state.split(", ", 1)[0] or "rejected"
