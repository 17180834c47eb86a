"""A bitcoind's answers as the types that the rest of the system uses.

Each raises one of :data:`MALFORMED` where the answer is not that, whatever else it is.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from photosynth.bitcoin.merkle import witness_commitment_script
from photosynth.bitcoin.node import Coin, NodeHealth, Template, TemplateTransaction, Tip
from photosynth.networks.bitcoin.document import hexadecimal, shown_text, truth, whole_number
from photosynth.quantities.value import SAT_PER_BTC

MAX_MONEY_SAT = 21_000_000 * SAT_PER_BTC
MALFORMED = (ValueError, TypeError, KeyError, AttributeError)
"""What reading an answer raises where it is another thing than expected."""
DECIMALS = 8
MOST_MAGNITUDE = 7
"""The power of ten of 21 million."""
MAX_WARNINGS = 20
MAX_WARNING = 500


MAX_WEIGHT = 4_000_000
MAX_LONG_POLL_ID = 200
MAX_SCRIPT_BYTES = 10_000


def tip_of_header(header: Mapping[str, Any]) -> Tip:
    """The tip by ``getblockheader``."""
    return Tip(height=whole_number(header["height"]), hash=hash_of(header["hash"]), time_s=whole_number(header["time"]))


def hash_of(text: object) -> bytes:
    """A hash as bitcoind writes it, in internal order."""
    return hexadecimal(text, 32)[::-1]


def health_of(chain: Mapping[str, Any], network: Mapping[str, Any], tip: Tip, own_warnings: Sequence[str]) -> NodeHealth:
    """What a node says of itself by ``getblockchaininfo`` and ``getnetworkinfo``, our own warnings of it added."""
    name = shown_text(chain["chain"], 32)
    headers = whole_number(chain["headers"])
    # A regtest node calls itself "in initial download" whenever its last block is a day old.
    downloading = truth(chain["initialblockdownload"]) and name != "regtest"
    return NodeHealth(
        software=shown_text(network["subversion"], 256),
        chain=name,
        tip=tip,
        headers=headers,
        peers=whole_number(network["connections"]),
        synchronised=headers <= whole_number(chain["blocks"]) and not downloading,
        warnings=(*(warnings_of(chain["warnings"]) or warnings_of(network["warnings"])), *own_warnings),
    )


def warnings_of(told: object) -> tuple[str, ...]:
    """The warnings of an answer: a list since version 28, one text before."""
    entries = told if isinstance(told, list) else [told]
    return tuple(text for entry in entries[:MAX_WARNINGS] if (text := shown_text(entry, MAX_WARNING)))


def template_of(answer: Mapping[str, Any], long_poll_id: str, demonstration_target: int | None) -> Template:
    """The template by ``getblocktemplate``, its target replaced by a demonstration's where that is harder."""
    network_target = int.from_bytes(hexadecimal(answer["target"], 32), "big")
    if not network_target:
        raise ValueError("the target is 0")
    transactions = tuple(
        TemplateTransaction(
            raw=hexadecimal(entry["data"]),
            txid=hash_of(entry["txid"]),
            wtxid=hash_of(entry["hash"]),
            fee_sat=whole_number(entry["fee"], MAX_MONEY_SAT),
            weight=whole_number(entry["weight"], MAX_WEIGHT),
        )
        for entry in answer["transactions"]
    )
    commitment = answer.get("default_witness_commitment")
    if commitment is None:
        witness_commitment = witness_commitment_script([transaction.wtxid for transaction in transactions])
    else:
        witness_commitment = hexadecimal(commitment)
        if len(witness_commitment) > MAX_SCRIPT_BYTES:
            raise ValueError(f"the witness commitment has {len(witness_commitment)} bytes")
    return Template(
        height=whole_number(answer["height"]),
        previous_hash=hash_of(answer["previousblockhash"]),
        version=whole_number(answer["version"], 2**31 - 1, least=-(2**31)),
        bits=int.from_bytes(hexadecimal(answer["bits"], 4), "big"),
        time_s=whole_number(answer["curtime"]),
        min_time_s=whole_number(answer["mintime"]),
        target=network_target if demonstration_target is None else min(network_target, demonstration_target),
        network_target=network_target,
        coinbase_value_sat=whole_number(answer["coinbasevalue"], MAX_MONEY_SAT),
        transactions=transactions,
        witness_commitment=witness_commitment,
        long_poll_id=long_poll_id,
    )


def long_poll_id_of(answer: Mapping[str, Any]) -> str:
    """The node's name for the state that a template was made in."""
    told = answer["longpollid"]
    if not isinstance(told, str) or len(told) > MAX_LONG_POLL_ID or not (told.isascii() and told.isprintable()):
        raise ValueError(f"the long poll's id is not a text of at most {MAX_LONG_POLL_ID} plain characters")
    return told


def coins_of(answer: Mapping[str, Any], script: bytes) -> tuple[Coin, ...]:
    """The coins by ``scantxoutset``, only those of exactly this script, in order of height, txid and index."""
    if answer.get("success") is not True:
        raise ValueError("the scan was not completed")
    coins = [
        Coin(
            txid=hash_of(entry["txid"]),
            index=whole_number(entry["vout"]),
            value_sat=satoshis(entry["amount"]),
            height=whole_number(entry["height"]),
            coinbase=truth(entry["coinbase"]),
        )
        for entry in answer["unspents"]
        if hexadecimal(entry["scriptPubKey"]) == script
    ]
    return tuple(sorted(coins, key=lambda coin: (coin.height, coin.txid, coin.index)))


def satoshis(amount: object) -> int:
    """An amount in bitcoin, as bitcoind writes it (at most eight decimals), in whole satoshis."""
    if isinstance(amount, bool) or not isinstance(amount, (int, Decimal)):
        raise ValueError(f"an amount of bitcoin is expected, not {type(amount).__name__}")
    exact = Decimal(amount)
    # Judged by what it is made of before it is computed with: an exponent may stand for a million digits.
    exponent = exact.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -DECIMALS or exact.adjusted() > MOST_MAGNITUDE:
        raise ValueError(f"{str(amount)[:40]} is not an amount of bitcoin")
    value = int(exact.scaleb(DECIMALS))
    if not 0 <= value <= MAX_MONEY_SAT:
        raise ValueError(f"{str(amount)[:40]} is not an amount of bitcoin")
    return value
