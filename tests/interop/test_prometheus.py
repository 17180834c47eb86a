"""A real Prometheus and its promtool: the rules under `deploy/` are sound, and scrape and rules work on the default fleet."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.functional.running_site import EXAMPLES, RunningSite
from tests.peers.prometheus import PrometheusPrograms, RunningPrometheus, running_alertmanager

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400)]

DEPLOY = EXAMPLES.parent / "deploy" / "prometheus"
SCRAPES = 60
PATIENCE_S = 200


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    running = RunningSite(tmp_path_factory.mktemp("fleet") / "state", fleet=EXAMPLES / "operator.yaml")
    try:
        yield running.start()
    finally:
        running.end()


def until(holds: Callable[[], object], what: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end_s, f"waited for {what}"
        time.sleep(0.5)


def metrics(site: RunningSite) -> str:
    answer = httpx2.get(f"{site.url}/metrics", timeout=30)
    assert answer.status_code == 200
    return answer.text


def test_rules_and_configuration_are_sound(prometheus_programs: PrometheusPrograms) -> None:
    assert "SUCCESS" in prometheus_programs.check("check", "rules", str(DEPLOY / "rules.yaml"))
    assert "is valid" in prometheus_programs.check("check", "config", str(DEPLOY / "prometheus.yaml"))
    assert "SUCCESS" in prometheus_programs.check("test", "rules", str(Path(__file__).parent / "prometheus_rules_test.yaml"))


def test_the_page_is_as_promtool_wants_it(prometheus_programs: PrometheusPrograms, site: RunningSite) -> None:
    assert not prometheus_programs.check("check", "metrics", given=metrics(site))


def test_every_name_of_the_rules_is_on_the_page_of_the_default_fleet(site: RunningSite) -> None:
    page = metrics(site)
    families = {sample.name for family in text_string_to_metric_families(page) for sample in family.samples}
    families |= {family.name for family in text_string_to_metric_families(page)}
    named = set(re.findall(r"\bphotosynth_\w+", (DEPLOY / "rules.yaml").read_text()))
    assert len(named) > 10
    assert named <= families


def _configuration(site: RunningSite, folder: Path, alertmanager_port: int) -> Path:
    """The one of `deploy/` with its alerting, for other addresses and sixty times a minute; a system is down after 5 s."""
    text = (DEPLOY / "prometheus.yaml").read_text()
    for wanted, given in (("127.0.0.1:8480", site.url.removeprefix("http://")), ("_interval: 15s", "_interval: 1s")):
        assert wanted in text
        text = text.replace(wanted, given)
    text = text.replace("scrape_timeout: 10s", "scrape_timeout: 1s")
    before, mark, alerting = text.partition("# alerting:")
    assert "127.0.0.1:9093" in alerting
    text = before + (mark + alerting.replace(":9093", f":{alertmanager_port}")).replace("# ", "")
    rules = (DEPLOY / "rules.yaml").read_text()
    assert "for: 2m" in rules
    (folder / "rules.yaml").write_text(rules.replace("for: 2m", "for: 5s"))
    (folder / "prometheus.yaml").write_text(text)
    return folder / "prometheus.yaml"


def woken_by(alertmanager_port: int) -> set[str]:
    """The alerts that an Alertmanager holds as active, by their names."""
    answer = httpx2.get(f"http://127.0.0.1:{alertmanager_port}/api/v2/alerts", params={"active": "true"}, timeout=30)
    answer.raise_for_status()
    return {alert["labels"]["alertname"] for alert in answer.json()}


def _rules(prometheus: RunningPrometheus) -> list[dict[str, str]]:
    return [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]


def test_prometheus_scrapes_the_default_fleet_for_a_minute_and_wakes_somebody_when_it_ends(
    prometheus_programs: PrometheusPrograms, site: RunningSite, tmp_path: Path
) -> None:
    with (
        running_alertmanager(prometheus_programs.alertmanager, tmp_path / "alertmanager") as alertmanager,
        prometheus_programs.running(_configuration(site, tmp_path, alertmanager), tmp_path / "prometheus") as prometheus,
    ):
        seen = 'count_over_time(up{job="photosynth"}[10m])'
        until(lambda: any(count >= SCRAPES for _, count in prometheus.query(seen)), f"{SCRAPES} scrapes")
        assert [value for _, value in prometheus.query('avg_over_time(up{job="photosynth"}[10m])')] == [1]
        (target,) = prometheus.get("targets")["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")
        until(lambda: all(rule["health"] == "ok" for rule in _rules(prometheus)), "every rule to be evaluated")

        nodes = {node["id"] for node in site.get("nodes")}
        states = prometheus.query("photosynth_node_state == 1")
        assert {labels["node"] for labels, _ in states} == nodes
        assert len(states) == len(nodes)
        names = {part["name"] for part in site.get("status")["sites"]}
        assert {labels["site"] for labels, _ in prometheus.query("photosynth_site_machines_declared")} == names
        assert prometheus.query("sum(photosynth:nodes:count_by_state)")[0][1] == len(nodes)
        until(lambda: prometheus.query("photosynth:evidence_age:wall_seconds"), "a quarter hour in the evidence")
        assert [value for _, value in prometheus.query("photosynth_database_away")] == [0]
        assert "PhotosynthDown" not in woken_by(alertmanager)

        site.stop()
        until(lambda: "PhotosynthDown" in woken_by(alertmanager), "the Alertmanager to have the alert")
        assert not prometheus.query("photosynth_node_state"), "what was said last is not taken for what is"
