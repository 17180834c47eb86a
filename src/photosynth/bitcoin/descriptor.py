"""Descriptors of one script, ``addr(ADDRESS)`` and ``raw(HEX)``, with the checksum that may follow (BIP380, BIP385)."""

import re

from photosynth.bitcoin.address import Chain, script_of_address
from photosynth.bitcoin.wire import FormatError

CHECKSUM_CHARACTERS = 8
_INPUT = "0123456789()[],'/*abcdefgh@:$%{}" + "IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~" + 'ijklmnopqrstuvwxyzABCDEFGH`#"\\ '
_OUTPUT = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)
_ONE_SCRIPT = re.compile(r"(addr|raw)\(([A-Za-z0-9]+)\)")


def checksum(descriptor: str) -> str:
    """The eight characters that guard a descriptor's text. Raises FormatError with a character that none can hold."""
    groups: list[int] = []
    high: list[int] = []
    for at, letter in enumerate(descriptor):
        value = _INPUT.find(letter)
        if value < 0:
            raise FormatError("descriptor", at, f"{letter!r} cannot stand in one")
        groups.append(value & 31)
        high.append(value >> 5)
        if len(high) == 3:
            groups.append(high[0] * 9 + high[1] * 3 + high[2])
            high.clear()
    if high:
        groups.append(high[0] if len(high) == 1 else high[0] * 3 + high[1])
    state = 1
    for group in (*groups, *[0] * CHECKSUM_CHARACTERS):
        top = state >> 35
        state = (state & 0x7FFFFFFFF) << 5 ^ group
        for bit, constant in enumerate(_GENERATOR):
            if top >> bit & 1:
                state ^= constant
    state ^= 1
    return "".join(_OUTPUT[state >> 5 * (7 - at) & 31] for at in range(CHECKSUM_CHARACTERS))


def script_of_descriptor(text: str, chain: Chain) -> bytes:
    """The output script that a descriptor of one script stands for. Raises FormatError: malformed, or of another chain."""
    descriptor, mark, guard = text.partition("#")
    if mark and guard != checksum(descriptor):
        raise FormatError("descriptor", len(descriptor), "the checksum does not hold: a character is wrong")
    match = _ONE_SCRIPT.fullmatch(descriptor)
    if match is None:
        raise FormatError("descriptor", 0, "it is neither addr(ADDRESS) nor raw(SCRIPT in hexadecimal)")
    if match[1] == "addr":
        return script_of_address(match[2], chain)
    try:
        return bytes.fromhex(match[2])
    except ValueError:
        raise FormatError("descriptor", 4, "the script is not whole bytes in hexadecimal") from None
