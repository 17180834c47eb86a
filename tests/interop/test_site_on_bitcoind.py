"""A site that mines on a bitcoind that its operator has: one line of the fleet file makes the difference."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.functional.running_site import EXAMPLES, RunningSite
from tests.peers.bitcoind import RunningBitcoind

pytestmark = pytest.mark.interop


@pytest.fixture
def site(tmp_path: Path, bitcoind: RunningBitcoind) -> Iterator[RunningSite]:
    fleet = tmp_path / "fleet.yaml"
    text = (EXAMPLES / "backnang.yaml").read_text()
    assert text.count("run: embedded") == 1
    reached = f"endpoints: {{rpc: '{bitcoind.url}'}}\n    credentials: {{cookie_file: {bitcoind.cookie}}}"
    fleet.write_text(text.replace("run: embedded", f"run: external\n    {reached}"))
    running = RunningSite(tmp_path / "state", fleet=fleet)
    yield running
    running.end()


def test_a_site_mines_on_a_real_bitcoind_and_survives_its_end(site: RunningSite, bitcoind: RunningBitcoind) -> None:
    site.start()
    site.wait_for(lambda: int(site.part()["chain"]["height"]) >= 2, "two blocks")
    status = site.get("status")
    assert "Knots" in status["sites"][0]["chain"]["software"] or "Satoshi" in status["sites"][0]["chain"]["software"]
    # The hash is read from bitcoind and the node's answer may be a block older: both name blocks of bitcoind's chain.
    assert bitcoind.rpc("getblockheader", status["sites"][0]["chain"]["tip"])["height"] == status["sites"][0]["chain"]["height"]
    site.wait_for(lambda: site.get("status")["ledger"]["reconciled_height"] is not None, "journal and chain to agree")
    site.wait_for(lambda: int(site.get("status")["ledger"]["immature_sat"]) > 0, "satoshis")
    coins = bitcoind.rpc("scantxoutset", "start", [f"raw({'0014751e76e8199196d454941c45d1b3a323f1433bd6'})"])
    assert int(coins["total_amount"] * 10**8) >= int(status["ledger"]["immature_sat"])

    bitcoind.process.kill()
    bitcoind.process.wait(10)
    site.wait_for(
        lambda: any(item["id"] == "node_unreachable" for item in site.conditions()),
        "the lost node to be named",
    )
    assert site.part()["chain"]["synchronised"] is False
    site.stop()


def test_a_site_starts_without_its_bitcoind_and_says_what_it_waits_for(site: RunningSite, bitcoind: RunningBitcoind) -> None:
    bitcoind.process.kill()
    bitcoind.process.wait(10)
    site.start()

    def told() -> str:
        return " ".join(item["evidence"] for item in site.conditions() if item["id"].startswith("part_down:node:"))

    site.wait_for(lambda: "bitcoind" in told(), "the node that is away to be named")
    chain = site.part()["chain"]
    assert (chain["height"], chain["synchronised"]) == (None, False)
    site.stop()
