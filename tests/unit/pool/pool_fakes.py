"""A node, clock, policy and ear for the pool's tests: what they do is written out, nothing is validated but the hash."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from photosynth.bitcoin.block import Block, witness_commitment_script
from photosynth.bitcoin.node import (
    Coin,
    NodeHealth,
    NodeUnavailableError,
    Template,
    TemplateTransaction,
    Tip,
    Verdict,
    hash_text,
)
from photosynth.pool.config import CoinbasePlan
from photosynth.pool.results import FoundBlock
from photosynth.stratum.client import Event, NewJob, StratumClient, SubmitResult
from photosynth.stratum.messages import decode
from photosynth.stratum.work import Job, double_sha256

REGTEST_TARGET = 0x7FFFFF << 232
EASY_SHARES = 2.0**-28
"""A difficulty of 16 hashes, so that tests mine little; the pool's own minimum is higher."""
SCRIPT = bytes.fromhex("0014751e76e8199196d454941c45d1b3a323f1433bd6")


PATIENCE_S = 20
"""What anything may take on a computer that has other things to do; the pool asks by itself after 30 seconds."""

Wanted = TypeVar("Wanted", bound=Event)


class ManualClock:
    """Both times stand where they are put."""

    def __init__(self, site_ms: int = 1_780_000_200_000, wall_ms: int = 1_780_000_000_000) -> None:
        self.site = site_ms
        self.wall = wall_ms

    def site_ms(self) -> int:
        return self.site

    def wall_ms(self) -> int:
        return self.wall


class FakeNode:
    """Takes every block that meets its template's target on its tip; ``target`` is what templates ask for."""

    def __init__(self, clock: ManualClock, target: int = 0, transactions: tuple[TemplateTransaction, ...] = ()) -> None:
        self.clock = clock
        self.target = target
        self.transactions = transactions
        self.version = 0x20000000
        self.chain: list[bytes] = [double_sha256(b"genesis")]
        self.raw: dict[bytes, bytes] = {}
        self.available = True
        self.submitted: list[bytes] = []
        self.verdicts: list[Verdict | Exception] = []
        self.gate: asyncio.Event | None = None
        self._version = 0
        self._changed = asyncio.Condition()

    def _check(self) -> None:
        if not self.available:
            raise NodeUnavailableError("the fake node is switched off: switch it on")

    async def health(self) -> NodeHealth:
        self._check()
        return NodeHealth("fake", "regtest", await self.tip(), len(self.chain) - 1, 0, True, ())

    async def tip(self) -> Tip:
        self._check()
        return Tip(len(self.chain) - 1, self.chain[-1], self.clock.wall_ms() // 1000)

    async def wait_for_tip(self, known: bytes, timeout_s: float) -> Tip:
        return await self.tip()

    async def changed(self) -> None:
        """Make every long poll answer."""
        async with self._changed:
            self._version += 1
            self._changed.notify_all()

    async def reorganise(self, chain: list[bytes]) -> None:
        """Another branch has more work."""
        self.chain = chain
        await self.changed()

    async def extend(self) -> None:
        """Somebody else found a block."""
        self.chain.append(double_sha256(self.chain[-1] + b"other"))
        await self.changed()

    async def template(self, long_poll_id: str | None = None) -> Template:
        self._check()
        async with self._changed:
            while long_poll_id == self._id():
                await self._changed.wait()
                self._check()
        return Template(
            height=len(self.chain),
            previous_hash=self.chain[-1],
            version=self.version,
            bits=0x207FFFFF,
            time_s=self.clock.wall_ms() // 1000,
            min_time_s=self.clock.wall_ms() // 1000 - 600,
            target=self.target,
            network_target=REGTEST_TARGET,
            coinbase_value_sat=5_000_000_000,
            transactions=self.transactions,
            witness_commitment=witness_commitment_script([t.wtxid for t in self.transactions]),
            long_poll_id=self._id(),
        )

    def _id(self) -> str:
        return f"{hash_text(self.chain[-1])}-{self._version}"

    async def submit_block(self, raw: bytes) -> Verdict:
        self.submitted.append(raw)
        if self.gate is not None:
            await self.gate.wait()
        self._check()
        if self.verdicts:
            verdict = self.verdicts.pop(0)
            if isinstance(verdict, Exception):
                raise verdict
            if not verdict.accepted:
                if verdict.reason == "inconclusive":
                    self.raw[Block.parse(raw).hash] = raw
                return verdict
        block = Block.parse(raw)
        if block.hash in self.chain:
            return Verdict("duplicate")
        if block.header.hash_number > max(self.target, 1 << 250):
            return Verdict("high-hash")
        if block.header.previous_hash != self.chain[-1]:
            self.raw[block.hash] = raw
            return Verdict("inconclusive")
        self.chain.append(block.hash)
        self.raw[block.hash] = raw
        await self.changed()
        return Verdict(None)

    async def block_hash(self, height: int) -> bytes | None:
        self._check()
        return self.chain[height] if 0 <= height < len(self.chain) else None

    async def block(self, block_hash: bytes) -> bytes | None:
        self._check()
        return self.raw.get(block_hash)

    async def height_of(self, block_hash: bytes) -> int | None:
        self._check()
        return self.chain.index(block_hash) if block_hash in self.chain else None

    coins_by_index = True

    async def coin_value(self, txid: bytes, index: int) -> int | None:
        raise NotImplementedError

    async def coins(self, script: bytes) -> tuple[Coin, ...]:
        return ()

    async def close(self) -> None:
        return None


class AllOfIt:
    """A policy that claims a satoshi for every represented hash, as far as the template allows."""

    def __init__(self) -> None:
        self.commitment = b""
        self.seen: list[int] = []

    def plan(self, template: Template, unclaimed_represented: int) -> CoinbasePlan:
        self.seen.append(unclaimed_represented)
        return CoinbasePlan(min(template.coinbase_value_sat, unclaimed_represented), SCRIPT, self.commitment)


class Ear:
    """Keeps the blocks that it is told of."""

    def __init__(self) -> None:
        self.blocks: list[FoundBlock] = []

    def block_found(self, block: FoundBlock) -> None:
        self.blocks.append(block)


def mine(job: Job, extranonce2: bytes, wanted: Callable[[int], bool], version_bits: int = 0) -> int:
    """The first nonce whose hash, as a number, is wanted."""
    prefix = job.header_prefix(extranonce2, version_bits=version_bits)
    for nonce in range(1_000_000):
        if wanted(int.from_bytes(double_sha256(prefix + nonce.to_bytes(4, "little")), "little")):
            return nonce
    raise AssertionError("no nonce in a million tries")


class Miner:
    """A client over a real socket: waits for events by kind."""

    def __init__(self, worker: str, suggested: float | None = 2.0**-30) -> None:
        self.client = StratumClient(worker, suggested_difficulty=suggested)
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._events: list[Event] = []
        self._extranonce2 = 0
        self.last_line = b""

    async def __aenter__(self) -> "Miner":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(self, address: tuple[str, int]) -> "Miner":
        self._reader, self._writer = await asyncio.open_connection(*address)
        self._writer.write(self.client.start())
        return self

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return

    async def wait(self, kind: type[Wanted]) -> Wanted:
        """The next event of this kind; others stay for later. Raises ConnectionError where the pool hangs up."""
        while True:
            for at, event in enumerate(self._events):
                if isinstance(event, kind):
                    del self._events[at]
                    return event
            data = await asyncio.wait_for(self._reader.read(65536), PATIENCE_S)
            if not data:
                raise ConnectionResetError("the pool hung up")
            self._events += self.client.receive(data)
            self._writer.write(self.client.outgoing())

    async def job(self) -> Job:
        """The next job."""
        return (await self.wait(NewJob)).job

    def prepare_share(self, job: Job, wanted: Callable[[int], bool] | None = None, version_bits: int = 0) -> bytes:
        """Mine one share, by default one that meets the job's target; returns its line."""
        self._extranonce2 += 1
        extranonce2 = self._extranonce2.to_bytes(job.extranonce2_size, "big")
        nonce = mine(job, extranonce2, wanted or (lambda number: number <= job.target), version_bits)
        self.last_line = self.client.submit(job, extranonce2, job.time_s, nonce, version_bits)
        return self.last_line

    def send_share(self, job: Job, wanted: Callable[[int], bool] | None = None, version_bits: int = 0) -> int:
        """Mine and hand in one share; returns its number."""
        self.prepare_share(job, wanted, version_bits)
        self._writer.write(self.last_line)
        return self.client.last_id

    async def share(self, job: Job, wanted: Callable[[int], bool] | None = None, version_bits: int = 0) -> SubmitResult:
        """Hand in one share and wait for its answer."""
        self.send_share(job, wanted, version_bits)
        return await self.wait(SubmitResult)

    async def repeat(self, line: bytes) -> SubmitResult:
        """Send a share's line once more, under a number of its own, and wait for its answer."""
        message = decode(line)
        assert isinstance(message.params, list)
        self.send(self.client._request("mining.submit", message.params))
        return await self.wait(SubmitResult)

    def send(self, data: bytes) -> None:
        """Send anything."""
        self._writer.write(data)
