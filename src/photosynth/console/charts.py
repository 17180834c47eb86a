"""The pictures: energy flow, the day's curve, and where a block's satoshis come from.

Drawn as SVG, so colours are the style sheet's variables and follow dark and light without the server knowing. Colours are
those of Okabe and Ito (jfly.uni-koeln.de/color), which people with colour-blindness tell apart.
"""

import json
from typing import Any

from photosynth.console.numbers import Numbers
from photosynth.console.snapshot import Snapshot
from photosynth.documents import DayPoint, TraceDocument
from photosynth.quantities.format import source_words

Options = dict[str, Any]
SUN, FACTORY, MINING, EXPORT, IMPORT, CURTAILED, SITE = (
    f"var(--c-{name})" for name in ("sun", "factory", "mining", "export", "import", "curtailed", "site")
)
_FONT = {"fontFamily": "Roboto, sans-serif", "fontSize": 12, "color": "var(--text)"}
_MUTED = {"fontFamily": "Roboto, sans-serif", "fontSize": 11, "color": "var(--muted)"}
_NEGLIGIBLE_W = 50
_HOUR_MS = 3_600_000


def sankey_base(*, label_room: int = 118) -> Options:
    """A Sankey's options without its data."""
    return {
        "animationDuration": 500,
        "animationDurationUpdate": 600,
        "animationEasingUpdate": "cubicOut",
        "textStyle": _FONT,
        "series": [
            {
                "type": "sankey",
                "left": 4,
                "right": label_room,
                "top": 14,
                "bottom": 14,
                "nodeWidth": 10,
                "nodeGap": 34,
                "draggable": False,
                "emphasis": {"disabled": True},
                "silent": True,
                "layoutIterations": 0,
                "itemStyle": {"borderWidth": 0, "borderRadius": 3},
                "lineStyle": {"opacity": 0.32, "curveness": 0.5},
                "label": {
                    **_FONT,
                    "lineHeight": 18,
                    "rich": {
                        "b": {"fontSize": 16, "fontWeight": 600, **{k: _FONT[k] for k in ("fontFamily", "color")}},
                        "m": _MUTED,
                    },
                },
                "data": [],
                "links": [],
            }
        ],
    }


def _node(name: str, colour: str, label: str, value: str, depth: int) -> Options:
    return {"name": name, "depth": depth, "itemStyle": {"color": colour}, "label": {"formatter": f"{label}\n{{b|{value}}}"}}


def energy_flow(snapshot: Snapshot, numbers: Numbers) -> Options:
    """Sources, site and sinks with their power; nothing is drawn where nothing flows or nothing is known."""
    site = None if snapshot.part is None else snapshot.part.site
    data: list[Options] = []
    links: list[Options] = []
    if site is None or site.generation_w is None or site.load_w is None or site.mining_power_w is None or site.grid_w is None:
        return {"series": [{"data": data, "links": links}]}

    def link(source: str, target: str, power_w: int, colour: str, opacity: float = 0.32) -> None:
        links.append(
            {
                "source": source,
                "target": target,
                "value": round(power_w / 100),
                "lineStyle": {"color": colour, "opacity": opacity},
            }
        )

    generation, load, mining = (max(0, w) for w in (site.generation_w, site.load_w, site.mining_power_w))
    bought, sold, curtailed = max(0, site.grid_w), max(0, -site.grid_w), max(0, site.curtailed_w or 0)
    if generation > _NEGLIGIBLE_W:
        data.append(_node("sources", SUN, source_words(site.sources), numbers.kilowatts(generation), 0))
        link("sources", "site", generation, SUN)
    if bought > _NEGLIGIBLE_W:
        data.append(_node("import", IMPORT, "Grid import", numbers.kilowatts(bought), 0))
        link("import", "site", bought, IMPORT)
    if not data:
        return {"series": [{"data": [], "links": []}]}
    data.append(_node("site", SITE, "Site", numbers.kilowatts(generation + bought), 1))
    for name, colour, label, power_w in (
        ("factory", FACTORY, "Factory", load),
        ("mining", MINING, "Mining", mining),
        ("export", EXPORT, "Grid export", sold),
    ):
        if power_w > _NEGLIGIBLE_W:
            data.append(_node(name, colour, label, numbers.kilowatts(power_w), 2))
            link("site", name, power_w, colour)
    if curtailed > _NEGLIGIBLE_W and generation > _NEGLIGIBLE_W:
        data.append(_node("curtailed", CURTAILED, "Curtailed, est.", numbers.kilowatts(curtailed), 2))
        link("sources", "curtailed", curtailed, CURTAILED, 0.2)
    return {"series": [{"data": data, "links": links}]}


_SERIES = (
    ("Generation", "generation_w", SUN, 0.20, False),
    ("Surplus", "surplus_w", FACTORY, 0.0, True),
    ("Mining", "mining_power_w", MINING, 0.30, False),
    ("Set-point", "set_point_w", "var(--text)", 0.0, False),
)


def day_base(numbers: Numbers) -> Options:
    """The day's curve without its data: power above, price below, one time axis in the site's zone."""
    comma = "true" if numbers.locale == "de" else "false"
    zone = json.dumps(numbers.zone.key)
    time_axis = {
        "type": "time",
        "axisLine": {"lineStyle": {"color": "var(--line)"}},
        "axisTick": {"show": False},
        "splitLine": {"show": False},
    }
    value_axis = {
        "type": "value",
        "nameTextStyle": {**_MUTED, "align": "left"},
        "nameGap": 8,
        "axisLabel": {**_MUTED, ":formatter": f"v => photosynth.number(v, 0, {comma})"},
        "splitLine": {"lineStyle": {"color": "var(--line)", "width": 1}},
    }
    series: list[Options] = [
        {
            "name": name,
            "type": "line",
            "showSymbol": False,
            "step": "end" if name == "Set-point" else False,
            "connectNulls": False,
            "lineStyle": {"width": 1.6, "color": colour, "type": "dashed" if dashed else "solid"},
            "itemStyle": {"color": colour},
            "areaStyle": {"color": colour, "opacity": area} if area else None,
            "emphasis": {"disabled": True},
            "data": [],
        }
        for name, _field, colour, area, dashed in _SERIES
    ]
    series[0]["markArea"] = {"silent": True, "itemStyle": {"color": EXPORT, "opacity": 0.13}, "data": []}
    series.append(
        {
            "name": "Spot price",
            "type": "line",
            "step": "end",
            "showSymbol": False,
            "xAxisIndex": 1,
            "yAxisIndex": 1,
            "lineStyle": {"width": 1.6, "color": EXPORT},
            "itemStyle": {"color": EXPORT},
            "areaStyle": {"color": EXPORT, "opacity": 0.18, "origin": 0},
            "emphasis": {"disabled": True},
            "data": [],
            "markArea": {"silent": True, "itemStyle": {"color": EXPORT, "opacity": 0.13}, "data": []},
        }
    )
    return {
        "animation": False,
        "textStyle": _FONT,
        "legend": {
            "icon": "roundRect",
            "top": 0,
            "left": 0,
            "itemWidth": 16,
            "itemHeight": 6,
            "itemGap": 14,
            "textStyle": _MUTED,
            "inactiveColor": "var(--line)",
        },
        "axisPointer": {"link": [{"xAxisIndex": "all"}], "lineStyle": {"color": "var(--muted)"}},
        "tooltip": {
            "trigger": "axis",
            "backgroundColor": "var(--panel)",
            "borderColor": "var(--line)",
            "textStyle": _FONT,
            ":formatter": f"points => photosynth.dayTip(points, {comma}, {zone})",
        },
        "grid": [
            {"left": 44, "right": 10, "top": 52, "height": "52%"},
            {"left": 44, "right": 10, "bottom": 24, "height": "17%"},
        ],
        "xAxis": [
            {**time_axis, "gridIndex": 0, "axisLabel": {"show": False}},
            {
                **time_axis,
                "gridIndex": 1,
                "axisLabel": {**_MUTED, "hideOverlap": True, ":formatter": f"v => photosynth.clock(v, {zone})"},
            },
        ],
        "yAxis": [
            {**value_axis, "gridIndex": 0, "name": "kW", "min": 0},
            {**value_axis, "gridIndex": 1, "name": "EUR/MWh", "splitNumber": 2},
        ],
        "series": series,
    }


def negative_bands(day: tuple[DayPoint, ...]) -> list[list[Options]]:
    """The stretches of time with a negative spot price, as pairs of ends."""
    bands: list[list[Options]] = []
    began: int | None = None
    for point in day:
        negative = point.spot_cent_per_mwh is not None and point.spot_cent_per_mwh < 0
        if negative and began is None:
            began = point.time_ms
        elif not negative and began is not None:
            bands.append([{"xAxis": began}, {"xAxis": point.time_ms}])
            began = None
    if began is not None:
        bands.append([{"xAxis": began}, {"xAxis": day[-1].time_ms}])
    return bands


def day_curve(snapshot: Snapshot, numbers: Numbers) -> Options:
    """The day's points: kW and EUR/MWh, gaps where nothing was observed."""
    del numbers
    day = snapshot.day
    bands = negative_bands(day)
    series: list[Options] = [
        {"data": [[p.time_ms, None if (v := getattr(p, name)) is None else round(v / 1000, 2)] for p in day]}
        for _label, name, *_ in _SERIES
    ]
    series[0]["markArea"] = {"silent": True, "itemStyle": {"color": EXPORT, "opacity": 0.13}, "data": bands}
    prices = [[p.time_ms, None if p.spot_cent_per_mwh is None else p.spot_cent_per_mwh / 100] for p in day]
    series.append({"data": prices, "markArea": {"silent": True, "itemStyle": {"color": EXPORT, "opacity": 0.13}, "data": bands}})
    start, end = _window_ms(day)
    return {"xAxis": [{"min": start, "max": end}, {"min": start, "max": end}], "series": series}


def _window_ms(day: tuple[DayPoint, ...]) -> tuple[int | None, int | None]:
    """What the time axis spans: from the first point's hour, two hours at least, and a little ahead of now."""
    if not day:
        return None, None
    start = day[0].time_ms - day[0].time_ms % _HOUR_MS
    now = day[-1].time_ms
    return start, max(start + 2 * _HOUR_MS, now - now % _HOUR_MS + _HOUR_MS)


def trace_flow(trace: TraceDocument, numbers: Numbers, most: int = 10) -> Options:
    """A block's satoshis to quarter hours and on to workers; beyond the largest few, workers are taken together."""
    block = trace.block
    options = sankey_base(label_room=150)
    by_worker: dict[str, int] = {}
    pairs: dict[tuple[tuple[int, int], str], int] = {}
    for share in trace.shares:
        by_worker[share.worker] = by_worker.get(share.worker, 0) + share.value_sat
    named = set(sorted(by_worker, key=lambda w: (-by_worker[w], w))[:most])
    for share in trace.shares:
        worker = share.worker if share.worker in named else f"{len(by_worker) - len(named)} others"
        at = (share.interval_ms, share.duration_s)
        pairs[at, worker] = pairs.get((at, worker), 0) + share.value_sat
    intervals = sorted({at for at, _ in pairs})
    totals = {at: sum(v for (a, _), v in pairs.items() if a == at) for at in intervals}
    said = f"Block {block.height}\n{{m|{numbers.integer(block.value_sat)} sat}}"  # short: a telephone has no room for more
    data: list[Options] = [{"name": "block", "depth": 0, "itemStyle": {"color": SUN}, "label": {"formatter": said}}]
    data += [
        {
            "name": str(at),
            "depth": 1,
            "itemStyle": {"color": EXPORT},
            "label": {"formatter": f"{numbers.worked(*at)}\n{{m|{numbers.integer(totals[at])} sat}}"},
        }
        for at in intervals
    ]
    workers = sorted({w for _, w in pairs}, key=lambda w: (w not in named, w))
    data += [
        {"name": f"worker {w}", "depth": 2, "itemStyle": {"color": MINING},
         "label": {"formatter": f"{w}  {{m|{numbers.integer(sum(v for (_, x), v in pairs.items() if x == w))}}}"}}
        for w in workers
    ]  # fmt: skip
    series = options["series"][0]
    series |= {"data": data, "nodeGap": 12}
    series["links"] = [
        {"source": "block", "target": str(at), "value": totals[at], "lineStyle": {"color": SUN}} for at in intervals
    ] + [
        {"source": str(at), "target": f"worker {w}", "value": v, "lineStyle": {"color": MINING}}
        for (at, w), v in sorted(pairs.items())
    ]  # a guest may call its worker "block", which would lead the picture round in a circle
    return options
