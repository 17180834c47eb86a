"""Judging a share: rebuild the whole header that the miner hashed, hash it, and compare.

The order matters: whether it solves a block is known before anything can refuse it.
"""

import struct
from hashlib import sha256

import msgspec

from photosynth.pool.jobs import PoolJob
from photosynth.stratum.server import Submit

_HEADER = struct.Struct("<I32s32sIII")
"""A whole block header: version, previous hash, Merkle root, time, bits, nonce."""


class Candidate(msgspec.Struct, gc=False):
    """A share's header (80 bytes), its hash as bytes and as the number that targets are compared with."""

    header: bytes
    hash: bytes
    number: int
    extranonce: bytes


def rebuild(job: PoolJob, submit: Submit, extranonce1: bytes, version_mask: int) -> Candidate:
    """The header that a miner hashed, with its version bits, extranonce, time and nonce."""
    extranonce = extranonce1 + submit.extranonce2
    root = sha256(sha256(job.coinbase.prefix + extranonce + job.coinbase.suffix).digest()).digest()
    for sibling in job.branch:
        root = sha256(sha256(root + sibling).digest()).digest()
    template = job.template
    version = (template.version & ~version_mask) | (submit.version_bits & version_mask)
    header = _HEADER.pack(version & 0xFFFFFFFF, template.previous_hash, root, submit.time_s, template.bits, submit.nonce)
    share_hash = sha256(sha256(header).digest()).digest()
    return Candidate(header, share_hash, int.from_bytes(share_hash, "little"), extranonce)


def objection(candidate: Candidate, job: PoolJob, submit: Submit, target: int, max_ahead_s: int) -> str | None:
    """Why a share on a current job is refused (a name of ``CAUSES``), None where it is good. Remembers good ones."""
    if not job.time_s <= submit.time_s <= job.time_s + max_ahead_s:
        return "time"
    if candidate.number > target:
        return "low-difficulty"
    if candidate.hash in job.seen:
        return "duplicate"
    job.seen.add(candidate.hash)
    return None
