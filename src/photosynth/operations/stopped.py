"""The view of a stopped site: what its state says, and unknown where only a running one could tell.

Reading changes nothing: no file of the state is made, repaired or written, so that it can be read by whoever may not write
it. What each question needs is imported when it is asked: a status takes plain SQL, and neither SQLAlchemy nor a node.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeVar

from photosynth.bitcoin.node import NodeUnavailableError, Verdict, hash_text
from photosynth.operations.clock import RememberedTime
from photosynth.operations.manifest import Manifest, check_parts, load_manifest, write_mark
from photosynth.operations.state import StateError, StateFolder
from photosynth.quantities.instants import iso_utc
from photosynth.storage.address import Place

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from photosynth.bitcoin_node import EmbeddedNode
    from photosynth.bitcoin_node.reading import RestingChain
    from photosynth.operations.documents import (
        ActionDocument,
        BlockDocument,
        DayPoint,
        LedgerDocument,
        MachineDocument,
        NodeDocument,
        Status,
        TraceDocument,
        WorkerDocument,
        WorkersDocument,
    )
    from photosynth.pool.accounting import WorkAccount
    from photosynth.pool.records import WorkerTotals
    from photosynth.storage import Database
    from photosynth.treasury.facts import MeterInfo
    from photosynth.treasury.glance import Asked

T = TypeVar("T")

_UNKNOWN_POWERS = (
    *("generation_w", "load_w", "surplus_w", "set_point_w", "mining_power_w", "grid_w", "curtailed_w"),
    *("import_reason", "observed_ms"),
)
_MACHINE_STATES = ("running", "sleeping", "starting", "unreachable", "faulty")
_OF_A_HASH_RATE = ("sat_per_day", "ueur_per_day", "days_per_block", "chance_of_no_block_in_a_year")


def begun(folder: StateFolder) -> Manifest:
    """What a folder's manifest says. Raises StateError where no site has lived there."""
    if not folder.exists:
        raise StateError(
            f"no site has lived in {folder.root}; start one with `photosynth up`, or name another folder with --state DIR"
        )
    manifest = load_manifest(folder)
    if manifest is None:
        raise StateError(f"{folder.manifest} is missing, so whose history {folder.root} holds cannot be told; restore it")
    return manifest


@contextmanager
def _read(state: Place) -> Iterator[tuple[StateFolder, Manifest]]:
    """A stopped site's folder, whole, kept as it is. Raises StateError."""
    folder = StateFolder(state)
    if folder.root.is_dir():
        folder.lock(reading=True)
    try:
        manifest = begun(folder)
        check_parts(folder, manifest)
        if not manifest.complete:
            raise StateError(f"the first start on {state} did not finish; start it again with `photosynth up`")
        yield folder, manifest
    finally:
        folder.unlock()


class StoppedSite:
    """A stopped site's documents; satisfies ``SiteView``. It holds the folder's lock until :meth:`close`."""

    def __init__(self, folder: StateFolder, manifest: Manifest, release: Callable[[], None]) -> None:
        self._folder, self._manifest, self._release = folder, manifest, release
        self._known_account: WorkAccount | None = None
        self._database: Database | None = None

    def close(self) -> None:
        """Let the folder go."""
        if self._database is not None:
            self._database.close()
        self._release()

    async def status(self) -> "Status":
        """The last status, with what the state says now, and powers unknown."""
        from photosynth.operations.documents.nodes import unknown_nodes
        from photosynth.operations.summaries import evidence_status, ledger_status, switched_off
        from photosynth.pool.records import is_worker
        from photosynth.storage.at_rest import RestingDatabase

        last = self._last_status()
        totals = list(self._account.totals.values())
        rejected: dict[str, int] = {}
        for item in totals:
            for cause, number in item.rejected.items():
                rejected[cause] = rejected.get(cause, 0) + number
        remembered = RememberedTime.load(self._folder.clock)
        with RestingDatabase(self._folder.database) as database:
            height, tip, age_s, warnings = self._tip(database)
            stopped = switched_off(database)
            ledger, evidence = ledger_status(database, last.ledger.asset), evidence_status(database)
        return last.model_copy(
            update={
                "running": False,
                "time": last.time if remembered is None else iso_utc(remembered.site_ms),
                "wall_time": iso_utc(time.time_ns() // 1_000_000),
                "chain": last.chain.model_copy(
                    update={
                        "height": height,
                        "tip": tip,
                        "target": None,
                        "difficulty": None,
                        "synchronised": False,
                        "peers": 0 if self._manifest.embedded else None,
                        "warnings": warnings,
                        "last_block_age_s": age_s,
                    }
                ),
                "nodes": unknown_nodes(last.nodes),
                "site": last.site.model_copy(update={**dict.fromkeys(_UNKNOWN_POWERS), "quality": "unknown", "stopped": stopped}),
                "pool": last.pool.model_copy(
                    update={
                        "connections": 0,
                        "workers": sum(map(is_worker, self._account.totals)),
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
                "machines": last.machines.model_copy(update=dict.fromkeys(_MACHINE_STATES)),
                "models": [model.model_copy(update={"running": None}) for model in last.models],
                "mainnet": last.mainnet.model_copy(update=dict.fromkeys(_OF_A_HASH_RATE)),
                "ledger": ledger,
                "evidence": evidence,
                "conditions": [],
            }
        )

    def _last_status(self) -> "Status":
        from pydantic import ValidationError

        from photosynth.operations.documents.status import Status

        try:
            return Status.model_validate_json(self._folder.status.read_bytes())
        except (FileNotFoundError, ValidationError) as error:
            raise StateError(
                f"{self._folder.root} has no whole status from its last run; start the site once with `photosynth up`"
            ) from error

    async def workers(self) -> "WorkersDocument":
        """The pool's workers over the life of the state."""
        from photosynth.operations.documents import WorkersDocument
        from photosynth.pool.records import is_worker

        return WorkersDocument(
            running=False,
            workers=[_worker(name, item) for name, item in sorted(self._account.totals.items()) if is_worker(name)],
        )

    async def nodes(self) -> "list[NodeDocument]":
        """None can be asked."""
        return []

    async def node_log(self, node_id: str, lines: int) -> list[str]:
        """Refused: nothing watches it."""
        self._not_running()

    async def restart_node(self, node_id: str, actor: str, reason: str) -> "ActionDocument":
        """Refused: nothing runs."""
        self._not_running()

    async def machines(self) -> "list[MachineDocument]":
        """None can be asked."""
        return []

    async def day(self, points: int = 288) -> "list[DayPoint]":
        """The stored curve of the day on which the site stopped."""
        from photosynth.operations.book_documents import day_points

        remembered = RememberedTime.load(self._folder.clock)
        if remembered is None:
            return []
        return self._query(lambda tx: day_points(tx, remembered.site_ms, points))

    async def blocks(self, limit: int = 100) -> "list[BlockDocument]":
        """The site's own blocks, newest first."""
        from photosynth.operations.book_documents import block_documents

        return self._query(lambda tx: block_documents(tx, limit))

    async def ledger(
        self, from_ms: int | None = None, to_ms: int | None = None, limit: int = 1000, before_id: int | None = None
    ) -> "LedgerDocument":
        """Trial balance of a period (site time) and its postings, newest first."""
        from photosynth.operations.book_documents import ledger_document

        return self._query(lambda tx: ledger_document(tx, from_ms, to_ms, limit, before_id))

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
        from photosynth.operations.ledger_lines import ledger_lines

        return ledger_lines(self._reading, from_ms, to_ms, limit, before_id=before_id, oldest_first=oldest_first)

    async def trace(self, block_or_txid: str) -> "TraceDocument":
        """The satoshis of a block (height, hash or coinbase txid). Raises NotKnownError."""
        from photosynth.operations.book_documents import trace_document

        site, network = self._manifest.site["site"], self._manifest.network
        return self._query(lambda tx: trace_document(tx, block_or_txid, _meters(tx, site), network))

    async def actions(self, limit: int = 200, before_id: int | None = None, subject: str | None = None) -> "list[ActionDocument]":
        """Every change to the world, newest first."""
        from photosynth.operations.book_documents import action_documents

        return self._query(lambda tx: action_documents(tx, limit, before_id, subject))

    async def stop_mining(self, actor: str, reason: str) -> "ActionDocument":
        """Refused: nothing runs."""
        self._not_running()

    async def resume_mining(self, actor: str, reason: str) -> "ActionDocument":
        """Refused: nothing runs."""
        self._not_running()

    def _not_running(self) -> NoReturn:
        raise StateError(f"the site of {self._folder.root} does not run; start it with `photosynth up`")

    def _query(self, call: "Callable[[Connection], T]") -> T:
        if self._database is None:
            from photosynth.storage import Database

            self._database = Database(self._folder.database, at_rest=True)
        with self._database.read() as tx:
            return call(tx)

    async def _reading(self, call: "Callable[[Connection], T]") -> T:
        return self._query(call)

    @property
    def _account(self) -> "WorkAccount":
        """What the share log adds up to; it is replayed once, and only where somebody asks."""
        if self._known_account is None:
            from photosynth.pool.segments import open_segments

            self._known_account = open_segments(self._folder.shares, read_only=True).account
        return self._known_account

    def _tip(self, database: "Asked") -> tuple[int | None, str | None, int | None, list[str]]:
        """Height, hash and age of the best block, None where unknown, and what there is to warn of.

        The embedded node's own tip may be ahead of the books after a kill. Where it is a bitcoind, or cannot be read, the
        books tell how far they have followed it.
        """
        from photosynth.treasury.glance import followed_top

        warnings = ["the system is stopped"]
        if self._manifest.embedded:
            from photosynth.bitcoin_node.reading import RestingChain

            try:
                with RestingChain(self._folder.chain) as chain:
                    tip = chain.tip()
                age_s = max(0, int(time.time()) - tip.time_s) if tip.height else None
                return tip.height, hash_text(tip.hash), age_s, warnings
            except NodeUnavailableError as error:
                warnings.append(f"the height is the books', for {error}")
        top = followed_top(database)
        return (None, None, None, warnings) if top is None else (top[0], hash_text(top[1]), None, warnings)


def open_stopped(state: Place) -> StoppedSite:
    """Open the state of a stopped site. Raises StateError and StorageError with what to do."""
    held = ExitStack()
    folder, manifest = held.enter_context(_read(state))
    return StoppedSite(folder, manifest, held.close)


class StoppedChain:
    """The blocks of a stopped site, as its node left them."""

    def __init__(self, chain: "RestingChain") -> None:
        self._chain = chain

    async def blocks(self, from_height: int) -> AsyncIterator[bytes]:
        """Serialised blocks of the active chain, from a height to the tip, in order."""
        for raw in self._chain.blocks(from_height):
            yield raw


@asynccontextmanager
async def open_stopped_chain(state: Place) -> AsyncIterator[StoppedChain]:
    """The chain of a stopped site, to read. Raises StateError, and NodeUnavailableError where its node is a bitcoind."""
    from photosynth.bitcoin_node.reading import RestingChain

    with _read(state) as (folder, manifest):
        _only_embedded(manifest)
        with RestingChain(folder.chain) as chain:
            yield StoppedChain(chain)


class StoppedNode:
    """The embedded node of a stopped site, for blocks that come in; the books follow at the next start."""

    def __init__(self, node: "EmbeddedNode") -> None:
        self._node = node

    def submit_all(self, blocks: AsyncIterator[bytes]) -> AsyncIterator[Verdict]:
        """Hand in serialised blocks; the verdicts in their order."""
        from photosynth.bitcoin_node.importing import submit_all

        return submit_all(self._node, blocks)


@asynccontextmanager
async def open_stopped_node(state: Place) -> AsyncIterator[StoppedNode]:
    """The node of a stopped site, to write; a chain that was lost begins anew, so that an export can be brought back.

    Raises StateError, and NodeUnavailableError where its node is a bitcoind.
    """
    from photosynth.bitcoin_node import open_node

    folder = StateFolder(state)
    _only_embedded(begun(folder))
    folder.lock()
    try:
        manifest = begun(folder)
        node = await open_node(folder.chain, manifest.network)
        try:
            write_mark(folder.chain, manifest)
            yield StoppedNode(node)
        finally:
            await node.close()
    finally:
        folder.unlock()


def _only_embedded(manifest: Manifest) -> None:
    if not manifest.embedded:
        raise NodeUnavailableError("this site's chain is a bitcoind's: ask that one, or start the site")


class StoppedEvidence:
    """The evidence of a stopped site; satisfies ``api.evidence_port.EvidencePort``."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder

    async def lines(self, stream: str | None = None) -> AsyncIterator[bytes]:
        """The lines of an export, of all streams or of one, each without its line feed. Raises NotKnownError."""
        from functools import partial

        from photosynth.operations.evidence_keys import signing_identity
        from photosynth.operations.view import NotKnownError
        from photosynth.storage import Database
        from photosynth.treasury.evidence.export import NoSuchStreamError, export_lines

        with Database(self._folder.database, at_rest=True) as database, database.read() as tx:
            try:
                for line in export_lines(tx, partial(signing_identity, tx, self._folder), stream):
                    yield line
            except NoSuchStreamError as error:
                raise NotKnownError(f"{error}.") from None


@asynccontextmanager
async def open_stopped_evidence(state: Place) -> AsyncIterator[StoppedEvidence]:
    """The evidence of a stopped site. Raises StateError and StorageError."""
    with _read(state) as (folder, _):
        yield StoppedEvidence(folder)


def _meters(tx: "Connection", site: str) -> "tuple[MeterInfo, ...]":
    """The meters that the site's evidence names last."""
    from photosynth.treasury.evidence.lines import last_of_kind
    from photosynth.treasury.facts import MeterInfo

    last = last_of_kind(tx, site, "site")
    if last is None:
        return ()
    return tuple(
        MeterInfo(m["id"], m["role"], m["party"], m["class"], 1, simulated=bool(m["simulated"])) for m in last.data["meters"]
    )


def _worker(name: str, item: "WorkerTotals") -> "WorkerDocument":
    from photosynth.operations.documents import WorkerDocument

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
