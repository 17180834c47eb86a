"""The chain that a site mined is the chain of a real bitcoind, and a longer branch turns both around, books included."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.solving import mine
from tests.functional.running_site import EXAMPLES, RunningSite
from tests.peers.bitcoind import RunningBitcoind

from photosynth.networks.bitcoin.node import BitcoindNode
from photosynth.networks.bitcoin.rpc import CredentialsFile

pytestmark = pytest.mark.interop

MATURITY = 100


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    # Without its machine that ignores orders, so that a stopped site finds no more blocks.
    text = (EXAMPLES / "backnang.yaml").read_text()
    fleet = tmp_path / "obedient.yaml"
    fleet.write_text(text[: text.index("      habits:")] + text[text.index("nodes:\n") :])
    running = RunningSite(tmp_path / "state", "--speed", "300", fleet=fleet)
    yield running
    running.end()


def feed(node: RunningBitcoind, lines: list[str]) -> None:
    for number, line in enumerate(lines, 1):
        assert node.rpc("submitblock", line) is None, f"bitcoind refuses block {number}"


async def branch_on(node: RunningBitcoind, blocks: int) -> None:
    driver = BitcoindNode(node.url, CredentialsFile(node.cookie))
    try:
        await mine(driver, blocks)
    finally:
        await driver.close()


def satoshis(site: RunningSite) -> dict[str, int]:
    rows: list[dict[str, Any]] = site.get("ledger?limit=0")["trial_balance"]
    return {row["account"]: int(row["closing"]) for row in rows if row["asset"] == "BTC"}


def test_a_real_bitcoind_accepts_every_block_and_a_longer_branch_turns_the_books(
    site: RunningSite, bitcoind: RunningBitcoind, tmp_path: Path
) -> None:
    site.start()
    site.wait_for(lambda: int(site.part()["chain"]["height"]) >= 6, "six blocks")
    assert site.command("stop-mining", "--reason", "the chain shall stand still", "--json").returncode == 0
    exported = tmp_path / "chain.txt"
    assert site.command("chain", "export", str(exported)).returncode == 0
    lines = exported.read_text().split()
    feed(bitcoind, lines)
    assert bitcoind.rpc("getblockcount") == len(lines)

    status = site.get("status")
    ours = int(status["ledger"]["immature_sat"])
    assert ours > 0
    assert satoshis(site)["1100"] == ours

    # A branch from the third block on, mined by bitcoind to another script, becomes longer than ours.
    fork = bitcoind.rpc("getblockhash", 3)
    ours_above = bitcoind.rpc("getblockhash", 4)
    bitcoind.rpc("invalidateblock", ours_above)
    assert bitcoind.rpc("getbestblockhash") == fork
    asyncio.run(branch_on(bitcoind, len(lines)))
    longer = tmp_path / "longer.txt"
    height = int(bitcoind.rpc("getblockcount"))
    longer.write_text(
        "\n".join(bitcoind.rpc("getblock", bitcoind.rpc("getblockhash", at), 0) for at in range(1, height + 1)) + "\n"
    )
    imported = site.command("chain", "import", str(longer))
    assert imported.returncode == 0, imported
    site.wait_for(lambda: site.part()["chain"]["tip"] == bitcoind.rpc("getbestblockhash"), "the longer branch")
    # Two machines may find a block at one height within milliseconds: one of the two never counted.
    below = [block for block in site.get("blocks") if block["height"] <= 3 and block["state"] != "orphaned"]
    kept = sum(block["value_sat"] for block in below)
    site.wait_for(lambda: satoshis(site)["1100"] == kept, "the books to reverse what left the chain")
    assert {block["state"] for block in site.get("blocks") if block["height"] > 3} == {"orphaned"}

    # And back again: our branch, made longer than theirs by bitcoind, returns to the satoshi.
    bitcoind.rpc("invalidateblock", bitcoind.rpc("getblockhash", 4))
    bitcoind.rpc("reconsiderblock", ours_above)
    assert bitcoind.rpc("getblockcount") == len(lines)
    feed_back = tmp_path / "back.txt"
    asyncio.run(branch_on(bitcoind, height))
    tip = int(bitcoind.rpc("getblockcount"))
    feed_back.write_text(
        "\n".join(bitcoind.rpc("getblock", bitcoind.rpc("getblockhash", at), 0) for at in range(1, tip + 1)) + "\n"
    )
    assert site.command("chain", "import", str(feed_back)).returncode == 0
    site.wait_for(lambda: site.part()["chain"]["tip"] == bitcoind.rpc("getbestblockhash"), "our branch again")
    site.wait_for(lambda: satoshis(site).get("1100", 0) + satoshis(site).get("1110", 0) == ours, "every satoshi to return")
    keys = [posting["key"] for posting in site.get("ledger?limit=10000")["postings"]]
    assert len(keys) == len(set(keys))
