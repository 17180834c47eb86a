"""What a file that holds proves, what it lets estimate, and what rests on trust, in sentences with its own figures."""

from typing import TYPE_CHECKING

from photosynth.treasury import accounts as a

if TYPE_CHECKING:
    from photosynth.treasury.evidence.verify import Verifier

JOULES_PER_KWH = 3_600_000


def totals(v: "Verifier") -> dict[str, int]:
    """Sums over the file, in base units."""
    anchored = anchored_seq(v)
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
        "immature_sat": v.journal.balances_sat.get(a.COINS_IMMATURE, 0),
        "mature_sat": v.journal.balances_sat.get(a.COINS_AVAILABLE, 0),
        "attributed_sat": v.blocks.attributed_sat,
        "anchored_seq": anchored,
        "unanchored_lines": v.next_seq - 1 - anchored,
    }


def anchored_seq(v: "Verifier") -> int:
    """The last line that work commits to, -1 for none."""
    return max(v.blocks.anchored, v.work.anchored_by_work)


def proven(v: "Verifier") -> tuple[str, ...]:
    """What nobody who has the file need believe."""
    records = by_count(v.records, "record", "records")
    found = [
        f"{records} in order, none missing, doubled or changed since they were signed with one key.",
        "Arithmetic: residuals, allocation, values, the split of satoshis and every balanced posting follow by the named rules.",
        by_count(
            len(v.blocks.blocks),
            "block meets its target, and its coinbase is in it and pays the payout script.",
            "blocks meet their targets, and each coinbase is in its block and pays the payout script.",
        ),
        by_count(
            v.work.headers,
            "best header meets its target, and its coinbase would have paid the payout script.",
            "best headers meet their targets, and their coinbases would have paid the payout script.",
        ),
    ]
    if v.blocks.anchored >= 0:
        found.append(f"Lines up to seq {v.blocks.anchored} existed before a block that commits to them was mined.")
    if v.work.anchored_by_work >= 0:
        found.append(f"Lines up to seq {v.work.anchored_by_work} existed before work was done that commits to them.")
    if v.blocks.links:
        follows = by_count(v.blocks.links, "of the blocks follows", "of the blocks follow")
        found.append(f"{follows} directly on another one in the file.")
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
    anchored = anchored_seq(v)
    found = _noticed(v)
    if not v.expected_keys and v.public_key is not None:
        found.insert(0, f"That the key is the operator's: compare this key, {v.public_key.hex()}, with one that you know.")
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
        hours = by_count(v.energy.not_good, "quarter hour holds", "quarter hours hold")
        found.append(f"{hours} readings that are not good: estimated, stale, suspect or unknown.")
    if v.energy.unknown_intervals:
        hours = by_count(v.energy.unknown_intervals, "quarter hour", "quarter hours")
        found.append(f"{hours} whose energy is unknown, and posted nowhere.")
    if v.workless:
        hours = by_count(v.workless, "quarter hour that lists", "quarter hours that list")
        found.append(f"{v.workless_j // JOULES_PER_KWH} kWh of mining in {hours} no work.")
    if v.work.better_than_listed:
        times = by_count(v.work.better_than_listed, "time", "times")
        found.append(
            f"That no shares were left out {times} where the best headers are far better than so much work makes them: some "
            "machines hand in only what is harder than they are asked for."
        )
    if v.energy.gaps:
        gaps = by_count(v.energy.gaps, "gap in time, after", "gaps in time, each after")
        found.append(f"What happened in {gaps} a header that says so.")
    if v.changes:
        found.append(f"That what {by_count(v.changes, 'later header says', 'later headers say')} of meters and rules was so.")
    if v.blocks.foreign:
        whose = by_count(
            len(v.blocks.foreign),
            "block that pays the script is somebody else's: it commits to no line of this file. If it was mined here",
            "blocks that pay the script are somebody else's: they commit to no line of this file. If they were mined here",
        )
        found.append(f"That {whose}, lines were changed after.")
    if v.unbooked:
        lost = by_count(v.unbooked, "block of the records, whose satoshis are", "blocks of the records, whose satoshis are")
        found.append(f"That {lost} not in the books, left the chain or never entered it.")
    if missing := v.work.parents - v.blocks.blocks.keys():
        whose = by_count(len(missing), "block is that work stood on and that", "blocks are that work stood on and that")
        found.append(f"Whose the {whose} the file does not hold, or not yet.")
    if v.work.unlinked_headers:
        named = by_count(
            v.work.unlinked_headers, "best header names no job, so whom it", "best headers name no job, so whom they"
        )
        found.append(f"{named} would have paid is not shown.")
    return found


def by_count(count: int, one: str, more: str) -> str:
    """A count and what is said of one or of more: by_count(1, "block is", "blocks are") is "1 block is"."""
    return f"{count} {one if count == 1 else more}"
