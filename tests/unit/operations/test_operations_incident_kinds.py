"""Every kind of condition that this program can judge is declared, with a reason and a page that is there."""

import ast
import re
from pathlib import Path

import pytest

import photosynth
from photosynth.operations.incidents.kinds import KINDS, kind_of

SOURCE = Path(photosynth.__file__).parent
ROOT = Path(__file__).parents[3]
_RAISED = {"Judgement", "_critical", "Condition"}


def _constant(node: ast.expr | None) -> str | None:
    """The kind that an expression begins with: before a colon, or before what an f-string fills in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr) and isinstance(first := node.values[0], ast.Constant):
        return str(first.value)
    return None


def judged() -> set[str]:
    """The kinds that the source raises, wherever it makes a condition."""
    found = {"part_down", "part_waits", "part_starts"}  # made of a trouble's kind
    for path in SOURCE.rglob("*.py"):
        if "simulation" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _RAISED:
                given = next((item.value for item in node.keywords if item.arg in ("id", "kind")), next(iter(node.args), None))
                text = _constant(given)
                if text is not None and text != "part_":
                    found.add(text.partition(":")[0])
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "_KINDS":
                assert isinstance(node.value, ast.Dict)
                found |= {str(_constant(key)) for key in node.value.keys}
    return found


def test_every_kind_that_is_judged_is_declared_and_no_other() -> None:
    found = judged()
    assert len(found) > 40, "the search finds them"
    assert found == set(KINDS) - {"other"}


@pytest.mark.parametrize("name", list(KINDS))
def test_each_has_a_reason_and_a_runbook_with_something_to_do(name: str) -> None:
    kind = KINDS[name]
    assert kind.why
    assert kind.opens_after >= 1
    page, _, section = kind.runbook.partition("#")
    sections = re.split(r"^## (\S+)$", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert "\n1. " in texts[section]


def test_no_runbook_is_of_a_kind_that_there_is_not() -> None:
    pages = [path for path in (ROOT / "docs" / "runbooks").glob("*.md") if path.name != "README.md"]
    found = {f"docs/runbooks/{path.name}#{name}" for path in pages for name in re.findall(r"^## (\S+)$", path.read_text(), re.M)}
    assert found == {kind.runbook for kind in KINDS.values()}


def test_what_only_another_package_names_has_the_page_that_says_so() -> None:
    assert kind_of("tally_stuck").runbook == "docs/runbooks/nodes.md#other"


def judges(*modules: str) -> set[str]:
    """The judges of ``operations.conditions`` that modules call."""
    texts = [(SOURCE / "operations" / name).read_text(encoding="utf-8") for name in modules]
    return {name for text in texts for name in re.findall(r"wrong\.(\w+_conditions)\(", text)}


def test_whatever_the_status_says_is_wrong_a_look_sees_too() -> None:
    told = judges("running.py", "site_door.py") - {"ended_conditions"}  # which is only told
    assert len(told) > 10
    assert told <= judges("fleet_look.py", "incidents/looking.py", "site_door.py")
