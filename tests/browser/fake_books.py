"""The books of a site that is not there: blocks, postings, balances and traces that agree with each other."""

import time
from collections.abc import AsyncIterator

from tests.browser.fake_day import BLOCK_MS, QUARTER_MS, REWARD_SAT, START_MS, FakeDay, digest

from photosynth import documents as doc
from photosynth.operations.summaries import like
from photosynth.operations.view import NotKnownError
from photosynth.quantities.assets import known


class FakeBooks(FakeDay):
    """What the chain and the journal of the day would say."""

    def postings_total(self) -> int:
        return 0 if self.empty else self.height() * 3 + 40

    def _block(self, height: int) -> doc.BlockDocument:
        tip = self.height()
        found = START_MS - (self.blocks_before - height) * BLOCK_MS
        orphaned = height == self.blocks_before - 7
        return doc.BlockDocument(
            site=self.name,
            height=height,
            hash="0000" + digest(f"b{height}")[4:],
            txid=digest(f"t{height}"),
            time_s=found // 1000,
            site_ms=found,
            value_sat=REWARD_SAT - (height * 7919) % 1_900_000,
            value_ueur=(REWARD_SAT - (height * 7919) % 1_900_000) * 593,
            state="orphaned" if orphaned else "mature" if tip - height >= 100 else "immature",
            confirmations=0 if orphaned else tip - height + 1,
            worker=f"hall-a-{height % 36 + 1:02d}",
            commitment=digest(f"head{found // QUARTER_MS}"),
        )

    async def blocks(self, limit: int = 100, site: str | None = None) -> list[doc.BlockDocument]:
        self.known(site)
        tip = self.height()
        return [self._block(h) for h in range(tip, max(0, tip - limit), -1)]

    def _posting(self, number: int) -> doc.PostingDocument:
        value, now = REWARD_SAT, START_MS - (self.blocks_before * 3 + 40 - number) * 200_000
        eur = value * 593

        def line(account: str, name: str, side: str, asset: str, amount: int) -> doc.Line:
            return doc.Line(account=account, name=name, side=side, asset=asset, amount=str(amount))  # type: ignore[arg-type]

        kind = number % 3
        if kind == 0:
            event, text = "energy.interval", "Energy of a quarter hour"
            lines = [
                line("E30", "factory", "debit", "J", 52_000_000),
                line("E40", "mining", "debit", "J", 301_000_000),
                line("E50", "export", "debit", "J", 4_300_000),
                line("E90", "residual", "debit", "J", 210_000),
                line("E10", "own generation", "credit", "J", 357_510_000),
            ]
        elif kind == 1:
            event, text = "mining.coinbase.accrued", f"Coinbase of block {number // 3} accrued"
            lines = [
                line("1100", "coins immature", "debit", "BTC", value),
                line("3100", "coins contra", "credit", "BTC", value),
                line("1100", "coins immature", "debit", "EUR", eur),
                line("2800", "deferred mining reward", "credit", "EUR", eur),
            ]
        else:
            event, text = "energy.own", "Own energy used for mining, at the forgone export"
            lines = [
                line("7100", "own energy charged", "debit", "EUR", 412_377),
                line("7200", "own energy credited", "credit", "EUR", 412_377),
            ]
        return doc.PostingDocument(
            id=number,
            site=self.name,
            key=f"demo:{number}",
            time_ms=now,
            wall_ms=int(time.time() * 1000),
            event=event,
            text=text,
            lines=lines,
            reverses=None,
            source={"meter": "pv", "price": "synthetic day"},
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
        document = await self.ledger(from_ms, to_ms, self.postings_total() if limit is None else limit, before_id, site)
        yield document.model_copy(update={"postings": []}).model_dump_json().encode() + b"\n"
        for posting in reversed(document.postings) if oldest_first else document.postings:
            yield posting.model_dump_json().encode() + b"\n"

    async def ledger(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 1000,
        before_id: int | None = None,
        site: str | None = None,
    ) -> doc.LedgerDocument:
        self.known(site)
        total = self.postings_total()
        ids = range(min(total, (before_id or total + 1) - 1), 0, -1)
        chosen = [
            p
            for p in map(self._posting, ids)
            if (from_ms is None or p.time_ms >= from_ms) and (to_ms is None or p.time_ms < to_ms)
        ]
        height = self.height()
        immature, mature = min(height, 100) * REWARD_SAT, max(0, height - 100) * REWARD_SAT
        rows = (
            []
            if self.empty
            else [
                ("1100", "Coins, immature", "BTC", immature),
                ("1110", "Coins, available", "BTC", mature),
                ("3100", "coins contra", "BTC", -immature - mature),
                ("1100", "Coins, immature", "EUR", immature * 593),
                ("1110", "Coins, available", "EUR", mature * 593),
                ("1200", "Export receivable", "EUR", 18_930_120),
                ("2100", "Energy supplier", "EUR", -1_284_455),
                ("2800", "Deferred mining reward", "EUR", -immature * 593),
                ("4100", "Mining revenue", "EUR", -mature * 593),
                ("4200", "Export revenue", "EUR", -18_930_120),
                ("5110", "Grid energy for the factory", "EUR", 1_284_455),
                ("E10", "Own generation", "J", -7_357_510_000),
                ("E20", "Import", "J", -101_000_000),
                ("E30", "Factory", "J", 1_652_000_000),
                ("E40", "Mining", "J", 5_301_000_000),
                ("E50", "Export", "J", 504_300_000),
                ("E90", "Residual", "J", 1_210_000),
            ]
        )
        balance = [
            doc.BalanceRow.model_validate(
                {"account": a, "name": n, "asset": s}
                | {"opening": "0", "debit": str(max(v, 0)), "credit": str(max(-v, 0)), "closing": str(v)}
            )
            for a, n, s, v in rows
        ]
        return doc.LedgerDocument(
            from_ms=from_ms,
            to_ms=to_ms,
            assets=[like(doc.AssetDocument, known(code)) for code in ("BTC", "EUR", "J")] if balance else [],
            trial_balance=balance,
            postings=chosen[:limit],
            total_postings=len(chosen),
        )

    async def trace(self, block_or_txid: str, site: str | None = None) -> doc.TraceDocument:
        self.known(site)
        if block_or_txid == "bug":
            raise ZeroDivisionError("the inside of the program")
        found = next((b for b in await self.blocks(10_000) if block_or_txid in (str(b.height), b.hash, b.txid)), None)
        if found is None:
            raise NotKnownError(f"No block of this site has the height, hash or coinbase txid {block_or_txid[:80]!r}.")
        first = (found.site_ms or 0) - (found.site_ms or 0) % QUARTER_MS
        shares: list[doc.TraceShare] = []
        intervals: list[doc.TraceInterval] = []
        for at, part in ((first, 2), (first - QUARTER_MS, 1)):
            pot = found.value_sat * part // 3 if at == first else found.value_sat - found.value_sat * 2 // 3
            each, names = pot // 74, [f"hall-{'a' if i < 36 else 'b'}-{i % 36 + 1:02d}" for i in range(74)]
            shares += [
                doc.TraceShare(
                    worker=n,
                    party="photosynth-demo",
                    interval_ms=at,
                    round=found.height,
                    shares=11 + i % 5,
                    work_hashes="4950000",
                    represented_hashes="2039400000000000000",
                    value_sat=each + (pot - each * 74 if i == 0 else 0),
                )
                for i, n in enumerate(names)
            ]
            point = self.point(at)
            closed = at + QUARTER_MS <= self.now_ms()
            intervals.append(
                doc.TraceInterval(
                    interval_ms=at,
                    record=21 if closed else None,
                    value_sat=pot,
                    own_mining_j=300_500_000 if closed else None,
                    grid_mining_j=500_000 if closed else None,
                    mining_j=301_000_000 if closed else None,
                    meters=[
                        doc.MeterInterval(
                            id=m,
                            role=r,
                            register_start_j=90_000_000_000 + s,
                            register_end_j=90_000_000_000 + s + d,
                            quality="good",
                        )
                        for m, r, s, d in (
                            ("pv", "own_generation", 0, 357_510_000),
                            ("grid-import", "import", 7_200_000, 500_000),
                            ("hall", "factory", 3_600_000, 52_000_000),
                            ("miners", "mining", 360_000, 301_000_000),
                        )
                    ]
                    if closed
                    else [],
                    spot_cent_per_mwh=point.spot_cent_per_mwh,
                    energy_cost_ueur=-812_300 if closed else None,
                    prices={
                        "spot": point.spot_cent_per_mwh,
                        "levies": 2946,
                        "electricity_tax": 50,
                        "grid_fee": 1240,
                        "supplier_margin": 300,
                        "marketing_fee": 200,
                    },
                    price_source="synthetic day",
                )
            )
        return doc.TraceDocument(
            block=found,
            shares=shares,
            intervals=intervals,
            postings=[self._posting(found.height * 3 + 1)],
            notes=["Satoshis are split by represented hashes; what is left over goes to the largest remainder."],
        )
