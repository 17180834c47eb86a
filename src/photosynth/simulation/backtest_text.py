"""A backtest's report as people read it in a terminal."""

from collections.abc import Iterator

from photosynth.quantities.value import JOULES_PER_KWH
from photosynth.simulation.backtest_report import BacktestReport, Outcome, Outcomes

STRATEGY_TITLES = {
    "dispatch": "dispatch",
    "always_on": "always on",
    "never": "never",
    "fixed_strike": "fixed strike price",
}


def text_of(report: BacktestReport) -> str:
    """The whole report: a line per day, then all days with every component, then the strategies beside each other."""
    return "\n".join(_lines(report))


def _lines(report: BacktestReport) -> Iterator[str]:
    yield f"Backtest of {report.site}, {report.first_day} to {report.last_day}, in steps of {report.step_s} s"
    yield ""
    titles = ("generated", "factory", "mined", "exported", "imported", "curtailed")
    yield f"{'day':<10} {'h':>2} " + " ".join(f"{title:>10}" for title in titles) + f" {'starts':>6} {'sat':>9} {'EUR':>10}"
    for day in report.days:
        yield f"{day.day:<10} {day.hours:>2} " + _row(day.dispatch)
    yield f"{'in all':<10} {'':>2} " + _row(report.total.dispatch)
    yield f"{'':<13} {'kWh':>10}"
    yield ""
    yield "EUR in all, by component"
    money = report.total.dispatch.money
    for name, cost_ueur in money.import_components_ueur.items():
        yield f"  import, {name:<24} {eur(-cost_ueur):>14}"
    for title, amount_ueur in (
        ("export at spot", money.export_spot_ueur),
        ("export premium", money.export_premium_ueur),
        ("marketing fee", -money.marketing_fee_ueur),
        ("expected mining", money.expected_mining_ueur),
        ("wear of starts", -money.start_cost_ueur),
        ("result", money.result_ueur),
    ):
        yield f"  {title:<32} {eur(amount_ueur):>14}"
    yield ""
    yield f"Ledger: {report.total.postings} postings"
    for row in report.total.trial_balance:
        amount = f"{eur(row.closing)} EUR" if row.asset == "EUR" else f"{row.closing / JOULES_PER_KWH:.1f} kWh"
        yield f"  {row.account:<5} {row.name:<48} {amount:>18}"
    yield ""
    yield f"{'strategy':<20} {'mined kWh':>12} {'imported kWh':>13} {'starts':>7} {'peak kW':>8} {'EUR':>12} {'than never':>12}"
    yield from _strategies(report.total, report.fixed_strike_cent_per_mwh)
    yield ""
    yield from (f"- {note}" for note in report.notes)


def _row(outcome: Outcome) -> str:
    energy = outcome.energy_kwh
    values = (energy.generated, energy.factory, energy.mined, energy.exported, energy.imported, energy.curtailed_estimate)
    numbers = " ".join(f"{value:>10.1f}" for value in values)
    return f"{numbers} {outcome.starts:>6} {outcome.expected_sat:>9} {eur(outcome.money.result_ueur):>10}"


def _strategies(total: Outcomes, strike_cent: int) -> Iterator[str]:
    for name, title in STRATEGY_TITLES.items():
        outcome: Outcome = getattr(total, name)
        more_ueur = outcome.money.result_ueur - total.never.money.result_ueur
        yield (
            f"{title:<20} {outcome.energy_kwh.mined:>12.1f} {outcome.energy_kwh.imported:>13.1f} {outcome.starts:>7} "
            f"{outcome.import_peak_w / 1000:>8.1f} {eur(outcome.money.result_ueur):>12} {eur(more_ueur):>12}"
        )
    yield f"The fixed strike price is {strike_cent / 100:.2f} EUR/MWh. A demand charge on the peak is not in the result."


def eur(amount_ueur: int) -> str:
    """Micro-EUR as EUR with two decimals, rounded half to even."""
    cents = round(amount_ueur / 10_000)
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"
