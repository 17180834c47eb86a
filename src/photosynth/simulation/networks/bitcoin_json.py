"""Blocks, headers and transactions as bitcoind writes them in JSON, key for key.

Source: Bitcoin Core 29, ``rpc/blockchain.cpp`` (``blockheaderToJSON``, ``blockToJSON``), ``core_write.cpp`` (``TxToUniv``),
and the answers of a bitcoind 29 on regtest, against which the contract suite holds these.
"""

from typing import Any

import msgspec

from photosynth.bitcoin.address import address_of_script
from photosynth.bitcoin.block import Block, Header
from photosynth.bitcoin.descriptor import checksum
from photosynth.bitcoin.node import hash_text
from photosynth.bitcoin.script import elements
from photosynth.bitcoin.target import target_of_bits
from photosynth.bitcoin.transaction import Transaction
from photosynth.bitcoin.wire import FormatError
from photosynth.quantities.value import SAT_PER_BTC
from photosynth.quantities.work import DIFFICULTY_1_TARGET, work_of_target

_OPCODES = {0x6A: "OP_RETURN", 0x76: "OP_DUP", 0xA9: "OP_HASH160", 0x88: "OP_EQUALVERIFY", 0xAC: "OP_CHECKSIG", 0x87: "OP_EQUAL"}
"""The names of what standard scripts are made of; another opcode is written by its number."""
_LARGEST_NUMBER_BYTES = 4


def header_json(header: Header, height: int, tip_height: int, median_time_s: int, transactions: int) -> dict[str, Any]:
    """``getblockheader``'s answer without its neighbours. On regtest the target never changes, so the height tells the work."""
    target = target_of_bits(header.bits)
    return {
        "hash": hash_text(header.hash),
        "confirmations": tip_height - height + 1,
        "height": height,
        "version": header.version,
        "versionHex": format(header.version & 0xFFFFFFFF, "08x"),
        "merkleroot": hash_text(header.merkle_root),
        "time": header.time_s,
        "mediantime": median_time_s,
        "nonce": header.nonce,
        "bits": format(header.bits, "08x"),
        "target": format(target, "064x"),
        "difficulty": difficulty(header.bits),
        "chainwork": format(work_of_target(target) * (height + 1), "064x"),
        "nTx": transactions,
    }


def difficulty(bits: int) -> msgspec.Raw:
    """The difficulty of a compact target, with bitcoind's sixteen digits."""
    return msgspec.Raw(f"{DIFFICULTY_1_TARGET / target_of_bits(bits):.16g}".encode())


def block_json(block: Block, raw_size: int, chain: str, *, whole: bool) -> dict[str, Any]:
    """What ``getblock`` adds to the header: sizes, and the transactions by id or, where ``whole``, as they are."""
    stripped = raw_size - sum(len(entry.serialise()) - len(entry.serialise(witness=False)) for entry in block.transactions)
    entries = [transaction_json(entry, chain) if whole else hash_text(entry.txid) for entry in block.transactions]
    return {"strippedsize": stripped, "size": raw_size, "weight": 3 * stripped + raw_size, "tx": entries}


def transaction_json(entry: Transaction, chain: str) -> dict[str, Any]:
    """A transaction of a block. Fees are not told, as of a pruned node: what it spends is not looked up."""
    raw = entry.serialise()
    inputs = []
    for item in entry.inputs:
        told: dict[str, Any]
        if entry.is_coinbase:
            told = {"coinbase": item.script.hex()}
        else:
            told = {
                "txid": hash_text(item.previous_txid),
                "vout": item.previous_index,
                "scriptSig": {"asm": asm(item.script), "hex": item.script.hex()},
            }
        if item.witness:
            told["txinwitness"] = [element.hex() for element in item.witness]
        inputs.append({**told, "sequence": item.sequence})
    return {
        "txid": hash_text(entry.txid),
        "hash": hash_text(entry.wtxid),
        "version": entry.version,
        "size": len(raw),
        "vsize": -(-entry.weight // 4),
        "weight": entry.weight,
        "locktime": entry.lock_time,
        "vin": inputs,
        "vout": [
            {"value": coins(output.value_sat), "n": number, "scriptPubKey": script_json(output.script, chain)}
            for number, output in enumerate(entry.outputs)
        ],
        "hex": raw.hex(),
    }


def coins(value_sat: int) -> msgspec.Raw:
    """An amount as bitcoind writes it: a number with eight decimals."""
    whole, rest = divmod(abs(value_sat), SAT_PER_BTC)
    return msgspec.Raw(f"{'-' if value_sat < 0 else ''}{whole}.{rest:08d}".encode())


def script_json(script: bytes, chain: str) -> dict[str, Any]:
    """An output script: its words, a descriptor, its bytes, its address where it has one, and its kind."""
    address, kind = address_of_script(script, chain), kind_of(script)  # type: ignore[arg-type]
    descriptor = f"addr({address})" if address else f"raw({script.hex()})"
    if kind == "pubkey":
        descriptor = f"pk({script[1:-1].hex()})"
    told = {"asm": asm(script), "desc": f"{descriptor}#{checksum(descriptor)}", "hex": script.hex()}
    return {**told, **({"address": address} if address else {}), "type": kind}


def kind_of(script: bytes) -> str:
    """The kind of an output script in bitcoind's words (``script/solver.cpp``), those of multiple keys left out."""
    witness = {(0, 22): "witness_v0_keyhash", (0, 34): "witness_v0_scripthash", (0x51, 34): "witness_v1_taproot"}
    if 4 <= len(script) <= 42 and script[1] == len(script) - 2:
        if (found := witness.get((script[0], len(script)))) is not None:
            return found
        if 0x51 <= script[0] <= 0x60:
            return "anchor" if script == bytes.fromhex("51024e73") else "witness_unknown"
    if len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return "pubkeyhash"
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22:] == b"\x87":
        return "scripthash"
    if script[-1:] == b"\xac" and (len(script), script[:1]) in ((35, b"\x21"), (67, b"\x41")):
        return "pubkey"
    return "nulldata" if script[:1] == b"\x6a" and _pushes_only(script[1:]) else "nonstandard"


def _pushes_only(script: bytes) -> bool:
    try:
        return all(opcode <= 0x60 for opcode, _ in elements(script))
    except FormatError:
        return False


def asm(script: bytes) -> str:
    """A script in words: data in hexadecimal (up to four bytes as a number), opcodes by name."""
    words = []
    try:
        for opcode, data in elements(script):
            if data is not None:
                words.append(_number(data) if len(data) <= _LARGEST_NUMBER_BYTES else data.hex())
            elif 0x51 <= opcode <= 0x60:
                words.append(str(opcode - 0x50))
            else:
                words.append(_OPCODES.get(opcode, f"OP_{opcode}"))
    except FormatError:
        words.append("[error]")
    return " ".join(words)


def _number(data: bytes) -> str:
    """Data as a script's number: little endian, the highest bit is the sign (Bitcoin Core, ``CScriptNum``)."""
    if not data:
        return "0"
    size = len(data)
    value = int.from_bytes(data, "little")
    sign = 1 << 8 * size - 1
    return str(-(value - sign) if value & sign else value)
