"""The view of a stopped fleet: what its state says, and unknown where only a running one could tell.

What each question needs is imported when it is asked: a status takes plain SQL, and neither SQLAlchemy nor a node.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, NoReturn, TypeVar

from photosynth.bitcoin.node import NodeUnavailableError, hash_text
from photosynth.operations.manifest import Manifest
from photosynth.operations.resting import read_state
from photosynth.operations.state import StateError, StateFolder
from photosynth.quantities.instants import iso_utc
from photosynth.sites.clock import RememberedTime
from photosynth.storage.address import Place

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from photosynth.documents import (
        ActionDocument,
        AlertTestDocument,
        BlockDocument,
        DayPoint,
        IncidentDocument,
        LedgerDocument,
        MachineDocument,
        NodeDocument,
        Status,
        TraceDocument,
        WorkerDocument,
        WorkersDocument,
    )
    from photosynth.operations.last_status import RestingTip
    from photosynth.operations.view import IncomePage
    from photosynth.pool.accounting import WorkAccount
    from photosynth.pool.records import WorkerTotals
    from photosynth.storage import Database
    from photosynth.treasury.facts import MeterInfo
    from photosynth.treasury.glance import Asked

T = TypeVar("T")


class StoppedFleet:
    """A stopped fleet's documents; satisfies ``FleetView``. It holds the folder's lock until :meth:`close`."""

    def __init__(self, folder: StateFolder, manifest: Manifest, release: Callable[[], None]) -> None:
        self._folder, self._manifest, self._release = folder, manifest, release
        self._known_accounts: dict[str, WorkAccount] = {}
        self._database: Database | None = None

    def close(self) -> None:
        """Let the folder go."""
        if self._database is not None:
            self._database.close()
        self._release()

    async def status(self, site: str | None = None) -> "Status":
        """The last status, with what the state says now, and powers unknown; of a site its part and its books."""
        chosen = self._chosen(site)
        from photosynth.operations.last_status import left_part
        from photosynth.operations.summaries import evidence_status, ledger_status, open_incidents, unknown_nodes
        from photosynth.sites.switched_off import switched_off
        from photosynth.storage.at_rest import RestingDatabase

        last = self._last_status()
        remembered = RememberedTime.load(self._folder.clock)
        with RestingDatabase(self._folder.database) as database:
            chain = next((self._manifest.sites[name].identity["chain"] for name in chosen), None)
            ledger, evidence = ledger_status(database, chain, last.ledger.asset, site), evidence_status(database)
            incidents = open_incidents(database, site)
            sites = []
            for part in (part for part in last.sites if part.name in chosen):
                chain = self._manifest.sites[part.name].identity["chain"]
                sites.append(
                    left_part(
                        part,
                        self._account(part.name),
                        self._tip(database, chain),
                        stopped=switched_off(self._folder.site(part.name).stopped),
                        embedded=self._embedded(chain) is not None,
                    )
                )
        return last.model_copy(
            update={
                "running": False,
                "time": last.time if remembered is None else iso_utc(remembered.site_ms),
                "wall_time": iso_utc(time.time_ns() // 1_000_000),
                "sites": sites,
                "nodes": unknown_nodes(last.nodes),
                "ledger": ledger,
                "evidence": evidence,
                "incidents": last.incidents.model_copy(update={"open": incidents}),
                "conditions": [],
            }
        )

    def _last_status(self) -> "Status":
        from pydantic import ValidationError

        from photosynth.documents.status import Status

        try:
            return Status.model_validate_json(self._folder.status.read_bytes())
        except (FileNotFoundError, ValidationError) as error:
            raise StateError(
                f"{self._folder.root} has no whole status from its last run; start the site once with `photosynth up`"
            ) from error

    async def workers(self, site: str | None = None) -> "WorkersDocument":
        """The pools' workers over the life of the state."""
        from photosynth.documents import WorkersDocument
        from photosynth.pool.records import is_worker

        return WorkersDocument(
            running=False,
            workers=[
                _worker(whose, name, item)
                for whose in self._chosen(site)
                for name, item in sorted(self._account(whose).totals.items())
                if is_worker(name)
            ],
        )

    async def income(self, network: str | None = None, limit: int = 1000, cursor: str | None = None) -> "IncomePage":
        """What networks paid, newest first, of all or of one: so much of it, from where the page before says."""
        from photosynth.operations.income_pages import income_page
        from photosynth.operations.view import known_network

        known_network(network)
        return self._query(lambda tx: income_page(tx, network, limit, cursor))

    def income_lines(self, network: str | None = None) -> AsyncIterator[bytes]:
        """All of it as lines of JSON, an IncomeDocument each."""
        from photosynth.operations.income_pages import income_lines
        from photosynth.operations.view import known_network

        return income_lines(self._reading, known_network(network))

    async def incidents(
        self, site: str | None = None, *, resolved: bool = False, limit: int = 1000, before_id: int | None = None
    ) -> "list[IncidentDocument]":
        """Incidents as they were left, newest first."""
        self._chosen(site)
        from photosynth.operations.incident_documents import incident_documents

        return self._query(lambda tx: incident_documents(tx, site, resolved=resolved, limit=limit, before_id=before_id))

    async def acknowledge(self, incident_id: int, by: str) -> "ActionDocument":
        """Refused: nothing runs that it could be told to."""
        self._not_running()

    async def test_alerts(self, actor: str) -> "list[AlertTestDocument]":
        """Refused: nothing runs."""
        self._not_running()

    async def nodes(self) -> "list[NodeDocument]":
        """None can be asked."""
        return []

    async def node_log(self, node_id: str, lines: int) -> list[str]:
        """Refused: nothing watches it."""
        self._not_running()

    async def restart_node(self, node_id: str, actor: str, reason: str) -> "ActionDocument":
        """Refused: nothing runs."""
        self._not_running()

    async def machines(self, site: str | None = None) -> "list[MachineDocument]":
        """None can be asked."""
        self._chosen(site)
        return []

    async def day(self, points: int = 288, site: str | None = None) -> "list[DayPoint]":
        """The stored curve of the day on which the site stopped."""
        from photosynth.operations.book_documents import day_points

        remembered, chosen = RememberedTime.load(self._folder.clock), self._chosen(site)
        if remembered is None or not chosen:
            return []
        return self._query(lambda tx: day_points(tx, chosen[0], remembered.site_ms, points))

    async def blocks(self, limit: int = 100, site: str | None = None) -> "list[BlockDocument]":
        """Blocks that our pools found, newest first."""
        self._chosen(site)
        from photosynth.operations.book_documents import block_documents

        return self._query(lambda tx: block_documents(tx, site, limit))

    async def ledger(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 1000,
        before_id: int | None = None,
        site: str | None = None,
    ) -> "LedgerDocument":
        """Trial balance of a period (the fleet's time) and its postings, newest first."""
        self._chosen(site)
        from photosynth.operations.book_documents import ledger_document

        return self._query(lambda tx: ledger_document(tx, site, from_ms, to_ms, limit=limit, before_id=before_id))

    def ledger_lines(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int | None = None,
        *,
        before_id: int | None = None,
        oldest_first: bool = False,
        site: str | None = None,
    ) -> AsyncIterator[bytes]:
        """The same as lines of JSON: a LedgerDocument without postings, then a PostingDocument a line."""
        self._chosen(site)
        from photosynth.operations.ledger_lines import ledger_lines

        return ledger_lines(self._reading, site, from_ms, to_ms, limit, before_id=before_id, oldest_first=oldest_first)

    async def trace(self, block_or_txid: str, site: str | None = None) -> "TraceDocument":
        """The satoshis of a block (height, hash or coinbase txid). Raises NotKnownError."""
        self._chosen(site)
        from photosynth.operations.book_documents import trace_document

        return self._query(lambda tx: trace_document(tx, site, block_or_txid, lambda name: _meters(tx, name)))

    async def actions(
        self, limit: int = 200, before_id: int | None = None, subject: str | None = None, site: str | None = None
    ) -> "list[ActionDocument]":
        """Every change to the world, newest first."""
        self._chosen(site)
        from photosynth.operations.book_documents import action_documents

        return self._query(lambda tx: action_documents(tx, site, limit, before_id, subject))

    async def stop_mining(self, actor: str, reason: str, site: str | None = None) -> "ActionDocument":
        """Refused: nothing runs."""
        self._not_running()

    async def resume_mining(self, actor: str, reason: str, site: str | None = None) -> "ActionDocument":
        """Refused: nothing runs."""
        self._not_running()

    @property
    def _names(self) -> list[str]:
        """The sites that the fleet file of the last start declared."""
        return list(self._manifest.active_sites())

    def _chosen(self, site: str | None) -> list[str]:
        """One site, or all. Raises NotKnownError for a site that did not live here."""
        names = self._names
        if site is not None:
            from photosynth.operations.view import known_site

            known_site(names, site)
        return [name for name in names if site in (None, name)]

    def _not_running(self) -> NoReturn:
        raise StateError(f"the fleet of {self._folder.root} does not run; start it with `photosynth up`")

    def _query(self, call: "Callable[[Connection], T]") -> T:
        if self._database is None:
            from photosynth.storage import Database

            self._database = Database(self._folder.database, at_rest=True)
        with self._database.read() as tx:
            return call(tx)

    async def _reading(self, call: "Callable[[Connection], T]") -> T:
        return self._query(call)

    def _account(self, site: str) -> "WorkAccount":
        """What a site's share log adds up to; it is replayed once, and only where somebody asks."""
        if site not in self._known_accounts:
            from photosynth.pool.segments import open_segments

            self._known_accounts[site] = open_segments(self._folder.site(site).shares, read_only=True).account
        return self._known_accounts[site]

    def _embedded(self, chain: str) -> str | None:
        """The embedded node of a chain, None where there is none."""
        return next((name for name, part in self._manifest.active_nodes().items() if part.chain == chain), None)

    def _tip(self, database: "Asked", chain: str) -> "RestingTip":
        """The best block of a chain.

        The embedded node's own tip may be ahead of the books after a kill. Where it is a bitcoind, or cannot be read, the
        books tell how far they have followed it.
        """
        from photosynth.operations.last_status import RestingTip
        from photosynth.treasury.glance import followed_top

        warnings = ["the system is stopped"]
        if (node := self._embedded(chain)) is not None:
            from photosynth.bitcoin_node.reading import RestingChain

            try:
                with RestingChain(self._folder.node(node)) as resting:
                    tip = resting.tip()
                age_s = max(0, int(time.time()) - tip.time_s) if tip.height else None
                return RestingTip(tip.height, hash_text(tip.hash), age_s, warnings)
            except NodeUnavailableError as error:
                warnings.append(f"the height is the books', for {error}")
        top = followed_top(database, chain)
        return RestingTip(None if top is None else top[0], None if top is None else hash_text(top[1]), None, warnings)


def open_stopped(state: Place) -> StoppedFleet:
    """Open the state of a stopped fleet. Raises StateError and StorageError with what to do."""
    held = ExitStack()
    folder, manifest = held.enter_context(read_state(state))
    return StoppedFleet(folder, manifest, held.close)


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


def _worker(site: str, name: str, item: "WorkerTotals") -> "WorkerDocument":
    from photosynth.documents import WorkerDocument

    return WorkerDocument(
        site=site,
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
