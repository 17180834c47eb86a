"""What the pages tell a reader to type exists, and their links lead somewhere."""

import re
from pathlib import Path

import pytest
import typer
from ruamel.yaml import YAML

from photosynth.api.metrics import FAMILIES, LOOP_LAG, exposed_name
from photosynth.cli.app import app

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def commands() -> dict[str, set[str]]:
    """Every command with its options."""
    found: dict[str, set[str]] = {}

    def visit(path: str, command: object) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            visit(f"{path} {name}".strip(), inner)
        if not hasattr(command, "commands"):
            found[path] = {option for parameter in getattr(command, "params", ()) for option in parameter.opts}

    visit("", typer.main.get_command(app))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there."""
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    """Every `photosynth` line in a block of code is a command with options that it has."""
    known = commands()
    for block in re.findall(r"```(?:sh)?\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in re.findall(r"^(?:\.venv/bin/)?photosynth (.*?)(?:#.*|[|>].*)?$", block, re.MULTILINE):
            words = line.split()
            path = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
            assert path in known, line
            assert {word for word in words if word.startswith("--")} <= known[path] | {"--help"}, line


def test_every_alert_has_a_sentence_and_a_runbook_that_is_there() -> None:
    """Each rule of Prometheus that wakes somebody leads to a heading of its own name; no heading is left over."""
    rules = YAML(typ="safe").load((ROOT / "deploy" / "prometheus" / "rules.yaml").read_text(encoding="utf-8"))
    alerts = {rule["alert"]: rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    page = "docs/how-to/prometheus-and-grafana.md"
    assert list(alerts) == re.findall(r"^### (\w+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    for name, rule in alerts.items():
        assert rule["annotations"]["runbook_url"] == f"{page}#{name.lower()}"
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_every_metric_that_is_named_is_one() -> None:
    """Rules, their tests and the page name what `/metrics` has, or what a rule records."""
    rules = (ROOT / "deploy" / "prometheus" / "rules.yaml").read_text(encoding="utf-8")
    known = {exposed_name(family) for family in (*FAMILIES, LOOP_LAG)} | {f"{LOOP_LAG.name}_bucket"}
    recorded = set(re.findall(r"record: (\S+)", rules))
    for path in (
        "deploy/prometheus/rules.yaml",
        "tests/interop/prometheus_rules_test.yaml",
        "docs/how-to/prometheus-and-grafana.md",
    ):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert set(re.findall(r"\b(?:photosynth|process)_\w+", text)) <= known, path
        assert set(re.findall(r"\bphotosynth:[\w:]+", text)) <= recorded, path
    assert len(recorded) == 5
