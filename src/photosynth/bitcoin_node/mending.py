"""Damage within the block log mended from the consensus library's copies, or by its judgement; else told and left alone."""

from collections.abc import Callable

from photosynth.bitcoin.node import hash_text
from photosynth.bitcoin.wire import double_sha256
from photosynth.bitcoin_node.block_log import HEAD_BYTES, BlockLog, BlockLogError, Damage, Record
from photosynth.bitcoin_node.kernel import KEPT, Kernel


def mend(
    log: BlockLog,
    damage: Damage,
    kernel: Kernel,
    hash_of_record: Callable[[int], bytes | None],
    place_of: Callable[[bytes], int | None],
) -> list[Record]:
    """Write what is damaged anew and return its records, which were checked against what is known of them.

    A block's hash is known where the index has it (``hash_of_record``, by offset) or where the block after it is whole.
    With its hash, that in its header, or that of its own tip where nothing follows, the library may have a copy; what the log
    holds in another place (``place_of``, by hash) is none. Where it has no copy but the bytes carry a known hash, only the
    record's head is damaged if the library takes the block: consensus binds every byte of a block to its header.
    Raises BlockLogError that names the block, KernelError, OSError; then the log is as it was.
    """
    known = hash_of_record(damage.offset)
    following = damage.following
    last = (known or kernel.tip()[1]) if following is None else following.raw[4:36]
    raw = log.bytes_of(damage)
    block_hash = double_sha256(raw[:80])
    for candidate in (block_hash, last):
        copies = _copies(damage, candidate, kernel, place_of)
        if copies is not None:
            return log.mend(damage, copies)
    if block_hash in (known, last) and kernel.submit(raw).reason in KEPT:
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


def _copies(damage: Damage, last: bytes, kernel: Kernel, place_of: Callable[[bytes], int | None]) -> list[bytes] | None:
    """The library's blocks, from a last one back, whose records take the damage's place; None where there are none such."""
    found: list[bytes] = []
    size = damage.end - damage.offset
    while size > 0:
        place = place_of(last)
        raw = kernel.read(last) if place is None or damage.offset <= place < damage.end else None
        if raw is None:
            return None
        found.insert(0, raw)
        size -= HEAD_BYTES + len(raw)
        last = raw[4:36]
    return found if size == 0 else None
