"""Tally as a network of the fleet: its one chain, its one role, and how a node of it is reached and looked at."""

from photosynth.networks.grammar import Access, Deadline, IncomeKind, Leg, Network, PostingRule, Probe, Role


def _probe(access: Access) -> Probe:
    from photosynth_tally.probe import TallyProbe  # speaks HTTP, which whoever only reads a fleet file need not

    return TallyProbe(access)


FEES = IncomeKind(
    name="fee",
    title="Fees for counting",
    asset="TALLY",
    decimals=6,
    postings=(
        PostingRule("accrued", (Leg("1150", "debit"), Leg("4150", "credit")), "A fee for counting is owed"),
        PostingRule("received", (Leg("1100", "debit"), Leg("1150", "credit")), "A fee for counting has come"),
    ),
)
"""What it pays, and how the books write it: asset and revenue when it is owed, its wallet when it has come."""

NETWORK = Network(
    name="tally",
    title="Tally",
    chains=("main",),
    roles={"counter": Role(runs=("external",), endpoints={"rpc": "JSON-RPC, like http://127.0.0.1:7000"}, probe=_probe)},
    income=(FEES,),
    deadlines=(
        Deadline("count-1000000", "counters start again from zero", "the README of this package", "main", height=1_000_000),
    ),
)
