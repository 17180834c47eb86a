"""What the pages say and draw, without a browser: flows that balance, gaps, escaping, and unknown that stays unknown."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from tests.browser.fake_fleet import FakeFleet, fleet
from tests.browser.fake_site import FakeSite

from photosynth.console import (
    actions_table,
    activity,
    charts,
    fleet_overview,
    frame,
    glance,
    ledger,
    machine,
    miners,
    nodes,
    overview,
)
from photosynth.console.feed import Feed
from photosynth.console.markup import fill, table, text
from photosynth.console.numbers import MINUS, Numbers
from photosynth.console.snapshot import Snapshot
from photosynth.documents import ActionDocument, AssetDocument, SiteStatus
from photosynth.operations.summaries import like
from photosynth.quantities.assets import Asset

EN = Numbers("en")
ALL = frozenset({"machines", "day", "blocks", "workers", "actions"})
EVIL = '<img src=x onerror="alert(1)">'


async def seen(site: FakeSite | None = None) -> Snapshot:
    return await Feed(site or FakeSite()).look(ALL)


def with_site(snapshot: Snapshot, **changes: object) -> Snapshot:
    assert snapshot.part is not None
    return with_part(snapshot, site=SiteStatus.model_validate({**snapshot.part.site.model_dump(), **changes}))


def with_part(snapshot: Snapshot, **changes: object) -> Snapshot:
    """The same of a fleet whose one site is another."""
    assert snapshot.status is not None
    assert snapshot.part is not None
    part = snapshot.part.model_copy(update=changes)
    return replace(snapshot, status=snapshot.status.model_copy(update={"sites": [part]}))


def flows(snapshot: Snapshot) -> dict[tuple[str, str], int]:
    links = charts.energy_flow(snapshot, EN)["series"][0]["links"]
    return {(link["source"], link["target"]): link["value"] for link in links}


async def test_the_flow_at_noon_goes_from_the_sun_to_factory_mining_and_export() -> None:
    day = with_site(await seen(), generation_w=400_000, load_w=60_000, mining_power_w=320_000, grid_w=-20_000, curtailed_w=10_000)
    assert flows(day) == {
        ("sources", "site"): 4000,
        ("site", "factory"): 600,
        ("site", "mining"): 3200,
        ("site", "export"): 200,
        ("sources", "curtailed"): 100,
    }


@pytest.mark.parametrize(
    ("kinds", "label"), [(["photovoltaic"], "Sun"), (["wind"], "Wind"), (["photovoltaic", "wind"], "Sun and wind")]
)
async def test_the_flow_names_what_the_sources_live_on(kinds: list[str], label: str) -> None:
    site = with_site(await seen(), sources=kinds, generation_w=200_000, load_w=60_000, mining_power_w=140_000, grid_w=0)
    source = next(node for node in charts.energy_flow(site, EN)["series"][0]["data"] if node["depth"] == 0)
    assert source["label"]["formatter"].startswith(f"{label}\n")


async def test_the_flow_at_night_comes_from_the_grid() -> None:
    night = with_site(await seen(), generation_w=0, load_w=38_000, mining_power_w=20, grid_w=38_020, curtailed_w=0)
    assert flows(night) == {("import", "site"): 380, ("site", "factory"): 380}


@pytest.mark.parametrize("name", ["generation_w", "load_w", "mining_power_w", "grid_w"])
async def test_no_flow_is_drawn_where_a_meter_is_unknown(name: str) -> None:
    blind = with_site(await seen(), **{name: None})
    assert flows(blind) == {}
    assert overview.flow_values(blind, EN)["flow@data-quality"] == "unknown"


async def test_the_days_curve_has_gaps_where_nothing_was_observed_and_bands_where_the_price_is_negative() -> None:
    site = FakeSite()
    site.now = lambda: 1_781_427_600_000 + 5 * 3_600_000
    snapshot = await seen(site)
    series = charts.day_curve(snapshot, EN)["series"]
    assert None in [value for _, value in series[0]["data"]]
    bands = series[0]["markArea"]["data"]
    assert len(bands) == 1
    assert bands[0][0]["xAxis"] < bands[0][1]["xAxis"]
    assert charts.day_curve(Snapshot(), EN)["xAxis"][0] == {"min": None, "max": None}


async def test_a_trace_keeps_every_satoshi_in_its_picture() -> None:
    trace = await FakeSite().trace("120")
    links = charts.trace_flow(trace, EN)["series"][0]["links"]
    assert sum(link["value"] for link in links if link["source"] == "block") == trace.block.value_sat
    assert sum(link["value"] for link in links if link["source"] != "block") == trace.block.value_sat


async def test_no_workers_name_leads_a_trace_in_a_circle() -> None:
    trace = await FakeSite().trace("120")
    first = trace.shares[0]
    for name in ("block", str((first.interval_ms, first.duration_s))):
        named = trace.model_copy(update={"shares": [first.model_copy(update={"worker": name})]})
        series = charts.trace_flow(named, EN)["series"][0]
        names = [node["name"] for node in series["data"]]
        assert len(set(names)) == len(names)
        assert {link["target"] for link in series["links"]} == set(names) - {"block"}


async def test_values_of_a_site_that_was_never_seen_are_unknown() -> None:
    nothing = Snapshot(error="no answer")
    assert overview.power_values(nothing, EN)["surplus.value"] == "unknown"
    assert glance.money_values(nothing, EN)["rate@data-quality"] == "unknown"
    assert overview.outlook_values(nothing, EN)["outlook.sat"] == "unknown"
    assert "unknown" in nodes.node_values(nothing, EN)["health!"]
    assert "unknown" in machine.values_of("backnang", "hall-a-01", nothing, EN)["state!"]


async def test_a_node_that_does_not_answer_has_no_height_and_is_not_catching_up() -> None:
    snapshot = await seen()
    assert snapshot.part is not None
    unknown = dict.fromkeys(("height", "tip", "peers", "last_block_age_s", "target", "difficulty"))
    blind = with_part(snapshot, chain=snapshot.part.chain.model_copy(update={**unknown, "synchronised": False}))
    values = nodes.node_values(blind, EN)
    assert "not answering" in values["health!"]
    for name in ("Height", "Tip", "Peers"):
        assert "unknown" in values["facts!"].split(f"<dt>{name}</dt>")[1].partition("</dd>")[0], name
    assert glance.money_values(blind, EN)["blocks.note"] == "height unknown"


async def test_machines_that_nobody_can_ask_are_unknown() -> None:
    snapshot = await seen()
    assert snapshot.part is not None
    models = [model.model_copy(update={"running": None}) for model in snapshot.part.models]
    blind = with_part(snapshot, models=models, machines=snapshot.part.machines.model_copy(update={"running": None}))
    assert overview.power_values(blind, EN)["mining.note"].startswith("unknown of 102 machines")
    rows = overview.model_rows(blind.part, EN)
    assert rows.count("unknown of ") == len(models)
    assert "meter" not in rows


async def test_a_stale_site_is_stale_and_not_good() -> None:
    snapshot = with_site(await seen(), quality="stale")
    assert overview.power_values(snapshot, EN)["surplus@data-quality"] == "stale"
    lost = replace(await seen(), error="gone")
    assert overview.power_values(lost, EN)["mining@data-quality"] == "stale"
    assert "not answering" in nodes.node_values(lost, EN)["health!"]


def test_text_from_outside_never_becomes_markup() -> None:
    assert "<img" not in text(EVIL)
    assert "<img" not in fill("<p {{x@title}}>{{x}}</p>", {"x": EVIL, "x@title": EVIL})
    assert "<img" not in table(EVIL, [EVIL], [])
    with pytest.raises(KeyError):
        fill("{{missing}}", {})


async def test_names_that_guests_and_machines_give_themselves_are_escaped() -> None:
    snapshot = await seen()
    assert snapshot.workers is not None
    guest = snapshot.workers.workers[-1].model_copy(update={"name": EVIL, "user_agent": EVIL})
    workers = snapshot.workers.model_copy(update={"workers": [guest]})
    assert "<img" not in nodes.worker_values(replace(snapshot, workers=workers), EN)["workers!"]
    posting = (
        (await FakeSite().ledger(limit=1)).postings[0].model_copy(update={"text": EVIL, "source": {EVIL: EVIL}, "key": EVIL})
    )
    assert "<img" not in ledger.posting_item(posting, EN)
    action = snapshot.actions[0].model_copy(update={"reason": EVIL, "answer": EVIL, "subject": EVIL, "actor": EVIL})
    assert "<img" not in actions_table.actions_table([action], EN)
    named = snapshot.machines[0].model_copy(update={"id": EVIL, "group": EVIL, "model": EVIL})
    assert "<img" not in miners.tiles_markup(replace(snapshot, machines=(named,)), EN)
    assert "<img" not in nodes.commands(EVIL)


async def test_a_balance_that_does_not_close_is_said() -> None:
    document = await FakeSite().ledger()
    assert "off by" not in ledger.balance_table(document.trial_balance, document.assets, EN)
    broken = [
        row.model_copy(update={"closing": str(int(row.closing) + 1)}) if row.account == "3100" else row
        for row in document.trial_balance
    ]
    assert "off by 0.00000001 BTC" in ledger.balance_table(broken, document.assets, EN)


async def test_amounts_keep_every_digit_of_their_asset() -> None:
    document = await FakeSite().ledger()
    shell = like(AssetDocument, Asset("SHELL", "Shells", None, "shell", 1))
    row = document.trial_balance[0].model_copy(update={"asset": "SHELL", "closing": "-" + "9" * 30})
    assert f"{MINUS}99{',999' * 9}.9" in ledger.balance_table([row], [shell], EN)
    line = document.postings[0].lines[0]
    lines = [line.model_copy(update={"asset": code, "amount": str(10**30)}) for code in ("ETH", "SHELL", "PEARL")]
    shown = ledger.posting_item(document.postings[0].model_copy(update={"lines": lines}), EN, [shell])
    for amount in ("1,000,000,000,000.000000000000000000", "100" + ",000" * 9 + ".0", "1" + ",000" * 10):
        assert f">{amount}<" in shown


async def test_rows_change_only_when_their_news_does() -> None:
    snapshot = await seen()
    one = snapshot.machines[0].model_copy(update={"last_share_wall_ms": 1_000_000})
    assert miners.row(one, 1_001_000, EN, None) == miners.row(one, 1_004_000, EN, None)
    assert miners.row(one, 1_001_000, EN, None) != miners.row(one, 1_006_000, EN, None)
    unknown = one.model_copy(update={"power_w": None, "hash_rate_hs": None, "last_share_wall_ms": None})
    assert (miners.row(unknown, 0, EN, None)["power_text"], miners.row(unknown, 0, EN, None)["age_text"]) == (
        "unknown",
        "none yet",
    )


async def test_the_difficulty_of_the_half_second_after_a_block_is_not_the_networks() -> None:
    snapshot = await seen()

    def facts(**changes: object) -> str:
        assert snapshot.part is not None
        return nodes.node_values(with_part(snapshot, chain=snapshot.part.chain.model_copy(update=changes)), EN)["facts!"]

    assert "<dd>0.00675</dd>" in facts()
    assert "none now" in facts(target="0", difficulty=None)
    assert "<dd>unknown</dd>" in facts(target=None, difficulty=None)


async def test_every_time_is_the_sites_and_names_its_zone() -> None:
    snapshot = await seen()
    tokyo = Numbers("en", ZoneInfo("Asia/Tokyo"))
    assert "since 14 Jun 2026 17:50:00 JST" in glance.condition_items(snapshot, tokyo)
    assert "Asia/Tokyo" in actions_table.actions_table(snapshot.actions[:1], tokyo)
    assert 'photosynth.clock(v, "Asia/Tokyo")' in str(charts.day_base(tokyo))


def told(number: int, wall_ms: int, **changes: object) -> ActionDocument:
    values = {
        "id": number, "site": "backnang",
        "time_ms": 1_781_427_600_000 + number, "wall_ms": wall_ms, "actor": "dispatch", "kind": "sleep",
        "subject": f"m-{number}", "reason": "no surplus", "request": "sleep", "result": "done", "answer": "OK",
        "read_back": "25 W", "verified": True, "finished_ms": None,
    }  # fmt: skip
    return ActionDocument.model_validate({**values, **changes})


def test_what_one_decision_told_belongs_together() -> None:
    first = [told(n, 1000 + n, kind="sleep" if n % 2 else "set_power") for n in range(5)]
    stop = told(5, 1010, kind="stop_mining", subject="site", actor="console")
    mine = [told(n, 1010 + n, actor="console") for n in (6, 7)]
    later = [told(8, 1400)]
    found = actions_table.decisions(reversed([*first, stop, *mine, *later]))
    assert [[a.id for a in decision] for decision in found] == [[8], [7, 6], [5], [4, 3, 2, 1, 0]]
    assert actions_table.key_of(found[-1]) == 0
    assert "<b>set_power</b> 3, <b>sleep</b> 2 machines: m-0, m-1, m-2 and 2 more" in actions_table.summary(found[-1])


def test_what_was_told_at_two_sites_in_one_moment_are_two_decisions() -> None:
    here, there = told(1, 1000), told(2, 1000, site="jever")
    assert [[a.site for a in decision] for decision in actions_table.decisions([there, here])] == [["jever"], ["backnang"]]
    line = actions_table.decision_item((there,), EN, opened=True, named=True, chosen="jever")
    assert "dispatch · jever" in line
    assert '<a href="/miners/jever/m-2?site=jever">m-2</a>' in line
    fleets = told(3, 1000, site=None, kind="restart_node", subject="btc-2")
    assert "dispatch · the fleet" in actions_table.decision_item((fleets,), EN, opened=False, named=True, chosen=None)


def test_a_decision_says_who_did_not_follow_before_who_is_not_read_yet() -> None:
    good, waiting, bad = told(1, 1), told(2, 1, verified=None, read_back=None), told(3, 1, verified=False)
    assert "all 2 verified" in actions_table.outcome((good, good))
    assert "1 of 2 not read yet" in actions_table.outcome((waiting, good))
    assert "1 of 3 not as told: m-3" in actions_table.outcome((bad, waiting, good))
    assert "failed" in actions_table.outcome((told(4, 1, verified=None, result="failed"),))


def test_a_decision_that_is_closed_carries_no_rows_and_one_that_is_open_every_answer() -> None:
    decision = tuple(told(n, 1, answer=f"answer {n} " + "x" * 400) for n in range(3))
    assert "answer 1" not in actions_table.decision_item(decision, EN, opened=False, named=False, chosen=None)
    opened = actions_table.decision_item(decision, EN, opened=True, named=False, chosen=None)
    assert all(f"answer {n} {'x' * 400}" in opened for n in range(3))


def test_a_person_who_stops_is_told_who_did_not_follow() -> None:
    action = told(1, 1, result="unverified", verified=False, answer=None, read_back="1 of 2 asleep; awake: m-2 (no answer)")
    assert frame.told("Stop mining", action) == (
        "Stop mining: not everything followed",
        "1 of 2 asleep; awake: m-2 (no answer)",
    )


async def test_actions_are_found_by_words_and_result() -> None:
    actions = (await seen()).actions
    assert {a.subject for a in activity.matching(actions, "HALL-C-11 reads", "all")} == {"hall-c-11"}
    assert all(a.verified is not True for a in activity.matching(actions, "", "open"))
    assert activity.matching(actions, "no such words", "all") == ()


async def test_a_machine_page_says_what_came_of_the_last_command_and_when() -> None:
    snapshot = await seen()
    deaf = next(item for item in snapshot.machines if item.id == "hall-c-11")
    now_ms = snapshot.time_ms
    told = deaf.model_copy(update={"commanded_w": 0, "commanded_ms": now_ms - 7_200_000, "commanded_result": "unverified"})
    never = deaf.model_copy(update={"commanded_w": None, "commanded_ms": None, "commanded_result": None})
    values = machine.values_of("backnang", "hall-c-11", replace(snapshot, machines=(told,)), EN)
    assert (values["told.value"], values["told.note"]) == ("sleep", f"{EN.span(7200)} ago · reading back did not show it")
    assert machine.values_of("backnang", "hall-c-11", replace(snapshot, machines=(never,)), EN)["told.note"] == "no command yet"


async def two() -> Snapshot:
    return await Feed(fleet("two")).look(ALL)


async def test_links_to_a_machine_and_a_trace_name_its_site_and_keep_the_choice() -> None:
    snapshot = await two()
    tiles = miners.tiles_markup(snapshot, EN)
    assert 'id="tile-backnang/hall-a-01" href="/miners/backnang/hall-a-01"' in tiles
    assert 'id="tile-jever/hall-a-01" href="/miners/jever/hall-a-01"' in tiles
    assert "<h3>jever: hall-a" in tiles
    blocks = ledger.blocks_table(snapshot, EN)["blocks!"]
    assert 'href="/ledger/trace/backnang/131"' in blocks
    assert 'href="/ledger/trace/jever/57"' in blocks
    one = await Feed(fleet("two")).look(ALL, "jever")
    assert 'href="/miners/jever/hall-a-01?site=jever"' in miners.tiles_markup(one, EN)
    assert "jever: " not in miners.tiles_markup(one, EN)
    assert "/ledger/trace/backnang" not in ledger.blocks_table(one, EN)["blocks!"]


async def test_a_card_says_of_a_site_what_it_does_now_and_what_is_wrong() -> None:
    snapshot = await two()
    assert snapshot.status is not None
    here = fleet_overview.card_values("site0", "backnang", snapshot, EN)
    there = fleet_overview.card_values("site1", "jever", snapshot, EN)
    assert here["site0.machines.unit"] == "of 102"
    assert there["site1.machines.unit"] == "of 36"
    assert "3 need attention" in here["site0.trouble!"]
    assert "nothing needs attention" in there["site1.trouble!"]
    assert "EUR a day on mainnet" in there["site1.earns"]
    gone = fleet_overview.card_values("site1", "jever", replace(snapshot, site="backnang"), EN)
    assert gone["site1.power.value"] == "unknown"
    assert set(gone) == set(there)


async def test_a_card_of_a_site_whose_meters_say_nothing_is_unknown_and_never_zero() -> None:
    snapshot = await two()
    assert snapshot.status is not None
    blind = ("generation_w", "load_w", "surplus_w", "set_point_w", "mining_power_w", "grid_w", "observed_ms", "spot_cent_per_mwh")
    first, second = snapshot.status.sites
    site = second.site.model_copy(update={**dict.fromkeys(blind), "quality": "stale"})
    part = second.model_copy(update={"site": site, "pool": second.pool.model_copy(update={"hash_rate_hs": None})})
    seen = replace(snapshot, status=snapshot.status.model_copy(update={"sites": [first, part]}))
    values = fleet_overview.card_values("s", "jever", seen, EN)
    for name in ("power", "setpoint", "price"):
        assert (values[f"s.{name}.value"], values[f"s.{name}@data-quality"]) == ("unknown", "unknown")
    assert (values["s.measured"], "stale" in values["s.state!"]) == ("never observed", True)
    assert "no fresh reading" in values["s.bar!"]
    assert glance.money_values(seen, EN)["rate.value"] == "unknown", "a sum of which a part is unknown"
    assert frame._header(seen, EN)["live@data-state"] == "stale"


@pytest.mark.parametrize(
    ("stopped", "flag", "said"),
    [
        ((False, False), "false", ""),
        ((True, False), "some", "stopped by an operator at Factory roof, Backnang"),
        ((True, True), "true", "every machine stays asleep"),
    ],
)
async def test_it_is_said_where_mining_is_stopped(stopped: tuple[bool, bool], flag: str, said: str) -> None:
    found = fleet("two")
    assert isinstance(found, FakeFleet)
    for site, off in zip(found.sites, stopped, strict=True):
        site.stopped = off
    snapshot = await Feed(found).look(frozenset())
    assert frame._header(snapshot, EN)["stopped@data-stopped"] == flag
    assert said in frame._trouble(snapshot, EN)["trouble-text"]
    assert bool(said) == (frame._trouble(snapshot, EN)["trouble@data-on"] == "true")


async def test_a_fleet_without_sites_has_nothing_to_stop_and_says_how_to_mine() -> None:
    snapshot = await Feed(fleet("none")).look(ALL)
    assert frame._header(snapshot, EN)["stopped@data-stopped"] == "none"
    assert frame._header(snapshot, EN)["livetext"] == "live"
    assert "declare a site under `sites:`" in miners.tiles_markup(snapshot, EN)
    assert "btc-2" in glance.condition_items(snapshot, EN)
