"""A site made up for the command line's tests: every document once, and a view that answers with them."""

from collections.abc import AsyncIterator

from tests.browser.fake_incidents import FakeIncidents

from photosynth.documents import (
    ActionDocument,
    AlertTestDocument,
    AssetDocument,
    BalanceRow,
    BlockDocument,
    ChainStatus,
    Condition,
    DayPoint,
    EvidenceStatus,
    HoldingStatus,
    IncidentDocument,
    IncidentsStatus,
    IncomeDocument,
    LedgerDocument,
    LedgerStatus,
    Line,
    MachineDocument,
    MachinesStatus,
    MainnetOutlook,
    MeterInterval,
    NodeCondition,
    NodeDocument,
    NodesStatus,
    PoolStatus,
    PostingDocument,
    SitePart,
    SiteStatus,
    Status,
    TraceDocument,
    TraceInterval,
    TraceShare,
    WorkerDocument,
    WorkersDocument,
)
from photosynth.operations.view import IncomePage, NotKnownError, chosen_sites, known_site

NOON_MS = 1_781_431_200_000  # 2026-06-14T10:00Z

SITE = SitePart(
    name="backnang",
    chain=ChainStatus(
        network="regtest",
        software="embedded node",
        height=7,
        tip="00" * 32,
        target=str(2**255),
        difficulty=4.6e-10,
        synchronised=True,
        peers=0,
        warnings=[],
        demonstration=True,
        last_block_age_s=4,
        observed_ms=NOON_MS,
    ),
    site=SiteStatus(
        name="backnang",
        title="Factory roof, Backnang",
        simulated=True,
        time_ms=NOON_MS,
        zone="Europe/Berlin",
        speed=60.0,
        replay=None,
        sources=["photovoltaic"],
        generation_w=412_345,
        load_w=60_100,
        surplus_w=352_245,
        set_point_w=340_000,
        mining_power_w=339_000,
        grid_w=-13_245,
        import_reason=None,
        curtailed_w=0,
        connection_w=400_000,
        observed_ms=NOON_MS - 2000,
        quality="good",
        spot_cent_per_mwh=-1230,
        import_cent_per_mwh=3306,
        export_cent_per_mwh=-1430,
        import_peak_w=None,
        stopped=False,
    ),
    pool=PoolStatus(
        listen="127.0.0.1:3333",
        connections=102,
        workers=102,
        shares_accepted=1234,
        shares_rejected=2,
        rejected_by_cause={"stale": 2},
        blocks_found=7,
        work_hashes="123456789",
        represented_hashes=str(10**21),
        hash_rate_hs=str(19_848 * 10**12),
        hash_rate_error_percent=2.8,
    ),
    machines=MachinesStatus(total=102, running=100, sleeping=1, starting=0, unreachable=1, faulty=0, starts=3),
    models=[],
    mainnet=MainnetOutlook(
        difficulty="125864590119494",
        reward_sat=314_500_000,
        price_cent_per_btc=5_930_000,
        as_of="2026-02-12",
        sat_per_day=999,
        ueur_per_day=10**6,
        days_per_block=321.0,
        chance_of_no_block_in_a_year=0.32,
        hash_price_ueur_per_th_day=30_000,
    ),
    conditions=[
        Condition(
            id="c1",
            severity="warning",
            subject="hall-c-11",
            summary="It said OK and did nothing.",
            evidence="3,068 W after sleep",
            advice="Switch it off at its plug.",
            since_ms=NOON_MS,
        )
    ],
)

STATUS = Status(
    time="2026-06-14T10:00:00Z",
    wall_time="2026-11-22T15:00:00Z",
    running=True,
    version="0.1.0",
    speed=60.0,
    sites=[SITE],
    nodes=NodesStatus(healthy=1, degraded=0, down=1, unknown=0),
    ledger=LedgerStatus(
        immature_sat=47_600,
        mature_sat=0,
        carrying_ueur=28_226_800,
        mining_revenue_ueur=0,
        mining_energy_j=7_200_000,
        mining_energy_cost_ueur=120_000,
        mining_energy_bought_ueur=50_000,
        factory_energy_bought_ueur=1_750_000,
        export_revenue_ueur=-5,
        postings=9,
        reconciled_height=7,
        asset="demonstration BTC",
        assets=[HoldingStatus(code="BTC", network="bitcoin", base_unit="satoshi", decimals=8, held="47600")],
    ),
    evidence=EvidenceStatus(records=4, head="ab" * 32, last_interval_ms=NOON_MS),
    incidents=IncidentsStatus(open=1),
    conditions=[],
)


def of_sites(*sites: SitePart) -> Status:
    """The same status of a fleet of these sites."""
    return STATUS.model_copy(update={"sites": list(sites)})


WORKERS = WorkersDocument(
    running=True,
    workers=[
        WorkerDocument(
            site="backnang",
            name=name,
            party=party,
            scale=scale,
            connected=connected,
            difficulty=0.001,
            shares_accepted=10,
            rejected_by_cause={"stale": 2, "duplicate": 0},
            work_hashes="42949672960",
            represented_hashes=str(42949672960 * int(scale)),
            last_share_wall_ms=None,
            user_agent=None,
        )
        for name, party, scale, connected in (("zoe", None, "1", True), ("hall-a-01", "photosynth-demo", "7", False))
    ],
)


def posting(number: int) -> PostingDocument:
    """One posting of a coinbase."""
    lines = [
        Line(account="1100", name="coins immature", side="debit", asset="BTC", amount="6800"),
        Line(account="3100", name="coins contra", side="credit", asset="BTC", amount="6800"),
    ]
    return PostingDocument(
        id=number,
        site="backnang",
        key=f"regtest:{number}:accrued:1",
        time_ms=NOON_MS + number,
        wall_ms=NOON_MS,
        event="coinbase_accrued",
        text="=1+1" if number == 1 else f"block {number}",
        lines=lines,
        reverses=None,
        source={"height": number},
    )


BLOCK = BlockDocument(
    site="backnang",
    height=7,
    hash="0a" * 32,
    txid="0b" * 32,
    time_s=NOON_MS // 1000,
    site_ms=NOON_MS,
    value_sat=6800,
    value_ueur=4_032_400,
    state="immature",
    confirmations=1,
    worker="hall-a-01",
    commitment=None,
)
TRACE = TraceDocument(
    block=BLOCK,
    shares=[
        TraceShare(
            worker="hall-a-01",
            party="photosynth-demo",
            interval_ms=NOON_MS,
            round=7,
            shares=3,
            work_hashes="12000",
            represented_hashes=str(10**20),
            value_sat=6800,
        )
    ],
    intervals=[
        TraceInterval(
            interval_ms=NOON_MS,
            record=4,
            value_sat=6800,
            own_mining_j=300_000_000,
            grid_mining_j=0,
            mining_j=300_000_000,
            meters=[MeterInterval(id="miners", role="mining", register_start_j=0, register_end_j=300_000_000, quality="good")],
            spot_cent_per_mwh=-1230,
            energy_cost_ueur=0,
            prices={"levies": 2946},
            price_source="synthetic",
        )
    ],
    postings=[posting(7)],
    notes=["Everything physical is simulated."],
)


def action(kind: str, actor: str, reason: str, result: str = "done") -> ActionDocument:
    """An audited action with a result."""
    return ActionDocument.model_validate(
        {
            "id": 1,
            "site": "backnang",
            "time_ms": NOON_MS,
            "wall_ms": NOON_MS,
            "actor": actor,
            "kind": kind,
            "subject": "site",
            "reason": reason,
            "request": "all to sleep",
            "result": result,
            "answer": "102 of 102 answered",
            "read_back": "2,600 W",
            "verified": result == "done",
            "finished_ms": NOON_MS,
        }
    )


def _node(node_id: str, **changed: object) -> NodeDocument:
    known: dict[str, object] = {
        "id": node_id,
        "network": "bitcoin",
        "chain": "regtest",
        "role": "full",
        "site": None,
        "run": "embedded",
        "state": "healthy",
        "head": 7,
        "lag": 0,
        "peers": 0,
        "version": "embedded node",
        "observed_ms": NOON_MS,
        "conditions": [],
        "process": None,
    }
    return NodeDocument.model_validate(known | changed)


DOWN = NodeCondition(
    kind="node_unreachable",
    severity="critical",
    summary="it does not answer",
    evidence="connection refused",
    runbook="See that it runs.",
    since_ms=NOON_MS,
)
NODES = [
    _node("btc-1"),
    _node(
        "btc-2",
        run="process",
        state="down",
        head=5,
        lag=2,
        peers=None,
        conditions=[DOWN],
        process={"pid": 77, "started_ms": NOON_MS, "restarts": 3},
    ),
]

INCOME = [
    IncomeDocument(
        id="block-9",
        network="ethereum",
        node="eth-1",
        validator="0xab",
        kind="proposal",
        asset="ETH",
        amount=str(-40 * 10**18),
        state="received",
        time_ms=NOON_MS,
        position="slot 9",
    ),
    IncomeDocument(
        id="fee-1",
        network="tally",
        node="one",
        validator=None,
        kind="fee",
        asset="TALLY",
        amount="7",
        state="accrued",
        time_ms=NOON_MS,
        position="count 7",
    ),
]


class SampleView:
    """A FleetView over the documents above, with as many postings as wanted."""

    def __init__(self, postings: int = 3, result: str = "done") -> None:
        self.postings = [posting(number) for number in range(postings, 0, -1)]
        self.result = result
        self.actions_taken: list[tuple[str, str, str]] = []
        self.asked_of: list[str | None] = []
        self.sites: list[str] = ["backnang"]
        self.periods: list[tuple[int | None, int | None]] = []
        self.closed = 0
        self.made_up = FakeIncidents()
        self.lost_lines = 0

    async def status(self, site: str | None = None) -> Status:
        """The one status."""
        return STATUS

    async def workers(self, site: str | None = None) -> WorkersDocument:
        """Two workers."""
        known_site(self.sites, site)
        return WORKERS

    async def machines(self, site: str | None = None) -> list[MachineDocument]:
        """None."""
        return []

    async def day(self, points: int = 288, site: str | None = None) -> list[DayPoint]:
        """None."""
        return []

    async def blocks(self, limit: int = 100, site: str | None = None) -> list[BlockDocument]:
        """One block."""
        return [BLOCK]

    async def ledger(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 1000,
        before_id: int | None = None,
        site: str | None = None,
    ) -> LedgerDocument:
        """The postings, newest first, by pages."""
        known_site(self.sites, site)
        self.periods.append((from_ms, to_ms))
        page = [p for p in self.postings if before_id is None or p.id < before_id][:limit]
        row = BalanceRow(
            account="1100", name="coins immature", asset="BTC", opening="0", debit="6800", credit="0", closing="6800"
        )
        return LedgerDocument(
            from_ms=from_ms,
            to_ms=to_ms,
            assets=[AssetDocument(code="BTC", name="Bitcoin", network="bitcoin", base_unit="satoshi", decimals=8)],
            trial_balance=[row],
            postings=page,
            total_postings=len(self.postings),
        )

    async def ledger_lines(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int | None = None,
        *,
        before_id: int | None = None,
        oldest_first: bool = False,
        site: str | None = None,
    ) -> AsyncIterator[bytes]:
        """The postings in pieces that end anywhere, as they come through a network; the last ones may get lost."""
        document = await self.ledger(from_ms, to_ms, len(self.postings) if limit is None else limit, before_id, site)
        postings = reversed(document.postings) if oldest_first else document.postings
        head = document.model_copy(update={"postings": []})
        postings = list(postings)[: len(document.postings) - self.lost_lines]
        text = b"".join(part.model_dump_json().encode() + b"\n" for part in (head, *postings))
        for at in range(0, len(text), 10_007):
            yield text[at : at + 10_007]

    async def income(self, network: str | None = None, limit: int = 1000, cursor: str | None = None) -> IncomePage:
        """Of a network with validators and of one without; a cursor says how many came before."""
        first = int(cursor or 0)
        found = self._income(network)[first:]
        return IncomePage(found[:limit], str(first + limit) if len(found) > limit else None)

    def _income(self, network: str | None) -> list[IncomeDocument]:
        if network not in (None, "ethereum", "tally", "dot"):
            raise NotKnownError(f"There is no network {network!r} here; there is ethereum, tally, dot.")
        return [one for one in INCOME if network in (None, one.network)]

    async def incidents(
        self, site: str | None = None, *, resolved: bool = False, limit: int = 1000, before_id: int | None = None
    ) -> list[IncidentDocument]:
        """As made up."""
        return await self.made_up.listed(site, resolved=resolved, limit=limit, before_id=before_id)

    async def acknowledge(self, incident_id: int, by: str) -> ActionDocument:
        """As made up."""
        return await self.made_up.acknowledge(incident_id, by)

    async def test_alerts(self, actor: str) -> list[AlertTestDocument]:
        """As made up."""
        return await self.made_up.test_alerts(actor)

    def income_lines(self, network: str | None = None) -> AsyncIterator[bytes]:
        """The same, line by line."""
        found = self._income(network)

        async def lines() -> AsyncIterator[bytes]:
            for one in found:
                yield one.model_dump_json().encode() + b"\n"

        return lines()

    async def nodes(self) -> list[NodeDocument]:
        """One that is well, and one that stopped answering."""
        return NODES

    async def node_log(self, node_id: str, lines: int) -> list[str]:
        """Of the second one, which runs here."""
        if node_id != "btc-2":
            raise NotKnownError(f"{node_id} has no process here: it has `run: embedded`.")
        return [f"line {number}" for number in range(1, 201)][-lines:]

    async def restart_node(self, node_id: str, actor: str, reason: str) -> ActionDocument:
        """Note that it was asked."""
        if node_id != "btc-2":
            raise NotKnownError(f"{node_id} has no process here: it has `run: embedded`.")
        self.actions_taken.append(("restart", actor, reason))
        return action("restart_node", actor, reason, self.result)

    async def trace(self, block_or_txid: str, site: str | None = None) -> TraceDocument:
        """Block 7, and no other."""
        known_site(self.sites, site)
        if block_or_txid != "7":
            raise NotKnownError(f"there is no block {block_or_txid} of ours")
        return TRACE

    async def actions(
        self, limit: int = 200, before_id: int | None = None, subject: str | None = None, site: str | None = None
    ) -> list[ActionDocument]:
        """None."""
        return []

    async def stop_mining(self, actor: str, reason: str, site: str | None = None) -> ActionDocument:
        """Note that it was asked."""
        chosen_sites(self.sites, site)
        self.actions_taken.append(("stop", actor, reason))
        self.asked_of.append(site)
        return action("stop-mining", actor, reason, self.result)

    async def resume_mining(self, actor: str, reason: str, site: str | None = None) -> ActionDocument:
        """Note that it was asked."""
        chosen_sites(self.sites, site)
        self.actions_taken.append(("resume", actor, reason))
        self.asked_of.append(site)
        return action("resume-mining", actor, reason, self.result)

    def close(self) -> None:
        """Count how often it was closed."""
        self.closed += 1
