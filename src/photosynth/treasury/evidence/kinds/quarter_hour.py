"""A quarter hour of a site: its meters, prices, work, best headers, jobs, and the blocks that its pool found."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from photosynth.quantities.instants import INTERVAL_S
from photosynth.treasury.evidence.books_body import posting_member
from photosynth.treasury.evidence.canonical import canonical
from photosynth.treasury.evidence.check_blocks import Finder, check_block
from photosynth.treasury.evidence.check_energy import check_energy, check_time
from photosynth.treasury.evidence.check_work import check_work
from photosynth.treasury.evidence.envelope import Envelope
from photosynth.treasury.evidence.open_hours import OpenHour
from photosynth.treasury.evidence.parsing import parse_coin, parse_prices
from photosynth.treasury.evidence.quick_quarter_hour import QuickQuarterHours
from photosynth.treasury.evidence.reading import Members
from photosynth.treasury.evidence.state import FileState, SiteState, Stream
from photosynth.treasury.evidence.typed import read_quarter_hour
from photosynth.treasury.journal import Posting, StoredPosting
from photosynth.treasury.mining import energy
from photosynth.treasury.mining.energy import Occasion, interval_key


def check(line: Envelope, stream: Stream, file: FileState) -> None:
    """Check a quarter hour: at once where it is without fault, with care where that is not certain."""
    site = file.sites[stream.name]
    typed = read_quarter_hour(line.raw)
    if typed is not None:
        quick = file.quick.get(site.name)
        if quick is None:
            quick = file.quick[site.name] = QuickQuarterHours(site)
        file.start_ms = typed.start_utc_s * 1000
        if quick.take(typed, file):
            return
        file.start_ms = None
    _check_carefully(line.data(), stream, site, file)


def _check_carefully(data: Any, stream: Stream, site: SiteState, file: FileState) -> None:
    m = Members(data, "the quarter hour")
    time = check_time(m, site.energy)
    file.start_ms = time.start_ms
    checked = check_energy(m, site.facts, site.energy)
    prices = parse_prices(m.take("prices"))
    parse_coin(m.take("coin"))
    hours = site.energy.hours
    if time.joined:
        hours.follow(time.start_ms // 1000, checked.facts)
    if checked.energies is None:
        meters = {fact.id: fact for fact in checked.facts}
        hour = OpenHour(time.start_ms // 1000, stream.next_seq, time.joined, meters, {}, prices)
        hours.begin(hour, checked.ends_before)
    committed = partial(file.committed, site.name)
    shares = check_work(m, site.facts.payout_script, time.start_ms, site.work, committed)
    site.claims.settle(time.start_ms, site.work)
    finder = Finder(site.facts, site.work, site.claims, committed)
    for entry in m.rows("blocks"):
        _, anchored = check_block(entry, finder, file.blocks)
        site.anchored_by_block = max(site.anchored_by_block, anchored)
        site.blocks += 1
    m.finish()
    key = interval_key(site.name, time.start_ms)
    expected = energy.interval_postings(
        Occasion(site.name, key, time.start_ms, time.wall_end_ms),
        checked.energies,
        prices,
        export_limit_w=site.facts.export_limit_w,
        duration_s=INTERVAL_S,
    )
    file.ask_for(key, texts_of(expected))
    site.count(time.start_ms, shares, None if checked.energies is None else checked.energies.mining_j)


def texts_of(postings: Iterable[Posting]) -> Iterable[bytes]:
    """Postings as their canonical bytes, each without its id."""
    for posting in postings:
        member = posting_member(StoredPosting(0, posting))
        del member["id"]
        yield canonical(member)
