"""What a file that holds proves, what it lets estimate, and what rests on trust, in sentences with its own figures."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from photosynth.treasury import accounts as a
from photosynth.treasury.evidence.open_questions import by_count, noticed

if TYPE_CHECKING:
    from photosynth.treasury.evidence.check_chain_export import ChainReport
    from photosynth.treasury.evidence.state import FileState, SiteState, Stream
    from photosynth.treasury.evidence.verify import Verifier


def totals(v: "Verifier") -> dict[str, int]:
    """Sums over the file, in base units."""
    file = v.file
    sums: Counter[str] = Counter(blocks=len(file.blocks.blocks), foreign_blocks=len(file.blocks.foreign))
    for site in file.sites.values():
        sums.update(_site_sums(site, file))
    sums.update(_books_sums(file))
    anchored = anchored_place(file, None)
    found = dict(sums) | {"anchored_line": anchored, "unanchored_lines": file.lines - 1 - anchored}
    if file.books is None:
        found.pop("attributed_sat", None)
    return found


def stream_totals(v: "Verifier", stream: "Stream") -> dict[str, int]:
    """Sums over one stream, in base units."""
    file, site = v.file, v.file.sites.get(stream.name)
    anchored = stream.last_seq_at(anchored_place(file, stream.name))
    sums = _books_sums(file) if site is None else {"blocks": site.blocks, **_site_sums(site, file)}
    if file.books is None:
        sums.pop("attributed_sat", None)
    return sums | {"anchored_seq": anchored, "unanchored_lines": stream.next_seq - 1 - anchored}


def anchored_place(file: "FileState", name: str | None) -> int:
    """The place up to which work commits to a stream's lines, or to all; of several streams it commits to all at once."""
    if file.partial and name is not None:
        return file.sites[name].anchored
    return file.anchored


def _site_sums(site: "SiteState", file: "FileState") -> dict[str, int]:
    return {
        "shares_accepted": site.work.shares,
        "shares_rejected": site.work.rejected,
        "work_hashes": site.work.work,
        "represented_hashes": site.work.represented,
        "estimated_work_hashes": site.work.estimated_work,
        "mining_j": site.energy.mining_j,
        "own_mining_j": site.energy.own_mining_j,
        "grid_mining_j": site.energy.grid_mining_j,
        "residual_j": site.energy.residual_j,
        "corrections": site.energy.corrections,
        "attributed_sat": sum(file.blocks.blocks[name].value_sat for name in file.blocks.standing & site.claims.rows.keys()),
    }


def _books_sums(file: "FileState") -> dict[str, int]:
    if file.books is None:
        return {}
    return {
        "postings": file.journal.last_id,
        "immature_sat": file.journal.balances_sat.get(a.COINS_IMMATURE, 0),
        "mature_sat": file.journal.balances_sat.get(a.COINS_AVAILABLE, 0),
    }


def proven(v: "Verifier", chain: "ChainReport | None") -> tuple[str, ...]:
    """What nobody who has the file need believe."""
    file = v.file
    headers = sum(site.work.headers for site in file.sites.values())
    hours = by_count(sum(site.quarter_hours for site in file.sites.values()), "quarter hour", "quarter hours")
    streams = by_count(len(file.streams), "stream", "streams")
    found = [f"{hours} in {streams}, none missing, doubled or changed since they were signed, each stream by a key of its own."]
    arithmetic = "residuals, allocation, the split of satoshis"
    if file.books is not None:
        arithmetic += ", values and every balanced posting"
    found += [
        f"Arithmetic: {arithmetic} follow by the named rules.",
        by_count(
            len(file.blocks.blocks),
            "block meets its target, and its coinbase is in it and pays a script of the file.",
            "blocks meet their targets, and each coinbase is in its block and pays a script of the file.",
        ),
        by_count(
            headers,
            "best header meets its target, and its coinbase would have paid its site's script.",
            "best headers meet their targets, and their coinbases would have paid their sites' scripts.",
        ),
    ]
    found += [
        f"{stream.rotations} times the key of {name} was handed over, by a signature of the old key and one of the new."
        for name, stream in sorted(file.streams.items())
        if stream.rotations
    ]
    found += _anchors(file)
    if file.blocks.links:
        follows = by_count(file.blocks.links, "of the blocks follows", "of the blocks follow")
        found.append(f"{follows} directly on another one in the file.")
    if chain is not None:
        blocks = by_count(chain.standing, "block that the books have in a chain is", "blocks that the books have in a chain are")
        found.append(
            f"{blocks} in the headers of {chain.chain}: {by_count(chain.blocks, 'block', 'blocks')} with {chain.work_hashes} "
            f"hashes of work behind them, up to {chain.tip}."
        )
    return tuple(found)


def _anchors(file: "FileState") -> Iterator[str]:
    by_block = max((site.anchored_by_block for site in file.sites.values()), default=-1)
    by_work = max((site.work.anchored_by_work for site in file.sites.values()), default=-1)
    for place, what in ((by_block, "a block that commits to them was mined"), (by_work, "work was done that commits to them")):
        if place >= 0:
            yield f"{_lines_up_to(file, place)} existed before {what}."


def _lines_up_to(file: "FileState", place: int) -> str:
    each = [
        f"seq {stream.last_seq_at(place)} of {name}" for name, stream in sorted(file.streams.items()) if stream.places[0] <= place
    ]
    return f"Lines up to {', '.join(each)}"


def estimated(v: "Verifier") -> tuple[str, ...]:
    """What follows by statistics."""
    work = [site.work for site in v.file.sites.values()]
    if not any(state.shares for state in work):
        return ("No work is listed.",)
    return (
        f"About {sum(state.estimated_work for state in work)} hashes were really done, by the 32 lowest headers of each quarter "
        f"hour and scale (+-18 % each, where there are so many); {sum(state.work for state in work)} are on record.",
        "Energy curtailed is an estimate beside the balance.",
    )


def trusted(v: "Verifier", chain: "ChainReport | None") -> tuple[str, ...]:
    """What rests on somebody's word."""
    file = v.file
    sites = file.sites.values()
    found = list(_not_judged(file))
    found += _unanchored(file)
    if not v.expected_keys:
        keys = ", ".join(f"{stream.first_key.hex()} of {name}" for name, stream in sorted(file.streams.items()))
        found.append(f"That the first keys are the operator's: compare these keys with those that you know: {keys}.")
    found += noticed(file)
    if any(site.energy.unsigned for site in sites):
        found.append("Meters without a signature of their own, and that they are wired as their roles say.")
    found += [
        "Share counts beyond what the best headers show, the scale at which a hash stands for more, and whose worker is whose.",
        "Prices, mainnet's difficulty and reward as their named sources gave them; the clocks.",
        "The convention that allocates own energy to the factory first.",
        "That the energy's attribute was not sold elsewhere: metered on-site attribution, no certificate issued or cancelled.",
    ]
    if chain is None:
        found.append("That no newer export exists and no block was left out: ask the chain with --chain.")
    else:
        found += _chain_trust(chain)
    if simulated := [site.name for site in sites if site.facts.simulated]:
        found.append(f"These sites are simulated, and their meters measured no real energy: {', '.join(simulated)}.")
    if any(site.facts.network == "regtest" for site in sites):
        found.append("On regtest anyone can rewrite the anchors themselves, given the hashes.")
    return tuple(found)


def _not_judged(file: "FileState") -> Iterator[str]:
    if file.books is None:
        names = ", ".join(file.sites)
        yield (
            f"Everything about money: this is the stream of {names} alone, without the books. Whether its energy and its blocks "
            "were posted as it asks, which of its blocks stand in the chain, and whether they claim work twice cannot be told."
        )


def _unanchored(file: "FileState") -> Iterator[str]:
    if file.anchored < 0:
        yield "Every line: no work in this file commits to any of them, so they rest on the signature alone."
    elif file.anchored + 1 < file.lines:
        each = [
            f"seq {stream.last_seq_at(file.anchored)} of {name}"
            for name, stream in sorted(file.streams.items())
            if stream.last_seq_at(file.anchored) + 1 < stream.next_seq
        ]
        yield f"Lines after {', '.join(each)}: no work commits to them yet, so they rest on the signature alone."


def _chain_trust(chain: "ChainReport") -> Iterator[str]:
    yield f"That the headers of {chain.chain} are of the chain that others follow: no work but theirs speaks for them."
    if chain.others_found:
        whose = by_count(chain.others_found, "block of the file is", "blocks of the file are")
        yield f"Why {whose} in the chain and not in the books: newer than they are, or left out."
    if chain.later:
        later = by_count(chain.later, "later block pays", "later blocks pay")
        yield f"{later} a script of the file: the export is older than the chain."
    if chain.earlier:
        whose = by_count(chain.earlier, "block of the chain pays", "blocks of the chain pay")
        yield f"Why {whose} a script of the file and is not in it, though it is no newer than the file."
    if chain.later is None:
        yield "That no block was left out: the headers alone do not show whom a block pays."
