"""What holds between the parts of a fleet file: names that clash, references that lead nowhere, nodes that no network knows.

These look at the plain values and not at the models, so that they find their mistakes even where other parts are wrong.
"""

from collections.abc import Generator, Iterator, Mapping

from photosynth.fleet.plain import dangling, did_you_mean, each, repeated, texts
from photosynth.fleet.port_checks import check_ports
from photosynth.fleet.problems import Finding, Path
from photosynth.fleet.site_checks import LISTS_WITH_PARTY, check_site
from photosynth.fleet.yaml_source import Value
from photosynth.networks.grammar import Network
from photosynth.networks.registry import check_accounts, installed, network
from photosynth.registry import RegistryError
from photosynth.settings.units import shown
from photosynth.treasury.accounts import FOR_INCOME

_LISTS: tuple[tuple[str, str, str], ...] = (
    ("parties", "id", "party"),
    ("sites", "name", "site"),
    ("nodes", "id", "node"),
    ("wallets", "id", "wallet"),
)


def check(root: Value) -> list[Finding]:
    """Every mistake between parts."""
    return [
        *(finding for path, key, kind in _LISTS for finding in repeated(root, (path,), key, kind)),
        *(finding for where, site in each(root, ("sites",)) for finding in check_site(site, where)),
        *_taken_names(root),
        *_references(root),
        *_nodes(root),
        *_mining(root),
        *check_ports(root),
    ]


def _taken_names(root: Value) -> Iterator[Finding]:
    """A site's evidence goes by its name, and so does that of the fleet's books."""
    for where, site in each(root, ("sites",)):
        if site.get("name") == "books":
            what = "`books` is how the evidence of the fleet's books is called"
            yield Finding((*where, "name"), what, "Name the site otherwise")


def _references(root: Value) -> Iterator[Finding]:
    parties = texts(root, ("parties",), "id")
    operator = root.get("operator") if isinstance(root, dict) else None
    if not parties and isinstance(operator, str):
        parties = [operator]  # where nobody else owns anything, the operator need not be listed
    places: list[tuple[Path, Value]] = [(("operator",), operator)]
    places += [((*where, "party"), wallet.get("party")) for where, wallet in each(root, ("wallets",))]
    for where, site in each(root, ("sites",)):
        places += [((*at, "party"), item.get("party")) for path in LISTS_WITH_PARTY for at, item in each(site, path, where)]
    yield from dangling(places, parties, "party", "parties")
    stands = [((*where, "site"), node.get("site")) for where, node in each(root, ("nodes",))]
    yield from dangling(stands, texts(root, ("sites",), "name"), "site", "sites")


def _nodes(root: Value) -> Iterator[Finding]:
    for where, node in each(root, ("nodes",)):
        yield from _of_network(where, node)
    for where, wallet in each(root, ("wallets",)):
        found = yield from _network(where, wallet)
        if found is not None:
            yield from _choice((*where, "chain"), wallet.get("chain"), found.chains, f"chain of {found.name}")


def _network(where: Path, item: Mapping[str, Value]) -> Generator[Finding, None, Network | None]:
    """The network that a node or wallet names; a finding where none of that name is installed."""
    name = item.get("network")
    if not isinstance(name, str):
        return None
    try:
        found = network(name)
        if found is not None:
            check_accounts(found, FOR_INCOME)
    except RegistryError as error:
        yield Finding((*where, "network"), str(error), "Mend or remove that package")
        return None
    if found is None:
        here = installed()
        mend = did_you_mean(
            name,
            list(here),
            f"Installed are {', '.join(here)}; for another, install its package into this environment: "
            f"pip install photosynth-network-{name[:32]}",
        )
        yield Finding((*where, "network"), f"no network is called {name[:40]}", mend)
    return found


def _choice(path: Path, value: Value, known: tuple[str, ...], kind: str) -> Iterator[Finding]:
    if isinstance(value, str) and value not in known:
        mend = did_you_mean(value, list(known), f"Write {' or '.join(known)}")
        yield Finding(path, f"{shown(value)} is not a {kind}; it takes {', '.join(known)}", mend)


def _of_network(where: Path, node: Mapping[str, Value]) -> Iterator[Finding]:
    """What a node's network has to say of it: chain, role, how it runs, endpoints and ports."""
    found = yield from _network(where, node)
    if found is None:
        return
    chain, run = node.get("chain"), node.get("run")
    yield from _choice((*where, "chain"), chain, found.chains, f"chain of {found.name}")
    yield from _choice((*where, "role"), node.get("role"), tuple(found.roles), f"role of {found.name}")
    role = found.roles.get(str(node.get("role")))
    if role is None:
        return
    yield from _choice((*where, "run"), run, role.runs, f"way to run this node of {found.name}")
    if run == "embedded" and isinstance(chain, str) and chain in found.chains and chain not in found.embedded:
        money = " where coins are worth money" if chain == "main" else " yet"
        mend = (
            f"Write `chain: {found.embedded[0]}`, or let somebody run it: `run: external`"
            if found.embedded
            else "Run it elsewhere"
        )
        yield Finding((*where, "chain"), f"the embedded node does not serve {chain}{money}", mend)
    if run == "simulated" and isinstance(chain, str) and chain in found.chains and chain not in found.simulated:
        mend = f"Write `chain: {found.simulated[0]}`" if found.simulated else "Run a real one: `run: external`"
        yield Finding((*where, "chain"), f"nothing simulates a node of {found.name} on {chain}", mend)
    for key, names in (("endpoints", tuple(role.endpoints)), ("ports", tuple(role.ports))):
        given = node.get(key)
        for name in given if isinstance(given, dict) else ():
            if name not in names:
                mend = did_you_mean(name, list(names), f"Known are {', '.join(names)}")
                yield Finding((*where, key, name), f"this node has no {name[:40]} among its {key}", mend, at_key=True)
    if run == "external":
        given = node.get("endpoints")
        missing = [name for name in role.endpoints if not isinstance(given, dict) or name not in given]
        if missing:
            example = f"endpoints: {{{missing[0]}: ...}}"
            what = f"nothing says where this node is reached: {', '.join(f'{name} ({role.endpoints[name]})' for name in missing)}"
            yield Finding((*where, "endpoints"), what, f"Add `{example}`", at_key=True)
        credentials = node.get("credentials")
        if found.name == "bitcoin" and isinstance(credentials, dict) and "token_file" in credentials:
            mend = "Write `cookie_file`, or `user` and `password_file`"
            yield Finding((*where, "credentials", "token_file"), "bitcoind takes no token", mend, at_key=True)
        if found.name == "bitcoin" and not credentials:
            yield Finding(
                (*where, "credentials"),
                "bitcoind lets nobody in without credentials",
                "Add `credentials: {cookie_file: ~/.bitcoin/.cookie}`, or `{user: NAME, password_file: PATH}`",
                at_key=True,
            )


def _mining(root: Value) -> Iterator[Finding]:
    """What a site needs of the rest: Bitcoin nodes of one chain that it can mine on, and one wallet on that chain."""
    nodes = {node["id"]: node for _, node in each(root, ("nodes",)) if isinstance(node.get("id"), str)}
    for where, site in each(root, ("sites",)):
        pool = site.get("pool")
        if not isinstance(pool, dict):
            continue
        named = pool.get("node")
        names = named if isinstance(named, tuple) else (named,)
        at: Path = (*where, "pool", "node")
        yield from dangling([(at, name) for name in names], [str(name) for name in nodes], "node", "nodes")
        known = [nodes[name] for name in names if isinstance(name, str) and name in nodes]
        if not known:
            continue
        others = [node for node in known if node.get("network") != "bitcoin"]
        if others:
            yield Finding(at, f"{others[0]['id']} is no Bitcoin node", "Name a node with `network: bitcoin`")
            continue
        chains = dict.fromkeys(str(node.get("chain")) for node in known)
        if len(chains) > 1:
            yield Finding(at, f"its nodes are of different chains: {', '.join(chains)}", "Name nodes of one chain")
            continue
        chain = next(iter(chains))
        if chain != "regtest":
            yield Finding(
                at,
                f"a site cannot mine on {chain} yet: nothing tells what its coins are worth, which decides when to mine",
                "Name a node of regtest that has a `demonstration`",
            )
        elif (unpaced := next((node for node in known if "demonstration" not in node), None)) is not None:
            yield Finding(
                at,
                f"{unpaced['id']} is a node of regtest without a demonstration, and would find thousands of blocks a second",
                "Add `demonstration:` to that node, with block_interval, difficulty, subsidy, fees, price and date",
            )
        yield from _wallet(root, (*where, "pool"), pool, chain)


def _wallet(root: Value, where: Path, pool: Mapping[str, Value], chain: str) -> Iterator[Finding]:
    named, wallets = pool.get("wallet"), [wallet for _, wallet in each(root, ("wallets",))]
    ids = [str(wallet.get("id")) for wallet in wallets]
    if named is not None:
        yield from dangling([((*where, "wallet"), named)], ids, "wallet", "wallets")
        chosen = next((wallet for wallet in wallets if wallet.get("id") == named), None)
        if chosen is not None and (chosen.get("network"), chosen.get("chain")) != ("bitcoin", chain):
            what = f"the wallet {str(named)[:40]} is not on Bitcoin's {chain}, where the pool's node is"
            yield Finding((*where, "wallet"), what, "Name a wallet of that chain")
        return
    fitting = [
        wallet
        for wallet in wallets
        if (wallet.get("network"), wallet.get("chain"), wallet.get("custody", "own")) == ("bitcoin", chain, "own")
    ]
    if not fitting:
        mend = "Add one under wallets: id, network, chain, party, and script or address"
        yield Finding((*where, "wallet"), f"no own wallet on Bitcoin's {chain} says where its blocks pay to", mend, at_key=True)
    elif len(fitting) > 1:
        names = ", ".join(str(wallet.get("id"))[:40] for wallet in fitting[:5])
        yield Finding((*where, "wallet"), f"several wallets could be paid: {names}", "Say which with `wallet:`", at_key=True)
