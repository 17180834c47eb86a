"""What any operator's bitcoind says of itself, as one observation; what it does not answer is UNKNOWN, not zero.

Only calls that read, and that every bitcoind since version 0.21 has.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from photosynth.bitcoin.block import HEADER_BYTES
from photosynth.bitcoin.node import NodeUnavailableError, hash_text
from photosynth.networks.bitcoin.answers import MALFORMED, hash_of, warnings_of
from photosynth.networks.bitcoin.conditions import judge
from photosynth.networks.bitcoin.document import hexadecimal, shown_text, truth, whole_number
from photosynth.networks.bitcoin.identity import CHECKPOINTS
from photosynth.networks.bitcoin.rpc import RefusedError, RpcClient, credentials_of
from photosynth.networks.grammar import UNKNOWN, Access, Report, Unknown

T = TypeVar("T")

LOOK_S = 10.0
"""A look takes so long at most; a node that needs longer does not answer."""
MAX_TEXT = 500
MAX_COUNT = 2**63 - 1
"""The largest number that bitcoind writes."""
MAX_HEIGHT = 2**31 - 1
"""The largest height that Bitcoin Core counts (``chain.h``, ``CBlockIndex::nHeight``)."""


@dataclass(frozen=True, slots=True)
class NodeObservation:
    """One look at a bitcoind: when (milliseconds since the epoch), and each value that it told.

    ``header`` is its best block's, ``tip`` the hash that the node gives it; ``at_heights`` what it has at the heights of
    checkpoints. ``tip_age_s`` is now less the time in the header, which may run up to two hours ahead: it can be negative.
    ``alive`` is a node with a problem that answered nevertheless.
    """

    at_ms: int
    name: str
    problem: str | None
    software: str | Unknown = UNKNOWN
    version: int | Unknown = UNKNOWN
    chain: str | Unknown = UNKNOWN
    height: int | Unknown = UNKNOWN
    headers: int | Unknown = UNKNOWN
    tip: bytes | Unknown = UNKNOWN
    header: bytes | Unknown = UNKNOWN
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
    at_heights: tuple[tuple[int, str], ...] = ()
    alive: bool = False


async def probe(rpc: RpcClient, now_ms: int) -> NodeObservation:
    """Look at the node once. Never raises for what the node does: a silent node is an observation with its problem."""
    try:
        chain = await rpc.call("getblockchaininfo")
    except NodeUnavailableError as error:
        return NodeObservation(now_ms, rpc.name, str(error), alive=isinstance(error, RefusedError))
    network = await _answer(rpc, "getnetworkinfo")
    mempool = await _answer(rpc, "getmempoolinfo")
    uptime = await _answer(rpc, "uptime")
    best = _told(chain, "bestblockhash", _hash_text)
    raw = _told({"header": await _answer(rpc, "getblockheader", best, False)}, "header", _header)
    name, height = _told(chain, "chain", _text), _told(chain, "blocks", _height)
    return NodeObservation(
        at_ms=now_ms,
        name=rpc.name,
        problem=None,
        software=_told(network, "subversion", _text),
        version=_told(network, "version", _count),
        chain=name,
        height=height,
        headers=_told(chain, "headers", _height),
        tip=_told(chain, "bestblockhash", hash_of),
        header=raw,
        tip_age_s=now_ms // 1000 - int.from_bytes(raw[68:72], "little") if isinstance(raw, bytes) else UNKNOWN,
        initial_download=_told(chain, "initialblockdownload", truth),
        pruned=_told(chain, "pruned", truth),
        disk_bytes=_told(chain, "size_on_disk", _count),
        peers_in=_told(network, "connections_in", _count),
        peers_out=_told(network, "connections_out", _count),
        mempool_transactions=_told(mempool, "size", _count),
        mempool_bytes=_told(mempool, "bytes", _count),
        uptime_s=_told({"uptime": uptime}, "uptime", _count),
        warnings=_warnings(chain, network),
        at_heights=await _at_checkpoints(rpc, name, height),
    )


async def _at_checkpoints(rpc: RpcClient, chain: str | Unknown, height: int | Unknown) -> tuple[tuple[int, str], ...]:
    """Which blocks the node has at the heights of its chain's checkpoints, those that it tells."""
    found: list[tuple[int, str]] = []
    for point in CHECKPOINTS.get(str(chain), ()):
        if isinstance(height, int) and point.height <= height:
            told = _told({"hash": await _answer(rpc, "getblockhash", point.height)}, "hash", _hash_text)
            found += [(point.height, told)] if isinstance(told, str) else []
    return tuple(found)


class BitcoindProbe:
    """Looks at one bitcoind; satisfies ``networks.grammar.Probe``."""

    def __init__(self, access: Access) -> None:
        self._access = access
        credentials = credentials_of(access)
        self._rpc = RpcClient(access.endpoints["rpc"], credentials, name=access.name, timeout_s=LOOK_S)

    async def look(self, now_ms: int) -> Report:
        """One look, in words that are the same for every network."""
        try:
            async with asyncio.timeout(LOOK_S):
                seen = await probe(self._rpc, now_ms)
        except TimeoutError:
            seen = NodeObservation(now_ms, self._access.name, f"{self._access.name}: no whole answer within {LOOK_S:g} s")
        return report_of(seen, self._access.chain)

    async def close(self) -> None:
        """Let its connections go."""
        await self._rpc.close()


def report_of(seen: NodeObservation, chain: str) -> Report:
    """What was seen of a node that is declared to be on a chain, judged."""
    peers_in, peers_out = seen.peers_in, seen.peers_out
    return Report(
        at_ms=seen.at_ms,
        problem=seen.problem,
        head=seen.height if isinstance(seen.height, int) else None,
        peers=peers_in + peers_out if isinstance(peers_in, int) and isinstance(peers_out, int) else None,
        version=seen.software if isinstance(seen.software, str) else None,
        judgements=judge(seen, chain),
        alive=seen.alive,
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


def _height(value: Any) -> int:
    return whole_number(value, MAX_HEIGHT)


def _hash_text(value: Any) -> str:
    return hash_text(hash_of(value))


def _header(value: Any) -> bytes:
    return hexadecimal(value, HEADER_BYTES)


def _warnings(*answers: Any) -> tuple[str, ...] | Unknown:
    """All warnings once."""
    told = [_told(answer, "warnings", warnings_of) for answer in answers]
    texts = [text for entry in told if isinstance(entry, tuple) for text in entry]
    return UNKNOWN if all(entry is UNKNOWN for entry in told) else tuple(dict.fromkeys(texts))
