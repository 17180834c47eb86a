"""Every folder under networks/ keeps the grammar: the files it must have, what they export, and what its tier promises."""

import importlib.util
import sys
from pathlib import Path

import pytest

from photosynth.networks import registry
from photosynth.networks.grammar import IncomeKind, Leg, Network, PostingRule, Recipe
from photosynth.registry import Tier
from photosynth.treasury.accounts import FOR_INCOME

ROOT = Path(__file__).parents[3]
HERE = ROOT / "src" / "photosynth" / "networks"
FOLDERS = sorted(path.parent for path in HERE.glob("*/network.py"))
TALLY = ROOT / "examples" / "networks" / "tally" / "src" / "photosynth_tally"
PROVED_BY: dict[Tier, tuple[str, ...]] = {
    "real software": ("tests/interop", "tests/contract"),
    "recorded answers": ("tests/unit/networks",),
    "specification": (),
}
"""Where the tests lie that a tier promises, by the network's name in their text."""


def announced(folder: Path, name: str) -> Network:
    """The network that a folder announces, loaded from its file."""
    sys.path.insert(0, str(folder.parent))
    try:
        spec = importlib.util.spec_from_file_location(f"grammar_of_{name}", folder / "network.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder.parent))
    found: Network = module.NETWORK
    return found


def test_every_folder_is_registered_and_no_other_name_is() -> None:
    assert tuple(folder.name for folder in FOLDERS) == tuple(sorted(registry.NETWORKS.ours))


@pytest.mark.parametrize("folder", [*FOLDERS, TALLY], ids=lambda folder: folder.name)
def test_a_folder_keeps_the_grammar(folder: Path) -> None:
    name = folder.name.removeprefix("photosynth_")
    network = announced(folder, name)
    assert network.name == name
    assert {"network.py", "probe.py", "conditions.py"} <= {path.name for path in folder.iterdir()}
    assert (folder / "README.md").exists() or (folder.parents[1] / "README.md").exists()
    assert set(network.embedded) | set(network.simulated) | set(network.private) <= set(network.chains)
    for role in network.roles.values():
        assert role.runs
        assert role.probe is not None, "a node that nobody can look at is none"
        assert ("process" in role.runs) == (role.command is not None) == (role.recipe is not None)
        assert "external" not in role.runs or role.endpoints
        if role.recipe is not None:
            recipe = role.recipe()
            assert isinstance(recipe, Recipe)
            assert recipe.tested
            assert all(flag.reason for flag in recipe.flags)
    for kind in network.income:
        assert _holds(kind), kind.name
    registry.check_accounts(network, FOR_INCOME)
    assert bool(network.income) == any(role.income is not None for role in network.roles.values())
    assert len({deadline.id for deadline in network.deadlines}) == len(network.deadlines) > 0
    for deadline in network.deadlines:
        assert deadline.what
        assert deadline.source, "a deadline names who says so"
        assert deadline.chain is None or deadline.chain in network.chains
        assert (deadline.height is None) == (deadline.chain is None), "a height is of a chain"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_tier_is_kept_by_tests(folder: Path) -> None:
    network = announced(folder, folder.name)
    for place in PROVED_BY[network.tier]:
        files = list((ROOT / place).glob("test_*.py"))
        assert any(folder.name in path.read_text(encoding="utf-8") for path in files), place
    told = (folder / "README.md").read_text(encoding="utf-8")
    assert "How it was tested" in told
    assert network.tier != "real software" or "the real software" in told


def _holds(kind: IncomeKind) -> bool:
    """Whether a kind of income is bookable: balanced rules, each state once, and the last that of having it."""
    states = [rule.state for rule in kind.postings]
    return (
        all(rule.balanced() and rule.text for rule in kind.postings)
        and len(set(states)) == len(states)
        and "received" in states
        and kind.asset.isupper()
    )


def test_rules_that_do_not_balance_are_told() -> None:
    one_sided = PostingRule("received", (Leg("1100", "debit"),), "x")
    assert not one_sided.balanced()
    assert not PostingRule("received", (), "x").balanced()
    assert not _holds(IncomeKind("fee", "Fee", "X", (one_sided,)))
