"""A fleet without a site whose wallets lie on two chains: the books follow both, whatever becomes of the one's node."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.contract.solving import Recipe, mine
from tests.functional.running_site import RunningSite
from tests.peers.bitcoind import RunningBitcoind, free_port, stop
from tests.peers.setup_bitcoind import Bitcoind

from photosynth.bitcoin.address import address_of_script
from photosynth.bitcoin_node import open_node

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

OURS = b"\x00\x14" + bytes(range(20))
SUBSIDY_SAT = 50 * 10**8
MOST_TRIES = 2**31 - 1
"""A block of signet takes some five million."""


class SignetNode(RunningBitcoind):
    """A bitcoind on a signet of its own, whose blocks need no signature."""

    @property
    def cookie(self) -> Path:
        """Its cookie file."""
        return self.folder / "signet" / ".cookie"


@contextmanager
def signet(software: Bitcoind, folder: Path, rpc_port: int) -> Iterator[SignetNode]:
    folder.mkdir(exist_ok=True)
    command = [*software.command, "-signet", "-signetchallenge=51", f"-datadir={folder}", f"-rpcport={rpc_port}", "-server"]
    command += ["-rpcbind=127.0.0.1", "-rpcallowip=127.0.0.1", "-listen=0", "-dnsseed=0", "-connect=0", "-printtoconsole=0"]
    with (folder / "output.txt").open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        yield SignetNode(software.version, folder, rpc_port, 0, process)
    finally:
        stop(process)


async def mined(folder: Path, blocks: int) -> list[str]:
    """Blocks of regtest that pay us, from a node of their own."""
    node = await open_node(folder, "regtest")
    try:
        return [raw.hex() for raw in await mine(node, blocks, Recipe(script=OURS))]
    finally:
        await node.close()


def fleet(folder: Path, rpc_port: int) -> Path:
    whose = f"script: '{OURS.hex()}', party: someone, custody: own, storage: cold"
    wallets = "\n".join(f"  - {{id: on-{chain}, network: bitcoin, chain: {chain}, {whose}}}" for chain in ("regtest", "signet"))
    file = folder / "fleet.yaml"
    file.write_text(f"""
version: 2
operator: someone
nodes:
  - {{id: own, network: bitcoin, chain: regtest, role: full, run: embedded}}
  - id: far
    network: bitcoin
    chain: signet
    role: full
    run: external
    endpoints: {{rpc: "http://127.0.0.1:{rpc_port}"}}
    credentials: {{cookie_file: {folder}/signet-node/signet/.cookie}}
wallets:
{wallets}
""")
    return file


def held(site: RunningSite) -> dict[str, int]:
    """Satoshis that are not yet mature, by the chain that their posting's key names."""
    found: dict[str, int] = {}
    for posting in site.get("ledger?limit=1000")["postings"]:
        chain = posting["key"].split(":")[0]
        for line in posting["lines"]:
            if line["account"] == "1100":
                sign = 1 if line["side"] == "debit" else -1
                found[chain] = found.get(chain, 0) + sign * int(line["amount"])
    return found


def test_the_books_follow_two_chains_and_neither_waits_for_the_other(bitcoind_software: Bitcoind, tmp_path: Path) -> None:
    port, blocks, file = free_port(), asyncio.run(mined(tmp_path / "miner", 5)), tmp_path / "blocks.txt"
    site = RunningSite(tmp_path / "state", fleet=fleet(tmp_path, port))
    address = address_of_script(OURS, "signet")
    try:
        with signet(bitcoind_software, tmp_path / "signet-node", port) as far:
            site.start()
            site.wait_for(far.cookie.exists, "the signet node")
            site.wait_for(lambda: site.get("nodes/far")["head"] is not None, "far to answer")
            far.rpc("generatetoaddress", 2, address, MOST_TRIES, timeout_s=200)
            file.write_text("\n".join(blocks[:3]))
            assert site.command("chain", "import", str(file), "--node", "own").returncode == 0
            wanted = {"bitcoin/regtest": 3 * SUBSIDY_SAT, "bitcoin/signet": 2 * SUBSIDY_SAT}
            site.wait_for(lambda: held(site) == wanted, "both chains in the books")

        # The one is away: the other goes on, and what waits is said with its chain.
        file.write_text("\n".join(blocks))
        assert site.command("chain", "import", str(file), "--node", "own").returncode == 0
        wanted["bitcoin/regtest"] = 5 * SUBSIDY_SAT
        site.wait_for(lambda: held(site) == wanted, "the other chain to go on")

        def waiting() -> list[Any]:
            return [found["subject"] for found in site.get("status")["conditions"] if found["id"].startswith("books_wait")]

        site.wait_for(lambda: waiting() == ["bitcoin/signet"], "the books to say what they wait for")
        with signet(bitcoind_software, tmp_path / "signet-node", port) as far:
            site.wait_for(lambda: waiting() == [], "the books to go on")
            far.rpc("generatetoaddress", 1, address, MOST_TRIES, timeout_s=200)
            wanted["bitcoin/signet"] = 3 * SUBSIDY_SAT
            site.wait_for(lambda: held(site) == wanted, "the block that came since")

            # kill -9 of ours: everything is there again, once.
            site.kill()
            site.start()
            site.wait_for(lambda: site.get("status")["ledger"]["immature_sat"] == 8 * SUBSIDY_SAT, "the books again")
            assert held(site) == wanted
            listed = json.loads(site.command("ledger", "--json").stdout)["postings"]
            assert len({posting["key"] for posting in listed}) == len(listed) == 8
        site.stop()
    finally:
        site.end()
