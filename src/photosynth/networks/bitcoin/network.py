"""Bitcoin as a network of the fleet: its chains, its one role, and how a node of it runs and is looked at."""

from photosynth.networks.grammar import Access, Command, Deadline, Network, Place, Probe, Recipe, Role

RPC_PORTS = {"main": 8332, "test": 18332, "testnet4": 48332, "signet": 38332, "regtest": 18443}
P2P_PORTS = {"main": 8333, "test": 18333, "testnet4": 48333, "signet": 38333, "regtest": 18444}
"""Where bitcoind listens where it is told nothing (Bitcoin Core, ``chainparamsbase.cpp``, ``kernel/chainparams.cpp``)."""


def _probe(access: Access) -> Probe:
    from photosynth.networks.bitcoin.probe import BitcoindProbe  # speaks HTTP, which whoever only reads a fleet file need not

    return BitcoindProbe(access)


def _command(place: Place) -> Command:
    from photosynth.networks.bitcoin.recipe import command

    return command(place)


def _recipe() -> Recipe:
    from photosynth.networks.bitcoin.recipe import BITCOIND

    return BITCOIND


DEADLINES = (
    Deadline(
        "halving-1050000",
        "the subsidy of a block halves to 1.5625 BTC; what a site earns with the same work halves with it",
        "Bitcoin Core 31, validation.cpp (GetBlockSubsidy), kernel/chainparams.cpp (nSubsidyHalvingInterval = 210000)",
        chain="main",
        height=1_050_000,
    ),
    Deadline(
        "core-29-unsupported",
        "Bitcoin Core 29 gets no more fixes: replace it by a release that does",
        "bitcoincore.org, Software Life Cycle, read in November 2026",
    ),
)
"""What an operator of Bitcoin nodes has to be ready for."""

NETWORK = Network(
    name="bitcoin",
    title="Bitcoin",
    chains=("main", "test", "testnet4", "signet", "regtest"),
    roles={
        "full": Role(
            runs=("embedded", "process", "external", "simulated"),
            endpoints={"rpc": "JSON-RPC, like http://127.0.0.1:8332"},
            ports={"rpc": RPC_PORTS, "p2p": P2P_PORTS},
            probe=_probe,
            command=_command,
            recipe=_recipe,
        )
    },
    embedded=("regtest",),
    simulated=("regtest",),
    private=("regtest",),
    tier="real software",
    deadlines=DEADLINES,
)
