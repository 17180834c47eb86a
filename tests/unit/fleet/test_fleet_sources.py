"""A wind turbine in a fleet file: exact integers, and every mistake where it stands with its mend."""

from pathlib import Path

import pytest
from tests.unit.fleet.test_fleet_schema import example

from photosynth.energy.wind_turbine import Wind, betz_w
from photosynth.fleet import FleetFileError, Problem, load_fleet, parse_fleet
from photosynth.fleet.schema import fleet_schema

EXAMPLES = Path(__file__).parents[3] / "examples"
TEXT = (EXAMPLES / "operator.yaml").read_text(encoding="utf-8")


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(FleetFileError) as refused:
        parse_fleet(text.encode(), "fleet.yaml", EXAMPLES)
    return list(refused.value.problems)


def test_the_example_in_exact_integers() -> None:
    fleet = load_fleet(EXAMPLES / "operator.yaml")
    (turbine,) = fleet.sites[1].sources
    assert isinstance(turbine, Wind)
    assert (turbine.rated_w, turbine.nominal_w, turbine.hub_height_mm, turbine.rotor_mm) == (660_000, 660_000, 45_000, 47_000)
    points = turbine.power_curve.points
    assert (points[1].wind_mm_s, points[1].power_w) == (4_000, 2_900)
    assert (turbine.climate.mean_mm_s, str(turbine.climate.shape), turbine.climate.roughness_mm) == (7_000, "2.1", 30)
    assert [site.source_kinds() for site in fleet.sites] == [("photovoltaic",), ("wind",)]
    assert fleet.sites[1].market.export.premium is None


def test_both_examples_have_the_same_backnang() -> None:
    one, many = load_fleet(EXAMPLES / "backnang.yaml"), load_fleet(EXAMPLES / "operator.yaml")
    assert one.sites[0] == many.sites[0]
    assert (one.nodes, one.wallets, one.clock) == (many.nodes[:1], many.wallets, many.clock)


@pytest.mark.parametrize(
    ("old", "new", "path", "what", "mend"),
    [
        ("kind: wind", "kind: wnd", "sites[2].sources[1].kind", "it takes one of photovoltaic, wind", "Perhaps `wind` is meant"),
        ("        kind: wind\n", "", "sites[2].sources[1].kind", "it is missing", "Add `kind:`"),
        ("        rotor: 47 m\n", "", "sites[2].sources[1].rotor", "it is missing", "with a length, like `rotor: 45 m`"),
        ("rotor: 47 m", "rotor: 47 m\n        tilt: 12 deg", "sites[2].sources[1].tilt", "not known", "id, kind, party, rated"),
        ("rated: 660 kW", "rated: 600 kW", "sites[2].sources[1].rated", "highest power is 660000 W", "the same power"),
        ("hub_height: 45 m", "hub_height: 23 m", "sites[2].sources[1].hub_height", "touch the ground", "above half the rotor"),
        ("rotor: 47 m", "rotor: 20 m", "sites[2].sources[1].rotor", "at 5 m/s no rotor of 20 m can take 43800 W", "the rotor"),
        ("mean: 7.0 m/s", "mean: 7.0", "sites[2].sources[1].climate.mean", "a speed of wind has no unit", "Write `7.0 m/s`"),
        ("mean: 7.0 m/s", "mean: 25 km/h", "sites[2].sources[1].climate.mean", "not a unit of a speed", "m/s"),
        ("shape: 2.1", "shape: 0.2", "sites[2].sources[1].climate.shape", "not a number from 1 to 4", "like 2.1"),
        ("height: 50 m\n", "height: 0.2 m\n", "sites[2].sources[1].climate.height", "so near", "ten times"),
        ("{wind: 6 m/s", "{wind: 5 m/s", "sites[2].sources[1].power_curve.points", "of point 4 is not above", "Sort"),
        ("wind: 25 m/s", "wind: 90 m/s", "sites[2].sources[1].power_curve.points", "more than 60 m/s", "switched off"),
        ("party: buergerwind\n        rated", "party: nobody\n        rated", "sites[2].sources[1].party", "no party", "parties"),
    ],
)
def test_mistakes_of_a_turbine_are_named(old: str, new: str, path: str, what: str, mend: str) -> None:
    assert old in TEXT
    found = [problem for problem in problems_of(TEXT.replace(old, new)) if problem.path == path]
    assert [problem for problem in found if what in problem.what and mend in problem.how_to_mend], found
    assert all(problem.line > 1 for problem in found)


def test_a_source_that_is_no_mapping_is_said_to_be_none() -> None:
    start = TEXT.index("      - id: wea-3")
    text = TEXT[:start] + "      - wind\n" + TEXT[TEXT.index("    loads:\n      - id: dairy") :]
    (problem, *_) = problems_of(text)
    assert problem.path == "sites[2].sources[1]"
    assert "is not a mapping" in problem.what


def test_no_rotor_takes_more_than_betz_allows() -> None:
    assert betz_w(47_000, 10_000) == pytest.approx(0.593 * 0.6125 * 1734.9 * 1000, rel=0.001)


def test_the_schema_knows_both_kinds() -> None:
    from jsonschema import Draft202012Validator

    schema = Draft202012Validator(fleet_schema())
    whole = example(EXAMPLES / "operator.yaml")
    schema.validate(whole)
    del whole["sites"][1]["sources"][0]["climate"]
    assert not schema.is_valid(whole)


NODE = """version: 2
operator: demo
nodes:
  - {id: btc-2, network: bitcoin, chain: regtest, role: full, run: simulated, habits: [HABITS]}
"""


@pytest.mark.parametrize(
    ("habits", "what", "mend"),
    [
        ("{habit: stalls}", "stalls needs `every`", "Add `every: 8 h, for: 50 min`"),
        ("{habit: stalls, every: 1 h, for: 2 h}", "it would never be well", "shorter than `every`"),
        ("{habit: falls_silent, every: 1 h}", "falls_silent needs `for`", "for: 50 min"),
        ("{habit: lags}", "lags needs `blocks`", "Add `blocks: 2`"),
        ("{habit: lags, blocks: 2, every: 1 h}", "lags takes no every", "Remove `every`"),
        ("{habit: few_peers, blocks: 2, peers: 1}", "few_peers takes no blocks", "Remove `blocks`"),
        ("{habit: few_peers, peers: 9}", "is not at most 7", "at most 7"),
        ("{habit: lies}", "is not known here", "stalls"),
        ("{habit: few_peers, peers: 1}, {habit: few_peers, peers: 2}", "`few_peers` is there twice", "Keep one"),
    ],
)
def test_mistakes_of_a_simulated_nodes_habits_are_named(habits: str, what: str, mend: str) -> None:
    found = problems_of(NODE.replace("HABITS", habits))
    assert [problem for problem in found if what in problem.what and mend in problem.how_to_mend], found


def test_habits_belong_to_a_simulated_node_and_a_simulated_node_to_regtest() -> None:
    good = NODE.replace("HABITS", "{habit: lags, blocks: 2}")
    assert parse_fleet(good.encode(), "fleet.yaml", EXAMPLES).nodes[0].habits[0].blocks == 2
    (problem,) = problems_of(good.replace("run: simulated", "run: embedded"))
    assert "habits belong to a node with `run: simulated`" in problem.what
    (problem,) = problems_of(good.replace("chain: regtest", "chain: main"))
    assert (problem.path, problem.how_to_mend) == ("nodes[1].chain", "Write `chain: regtest`")
