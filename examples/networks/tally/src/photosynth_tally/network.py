"""Tally as a network of the fleet: its one chain, its one role, and how a node of it is reached and looked at."""

from photosynth.networks.grammar import Access, Network, Probe, Role


def _probe(access: Access) -> Probe:
    from photosynth_tally.probe import TallyProbe  # speaks HTTP, which whoever only reads a fleet file need not

    return TallyProbe(access)


NETWORK = Network(
    name="tally",
    title="Tally",
    chains=("main",),
    roles={"counter": Role(runs=("external",), endpoints={"rpc": "JSON-RPC, like http://127.0.0.1:7000"}, probe=_probe)},
)
