"""What is wrong with a bitcoind, judged over one look: each with what was seen and what to do.

What is not told is not proven, and said so.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from photosynth.networks.bitcoin.identity import CHECKPOINTS, broken_proof, foreign_implementation
from photosynth.networks.grammar import UNKNOWN, Judgement

if TYPE_CHECKING:
    from photosynth.networks.bitcoin.probe import NodeObservation

STALE_TIP_S = 2 * 3600
"""A main chain waits this long for a block about once in 160,000 blocks, e^-12 (three years): then look at the node."""
ALONE = ("regtest",)
"""Chains on which a node needs no peers, and its last block may be old."""


def judge(seen: "NodeObservation", chain: str) -> tuple[Judgement, ...]:
    """Everything that speaks against a node which is declared to be on a chain, the gravest first; empty where nothing does."""
    if seen.problem is not None:
        return (
            Judgement(
                "node_unreachable",
                "critical",
                "it does not answer",
                seen.problem,
                "See that it runs, that the address and the credentials are its own, and what its log says last.",
            ),
        )
    return (*_identity(seen, chain), *_progress(seen, chain), *_warned(seen))


def _identity(seen: "NodeObservation", chain: str) -> Iterator[Judgement]:
    """Whether it is on the chain that it is declared to be on."""
    if seen.chain is UNKNOWN:
        yield _unknown("its chain")
        return
    if seen.chain != chain:
        runbook = "Start it with the chain that the fleet file names, or correct `chain` there. Nothing is mined or booked on it."
        yield Judgement(
            "wrong_chain", "critical", f"it is on {seen.chain}, not on {chain}", f"it says chain={seen.chain}", runbook
        )
        return
    foreign = foreign_implementation(chain, seen.software) if isinstance(seen.software, str) else None
    if foreign is not None:
        yield Judgement(
            "not_bitcoin",
            "critical",
            "its software follows another coin than Bitcoin",
            f"it says {seen.software}: {foreign}",
            "Replace it by Bitcoin Core on a data folder of its own. What was mined on it is not bitcoin.",
        )
    if isinstance(seen.header, bytes) and isinstance(seen.tip, bytes):
        broken = broken_proof(chain, seen.header, seen.tip)
        if broken is not None:
            runbook = "It follows another coin, or lies. Replace it by Bitcoin Core on a data folder of its own."
            yield Judgement("not_bitcoin", "critical", "its best block breaks Bitcoin's proof of work", broken, runbook)
    at_heights = dict(seen.at_heights)
    for point in CHECKPOINTS[chain]:
        found = at_heights.get(point.height, point.hash)
        if found != point.hash:
            yield Judgement(
                "not_bitcoin",
                "critical",
                f"its block at height {point.height} is not Bitcoin's",
                f"it has {found}, and the chain has {point.hash} ({point.source})",
                "It is on another chain. Replace it by Bitcoin Core on a data folder of its own.",
            )
    yield from _proof(seen, chain)


def _proof(seen: "NodeObservation", chain: str) -> Iterator[Judgement]:
    """Whether it told what its identity was judged by: one that keeps that back is not healthy."""
    missing = [] if isinstance(seen.header, bytes) and isinstance(seen.tip, bytes) else ["the header of its best block"]
    told = dict(seen.at_heights)
    if isinstance(seen.height, int):
        heights = [point.height for point in CHECKPOINTS[chain] if point.height <= seen.height]
        missing += [f"block {height}" for height in heights if height not in told]
    if missing:
        runbook = "Let its RPC user call getblockheader and getblockhash (rpcwhitelist); until then nothing shows its coin."
        what = "it does not tell what would show that it is on Bitcoin"
        yield Judgement("unproven", "warning", what, f"not told: {', '.join(missing)}", runbook)


def _progress(seen: "NodeObservation", chain: str) -> Iterator[Judgement]:
    """Whether it follows its chain."""
    alone = chain in ALONE
    if not isinstance(seen.height, int) or not isinstance(seen.headers, int):
        yield _unknown("its height")
    elif seen.headers > seen.height:
        yield Judgement(
            "behind_headers",
            "warning",
            f"it knows {seen.headers - seen.height} headers whose blocks it has not checked",
            f"headers {seen.headers}, blocks {seen.height}",
            "It catches up by itself; where it does not, see its disk, its memory and its peers.",
        )
    if seen.initial_download is True and not alone:
        wait = "Wait until it has the whole chain; a site does not mine on it before."
        yield Judgement("initial_download", "warning", "it is still downloading the chain", "initialblockdownload is true", wait)
    if isinstance(seen.tip_age_s, int) and seen.tip_age_s > STALE_TIP_S and not alone:
        yield Judgement(
            "stale_tip",
            "warning",
            f"its last block is {seen.tip_age_s // 60} minutes old",
            f"the time in its best header is {seen.tip_age_s} s ago",
            "Compare it with a block explorer. Where others are further, see its peers and its clock, and restart it.",
        )
    if seen.peers_in == 0 and seen.peers_out == 0 and not alone:
        see = "See that its port reaches the network, and its log for refused or banned peers."
        yield Judgement("no_peers", "warning", "it has no peers", "no connection in or out", see)


def _warned(seen: "NodeObservation") -> Iterator[Judgement]:
    for text in seen.warnings if isinstance(seen.warnings, tuple) else ():
        yield Judgement(
            "node_warns", "warning", f"it warns: {text}", text, "Read the release notes of its software for this warning."
        )


def _unknown(what: str) -> Judgement:
    runbook = "See whether its version is one that the recipe names as tested."
    return Judgement("node_silent_on", "warning", f"it does not tell {what}", "the answer lacks it or is malformed", runbook)
