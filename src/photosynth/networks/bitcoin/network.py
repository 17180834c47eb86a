"""Bitcoin as a network of the fleet: its chains, its one role, and how a node of it can run."""

from photosynth.networks.grammar import Network, Role

NETWORK = Network(
    name="bitcoin",
    title="Bitcoin",
    chains=("main", "test", "testnet4", "signet", "regtest"),
    roles={
        "full": Role(
            runs=("embedded", "process", "external", "simulated"),
            endpoints={"rpc": "JSON-RPC, like http://127.0.0.1:8332"},
            ports=("rpc", "p2p"),
        )
    },
    embedded=("regtest",),
)
