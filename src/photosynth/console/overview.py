"""The Overview: where the power flows now, what the day was, what it earned, what is wrong, and what of it is real."""

from fastapi import Request
from nicegui import Client

from photosynth.console import charts
from photosynth.console.feed import Feed, Snapshot
from photosynth.console.frame import open_page
from photosynth.console.markup import Values, conditions, empty, text
from photosynth.console.numbers import NBSP, UNKNOWN, Numbers
from photosynth.console.page import box
from photosynth.documents import ChainStatus, Condition, ModelStatus, Status

_FIGURE = (
    '<div class="figure {css}" data-live="{key}" {{{{{key}@data-quality}}}}><h3>{label}</h3>'
    '<p class="big">{{{{{key}.value}}}}<small>{{{{{key}.unit}}}}</small></p><p class="age">{{{{{key}.note}}}}</p></div>'
)

_BANNER = """
<details class="banner" data-live="banner" {{banner@data-on}}>
<summary><b>Demonstration.</b> <span>{{banner.short}}</span> <u>What is simulated, what is real</u></summary>
<div class="two"><div><h3>Simulated</h3><ul><li>Sun and wind, factory load, meters, market prices</li>
<li>The machines: each is a client of its own that hashes for real, at a declared scale, so one hash stands for many</li>
<li>Difficulty and money: a private chain (regtest); its coins are worth nothing</li>
<li>Time, when it runs faster than the wall clock</li></ul></div>
<div><h3>Real</h3><ul><li>Consensus: every block is checked by Bitcoin Core's own consensus library</li>
<li>The pool: Stratum over TCP, every share validated and kept before it is answered</li>
<li>Dispatch, power commands and their reading back, over the protocols that real machines speak</li>
<li>The ledger, to the satoshi and micro-EUR, and the evidence, which an outsider can verify</li></ul></div></div></details>
"""


_OUTLOOK = """
<h2>If this were mainnet</h2>
<p class=big>{{outlook.sat}}<small>sat a day</small></p><p class=big2>{{outlook.eur}}<small>EUR a day</small></p>
<h3>Alone, a block</h3><p class=strong>{{outlook.days}}</p><p>{{outlook.none}}</p><p class=age>{{outlook.basis}}</p>
"""


def banner(snapshot: Snapshot, numbers: Numbers) -> Values:
    """One line that says what kind of site this is."""
    status = snapshot.status
    shown = status is not None and (status.site.simulated or status.chain.demonstration)
    parts: list[str] = []
    if status is not None:
        if status.site.replay is not None:
            parts.append(f"The site replays {status.site.replay}.")
        elif status.site.simulated:
            parts.append("The physical site is simulated.")
        if status.speed != 1:
            parts.append(f"Time runs {numbers.decimal(status.speed, 0)}× faster.")
        if status.chain.demonstration:
            parts.append("Coins are demonstration BTC without value.")
    return {"banner@data-on": "true" if shown else "false", "banner.short": " ".join(parts)}


def _power(key: str, value_w: int | None, note: str, quality: str, numbers: Numbers) -> Values:
    number, unit = (UNKNOWN, "") if value_w is None else (numbers.kilowatts(value_w).split(NBSP))
    return {f"{key}.value": number, f"{key}.unit": unit, f"{key}.note": note, f"{key}@data-quality": quality}


def power_values(snapshot: Snapshot, numbers: Numbers) -> Values:
    """Surplus, set-point, mining power, price: each with its age or what it means."""
    status = snapshot.status
    if status is None:
        return {
            f"{k}{part}": value
            for k in ("surplus", "setpoint", "mining", "price")
            for part, value in ((".value", UNKNOWN), (".unit", ""), (".note", "never observed"), ("@data-quality", "unknown"))
        }
    site = status.site
    quality = "stale" if snapshot.error else site.quality
    age = numbers.age(site.time_ms, site.observed_ms)
    age_note = "never observed" if site.observed_ms is None else f"measured {age}"
    stale = f" · {quality}" if quality not in ("good",) else ""
    running, total = numbers.integer(status.machines.running), numbers.integer(status.machines.total)
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


def money_values(snapshot: Snapshot, numbers: Numbers) -> Values:
    """Hash rate, blocks, satoshis, EUR."""
    status = snapshot.status
    keys = ("rate", "blocks", "coins", "eur")
    if status is None:
        return {
            f"{k}{p}": v
            for k in keys
            for p, v in ((".value", UNKNOWN), (".unit", ""), (".note", ""), ("@data-quality", "unknown"))
        }
    pool, ledger = status.pool, status.ledger
    rate, unit = numbers.parts(pool.hash_rate_hs, "H/s")
    error = "" if pool.hash_rate_error_percent is None else f"±{numbers.decimal(pool.hash_rate_error_percent, 1)} % · "
    quality = "stale" if snapshot.error else "good"
    available, immature = numbers.integer(ledger.mature_sat), numbers.integer(ledger.immature_sat)
    return {
        "rate.value": rate,
        "rate.unit": unit,
        "rate.note": f"{error}represented, from {numbers.integer(pool.shares_accepted)} shares",
        "rate@data-quality": "unknown" if pool.hash_rate_hs is None else quality,
        "blocks.value": numbers.integer(pool.blocks_found),
        "blocks.unit": "found",
        "blocks.note": tip_note(status.chain, numbers),
        "blocks@data-quality": quality,
        "coins.value": numbers.integer(ledger.immature_sat + ledger.mature_sat),
        "coins.unit": "sat",
        "coins.note": f"{ledger.asset} · {available} available, {immature} immature",
        "coins@data-quality": quality,
        "eur.value": numbers.eur(ledger.carrying_ueur),
        "eur.unit": "EUR",
        "eur.note": (
            f"value when mined · mining's energy cost {numbers.eur(ledger.mining_energy_cost_ueur)} EUR, "
            f"{numbers.eur(ledger.mining_energy_bought_ueur)} of it bought"
        ),
        "eur@data-quality": quality,
    }


def tip_note(chain: ChainStatus, numbers: Numbers) -> str:
    """The chain's tip and its age, where they are known."""
    if chain.height is None:
        return "height unknown"
    if chain.height == 0:
        return "no block yet"
    age = "age unknown" if chain.last_block_age_s is None else f"{numbers.span(chain.last_block_age_s)} ago"
    return f"tip {numbers.integer(chain.height)}, {age}"


def outlook_values(snapshot: Snapshot, numbers: Numbers) -> Values:
    """What the represented hash rate would expect on mainnet, and how rarely it would find a block alone."""
    outlook = None if snapshot.status is None else snapshot.status.mainnet
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


def named(condition: Condition) -> str:
    """A condition's summary with its subject, which leads to the machine where it is one."""
    subject, summary = text(condition.subject), text(condition.summary)
    if condition.id.endswith(f":{condition.subject}"):
        link = f'<a href="/miners/{subject}">{subject}</a>'
        return summary.replace(subject, link, 1) if subject in summary else f"{link} {summary}"
    return summary if subject in summary else f"{subject}: {summary}"


def condition_items(status: Status | None, numbers: Numbers) -> str:
    """The conditions as a list: what, where, the evidence, and what to do."""
    if status is None:
        return empty("Unknown", "Nothing was seen of the site yet.")
    if not status.conditions:
        return empty(
            "Nothing needs attention",
            "A machine that ignores a command, stale meters or a node that falls behind would be named here.",
        )
    order = {"critical": 0, "warning": 1, "info": 2}
    ranked = sorted(status.conditions, key=lambda c: (order[c.severity], c.since_ms))[:20]
    return conditions(
        (
            c.severity,
            f'<p><b>{named(c)}</b> <span class="unseen">{text(c.severity)}</span></p><p>{text(c.evidence)}</p>'
            f"<p class=advice>{text(c.advice)}</p><p class=age>since {numbers.instant(c.since_ms)}</p>",
        )
        for c in ranked
    )


def model_rows(status: Status | None, numbers: Numbers) -> str:
    """Each model's strike price: above it, energy is worth more elsewhere."""
    if status is None:
        return ""
    return f"<ul class=models>{''.join(_model_row(model, numbers) for model in status.models)}</ul>"


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


def lists(snapshot: Snapshot, numbers: Numbers) -> Values:
    """Conditions and models."""
    status = snapshot.status
    return {
        "conditions!": condition_items(status, numbers),
        "conditions.count": "" if status is None else str(len(status.conditions)),
        "models!": model_rows(status, numbers),
        "peak": UNKNOWN if status is None else numbers.kilowatts(status.site.import_peak_w),
        "starts": UNKNOWN if status is None else numbers.integer(status.machines.starts),
        "factory": UNKNOWN if status is None else numbers.eur(status.ledger.factory_energy_bought_ueur),
        "fedin": UNKNOWN if status is None else numbers.eur(status.ledger.export_revenue_ueur),
    }


def flow_values(snapshot: Snapshot, numbers: Numbers) -> Values:
    """What stands beside the energy flow: how old it is, or why there is none."""
    site = None if snapshot.status is None else snapshot.status.site
    if site is None or None in (site.generation_w, site.load_w, site.mining_power_w, site.grid_w):
        return {"flow@data-quality": "unknown", "flow.note": "Unknown: no fresh reading of every meter."}
    quality = "stale" if snapshot.error else site.quality
    note = f"meters, read {numbers.age(site.time_ms, site.observed_ms)} · connection {numbers.kilowatts(site.connection_w)}"
    if site.import_reason is not None:
        note += f". {site.import_reason}"
    return {"flow@data-quality": quality, "flow.note": note if quality == "good" else f"{quality}: {note}"}


def _figures(*figures: tuple[str, str, str]) -> str:
    return "".join(_FIGURE.format(key=key, label=label, css=css) for key, label, css in figures)


async def show(request: Request, client: Client, feed: Feed) -> None:
    """Build the page."""
    page = await open_page(request, client, feed, here="/", title="Overview", needs=frozenset({"day"}))
    with page.main:
        page.section(_BANNER, banner)
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
                    _figures(
                        ("surplus", "Surplus", "c-sun"),
                        ("setpoint", "Set-point", "c-set"),
                        ("mining", "Mining power", "c-mining"),
                        ("price", "Price", "c-price"),
                    ),
                    power_values,
                    css="figures",
                )
            with box("cards", "section", 'aria-label="Work and money"'):
                page.section(
                    _figures(
                        ("rate", "Hash rate", ""), ("blocks", "Blocks", ""), ("coins", "Coins", ""), ("eur", "Carrying value", "")
                    ),
                    money_values,
                    css="four",
                )
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
                page.section(
                    _OUTLOOK,
                    outlook_values,
                )
            with box("card wide", "section", 'aria-label="Conditions"'):
                page.section('<h2>Needs attention <span class="count">{{conditions.count}}</span></h2>{{conditions!}}',
                             lambda s, n: {k: v for k, v in lists(s, n).items() if k.startswith("conditions")})  # fmt: skip
            with box("card", "section", 'aria-label="Models"'):
                page.section(
                    "<h2>Strike prices</h2>{{models!}}<p class=age>Import peak so far {{peak}} · starts {{starts}}</p>"
                    "<p class=age>Energy bought for the factory {{factory}} EUR · fed in {{fedin}} EUR</p>",
                    lambda s, n: {k: v for k, v in lists(s, n).items() if not k.startswith("conditions")},
                )
