"""Closing a quarter hour of a site: its row, its work, its evidence and its postings, in the transaction of the caller."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.bitcoin.wire import FormatError
from photosynth.quantities.balance import Energies, MeterRole, allocate
from photosynth.quantities.instants import INTERVAL_MS, INTERVAL_S
from photosynth.storage.tables import BLOCKS, INTERVALS, REJECTED, WORK
from photosynth.treasury.evidence import body as bodies
from photosynth.treasury.evidence import lines
from photosynth.treasury.evidence.coinbases import ReadCoinbase
from photosynth.treasury.evidence.export import found_blocks
from photosynth.treasury.evidence.heads import Commitment
from photosynth.treasury.evidence.lines import EvidenceRecord
from photosynth.treasury.evidence.seal import Identity
from photosynth.treasury.facts import BlockFact, ChainFact, CorrectionFacts, IntervalFacts, MeterFact, SiteFacts
from photosynth.treasury.fleet_books import FleetBooks, said
from photosynth.treasury.journal import OtherBooksError, TreasuryError, post
from photosynth.treasury.mining import energy
from photosynth.treasury.mining.blocks import record_found_block, this
from photosynth.treasury.mining.corrections import correct, interval_occasion
from photosynth.treasury.parties import keep_parties, of_energy
from photosynth.treasury.stream_keys import put_new_key, refuse_other_key

_FOR_GOOD = (
    ("chain", "chain", "Use that chain's node"),
    ("genesis_hash", "chain with genesis block", "Use that chain's node"),
    ("payout_script", "payout script", "Put that script back into the fleet file"),
)
"""What a site's evidence never changes, with what the operator can do."""

_ENERGY_COLUMNS: dict[MeterRole, str] = {
    "own_generation": "own_j",
    "import": "import_j",
    "export": "export_j",
    "factory": "factory_j",
    "mining": "mining_j",
}


class SiteBooks:
    """The books of one site: what holds for all its quarter hours, the key that signs their evidence, the fleet's books.

    The site's stream of evidence is named as the site is.
    """

    def __init__(self, site: SiteFacts, identity: Identity, fleet: FleetBooks) -> None:
        self.site = site
        self.fleet = fleet
        fleet.know(ChainFact(site.chain, site.genesis_hash, site.asset))
        self.identity = identity

    def open(self, tx: Connection) -> bytes:
        """Begin or continue the fleet's evidence and the site's; returns the root that coinbases commit to.

        Where the configuration is another, a new line says so. Raises OtherBooksError where this state's books are of another
        chain, payout script or signing key.
        """
        owners = {self.site.operator, *(meter.party for meter in self.site.meters)}
        keep_parties(tx, owners, dict(self.site.parties))
        self.fleet.open(tx)
        last = lines.last_of_kind(tx, self.site.site, "site")
        refuse_other_key(tx, self.site.site, self.identity, OtherBooksError)
        if last is None:
            self._configuration(tx, "nothing")
        else:
            self._refuse_other_site(last.data)
            if self._described() != said(last.data):
                self._configuration(tx, "configuration")
        return self.fleet.root(tx)

    def root(self, tx: Connection) -> bytes:
        """What the next coinbase commits to."""
        return self.fleet.root(tx)

    def record_found_block(self, tx: Connection, fact: BlockFact) -> bytes:
        """Write down a block that the pool found, with its attribution; safe to repeat. Returns its hash."""
        return record_found_block(tx, self.site.chain, self.site.site, fact, self.site.payout_script)

    def close_interval(self, tx: Connection, facts: IntervalFacts) -> EvidenceRecord:
        """Close a quarter hour and post its energy; returns the newest line, with the root to commit to.

        What is posted follows from what the line says, and comes into the books' own lines later. Closing it again changes
        nothing. Raises TreasuryError where the start is not that of a quarter hour, or lies before one
        that is closed.
        """
        newest = lines.newest_line(tx)
        if newest is not None and lines.quarter_hour_line(tx, self.site.site, facts.start_ms) is not None:
            return newest
        self._check(tx, facts)
        self.open(tx)
        if not self._continues(tx, facts):
            self._configuration(tx, "gap")
        by_role = energy.role_energies(self.site.meters, facts.meters)
        energies = Energies.of(by_role)
        facts = judged(self.site, facts, energies)
        record = self._quarter_hour(tx, facts, energies)
        postings = energy.interval_postings(
            interval_occasion(self.site.site, facts.start_ms, facts.wall_end_ms),
            energies,
            facts.prices,
            export_limit_w=self.site.export_limit_w,
            duration_s=INTERVAL_S,
        )
        cost = energy.mining_cost_ueur(postings) if facts.prices and energies else None
        _store(tx, self.site.site, facts, seq=record.seq, by_role=by_role, cost=cost)
        for posting in postings:
            if post(tx, replace(posting, lines=of_energy(posting.lines, self.site.meters))) is None:
                raise TreasuryError(f"{posting.key} is posted, but its quarter hour is not closed")
        return record

    def correct_interval(self, tx: Connection, facts: CorrectionFacts) -> EvidenceRecord | None:
        """Write down registers that came after their quarter hour was closed without them, and post what follows.

        Returns the newest line; None where some register of that quarter hour is unknown still, or none was: then nothing is
        written. Raises TreasuryError where that quarter hour is not closed, or registers contradict those around it.
        """
        self.open(tx)
        if correct(tx, self.site, self.identity, facts) is None:
            return None
        return self.fleet.record_postings(tx)

    def rotate_key(self, tx: Connection, new: Identity) -> EvidenceRecord:
        """Hand the site's stream over to a new key."""
        record = put_new_key(tx, self.site.site, self.identity, new)
        self.identity = new
        return record

    def _quarter_hour(self, tx: Connection, facts: IntervalFacts, energies: Energies | None) -> EvidenceRecord:
        names, blocks = found_blocks(tx, self.site.site)
        data = bodies.quarter_hour_data(facts, energies, blocks=blocks, commitments=self._commitments(tx, facts))
        record = lines.append(tx, self.site.site, self.identity, "quarter_hour", facts.start_ms, data)
        for name in names:
            tx.execute(BLOCKS.update().where(*this(self.site.chain, name)).values(evidence_seq=record.seq))
        return record

    def _commitments(self, tx: Connection, facts: IntervalFacts) -> Mapping[str, Commitment]:
        """How each job that best headers rest on commits to a line of the site's; a job that does not is left out."""
        found = {}
        for fact in facts.best:
            job = facts.jobs.get(fact.job)
            if job is None or fact.job in found:
                continue
            try:
                root = ReadCoinbase.parse(job.prefix + fact.extranonce + job.suffix).commitment
            except FormatError:
                continue
            commitment = lines.commitment_to(tx, self.site.site, root)
            if commitment is not None:
                found[fact.job] = commitment
        return found

    def _check(self, tx: Connection, facts: IntervalFacts) -> None:
        if facts.start_ms % INTERVAL_MS:
            raise TreasuryError(f"{facts.start_ms} ms is not the start of a quarter hour")
        unknown = {meter.id for meter in facts.meters} - {meter.id for meter in self.site.meters}
        if unknown:
            raise TreasuryError(f"the site has no meter {', '.join(sorted(unknown))}")
        last = lines.last_quarter_hour(tx, self.site.site)
        if last is not None and last.start_ms is not None and facts.start_ms < last.start_ms:
            raise TreasuryError(f"the quarter hour {facts.start_ms} ms lies before {last.start_ms} ms, which is closed")

    def _continues(self, tx: Connection, facts: IntervalFacts) -> bool:
        """Whether time and registers go on where the last quarter hour left them."""
        mine = sa.select(INTERVALS).where(INTERVALS.c.site == self.site.site)
        last = tx.execute(mine.order_by(INTERVALS.c.start_ms.desc()).limit(1)).first()
        if last is None:
            return True
        if facts.start_ms != last.start_ms + INTERVAL_MS:
            return False
        ends = {meter["id"]: meter["register_end_j"] for meter in last.meters}
        for meter in facts.meters:
            end = ends.get(meter.id)
            if end is not None and meter.register_start_j is not None and int(end) != meter.register_start_j:
                return False
        return True

    def _configuration(self, tx: Connection, follows: bodies.Follows) -> None:
        data = bodies.site_data(self.site, self.identity.public_key, follows)
        lines.append(tx, self.site.site, self.identity, "site", None, data)

    def _refuse_other_site(self, last: dict[str, Any]) -> None:
        described = self._described()
        for name, what, advice in _FOR_GOOD:
            if described[name] != last[name]:
                raise OtherBooksError(
                    f"the books of this state are of the {what} {last[name]}, not {described[name]}. {advice}, "
                    "or start with another --state folder."
                )

    def _described(self) -> dict[str, Any]:
        return said(bodies.site_data(self.site, self.identity.public_key, "nothing"))


def judged(site: SiteFacts, facts: IntervalFacts, energies: Energies | None) -> IntervalFacts:
    """Readings that contradict each other beyond their classes are not good, whatever their meters say."""
    bound = energy.residual_bound_j(site.meters, facts.meters)
    if energies is None or bound is None or abs(energies.residual_j) <= bound:
        return facts
    return replace(facts, meters=tuple(_suspect(meter) for meter in facts.meters))


def _suspect(meter: MeterFact) -> MeterFact:
    return replace(meter, quality="suspect") if meter.quality == "good" else meter


def _store(
    tx: Connection, site: str, facts: IntervalFacts, *, seq: int, by_role: dict[MeterRole, int | None], cost: int | None
) -> None:
    energies = Energies.of(by_role)
    row: dict[str, Any] = {
        "site": site,
        "start_ms": facts.start_ms,
        "seq": seq,
        "wall_start_ms": facts.wall_start_ms,
        "wall_end_ms": facts.wall_end_ms,
        "speed_milli": facts.speed_milli,
        "meters": [bodies.meter_member(meter) for meter in facts.meters],
        "prices": bodies.price_member(facts.prices),
        "coin": bodies.coin_member(facts.coin),
        "curtailed_estimate_j": facts.curtailed_estimate_j,
        "mining_cost_ueur": cost,
        **{_ENERGY_COLUMNS[role]: joules for role, joules in by_role.items()},
    }
    if energies is not None:
        allocation, row["residual_j"] = allocate(energies), energies.residual_j
        for name in ("own_factory_j", "own_mining_j", "grid_mining_j", "grid_factory_j"):
            row[name] = getattr(allocation, name)
    tx.execute(INTERVALS.insert().values(**row))
    key = {"site": site, "interval_start_ms": facts.start_ms}
    names = ("worker", "party", "round", "target", "scale", "accepted", "work", "represented", "share_root")
    work = [{**key, **{name: getattr(fact, name) for name in names}} for fact in facts.work]
    if work:
        tx.execute(WORK.insert(), work)
    rejected = [{**key, "worker": fact.worker, "code": fact.code, "shares": fact.shares} for fact in facts.rejected]
    if rejected:
        tx.execute(REJECTED.insert(), rejected)
