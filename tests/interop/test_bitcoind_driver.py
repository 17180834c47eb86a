"""The driver, the probe and the recipe against a real bitcoind, beyond what every Bitcoin node must do."""

import asyncio
import hashlib
import hmac
import os
import subprocess
import time
from decimal import Decimal
from pathlib import Path

import pytest
from tests.contract.solving import Recipe, build, hash_of, mine
from tests.peers.bitcoind import RpcRefusedError, RunningBitcoind, free_port, running_bitcoind, stop
from tests.peers.setup_bitcoind import Bitcoind

from photosynth.bitcoin.address import address_of_script
from photosynth.bitcoin.demonstration import HOLD_MS, DemonstrationTarget
from photosynth.bitcoin.node import NodeUnavailableError, hash_bytes, hash_text
from photosynth.bitcoin.transaction import Transaction, TxIn, TxOut
from photosynth.networks.bitcoin import recipe
from photosynth.networks.bitcoin.conditions import judge
from photosynth.networks.bitcoin.node import BitcoindNode
from photosynth.networks.bitcoin.probe import probe
from photosynth.networks.bitcoin.rpc import CredentialsFile, RpcClient, RpcError, UserWithPasswordFile
from photosynth.networks.grammar import Place

pytestmark = pytest.mark.interop
ANYONE = bytes.fromhex("51")
ANYONE_BY_HASH = b"\x00\x20" + hashlib.sha256(ANYONE).digest()
"""A witness output that anybody may spend by showing the script."""
SOON_S = 30.0


def driver(bitcoind: RunningBitcoind, demonstration: DemonstrationTarget | None = None) -> BitcoindNode:
    return BitcoindNode(bitcoind.url, CredentialsFile(bitcoind.cookie), demonstration)


async def test_a_restarted_bitcoind_has_a_new_cookie_and_is_spoken_to_again(bitcoind_software: Bitcoind, tmp_path: Path) -> None:
    with running_bitcoind(bitcoind_software, tmp_path / "node") as first:
        port = first.rpc_port
        node = driver(first)
        await mine(node, 3)
        tip = await node.tip()
        cookie = first.cookie.read_text()
    with pytest.raises(NodeUnavailableError, match=f"bitcoind at http://127.0.0.1:{port}: nothing answers there"):
        await node.tip()
    with running_bitcoind(bitcoind_software, tmp_path / "node", rpc_port=port) as second:
        assert second.cookie.read_text() != cookie
        assert second.rpc("getblockcount") == 3
        assert await node.tip() == tip
        await mine(node)
    await node.close()


async def test_user_and_password_and_what_a_wrong_one_is_told(bitcoind_software: Bitcoind, tmp_path: Path) -> None:
    salt = os.urandom(8).hex()
    digest = hmac.new(salt.encode(), b"let me in", "sha256").hexdigest()
    password = tmp_path / "password"
    password.write_text("let me in\n")
    flag = f"-rpcauth=miner:{salt}${digest}"
    with running_bitcoind(bitcoind_software, tmp_path / "node", flag, throw_away=True) as bitcoind:
        node = BitcoindNode(bitcoind.url, UserWithPasswordFile("miner", password))
        await mine(node)
        password.write_text("wrong")
        other = BitcoindNode(bitcoind.url, UserWithPasswordFile("miner", password))
        with pytest.raises(NodeUnavailableError, match="refuses user and password"):
            await other.tip()
        await node.close()
        await other.close()


async def test_transactions_of_the_mempool_are_in_the_template_and_are_mined(bitcoind: RunningBitcoind) -> None:
    node = driver(bitcoind)
    mined = await mine(node, 101, Recipe(script=ANYONE_BY_HASH))
    coinbase = Transaction.parse(mined[0][81:])
    payment = Transaction(
        2,
        (TxIn(coinbase.txid, 0, witness=(ANYONE,)),),
        (TxOut(coinbase.outputs[0].value_sat - 5000, ANYONE_BY_HASH),),
    )
    # Sent before bitcoind has made a template on this tip: it keeps one for up to five seconds.
    txid = bitcoind.rpc("sendrawtransaction", payment.serialise().hex(), 0)
    assert txid == hash_text(payment.txid)
    template = await node.template()
    (entry,) = template.transactions
    assert (entry.txid, entry.wtxid, entry.weight) == (payment.txid, payment.wtxid, payment.weight)
    assert (entry.raw, entry.fee_sat) == (payment.serialise(), 5000)
    assert template.coinbase_value_sat == 50 * 10**8 + 5000
    waiting = asyncio.create_task(node.template(template.long_poll_id))
    raw = build(template)
    assert (await node.submit_block(raw)).accepted
    assert (await asyncio.wait_for(waiting, SOON_S)).previous_hash == hash_of(raw)
    assert bitcoind.rpc("getblock", hash_text(hash_of(raw)))["tx"][1] == txid
    assert (await node.coins(ANYONE_BY_HASH))[-1].value_sat == 50 * 10**8 - 5000
    await node.close()


async def test_a_demonstration_chain_keeps_its_pace_and_another_bitcoind_takes_every_block(
    bitcoind: RunningBitcoind, bitcoind_software: Bitcoind, tmp_path: Path
) -> None:
    node = driver(bitcoind, DemonstrationTarget(interval_s=0.7, start_hash_rate_hs=100_000))
    found: list[float] = []
    blocks: list[bytes] = []
    template = await node.template()
    while len(blocks) < 8:
        while template.target == 0:
            template = await asyncio.wait_for(node.template(template.long_poll_id), SOON_S)
        assert template.target < template.network_target
        raw = build(template)
        assert (await node.submit_block(raw)).accepted
        found.append(time.monotonic())
        blocks.append(raw)
        template = await node.template(template.long_poll_id)
    assert found[-1] - found[0] >= 0.9 * (len(found) - 1) * HOLD_MS / 1000
    await node.close()
    with running_bitcoind(bitcoind_software, tmp_path / "other", throw_away=True) as other:
        assert [other.rpc("submitblock", raw.hex()) for raw in blocks] == [None] * len(blocks)
        assert other.rpc("getbestblockhash") == hash_text(hash_of(blocks[-1]))


async def test_blocks_from_elsewhere_wake_the_long_poll_and_the_wait_for_a_tip(bitcoind: RunningBitcoind) -> None:
    node = driver(bitcoind)
    await mine(node)
    template, tip = await node.template(), await node.tip()
    polling = asyncio.create_task(node.template(template.long_poll_id))
    waiting = asyncio.create_task(node.wait_for_tip(tip.hash, SOON_S))
    address = address_of_script(ANYONE_BY_HASH, "regtest")
    mined = await asyncio.to_thread(bitcoind.rpc, "generatetoaddress", 1, address)
    assert hash_text((await waiting).hash) == mined[0]
    assert hash_text((await asyncio.wait_for(polling, SOON_S)).previous_hash) == mined[0]
    await node.close()


async def test_given_up_long_polls_do_not_use_up_bitcoinds_threads(bitcoind_software: Bitcoind, tmp_path: Path) -> None:
    flags = ("-rpcthreads=2",)
    with running_bitcoind(bitcoind_software, tmp_path / "node", *flags, throw_away=True) as bitcoind:
        node = driver(bitcoind)
        template = await node.template()
        for _ in range(10):
            task = asyncio.create_task(node.template(template.long_poll_id))
            await asyncio.wait([task], timeout=0.05)
            task.cancel()
        assert (await asyncio.wait_for(node.tip(), SOON_S)).height == 0
        await mine(node)
        await node.close()


async def test_a_stopped_bitcoind_ends_a_long_poll_with_its_name(bitcoind_software: Bitcoind, tmp_path: Path) -> None:
    with running_bitcoind(bitcoind_software, tmp_path / "node", throw_away=True) as bitcoind:
        node = driver(bitcoind)
        template = await node.template()
        task = asyncio.create_task(node.template(template.long_poll_id))
        await asyncio.wait([task], timeout=0.1)
        bitcoind.process.kill()
        with pytest.raises(NodeUnavailableError, match="bitcoind at http"):
            await asyncio.wait_for(task, SOON_S)
        await node.close()


async def test_a_call_that_bitcoind_refuses_keeps_its_words(bitcoind: RunningBitcoind) -> None:
    node = driver(bitcoind)
    with pytest.raises(RpcError, match=r"it refused getblock: .*blockhash must be of length 64"):
        await node.rpc.call("getblock", "zz")
    await node.close()


async def test_the_probe_of_a_real_bitcoind(bitcoind: RunningBitcoind) -> None:
    node = driver(bitcoind)
    await mine(node, 2)
    tip = await node.tip()
    seen = await probe(node.rpc, (tip.time_s + 60) * 1000)
    assert seen.problem is None
    assert (seen.chain, seen.height, seen.headers, seen.tip_age_s) == ("regtest", 2, 2, 60)
    assert (seen.peers_in, seen.peers_out, seen.pruned, seen.mempool_transactions) == (0, 0, False, 0)
    assert isinstance(seen.version, int)
    assert seen.version >= 290000
    assert isinstance(seen.uptime_s, int)
    assert isinstance(seen.software, str)
    assert "Satoshi" in seen.software
    assert seen.warnings == ()
    assert judge(seen, "regtest") == ()
    assert judge(seen, "main")[0].kind == "wrong_chain"
    await node.close()


async def test_the_recipe_starts_a_real_bitcoind(bitcoind_software: Bitcoind, tmp_path: Path) -> None:
    rpc_port, p2p_port = free_port(), free_port()
    place = Place("btc", "regtest", Path("bitcoind"), tmp_path, {"rpc": rpc_port, "p2p": p2p_port}, flags=("-dbcache=50",))
    command = [*bitcoind_software.command, *recipe.command(place).arguments[1:]]
    with (tmp_path / "output.txt").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    running = RunningBitcoind(bitcoind_software.version, tmp_path, rpc_port, p2p_port, process)
    try:
        node = driver(running)
        deadline = asyncio.get_running_loop().time() + SOON_S
        while True:
            try:
                await node.tip()
            except NodeUnavailableError:
                assert process.poll() is None, (tmp_path / "output.txt").read_text()[-500:]
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.1)
            else:
                break
        await mine(node, 2)
        with pytest.raises(RpcRefusedError):
            running.rpc("getnewaddress")
        await node.close()
    finally:
        stop(process)


async def test_amounts_are_exact(bitcoind: RunningBitcoind) -> None:
    node = driver(bitcoind)
    (raw,) = await mine(node, 1, Recipe(value_sat=1))
    assert [coin.value_sat for coin in await node.coins(ANYONE)] == [1]
    client = RpcClient(bitcoind.url, CredentialsFile(bitcoind.cookie))
    txid = hash_text(Transaction.parse(raw[81:]).txid)
    assert (await client.call("gettxout", txid, 0))["value"] == Decimal("0.00000001")
    assert hash_bytes(txid) == Transaction.parse(raw[81:]).txid
    await client.close()
    await node.close()
