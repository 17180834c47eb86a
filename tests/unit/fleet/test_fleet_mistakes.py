# ruff: noqa: E501 - a table reads best with one case a line
"""Every kind of mistake in a fleet file is found with its line, its column, what it is and how to mend it.

Each case changes the example: ``old`` becomes ``new``, and the caret in ``new`` stands where the problem is expected.
"""

import re
from pathlib import Path

import pytest

from photosynth.fleet import FleetFileError, Problem, load_fleet, parse_fleet

EXAMPLE = Path(__file__).parents[3] / "examples" / "backnang.yaml"
TEXT = EXAMPLE.read_text(encoding="utf-8")

CASES = {
    # units and numbers
    "no unit": ("guard: 5 kW", "guard: ^5000", "a power has no unit", "Write `5000 kW`"),
    "wrong unit": ("connection: 400 kW", "connection: ^400 kWh", "kWh is not a unit of a power", "kWh measures an energy"),
    "unit's capitals": ("guard: 5 kW", "guard: ^5 KW", "KW is not a unit", "Write `5 kW`: capitals matter"),
    "kW for kWp": ("peak: 600 kWp", "peak: ^600 kW", "kW is not a unit of a peak power", "write Wp, kWp, MWp"),
    "negative power": ("connection: 400 kW", "connection: ^-400 kW", "cannot be negative", "Write `400 kW`"),
    "zero power": ("connection: 400 kW", "connection: ^0 kW", "must be more than zero", "400 kW"),
    "decimal comma": ("price: 29.46 EUR/MWh", "price: ^'29,46 EUR/MWh'", "is not a price of energy", "a point before decimals"),
    "too fine": ("standby: 30 W", "standby: ^30.5 W", "counted in whole watts", "Round `30.5 W`"),
    "beyond any site": ("connection: 400 kW", "connection: ^99999999999 GW", "beyond any site", "400 kW"),
    "a list for a power": ("guard: 5 kW", "guard: ^[5 kW]", "a list is not a power", "400 kW"),
    "coins in EUR": ("fees: 2000000 sat", "fees: ^3 EUR", "EUR is not a unit of an amount of bitcoin", "write sat, BTC"),
    "fraction of a count": ("count: 36", "count: ^3.6", "`3.6` is not a whole number", "without a unit"),
    "no machines": ("count: 36", "count: ^0", "is not at least 1", "at least 1"),
    "too many machines": ("count: 36", "count: ^36000", "is not at most 1000", "at most 1000"),
    "not a truth": ("warm: true", "warm: ^yes", "neither true nor false", "Write true or false"),
    # keys
    "unknown key": ("connection: 400 kW", "^conection: 400 kW", "this key is not known", "Perhaps `connection` is meant"),
    "unknown section": ("console:\n", "^zzz: 1\nconsole:\n", "this key is not known", "known here are version, operator"),
    "duplicate key": ("guard: 5 kW", "guard: 5 kW\n      ^guard: 6 kW", "given twice, first in line 32", "Keep one"),
    "missing key": ("    title: Factory roof, Backnang\n", "", "sites[1].title: it is missing", "Add `title:`"),
    "missing quantity": ("      connection: 400 kW ", "      curtailable: true\n      # ", "sites[1].grid.connection: it is missing", "like `connection: 400 kW`"),
    "a text for a section": ("ledger:\n", "ledger: ^none\nbooks:\n", "is not a mapping", "key: value"),
    "a text for a list": ("allow: [127.0.0.0/8]", "allow: ^127.0.0.0/8", "is not a list", "Write a list"),
    "a tag": ("operator: photosynth-demo", "operator: ^!!python/name:os.system x", "the tag", "Remove the tag"),
    # names and references
    "bad name": ("name: backnang\n", "name: ^Back Nang\n", "is not a name", "like `back-nang`"),
    "duplicate party": ("  - id: factory\n    name", "  - id: ^photosynth-demo\n    name", "is there already as parties[1]", "another name"),
    "duplicate meter": ("id: grid-export", "id: ^grid-import", "meter grid-import is there already", "another name"),
    "duplicate model": ("id: s21, name", "id: ^s21-xp, name", "model s21-xp is there already", "another name"),
    "duplicate group": ("id: hall-b, model", "id: ^hall-a, model", "group hall-a is there already", "another name"),
    "duplicate component": ("name: grid_fee", "name: ^levies", "price component levies is there already", "another name"),
    "dangling operator": ("operator: photosynth-demo", "operator: ^photosynth-dem", "no party is called", "`photosynth-demo` is meant"),
    "dangling party": ("kind: photovoltaic\n        party: factory", "kind: photovoltaic\n        party: ^nobody", "no party", "under parties"),
    "dangling model": ("id: hall-b, model: s21,", "id: hall-b, model: ^s22,", "no model is called s22", "`s21` is meant"),
    "dangling habit": ("machine: hall-b-07", "machine: ^hall-b-77", "no machine is called hall-b-77", "is meant"),
    "two habits": ("machine: hall-c-23", "machine: ^hall-c-11", "habit of machine hall-c-11 is there already", "another"),
    "one worker for all": ('driver: luxos, worker: "{machine}"}\n        - {id: hall-b', 'driver: luxos, worker: ^all}\n        - {id: hall-b', "would all mine as all", "{machine}"),
    "format tricks": ('driver: luxos, worker: "{machine}"}\n        - {id: hall-b', 'driver: luxos, worker: ^"{machine:999999999}"}\n        - {id: hall-b', "not a usable worker's name", "placeholders"),
    "name beyond a pool's": ('driver: luxos, worker: "{machine}"}\n        - {id: hall-b', f'driver: luxos, worker: ^"{15 * "{machine}"}"}}\n        - {{id: hall-b', "under a name of 135 characters, and a pool takes 128", "Shorten"),
    # choices, dates, places
    "unknown choice": ("kind: photovoltaic", "kind: ^photovoltaik", "is not known here", "`photovoltaic` is meant"),
    "class as a number": ('role: own_generation, class: "0.5"', "role: own_generation, class: ^0.5", "a number where a text", '"0.5"'),
    "second role": ("role: export", "role: ^import", "already measured by grid-import", "one meter per role"),
    "version": ("version: 2", "version: ^1", "version `1` of the format", "Write `version: 2`"),
    "real site": ("simulated: true", "simulated: ^false", "real sources and loads cannot be read yet", "simulated: true"),
    "no such day": ("commissioned: 2025-05-01", "commissioned: ^2025-02-30", "is not a date", "2026-01-01"),
    "no such zone": ("zone: Europe/Berlin", "zone: ^Europe/Backnang", "not a time zone", "Europe/Berlin"),
    "skipped hour": ("start: 2026-06-14T11:00", "start: ^2026-03-29T02:30", "is skipped by Europe/Berlin", "another hour"),
    "off the globe": ("latitude: 48.946", "latitude: ^148.946", "not between -90 and 90", "48.946"),
    "tilt": ("tilt: 12 deg", "tilt: ^120 deg", "more than 90 deg", "0 to 90"),
    "azimuth": ("azimuth: 165 deg", "azimuth: ^360 deg", "not below 360", "0 deg (north)"),
    # what cannot be together
    "lowest above full": ("min_power: 1900 W", "min_power: ^4900 W", "lowest power is above the full", "at most power"),
    "standby as mining": ("ramp_up: 90 s, ramp_down: 10 s, standby: 30 W", "ramp_up: 90 s, ramp_down: 10 s, standby: ^1700 W", "standby takes as much", "below min_power"),
    "peak below base": ("weekend_peak: 62 kW", "weekend_peak: ^6 kW", "below the base load", "at least the base"),
    "guard as connection": ("guard: 5 kW", "guard: ^400 kW", "as large as the connection", "like 5 kW"),
    "habit without times": ("habit: ignores_power_limit}", "habit: ignores_power_limit, every: ^5 s}", "has no times", "Remove"),
    "before all calendars": ("start: 2026-06-14T11:00", "start: ^0001-01-01T00:00", "outside the time that sun", "from 1980 to 2199"),
    "after all calendars": ("start: 2026-06-14T11:00", "start: ^9999-12-31T23:00", "outside the time that sun", "from 1980 to 2199"),
    "a component called spot": ("name: levies", "name: ^spot", "the market's own price", "Rename"),
    "never there": ("every: 1800 s, for: 240 s", "every: 1800 s, for: ^1800 s", "never be there", "shorter than `every`"),
    # bitcoin and addresses
    "mainnet embedded": ("chain: regtest\n    role", "chain: ^main\n    role", "the embedded node does not serve main", "chain: regtest"),
    "signet embedded": ("chain: regtest\n    role", "chain: ^signet\n    role", "does not serve signet yet", "regtest"),
    "days between blocks": ("block_interval: 600 s", "block_interval: ^2 d", "more than a day apart", "24 h"),
    "born before the chain": ("    script:", "    birth_height: ^0\n    script:", "is not at least 1", "a number of at least 1"),
    "all coins all the time": ("  currency: EUR", "  coin_scan: ^1 h\n  currency: EUR", "read all coins more than once a day", "like 7 d"),
    "one wallet twice": ("wallets:\n", 'wallets:\n  - {id: w, network: bitcoin, chain: regtest, script: "0014751e76e8199196d454941c45d1b3a323f1433bd6", party: photosynth-demo}\n', "the wallets w and mining are one", "script of its own"),
    "a site called books": ("name: backnang", "name: ^books", "how the evidence of the fleet's books is called", "otherwise"),
    "half a script": ('f1433bd6"', 'f1433bd"', "not whole bytes", "scriptPubKey"),
    "strange script": ('"0014751e', '"0015751e', "22 bytes of no standard kind", "address"),
    "two payouts": ("    script:", "    address: ^bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080\n    script:", "exactly one of", "Keep one"),
    "credentials inline": ("run: embedded", "run: external\n    credentials: {cookie_file: c}\n    endpoints: {rpc: ^'http://u:p@127.0.0.1:18443'}", "carries a user or a password", "kept in files"),
    "no way in": ("run: embedded", "run: external\n    endpoints: {rpc: 'http://127.0.0.1:18443'}\n    credentials: ^{user: me}", "one way to sign in", "cookie_file"),
    "no RPC port": ("run: embedded", "run: external\n    credentials: {cookie_file: c}\n    endpoints: {rpc: ^'http://127.0.0.1'}", "not the address of an RPC server", "18443"),
    "unknown run": ("run: embedded", "run: ^btcd", "`btcd` is not known here", "Write embedded or process"),
    "unknown network": ("network: bitcoin\n    chain: regtest\n    role", "network: ^dogecoin\n    chain: regtest\n    role", "no network is called dogecoin", "pip install"),
    "unknown chain": ("chain: regtest\n    role", "chain: ^regtets\n    role", "is not a chain of bitcoin", "`regtest` is meant"),
    "unknown role": ("role: full", "role: ^miner", "is not a role of bitcoin", "Write full"),
    "unknown port": ("run: embedded", "run: embedded\n    ports: {^rcp: 1}", "no rcp among its ports", "`rpc` is meant"),
    "nowhere to be reached": ("run: embedded", "run: external\n    credentials: {cookie_file: c}", "nothing says where this node is reached: rpc", "endpoints"),
    "nobody let in": ("run: embedded", "run: external\n    endpoints: {rpc: 'http://127.0.0.1:1'}", "without credentials", "cookie_file"),
    "endpoints of our own": ("run: embedded", "run: embedded\n    endpoints: ^{rpc: 'http://127.0.0.1:1'}", "endpoints belong to a node with `run: external`", "Remove"),
    "no program": ("- id: btc-1\n    network: bitcoin\n    chain: regtest\n    role: full\n    run: embedded", "- ^id: btc-1\n    network: bitcoin\n    chain: regtest\n    role: full\n    run: process", "needs its program", "program:"),
    "dangling node": ("node: btc-1", "node: ^btc-2", "no node is called btc-2", "`btc-1` is meant"),
    "dangling wallet": ("node: btc-1", "node: btc-1\n      wallet: ^minning", "no wallet is called minning", "`mining` is meant"),
    "dangling site": ("run: embedded", "run: embedded\n    site: ^backnag", "no site is called backnag", "`backnang` is meant"),
    "wallet elsewhere": ("  - id: mining\n    network: bitcoin\n    chain: regtest", "  - id: mining\n    network: bitcoin\n    chain: signet", "published test key that anybody", "your own"),
    "a descriptor": ('script: "0014751e76e8199196d454941c45d1b3a323f1433bd6"', 'descriptor: ^wpkh(xpub)', "is not a descriptor of regtest", "wallet again"),
    "a script that burns": ('script: "0014751e76e8199196d454941c45d1b3a323f1433bd6"', "descriptor: ^raw(6a04deadbeef)", "no standard kind", "address of your wallet"),
    "a witness of the future": ('script: "0014751e76e8199196d454941c45d1b3a323f1433bd6"', "address: ^bcrt1sw50qt2uwha", "no standard kind", "address of your wallet"),
    "another chain's address": ('script: "0014751e76e8199196d454941c45d1b3a323f1433bd6"', 'address: ^bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4', "is not an address of regtest", "wallet again"),
    "port": ("listen: 127.0.0.1:3333", "listen: ^127.0.0.1:99999", "is not an address and a port", "1 to 65535"),
    "host name": ("listen: 127.0.0.1:3333", "listen: ^pool.example:3333", "is not an address and a port", "IP address"),
    "bad network": ("allow: [127.0.0.0/8]", "allow: [^127.0.0.300/8]", "is not a network", "10.20.0.0/16"),
    "host bits": ("allow: [127.0.0.0/8]", "allow: [^10.20.0.1/16]", "bits set after its prefix", "Write `10.20.0.0/16`"),
    "open pool": ("listen: 127.0.0.1:3333\n      node: btc-1\n      allow: [127.0.0.0/8]\n", "listen: ^0.0.0.0:3333\n      node: btc-1\n", "reached from other machines", "Add `allow"),
    "nobody": ("allow: [127.0.0.0/8]", "allow: ^[]", "nobody may connect", "127.0.0.0/8"),
    "open console": ("listen: 127.0.0.1:8480", "listen: ^0.0.0.0:8480", "without a sign-in", "ssh -L"),
    "one port for two": ("listen: 127.0.0.1:8480", "listen: ^127.0.0.1:3333", "sites[1].pool listens on", "another port"),
    "one port by two names": ("listen: 127.0.0.1:8480", "listen: ^localhost:3333", "sites[1].pool listens on", "another port"),
    "one port on every address": ("listen: 127.0.0.1:3333\n", "listen: 0.0.0.0:8480\n", "sites[1].pool listens on", "another port"),
    "a node's port is the pool's": ("wallets:\n", "  - {id: b, network: bitcoin, chain: regtest, role: full, run: process, program: p, ports: {rpc: ^3333}}\nwallets:\n", "sites[1].pool listens on", "another port"),
    "two nodes on one port": ("    run: embedded\n", "    run: embedded\n    ports: {rpc: 7}\n  - {id: b, network: bitcoin, chain: regtest, role: full, run: process, program: p, ports: {rpc: ^7}}\n  - id: c\n    network: bitcoin\n    chain: regtest\n    role: full\n    run: embedded\n", "nodes[1] listens on", "another port"),
    "two nodes on the usual port": ("wallets:\n", "  - {id: b, network: bitcoin, chain: regtest, role: full, run: process, program: p}\n  - {id: c, network: bitcoin, chain: regtest, role: full, run: process, program: p, ports: {p2p: 9}}\nwallets:\n", "nodes[2] listens on 127.0.0.1:18443 too", "another port"),
    "two nodes in one folder": ("wallets:\n", "  - {id: b, network: bitcoin, chain: regtest, role: full, run: process, program: p, data: d}\n  - {id: c, network: bitcoin, chain: regtest, role: full, run: process, program: p, ports: {rpc: 8, p2p: 9}, data: ^d}\nwallets:\n", "nodes[2] keeps its data", "another folder"),
    "a token for bitcoind": ("wallets:\n", "  - {id: b, network: bitcoin, chain: main, role: full, run: external, endpoints: {rpc: 'http://127.0.0.1:1'}, credentials: {^token_file: t}}\nwallets:\n", "bitcoind takes no token", "cookie_file"),
    "version mask": ("version_mask: 1fffe000", "version_mask: ^ffffffff", "bits that mark the block version", "BIP320"),
}  # fmt: skip


SIGNET = (
    re.sub(r"    demonstration:\n(      .*\n)+", "", TEXT)
    .replace("run: embedded", "run: external\n    endpoints: {rpc: 'http://127.0.0.1:38332'}\n    credentials: {cookie_file: c}")
    .replace("0014751e76e8", "0014751e76e9")
)
"""The example on another chain: with a bitcoind, a wallet of its own, and no demonstration."""


@pytest.mark.parametrize("network", ["signet", "testnet4", "main"])
def test_a_chain_whose_coins_have_no_price_here_is_refused(network: str) -> None:
    (problem,) = problems_of(SIGNET.replace("chain: regtest", f"chain: {network}"))
    assert problem.path == "sites[1].pool.node"
    assert SIGNET.splitlines()[problem.line - 1].strip().startswith("node:")
    assert f"cannot mine on {network} yet" in problem.what
    assert "regtest" in problem.how_to_mend


def problems_of(text: str | bytes) -> tuple[Problem, ...]:
    """The problems of a fleet file's text."""
    raw = text.encode() if isinstance(text, str) else text
    with pytest.raises(FleetFileError) as caught:
        parse_fleet(raw, "fleet.yaml", Path())
    return caught.value.problems


@pytest.mark.parametrize("name", CASES)
def test_mistake_is_named_where_it_is(name: str) -> None:
    """The one mistake is the one problem, at its place."""
    old, new, what, mend = CASES[name]
    assert TEXT.count(old) >= 1, old
    marked = TEXT.replace(old, new, 1)
    at = marked.find("^", max(0, marked.find(new)))
    problems = problems_of(marked.replace("^", "", 1) if "^" in new else marked)
    texts = [str(problem) for problem in problems]
    found = [problem for problem in problems if what in f"{problem.path}: {problem.what}" and mend in problem.how_to_mend]
    assert found, texts
    if "^" in new:
        before = marked[:at]
        place = (before.count("\n") + 1, at - before.rfind("\n"))
        assert (found[0].line, found[0].column) == place, texts
    assert found[0].file == "fleet.yaml"


def test_all_mistakes_at_once_in_order() -> None:
    """Mistakes of different sections and kinds come together, sorted by line."""
    text = TEXT.replace("400 kW", "-400 kW", 1).replace("kind: photovoltaic", "kind: wave").replace("model: s21,", "model: x9,")
    text = text.replace("version: 2", "versoin: 2").replace("127.0.0.1:8480", "somewhere")
    problems = problems_of(text)
    assert [problem.path for problem in problems] == [
        "version",
        "versoin",
        "sites[1].grid.connection",
        "sites[1].sources[1].kind",
        "sites[1].machines.groups[2].model",
        "console.listen",
    ]
    assert [problem.line for problem in problems] == sorted(problem.line for problem in problems)


def test_overlapping_machine_names() -> None:
    """Groups whose machines would share a name are refused, though the groups' names differ."""
    line = "        - {id: hall-a, model: s21-xp, count: 36"
    assert line in TEXT
    one = TEXT.replace("id: hall-b, model", "id: hall-a-0, model")
    assert all("no machine is called hall-b-07" in p.what for p in problems_of(one))
    both = TEXT.replace("count: 36", "count: 1").replace("id: hall-b, model: s21, count: 34", "id: hall, model: s21, count: 1")
    both = both.replace(
        'party: photosynth-demo, driver: luxos, worker: "{machine}"}', "party: photosynth-demo, driver: luxos, worker: same}", 2
    )
    assert any("would mine as same, as does one of sites[1].machines.groups[1]" in p.what for p in problems_of(both))


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("a:\n\tb: 1", 2, 1, "not valid YAML"),
        ("a: [1", 1, 6, "not valid YAML"),
        ("a: 'x", 1, 6, "not valid YAML"),
        ("a: b: c", 1, 5, "not valid YAML"),
        ("a: *nope", 1, 4, "undefined alias"),
        ("a: 1\n---\nb: 2", 2, 1, "single document"),
        ("", 1, 1, "the file is empty"),
        ("# only a comment\n", 1, 1, "the file is empty"),
        ("- a\n- b", 1, 1, "not a mapping"),
        ("a: \x00", 1, 4, "control character"),
        (b"a: 1\nb: \xff\xfe", 2, 4, "not UTF-8"),
        ("[" * 1000, 1, 1, "nested too deeply"),
        ("a: &a [*a, *a]", 1, 7, "nested too deeply"),
        ("x" * 1_000_001, 1, 1, "larger than 1 MB"),
    ],
)
def test_text_that_is_not_usable(text: str | bytes, line: int, column: int, what: str) -> None:
    """What is no YAML, or no small YAML, is one problem with its place."""
    (problem,) = problems_of(text)
    assert what in problem.what
    assert problem.how_to_mend
    if what != "nested too deeply":
        assert (problem.line, problem.column) == (line, column)


def test_alias_bomb_is_refused() -> None:
    """Nine levels of ten aliases each would be a thousand million values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (problem,) = problems_of("\n".join(lines))
    assert "aliases counted" in problem.what


def test_missing_file_and_folder() -> None:
    """A file that is not there is a problem of its own."""
    for path in (Path("/nowhere/fleet.yaml"), Path(__file__).parent):
        with pytest.raises(FleetFileError) as caught:
            load_fleet(path)
        (problem,) = caught.value.problems
        assert "cannot be read" in problem.what
        assert str(caught.value).startswith(f"{path}:1:1: ")


def test_very_many_mistakes_are_bounded() -> None:
    """A file of nonsense is answered with as many problems as a person reads."""
    text = "\n".join(f"key{number}: 1" for number in range(2000))
    problems = problems_of(text)
    assert len(problems) == 201
    assert "more problems" in problems[-1].what


def test_regtest_without_a_demonstration_is_refused_at_the_pool() -> None:
    """The node itself may be so; a site that mines on it would find thousands of blocks a second."""
    text = re.sub(r"    demonstration:\n(      .*\n)+", "", TEXT)
    (problem,) = problems_of(text)
    assert (problem.path, "without a demonstration" in problem.what) == ("sites[1].pool.node", True)


def test_a_node_that_stands_in_for_another_one_needs_a_demonstration_as_well() -> None:
    """It would find thousands of blocks a second as soon as the preferred one is silent."""
    second = "nodes:\n  - {id: plain, network: bitcoin, chain: regtest, role: full, run: embedded}\n"
    text = TEXT.replace("nodes:\n", second).replace("node: btc-1\n", "node: [btc-1, plain]\n")
    (problem,) = problems_of(text)
    assert (problem.path, problem.what.split()[0]) == ("sites[1].pool.node", "plain")


def test_a_choice_of_wallets_is_asked_for() -> None:
    """Two own wallets on one chain: the pool says which."""
    second = 'wallets:\n  - {id: other, network: bitcoin, chain: regtest, script: "0014' + 40 * "7" + '", party: factory}\n'
    text = TEXT.replace("wallets:\n", second)
    (problem,) = problems_of(text)
    assert (problem.path, problem.what) == ("sites[1].pool.wallet", "several wallets could be paid: other, mining")
    fleet = parse_fleet(text.replace("node: btc-1\n", "node: btc-1\n      wallet: other\n").encode(), "x", Path())
    assert fleet.mining_sites()[0].wallet.id == "other"
    (none,) = problems_of(TEXT[: TEXT.index("wallets:")] + TEXT[TEXT.index("ledger:") :])
    assert "no own wallet on Bitcoin's regtest" in none.what


def test_no_part_is_needed_that_the_operator_does_not_have() -> None:
    """A fleet of nodes, a fleet of nothing, and a second site copied under another name."""
    text = "version: 2\noperator: me\n"
    assert parse_fleet(text.encode(), "x", Path()).mining_sites() == ()
    nodes = text + "nodes: [{id: btc-1, network: bitcoin, chain: regtest, role: full, run: embedded}]\n"
    assert [node.id for node in parse_fleet(nodes.encode(), "x", Path()).nodes] == ["btc-1"]
    start, end = TEXT.index("  - name: backnang"), TEXT.index("nodes:\n")
    copied = TEXT[start:end].replace("name: backnang", "name: second").replace("127.0.0.1:3333", "127.0.0.1:3334")
    fleet = parse_fleet((TEXT[:end] + copied + TEXT[end:]).encode(), "x", Path())
    assert [mining.site.name for mining in fleet.mining_sites()] == ["backnang", "second"]
    (problem,) = problems_of(TEXT[:end] + copied.replace("name: second", "name: backnang") + TEXT[end:])
    assert "the site backnang is there already as sites[1]" in problem.what
