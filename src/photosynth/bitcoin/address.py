"""Addresses and the output scripts they stand for, on the main, test, signet and regtest chains.

Witness addresses by BIP173 and BIP350, older ones by base58 with a checksum (Bitcoin Core, ``key_io.cpp``).
"""

from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from photosynth.bitcoin import bech32
from photosynth.bitcoin.script import OP_0, OP_1, OP_CHECKSIG, OP_DUP, OP_EQUAL, OP_EQUALVERIFY, OP_HASH160
from photosynth.bitcoin.wire import FormatError, double_sha256

Chain = Literal["main", "test", "testnet4", "signet", "regtest"]
"""A chain by the name that bitcoind gives it."""
CHAINS: dict[str, Chain] = {"main": "main", "test": "test", "testnet4": "testnet4", "signet": "signet", "regtest": "regtest"}
"""Every chain by its name as text."""

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_MAX_BASE58_CHARACTERS = 50
_P2PKH_START = bytes((OP_DUP, OP_HASH160, 20))
_P2PKH_END = bytes((OP_EQUALVERIFY, OP_CHECKSIG))
_P2SH_START = bytes((OP_HASH160, 20))
_P2SH_END = bytes((OP_EQUAL,))


@dataclass(frozen=True, slots=True)
class _Prefixes:
    bech32: str
    p2pkh: int
    p2sh: int


_PREFIXES: dict[str, _Prefixes] = {
    "main": _Prefixes("bc", 0, 5),
    "test": _Prefixes("tb", 111, 196),
    "testnet4": _Prefixes("tb", 111, 196),
    "signet": _Prefixes("tb", 111, 196),
    "regtest": _Prefixes("bcrt", 111, 196),
}


def script_of_address(address: str, chain: Chain) -> bytes:
    """The output script that an address stands for. Raises FormatError: malformed, or of another chain."""
    prefixes = _PREFIXES[chain]
    lowered = address.lower()
    if any(lowered.startswith(known.bech32 + "1") for known in _PREFIXES.values()):
        return _witness_script(address, prefixes.bech32, chain)
    payload = base58check_decode(address)
    if len(payload) != 21:
        raise FormatError("address", 0, f"it holds {len(payload)} bytes where a version and a 20-byte hash belong")
    if payload[0] == prefixes.p2pkh:
        return _P2PKH_START + payload[1:] + _P2PKH_END
    if payload[0] == prefixes.p2sh:
        return _P2SH_START + payload[1:] + _P2SH_END
    raise FormatError("address", 0, f"the version {payload[0]} does not belong to the chain {chain}")


def address_of_script(script: bytes, chain: Chain) -> str | None:
    """The address of an output script, None where it has none."""
    prefixes = _PREFIXES[chain]
    if len(script) == 25 and script.startswith(_P2PKH_START) and script.endswith(_P2PKH_END):
        return base58check_encode(bytes((prefixes.p2pkh,)) + script[3:23])
    if len(script) == 23 and script.startswith(_P2SH_START) and script.endswith(_P2SH_END):
        return base58check_encode(bytes((prefixes.p2sh,)) + script[2:22])
    if 4 <= len(script) <= 42 and script[1] == len(script) - 2:
        version = _witness_version(script[0])
        if version is not None and (version > 0 or len(script) in (22, 34)):
            constant = bech32.BECH32M if version else bech32.BECH32
            return bech32.encode(prefixes.bech32, bytes((version,)) + bech32.to_groups(script[2:]), constant)
    return None


def base58check_encode(payload: bytes) -> str:
    """Base58 text of a payload and its four-byte checksum."""
    raw = payload + double_sha256(payload)[:4]
    number, letters = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        letters = _BASE58[digit] + letters
    return "1" * (len(raw) - len(raw.lstrip(b"\x00"))) + letters


def base58check_decode(text: str) -> bytes:
    """The payload of base58 text whose checksum holds. Raises FormatError with the character."""
    if len(text) > _MAX_BASE58_CHARACTERS:
        raise FormatError("base58 text", _MAX_BASE58_CHARACTERS, f"more than {_MAX_BASE58_CHARACTERS} characters")
    number = 0
    for at, letter in enumerate(text):
        digit = _BASE58.find(letter)
        if digit < 0:
            raise FormatError("base58 text", at, f"{letter!r} is not in the alphabet")
        number = number * 58 + digit
    zeros = sum(1 for _ in takewhile(lambda letter: letter == "1", text))
    raw = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(raw) < 4 or double_sha256(raw[:-4])[:4] != raw[-4:]:
        raise FormatError("base58 text", max(0, len(text) - 4), "the checksum does not hold: a character is wrong")
    return raw[:-4]


def _witness_script(address: str, prefix: str, chain: str) -> bytes:
    found, groups, constant = bech32.decode(address)
    if found != prefix:
        raise FormatError("address", 0, f"the prefix {found} does not belong to the chain {chain}, whose is {prefix}")
    start = len(found) + 1
    if not groups or groups[0] > 16:
        raise FormatError("address", start, "the witness version is missing or above 16")
    version, program = groups[0], bech32.from_groups(groups[1:])
    if constant != (bech32.BECH32M if version else bech32.BECH32):
        raise FormatError("address", start, f"witness version {version} has the other kind of checksum (BIP350)")
    if not 2 <= len(program) <= 40 or (version == 0 and len(program) not in (20, 32)):
        raise FormatError("address", start, f"witness version {version} has no program of {len(program)} bytes")
    return bytes((OP_1 - 1 + version if version else OP_0, len(program))) + program


def _witness_version(opcode: int) -> int | None:
    if opcode == OP_0:
        return 0
    return opcode - OP_1 + 1 if OP_1 <= opcode < OP_1 + 16 else None
