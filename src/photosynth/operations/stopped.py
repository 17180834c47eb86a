"""The view of a stopped site: what its state says, and unknown where only a running one could tell."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from pydantic import ValidationError
from sqlalchemy import Connection

from photosynth.bitcoin.node import NodeUnavailableError, Verdict, hash_text
from photosynth.operations import book_documents as books
from photosynth.operations.clock import RememberedTime
from photosynth.operations.documents import (
    ActionDocument,
    BlockDocument,
    DayPoint,
    LedgerDocument,
    MachineDocument,
    Status,
    TraceDocument,
    WorkerDocument,
    WorkersDocument,
)
from photosynth.operations.evidence_door import evidence_lines
from photosynth.operations.ledger_lines import ledger_lines
from photosynth.operations.state import StateError, StateFolder
from photosynth.pool.places import is_worker
from photosynth.pool.records import WorkerTotals
from photosynth.pool.segments import open_segments
from photosynth.quantities.instants import iso_utc
from photosynth.storage import Database
from photosynth.treasury.chain import followed_top
from photosynth.treasury.evidence.lines import last_body
from photosynth.treasury.evidence.seal import Identity
from photosynth.treasury.facts import MeterInfo

if TYPE_CHECKING:
    from photosynth.bitcoin_node import EmbeddedNode

T = TypeVar("T")


def _locked(state: Path) -> StateFolder:
    folder = StateFolder(state)
    if not folder.exists:
        raise StateError(f"no site has lived in {state}; start one with `photosynth up`, or name another folder with --state DIR")
    folder.lock(reading=True)
    return folder


class StoppedSite:
    """A stopped site's documents; satisfies ``SiteView``. It holds the folder's lock until :meth:`close`."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._database = Database(folder.database)
        self._account = open_segments(folder.shares, read_only=True).account

    def close(self) -> None:
        """Let the folder go."""
        self._database.close()
        self._folder.unlock()

    async def status(self) -> Status:
        """The last status, with what the state says now, and powers unknown."""
        try:
            last = Status.model_validate_json(self._folder.status.read_bytes())
        except (FileNotFoundError, ValidationError) as error:
            raise StateError(
                f"{self._folder.root} has no whole status from its last run; start the site once with `photosynth up`"
            ) from error
        totals = list(self._account.totals.values())
        rejected: dict[str, int] = {}
        for item in totals:
            for cause, number in item.rejected.items():
                rejected[cause] = rejected.get(cause, 0) + number
        remembered = RememberedTime.load(self._folder.clock)
        height, tip = await self._tip()
        unknown = dict.fromkeys(
            (
                *("generation_w", "load_w", "surplus_w", "set_point_w", "mining_power_w"),
                *("grid_w", "import_reason", "curtailed_w", "observed_ms"),
            )
        )
        return last.model_copy(
            update={
                "running": False,
                "time": last.time if remembered is None else iso_utc(remembered.site_ms),
                "wall_time": iso_utc(time.time_ns() // 1_000_000),
                "chain": last.chain.model_copy(
                    update={
                        "height": height,
                        "tip": tip,
                        "synchronised": False,
                        "peers": 0,
                        "warnings": ["the system is stopped"],
                    }
                ),
                "site": last.site.model_copy(update={**unknown, "quality": "unknown"}),
                "pool": last.pool.model_copy(
                    update={
                        "connections": 0,
                        "workers": sum(is_worker(name) for name in self._account.totals),
                        "shares_accepted": sum(item.accepted for item in totals),
                        "shares_rejected": sum(rejected.values()),
                        "rejected_by_cause": rejected,
                        "blocks_found": self._account.blocks_found,
                        "work_hashes": str(sum(item.work for item in totals)),
                        "represented_hashes": str(sum(item.represented for item in totals)),
                        "hash_rate_hs": None,
                        "hash_rate_error_percent": None,
                    }
                ),
                "machines": last.machines.model_copy(
                    update=dict.fromkeys(("running", "sleeping", "starting", "unreachable", "faulty"), 0)
                ),
                "models": [model.model_copy(update={"running": 0}) for model in last.models],
                "ledger": self._read(lambda tx: books.ledger_status(tx, last.ledger.asset)),
                "evidence": self._read(books.evidence_status),
                "conditions": [],
            }
        )

    async def workers(self) -> WorkersDocument:
        """The pool's workers over the life of the state."""
        return WorkersDocument(
            running=False,
            workers=[_worker(name, item) for name, item in sorted(self._account.totals.items()) if is_worker(name)],
        )

    async def machines(self) -> list[MachineDocument]:
        """None can be asked."""
        return []

    async def day(self, points: int = 288) -> list[DayPoint]:
        """The stored curve of the day on which the site stopped."""
        remembered = RememberedTime.load(self._folder.clock)
        if remembered is None:
            return []
        return self._read(lambda tx: books.day_points(tx, remembered.site_ms, points))

    async def blocks(self, limit: int = 100) -> list[BlockDocument]:
        """The site's own blocks, newest first."""
        return self._read(lambda tx: books.block_documents(tx, limit))

    async def ledger(
        self, from_ms: int | None = None, to_ms: int | None = None, limit: int = 1000, before_id: int | None = None
    ) -> LedgerDocument:
        """Trial balance of a period (site time) and its postings, newest first."""
        return self._read(lambda tx: books.ledger_document(tx, from_ms, to_ms, limit, before_id))

    def ledger_lines(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int | None = None,
        *,
        before_id: int | None = None,
        oldest_first: bool = False,
    ) -> AsyncIterator[bytes]:
        """The same as lines of JSON: a LedgerDocument without postings, then a PostingDocument a line."""
        return ledger_lines(self._reading, from_ms, to_ms, limit, before_id=before_id, oldest_first=oldest_first)

    async def trace(self, block_or_txid: str) -> TraceDocument:
        """The satoshis of a block (height, hash or coinbase txid). Raises NotKnownError."""
        network = self._folder.site().get("network", "regtest")
        return self._read(lambda tx: books.trace_document(tx, block_or_txid, _meters(tx), network))

    async def actions(self, limit: int = 200, before_id: int | None = None, subject: str | None = None) -> list[ActionDocument]:
        """Every change to the world, newest first."""
        return self._read(lambda tx: books.action_documents(tx, limit, before_id, subject))

    async def stop_mining(self, actor: str, reason: str) -> ActionDocument:
        """Refused: nothing runs."""
        self._not_running()

    async def resume_mining(self, actor: str, reason: str) -> ActionDocument:
        """Refused: nothing runs."""
        self._not_running()

    def _not_running(self) -> NoReturn:
        raise StateError(f"the site of {self._folder.root} does not run; start it with `photosynth up`")

    def _read(self, call: Callable[[Connection], T]) -> T:
        with self._database.read() as tx:
            return call(tx)

    async def _reading(self, call: Callable[[Connection], T]) -> T:
        return self._read(call)

    async def _tip(self) -> tuple[int, str]:
        """The embedded node's own tip, which may be ahead of the books after a kill; the books' where it is a bitcoind."""
        if self._folder.site().get("node") == "embedded":
            async with _embedded(self._folder) as chain:
                return await chain.tip()
        top = self._read(followed_top)
        return (0, "") if top is None else (top[0], hash_text(top[1]))


def open_stopped(state: Path) -> StoppedSite:
    """Open the state of a stopped site. Raises StateError and StorageError with what to do."""
    folder = _locked(state)
    try:
        return StoppedSite(folder)
    except BaseException:
        folder.unlock()
        raise


class StoppedChain:
    """The embedded node of a stopped site; satisfies ``api.chain_port.ChainPort``. The books follow at the next start."""

    def __init__(self, node: "EmbeddedNode") -> None:
        self._node = node

    def blocks(self, from_height: int) -> AsyncIterator[bytes]:
        """Serialised blocks of the active chain, from a height to the tip, in order."""
        return self._node.blocks(from_height)

    async def submit(self, raw: bytes) -> Verdict:
        """Hand in one serialised block."""
        return await self._node.submit_block(raw)

    async def tip(self) -> tuple[int, str]:
        """Height and hash of the best block."""
        tip = await self._node.tip()
        return tip.height, hash_text(tip.hash)


@asynccontextmanager
async def _embedded(folder: StateFolder) -> AsyncIterator[StoppedChain]:
    from photosynth.bitcoin_node import open_node

    node = await open_node(folder.chain, folder.site().get("network", "regtest"))
    try:
        yield StoppedChain(node)
    finally:
        await node.close()


@asynccontextmanager
async def open_stopped_chain(state: Path) -> AsyncIterator[StoppedChain]:
    """The chain of a stopped site. Raises StateError, and NodeUnavailableError where its node is a bitcoind."""
    folder = _locked(state)
    try:
        if folder.site().get("node") != "embedded":
            raise NodeUnavailableError("this site's chain is a bitcoind's: ask that one, or start the site")
        async with _embedded(folder) as chain:
            yield chain
    finally:
        folder.unlock()


class StoppedEvidence:
    """The evidence of a stopped site; satisfies ``api.evidence_port.EvidencePort``."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder

    async def lines(self) -> AsyncIterator[bytes]:
        """The lines of an export, each without its line feed."""
        lines = evidence_lines(self._folder.database, Identity.open(self._folder.identity), self._folder.root)
        while (line := await asyncio.to_thread(next, lines, None)) is not None:
            yield line


@asynccontextmanager
async def open_stopped_evidence(state: Path) -> AsyncIterator[StoppedEvidence]:
    """The evidence of a stopped site. Raises StateError and StorageError."""
    folder = _locked(state)
    try:
        yield StoppedEvidence(folder)
    finally:
        folder.unlock()


def _meters(tx: Connection) -> tuple[MeterInfo, ...]:
    """The meters that the newest evidence header names."""
    header = last_body(tx, "header")
    if header is None:
        return ()
    return tuple(
        MeterInfo(m["id"], m["role"], m["party"], m["class"], 1, simulated=bool(m["simulated"])) for m in header["meters"]
    )


def _worker(name: str, item: WorkerTotals) -> WorkerDocument:
    return WorkerDocument(
        name=name,
        party=None,
        scale=str(item.scale),
        connected=False,
        difficulty=None,
        shares_accepted=item.accepted,
        rejected_by_cause=dict(item.rejected),
        work_hashes=str(item.work),
        represented_hashes=str(item.represented),
        last_share_wall_ms=item.last_share_wall_ms,
        user_agent=None,
    )
