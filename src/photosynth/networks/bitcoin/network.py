"""Bitcoin as a network of the fleet: its chains, its one role, and how a node of it runs and is looked at."""

from photosynth.networks.grammar import Access, Command, Network, Place, Probe, Role

RPC_PORTS = {"main": 8332, "test": 18332, "testnet4": 48332, "signet": 38332, "regtest": 18443}
P2P_PORTS = {"main": 8333, "test": 18333, "testnet4": 48333, "signet": 38333, "regtest": 18444}
"""Where bitcoind listens where it is told nothing (Bitcoin Core, ``chainparamsbase.cpp``, ``kernel/chainparams.cpp``)."""


def _probe(access: Access) -> Probe:
    from photosynth.networks.bitcoin.probe import BitcoindProbe  # speaks HTTP, which whoever only reads a fleet file need not

    return BitcoindProbe(access)


def _command(place: Place) -> Command:
    from photosynth.networks.bitcoin.recipe import command

    return command(place)


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
        )
    },
    embedded=("regtest",),
    simulated=("regtest",),
    private=("regtest",),
)
