"""The Overview: where the power flows now, what the day was, what it earned, what is wrong, and what of it is real."""

from fastapi import Request
from nicegui import Client

from photosynth.console import charts, fleet_overview
from photosynth.console.feed import Feed
from photosynth.console.frame import open_page
from photosynth.console.glance import BANNER, attention_section, banner, figures, money_section
from photosynth.console.markup import Values, text
from photosynth.console.numbers import NBSP, UNKNOWN, Numbers
from photosynth.console.page import Page, box
from photosynth.console.snapshot import Snapshot
from photosynth.documents import ModelStatus, SitePart

_OUTLOOK = """
<h2>If this were mainnet</h2>
<p class=big>{{outlook.sat}}<small>sat a day</small></p><p class=big2>{{outlook.eur}}<small>EUR a day</small></p>
<h3>Alone, a block</h3><p class=strong>{{outlook.days}}</p><p>{{outlook.none}}</p><p class=age>{{outlook.basis}}</p>
"""


def _power(key: str, value_w: int | None, note: str, quality: str, numbers: Numbers) -> Values:
    number, unit = (UNKNOWN, "") if value_w is None else (numbers.kilowatts(value_w).split(NBSP))
    return {f"{key}.value": number, f"{key}.unit": unit, f"{key}.note": note, f"{key}@data-quality": quality}


def power_values(snapshot: Snapshot, numbers: Numbers) -> Values:
    """Surplus, set-point, mining power, price: each with its age or what it means."""
    if (part := snapshot.part) is None:
        return {
            f"{k}{end}": value
            for k in ("surplus", "setpoint", "mining", "price")
            for end, value in ((".value", UNKNOWN), (".unit", ""), (".note", "never observed"), ("@data-quality", "unknown"))
        }
    site = part.site
    quality = "stale" if snapshot.error else site.quality
    age = numbers.age(site.time_ms, site.observed_ms)
    age_note = "never observed" if site.observed_ms is None else f"measured {age}"
    stale = f" · {quality}" if quality not in ("good",) else ""
    running, total = numbers.integer(part.machines.running), numbers.integer(part.machines.total)
    price = UNKNOWN if site.spot_cent_per_mwh is None else numbers.decimal(site.spot_cent_per_mwh / 100, 2)
    return {
        **_power("surplus", site.surplus_w, f"{age_note}{stale}", quality, numbers),
        **_power(
            "setpoint",
            site.set_point_w,
            "stopped by an operator" if site.stopped else "what the miners shall draw",
            quality,
            numbers,
        ),
        **_power("mining", site.mining_power_w, f"{running} of {total} machines · {age}{stale}", quality, numbers),
        "price.value": price,
        "price.unit": "" if price == UNKNOWN else "EUR/MWh",
        "price.note": f"spot · feeding in nets {numbers.price(site.export_cent_per_mwh)}",
        "price@data-quality": "unknown" if price == UNKNOWN else "negative" if (site.spot_cent_per_mwh or 0) < 0 else "good",
    }


def outlook_values(snapshot: Snapshot, numbers: Numbers) -> Values:
    """What the represented hash rate would expect on mainnet, and how rarely it would find a block alone."""
    outlook = None if snapshot.part is None else snapshot.part.mainnet
    if outlook is None or outlook.days_per_block is None:
        return {
            "outlook.sat": UNKNOWN,
            "outlook.eur": UNKNOWN,
            "outlook.days": "unknown, while no share tells a hash rate",
            "outlook.none": "",
            "outlook.basis": "" if outlook is None else f"Difficulty and price of {outlook.as_of[:10]}.",
        }
    days = outlook.days_per_block
    span = f"{numbers.decimal(days, 0)} days" if days < 730 else f"{numbers.decimal(days / 365.25, 1)} years"
    none = numbers.percent(outlook.chance_of_no_block_in_a_year, 0)
    return {
        "outlook.sat": numbers.integer(outlook.sat_per_day),
        "outlook.eur": numbers.eur(outlook.ueur_per_day),
        "outlook.days": f"every {span}, on average",
        "outlook.none": f"With {none} probability it would find none in a whole year. That is why pools exist.",
        "outlook.basis": f"At this moment's hash rate, the difficulty {numbers.power_of_ten(outlook.difficulty)} and "
        f"{numbers.decimal(outlook.price_cent_per_btc / 100, 2)} EUR/BTC of {outlook.as_of[:10]}; "
        f"{numbers.eur(outlook.hash_price_ueur_per_th_day, 4)} EUR per TH/s and day.",
    }


def model_rows(part: SitePart | None, numbers: Numbers) -> str:
    """Each model's strike price: above it, energy is worth more elsewhere."""
    if part is None:
        return ""
    return f"<ul class=models>{''.join(_model_row(model, numbers) for model in part.models)}</ul>"


def _model_row(model: ModelStatus, numbers: Numbers) -> str:
    run = f"{numbers.integer(model.running)} of {numbers.integer(model.total)} run"
    bar = ""
    if model.running is not None:
        width = 100 * model.running // max(1, model.total)
        bar = f'<div class="meter" role="img" aria-label="{run}"><i style="width:{width}%"></i></div>'
    return (
        f"<li><div><b>{text(model.name)}</b><span>{run}</span></div>{bar}"
        f"<p>worth running below <b>{numbers.price(model.strike_cent_per_mwh)}</b></p></li>"
    )


def models(snapshot: Snapshot, numbers: Numbers) -> Values:
    """The models' strike prices, and what the fleet's energy beside mining cost and brought."""
    status, part = snapshot.status, snapshot.part
    return {
        "models!": model_rows(part, numbers),
        "peak": UNKNOWN if part is None else numbers.kilowatts(part.site.import_peak_w),
        "starts": UNKNOWN if part is None else numbers.integer(part.machines.starts),
        "factory": UNKNOWN if status is None else numbers.eur(status.ledger.factory_energy_bought_ueur),
        "fedin": UNKNOWN if status is None else numbers.eur(status.ledger.export_revenue_ueur),
    }


def flow_values(snapshot: Snapshot, numbers: Numbers) -> Values:
    """What stands beside the energy flow: how old it is, or why there is none."""
    site = None if snapshot.part is None else snapshot.part.site
    if site is None or None in (site.generation_w, site.load_w, site.mining_power_w, site.grid_w):
        return {"flow@data-quality": "unknown", "flow.note": "Unknown: no fresh reading of every meter."}
    quality = "stale" if snapshot.error else site.quality
    note = f"meters, read {numbers.age(site.time_ms, site.observed_ms)} · connection {numbers.kilowatts(site.connection_w)}"
    if site.import_reason is not None:
        note += f". {site.import_reason}"
    return {"flow@data-quality": quality, "flow.note": note if quality == "good" else f"{quality}: {note}"}


async def show(request: Request, client: Client, feed: Feed) -> None:
    """Build the page: of one site, or a card for each."""
    page = await open_page(request, client, feed, here="/", title="Overview", needs=frozenset({"day"}))
    with page.main:
        if page.snapshot.status is None or page.snapshot.part is not None:
            page.section(BANNER, banner)
            _of_one(page)
        else:
            fleet_overview.show(page)


def _of_one(page: Page) -> None:
    with box("grid"):
        with box("card flow", "section", 'aria-label="Energy flow now"'):
            page.section(
                "<h2>Energy now</h2><p class='sub dated' data-live=flow {{flow@data-quality}}>{{flow.note}}</p>",
                flow_values,
                css="head",
            )
            page.chart(
                charts.sankey_base(),
                charts.energy_flow,
                css="sankey",
                label="Energy flow from own sources and grid to factory, mining and export",
            )
        with box("card now", "section", 'aria-label="Set-point and power"'):
            page.section(
                figures(
                    ("surplus", "Surplus", "c-sun"),
                    ("setpoint", "Set-point", "c-set"),
                    ("mining", "Mining power", "c-mining"),
                    ("price", "Price", "c-price"),
                ),
                power_values,
                css="figures",
            )
        money_section(page)
        with box("card curve", "section", 'aria-label="The day"'):
            page.section(
                f"<h2>The day</h2><p class=sub>Time of {text(page.numbers.zone.key)}. Shaded: negative price.</p>", css="head"
            )
            page.chart(
                charts.day_base(page.numbers),
                charts.day_curve,
                css="day",
                label="Generation, surplus, mining power, set-point and price over the day",
            )
        with box("card outlook", "section", 'aria-label="Mainnet outlook"'):
            page.section(_OUTLOOK, outlook_values)
        attention_section(page)
        with box("card", "section", 'aria-label="Models"'):
            page.section(
                "<h2>Strike prices</h2>{{models!}}<p class=age>Import peak so far {{peak}} · starts {{starts}}</p>"
                "<p class=age>Energy bought for the factory {{factory}} EUR · fed in {{fedin}} EUR</p>",
                models,
            )
