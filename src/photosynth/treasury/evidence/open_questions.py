"""What a file that holds asks to be believed beyond what every file does."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from photosynth.treasury.evidence.state import FileState, SiteState

JOULES_PER_KWH = 3_600_000


def noticed(file: "FileState") -> Iterator[str]:
    """The sentences of every site, then those of blocks and postings."""
    several = len(file.sites) > 1
    for site in file.sites.values():
        for sentence in _of_site(site, file):
            yield f"{site.name}: {sentence}" if several else sentence
    books = file.books is not None
    changes = sum(stream.changes for stream in file.streams.values())
    if changes:
        said = by_count(changes, "later configuration says", "later configurations say")
        yield f"That what {said} of meters, wallets and rules was so."
    if file.blocks.foreign:
        yield (
            "That "
            + by_count(
                len(file.blocks.foreign),
                "block that pays a script is somebody else's, or not in its site's stream yet: if it was mined here",
                "blocks that pay a script are somebody else's, or not in their sites' streams yet: if they were mined here",
            )
            + ", lines were changed after."
        )
    if books and file.unbooked:
        lost = by_count(file.unbooked, "block of the sites, whose satoshis are", "blocks of the sites, whose satoshis are")
        yield f"That {lost} not in the books, left the chain or never entered it."
    if file.journal.others:
        said = by_count(file.journal.others, "other posting says", "other postings say")
        yield f"What {said} of income and holdings: no line of this file asks for them."


def _of_site(site: "SiteState", file: "FileState") -> Iterator[str]:
    energy, work = site.energy, site.work
    if energy.not_good:
        hours = by_count(energy.not_good, "quarter hour holds", "quarter hours hold")
        yield f"{hours} readings that are not good: estimated, stale, suspect or unknown."
    if energy.unknown_intervals > energy.corrections:
        hours = by_count(energy.unknown_intervals - energy.corrections, "quarter hour", "quarter hours")
        yield f"{hours} whose energy is unknown, and posted nowhere."
    if energy.corrections:
        hours = by_count(energy.corrections, "quarter hour", "quarter hours")
        yield f"Readings of {hours} that came after they were closed without them."
    if site.workless:
        hours = by_count(site.workless, "quarter hour that lists", "quarter hours that list")
        yield f"{site.workless_j // JOULES_PER_KWH} kWh of mining in {hours} no work."
    if work.better_than_listed:
        times = by_count(work.better_than_listed, "time", "times")
        yield (
            f"That no shares were left out {times} where the best headers are far better than so much work makes them: some "
            "machines hand in only what is harder than they are asked for."
        )
    if energy.gaps:
        gaps = by_count(energy.gaps, "gap in time, after", "gaps in time, each after")
        yield f"What happened in {gaps} a configuration that says so."
    if missing := work.parents - file.blocks.blocks.keys():
        whose = by_count(len(missing), "block is that work stood on and that", "blocks are that work stood on and that")
        yield f"Whose the {whose} the file does not hold, or not yet."
    if work.unlinked_headers:
        named = by_count(work.unlinked_headers, "best header names no job, so whom it", "best headers name no job, so whom they")
        yield f"{named} would have paid is not shown."


def by_count(count: int, one: str, more: str) -> str:
    """A count and what is said of one or of more: by_count(1, "block is", "blocks are") is "1 block is"."""
    return f"{count} {one if count == 1 else more}"
