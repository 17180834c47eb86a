"""What any operator's bitcoind says of itself, as one observation; what it does not answer is UNKNOWN, not zero.

Only calls that read, and that every bitcoind since version 0.21 has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from photosynth.bitcoin.node import NodeUnavailableError, hash_text
from photosynth.networks.bitcoin.answers import MALFORMED, hash_of, warnings_of
from photosynth.networks.bitcoin.document import shown_text, truth, whole_number
from photosynth.networks.bitcoin.rpc import RpcClient
from photosynth.networks.grammar import UNKNOWN, Unknown

T = TypeVar("T")

STALE_TIP_S = 2 * 3600
"""A main chain waits this long for a block about once in 160,000 blocks, e^-12 (three years): then look at the node."""
MAX_TEXT = 500
MAX_COUNT = 2**63 - 1
"""The largest number that bitcoind writes."""


@dataclass(frozen=True, slots=True)
class NodeObservation:
    """One look at a bitcoind: when (milliseconds since the epoch), and each value that it told.

    ``tip_age_s`` is now less the time in the tip's header, which may run up to two hours ahead: it can be negative.
    """

    at_ms: int
    name: str
    problem: str | None
    software: str | Unknown = UNKNOWN
    version: int | Unknown = UNKNOWN
    chain: str | Unknown = UNKNOWN
    height: int | Unknown = UNKNOWN
    headers: int | Unknown = UNKNOWN
    tip_time_s: int | Unknown = UNKNOWN
    tip_age_s: int | Unknown = UNKNOWN
    initial_download: bool | Unknown = UNKNOWN
    pruned: bool | Unknown = UNKNOWN
    disk_bytes: int | Unknown = UNKNOWN
    peers_in: int | Unknown = UNKNOWN
    peers_out: int | Unknown = UNKNOWN
    mempool_transactions: int | Unknown = UNKNOWN
    mempool_bytes: int | Unknown = UNKNOWN
    uptime_s: int | Unknown = UNKNOWN
    warnings: tuple[str, ...] | Unknown = UNKNOWN

    def concerns(self) -> tuple[str, ...]:
        """Why the node is not to be trusted now, in words; empty where nothing that was told speaks against it."""
        if self.problem is not None:
            return (self.problem,)
        found: list[str] = []
        test = self.chain == "regtest"
        if self.height is UNKNOWN or self.headers is UNKNOWN:
            found.append("it does not tell its height")
        elif isinstance(self.height, int) and isinstance(self.headers, int) and self.headers > self.height:
            found.append(f"it knows {self.headers - self.height} headers whose blocks it has not checked")
        if self.initial_download is True and not test:
            found.append("it is still downloading the chain")
        if isinstance(self.tip_age_s, int) and self.tip_age_s > STALE_TIP_S and not test:
            found.append(f"its last block is {self.tip_age_s // 60} minutes old")
        if self.peers_in == 0 and self.peers_out == 0 and not test:
            found.append("it has no peers")
        if isinstance(self.warnings, tuple):
            found.extend(f"it warns: {text}" for text in self.warnings)
        return tuple(found)


async def probe(rpc: RpcClient, now_ms: int) -> NodeObservation:
    """Look at the node once. Never raises for what the node does: a silent node is an observation with its problem."""
    try:
        chain = await rpc.call("getblockchaininfo")
    except NodeUnavailableError as error:
        return NodeObservation(now_ms, rpc.name, str(error))
    network = await _answer(rpc, "getnetworkinfo")
    mempool = await _answer(rpc, "getmempoolinfo")
    uptime = await _answer(rpc, "uptime")
    header = await _answer(rpc, "getblockheader", _told(chain, "bestblockhash", _hash_text))
    tip_time_s = _told(header, "time", _count)
    return NodeObservation(
        at_ms=now_ms,
        name=rpc.name,
        problem=None,
        software=_told(network, "subversion", _text),
        version=_told(network, "version", _count),
        chain=_told(chain, "chain", _text),
        height=_told(chain, "blocks", _count),
        headers=_told(chain, "headers", _count),
        tip_time_s=tip_time_s,
        tip_age_s=now_ms // 1000 - tip_time_s if isinstance(tip_time_s, int) else UNKNOWN,
        initial_download=_told(chain, "initialblockdownload", truth),
        pruned=_told(chain, "pruned", truth),
        disk_bytes=_told(chain, "size_on_disk", _count),
        peers_in=_told(network, "connections_in", _count),
        peers_out=_told(network, "connections_out", _count),
        mempool_transactions=_told(mempool, "size", _count),
        mempool_bytes=_told(mempool, "bytes", _count),
        uptime_s=_told({"uptime": uptime}, "uptime", _count),
        warnings=_warnings(chain, network),
    )


async def _answer(rpc: RpcClient, method: str, *params: object) -> Any:
    if UNKNOWN in params:
        return None
    try:
        return await rpc.call(method, *params)
    except NodeUnavailableError:
        # One answer less: its values stay UNKNOWN and the others still stand.
        return None


def _told(answer: Any, key: str, convert: Callable[[Any], T]) -> T | Unknown:
    value = answer.get(key) if isinstance(answer, dict) else None
    try:
        return UNKNOWN if value is None else convert(value)
    except MALFORMED:
        return UNKNOWN


def _text(value: Any) -> str:
    return shown_text(value, MAX_TEXT)


def _count(value: Any) -> int:
    return whole_number(value, MAX_COUNT)


def _hash_text(value: Any) -> str:
    return hash_text(hash_of(value))


def _warnings(*answers: Any) -> tuple[str, ...] | Unknown:
    """All warnings once."""
    told = [_told(answer, "warnings", warnings_of) for answer in answers]
    texts = [text for entry in told if isinstance(entry, tuple) for text in entry]
    return UNKNOWN if all(entry is UNKNOWN for entry in told) else tuple(dict.fromkeys(texts))
