"""Registers of a quarter hour that came after it was closed without them, and what follows from them."""

from photosynth.quantities.balance import allocate
from photosynth.quantities.instants import INTERVAL_S
from photosynth.treasury.evidence.check_energy import check_balance
from photosynth.treasury.evidence.envelope import Envelope
from photosynth.treasury.evidence.kinds.quarter_hour import texts_of
from photosynth.treasury.evidence.open_hours import OpenHour
from photosynth.treasury.evidence.parsing import parse_meter
from photosynth.treasury.evidence.reading import EvidenceError, Members
from photosynth.treasury.evidence.state import FileState, SiteState, Stream
from photosynth.treasury.journal import StoredPosting
from photosynth.treasury.mining import energy
from photosynth.treasury.mining.corrections import MOST_CORRECTIONS, reversal
from photosynth.treasury.mining.energy import Occasion, correction_key


def check(line: Envelope, stream: Stream, file: FileState) -> None:
    """Check a correction: it completes a quarter hour of this stream, and the books get the postings that follow."""
    site = file.sites[stream.name]
    state = site.energy
    m = Members(line.data(), "the correction")
    start_s, seq, number = m.integer("start_utc_s"), m.count("quarter_hour_seq"), m.count("number")
    hour = state.hours.by_start.get(start_s)
    if hour is None or hour.seq != seq:
        raise EvidenceError("it corrects a quarter hour that was closed with every register, or is not there")
    file.start_ms = start_s * 1000
    if number > MOST_CORRECTIONS:
        raise EvidenceError(f"a quarter hour is corrected {MOST_CORRECTIONS} times at most")
    if number != hour.corrections + 1:
        raise EvidenceError(f"it is correction {number} of its quarter hour, not {hour.corrections + 1}")
    wall_ms = m.integer("wall_ms")
    late = [parse_meter(entry) for entry in m.rows("meters")]
    if len({fact.id for fact in late}) != len(late) or not late:
        raise EvidenceError("it lists a meter twice, or none")
    state.hours.correct(hour, late)
    facts = list(hour.meters.values())
    found = energy.energies(site.facts.meters, facts)
    allocation = check_balance(m, site.facts, facts, found)
    m.finish()
    if found is None or allocation is None:
        raise EvidenceError("a register is unknown still: a correction completes its quarter hour")
    if start_s + INTERVAL_S == state.next_start_s:
        state.register_ends |= {fact.id: fact.register_end_j for fact in late if fact.register_end_j is not None}
    if hour.counted is not None:
        state.count(*hour.counted, sign=-1)
    state.count(found, allocate(found))
    hour.counted = found, allocation
    hour.corrections = number
    state.corrections += number == 1
    _ask(hour, site, file, Occasion(site.name, correction_key(site.name, start_s * 1000, number), start_s * 1000, wall_ms))


def _ask(hour: OpenHour, site: SiteState, file: FileState, at: Occasion) -> None:
    """The books take back what the correction before posted, and post what is right."""
    if hour.posted and hour.first_id is None and not file.partial:
        raise EvidenceError("it corrects a correction whose postings are not in the books yet")
    standing = [reversal(StoredPosting((hour.first_id or 0) + n, posting), at) for n, posting in enumerate(hour.posted)]
    assert hour.counted is not None, "the correction has energies"
    made = energy.interval_postings(
        at, hour.counted[0], hour.prices, export_limit_w=site.facts.export_limit_w, duration_s=INTERVAL_S
    )
    hour.posted, hour.first_id = tuple(made), None
    file.ask_for(at.key, texts_of([*standing, *made]))
    if made and not file.partial:
        file.corrected[at.key.encode()] = (hour, len(standing))
