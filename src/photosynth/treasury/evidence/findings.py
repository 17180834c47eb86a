"""What a file that holds proves, what it lets estimate, and what rests on trust, in sentences with its own figures."""

from typing import TYPE_CHECKING

from photosynth.treasury import accounts as a

if TYPE_CHECKING:
    from photosynth.treasury.evidence.verify import Verifier

JOULES_PER_KWH = 3_600_000


def totals(v: "Verifier") -> dict[str, int]:
    """Sums over the file, in base units."""
    anchored = _anchored(v)
    return {
        "blocks": len(v.blocks.blocks),
        "foreign_blocks": len(v.blocks.foreign),
        "shares_accepted": v.work.shares,
        "shares_rejected": v.work.rejected,
        "work_hashes": v.work.work,
        "represented_hashes": v.work.represented,
        "estimated_work_hashes": v.work.estimated_work,
        "mining_j": v.energy.mining_j,
        "own_mining_j": v.energy.own_mining_j,
        "grid_mining_j": v.energy.grid_mining_j,
        "residual_j": v.energy.residual_j,
        "postings": v.journal.last_id,
        "immature_sat": v.journal.balances.get((a.COINS_IMMATURE, "SAT"), 0),
        "mature_sat": v.journal.balances.get((a.COINS_AVAILABLE, "SAT"), 0),
        "attributed_sat": v.blocks.attributed_sat,
        "anchored_seq": anchored,
        "unanchored_lines": v.next_seq - 1 - anchored,
    }


def _anchored(v: "Verifier") -> int:
    """The last line that work commits to, -1 for none."""
    return max(v.blocks.anchored, v.work.anchored_by_work)


def proven(v: "Verifier") -> tuple[str, ...]:
    """What nobody who has the file need believe."""
    found = [
        f"{v.records} records in order, none missing, doubled or changed since they were signed with one key.",
        "Arithmetic: residuals, allocation, values, the split of satoshis and every balanced posting follow by the named rules.",
        f"{len(v.blocks.blocks)} blocks meet their targets, and each coinbase is in its block and pays the payout script.",
        f"{v.work.headers} best headers meet their targets, and their coinbases would have paid the payout script.",
    ]
    if v.blocks.anchored >= 0:
        found.append(f"Lines up to seq {v.blocks.anchored} existed before a block that commits to them was mined.")
    if v.work.anchored_by_work >= 0:
        found.append(f"Lines up to seq {v.work.anchored_by_work} existed before work was done that commits to them.")
    if v.blocks.links:
        found.append(f"{v.blocks.links} of the blocks follow directly on another one in the file.")
    return tuple(found)


def estimated(v: "Verifier") -> tuple[str, ...]:
    """What follows by statistics."""
    if not v.work.shares:
        return ("No work is listed.",)
    return (
        f"About {v.work.estimated_work} hashes were really done, by the 32 lowest headers of each quarter hour and scale "
        f"(+-18 % each, where there are so many); {v.work.work} are on record.",
        "Energy curtailed is an estimate beside the balance.",
    )


def trusted(v: "Verifier") -> tuple[str, ...]:
    """What rests on somebody's word."""
    anchored = _anchored(v)
    found = _noticed(v)
    if anchored < 0:
        found.insert(0, "Every line: no work in this file commits to any of them, so they rest on the signature alone.")
    elif anchored + 1 < v.next_seq:
        found.insert(0, f"Lines after seq {anchored}: no work commits to them yet, so they rest on the signature alone.")
    if v.energy.unsigned:
        found.append("Meters without a signature of their own, and that they are wired as their roles say.")
    found += [
        "Share counts beyond what the best headers show, the scale at which a hash stands for more, and whose worker is whose.",
        "Prices, mainnet's difficulty and reward as their named sources gave them; the clocks.",
        "The convention that allocates own energy to the factory first.",
        "That the energy's attribute was not sold elsewhere: metered on-site attribution, no certificate issued or cancelled.",
        "That no newer export exists and no block was left out: ask the chain, whose blocks of ours commit to their heads.",
    ]
    header = v.header
    if header is not None and header.site.simulated:
        found.append("This site is simulated: its meters measured no real energy.")
    if header is not None and header.site.network == "regtest":
        found.append("On regtest anyone can rewrite the anchors themselves, given the hashes.")
    return tuple(found)


def _noticed(v: "Verifier") -> list[str]:
    """What this file asks to be believed beyond what every file does."""
    found = []
    if v.energy.not_good:
        found.append(f"{v.energy.not_good} quarter hours hold readings that are not good: estimated, stale, suspect or unknown.")
    if v.energy.unknown_intervals:
        found.append(f"{v.energy.unknown_intervals} quarter hours whose energy is unknown, and posted nowhere.")
    if v.workless:
        found.append(f"{v.workless_j // JOULES_PER_KWH} kWh of mining in {v.workless} quarter hours that list no work.")
    if v.work.better_than_listed:
        found.append(
            f"That no shares were left out {v.work.better_than_listed} times where the best headers are far better than so much "
            "work makes them: some machines hand in only what is harder than they are asked for."
        )
    if v.energy.gaps:
        found.append(f"What happened in {v.energy.gaps} gaps in time, each after a header that says so.")
    if v.changes:
        found.append(f"That what {v.changes} later headers say of meters and rules was so.")
    if v.blocks.foreign:
        found.append(
            f"That {len(v.blocks.foreign)} blocks that pay the script are somebody else's: they commit to no line of this file. "
            "If they were mined here, lines were changed after them."
        )
    if v.unbooked:
        found.append(
            f"That {v.unbooked} blocks of the records, whose satoshis are not in the books, left the chain or never entered it."
        )
    if missing := v.work.parents - v.blocks.blocks.keys():
        found.append(f"Whose the {len(missing)} blocks are that work stood on and that the file does not hold, or not yet.")
    if v.work.unlinked_headers:
        found.append(f"{v.work.unlinked_headers} best headers name no job, so whom they would have paid is not shown.")
    return found
