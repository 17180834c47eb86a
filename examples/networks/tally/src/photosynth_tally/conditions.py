"""What is wrong with a counter, each with what was seen and what to do."""

from photosynth.networks.grammar import Judgement


def unreachable(evidence: str) -> Judgement:
    """It does not answer."""
    runbook = "See that it runs, and that endpoints.rpc of the fleet file is its address."
    return Judgement("node_unreachable", "critical", "it does not answer", evidence, runbook)


def judge(chain: str | None, declared: str, head: int | None, peers: int | None) -> tuple[Judgement, ...]:
    """Everything that speaks against what a counter told, the gravest first."""
    found: list[Judgement] = []
    if chain != declared:
        runbook = "Correct `chain` in the fleet file, or endpoints.rpc, which leads to another counter."
        found.append(Judgement("wrong_chain", "critical", f"it is on {chain}, not on {declared}", f"chain is {chain}", runbook))
    if head is None:
        runbook = "See which version it is, and what the network's documentation says of tally_status."
        found.append(Judgement("node_silent_on", "warning", "it does not tell its count", "count is no number", runbook))
    if peers == 0:
        runbook = "See that its port reaches the network."
        found.append(Judgement("no_peers", "warning", "it has no peers", "peers is 0", runbook))
    return tuple(found)
