"""The books of a backtest: the same postings as a running site makes, checked and added up without a database."""

from collections import defaultdict

from photosynth.quantities.instants import INTERVAL_S
from photosynth.simulation.backtest_facts import BacktestInterval
from photosynth.simulation.backtest_report import LedgerRow
from photosynth.treasury.accounts import account_name
from photosynth.treasury.facts import PriceFact
from photosynth.treasury.journal import check
from photosynth.treasury.mining.energy import Occasion, interval_postings


class BacktestLedger:
    """Energy and its money by account. Expected satoshis are none that were paid, so mining revenue is not posted."""

    def __init__(self, site: str, export_limit_w: int) -> None:
        self._site = site
        self._export_limit_w = export_limit_w
        self._sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        self.postings = 0

    def post(self, interval: BacktestInterval) -> None:
        """Post a quarter hour. Raises TreasuryError where a posting does not balance."""
        prices = interval.prices
        components = dict(prices.import_components)
        spot_cent = components.pop("spot")
        made = interval_postings(
            Occasion(self._site, f"interval:{self._site}:{interval.start_ms}:", interval.start_ms, interval.start_ms),
            interval.energy,
            PriceFact(
                spot_cent_per_mwh=spot_cent,
                import_components=components,
                export_premium_cent_per_mwh=prices.premium_cent_per_mwh,
                export_fee_cent_per_mwh=prices.marketing_fee_cent_per_mwh,
                source=prices.source,
                published_ms=prices.published_ms,
            ),
            export_limit_w=self._export_limit_w,
            duration_s=INTERVAL_S,
        )
        for posting in made:
            check(posting)
            for line in posting.lines:
                self._sums[line.account, line.asset][line.side == "credit"] += line.amount
        self.postings += len(made)

    def rows(self) -> list[LedgerRow]:
        """The trial balance, by account and asset."""
        return [
            LedgerRow(
                account=account, name=account_name(account), asset=asset, debit=debit, credit=credit, closing=debit - credit
            )
            for (account, asset), (debit, credit) in sorted(self._sums.items())
        ]
