"""CPU seconds to take in a chain: the embedded node against ``bitcoind -loadblock -txindex``, the same blocks in the same run.

    python tests/benchmarks/node_import.py [--blocks 2111] [--transactions 200000] [--runs 2] [--unsigned]

The chain is made anew: after a hundred empty blocks every transaction has one input and two outputs, as most have on the main
chain, so that the coins grow as there, and spends by a signature (P2WSH). ``--unsigned`` has outputs that anyone may spend
instead: without signatures to check, bookkeeping is all there is, which no real chain is like. Both processes are measured
whole, from their start to their clean end, user and system time; the best of the runs counts. bitcoind is Debian's, as in the
interoperability tests, or the one that PHOTOSYNTH_BITCOIND names.

What the comparison includes: both check every signature (regtest assumes none valid). bitcoind also keeps a mempool and
listens for peers, checks signatures on all cores, answers four calls a second here, and writes its databases at its end: killed
before, it starts again from the file. The node has every block on disk before it answers, in groups of 32, and has the coins
by script, which bitcoind has not; it has no index of transactions.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256K1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.peers.bitcoind import running_bitcoind  # noqa: E402
from tests.peers.setup_bitcoind import Bitcoind, obtain  # noqa: E402
from tests.unit.bitcoin_node.bitcoin_node_mining import ANYONE, hash_of, make_block  # noqa: E402

from photosynth.bitcoin.block import Block  # noqa: E402
from photosynth.bitcoin.transaction import Transaction, TxIn, TxOut  # noqa: E402
from photosynth.bitcoin.wire import counted, double_sha256  # noqa: E402
from photosynth.bitcoin_node import open_node  # noqa: E402
from photosynth.bitcoin_node.chain import NETWORK_MAGIC  # noqa: E402

MAGIC = NETWORK_MAGIC["regtest"]
MATURITY = 100
SUBSIDY_SAT = 50 * 100_000_000
FAN_OUT = 1_000
PAYMENT_SAT = 1_000
LIMIT_S = 600
SECRET = 0x5EED
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Of secp256k1's group: a signature's second number is taken from the lower half (BIP146)."""


async def genesis_block(folder: Path) -> bytes:
    """Regtest's genesis block; bitcoind wants a file that begins with it."""
    node = await open_node(folder)
    raw = await node.block((await node.tip()).hash)
    await node.close()
    if raw is None:
        raise SystemExit("the node does not give its genesis block")
    return raw


class Anyone:
    """Pays to whoever comes first."""

    script = ANYONE

    def spend(self, txid: bytes, number: int, _value_sat: int, outputs: tuple[TxOut, ...]) -> Transaction:
        """A transaction that spends one of its outputs."""
        return Transaction(2, (TxIn(txid, number),), outputs)


class Owner:
    """Pays to the hash of a script with a key of its own and signs with it (BIP143)."""

    def __init__(self) -> None:
        self._key = derive_private_key(SECRET, SECP256K1())
        public = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        self._check = counted(public) + b"\xac"
        self.script = b"\x00\x20" + sha256(self._check).digest()

    def spend(self, txid: bytes, number: int, value_sat: int, outputs: tuple[TxOut, ...]) -> Transaction:
        """A transaction that spends one of its outputs."""
        outpoint, sequence = txid + number.to_bytes(4, "little"), b"\xff" * 4
        paid = b"".join(output.value_sat.to_bytes(8, "little") + counted(output.script) for output in outputs)
        signed = b"".join(
            (
                (2).to_bytes(4, "little"),
                double_sha256(outpoint),
                double_sha256(sequence),
                outpoint,
                counted(self._check),
                value_sat.to_bytes(8, "little"),
                sequence,
                double_sha256(paid),
                bytes(4),
                (1).to_bytes(4, "little"),
            )
        )
        r, s = decode_dss_signature(self._key.sign(double_sha256(signed), ECDSA(Prehashed(SHA256()))))
        signature = encode_dss_signature(r, min(s, ORDER - s)) + b"\x01"
        return Transaction(2, (TxIn(txid, number, witness=(signature, self._check)),), outputs)


def make_chain(genesis: bytes, blocks: int, transactions: int, owner: Anyone | Owner) -> Iterator[bytes]:
    """The genesis block and so many more, which hold so many transactions besides the coinbases."""
    yield genesis
    previous, first, left = hash_of(genesis), bytes(32), transactions
    coins: list[tuple[bytes, int, int]] = []
    for height in range(1, blocks + 1):
        share = left if height == blocks else 0 if height <= MATURITY else left // (blocks + 1 - height)
        made: list[Transaction] = []
        if height == MATURITY + 1:
            made.append(Transaction(2, (TxIn(first, 0),), (TxOut(SUBSIDY_SAT // FAN_OUT, owner.script),) * FAN_OUT))
            coins = [(made[0].txid, number, SUBSIDY_SAT // FAN_OUT) for number in range(FAN_OUT)]
        while len(made) < share:
            txid, number, value_sat = coins.pop(0)
            payment = TxOut(PAYMENT_SAT, b"\x00\x14" + txid[:20])
            change = TxOut(value_sat - PAYMENT_SAT, owner.script)
            made.append(owner.spend(txid, number, value_sat, (payment, change)))
            coins.append((made[-1].txid, 1, value_sat - PAYMENT_SAT))
        left -= len(made)
        raw = make_block(previous, height, value_sat=SUBSIDY_SAT if height == 1 else 0, transactions=made)
        if height == 1:
            first = Block.parse(raw).transactions[0].txid
        previous = hash_of(raw)
        yield raw


def run_node(path: Path, folder: Path, _blocks: int) -> None:
    """The embedded node in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("node_take_in.py")), str(path), str(folder)]
    subprocess.run(command, check=True, timeout=LIMIT_S)


def run_bitcoind(software: Bitcoind) -> Callable[[Path, Path, int], None]:
    """bitcoind importing the file with a transaction index, until it has both."""

    def run(path: Path, folder: Path, blocks: int) -> None:
        flags = ("-txindex", f"-loadblock={path}", "-connect=0", "-disablewallet")
        deadline = time.monotonic() + LIMIT_S
        with running_bitcoind(software, folder, *flags) as node:
            while node.rpc("getblockcount") < blocks or not node.rpc("getindexinfo")["txindex"]["synced"]:
                if time.monotonic() > deadline:
                    raise SystemExit("bitcoind did not import the chain in time")
                time.sleep(0.25)

    return run


def cpu_s(run: Callable[[Path, Path, int], None], path: Path, blocks: int) -> tuple[float, float]:
    """User and system seconds of a child process."""
    with tempfile.TemporaryDirectory(prefix="photosynth-import-") as name:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(path, Path(name) / "node", blocks)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime


def main() -> None:
    """Parse the arguments and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=2_111)
    parser.add_argument("--transactions", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--unsigned", action="store_true", help="outputs that anyone may spend")
    arguments = parser.parse_args()
    software = obtain()
    with tempfile.TemporaryDirectory(prefix="photosynth-chain-") as name:
        path = Path(name) / "blocks.dat"
        genesis = asyncio.run(genesis_block(Path(name) / "genesis"))
        with path.open("wb") as file:
            for raw in make_chain(genesis, arguments.blocks, arguments.transactions, Anyone() if arguments.unsigned else Owner()):
                file.write(MAGIC + len(raw).to_bytes(4, "little") + raw)
        print(f"{arguments.blocks} blocks, {arguments.transactions} transactions, {path.stat().st_size / 1e6:.1f} MB", flush=True)
        best: list[float] = []
        for what, run in ((software.version, run_bitcoind(software)), ("embedded node", run_node)):
            found = [cpu_s(run, path, arguments.blocks) for _ in range(arguments.runs)]
            user_s, system_s = min(found, key=sum)
            best.append(user_s + system_s)
            print(f"{what}: {best[-1]:.2f} CPU s ({user_s:.2f} user, {system_s:.2f} system)", flush=True)
        print(f"ratio {best[1] / best[0]:.2f} (limit 1.2)")


if __name__ == "__main__":
    main()
