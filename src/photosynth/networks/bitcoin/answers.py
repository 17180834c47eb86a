"""A bitcoind's answers as the types that the rest of the system uses; each raises ValueError where it is not that."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from photosynth.bitcoin.merkle import witness_commitment_script
from photosynth.bitcoin.node import Coin, Template, TemplateTransaction, Tip, hash_bytes
from photosynth.quantities.value import SAT_PER_BTC
from photosynth.quantities.work import TWO_256

MAX_MONEY_SAT = 21_000_000 * SAT_PER_BTC


def tip_of_header(header: Mapping[str, Any]) -> Tip:
    """The tip by ``getblockheader``."""
    return Tip(height=_integer(header["height"]), hash=hash_bytes(header["hash"]), time_s=_integer(header["time"]))


def template_of(answer: Mapping[str, Any], long_poll_id: str, demonstration_target: int | None) -> Template:
    """The template by ``getblocktemplate``, its target replaced by a demonstration's where that is harder."""
    network_target = int(answer["target"], 16)
    if not 0 < network_target < TWO_256:
        raise ValueError(f"the target {answer['target'][:80]} is out of range")
    transactions = tuple(
        TemplateTransaction(
            raw=bytes.fromhex(entry["data"]),
            txid=hash_bytes(entry["txid"]),
            wtxid=hash_bytes(entry["hash"]),
            fee_sat=_integer(entry["fee"], MAX_MONEY_SAT),
            weight=_integer(entry["weight"]),
        )
        for entry in answer["transactions"]
    )
    commitment = answer.get("default_witness_commitment")
    return Template(
        height=_integer(answer["height"]),
        previous_hash=hash_bytes(answer["previousblockhash"]),
        version=_integer(answer["version"], 2**31 - 1, least=-(2**31)),
        bits=_integer(int(answer["bits"], 16)),
        time_s=_integer(answer["curtime"]),
        min_time_s=_integer(answer["mintime"]),
        target=network_target if demonstration_target is None else min(network_target, demonstration_target),
        network_target=network_target,
        coinbase_value_sat=_integer(answer["coinbasevalue"], MAX_MONEY_SAT),
        transactions=transactions,
        witness_commitment=bytes.fromhex(commitment)
        if commitment is not None
        else witness_commitment_script([transaction.wtxid for transaction in transactions]),
        long_poll_id=long_poll_id,
    )


def coins_of(answer: Mapping[str, Any], script: bytes) -> tuple[Coin, ...]:
    """The coins by ``scantxoutset``, only those of exactly this script, in order of height, txid and index."""
    if answer.get("success") is not True:
        raise ValueError("the scan was not completed")
    coins = [
        Coin(
            txid=hash_bytes(entry["txid"]),
            index=_integer(entry["vout"]),
            value_sat=satoshis(entry["amount"]),
            height=_integer(entry["height"]),
            coinbase=bool(entry["coinbase"]),
        )
        for entry in answer["unspents"]
        if bytes.fromhex(entry["scriptPubKey"]) == script
    ]
    return tuple(sorted(coins, key=lambda coin: (coin.height, coin.txid, coin.index)))


def satoshis(amount: Decimal | int) -> int:
    """An amount in bitcoin, as bitcoind writes it, in whole satoshis."""
    exact = Decimal(amount) * SAT_PER_BTC
    value = int(exact)
    if value != exact or not 0 <= value <= MAX_MONEY_SAT:
        raise ValueError(f"{amount} is not an amount of bitcoin")
    return value


def _integer(value: object, most: int = 2**32 - 1, *, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{str(value)[:80]!r} is not a whole number from {least} to {most}")
    return value
