"""Targets in their compact form, ``nBits`` (Bitcoin Core, ``arith_uint256::SetCompact``)."""

from photosynth.quantities.work import TWO_256

REGTEST_BITS = 0x207FFFFF


def target_of_bits(bits: int) -> int:
    """The integer target of a compact form. Raises ValueError where it is negative, zero or past 256 bits."""
    if not 0 <= bits <= 0xFFFFFFFF:
        raise ValueError(f"a compact target has 32 bits: {bits:#x}")
    size, word = bits >> 24, bits & 0x7FFFFF
    target = word >> 8 * (3 - size) if size <= 3 else word << 8 * (size - 3)
    if bits & 0x800000 and word:
        raise ValueError(f"the compact target {bits:08x} is negative")
    if not 0 < target < TWO_256:
        raise ValueError(f"the compact target {bits:08x} lies outside 1 to 2^256 - 1")
    return target


def bits_of_target(target: int) -> int:
    """The compact form of a target, rounded down to 23 significant bits. Raises ValueError outside 1 to 2^256 - 1."""
    if not 0 < target < TWO_256:
        raise ValueError(f"a target lies between 1 and 2^256 - 1, not at {target}")
    size = (target.bit_length() + 7) // 8
    word = target << 8 * (3 - size) if size <= 3 else target >> 8 * (size - 3)
    if word & 0x800000:
        word >>= 8
        size += 1
    return size << 24 | word
