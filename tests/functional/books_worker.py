"""A child process of a test: closes quarter hours and finds blocks as fast as it can, and says each one when it is durable."""

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.unit.treasury.treasury_site import CHAIN, COIN, WALLET, DemoSite, as_node

from photosynth.storage import Database, DatabaseThread
from photosynth.treasury import ChainBooks
from photosynth.treasury.evidence.lines import last_quarter_hour
from photosynth.treasury.glance import evidence_state


async def work(folder: Path) -> None:
    """Resume from the state in the folder and go on until killed."""
    db, run = Database(folder / "photosynth.sqlite3"), DatabaseThread()
    site = DemoSite(db)
    node_file = folder / "node"
    for line in node_file.read_text().splitlines() if node_file.exists() else []:
        site.node.add(bytes.fromhex(line))
    site.extranonce = int.from_bytes(os.urandom(4), "big")
    books = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=site.clock)
    with db.read() as tx:
        last = last_quarter_hour(tx, site.site.site)
        state = evidence_state(tx)
    if last is not None and state.last_interval_ms is not None:
        site.clock.now_ms = state.last_interval_ms + 900_000
        site.registers = {meter["id"]: meter["register_end_j"] for meter in last.data["meters"]}
    while True:
        await books.follow(as_node(site.node), db, run)
        with db.begin() as tx:
            site.close(tx, site.facts({"hall-a-01": 2, "guest": 1}))
            records = evidence_state(tx).records
        print(json.dumps({"records": records, "head": site.head.hex()}), flush=True)
        site.node.extend(0)
        with db.begin() as tx:
            block_hash = site.find_block(tx)
            # The node's own log is written before the books' transaction ends, as a block is submitted first.
            with node_file.open("a") as file:
                file.write(site.node.blocks[block_hash].hex() + "\n")


asyncio.run(work(Path(sys.argv[1])))
