"""A site that is not there: a moving sunny Sunday with 102 machines, for looking at the console and testing it.

Everything is a function of site time, so that two readings at one time agree.
"""

import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.browser.fake_books import FakeBooks
from tests.browser.fake_day import BLOCK_MS, MODELS, QUARTER_MS, REWARD_SAT, START_MS, digest
from tests.browser.fake_incidents import FakeIncidents

from photosynth import documents as doc
from photosynth.operations.view import IncomePage, NotKnownError
from photosynth.quantities.instants import iso_utc


@dataclass
class FakeSite(FakeBooks):
    """Implements FleetView for a fleet of this one site.

    ``failing`` makes it stop answering, ``frozen`` answer from a wall time on with what it saw then; ``log`` is what was
    written to it.
    """

    failing: bool = False
    frozen: float | None = None
    polls: int = 0
    log: list[doc.ActionDocument] = field(default_factory=list)
    made_up: FakeIncidents = field(default_factory=FakeIncidents)

    async def status(self, site: str | None = None) -> doc.Status:
        self.polls += 1
        if self.failing:
            raise NotKnownError("the site's loop has stopped")
        now = self.now_ms()
        p = self.point(now)
        machines = await self.machines()
        states = [m.state for m in machines]
        rate = sum(int(m.hash_rate_hs or 0) for m in machines)
        shares = 0 if self.empty else 121_840 + (now - START_MS) // 900
        height = self.height()
        mature = max(0, height - 100)
        sat_day = 86_400 * rate * REWARD_SAT // (125_864_590_119_494 * 2**32)
        days = 125_864_590_119_494 * 2**32 / max(rate, 1) / 86_400
        known = not self.empty
        part = doc.SitePart(
            name=self.name,
            chain=doc.ChainStatus(
                network="regtest",
                software="libbitcoinkernel 0.1.0a5 (Bitcoin Core 30)",
                height=height,
                tip=digest(f"b{height}"),
                target=str(2**256 // 29_000_000),
                difficulty=0.00675,
                synchronised=True,
                peers=0,
                warnings=[],
                demonstration=True,
                observed_ms=int((self.frozen or time.time()) * 1000) if known else None,
                last_block_age_s=int((now - START_MS) % BLOCK_MS / 1000 / self.speed) if known else None,
            ),
            site=doc.SiteStatus(
                name=self.name,
                title=self.title,
                simulated=True,
                time_ms=now,
                zone="Europe/Berlin",
                speed=self.speed,
                replay=None,
                sources=["photovoltaic"],
                generation_w=p.generation_w if known else None,
                load_w=p.load_w if known else None,
                surplus_w=p.surplus_w if known else None,
                set_point_w=p.set_point_w if known else None,
                mining_power_w=p.mining_power_w if known else None,
                grid_w=p.grid_w if known else None,
                import_reason=None,
                curtailed_w=int(0.04 * (p.generation_w or 0)) if known else None,
                connection_w=400_000,
                observed_ms=now - 1000 if known else None,
                quality="good" if known else "unknown",
                spot_cent_per_mwh=p.spot_cent_per_mwh,
                import_cent_per_mwh=(p.spot_cent_per_mwh or 0) + 4536,
                export_cent_per_mwh=self.export_price(now),
                import_peak_w=61_400,
                stopped=self.stopped,
            ),
            pool=doc.PoolStatus(
                listen="127.0.0.1:3333",
                connections=len(machines) - 1 if known else 0,
                workers=len(machines) + 1 if known else 0,
                shares_accepted=shares,
                shares_rejected=shares // 900,
                rejected_by_cause={"stale": shares // 1100, "low difficulty": 9} if known else {},
                blocks_found=height,
                work_hashes=str(shares * 450_000),
                represented_hashes=str(shares * 450_000 * 412_000_000_000),
                hash_rate_hs=str(rate) if known else None,
                hash_rate_error_percent=2.4 if known else None,
            ),
            machines=doc.MachinesStatus(
                total=len(machines),
                running=states.count("running"),
                sleeping=states.count("sleeping"),
                starting=states.count("starting"),
                unreachable=states.count("unreachable"),
                faulty=states.count("faulty"),
                starts=204,
            ),
            models=[
                doc.ModelStatus(
                    id=m[0],
                    name=m[1],
                    total=m[3],
                    running=sum(x.model == m[0] and x.state == "running" for x in machines),
                    strike_cent_per_mwh=s,
                )
                for m, s in zip(self.models, (6690, 5160, 3061), strict=False)
            ],
            mainnet=doc.MainnetOutlook(
                difficulty="125864590119494",
                reward_sat=REWARD_SAT,
                price_cent_per_btc=5_930_000,
                as_of="2026-02-12",
                sat_per_day=sat_day if known else None,
                ueur_per_day=sat_day * 593 if known else None,
                days_per_block=days if known else None,
                chance_of_no_block_in_a_year=math.exp(-365 / days) if known else None,
                hash_price_ueur_per_th_day=29_800,
            ),
            conditions=self.conditions(now),
        )
        return doc.Status(
            time=iso_utc(now),
            wall_time=iso_utc(int((self.frozen or time.time()) * 1000)),
            running=True,
            version="0.1.0",
            speed=self.speed,
            sites=[part],
            nodes=doc.NodesStatus(healthy=1, degraded=0, down=1, unknown=1),
            ledger=doc.LedgerStatus(
                immature_sat=min(height, 100) * REWARD_SAT,
                mature_sat=mature * REWARD_SAT,
                carrying_ueur=height * REWARD_SAT * 593,
                mining_revenue_ueur=mature * REWARD_SAT * 593,
                mining_energy_j=4_212_000_000,
                mining_energy_cost_ueur=46_000_000,
                mining_energy_bought_ueur=321_000,
                factory_energy_bought_ueur=963_000,
                export_revenue_ueur=18_930_000,
                postings=self.postings_total(),
                reconciled_height=height if known else None,
                asset="demonstration BTC",
                assets=[
                    doc.HoldingStatus(
                        code="BTC", network="bitcoin", base_unit="satoshi", decimals=8, held=str(height * REWARD_SAT)
                    )
                ],
            ),
            evidence=doc.EvidenceStatus(
                records=22 if known else 0,
                head=digest(f"head{now // QUARTER_MS}") if known else None,
                last_interval_ms=now - now % QUARTER_MS - QUARTER_MS if known else None,
            ),
            incidents=doc.IncidentsStatus(open=len(part.conditions)),
            conditions=[],
        )

    async def workers(self, site: str | None = None) -> doc.WorkersDocument:
        self.known(site)
        if self.empty:
            return doc.WorkersDocument(running=True, workers=[])
        names: list[tuple[str, str | None, str, int, int]] = [
            (m.id, m.party, "412000000000", m.accepted, m.rejected) for m in await self.machines()
        ]
        names.append(("guest.cpuminer", None, "1", 312, 4))
        return doc.WorkersDocument(
            running=True,
            workers=[
                doc.WorkerDocument(
                    site=self.name,
                    name=n,
                    party=p,
                    scale=s,
                    connected=n != "hall-c-23",
                    difficulty=0.0003,
                    shares_accepted=a,
                    rejected_by_cause={"stale": r} if r else {},
                    work_hashes=str(a * 450_000),
                    represented_hashes=str(a * 450_000 * int(s)),
                    last_share_wall_ms=int(time.time() * 1000) - 4000,
                    user_agent="simulated/1" if p else "cpuminer/2.5.1",
                )
                for n, p, s, a, r in names
            ],
        )

    # actions

    async def actions(
        self, limit: int = 200, before_id: int | None = None, subject: str | None = None, site: str | None = None
    ) -> list[doc.ActionDocument]:
        self.known(site)
        count = 0 if self.empty else 120 + (self.now_ms() - START_MS) // 120_000
        found = list(reversed(self.log))
        for n in range(count, 0, -1):
            found += reversed(self._decision(n))
        chosen = [a for a in found if (subject is None or a.subject == subject) and (before_id is None or a.id < before_id)]
        return chosen[:limit]

    def _decision(self, n: int) -> list[doc.ActionDocument]:
        """What the dispatch told up to nine machines in one moment; hall-c-11 never does as it is told."""
        at, sleep = START_MS - 14_400_000 + n * 120_000, n % 2 == 0
        names = [f"hall-{'abc'[n % 3]}-{(n * 7 + i) % 32 + 1:02d}" for i in range(1 + n * 5 % 9)]
        if n % 11 == 0:
            names = sorted({*names, "hall-c-11"})
        return [
            doc.ActionDocument(
                id=n * 20 + i,
                site=self.name,
                time_ms=at + i,
                wall_ms=START_MS + n * 2000 + i,
                actor="dispatch",
                kind="sleep" if sleep else "set_power",
                subject=name,
                reason=(
                    "Sleeps: a megawatt-hour earns 30.61 EUR in it and 15.62 EUR at the grid; the surplus is used by others."
                    if sleep
                    else "Runs at 2400 W: a megawatt-hour earns 51.60 EUR in it; feeding in would fetch 15.62 EUR/MWh."
                ),
                request="sleep" if sleep else "set_power at 2400 W",
                result="unverified" if name == "hall-c-11" else "done",
                answer="STATUS=S,When=1781427600,Code=327,Msg=Curtail mode set to sleep,Description=LUXminer 2026.1.14"
                if sleep
                else "Profile Set",
                verified=name != "hall-c-11",
                read_back="reads 3,068 W and shares go on, wanted: 25 W, after 60 s"
                if name == "hall-c-11"
                else "25 W after 11 s"
                if sleep
                else "2,391 W after 44 s",
                finished_ms=at + 60_000,
            )
            for i, name in enumerate(names)
        ]

    def _write(self, kind: str, actor: str, reason: str, seen: str, verified: bool) -> doc.ActionDocument:
        now = self.now_ms()
        action = doc.ActionDocument(
            id=100_000 + len(self.log),
            site=None if kind == "restart_node" else self.name,
            time_ms=now,
            wall_ms=int(time.time() * 1000),
            actor=actor,
            kind=kind,
            subject=self.name,
            reason=reason,
            request="every machine sleeps" if kind == "stop_mining" else "the dispatch decides again",
            result="done" if verified else "unverified",
            answer=None,
            read_back=seen,
            verified=verified,
            finished_ms=now,
        )
        self.log.append(action)
        return action

    async def income(self, network: str | None = None, limit: int = 1000, cursor: str | None = None) -> IncomePage:
        return IncomePage([], None)

    async def income_lines(self, network: str | None = None) -> AsyncIterator[bytes]:
        for _ in ():
            yield b""

    async def incidents(
        self, site: str | None = None, *, resolved: bool = False, limit: int = 1000, before_id: int | None = None
    ) -> list[doc.IncidentDocument]:
        if self.empty:
            return []
        return await self.made_up.listed(site, resolved=resolved, limit=limit, before_id=before_id)

    async def acknowledge(self, incident_id: int, by: str) -> doc.ActionDocument:
        return await self.made_up.acknowledge(incident_id, by)

    async def test_alerts(self, actor: str) -> list[doc.AlertTestDocument]:
        return await self.made_up.test_alerts(actor)

    async def nodes(self) -> list[doc.NodeDocument]:
        if self.empty:
            return []
        now = int((self.frozen or time.time()) * 1000)
        gone = doc.NodeCondition(
            kind="node_unreachable",
            severity="critical",
            summary="it does not answer",
            evidence="connection refused",
            runbook="See that it runs, that the address and the credentials are its own, and what its log says last.",
            since_ms=now - 90_000,
        )
        known: dict[str, object] = {
            "network": "bitcoin",
            "chain": "regtest",
            "role": "full",
            "site": None,
            "conditions": [],
            "process": None,
        }
        rows: list[dict[str, object]] = [
            {"id": "btc-1", "run": "embedded", "state": "healthy", "head": self.height(), "lag": 0, "peers": 0}
            | {"version": "libbitcoinkernel 0.1.0a5 (Bitcoin Core 30)", "observed_ms": now - 2_000},
            {"id": "btc-2", "run": "process", "state": "down", "head": self.height() - 4, "lag": 4, "peers": None}
            | {"version": "/Satoshi:31.0.0/", "observed_ms": now - 95_000, "conditions": [gone]}
            | {"process": {"pid": 4711, "started_ms": now - 600_000, "restarts": 2}},
            {"id": "btc-3", "run": "external", "state": "unknown", "head": None, "lag": None, "peers": None}
            | {"version": None, "observed_ms": None, "conditions": [gone]},
        ]
        return [doc.NodeDocument.model_validate(known | row) for row in rows]

    async def node_log(self, node_id: str, lines: int) -> list[str]:
        return [f"{node_id}: line {number}" for number in range(lines)]

    async def restart_node(self, node_id: str, actor: str, reason: str) -> doc.ActionDocument:
        return self._write("restart_node", actor, reason, f"{node_id} runs", verified=True)

    async def stop_mining(self, actor: str, reason: str, site: str | None = None) -> doc.ActionDocument:
        self.known(site)
        self.stopped = True
        if self.models is not MODELS:
            return self._write("stop_mining", actor, reason, "every machine is asleep", verified=True)
        seen = "100 of 102 machines are asleep; awake: hall-c-11 (it says OK and still runs), hall-c-23 (it does not answer)"
        return self._write("stop_mining", actor, reason, seen, verified=False)

    async def resume_mining(self, actor: str, reason: str, site: str | None = None) -> doc.ActionDocument:
        self.known(site)
        self.stopped = False
        return self._write("resume_mining", actor, reason, "the dispatch decides", verified=True)
