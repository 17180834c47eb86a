"""A simulated bitcoind: the calls that read, answered over blocks that another node or a chain of its own has.

It speaks as Bitcoin Core 29 on regtest, its user agent saying that it is simulated. It takes no blocks and no transactions,
and its peers are made up. Source of keys, codes and messages: Bitcoin Core 29, ``rpc/``, and the answers of a bitcoind 29.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Raw

from photosynth.bitcoin.block import Block, Header
from photosynth.bitcoin.node import NodeUnavailableError, Tip, hash_bytes, hash_text
from photosynth.bitcoin.target import target_of_bits
from photosynth.bitcoin.wire import FormatError
from photosynth.quantities.work import work_of_target
from photosynth.simulation.networks.bitcoin_json import block_json, coins, difficulty, header_json
from photosynth.simulation.networks.blocks import Blocks
from photosynth.simulation.networks.habits import Habits
from photosynth.simulation.networks.jsonrpc import RpcFaultError

SOFTWARE = "/Satoshi:29.2.0(simulated)/"
VERSION = 290_200
PROTOCOL = 70_016
SERVICES = 0xC09
SERVICE_NAMES = ["NETWORK", "WITNESS", "NETWORK_LIMITED", "P2P_V2"]
DAY_S = 86_400
"""A node whose best block is older calls itself in initial download (``-maxtipage``)."""
MEDIAN_SPAN = 11
MOST_KEPT = 4096
"""Headers in memory; older ones are asked for again."""
LOOK_S = 1.0
_BLOCK_BYTES = 310
"""What a block of a demonstration takes on disk, with its undo data: for a size that grows as one does."""
MISC_ERROR, TYPE_ERROR, NOT_FOUND, INVALID_PARAMETER, IN_WARMUP = -1, -3, -5, -8, -28

Answerer = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _Known:
    """A block as far as it is kept: its header, and how many transactions it has."""

    header: Header
    transactions: int


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    kinds: tuple[str, ...]
    needed: bool = True


class SimulatedBitcoind:
    """One simulated node. :meth:`follow` it in a task; :meth:`call` answers a method. ``fleet_ms`` tells the fleet's time."""

    def __init__(self, chain: str, blocks: Blocks, habits: Habits, fleet_ms: Callable[[], int]) -> None:
        self._chain, self._blocks, self.habits, self._fleet_ms = chain, blocks, habits, fleet_ms
        self._newest: Tip | None = None
        self._head: Tip | None = None
        self._followed: Tip | None = None
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._started_s = time.monotonic()
        self._downloaded = False
        self._methods: Mapping[str, tuple[Answerer, tuple[_Parameter, ...]]] = self._table()

    def silent(self) -> bool:
        """Whether it answers nothing now."""
        return self.habits.silent(self._fleet_ms())

    async def follow(self) -> None:
        """Move its head with its blocks, as its habits let it, until cancelled."""
        while True:
            known = b"" if self._newest is None else self._newest.hash
            try:
                self._newest = await self._blocks.wait_for_tip(known, LOOK_S)
                await self._move()
            except (NodeUnavailableError, RpcFaultError):  # the followed node is away, or has just left that branch
                await asyncio.sleep(LOOK_S)

    async def _move(self) -> None:
        newest, lag = self._newest, self.habits.lag()
        if newest is None or newest == self._followed or (self._head is not None and self.habits.stalls(self._fleet_ms())):
            return
        height = max(0, newest.height - lag)
        found = newest.hash if lag == 0 else await self._blocks.block_hash(height)
        if found is not None:
            self._head = Tip(height, found, (await self._load(found)).header.time_s)
            self._followed = newest

    async def call(self, method: str, given: Sequence[Any] | Mapping[str, Any]) -> Any:
        """The result of a method. Raises RpcFaultError as bitcoind would."""
        if self._head is None:
            raise RpcFaultError(IN_WARMUP, "Loading block index…")
        found = self._methods.get(method)
        if found is None:
            raise RpcFaultError(-32601, "Method not found")
        answer, parameters = found
        values = _positions(method, parameters, given)
        try:
            return await answer(*values)
        except (NodeUnavailableError, FormatError) as error:
            raise RpcFaultError(MISC_ERROR, f"Block not found on disk ({error})") from error

    def _table(self) -> Mapping[str, tuple[Answerer, tuple[_Parameter, ...]]]:
        block = _Parameter("blockhash", ("string",))
        verbosity = _Parameter("verbosity", ("number", "bool"), needed=False)
        return {
            "getbestblockhash": (self._best_hash, ()),
            "getblock": (self._block, (block, verbosity)),
            "getblockchaininfo": (self._chain_info, ()),
            "getblockcount": (self._count, ()),
            "getblockhash": (self._hash_at, (_Parameter("height", ("number",)),)),
            "getblockheader": (self._header, (block, _Parameter("verbose", ("bool",), needed=False))),
            "getchaintips": (self._tips, ()),
            "getconnectioncount": (self._connections, ()),
            "getdifficulty": (self._difficulty, ()),
            "getindexinfo": (self._indexes, (_Parameter("index_name", ("string",), needed=False),)),
            "getmempoolinfo": (self._mempool, ()),
            "getnetworkinfo": (self._network, ()),
            "getpeerinfo": (self._peers, ()),
            "getrawmempool": (self._raw_mempool, (_Parameter("verbose", ("bool",), needed=False),)),
            "uptime": (self._uptime, ()),
        }

    @property
    def _tip(self) -> Tip:
        assert self._head is not None, "calls are refused before there is a head"
        return self._head

    async def _best_hash(self) -> str:
        return hash_text(self._tip.hash)

    async def _count(self) -> int:
        return self._tip.height

    async def _hash_at(self, height: int | float) -> str:
        if not isinstance(height, int) or not -(2**31) <= height < 2**31:
            raise RpcFaultError(MISC_ERROR, "JSON integer out of range")
        tip = self._tip
        found = None
        if 0 <= height <= tip.height:
            found = tip.hash if height == tip.height else await self._blocks.block_hash(height)
        if found is None:
            raise RpcFaultError(INVALID_PARAMETER, "Block height out of range")
        return hash_text(found)

    async def _header(self, text: str, verbose: bool | None = None) -> Any:
        block_hash = _hash(text, "hash")
        tip = self._tip
        height = await self._height_of(block_hash, tip)
        if verbose is False:
            return (await self._load(block_hash)).header.serialise().hex()
        return await self._header_json(block_hash, height, tip)

    async def _block(self, text: str, verbosity: int | bool | None = None) -> Any:
        block_hash = _hash(text, "blockhash")
        tip = self._tip
        height = await self._height_of(block_hash, tip)
        raw = await self._blocks.block(block_hash)
        if raw is None:
            raise RpcFaultError(NOT_FOUND, "Block not found")
        wanted = 1 if verbosity is None else int(verbosity)
        if wanted <= 0:
            return raw.hex()
        told = await self._header_json(block_hash, height, tip)
        return {**told, **block_json(Block.parse(raw), len(raw), self._chain, whole=wanted >= 2)}

    async def _header_json(self, block_hash: bytes, height: int, tip: Tip) -> dict[str, Any]:
        known = await self._load(block_hash)
        median_s = await self._median_time_s(known.header, height)
        told = header_json(known.header, height, tip.height, median_s, known.transactions)
        if height > 0:
            told["previousblockhash"] = hash_text(known.header.previous_hash)
        if height < tip.height:
            told["nextblockhash"] = await self._hash_at(height + 1)
        return told

    async def _median_time_s(self, header: Header, height: int) -> int:
        times = [header.time_s]
        while len(times) < min(MEDIAN_SPAN, height + 1):
            header = (await self._load(header.previous_hash)).header
            times.append(header.time_s)
        return sorted(times)[len(times) // 2]

    async def _height_of(self, block_hash: bytes, tip: Tip) -> int:
        height = tip.height if block_hash == tip.hash else await self._blocks.height_of(block_hash)
        if height is None or height > tip.height:
            raise RpcFaultError(NOT_FOUND, "Block not found")
        return height

    async def _load(self, block_hash: bytes) -> _Known:
        known = self._known.get(block_hash)
        if known is None:
            raw = await self._blocks.block(block_hash)
            if raw is None:
                raise RpcFaultError(NOT_FOUND, "Block not found")
            block = Block.parse(raw)
            known = self._known[block_hash] = _Known(block.header, len(block.transactions))
            if len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)
        return known

    async def _chain_info(self) -> dict[str, Any]:
        tip = self._tip
        header = (await self._load(tip.hash)).header
        target = target_of_bits(header.bits)
        self._downloaded |= time.time() - header.time_s < DAY_S
        return {
            "chain": self._chain,
            "blocks": tip.height,
            "headers": tip.height,
            "bestblockhash": hash_text(tip.hash),
            "bits": format(header.bits, "08x"),
            "target": format(target, "064x"),
            "difficulty": difficulty(header.bits),
            "time": header.time_s,
            "mediantime": await self._median_time_s(header, tip.height),
            "verificationprogress": 1,
            "initialblockdownload": not self._downloaded,
            "chainwork": format(work_of_target(target) * (tip.height + 1), "064x"),
            "size_on_disk": _BLOCK_BYTES * (tip.height + 1),
            "pruned": False,
            "warnings": [],
        }

    async def _tips(self) -> list[dict[str, Any]]:
        return [{"height": self._tip.height, "hash": hash_text(self._tip.hash), "branchlen": 0, "status": "active"}]

    async def _difficulty(self) -> Raw:
        return difficulty((await self._load(self._tip.hash)).header.bits)

    async def _connections(self) -> int:
        return self.habits.peers()

    async def _indexes(self, name: str | None = None) -> dict[str, Any]:
        return {}

    async def _raw_mempool(self, verbose: bool | None = None) -> Any:
        return {} if verbose else []

    async def _mempool(self) -> dict[str, Any]:
        return {
            "loaded": True,
            "size": 0,
            "bytes": 0,
            "usage": 0,
            "total_fee": coins(0),
            "maxmempool": 300_000_000,
            "mempoolminfee": coins(1000),
            "minrelaytxfee": coins(1000),
            "incrementalrelayfee": coins(1000),
            "unbroadcastcount": 0,
            "fullrbf": True,
        }

    async def _uptime(self) -> int:
        return int(time.monotonic() - self._started_s)

    async def _network(self) -> dict[str, Any]:
        reached = {"ipv4": True, "ipv6": True, "onion": False, "i2p": False, "cjdns": False}
        return {
            "version": VERSION,
            "subversion": SOFTWARE,
            "protocolversion": PROTOCOL,
            "localservices": format(SERVICES, "016x"),
            "localservicesnames": SERVICE_NAMES,
            "localrelay": True,
            "timeoffset": 0,
            "networkactive": True,
            "connections": self.habits.peers(),
            "connections_in": 0,
            "connections_out": self.habits.peers(),
            "networks": [
                {
                    "name": name,
                    "limited": not reachable,
                    "reachable": reachable,
                    "proxy": "",
                    "proxy_randomize_credentials": False,
                }
                for name, reachable in reached.items()
            ],
            "relayfee": coins(1000),
            "incrementalfee": coins(1000),
            "localaddresses": [],
            "warnings": [],
        }

    async def _peers(self) -> list[dict[str, Any]]:
        return [_peer(number, self._tip.height, int(time.time())) for number in range(self.habits.peers())]


def _peer(number: int, height: int, now_s: int) -> dict[str, Any]:
    """A made-up connection to an address of RFC 5737's documentation range: eight relay everything, two blocks alone."""
    whole = number < 8
    return {
        "id": number,
        "addr": f"192.0.2.{number + 1}:18444",
        "addrbind": f"198.51.100.1:{50_000 + number}",
        "network": "ipv4",
        "services": format(SERVICES, "016x"),
        "servicesnames": SERVICE_NAMES,
        "relaytxes": whole,
        "lastsend": now_s,
        "lastrecv": now_s,
        "last_transaction": 0,
        "last_block": 0,
        "bytessent": 2000,
        "bytesrecv": 2000,
        "conntime": now_s,
        "timeoffset": 0,
        "pingtime": 0.02,
        "minping": 0.02,
        "version": PROTOCOL,
        "subver": SOFTWARE,
        "inbound": False,
        "bip152_hb_to": False,
        "bip152_hb_from": False,
        "startingheight": height,
        "presynced_headers": -1,
        "synced_headers": height,
        "synced_blocks": height,
        "inflight": [],
        "addr_relay_enabled": whole,
        "addr_processed": 0,
        "addr_rate_limited": 0,
        "permissions": [],
        "minfeefilter": coins(1000),
        "bytessent_per_msg": {"ping": 32},
        "bytesrecv_per_msg": {"pong": 32},
        "connection_type": "outbound-full-relay" if whole else "block-relay-only",
        "transport_protocol_type": "v2",
        "session_id": format(number + 1, "064x"),
    }


def _positions(method: str, parameters: tuple[_Parameter, ...], given: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
    """The values of a call in their order, checked as bitcoind does. Raises RpcFaultError."""
    names = [parameter.name for parameter in parameters]
    if isinstance(given, Mapping):
        unknown = next((name for name in given if name not in names), None)
        if unknown is not None:
            raise RpcFaultError(INVALID_PARAMETER, f"Unknown named parameter {unknown}")
        given = [given.get(name) for name in names]
    if len(given) > len(parameters) or any(p.needed and (i >= len(given) or given[i] is None) for i, p in enumerate(parameters)):
        words = [name if parameter.needed else f"( {name} )" for name, parameter in zip(names, parameters, strict=True)]
        raise RpcFaultError(MISC_ERROR, " ".join([method, *words]))
    wrong = []
    for number, (parameter, value) in enumerate(zip(parameters, given, strict=False), start=1):
        kind = _kind(value)
        if value is not None and kind not in parameter.kinds:
            expected = parameter.kinds[0]
            what = f"JSON value of type {kind} is not of expected type {expected}"
            wrong.append(f'    "Position {number} ({parameter.name})": "{what}"')
    if wrong:
        raise RpcFaultError(TYPE_ERROR, "Wrong type passed:\n{\n" + ",\n".join(wrong) + "\n}")
    return list(given)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    names = {str: "string", int: "number", float: "number", list: "array", dict: "object", type(None): "null"}
    return names.get(type(value), "null")


def _hash(text: str, name: str) -> bytes:
    if len(text) != 64:
        raise RpcFaultError(INVALID_PARAMETER, f"{name} must be of length 64 (not {len(text)}, for '{text[:200]}')")
    try:
        return hash_bytes(text)
    except ValueError:
        raise RpcFaultError(INVALID_PARAMETER, f"{name} must be hexadecimal string (not '{text}')") from None
