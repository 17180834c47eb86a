"""What ``mining.notify`` carries, and the block header that a miner and a pool both build from it.

Hashes are in the order that they are hashed in. On the wire the previous hash has each of its 4-byte words byte-swapped,
branch hashes are plain, and version, bits and time are big-endian hexadecimal.
"""

import struct
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

MAX_BRANCH = 32
MAX_COINBASE = 64 * 1024
_WORDS = struct.Struct(">8I")
_WORDS_SWAPPED = struct.Struct("<8I")
_HEADER_TAIL = struct.Struct("<II")


def swap_words(value: bytes) -> bytes:
    """32 bytes with every 4-byte word reversed; its own inverse."""
    return _WORDS_SWAPPED.pack(*_WORDS.unpack(value))


def double_sha256(data: bytes) -> bytes:
    """SHA-256 twice, as Bitcoin hashes headers and transactions."""
    return sha256(sha256(data).digest()).digest()


def fold_branch(leaf: bytes, branch: tuple[bytes, ...]) -> bytes:
    """The Merkle root over a coinbase's id and the branch beside its path."""
    for sibling in branch:
        leaf = sha256(sha256(leaf + sibling).digest()).digest()
    return leaf


def header_head(version: int, previous_hash: bytes, merkle_root: bytes, time_s: int, bits: int) -> bytes:
    """The first 76 bytes of a block header: everything but the nonce. ``version`` is taken modulo 2^32."""
    return (version & 0xFFFFFFFF).to_bytes(4, "little") + previous_hash + merkle_root + _HEADER_TAIL.pack(time_s, bits)


@dataclass(frozen=True, slots=True)
class Job:
    """A job as a miner got it, with the extranonce and target that were in force when it came."""

    id: str
    previous_hash: bytes
    coinbase_prefix: bytes
    coinbase_suffix: bytes
    branch: tuple[bytes, ...]
    version: int
    bits: int
    time_s: int
    clean: bool
    extranonce1: bytes = b""
    extranonce2_size: int = 4
    target: int = 0
    version_mask: int = 0

    def header_prefix(self, extranonce2: bytes, time_s: int | None = None, version_bits: int = 0) -> bytes:
        """The 76 bytes before the nonce, ready for hashing.

        ``version_bits`` are those inside the job's version mask (BIP310); ``time_s`` defaults to the job's own.
        Raises ValueError where the extranonce has the wrong size.
        """
        if len(extranonce2) != self.extranonce2_size:
            raise ValueError(f"extranonce2 has {self.extranonce2_size} bytes, not {len(extranonce2)}")
        coinbase = self.coinbase_prefix + self.extranonce1 + extranonce2 + self.coinbase_suffix
        root = fold_branch(double_sha256(coinbase), self.branch)
        version = (self.version & ~self.version_mask) | (version_bits & self.version_mask)
        return header_head(version, self.previous_hash, root, self.time_s if time_s is None else time_s, self.bits)


def notify_params(job: Job) -> list[Any]:
    """The nine parameters of ``mining.notify``."""
    return [
        job.id,
        swap_words(job.previous_hash).hex(),
        job.coinbase_prefix.hex(),
        job.coinbase_suffix.hex(),
        [sibling.hex() for sibling in job.branch],
        f"{job.version & 0xFFFFFFFF:08x}",
        f"{job.bits:08x}",
        f"{job.time_s:08x}",
        job.clean,
    ]


def parse_notify(params: object) -> Job:
    """A job from the parameters of ``mining.notify``. Raises ValueError where they are not what they must be."""
    if not isinstance(params, list) or len(params) < 9:
        raise ValueError("mining.notify has nine parameters")
    job_id, previous, prefix, suffix, branch, version, bits, time_s, clean = params[:9]
    texts = (job_id, previous, prefix, suffix, version, bits, time_s)
    if not all(isinstance(text, str) for text in texts) or not isinstance(branch, list) or len(branch) > MAX_BRANCH:
        raise ValueError("mining.notify has parameters of the wrong type")
    if not all(isinstance(sibling, str) and len(sibling) == 64 for sibling in branch) or len(previous) != 64:
        raise ValueError("a hash has 64 hexadecimal digits")
    if len(prefix) + len(suffix) > 2 * MAX_COINBASE or len(job_id) > 128:
        raise ValueError("mining.notify has a parameter that is too long")
    return Job(
        id=job_id,
        previous_hash=swap_words(_hash(previous)),
        coinbase_prefix=bytes.fromhex(prefix),
        coinbase_suffix=bytes.fromhex(suffix),
        branch=tuple(_hash(sibling) for sibling in branch),
        version=parse_word(version),
        bits=parse_word(bits),
        time_s=parse_word(time_s),
        clean=bool(clean),
    )


def _hash(text: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != 32:  # fromhex skips blanks, so the text's length did not prove it
        raise ValueError("a hash has 64 hexadecimal digits")
    return value


def parse_word(text: str) -> int:
    """32 bits from 1 to 8 hexadecimal digits, big-endian. Raises ValueError for anything else, signs and blanks too."""
    if not 0 < len(text) <= 8 or not text.isalnum() or not text.isascii():
        raise ValueError(f"not 32 bits in hexadecimal: {text[:16]!r}")
    return int(text, 16)
