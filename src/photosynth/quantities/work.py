"""Proof of work as exact integers: targets, hashes and what they are expected to earn."""

from fractions import Fraction

TWO_256 = 1 << 256
DIFFICULTY_1_TARGET = 0xFFFF << 208
"""The target of Bitcoin's difficulty 1 (Bitcoin Core, ``chainparams``: compact 1d00ffff)."""


def work_of_target(target: int) -> int:
    """Hashes expected to find one at or below an integer target: floor(2^256 / (target + 1)).

    Source: Bitcoin Core, ``GetBlockProof``. Raises ValueError where the target is outside 0 to 2^256 - 1.
    """
    if not 0 <= target < TWO_256:
        raise ValueError(f"a target lies between 0 and 2^256 - 1, not at {target}")
    return TWO_256 // (target + 1)


def target_of_work(hashes: int) -> int:
    """The largest target whose work is at least so many hashes; the inverse of :func:`work_of_target`."""
    if hashes < 1:
        raise ValueError(f"work is at least one hash, not {hashes}")
    return TWO_256 // hashes - 1


def target_of_difficulty(difficulty: float) -> int:
    """The integer target of a Stratum difficulty, which may be a fraction of one: floor(difficulty-1 target / d)."""
    if not 0 < difficulty < float("inf"):
        raise ValueError(f"a difficulty is a positive number, not {difficulty}")
    return min(int(DIFFICULTY_1_TARGET / Fraction(difficulty)), TWO_256 - 1)


def difficulty_of_target(target: int) -> float:
    """The Stratum difficulty of a target, for showing and for ``mining.set_difficulty``."""
    return float(Fraction(DIFFICULTY_1_TARGET, max(target, 1)))
