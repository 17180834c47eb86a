"""A file of evidence against an export of a chain: the headers alone tell whether its blocks are in the chain.

The export has one line a block from height 1 on, in hexadecimal: the whole block, or its first 80 bytes. Nobody need trust
whoever made it further than the work in its headers goes. It is read line by line; only the hashes of the file's own blocks are
kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from photosynth.bitcoin.node import hash_text
from photosynth.bitcoin.target import target_of_bits
from photosynth.bitcoin.transaction import Transaction
from photosynth.bitcoin.wire import FormatError, Reader, double_sha256
from photosynth.quantities.work import work_of_target
from photosynth.treasury.evidence.reading import EvidenceError
from photosynth.treasury.evidence.state import FileState

HEADER_BYTES = 80
MAX_LINE_BYTES = 2 * 4_000_000 + 2
"""A block has four million bytes at most (BIP141), in hexadecimal twice as many characters."""


class NotChainError(Exception):
    """The file is no export of a chain, or cannot be read."""


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a chain's export says of a file: which chain, how far, how much work is in its headers, and which blocks are there.

    ``standing`` are the blocks that the books have in the chain, all of them found in it. ``others`` are blocks that the file has
    and the books have not, as ``others_found`` of them are in the chain all the same. Of whole blocks, ``later`` and ``earlier``
    count those that pay a script of the file and are not in it, above its last block and below; None where headers came alone.
    """

    chain: str
    blocks: int
    tip: str
    work_hashes: int
    standing: int
    others: int
    others_found: int
    later: int | None
    earlier: int | None


def check_chain_export(path: Path, file: FileState) -> ChainReport:
    """Hold a file that holds against an export. Raises EvidenceError where they contradict each other, NotChainError."""
    chain, scripts, previous = None, set[bytes](), b""
    ours = set[bytes]()
    missing, height, work = dict[bytes, int](), 0, 0
    whole, found, last = False, 0, 0
    unlisted: list[int] = [0, 0]
    targets: dict[bytes, tuple[int, int]] = {}
    for raw in _blocks(path):
        header = raw[:HEADER_BYTES]
        if chain is None:
            chain = _chain_on(header[4:36], file)
            scripts, previous = _scripts(chain, file), header[4:36]
            ours = {name for name, block in file.blocks.blocks.items() if block.chain == chain}
            missing = {name: file.blocks.blocks[name].height for name in ours & file.blocks.standing}
            last = max((file.blocks.blocks[name].height for name in ours), default=0)
        height += 1
        if header[4:36] != previous:
            raise EvidenceError(f"block {height} does not stand on the block before it")
        previous = double_sha256(header)
        target, each = _target(header, height, targets)
        if int.from_bytes(previous, "little") > target:
            raise EvidenceError(f"block {height} does not meet its own target")
        work += each
        if previous in ours:
            found += 1
            if missing.pop(previous, height) != height:
                raise EvidenceError(f"block {hash_text(previous)} is at height {height}, and the file has it elsewhere")
        elif len(raw) > HEADER_BYTES and _pays(raw, scripts):
            unlisted[height <= last] += 1
        whole = whole or len(raw) > HEADER_BYTES
    if chain is None:
        raise NotChainError(f"{path} has no block: an export of a chain has one line of hexadecimal for each from height 1 on")
    if missing:
        name = min(missing, key=missing.__getitem__)
        raise EvidenceError(
            f"block {missing[name]} ({hash_text(name)}), which the file has in the chain, is not in it"
            + (f", and {len(missing) - 1} more" if len(missing) > 1 else "")
        )
    standing = len(ours & file.blocks.standing)
    return ChainReport(
        chain=chain,
        blocks=height,
        tip=hash_text(previous),
        work_hashes=work,
        standing=standing,
        others=len(ours) - standing,
        others_found=found - standing,
        later=unlisted[0] if whole else None,
        earlier=unlisted[1] if whole else None,
    )


def _target(header: bytes, height: int, known: dict[bytes, tuple[int, int]]) -> tuple[int, int]:
    """A header's own target and the work behind it; the last one is kept, as most headers repeat it."""
    bits = header[72:76]
    if bits not in known:
        try:
            target = target_of_bits(int.from_bytes(bits, "little"))
        except ValueError as error:
            raise EvidenceError(f"block {height}: {error}") from error
        known.clear()
        known[bits] = target, work_of_target(target)
    return known[bits]


def _chain_on(genesis_hash: bytes, file: FileState) -> str:
    """Which of the file's chains begins with a block."""
    chains = {site.facts.chain: site.facts.genesis_hash for site in file.sites.values()}
    chains |= {} if file.books is None else file.books.chains
    for name, known in chains.items():
        if known == genesis_hash:
            return name
    raise EvidenceError(f"its first block stands on {hash_text(genesis_hash)}, the genesis block of no chain of the file")


def _scripts(chain: str, file: FileState) -> set[bytes]:
    found = {site.facts.payout_script for site in file.sites.values() if site.facts.chain == chain}
    return found | (set() if file.books is None else file.books.scripts.get(chain, set()))


def _pays(raw: bytes, scripts: set[bytes]) -> bool:
    """Whether a block's first transaction pays one of the scripts; of one that cannot be read, nothing is said."""
    try:
        reader = Reader(raw, "block", HEADER_BYTES)
        reader.compact_size()
        return any(output.script in scripts for output in Transaction.read(reader).outputs)
    except FormatError:
        return False


def _blocks(path: Path) -> Iterator[bytes]:
    """The lines' bytes, each a block or a header. Raises NotChainError."""
    wrong = f"{path} is no export of a chain: it has one line of hexadecimal for each block, whole or its first 80 bytes"
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                try:
                    raw = bytes.fromhex(line.decode("ascii"))
                except ValueError:
                    raise NotChainError(f"{wrong}; line {number} is neither") from None
                if len(raw) < HEADER_BYTES or len(line) > MAX_LINE_BYTES:
                    raise NotChainError(f"{wrong}; line {number} is neither")
                yield raw
    except OSError as error:
        raise NotChainError(f"{path} cannot be read: {error.strerror}") from error
