"""Real double SHA-256 over block headers, in small batches, at a declared scale.

A simulated machine of 200 TH/s really hashes some hundred times a second; each of its hashes stands for as many as the
declared scale says. The pool multiplies by the same number, so both must get it from here.
"""

from hashlib import sha256

from photosynth.stratum.work import Job

_LAST_TWO = [value.to_bytes(2, "little") for value in range(1 << 16)]
_BLOCK = 1 << 16


def declared_scale(nameplate_hs: int, real_hs: int, speed_milli: int) -> int:
    """Hashes that one real hash stands for, the same for every machine of a fleet: nameplate x speed / real rate.

    ``nameplate_hs`` is the hash rate of all machines at full power, ``real_hs`` what they shall really hash together
    by the wall clock, ``speed_milli`` the site's milliseconds per wall second. At least 1.
    """
    if nameplate_hs < 1 or real_hs < 1 or speed_milli < 1:
        raise ValueError("a scale needs a hash rate, a real hash rate and a speed above zero")
    return max(1, nameplate_hs * speed_milli // (real_hs * 1000))


class Scanner:
    """Walks through the nonces of one header. The 78 bytes that stay are hashed once, and the last two for each try."""

    __slots__ = ("_fixed", "_middle", "_next", "_prefix", "_target", "_top", "extranonce2", "job")

    def __init__(self, job: Job, extranonce2: bytes) -> None:
        self.job, self.extranonce2 = job, extranonce2
        self._prefix = sha256(job.header_prefix(extranonce2))
        self._target, self._top = job.target, job.target >> 248
        self._fixed = -1
        self._next = _BLOCK
        self._middle = self._prefix

    def scan(self, count: int) -> list[int]:
        """Try the next ``count`` nonces; the nonces whose hash does not exceed the job's target, as header integers."""
        found: list[int] = []
        while count > 0:
            if self._next >= _BLOCK:
                self._fixed = (self._fixed + 1) % _BLOCK
                self._middle = self._prefix.copy()
                self._middle.update(self._fixed.to_bytes(2, "little"))
                self._next = 0
            first = self._next
            batch = _LAST_TWO[first : first + count]
            copy, top = self._middle.copy, self._top
            for last in batch:
                inner = copy()
                inner.update(last)
                digest = sha256(inner.digest()).digest()
                if digest[31] <= top and int.from_bytes(digest, "little") <= self._target:
                    found.append(self._fixed | int.from_bytes(last, "little") << 16)
            self._next = first + len(batch)
            count -= len(batch)
        return found
