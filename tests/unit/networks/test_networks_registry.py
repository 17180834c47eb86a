"""Networks are found by name: the house's own, and those that other packages announce."""

from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import cast

import pytest

from photosynth.fleet import FleetFileError, parse_fleet
from photosynth.networks.grammar import IncomeKind, Leg, Network, PostingRule, Role, Run
from photosynth.networks.registry import NETWORKS, installed, network
from photosynth.quantities.assets import Asset
from photosynth.registry import RegistryError

TALLY = Network("tally", "Tally", ("main",), {"counter": Role(("external",), {"rpc": "JSON-RPC"})})
WRONG = "not a network"
ODD = {
    "CHAINS": Network("tally", "Tally", cast(tuple[str, ...], None), {"counter": Role(("external",))}),
    "NO_CHAIN": Network("tally", "Tally", (), {"counter": Role(("external",))}),
    "ROLES": Network("tally", "Tally", ("main",), cast(dict[str, Role], ["counter"])),
    "ROLE": Network("tally", "Tally", ("main",), {"counter": cast(Role, "x")}),
    "RUNS": Network("tally", "Tally", ("main",), {"counter": Role(cast(tuple[Run, ...], None))}),
    "ENDPOINTS": Network("tally", "Tally", ("main",), {"counter": Role(("external",), cast(dict[str, str], ["rpc"]))}),
    "PORTS": Network("tally", "Tally", ("main",), {"counter": Role(("process",), ports={"rpc": cast(dict[str, int], 7)})}),
}
OWED = PostingRule("accrued", (Leg("1150", "debit"), Leg("4150", "credit")), "owed")
BEADS = Asset("TALLY", "Tally", "tally", "bead", 18)


def paying(*rules: PostingRule, asset: str = "TALLY", assets: object = (BEADS,)) -> Network:
    """A network that pays a fee, by these rules."""
    kind = IncomeKind("fee", "Fee", asset, rules or (OWED,))
    return replace(TALLY, income=(kind,), assets=cast(tuple[Asset, ...], assets))


UNBOOKABLE = {
    "is not among its assets": paying(asset="XYZ"),
    "does not debit what it credits": paying(replace(OWED, legs=(Leg("1150", "debit"),))),
    "two rules for one state": paying(OWED, OWED),
    "for a state that is none": paying(replace(OWED, state="lost")),  # type: ignore[arg-type]
    "two kinds of its income have one name": replace(TALLY, income=paying().income * 2, assets=(BEADS,)),
    "its income or assets are not": paying(assets=("TALLY",)),
    "its income or assets are not of the kinds": replace(TALLY, income=cast(tuple[IncomeKind, ...], ("fee",))),
    "to the account 4711, which the chart of accounts does not have": paying(
        replace(OWED, legs=(Leg("1150", "debit"), Leg("4711", "credit")))
    ),
    "`fee`, accrued, to the account 1100, which": paying(replace(OWED, legs=(Leg("1100", "debit"), Leg("4150", "credit")))),
    "to the account E10, which": paying(replace(OWED, legs=(Leg("E10", "debit"), Leg("4150", "credit")))),
}
NODE = "version: 2\noperator: me\nnodes: [{id: t-1, network: tally, chain: main, role: counter, run: external"


@pytest.fixture
def announce(monkeypatch: pytest.MonkeyPatch) -> dict[str, EntryPoint]:
    """What packages announce, for as long as a test takes."""
    points: dict[str, EntryPoint] = {}
    monkeypatch.setattr(NETWORKS, "_announced", lambda: tuple(points.values()))
    monkeypatch.setattr(NETWORKS, "_loaded", {})
    return points


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, "photosynth.networks")


def test_bitcoin_is_ours() -> None:
    assert network("bitcoin") is not None
    assert "bitcoin" in installed()
    assert network("dogecoin") is None


def test_another_packages_network_is_checked_like_ours(announce: dict[str, EntryPoint]) -> None:
    announce["tally"] = point("tally", f"{__name__}:TALLY")
    assert network("tally") is TALLY
    assert installed() == ("bitcoin", "tally")
    fleet = parse_fleet((NODE + ", endpoints: {rpc: 'http://127.0.0.1:1'}}]\n").encode(), "x", Path())
    assert fleet.nodes[0].network == "tally"
    with pytest.raises(FleetFileError, match=r"no rcp among its endpoints.*Perhaps `rpc` is meant"):
        parse_fleet((NODE + ", endpoints: {rcp: 'http://127.0.0.1:1'}}]\n").encode(), "x", Path())


@pytest.mark.parametrize("value", [f"{__name__}:WRONG", f"{__name__}:NOTHING", "no.such.module:NETWORK"])
def test_a_package_that_announces_no_network_is_named(announce: dict[str, EntryPoint], value: str) -> None:
    announce["tally"] = point("tally", value)
    with pytest.raises(RegistryError, match="the entry point tally = "):
        network("tally")
    with pytest.raises(FleetFileError, match=r"nodes\[1\].network: the entry point tally"):
        parse_fleet((NODE + "}]\n").encode(), "x", Path())


def test_nobody_takes_the_name_of_ours(announce: dict[str, EntryPoint]) -> None:
    announce["bitcoin"] = point("bitcoin", f"{__name__}:TALLY")
    found = network("bitcoin")
    assert found is not None
    assert found.title == "Bitcoin"
    assert installed() == ("bitcoin",)


@pytest.mark.parametrize("name", ODD)
def test_a_network_that_is_not_of_the_grammar_is_named_and_no_mistake_of_ours(
    announce: dict[str, EntryPoint], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(globals(), "TALLY", ODD[name])
    announce["tally"] = point("tally", f"{__name__}:TALLY")
    with pytest.raises(FleetFileError, match=r"nodes\[1\].network: the entry point tally"):
        parse_fleet((NODE + "}]\n").encode(), "x", Path())


@pytest.mark.parametrize("why", UNBOOKABLE)
def test_a_network_whose_income_the_books_cannot_write_is_refused_where_it_is_named(
    announce: dict[str, EntryPoint], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setitem(globals(), "TALLY", UNBOOKABLE[why])
    announce["tally"] = point("tally", f"{__name__}:TALLY")
    with pytest.raises(FleetFileError, match=rf"nodes\[1\].network: .*{why}"):
        parse_fleet((NODE + ", endpoints: {rpc: 'http://127.0.0.1:1'}}]\n").encode(), "x", Path())


def test_a_network_whose_income_the_books_can_write_is_taken(
    announce: dict[str, EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "TALLY", paying())
    announce["tally"] = point("tally", f"{__name__}:TALLY")
    assert parse_fleet((NODE + ", endpoints: {rpc: 'http://127.0.0.1:1'}}]\n").encode(), "x", Path()).nodes


def test_a_package_that_asks_the_program_to_exit_is_named(
    announce: dict[str, EntryPoint], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "exits_when_imported.py").write_text("raise SystemExit(0)")
    monkeypatch.syspath_prepend(str(tmp_path))
    announce["tally"] = point("tally", "exits_when_imported:NETWORK")
    with pytest.raises(RegistryError, match="SystemExit"):
        network("tally")
