"""A site that is not there: a moving sunny Sunday with 102 machines, for looking at the console and testing it.

Everything is a function of site time, so that two readings at one time agree. ``python -m tests.browser.fake_site`` serves it.
"""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from photosynth.operations import documents as doc
from photosynth.operations.view import NotKnownError
from photosynth.quantities.instants import iso_utc, market_day_bounds_ms, market_day_of

START_MS = 1_781_427_600_000  # 2026-06-14T11:00 in Berlin
MODELS = (("s21-xp", "Antminer S21 XP", "hall-a", 36, 270, 3645), ("s21", "Antminer S21", "hall-b", 34, 200, 3500),
          ("s19j-pro", "Antminer S19j Pro", "hall-c", 32, 104, 3068))  # fmt: skip
QUARTER_MS = 900_000
BLOCK_MS = 600_000
REWARD_SAT = 314_500_000


def _noise(seed: str, at: int) -> float:
    return int.from_bytes(hashlib.blake2s(f"{seed}{at}".encode(), digest_size=4).digest()) / 2**32


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class FakeSite:
    """Implements SiteView. ``now_ms`` tells site time; ``blocks_before`` is how many blocks the chain has at the start."""

    speed: float = 60.0
    blocks_before: int = 131
    empty: bool = False
    began: float = field(default_factory=time.monotonic)
    stopped: bool = False
    failing: bool = False
    polls: int = 0
    now: Callable[[], int] | None = None
    log: list[doc.ActionDocument] = field(default_factory=list)

    def now_ms(self) -> int:
        if self.now is not None:
            return self.now()
        return START_MS + int((time.monotonic() - self.began) * 1000 * self.speed)

    # the physical day

    def _point(self, at: int) -> doc.DayPoint:
        start, _ = market_day_bounds_ms(market_day_of(at))
        hour = (at - start) / 3_600_000
        sun = max(0.0, math.sin((hour - 5.4) / 15.6 * math.pi)) if 5.4 < hour < 21 else 0.0
        cloud = 1 - 0.16 * _noise("cloud", at // 600_000) - 0.05 * _noise("wisp", at // 60_000)
        generation = int(468_000 * sun**1.25 * cloud)
        load = int(38_000 + 24_000 * max(0.0, math.sin((hour - 6) / 14 * math.pi)) + 2_500 * _noise("load", at // 60_000))
        surplus = generation - load
        wanted = min(max(0, surplus - 5_000), 341_000)
        mining = (
            0 if self.stopped and at > self.now_ms() - 3_600_000 else int(wanted * (0.985 + 0.015 * _noise("m", at // 60_000)))
        )
        spot = int((62 - 88 * math.exp(-(((hour - 13.2) / 3.1) ** 2)) + 24 * math.exp(-(((hour - 20) / 1.8) ** 2))) * 100)
        return doc.DayPoint(
            time_ms=at, generation_w=generation, load_w=load, surplus_w=surplus, set_point_w=0 if self.stopped else wanted,
            mining_power_w=mining, grid_w=load + mining - generation, spot_cent_per_mwh=spot - spot % 7,
        )  # fmt: skip

    async def day(self, points: int = 288) -> list[doc.DayPoint]:
        now = self.now_ms()
        start, _ = market_day_bounds_ms(market_day_of(now))
        step = max(300_000, 86_400_000 // points)
        if self.empty:
            return []
        found = [self._point(at) for at in range(start, now + 1, step)]
        gap = start + 8 * 3_600_000  # a quarter hour without observations
        return [
            p if not gap <= p.time_ms < gap + QUARTER_MS else
            doc.DayPoint(**{**p.model_dump(), "generation_w": None, "load_w": None, "surplus_w": None, "set_point_w": None,
                            "mining_power_w": None, "grid_w": None})
            for p in found
        ]  # fmt: skip

    def _height(self) -> int:
        return 0 if self.empty else self.blocks_before + max(0, (self.now_ms() - START_MS) // BLOCK_MS)

    # machines

    async def machines(self) -> list[doc.MachineDocument]:
        now = self.now_ms()
        left = self._point(now).set_point_w or 0
        out: list[doc.MachineDocument] = []
        for model, _name, group, count, th, watts in MODELS:
            for n in range(1, count + 1):
                machine = f"{group}-{n:02d}"
                run = left >= watts and not self.stopped
                power = watts if run else 1900 if left >= 1900 and not self.stopped else 25
                left -= power if power > 25 else 0
                out.append(self._machine(machine, group, model, th, watts, power, now))
        return out

    def _machine(self, name: str, group: str, model: str, th: int, watts: int, power: int, now: int) -> doc.MachineDocument:
        state: str = "running" if power > 25 else "sleeping"
        strike = {"s21-xp": 6690, "s21": 5160, "s19j-pro": 3061}[model]
        reason = (
            f"Runs: own surplus is worth {strike / 100:.2f} EUR/MWh in this machine and {self._export(now) / 100:.2f} EUR/MWh at the grid."
            if power > 25 else "Sleeps: stopped by an operator until mining is resumed." if self.stopped else
            "Sleeps: the surplus is used by machines that make more of it."
        )  # fmt: skip
        commanded: int | None = power if power > 25 else 0
        actual: int | None = int(power * (0.985 + 0.03 * _noise(name, now // 60_000)))
        conditions: list[doc.Condition] = []
        found = next((c for c in self._conditions(now) if c.subject == name), None)
        if found is not None:
            conditions = [found]
        if name == "hall-c-23" and (now // 240_000) % 3 == 0:
            state, actual, reason = (
                "unreachable",
                None,
                "Unknown: it does not answer; its share of the set-point is given to others.",
            )
        elif name == "hall-c-11":
            state, actual, reason = (
                "faulty",
                3068,
                "Runs although told to sleep: it answers OK and does nothing. Its power is planned around.",
            )
            commanded = 0
        elif name == "hall-b-07":
            state, actual, reason = (
                "running",
                3498,
                "Runs at its own power: it ignores wattages, so it is only switched on and off.",
            )
        elif state == "running" and name == "hall-b-31":
            state, reason = "starting", "Starting: told to run 40 s ago, its boards are warming up."
        rate = None if actual is None else 0 if actual < 100 else int(th * 10**12 * min(1.0, 0.3 + 0.7 * actual / watts))
        fresh = state in ("running", "starting", "faulty")
        return doc.MachineDocument(
            id=name, group=group, model=model, party="photosynth-demo", driver="luxos", address=f"127.0.0.1:{40000 + len(name)}",
            worker=name, state=state,  # type: ignore[arg-type]
            power_w=actual, hash_rate_hs=None if rate is None else str(rate), commanded_w=commanded, reason=reason,
            temperature_c=None if actual is None else 58 + int(9 * _noise(name, now // 300_000)) if fresh else 31,
            observed_ms=now - 500 if actual is not None else now - 190_000, state_since_ms=START_MS - 1_800_000,
            starts=2, accepted=1200 + int(90 * _noise(name, 1)) + (now - START_MS) // 11_000, rejected=int(3 * _noise(name, 2)),
            last_share_wall_ms=int(time.time() * 1000) - int(9000 * _noise(name, now // 9000)) if fresh else int(time.time() * 1000) - 840_000,
            strike_cent_per_mwh=strike, conditions=conditions,
        )  # fmt: skip

    def _conditions(self, now: int) -> list[doc.Condition]:
        if self.empty:
            return []
        return [
            doc.Condition(
                id="machine.ignores_power", severity="warning", subject="hall-b-07",
                summary="Ignores its power limit", evidence="told 1,850 W at 11:02, read 3,498 W five minutes later",
                advice="It is only switched on and off now. Update its firmware or check the profile list.", since_ms=START_MS - 600_000),
            doc.Condition(
                id="machine.does_nothing", severity="critical", subject="hall-c-11",
                summary="Answers OK and does nothing", evidence="sleep was answered 'S' three times; power stayed at 3,068 W and shares went on",
                advice="Switch it off at its breaker; the dispatch plans around its power meanwhile.", since_ms=START_MS - 420_000),
            doc.Condition(
                id="machine.drops_out", severity="warning", subject="hall-c-23",
                summary="Drops out and comes back", evidence="4 times in the last hour, 240 s each",
                advice="Check its network cable and power supply.", since_ms=START_MS - 1_900_000),
        ]  # fmt: skip

    def _export(self, now: int) -> int:
        spot = self._point(now).spot_cent_per_mwh or 0
        return spot - 200 + (1300 if spot >= 0 else 0)

    # documents

    async def status(self) -> doc.Status:
        self.polls += 1
        if self.failing:
            raise NotKnownError("the site's loop has stopped")
        now = self.now_ms()
        p = self._point(now)
        machines = await self.machines()
        states = [m.state for m in machines]
        rate = sum(int(m.hash_rate_hs or 0) for m in machines)
        shares = 0 if self.empty else 121_840 + (now - START_MS) // 900
        height = self._height()
        mature = max(0, height - 100)
        sat_day = 86_400 * rate * REWARD_SAT // (125_864_590_119_494 * 2**32)
        days = 125_864_590_119_494 * 2**32 / max(rate, 1) / 86_400
        known = not self.empty
        return doc.Status(
            time=iso_utc(now), wall_time=iso_utc(int(time.time() * 1000)), running=True, version="0.1.0", speed=self.speed,
            chain=doc.ChainStatus(
                network="regtest", software="libbitcoinkernel 0.1.0a5 (Bitcoin Core 30)", height=height, tip=_hash(f"b{height}"),
                target=str(2**256 // 29_000_000), difficulty=0.00675, synchronised=True, peers=0, warnings=[], demonstration=True,
                last_block_age_s=int((now - START_MS) % BLOCK_MS / 1000 / self.speed) if known else None),
            site=doc.SiteStatus(
                name="backnang", title="Factory roof, Backnang", simulated=True, time_ms=now, speed=self.speed, replay=None,
                generation_w=p.generation_w if known else None, load_w=p.load_w if known else None, surplus_w=p.surplus_w if known else None,
                set_point_w=p.set_point_w if known else None, mining_power_w=p.mining_power_w if known else None,
                grid_w=p.grid_w if known else None, curtailed_w=int(0.04 * (p.generation_w or 0)) if known else None, connection_w=400_000,
                observed_ms=now - 1000 if known else None, quality="good" if known else "unknown",
                spot_cent_per_mwh=p.spot_cent_per_mwh, import_cent_per_mwh=(p.spot_cent_per_mwh or 0) + 4536,
                export_cent_per_mwh=self._export(now), import_peak_w=61_400, stopped=self.stopped),
            pool=doc.PoolStatus(
                listen="127.0.0.1:3333", connections=101 if known else 0, workers=103 if known else 0, shares_accepted=shares,
                shares_rejected=shares // 900, rejected_by_cause={"stale": shares // 1100, "low difficulty": 9} if known else {},
                blocks_found=height, work_hashes=str(shares * 450_000), represented_hashes=str(shares * 450_000 * 412_000_000_000),
                hash_rate_hs=str(rate) if known else None, hash_rate_error_percent=2.4 if known else None),
            machines=doc.MachinesStatus(
                total=102, running=states.count("running"), sleeping=states.count("sleeping"), starting=states.count("starting"),
                unreachable=states.count("unreachable"), faulty=states.count("faulty"), starts=204),
            models=[
                doc.ModelStatus(id=m[0], name=m[1], total=m[3], running=sum(x.model == m[0] and x.state == "running" for x in machines),
                                strike_cent_per_mwh=s) for m, s in zip(MODELS, (6690, 5160, 3061), strict=True)],
            mainnet=doc.MainnetOutlook(
                difficulty="125864590119494", reward_sat=REWARD_SAT, price_cent_per_btc=5_930_000, as_of="2026-02-12",
                sat_per_day=sat_day if known else None, ueur_per_day=sat_day * 593 if known else None, days_per_block=days if known else None,
                chance_of_no_block_in_a_year=math.exp(-365 / days) if known else None, hash_price_ueur_per_th_day=29_800),
            ledger=doc.LedgerStatus(
                immature_sat=min(height, 100) * REWARD_SAT, mature_sat=mature * REWARD_SAT, carrying_ueur=height * REWARD_SAT * 593,
                mining_revenue_ueur=mature * REWARD_SAT * 593, energy_cost_ueur=1_284_000, export_revenue_ueur=18_930_000,
                postings=height * 3 + 40 if known else 0, reconciled_height=height if known else None, asset="demonstration BTC"),
            evidence=doc.EvidenceStatus(records=22 if known else 0, head=_hash(f"head{now // QUARTER_MS}") if known else None,
                                        last_interval_ms=now - now % QUARTER_MS - QUARTER_MS if known else None),
            conditions=self._conditions(now),
        )  # fmt: skip

    async def workers(self) -> doc.WorkersDocument:
        if self.empty:
            return doc.WorkersDocument(running=True, workers=[])
        names = [(m.id, m.party, "412000000000", m.accepted, m.rejected) for m in await self.machines()]
        names.append(("guest.cpuminer", None, "1", 312, 4))
        return doc.WorkersDocument(running=True, workers=[
            doc.WorkerDocument(
                name=n, party=p, scale=s, connected=n != "hall-c-23", difficulty=0.0003, shares_accepted=a,
                rejected_by_cause={"stale": r} if r else {}, work_hashes=str(a * 450_000), represented_hashes=str(a * 450_000 * int(s)),
                last_share_wall_ms=int(time.time() * 1000) - 4000, user_agent="simulated/1" if p else "cpuminer/2.5.1")
            for n, p, s, a, r in names])  # fmt: skip

    def _block(self, height: int) -> doc.BlockDocument:
        tip = self._height()
        found = START_MS - (self.blocks_before - height) * BLOCK_MS
        orphaned = height == self.blocks_before - 7
        return doc.BlockDocument(
            height=height, hash="0000" + _hash(f"b{height}")[4:], txid=_hash(f"t{height}"), time_s=found // 1000, site_ms=found,
            value_sat=REWARD_SAT - (height * 7919) % 1_900_000, value_ueur=(REWARD_SAT - (height * 7919) % 1_900_000) * 593,
            state="orphaned" if orphaned else "mature" if tip - height >= 100 else "immature", confirmations=0 if orphaned else tip - height + 1,
            worker=f"hall-a-{height % 36 + 1:02d}", commitment=_hash(f"head{found // QUARTER_MS}"))  # fmt: skip

    async def blocks(self, limit: int = 100) -> list[doc.BlockDocument]:
        tip = self._height()
        return [self._block(h) for h in range(tip, max(0, tip - limit), -1)]

    def _posting(self, number: int) -> doc.PostingDocument:
        value, now = REWARD_SAT, START_MS - 40 * QUARTER_MS + number * 300_000
        eur = value * 593

        def line(account: str, name: str, side: str, asset: str, amount: int) -> doc.Line:
            return doc.Line(account=account, name=name, side=side, asset=asset, amount=amount)  # type: ignore[arg-type]

        kind = number % 3
        if kind == 0:
            event, text = "energy.interval", "Energy of a quarter hour"
            lines = [line("E30", "factory", "debit", "J", 52_000_000), line("E40", "mining", "debit", "J", 301_000_000),
                     line("E50", "export", "debit", "J", 4_300_000), line("E90", "residual", "debit", "J", 210_000),
                     line("E10", "own generation", "credit", "J", 357_510_000)]  # fmt: skip
        elif kind == 1:
            event, text = "mining.coinbase.accrued", f"Coinbase of block {number // 3} accrued"
            lines = [line("1100", "coins immature", "debit", "SAT", value), line("3100", "SAT contra", "credit", "SAT", value),
                     line("1100", "coins immature", "debit", "UEUR", eur), line("2800", "deferred mining reward", "credit", "UEUR", eur)]  # fmt: skip
        else:
            event, text = "energy.own", "Own energy used for mining, at the forgone export"
            lines = [
                line("7100", "own energy charged", "debit", "UEUR", 412_377),
                line("7200", "own energy credited", "credit", "UEUR", 412_377),
            ]
        return doc.PostingDocument(id=number, key=f"demo:{number}", time_ms=now, wall_ms=int(time.time() * 1000), event=event, text=text,
                                   lines=lines, reverses=None, source={"meter": "pv", "price": "synthetic day"})  # fmt: skip

    async def ledger(
        self, from_ms: int | None = None, to_ms: int | None = None, limit: int = 1000, before_id: int | None = None
    ) -> doc.LedgerDocument:
        total = (await self.status()).ledger.postings
        ids = range(min(total, (before_id or total + 1) - 1), 0, -1)
        chosen = [
            p
            for p in map(self._posting, ids)
            if (from_ms is None or p.time_ms >= from_ms) and (to_ms is None or p.time_ms < to_ms)
        ]
        height = self._height()
        immature, mature = min(height, 100) * REWARD_SAT, max(0, height - 100) * REWARD_SAT
        rows = [] if self.empty else [
            ("1100", "Coins, immature", "SAT", immature), ("1110", "Coins, available", "SAT", mature), ("3100", "SAT contra", "SAT", -immature - mature),
            ("1100", "Coins, immature", "UEUR", immature * 593), ("1110", "Coins, available", "UEUR", mature * 593),
            ("1200", "Export receivable", "UEUR", 18_930_120), ("2100", "Energy supplier", "UEUR", -1_284_455),
            ("2800", "Deferred mining reward", "UEUR", -immature * 593), ("4100", "Mining revenue", "UEUR", -mature * 593),
            ("4200", "Export revenue", "UEUR", -18_930_120), ("5110", "Grid energy for the factory", "UEUR", 1_284_455),
            ("E10", "Own generation", "J", -7_357_510_000), ("E20", "Import", "J", -101_000_000), ("E30", "Factory", "J", 1_652_000_000),
            ("E40", "Mining", "J", 5_301_000_000), ("E50", "Export", "J", 504_300_000), ("E90", "Residual", "J", 1_210_000)]  # fmt: skip
        balance = [
            doc.BalanceRow(account=a, name=n, asset=s, opening=0, debit=max(v, 0), credit=max(-v, 0), closing=v)
            for a, n, s, v in rows
        ]  # type: ignore[arg-type]
        return doc.LedgerDocument(
            from_ms=from_ms, to_ms=to_ms, trial_balance=balance, postings=chosen[:limit], total_postings=len(chosen)
        )

    async def trace(self, block_or_txid: str) -> doc.TraceDocument:
        found = next((b for b in await self.blocks(10_000) if block_or_txid in (str(b.height), b.hash, b.txid)), None)
        if found is None:
            raise NotKnownError(f"No block of this site has the height, hash or coinbase txid {block_or_txid[:80]!r}.")
        first = (found.site_ms or 0) - (found.site_ms or 0) % QUARTER_MS
        shares: list[doc.TraceShare] = []
        intervals: list[doc.TraceInterval] = []
        for at, part in ((first, 2), (first - QUARTER_MS, 1)):
            pot = found.value_sat * part // 3 if at == first else found.value_sat - found.value_sat * 2 // 3
            each, names = pot // 74, [f"hall-{'a' if i < 36 else 'b'}-{i % 36 + 1:02d}" for i in range(74)]
            shares += [doc.TraceShare(worker=n, party="photosynth-demo", interval_ms=at, round=found.height, shares=11 + i % 5, work_hashes="4950000",
                                      represented_hashes="2039400000000000000", value_sat=each + (pot - each * 74 if i == 0 else 0))
                       for i, n in enumerate(names)]  # fmt: skip
            point = self._point(at)
            closed = at + QUARTER_MS <= self.now_ms()
            intervals.append(doc.TraceInterval(
                interval_ms=at, record=21 if closed else None, value_sat=pot, own_mining_j=300_500_000 if closed else None,
                grid_mining_j=500_000 if closed else None, mining_j=301_000_000 if closed else None,
                meters=[doc.MeterInterval(id=m, role=r, register_start_j=90_000_000_000 + s, register_end_j=90_000_000_000 + s + d, quality="good")
                        for m, r, s, d in (("pv", "own_generation", 0, 357_510_000), ("grid-import", "import", 7_200_000, 500_000),
                                           ("hall", "factory", 3_600_000, 52_000_000), ("miners", "mining", 360_000, 301_000_000))] if closed else [],
                spot_cent_per_mwh=point.spot_cent_per_mwh, energy_cost_ueur=-812_300 if closed else None,
                prices={"spot": point.spot_cent_per_mwh, "levies": 2946, "electricity_tax": 50, "grid_fee": 1240, "supplier_margin": 300,
                        "marketing_fee": 200}, price_source="synthetic day"))  # fmt: skip
        return doc.TraceDocument(block=found, shares=shares, intervals=intervals, postings=[self._posting(found.height * 3 + 1)],
                                 notes=["Satoshis are split by represented hashes; what is left over goes to the largest remainder."])  # fmt: skip

    # actions

    async def actions(
        self, limit: int = 200, before_id: int | None = None, subject: str | None = None
    ) -> list[doc.ActionDocument]:
        now = self.now_ms()
        count = 0 if self.empty else 120 + (now - START_MS) // 120_000
        found = list(reversed(self.log))
        for n in range(count, 0, -1):
            at = START_MS - 14_400_000 + n * 120_000
            name = f"hall-{'abc'[n % 3]}-{n * 7 % 32 + 1:02d}" if n % 11 else "hall-c-11"
            sleep, bad = n % 2 == 0, n % 11 == 0
            found.append(doc.ActionDocument(
                id=n, time_ms=at, wall_ms=int(time.time() * 1000), actor="dispatch", kind="machine.sleep" if sleep else "machine.set_power", subject=name,
                reason="the set-point fell to 212 kW" if sleep else "the set-point rose to 271 kW", request="curtail|sleep" if sleep else "profileset|2400 W",
                result="unverified" if bad else "done", answer="S: OK", verified=not bad,
                read_back="3,068 W and shares after 60 s" if bad else "25 W after 11 s" if sleep else "2,391 W after 44 s", finished_ms=at + 60_000))  # fmt: skip
        chosen = [a for a in found if (subject is None or a.subject == subject) and (before_id is None or a.id < before_id)]
        return chosen[:limit]

    def _write(self, kind: str, actor: str, reason: str) -> doc.ActionDocument:
        now = self.now_ms()
        action = doc.ActionDocument(
            id=100_000 + len(self.log), time_ms=now, wall_ms=int(time.time() * 1000), actor=actor, kind=kind, subject="site", reason=reason,
            request="102 machines", result="done", answer="101 of 102 asleep", read_back="2.6 kW", verified=True, finished_ms=now)  # fmt: skip
        self.log.append(action)
        return action

    async def stop_mining(self, actor: str, reason: str) -> doc.ActionDocument:
        self.stopped = True
        return self._write("site.stop_mining", actor, reason)

    async def resume_mining(self, actor: str, reason: str) -> doc.ActionDocument:
        self.stopped = False
        return self._write("site.resume_mining", actor, reason)


async def serve(port: int, site: FakeSite) -> None:
    """Serve the console over a fake site until cancelled."""
    import asyncio

    from photosynth.api import WebServer, create_app
    from photosynth.console import mount

    app = create_app(site, token="token-of-the-fake-site")
    mount(app, site)
    server = WebServer(app)
    print(f"http://127.0.0.1:{await server.start('127.0.0.1', port)}", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()


if __name__ == "__main__":
    import asyncio
    import contextlib
    import sys

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 8490, FakeSite(empty="empty" in sys.argv)))
