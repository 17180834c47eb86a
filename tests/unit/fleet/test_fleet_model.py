"""The example files load to the exact integers that they declare."""

import difflib
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from photosynth.energy.photovoltaic import Photovoltaic
from photosynth.fleet import load_fleet, parse_fleet
from photosynth.settings.units import ALL, ENERGY_PRICE, POWER, Dimension

EXAMPLES = Path(__file__).parents[3] / "examples"
TEXT = (EXAMPLES / "backnang.yaml").read_text(encoding="utf-8")


def test_example_in_exact_integers() -> None:
    """Each kind of quantity arrives in its base unit."""
    mining = load_fleet(EXAMPLES / "backnang.yaml").mining_sites()[0]
    fleet = mining.site
    assert fleet.grid.connection_w == 400_000
    (roof,) = fleet.sources
    assert isinstance(roof, Photovoltaic)
    assert (roof.peak_w, roof.tilt_mdeg, roof.commissioned) == (600_000, 12_000, date(2025, 5, 1))
    assert fleet.simulation.hash_rate_hs == 50_000
    assert fleet.meters[0].register_step_j == 360_000
    assert fleet.meters[0].class_ppm == 5000
    assert {meter.party for meter in fleet.meters if meter.role == "mining"} == {"photosynth-demo"}
    assert [c.price_cent_per_mwh for c in fleet.market.import_components] == [2946, 50, 1240, 300]
    assert fleet.market.demand_charge is not None
    assert fleet.market.demand_charge.price_cent_per_kw == 12_800
    assert mining.node.demonstration is not None
    assert mining.node.demonstration.price_cent_per_btc == 5_577_046
    assert mining.wallet.output_script().hex() == "0014751e76e8199196d454941c45d1b3a323f1433bd6"
    assert fleet.pool.version_mask == 0x1FFFE000
    assert fleet.machines.models[0].start_cost_ueur == 50_000
    assert fleet.start_ms() == 1_781_427_600_000  # 2026-06-14T09:00Z: eleven o'clock in summer


def test_machines_by_name() -> None:
    """Groups unfold into machines, each with its model, party, worker and habit."""
    fleet = load_fleet(EXAMPLES / "backnang.yaml").sites[0]
    specs = fleet.machine_specs()
    assert len(specs) == 102
    assert (specs[0].id, specs[35].id, specs[36].id, specs[-1].id) == ("hall-a-01", "hall-a-36", "hall-b-01", "hall-c-32")
    by_id = {spec.id: spec for spec in specs}
    assert by_id["hall-c-23"].habit is not None
    assert by_id["hall-c-23"].habit.for_s == 240
    assert by_id["hall-b-07"].worker == "hall-b-07"
    assert fleet.party_of_worker()["hall-a-01"] == "photosynth-demo"
    assert fleet.real_parts() == ()


def test_scale_follows_the_speed() -> None:
    """At speed 60 each real hash stands for sixty times as many."""
    fleet = load_fleet(EXAMPLES / "backnang.yaml").sites[0]
    assert fleet.represented_hash_rate_hs() == 19_848 * 10**12
    assert fleet.scale(1000) == 19_848 * 10**12 // 50_000
    assert fleet.scale(60_000) == 60 * fleet.scale(1000)
    assert set(fleet.scale_of_worker(60_000).values()) == {fleet.scale(60_000)}


def test_real_machines_have_scale_one() -> None:
    """A group with addresses is real: it is named, and its hashes stand for themselves."""
    addresses = '["10.0.0.5:4028", "10.0.0.6:4028"]'
    group = f"        - {{id: yard, model: s21, count: 2, party: factory, driver: luxos, addresses: {addresses}}}\n"
    fleet = parse_fleet(TEXT.replace("      habits:", group + "      habits:").encode(), "x", Path()).sites[0]
    assert fleet.real_parts() == ("yard-01", "yard-02")
    assert fleet.scale_of_worker(1000)["yard-02"] == 1
    assert fleet.scale(1000) == load_fleet(EXAMPLES / "backnang.yaml").sites[0].scale(1000)


def test_the_bitcoind_example_differs_in_its_node_alone() -> None:
    """Embedded node or bitcoind: how one node runs."""
    other = EXAMPLES / "backnang-bitcoind.yaml"
    lines, others = TEXT.splitlines(), other.read_text(encoding="utf-8").splitlines()
    changed = [line.strip() for line in difflib.ndiff(lines, others) if line[0] in "+-" and not line[2:].startswith("#")]
    assert [line.split(":")[0] for line in changed] == ["-     run", "+     run", "+     endpoints", "+     credentials"]
    node = load_fleet(other).nodes[0]
    assert (node.run, node.endpoints) == ("external", {"rpc": "http://127.0.0.1:18443"})
    assert node.credentials is not None
    assert node.credentials.cookie_file == Path.home() / ".bitcoin/regtest/.cookie"


def test_paths_start_at_the_file() -> None:
    """A relative password file lies beside the fleet file; the secret itself is never read here."""
    node = "run: external\n    endpoints: {rpc: 'http://127.0.0.1:18443'}\n    credentials: {user: me, password_file: secret}"
    fleet = parse_fleet(TEXT.replace("run: embedded", node).encode(), "x", Path("/etc/photosynth"))
    assert fleet.nodes[0].credentials is not None
    assert fleet.nodes[0].credentials.password_file == Path("/etc/photosynth/secret")


@pytest.mark.parametrize(
    "said",
    [
        "address: bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",  # BIP173's test key on regtest
        "descriptor: addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)",
        "descriptor: raw(0014751e76e8199196d454941c45d1b3a323f1433bd6)",
    ],
)
def test_a_wallet_by_address_or_descriptor(said: str) -> None:
    """An address and a descriptor say the same as their script."""
    script = 'script: "0014751e76e8199196d454941c45d1b3a323f1433bd6"'
    assert script in TEXT
    fleet = parse_fleet(TEXT.replace(script, said).encode(), "x", Path())
    assert fleet.wallets[0].output_script().hex() == "0014751e76e8199196d454941c45d1b3a323f1433bd6"


@pytest.mark.parametrize("dimension", ALL, ids=lambda dimension: dimension.name)
def test_every_example_of_a_message_is_right(dimension: Dimension) -> None:
    """What a message tells people to write is accepted, and every unit is."""
    assert dimension.parse(dimension.example) > 0
    for unit, factor in dimension.units.items():
        assert dimension.parse(f"1 {unit}") == factor


@given(st.integers(0, 10**9), st.integers(0, 3))
def test_powers_are_exact(watts: int, places: int) -> None:
    """Kilowatts with decimals are the very watts, whatever their number of digits."""
    text = f"{watts // 1000}.{watts % 1000:03d} kW"
    assert POWER.parse(text) == watts
    assert ENERGY_PRICE.parse(f"-{watts // 100}.{watts % 100:02d} EUR/MWh") == -watts
    assert Fraction(POWER.parse(f"{watts} W")) == watts


@given(st.text(max_size=60) | st.integers() | st.none() | st.booleans())
def test_a_dimension_refuses_in_its_own_words(value: object) -> None:
    """Anything is an integer of the dimension or a mistake, never another exception."""
    try:
        assert isinstance(POWER.parse(value), int)
    except PydanticCustomError as error:
        assert error.type == "fleet"  # noqa: PT017 - an integer is as good an outcome
