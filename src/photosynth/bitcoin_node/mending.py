"""Damage within the block log mended from the consensus library's copies, or by its judgement; else told and left alone."""

from collections.abc import Callable

from photosynth.bitcoin.node import hash_text
from photosynth.bitcoin.wire import double_sha256
from photosynth.bitcoin_node.block_log import HEAD_BYTES, BlockLog, BlockLogError, Damage, Record
from photosynth.bitcoin_node.kernel import Kernel

_VALID = (None, "inconclusive", "duplicate")


def mend(log: BlockLog, damage: Damage, kernel: Kernel, hash_of_record: Callable[[int], bytes | None]) -> list[Record]:
    """Write what is damaged anew and return its records, which were checked against what is known of them.

    A block's hash is known where the index has it (``hash_of_record``, by offset) or where the block after it is whole.
    With its hash, or that of its own tip where nothing follows, the library may have a copy. Where it has none but the
    bytes carry that hash, only the record's head is damaged if the library takes the block: consensus binds every byte of a
    block to its header.
    Raises BlockLogError that names the block, KernelError, OSError; then the log is as it was.
    """
    known = hash_of_record(damage.offset)
    following = damage.following
    last = (known or kernel.tip()[1]) if following is None else following.raw[4:36]
    copies = _copies(damage.end - damage.offset, last, kernel)
    if copies is not None:
        return log.mend(damage, copies)
    raw = log.bytes_of(damage)
    block_hash = double_sha256(raw[:80])
    if block_hash in (known, last) and kernel.submit(raw).reason in _VALID:
        return log.mend(damage, [raw])
    if known is not None:
        named = f"block {hash_text(known)}"
    elif following is not None:
        named = f"a block before {hash_text(double_sha256(following.raw[:80]))} (probably {hash_text(following.raw[4:36])})"
    else:
        named = "the last block"
    raise BlockLogError(
        f"{log.path} is damaged from byte {damage.offset} to {damage.end}: {named} cannot be read, and the consensus library "
        f"has no copy of it. Nothing was changed. Restore the file from a backup; or give up this block and all after it with: "
        f"truncate -s {damage.offset} {log.path} and remove the folder {log.path.with_name('index')}"
    )


def _copies(size: int, last: bytes, kernel: Kernel) -> list[bytes] | None:
    """The library's blocks, from a last one back, whose records have this size in all; None where there are none such."""
    found: list[bytes] = []
    while size > 0:
        raw = kernel.read(last)
        if raw is None:
            return None
        found.insert(0, raw)
        size -= HEAD_BYTES + len(raw)
        last = raw[4:36]
    return found if size == 0 else None
