"""Script pushes: writing numbers and data, reading a script's elements (Bitcoin Core, ``script.h``)."""

from collections.abc import Iterator

from photosynth.bitcoin.wire import FormatError

OP_0 = 0x00
OP_PUSHDATA1 = 0x4C
OP_PUSHDATA2 = 0x4D
OP_PUSHDATA4 = 0x4E
OP_1NEGATE = 0x4F
OP_1 = 0x51
OP_16 = 0x60
OP_RETURN = 0x6A
OP_DUP = 0x76
OP_EQUAL = 0x87
OP_EQUALVERIFY = 0x88
OP_HASH160 = 0xA9
OP_CHECKSIG = 0xAC


def number_bytes(value: int) -> bytes:
    """A script number: little-endian magnitude with the sign in the top bit, shortest form; zero is empty."""
    if value == 0:
        return b""
    magnitude = abs(value)
    raw = bytearray(magnitude.to_bytes(magnitude.bit_length() // 8 + 1, "little"))
    if len(raw) > 1 and raw[-1] == 0 and not raw[-2] & 0x80:
        raw.pop()
    if value < 0:
        raw[-1] |= 0x80
    return bytes(raw)


def push_data(data: bytes) -> bytes:
    """A push of these bytes by the shortest push opcode of their length. Raises ValueError past 520 bytes."""
    if len(data) > 520:
        raise ValueError(f"a push holds at most 520 bytes, not {len(data)}")
    if len(data) < OP_PUSHDATA1:
        return bytes((len(data),)) + data
    if len(data) <= 0xFF:
        return bytes((OP_PUSHDATA1, len(data))) + data
    return bytes((OP_PUSHDATA2,)) + len(data).to_bytes(2, "little") + data


def push_number(value: int) -> bytes:
    """A push of a number as Bitcoin Core writes it, BIP34's height too: OP_0, OP_1 to OP_16, else its bytes."""
    if value == 0:
        return bytes((OP_0,))
    if 1 <= value <= 16:
        return bytes((OP_1 - 1 + value,))
    if value == -1:
        return bytes((OP_1NEGATE,))
    return push_data(number_bytes(value))


def elements(script: bytes) -> Iterator[tuple[int, bytes | None]]:
    """The script's elements in order: opcode, and the bytes it pushes or None. Raises FormatError where cut off."""
    at = 0
    while at < len(script):
        opcode, start = script[at], at
        at += 1
        if opcode > OP_PUSHDATA4:
            yield opcode, None
            continue
        length = opcode
        if opcode >= OP_PUSHDATA1:
            width = 1 << (opcode - OP_PUSHDATA1)
            if at + width > len(script):
                raise FormatError("script", start, "the length of a push is cut off")
            length = int.from_bytes(script[at : at + width], "little")
            at += width
        if at + length > len(script):
            raise FormatError("script", start, f"{length} bytes are pushed and {len(script) - at} are left")
        yield opcode, script[at : at + length]
        at += length
