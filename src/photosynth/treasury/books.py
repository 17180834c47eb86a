"""Closing a quarter hour: its row, its work, its postings and its evidence record, in the transaction of the caller."""

import json
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.bitcoin.node import hash_text
from photosynth.quantities.balance import Energies, MeterRole, allocate
from photosynth.quantities.instants import INTERVAL_MS, INTERVAL_S
from photosynth.storage.meta import get_meta, put_meta
from photosynth.storage.scopes import of_stream
from photosynth.storage.tables import BLOCK_ATTRIBUTION, BLOCKS, INTERVALS, REJECTED, WORK
from photosynth.treasury import energy
from photosynth.treasury.blocks import attribution_of, blocks_where, in_stream, record_found_block
from photosynth.treasury.evidence import body as bodies
from photosynth.treasury.evidence import lines
from photosynth.treasury.evidence.canonical import canonical
from photosynth.treasury.evidence.lines import EvidenceRecord
from photosynth.treasury.evidence.seal import Identity
from photosynth.treasury.facts import BlockFact, IntervalFacts, MeterFact, SiteFacts
from photosynth.treasury.glance import evidence_state
from photosynth.treasury.journal import OtherBooksError, TreasuryError, post, postings_after
from photosynth.treasury.parties import keep_parties, of_energy

LAST_POSTING = "evidence_last_posting"
_UNSTABLE = ("seq", "follows")
_FOR_GOOD = (
    ("genesis_hash", "chain with genesis block", "Use that chain's node"),
    ("payout_script", "payout script", "Put that script back into the fleet file"),
    ("public_key", "signing key", "Restore identity.key from a backup"),
)
"""What the books of one state never change, with what the operator can do."""


_ENERGY_COLUMNS: dict[MeterRole, str] = {
    "own_generation": "own_j",
    "import": "import_j",
    "export": "export_j",
    "factory": "factory_j",
    "mining": "mining_j",
}


class Books:
    """The books of one site: what holds for all its quarter hours, and the key that signs their evidence."""

    def __init__(self, site: SiteFacts, identity: Identity) -> None:
        self.site = site
        self._identity = identity
        self._stream = site.site

    def open(self, tx: Connection) -> bytes:
        """Begin or continue the evidence and return its head: a new header line where the configuration is another.

        Raises OtherBooksError where this state's books are of another chain, payout script or signing key.
        """
        owners = {self.site.operator, *(meter.party for meter in self.site.meters)}
        keep_parties(tx, owners, dict(self.site.parties))
        last = lines.last_body(tx, self._stream, "header")
        if last is not None:
            self._refuse_other_books(last)
        if last is None:
            self._header(tx, "nothing")
        elif self._described() != {k: v for k, v in last.items() if k not in _UNSTABLE}:
            self._header(tx, "configuration")
        return self.head(tx)

    def head(self, tx: Connection) -> bytes:
        """The hash that the next coinbase commits to."""
        last = lines.last_line(tx, self._stream)
        if last is None:
            raise TreasuryError("the evidence has no header yet: open the books first")
        return last.hash

    def record_found_block(self, tx: Connection, fact: BlockFact) -> bytes:
        """Write down a block that the pool found, with its attribution; safe to repeat. Returns its hash."""
        return record_found_block(tx, self.site.chain, self.site.site, fact, self.site.payout_script)

    def close_interval(self, tx: Connection, facts: IntervalFacts) -> EvidenceRecord:
        """Close a quarter hour and return its record, which is the new head.

        Closing it again changes nothing and returns the record that is there. Raises TreasuryError where the start is
        not that of a quarter hour, or lies before one that is closed.
        """
        done = lines.record_of_interval(tx, self._stream, facts.start_ms)
        if done is not None:
            return done
        self._check(tx, facts)
        self.open(tx)
        if not self._continues(tx, facts):
            self._header(tx, "gap")
        by_role = energy.role_energies(self.site.meters, facts.meters)
        energies = Energies.of(by_role)
        facts = self._judged(facts, energies)
        seq = self._next_seq(tx)
        postings = energy.interval_postings(
            self.site.site,
            facts.start_ms,
            facts.wall_end_ms,
            energies,
            facts.prices,
            export_limit_w=self.site.export_limit_w,
            duration_s=INTERVAL_S,
        )
        cost = energy.mining_cost_ueur(postings) if facts.prices and energies else None
        _store(tx, self.site.site, facts, seq=seq, by_role=by_role, cost=cost)
        for posting in postings:
            if post(tx, replace(posting, lines=of_energy(posting.lines, self.site.meters))) is None:
                raise TreasuryError(f"{posting.key} is posted, but its quarter hour is not closed")
        return self._record(tx, seq, facts, energies)

    def _record(self, tx: Connection, seq: int, facts: IntervalFacts, energies: Energies | None) -> EvidenceRecord:
        ours, noted = in_stream(self._stream), of_stream(self._stream)
        waiting = blocks_where(tx, ours, BLOCKS.c.evidence_seq.is_(None))
        row = BLOCK_ATTRIBUTION.c
        attributed = sa.exists().where(row.chain == BLOCKS.c.chain, row.block_hash == BLOCKS.c.hash)
        late = blocks_where(tx, ours, BLOCKS.c.evidence_seq.is_not(None), BLOCKS.c.attribution_seq.is_(None), attributed)
        posted = postings_after(tx, get_meta(tx, noted, LAST_POSTING) or 0)
        blocks = [bodies.block_member(block, attribution_of(tx, block.chain, block.hash)) for block in waiting]
        late_members = [
            {"hash": hash_text(block.hash), "attribution": bodies.attribution_member(attribution_of(tx, block.chain, block.hash))}
            for block in late
        ]
        body = bodies.record_body(seq, facts, energies, blocks=blocks, late_attributions=late_members, postings=posted)
        record = lines.append(tx, self._stream, self._identity, "record", start_ms=facts.start_ms, body=body)
        tx.execute(BLOCKS.update().where(ours, BLOCKS.c.attribution_seq.is_(None), attributed).values(attribution_seq=seq))
        tx.execute(BLOCKS.update().where(ours, BLOCKS.c.evidence_seq.is_(None)).values(evidence_seq=seq))
        if posted:
            put_meta(tx, noted, LAST_POSTING, posted[-1].id)
        return record

    def _check(self, tx: Connection, facts: IntervalFacts) -> None:
        if facts.start_ms % INTERVAL_MS:
            raise TreasuryError(f"{facts.start_ms} ms is not the start of a quarter hour")
        unknown = {meter.id for meter in facts.meters} - {meter.id for meter in self.site.meters}
        if unknown:
            raise TreasuryError(f"the site has no meter {', '.join(sorted(unknown))}")
        last = evidence_state(tx, self._stream).last_interval_ms
        if last is not None and facts.start_ms < last:
            raise TreasuryError(f"the quarter hour {facts.start_ms} ms lies before {last} ms, which is closed")

    def _continues(self, tx: Connection, facts: IntervalFacts) -> bool:
        """Whether time and registers go on where the last record left them."""
        last = lines.last_body(tx, self._stream, "record")
        if last is None:
            return True
        if facts.start_ms // 1000 != last["start_utc_s"] + last["duration_s"]:
            return False
        ends = {meter["id"]: meter["register_end_j"] for meter in last["meters"]}
        for meter in facts.meters:
            end = ends.get(meter.id)
            if end is not None and meter.register_start_j is not None and int(end) != meter.register_start_j:
                return False
        return True

    def _judged(self, facts: IntervalFacts, energies: Energies | None) -> IntervalFacts:
        """Readings that contradict each other beyond their classes are not good, whatever their meters say."""
        bound = energy.residual_bound_j(self.site.meters, facts.meters)
        if energies is None or bound is None or abs(energies.residual_j) <= bound:
            return facts
        return replace(facts, meters=tuple(_suspect(meter) for meter in facts.meters))

    def _next_seq(self, tx: Connection) -> int:
        last = lines.last_line(tx, self._stream)
        return 0 if last is None else last.seq + 1

    def _header(self, tx: Connection, follows: bodies.Follows) -> None:
        body = bodies.header_body(self.site, self._identity.public_key, self._next_seq(tx), follows)
        lines.append(tx, self._stream, self._identity, "header", start_ms=None, body=body)

    def _refuse_other_books(self, last: dict[str, Any]) -> None:
        described = self._described()
        for name, what, advice in _FOR_GOOD:
            if described[name] != last[name]:
                raise OtherBooksError(
                    f"the books of this state are of the {what} {last[name]}, not {described[name]}. {advice}, "
                    "or start with another --state folder."
                )

    def _described(self) -> dict[str, Any]:
        body = bodies.header_body(self.site, self._identity.public_key, 0, "nothing")
        described: dict[str, Any] = json.loads(canonical(body))
        return {name: value for name, value in described.items() if name not in _UNSTABLE}


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
