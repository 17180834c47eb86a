"""Tally as a network of the fleet: its one chain, its one role, how a node of it is reached and looked at, and what it pays."""

from photosynth.networks.grammar import Access, Deadline, IncomeKind, IncomeReader, Leg, Network, PostingRule, Probe, Role
from photosynth.quantities.assets import Asset


def _probe(access: Access) -> Probe:
    from photosynth_tally.probe import TallyProbe  # speaks HTTP, which whoever only reads a fleet file need not

    return TallyProbe(access)


def _income(access: Access) -> IncomeReader:
    from photosynth_tally.income import TallyIncome

    return TallyIncome(access)


FEES = IncomeKind(
    name="fee",
    title="Fees for counting",
    asset="TALLY",
    postings=(
        PostingRule("accrued", (Leg("1150", "debit"), Leg("4150", "credit")), "A fee for counting is owed"),
        PostingRule("claimed", (Leg("1160", "debit"), Leg("1150", "credit")), "A fee for counting is asked for"),
        PostingRule("received", (Leg("1110", "debit"), Leg("1160", "credit")), "A fee for counting has come"),
    ),
)
"""What it pays, and how the books write it: revenue when it is owed, then on its way, then in its wallet."""

NETWORK = Network(
    name="tally",
    title="Tally",
    chains=("main",),
    roles={
        "counter": Role(
            runs=("external",), endpoints={"rpc": "JSON-RPC, like http://127.0.0.1:7000"}, probe=_probe, income=_income
        )
    },
    income=(FEES,),
    assets=(Asset("TALLY", "Tally", "tally", "bead", 18),),
    deadlines=(
        Deadline("count-1000000", "counters start again from zero", "the README of this package", "main", height=1_000_000),
    ),
)
