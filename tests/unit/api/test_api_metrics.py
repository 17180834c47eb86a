"""`GET /metrics`: what the documents say and nothing else, unknown absent, bounded in series, in work and in waiting."""

import asyncio
from collections.abc import Iterable
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parsed
from tests.browser.fake_fleet import FakeFleet, fleet
from tests.browser.fake_site import FakeSite

from photosynth.api import create_app, scrape
from photosynth.api.metrics import FAMILIES, LOOP_LAG, exposed_name
from photosynth.api.own_process import LAG_LIMITS_S, LoopLag
from photosynth.api.scrape import OPENMETRICS_TYPE, TEXT_TYPE, Scrape, wants_openmetrics
from photosynth.documents import Condition, HoldingStatus, NodeDocument, Status
from photosynth.storage import StorageError

PROMETHEUS_ACCEPTS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def client(view: Any) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=create_app(view, token="t"), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8480")


def samples_of(families: Iterable[Metric]) -> Samples:
    return {(sample.name, frozenset(sample.labels.items())): sample.value for family in families for sample in family.samples}


def openmetrics_families(text: str) -> list[Metric]:
    return list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


async def scraped(view: Any) -> Samples:
    async with client(view) as http:
        answer = await http.get("/metrics")
    assert answer.status_code == 200, answer.text
    return samples_of(parsed(answer.text))


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


async def test_each_site_has_its_own_series_with_what_its_documents_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    view = fleet("two")
    status = await view.status()

    async def the_same() -> Status:
        return status

    monkeypatch.setattr(view, "status", the_same)
    found = await scraped(view)
    assert len(status.sites) == 2
    for part in status.sites:
        for name, said in (
            ("photosynth_site_generation_watts", part.site.generation_w),
            ("photosynth_site_grid_watts", part.site.grid_w),
            ("photosynth_site_machines_declared", part.machines.total),
            ("photosynth_pool_blocks_found_total", part.pool.blocks_found),
            ("photosynth_site_hashes_per_second", float(part.pool.hash_rate_hs or 0)),
        ):
            assert value(found, name, site=part.name) == said
        assert value(found, "photosynth_site_machines", site=part.name, state="sleeping") == part.machines.sleeping
        assert value(found, "photosynth_site_meters_quality", site=part.name, quality="good") == 1
        assert value(found, "photosynth_site_meters_quality", site=part.name, quality="stale") == 0
        critical = sum(condition.severity == "critical" for condition in part.conditions)
        assert value(found, "photosynth_conditions", site=part.name, severity="critical") == critical
    assert value(found, "photosynth_conditions", site="", severity="critical") == 1
    assert value(found, "photosynth_evidence_records_total") == status.evidence.records
    assert value(found, "photosynth_incidents_open") == status.incidents.open
    assert value(found, "photosynth_database_away") == 0


async def test_a_node_is_in_one_state_and_one_that_does_not_answer_says_nothing() -> None:
    view = FakeSite()
    found = await scraped(view)
    healthy, down, unknown = await view.nodes()
    for node, state in ((healthy, "healthy"), (down, "down"), (unknown, "unknown")):
        labels = {"node": node.id, "network": node.network, "chain": node.chain, "role": node.role, "run": node.run}
        in_state = {one: value(found, "photosynth_node_state", **labels, state=one) for one in ("healthy", "down", "unknown")}
        assert in_state == {"healthy": 0, "down": 0, "unknown": 0} | {state: 1}
        says = state == "healthy"
        assert value(found, "photosynth_node_head_blocks", **labels) == (node.head if says else None)
        assert (value(found, "photosynth_node_lag_blocks", **labels) is not None) == says
        assert (value(found, "photosynth_node_answer_age_seconds", **labels) is not None) == (state != "unknown")


async def test_what_is_not_known_is_absent_and_never_zero() -> None:
    found = await scraped(FakeSite(empty=True))
    names = {name for name, _ in found}
    for name in ("generation_watts", "grid_watts", "mining_watts", "meters_age_seconds", "hashes_per_second"):
        assert f"photosynth_site_{name}" not in names
    assert value(found, "photosynth_site_meters_quality", site="backnang", quality="unknown") == 1
    assert "photosynth_evidence_age_seconds" not in names


class Books(FakeFleet):
    """A fleet of nodes whose status is changed or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: dict[str, object] = {}
        self.fault: Exception | None = None
        self.asked = 0
        self.gate: asyncio.Event | None = None

    async def status(self, site: str | None = None) -> Status:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return (await super().status(site)).model_copy(update=self.changed)


async def test_an_amount_that_a_sample_cannot_hold_is_given_in_whole_units_alone() -> None:
    view = Books()
    wei = HoldingStatus(code="ETH", network="ethereum", base_unit="wei", decimals=18, held="32000000000000000001")
    huge = HoldingStatus(code="BIG", network="tally", base_unit="tick", decimals=0, held="1" + "0" * 400)
    exact = HoldingStatus(code="BTC", network="bitcoin", base_unit="satoshi", decimals=8, held=str(2**53))
    status = await FakeFleet().status()
    view.changed = {"ledger": status.ledger.model_copy(update={"assets": [wei, huge, exact]})}
    found = await scraped(view)
    labels = {"asset": "ETH", "network": "ethereum", "base_unit": "wei"}
    assert value(found, "photosynth_ledger_base_units", **labels) is None
    assert value(found, "photosynth_ledger_units", **labels) == 32.0
    of_bitcoin = {"asset": "BTC", "network": "bitcoin", "base_unit": "satoshi"}
    assert value(found, "photosynth_ledger_base_units", **of_bitcoin) == 2**53
    assert value(found, "photosynth_ledger_units", asset="BIG", network="tally", base_unit="tick") == float("inf")


async def test_while_the_database_is_away_nothing_old_is_said_of_the_books() -> None:
    view = Books()
    away = Condition(
        id="database_away", severity="critical", subject="database", summary="s", evidence="e", advice="a", since_ms=0
    )
    view.changed = {"conditions": [away]}
    lost = Books()
    lost.fault = StorageError("unavailable", "here", "does not answer.")  # type: ignore[arg-type]
    for one in (view, lost):
        found = await scraped(one)
        assert value(found, "photosynth_database_away") == 1
        assert not [name for name, _ in found if name.startswith(("photosynth_ledger", "photosynth_evidence"))]
        assert [name for name, _ in found if name == "photosynth_node_state"]


async def test_both_formats_say_the_same_and_every_family_says_its_unit_and_source() -> None:
    view = FakeFleet(sites=[FakeSite()], frozen=1_781_431_200.0)
    async with client(view) as http:
        text = await http.get("/metrics")
        other = await http.get("/metrics", headers={"accept": PROMETHEUS_ACCEPTS})
    assert (text.headers["content-type"], other.headers["content-type"]) == (TEXT_TYPE, OPENMETRICS_TYPE)
    found = {family.name: family for family in openmetrics_families(other.text)}
    assert samples_of(parsed(text.text)) == samples_of(found.values())
    assert list(found) == [family.name for family in (*FAMILIES, LOOP_LAG)]
    units = ("watts", "econds", "count", "1", "bytes", "Height", "Blocks", "unit", "hashes")
    for family in found.values():
        meaning, _, source = family.documentation.partition(" From ")
        assert source, family.name
        assert any(unit in meaning for unit in units), meaning


async def test_no_label_names_what_there_may_be_any_number_of() -> None:
    view = fleet("two")
    known = {"site", "state", "result", "quality", "severity", "node", "network", "chain", "role", "run", "asset", "base_unit"}
    found = await scraped(view)
    assert {label for _, labels in found for label, _ in labels} <= known | {"version", "le"}
    machines = {machine.id for machine in await view.machines()}
    assert machines
    assert not machines & {text for _, labels in found for _, text in labels}


class ManyNodes(FakeFleet):
    """A fleet of a thousand nodes that answer."""

    async def nodes(self) -> list[NodeDocument]:
        first, *_ = await super().nodes()
        return [first.model_copy(update={"id": f"n-{number}"}) for number in range(1000)]


async def test_series_are_as_few_as_the_reference_says() -> None:
    many, one, two = await scraped(ManyNodes()), await scraped(FakeFleet(sites=[FakeSite()])), await scraped(fleet("two"))
    of_nodes = [key for key in many if key[0].startswith("photosynth_node_")]
    assert len(of_nodes) == 8 * 1000
    assert len(two) - len(one) == 27
    assets = len((await FakeFleet().status()).ledger.assets)
    nodes = [key for key in one if key[0].startswith("photosynth_node_")]
    assert len(one) == 27 + 27 + 2 * assets + len(nodes)


async def test_a_hundred_scrapes_are_one_look_and_the_next_comes_a_second_later() -> None:
    now = [100.0]
    view = Books()
    made = Scrape(view, monotonic=lambda: now[0])
    bodies = await asyncio.gather(*(made.page("") for _ in range(100)))
    assert (view.asked, len(set(bodies))) == (1, 1)
    now[0] += scrape.KEPT_S
    await made.page("")
    assert view.asked == 1
    now[0] += 0.001
    await asyncio.gather(*(made.page("") for _ in range(100)))
    assert view.asked == 2


async def test_a_look_that_hangs_holds_no_scrape_and_is_not_begun_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "PATIENCE_S", 0.02)
    view = Books()
    view.gate = asyncio.Event()
    async with client(view) as http:
        answers = await asyncio.gather(*(http.get("/metrics") for _ in range(20)))
        again = await http.get("/metrics")
        assert {answer.status_code for answer in (*answers, again)} == {503}
        assert (again.headers["retry-after"], view.asked) == ("1", 1)
        assert "within 0.02 s" in again.json()["detail"]
        view.gate.set()
        monkeypatch.setattr(scrape, "PATIENCE_S", 60.0)
        assert (await http.get("/metrics")).status_code == 200
    assert view.asked == 1


async def test_a_fault_is_asked_about_once_a_second_too() -> None:
    now = [100.0]
    view = Books()
    view.fault = RuntimeError("a mistake")
    made = Scrape(view, monotonic=lambda: now[0])
    for _ in range(50):
        with pytest.raises(RuntimeError):
            await made.page("")
    assert view.asked == 1
    view.fault = None
    now[0] += 2
    assert (await made.page(""))[0]


@given(st.text(max_size=200))
def test_whatever_is_accepted_one_of_two_formats_is_chosen(accept: str) -> None:
    assert wants_openmetrics(accept) in (True, False)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (PROMETHEUS_ACCEPTS, True),
        ("application/openmetrics-text; version=1.x", True),
        ("Application/OpenMetrics-Text;q=0.5", True),
        ("application/openmetrics-text;q=0, text/plain", False),
        ("text/plain", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_openmetrics_is_for_those_who_name_it(accept: str, chosen: bool) -> None:
    assert wants_openmetrics(accept) is chosen


async def test_the_lag_of_the_event_loop_is_a_histogram() -> None:
    lag = LoopLag()
    for late_s in (-0.001, 0.004, 0.3, 70.0):
        lag.note(late_s)
    assert lag.buckets()[0] == (str(LAG_LIMITS_S[0]), 2.0)
    assert dict(lag.buckets())["0.5"] == 3.0
    assert lag.buckets()[-1] == ("+Inf", 4.0)
    assert lag.sum_s == pytest.approx(70.304)


def test_names_are_those_that_the_field_expects() -> None:
    names = [exposed_name(family) for family in (*FAMILIES, LOOP_LAG)]
    assert len(set(names)) == len(names)
    for family in (*FAMILIES, LOOP_LAG):
        assert family.name.startswith(("photosynth_", "process_"))
        assert not family.name.endswith("_total")
        assert exposed_name(family).endswith("_total") == (family.kind == "counter")
