"""Bech32 and bech32m text (BIP173, BIP350): five-bit groups behind a readable prefix, with a checksum."""

from photosynth.bitcoin.wire import FormatError

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BECH32 = 1
BECH32M = 0x2BC830A3
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_VALUE_OF = {letter: value for value, letter in enumerate(ALPHABET)}
MAX_CHARACTERS = 90
CHECKSUM_CHARACTERS = 6


def encode(prefix: str, groups: bytes, constant: int) -> str:
    """Text of five-bit groups with the checksum of :data:`BECH32` or :data:`BECH32M`."""
    remainder = _polymod(_expand(prefix) + groups + bytes(CHECKSUM_CHARACTERS)) ^ constant
    check = [remainder >> 5 * (5 - place) & 31 for place in range(CHECKSUM_CHARACTERS)]
    return prefix + "1" + "".join(ALPHABET[group] for group in (*groups, *check))


def decode(text: str) -> tuple[str, bytes, int]:
    """Prefix, groups without checksum, and which constant the checksum has. Raises FormatError with the character."""
    what = "bech32 text"
    if len(text) > MAX_CHARACTERS:
        raise FormatError(what, MAX_CHARACTERS, f"{len(text)} characters are more than {MAX_CHARACTERS}")
    for at, letter in enumerate(text):
        if not 33 <= ord(letter) <= 126:
            raise FormatError(what, at, "the character is not printable ASCII")
    if text != text.lower() and text != text.upper():
        raise FormatError(what, 0, "upper and lower case are mixed")
    text = text.lower()
    split = text.rfind("1")
    if split < 1 or split + 1 + CHECKSUM_CHARACTERS > len(text):
        raise FormatError(what, max(split, 0), "the separator 1 is missing or misplaced")
    for at in range(split + 1, len(text)):
        if text[at] not in _VALUE_OF:
            raise FormatError(what, at, f"{text[at]!r} is not in the alphabet")
    prefix, groups = text[:split], bytes(_VALUE_OF[letter] for letter in text[split + 1 :])
    constant = _polymod(_expand(prefix) + groups)
    if constant not in (BECH32, BECH32M):
        raise FormatError(what, len(text) - CHECKSUM_CHARACTERS, "the checksum does not hold: a character is wrong")
    return prefix, groups[:-CHECKSUM_CHARACTERS], constant


def to_groups(data: bytes) -> bytes:
    """Bytes as five-bit groups, the last one filled with zero bits."""
    size = (len(data) * 8 + 4) // 5
    number = int.from_bytes(data, "big") << (size * 5 - len(data) * 8)
    return bytes(number >> 5 * (size - 1 - place) & 31 for place in range(size))


def from_groups(groups: bytes) -> bytes:
    """Five-bit groups as bytes; raises FormatError where the bits left over are more than four or not zero."""
    size, left = divmod(len(groups) * 5, 8)
    number = 0
    for group in groups:
        number = number << 5 | group
    if left > 4 or number & ((1 << left) - 1):
        raise FormatError("bech32 text", len(groups), "the bits left over at the end are not zero padding")
    return (number >> left).to_bytes(size, "big")


def _expand(prefix: str) -> bytes:
    raw = prefix.encode("ascii")
    return bytes(byte >> 5 for byte in raw) + b"\x00" + bytes(byte & 31 for byte in raw)


def _polymod(values: bytes) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_GENERATOR):
            if top >> place & 1:
                check ^= generator
    return check
