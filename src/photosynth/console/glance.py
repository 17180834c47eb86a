"""What the Overview of one site and that of several share: what is simulated, work and money, and what needs attention."""

from photosynth.console import links
from photosynth.console.markup import Values, conditions, empty, text
from photosynth.console.numbers import UNKNOWN, Numbers
from photosynth.console.page import Page, box
from photosynth.console.snapshot import Snapshot
from photosynth.documents import ChainStatus, Condition

_FIGURE = (
    '<div class="figure {css}" data-live="{key}" {{{{{key}@data-quality}}}}><h3>{label}</h3>'
    '<p class="big">{{{{{key}.value}}}}<small>{{{{{key}.unit}}}}</small></p><p class="age">{{{{{key}.note}}}}</p></div>'
)

BANNER = """
<details class="banner" data-live="banner" {{banner@data-on}}>
<summary><b>Demonstration.</b> <span>{{banner.short}}</span> <u>What is simulated, what is real</u></summary>
<div class="two"><div><h3>Simulated</h3><ul><li>Sun and wind, loads, meters, market prices</li>
<li>The machines: each is a client of its own that hashes for real, at a declared scale, so one hash stands for many</li>
<li>Difficulty and money: a private chain (regtest); its coins are worth nothing</li>
<li>Time, when it runs faster than the wall clock</li></ul></div>
<div><h3>Real</h3><ul><li>Consensus: every block is checked by Bitcoin Core's own consensus library</li>
<li>The pool: Stratum over TCP, every share validated and kept before it is answered</li>
<li>Dispatch, power commands and their reading back, over the protocols that real machines speak</li>
<li>The ledger, to the satoshi and micro-EUR, and the evidence, which an outsider can verify</li></ul></div></div></details>
"""


def banner(snapshot: Snapshot, numbers: Numbers) -> Values:
    """One line that says what kind of sites these are."""
    status = snapshot.status
    simulated = [part for part in snapshot.parts if part.site.simulated]
    replays = {part.site.replay for part in snapshot.parts} - {None}
    demonstration = any(part.chain.demonstration for part in snapshot.parts)
    which = "The physical site is" if len(snapshot.parts) == 1 else f"{len(simulated)} of {len(snapshot.parts)} sites are"
    said: list[str] = []
    if replays:
        who = "The site replays" if len(snapshot.parts) == 1 else "Sites replay"
        said.append(f"{who} {', '.join(sorted(map(str, replays)))}.")
    elif simulated:
        said.append(f"{which} simulated.")
    if status is not None and status.speed != 1:
        said.append(f"Time runs {numbers.decimal(status.speed, 0)}× faster.")
    if demonstration:
        said.append("Coins are demonstration BTC without value.")
    return {"banner@data-on": "true" if simulated or demonstration else "false", "banner.short": " ".join(said)}


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
    parts, ledger = snapshot.parts, status.ledger
    rates = [None if part.pool.hash_rate_hs is None else int(part.pool.hash_rate_hs) for part in parts]
    hash_rate = None if None in rates or not rates else sum(rate for rate in rates if rate is not None)
    rate, unit = numbers.parts(hash_rate, "H/s")
    error_percent = None if snapshot.part is None else snapshot.part.pool.hash_rate_error_percent
    error = "" if error_percent is None else f"±{numbers.decimal(error_percent, 1)} % · "
    shares = numbers.integer(sum(part.pool.shares_accepted for part in parts))
    quality = "stale" if snapshot.error else "good"
    whole = "all sites' · " if snapshot.part is not None and len(status.sites) > 1 else ""
    available, immature = numbers.integer(ledger.mature_sat), numbers.integer(ledger.immature_sat)
    return {
        "rate.value": rate,
        "rate.unit": unit,
        "rate.note": f"{error}represented, from {shares} shares",
        "rate@data-quality": "unknown" if hash_rate is None else quality,
        "blocks.value": numbers.integer(sum(part.pool.blocks_found for part in parts)),
        "blocks.unit": "found",
        "blocks.note": f"by {len(parts)} sites" if snapshot.part is None else tip_note(snapshot.part.chain, numbers),
        "blocks@data-quality": quality,
        "coins.value": numbers.integer(ledger.immature_sat + ledger.mature_sat),
        "coins.unit": "sat",
        "coins.note": f"{whole}{ledger.asset} · {available} available, {immature} immature",
        "coins@data-quality": quality,
        "eur.value": numbers.eur(ledger.carrying_ueur),
        "eur.unit": "EUR",
        "eur.note": (
            f"{whole}value when mined · mining's energy cost {numbers.eur(ledger.mining_energy_cost_ueur)} EUR, "
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


def named(condition: Condition, site: str | None, chosen: str | None) -> str:
    """A condition's summary with its subject, which leads to the machine where it is one."""
    subject, summary = text(condition.subject), text(condition.summary)
    if site is not None and condition.id.endswith(f":{condition.subject}"):
        link = f'<a href="{text(links.machine(site, condition.subject, chosen))}">{subject}</a>'
        return summary.replace(subject, link, 1) if subject in summary else f"{link} {summary}"
    return summary if subject in summary else f"{subject}: {summary}"


def condition_items(snapshot: Snapshot, numbers: Numbers) -> str:
    """The conditions as a list: what, where, the evidence, and what to do."""
    if snapshot.status is None:
        return empty("Unknown", "Nothing was seen of the fleet yet.")
    if not snapshot.conditions:
        return empty(
            "Nothing needs attention",
            "A machine that ignores a command, stale meters or a node that falls behind would be named here.",
        )
    order = {"critical": 0, "warning": 1, "info": 2}
    ranked = sorted(snapshot.conditions, key=lambda found: (order[found[1].severity], found[1].since_ms))[:20]

    def where(site: str | None) -> str:
        return f"at {text(site or 'the fleet')}, " if snapshot.several else ""

    return conditions(
        (
            c.severity,
            f'<p><b>{named(c, site, snapshot.site)}</b> <span class="unseen">{text(c.severity)}</span></p>'
            f"<p>{text(c.evidence)}</p><p class=advice>{text(c.advice)}</p>"
            f"<p class=age>{where(site)}since {numbers.instant(c.since_ms)}</p>",
        )
        for site, c in ranked
    )


def attention(snapshot: Snapshot, numbers: Numbers) -> Values:
    """The conditions, and how many there are."""
    count = "" if snapshot.status is None else str(len(snapshot.conditions))
    return {"conditions!": condition_items(snapshot, numbers), "conditions.count": count}


def figures(*wanted: tuple[str, str, str]) -> str:
    """The template of figures: each has a key, a label and a style."""
    return "".join(_FIGURE.format(key=key, label=label, css=css) for key, label, css in wanted)


def money_section(page: Page) -> None:
    """Hash rate, blocks, coins and their value, of the sites that the page is of; the books are the fleet's."""
    with box("cards", "section", 'aria-label="Work and money"'):
        page.section(
            figures(("rate", "Hash rate", ""), ("blocks", "Blocks", ""), ("coins", "Coins", ""), ("eur", "Carrying value", "")),
            money_values,
            css="four",
        )


def attention_section(page: Page) -> None:
    """What needs somebody."""
    with box("card wide", "section", 'aria-label="Conditions"'):
        page.section('<h2>Needs attention <span class="count">{{conditions.count}}</span></h2>{{conditions!}}', attention)
