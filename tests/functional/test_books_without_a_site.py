"""A fleet of two embedded nodes that are no peers of each other, with a wallet and no site: a failover is no reorganisation."""

from pathlib import Path

import pytest
from tests.contract.solving import Recipe, mine
from tests.functional.test_two_sites import running, until

from photosynth.operations.evidence_door import evidence_lines
from photosynth.operations.running import RunningView
from photosynth.operations.running_fleet import RunningFleet
from photosynth.operations.state import StateFolder
from photosynth.treasury import Identity, verify

pytestmark = pytest.mark.functional

OURS = b"\x00\x14" + bytes(range(20))
SUBSIDY_SAT = 50 * 10**8
FLEET = f"""
version: 2
operator: someone
nodes:
  - {{id: first, network: bitcoin, chain: regtest, role: full, run: embedded}}
  - {{id: second, network: bitcoin, chain: regtest, role: full, run: embedded}}
wallets:
  - {{id: cold, network: bitcoin, chain: regtest, script: '{OURS.hex()}', party: someone, custody: own, storage: cold}}
"""


async def held_sat(fleet: RunningFleet) -> int:
    return (await RunningView(fleet).status()).ledger.immature_sat


async def reversals(fleet: RunningFleet) -> int:
    postings = (await RunningView(fleet).ledger()).postings
    return sum(posting.event.endswith("_reversed") for posting in postings)


async def test_a_failover_is_no_reorganisation_and_a_heavier_branch_is(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    async with running(tmp_path / "fleet.yaml", tmp_path / "state") as fleet:
        first, second = (fleet.nodes[name].running.node for name in ("first", "second"))
        books = fleet.chains["bitcoin/regtest"]

        async def follows(height: int, coins: int, what: str) -> None:
            await until(lambda: books.books.service is not None, "the books to begin")
            before = books.books.running
            for _ in range(600):
                if await held_sat(fleet) == coins * SUBSIDY_SAT:
                    return
                await first.wait_for_tip((await first.tip()).hash, 0.1)
            raise AssertionError(f"waited for {what} at {height}; {before.fault}")

        blocks = await mine(first, 5, Recipe(script=OURS))
        for raw in blocks[:3]:
            assert (await second.submit_block(raw)).accepted
        await follows(5, 5, "the first node's blocks")

        unit = fleet.nodes["first"]
        opened, unit.service = unit.service, None  # as a node that goes away
        await until(lambda: "behind what they know" in (books.books.running.fault or ""), "the books to wait")
        assert (await held_sat(fleet), await reversals(fleet)) == (5 * SUBSIDY_SAT, 0)
        waiting = [found.subject for found in (await RunningView(fleet).status()).conditions]
        assert "bitcoin/regtest" in waiting

        await mine(second, 3, Recipe(script=OURS, extranonce=b"else"))
        await follows(6, 6, "the branch that has more work")
        assert await reversals(fleet) == 2
        unit.service = opened
        await mine(second, 1, Recipe(script=OURS))
        await follows(7, 7, "the books to stay with who is further")
        assert await reversals(fleet) == 2
        assert books.books.running.fault is None
    path, folder = tmp_path / "evidence.jsonl", StateFolder(tmp_path / "state")
    path.write_bytes(b"".join(line + b"\n" for line in evidence_lines(folder)))
    report = verify(path, Identity.open(folder.key("books")).public_key)
    assert (report.reason, report.complete) == (None, True)
    events = [path.read_bytes().count(b'"event":"%b"' % event) for event in (b"coinbase_accrued", b"coinbase_accrued_reversed")]
    assert events == [9, 2]
