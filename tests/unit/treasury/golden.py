"""The story behind the golden file, with every kind of line in it: `python -m tests.unit.treasury.golden` writes it anew."""

import asyncio
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.unit.treasury.evidence_files import GOLDEN, next_identity
from tests.unit.treasury.treasury_site import CHAIN, COIN, WALLET, DemoSite, as_node, make_block, open_database

from photosynth.quantities.instants import INTERVAL_MS
from photosynth.storage import Database, DatabaseThread
from photosynth.treasury import ChainBooks
from photosynth.treasury.facts import CorrectionFacts, MeterFact


async def write_golden(db: Database, path: Path) -> None:
    """Four quarter hours: one with a block of ours; one whose roof is read late; new keys; a block of nobody's pool."""
    site = DemoSite(db)
    books = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=site.clock)
    run = DatabaseThread()

    async def follow() -> None:
        await books.follow(as_node(site.node), db, run)

    facts = site.facts({"hall-a-01": 2, "guest": 1})
    with db.begin() as tx:
        site.find_block(tx)
    await follow()
    with db.begin() as tx:
        site.close(tx, facts)
    facts = site.facts({"hall-a-01": 1})
    roof, *others = facts.meters
    dark = replace(roof, register_start_j=None, register_end_j=None, quality="unknown")
    with db.begin() as tx:
        site.close(tx, replace(facts, meters=(dark, *others)))
        record = site.books.correct_interval(tx, late(facts.start_ms, roof))
        assert record is not None
        site.fleet.rotate_key(tx, next_identity("books"))
        site.head = site.books.rotate_key(tx, next_identity("backnang")).root
    site.node.add(make_block(site.node.chain[-1], 2, 11, commitment=b"\x77" * 32))
    await follow()
    with db.begin() as tx:
        site.close(tx, site.facts({"guest": 1}))
        record = site.books.correct_interval(tx, late(facts.start_ms, replace(roof, quality="estimated")))
        assert record is not None
        site.head = record.root
    facts = site.facts({"hall-a-01": 1, "guest": 1})
    with db.begin() as tx:
        site.find_block(tx)
    await follow()
    with db.begin() as tx:
        site.close(tx, facts)
        site.facts({"hall-a-01": 1})
        site.find_block(tx)
    with db.read() as tx:
        site.export(tx, path)
    run.close()


def late(start_ms: int, roof: MeterFact) -> CorrectionFacts:
    """What the roof's meter said of a quarter hour, an hour later."""
    return CorrectionFacts(start_ms, start_ms + 4 * INTERVAL_MS, (roof,))


def main() -> None:
    """Write the file."""
    with TemporaryDirectory() as folder, open_database(Path(folder)) as db:
        asyncio.run(write_golden(db, GOLDEN))


if __name__ == "__main__":
    main()
